from __future__ import annotations

import random

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.io import write

from aiida_traincraft.data import bulk
from aiida_traincraft.data.frames.label import LabelData, find_label
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData, level_hash
from aiida_traincraft.data.reading import read_structures
from aiida_traincraft.exchange import imports
from aiida_traincraft.exchange.imports import import_frames, parse_level
from aiida_traincraft.exchange.judging import ImportOptions
from aiida_traincraft.science.structure import Structure, write_extxyz

pytestmark = pytest.mark.usefixtures('aiida_profile')


def jittered(frames, seed) -> list[Structure]:
    """Frames that no other test stores: each a little changed, labels kept."""
    rng = np.random.default_rng(seed)
    found = []
    for frame in frames:
        copy = frame.copy()
        copy.provenance.pop('level_of_theory', None)
        copy.atoms.positions += rng.normal(scale=1e-3, size=copy.atoms.positions.shape)
        found.append(copy)
    return found


@pytest.fixture
def frames(copper_frames, request):
    return jittered(copper_frames, sum(request.node.name.encode()))


@pytest.fixture
def level(request):
    return {'name': f'EMT for {request.node.name}'}


@pytest.fixture
def path(tmp_path, frames):
    path = tmp_path / 'data.extxyz'
    write_extxyz(path, frames)
    return path


def count_nodes():
    return orm.QueryBuilder().append(orm.Node).count()


def members(process) -> list[str]:
    return process.outputs.manifest.uuids


def test_every_frame_becomes_a_structure_and_a_label(path, frames, level):
    told = []
    done = import_frames([path], level, ImportOptions(), progress=lambda *amount: told.append(amount))
    assert (done.report.frames, done.report.accepted, done.report.refusals) == (30, 30, [])
    assert sum(amount for stage, amount, _ in told if stage == 'validating') == path.stat().st_size
    assert sum(amount for stage, amount, total in told if stage == 'storing' and total == 60) == 60
    process = done.process
    assert process.is_finished_ok
    assert process.is_sealed
    assert not process.base.caching.is_valid_cache
    assert process.inputs.level_of_theory.content == level
    (file,) = process.inputs.source['files']
    assert (file['name'], file['bytes']) == ('data.extxyz', path.stat().st_size)
    for uuid, frame in zip(members(process), frames, strict=True):
        label = orm.load_node(uuid)
        assert label.creator.uuid == process.uuid
        assert label.structure_fingerprint == label.get_structure().content_hash()
        assert label.energy == pytest.approx(frame.properties['energy'], abs=1e-8)
    assert process.outputs.structures['000007'].fingerprint == orm.load_node(members(process)[7]).structure_fingerprint
    assert find_label([process.outputs.structures['000007'].fingerprint], level_hash(level))


def test_imported_nodes_are_like_those_made_one_by_one(path, level):
    process = import_frames([path], level, ImportOptions()).process
    for index in random.Random(1).sample(range(30), 10):
        for name, node_class in (('structures', TrainingStructureData), ('labels', LabelData)):
            node = process.outputs[name][f'{index:06d}']
            twin = node_class(read_structures([members(process)[index]])[0]).store()
            place = ('offset', 'nbytes')
            for key in {**node.base.attributes.all, **twin.base.attributes.all}.keys() - place:
                assert node.base.attributes.get(key) == twin.base.attributes.get(key), key
            assert (node.label, node.description, node.node_type) == (twin.label, twin.description, twin.node_type)
            assert node.base.caching.get_hash() == twin.base.caching.get_hash() == node.base.caching.compute_hash()
            assert node.base.caching.is_valid_cache == twin.base.caching.is_valid_cache
            for key, array in node.get_structure().atoms.arrays.items():
                assert np.array_equal(array, twin.get_structure().atoms.arrays[key])


def test_the_same_import_again_is_found(path, level):
    first = import_frames([path], level, ImportOptions())
    before = count_nodes()
    again = import_frames([path], level, ImportOptions())
    assert (again.finished_before, again.process.pk) == (True, first.process.pk)
    assert count_nodes() == before


def test_labels_that_are_there_are_taken_and_not_stored_twice(path, frames, level, tmp_path):
    first = import_frames([path], level, ImportOptions())
    more = tmp_path / 'more.extxyz'
    extra = jittered(frames[:2], 99)
    write_extxyz(more, [*frames[:5], *extra, extra[0]])
    done = import_frames([more], level, ImportOptions())
    assert (done.report.accepted, done.report.known, done.report.repeated) == (2, 5, 1)
    assert members(done.process)[:5] == members(first.process)[:5]
    assert len(members(done.process)) == 7
    assert {node.uuid for node in done.process.inputs.known.values()} == set(members(first.process)[:5])


def test_another_level_of_theory_shares_no_label(path, level):
    first = import_frames([path], level, ImportOptions())
    other = import_frames([path], level | {'cutoff': 40.0}, ImportOptions())
    assert other.report.accepted == 30
    assert not set(members(first.process)) & set(members(other.process))
    assert not find_label([other.process.outputs.structures['000000'].fingerprint], level_hash({'name': 'a third'}))


def test_contradicting_labels_are_refused(path, frames, level, tmp_path):
    import_frames([path], level, ImportOptions())
    changed = frames[3].copy()
    changed.properties['energy'] += 0.1
    other = tmp_path / 'other.extxyz'
    twice = jittered(frames[:1], 5)[0]
    again = twice.copy()
    again.properties['energy'] += 0.1
    write_extxyz(other, [frames[0], changed, twice, again])
    done = import_frames([other], level, ImportOptions())
    assert done.process is None
    assert [(refusal.frame, refusal.rule) for refusal in done.report.refusals] == [
        (1, 'contradiction'),
        (3, 'contradiction'),
    ]
    assert 'other.extxyz, frame 2' in done.report.refusals[1].reason


def test_refused_frames_keep_the_others_out_unless_asked(frames, level, tmp_path):
    path = tmp_path / 'data.extxyz'
    frames[4].properties['forces'][0] += 3.0
    frames[9].properties['energy'] = float('nan')
    write_extxyz(path, frames)
    before = count_nodes()
    done = import_frames([path], level, ImportOptions())
    assert (done.process, count_nodes()) == (None, before)
    assert [(refusal.frame, refusal.rule) for refusal in done.report.refusals] == [(4, 'net_force'), (9, 'finite')]
    done = import_frames([path], level, ImportOptions(skip_refused=True))
    assert len(members(done.process)) == 28
    assert done.process.outputs.report['refused'] == {'net_force': 1, 'finite': 1}
    assert '000004' not in done.process.outputs.labels
    done = import_frames([path], level, ImportOptions(skip_refused=True, allow=['net_force']))
    assert (done.report.accepted, done.report.known) == (1, 28)


def test_a_dry_run_stores_nothing(path, level):
    before = count_nodes()
    done = import_frames([path], level, ImportOptions(), dry_run=True)
    assert (done.process, done.report.accepted, count_nodes()) == (None, 30, before)


def test_near_duplicates_are_left_out(frames, level, tmp_path):
    path, other = tmp_path / 'data.extxyz', tmp_path / 'other.extxyz'
    turned = frames[1].copy()
    turned.atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    axis = turned.atoms.cell.array.T @ np.linalg.inv(frames[1].atoms.cell.array.T)
    turned.properties['forces'] = frames[1].properties['forces'] @ axis.T
    del turned.properties['stress']
    write_extxyz(path, [frames[0], frames[1], turned])
    done = import_frames([path], level, ImportOptions(near_dedup=1e-4))
    assert (done.report.accepted, done.report.near) == (2, 1)
    write_extxyz(other, [turned, frames[2], frames[0]])
    done = import_frames([other], level, ImportOptions(near_dedup=1e-4))
    assert (done.report.accepted, done.report.near, done.report.known) == (1, 1, 1)
    # A near duplicate of another level of theory is none.
    done = import_frames([other], level | {'cutoff': 40.0}, ImportOptions(near_dedup=1e-4))
    assert (done.report.accepted, done.report.near) == (3, 0)


def test_an_import_that_is_cut_off_goes_on(path, level, monkeypatch):
    monkeypatch.setattr(bulk, 'NODES_PER_TRANSACTION', 8)
    real, calls = bulk._store_chunk, []

    def cut_off(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(bulk, '_store_chunk', cut_off)
    with pytest.raises(KeyboardInterrupt):
        import_frames([path], level, ImportOptions())
    monkeypatch.setattr(bulk, '_store_chunk', real)
    query = orm.QueryBuilder().append(LabelData, filters={'attributes.level_of_theory': level_hash(level)})
    assert query.count() == 12
    done = import_frames([path], level, ImportOptions())
    assert (done.report.accepted, query.count(), len(members(done.process))) == (30, 30, 30)
    assert len({orm.load_node(uuid).creator.pk for uuid in members(done.process)}) == 1


def test_two_imports_of_one_level_at_once_are_refused(path, level):
    with imports._only_one(level_hash(level)), pytest.raises(ValueError, match='another import at the level of theory'):
        import_frames([path], level, ImportOptions())


def test_levels_of_theory(tmp_path):
    node = LevelOfTheoryData.get_or_create({'functional': 'PBE', 'test': 'levels'})
    assert parse_level(node.hash[:10]) == parse_level(node.uuid) == node.content
    assert parse_level('PBE, 60 Ry') == {'name': 'PBE, 60 Ry'}
    file = tmp_path / 'level.toml'
    file.write_text('functional = "PBE"\necutwfc = 60.0\n')
    assert parse_level(str(file)) == {'functional': 'PBE', 'ecutwfc': 60.0}
    for text in ('  ', str(tmp_path / 'none.json'), node.hash[:7] + 'f0', '00000000-0000-0000-0000-000000000000'):
        with pytest.raises((ValueError, OSError)):
            parse_level(text)


def test_options_name_what_is_unknown():
    with pytest.raises(ValueError, match=r"'force' is unknown here .*forces"):
        ImportOptions(keys={'force': 'f'})
    with pytest.raises(ValueError, match=r"'distance' is unknown here .*short_distance"):
        ImportOptions(allow=['distance'])


DAMAGES = {
    'truncated': lambda rng, lines: lines[: rng.choice([n for n in range(1, len(lines)) if n % 6])],
    'cut': lambda rng, lines: lines,
    'cut row': lambda rng, lines: _row(rng, lines, lambda words: words[:-1]),
    'long row': lambda rng, lines: _row(rng, lines, lambda words: [*words, '0.5']),
    'nan': lambda rng, lines: _value(rng, lines, rng.choice(['nan', 'NaN', 'inf', '-inf'])),
    'text': lambda rng, lines: _value(rng, lines, rng.choice(['abc', '1.2.3', '--', '1,5'])),
    'huge value': lambda rng, lines: _value(rng, lines, rng.choice(['1e300', '-1e30', '9' * 40])),
    'species': lambda rng, lines: _row(rng, lines, lambda words: [rng.choice(['Xx', 'Qq', '29', 'C1u']), *words[1:]]),
    'count': lambda rng, lines: _line(rng, lines, 0, rng.choice(['9', '-4', '99999999999', '4.0', 'four', '0', '3'])),
    'lattice': lambda rng, lines: _line(rng, lines, 1, 'Lattice="3.6 0 0 0 3.6" energy=-1.0'),
    'binary': lambda rng, lines: _line(rng, lines, rng.randrange(6), '\x00\x01\udcff\udcfe' * 30),
}


def cut(rng, content):
    """Cut a file at a byte that is no end of a frame."""
    ends = [place for place, line in enumerate(content.split(b'\n')) if place % 6 == 0]
    offsets = [sum(len(line) + 1 for line in content.split(b'\n')[:number]) for number in ends]
    return content[: rng.choice([place for place in range(1, len(content)) if place not in offsets])]


def _line(rng, lines, place, text):
    lines[6 * rng.randrange(len(lines) // 6) + place] = text
    return lines


def _row(rng, lines, change):
    number = rng.choice([n for n in range(len(lines)) if n % 6 > 1])
    lines[number] = ' '.join(change(lines[number].split()))
    return lines


def _value(rng, lines, text):
    column = rng.randrange(1, 7)
    return _row(rng, lines, lambda words: [*words[:column], text, *words[column + 1 :]])


def test_506_damaged_files_are_refused_by_name_and_frame(tmp_path, level):
    atoms = Atoms('Cu4', [[0, 0, 0], [0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]], cell=[3.6] * 3, pbc=True)
    atoms.info['energy'], atoms.arrays['forces'] = -1.0, np.zeros((4, 3))
    path = tmp_path / 'damaged.extxyz'
    write(path, [atoms] * 5, format='extxyz', write_results=False)
    good = path.read_text().splitlines()
    rng, before = random.Random(7), count_nodes()
    for name in [name for name in DAMAGES for _ in range(46)]:
        lines = DAMAGES[name](rng, list(good))
        content = ('\n'.join(lines) + '\n').encode('utf-8', 'surrogateescape')
        path.write_bytes(cut(rng, content) if name == 'cut' else content)
        done = import_frames([path], level, ImportOptions())
        assert done.process is None, name
        (refusal, *_) = done.report.refusals
        assert refusal.file == 'damaged.extxyz', name
        assert 0 <= refusal.frame <= 5, name
        assert len(refusal.reason) < 300, name
    path.write_bytes(b'')
    (refusal,) = import_frames([path], level, ImportOptions()).report.refusals
    assert str(refusal) == 'damaged.extxyz, frame 0: the file holds no frame'
    assert count_nodes() == before


def test_files_may_differ_in_keys_and_share_a_name(tmp_path, frames, level):
    (tmp_path / 'other').mkdir()
    one, two = tmp_path / 'data.extxyz', tmp_path / 'other' / 'data.extxyz'
    write_extxyz(one, frames[:2])
    write_extxyz(two, frames[2:5])
    two.write_text(two.read_text().replace('REF_energy', 'energy').replace('REF_forces', 'forces'))
    done = import_frames([one, two], level, ImportOptions(group_by_file=True))
    assert done.report.keys['REF_energy'] == 2
    assert done.report.keys['energy'] == 3
    groups = {orm.load_node(uuid).group for uuid in members(done.process)}
    assert groups == {str(one), str(two)}


def test_the_report_of_an_import_is_kept(frames, level, tmp_path):
    path = tmp_path / 'data.extxyz'
    frames[4].properties['forces'][0] += 3.0
    write_extxyz(path, frames)
    first = import_frames([path], level, ImportOptions(skip_refused=True))
    again = import_frames([path], level, ImportOptions(skip_refused=True))
    assert again.finished_before
    assert again.report == first.report
