from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.calculations.functions.gathering import gather_dataset
from aiida_traincraft.data.bulk import NewFrame, create_frames
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.provenance.describe import IMPORT_PROCESS_TYPE
from aiida_traincraft.provenance.lineage import (
    Step,
    ancestors,
    calculations_above,
    describe,
    inputs_of,
    label_makers,
    lineage,
    origins,
    training_sets,
)
from aiida_traincraft.science.structure import Structure


def texts(step: Step) -> list[str]:
    return [step.text, *(text for child in step.children for text in texts(child))]


def test_origins_of_the_last_potential(tiny_campaign):
    facts = origins(tiny_campaign.outputs.potential)
    (config,) = facts['config']
    assert "campaign config 'tiny', seed 3" in config
    assert f'<{tiny_campaign.inputs.config.pk}>' in config
    assert any('python@localhost' in line for line in facts['codes'])
    (level,) = facts['levels of theory']
    assert 'emt' in level
    assert any(line.endswith('of bulk') for line in facts['labelled structures'])
    counts = [int(line.split()[0]) for line in facts['labels']]
    assert sum(counts) == len(tiny_campaign.outputs.dataset.rows)
    assert all('AseLabelCalculation' in line for line in facts['labels'])


def test_the_test_set_does_not_shape_the_potential(tiny_campaign):
    above = ancestors(tiny_campaign.outputs.potential)
    sealed = {orm.load_node(row.label).pk for row in tiny_campaign.outputs.test_set.rows}
    assert sealed.isdisjoint(above)
    assert not any('of hot' in line for line in origins(tiny_campaign.outputs.potential)['labelled structures'])


def test_who_made_the_labels(tiny_campaign):
    (makers,) = label_makers(tiny_campaign.outputs.dataset)
    assert makers.name == 'AseLabelCalculation'
    assert makers.n_labels == len(tiny_campaign.outputs.dataset.rows)
    assert {orm.load_node(pk).process_label for pk in makers.pks} == {'AseLabelCalculation'}


def test_the_creator_comes_first(tiny_campaign):
    potential = tiny_campaign.outputs.potential
    levels = calculations_above(potential)
    assert levels[0] == {potential.creator.pk}
    assert len(set().union(*levels)) == sum(map(len, levels))


def test_training_sets(tiny_campaign):
    outputs = tiny_campaign.outputs
    assert [node.uuid for node in training_sets(outputs.potential)] == [outputs.dataset.uuid]
    assert [node.uuid for node in training_sets(outputs.test_set)] == [outputs.test_set.uuid]
    assert training_sets(tiny_campaign.inputs.config) == []


def test_the_tree_above_a_potential(tiny_campaign):
    lines = texts(lineage(tiny_campaign.outputs.potential, 12))
    text = '\n'.join(lines)
    for name in (
        'PaceActivesetCalculation',
        'PaceLinearCalculation',
        'extend_dataset',
        'AseLabelCalculation',
        'select_structures',
        'SampleCalculation',
        'build_structures',
    ):
        assert f'made by {name}' in text
    assert "campaign config 'tiny', seed 3" in text
    # The members of a batch are folded into one line.
    assert 'members: 11 nodes, one of them:' in text or 'members: 10 nodes, one of them:' in text
    assert len(lines) < 250


def test_depth_cuts_the_tree(tiny_campaign):
    potential = tiny_campaign.outputs.potential
    assert texts(lineage(potential, 0)) == [f'{describe(potential)} ...']
    shallow = texts(lineage(potential, 1))
    assert any('PaceActivesetCalculation' in line for line in shallow)
    assert not any('extend_dataset' in line for line in shallow)
    assert len(shallow) < len(texts(lineage(potential, 3)))


def test_nothing_is_opened_twice(tiny_campaign):
    lines = texts(lineage(tiny_campaign.outputs.potential, 30))
    assert not any(line.endswith(' ...') for line in lines)
    again = {line.removesuffix(' (above)').rpartition(': ')[2] for line in lines if line.endswith(' (above)')}
    assert again
    for text in again:
        opened = [line for line in lines if line.endswith(text)]
        assert len(opened) == 1, text


def test_what_was_cut_is_opened_where_there_is_depth(tiny_campaign):
    # The first path to a node may be the longest one.
    for depth in (2, 4, 6, 8):
        step = lineage(tiny_campaign.outputs.potential, depth)
        assert step.cut
        lines = texts(step)
        assert any(line.endswith(' ...') for line in lines)
        assert not any('select_structures' in line for line in lines) or depth > 2
    assert not lineage(tiny_campaign.outputs.potential, 40).cut


def test_a_selected_structure_tells_its_story(tiny_campaign):
    row = next(row for row in tiny_campaign.outputs.ledger.rows if row.structure)
    last = orm.load_node(tiny_campaign.outputs.ledger.rows[-1].structure)
    assert isinstance(last, TrainingStructureData)
    text = describe(last)
    assert 'sampler md' in text
    assert 'uncertainty' in text
    assert 'selected by' in text
    assert 'seed' in text
    assert row.structure != last.uuid


def test_a_label_descends_from_the_config(tiny_campaign):
    label = next(orm.load_node(row.label) for row in tiny_campaign.outputs.ledger.rows[::-1] if row.label)
    assert isinstance(label, LabelData)
    assert tiny_campaign.inputs.config.pk in ancestors(label)


def test_a_node_without_creator(tiny_campaign):
    config = tiny_campaign.inputs.config
    assert ancestors(config) == set()
    assert origins(config) == {}
    assert lineage(config, 3).children == []


@pytest.fixture(scope='module')
def imported(copper_frames):
    """Dataset of twelve frames that an import by hand has made."""
    level = LevelOfTheoryData.get_or_create({'name': 'of the lineage test'})
    process = orm.CalculationNode()
    process.set_process_label('import_frames')
    process.process_type = IMPORT_PROCESS_TYPE
    source = orm.Dict({'files': [{'name': 'old.extxyz', 'sha256': 'ab' * 32}], 'options': {}}).store()
    for label, node in (('level_of_theory', level), ('source', source)):
        process.base.links.add_incoming(node, LinkType.INPUT_CALC, label)
    process.store()
    frames = [
        Structure(frame.atoms, frame.properties, {**frame.provenance, 'level_of_theory': level.hash})
        for frame in copper_frames[:12]
    ]
    new = [NewFrame(LabelData, frame, f'labels__{index:06d}') for index, frame in enumerate(frames)]
    create_frames(process, new)
    report = orm.Dict({'keys': {'REF_energy': 12, 'REF_forces': 12}})
    report.base.links.add_incoming(process, LinkType.CREATE, 'report')
    report.store()
    process.seal()
    return gather_dataset(orm.Str(level.hash)), process


def test_an_import_tells_its_files_and_keys(imported):
    dataset, process = imported
    text = f'import_frames<{process.pk}> of old.extxyz (keys REF_energy, REF_forces)'
    facts = origins(dataset)
    assert facts['labels'] == [f'12 by {text}']
    assert facts['labelled structures'] == ['12 of bulk']
    assert 'of the lineage test' in facts['levels of theory'][0]
    lines = texts(lineage(dataset, 3))
    assert 'members: 12 nodes, one of them:' in lines
    assert f'made by {text}' in lines


def test_members_are_counted_not_loaded(imported, monkeypatch):
    batches, single = inputs_of(imported[0].creator)
    assert {prefix: count for prefix, (count, _) in batches.items()} == {'members': 12}
    assert set(single) == {'level'}
    sizes = []
    plain = orm.QueryBuilder.iterall

    def iterall(self, **options):
        rows = list(plain(self, **options))
        sizes.append(len(rows))
        return iter(rows)

    monkeypatch.setattr(orm.QueryBuilder, 'iterall', iterall)
    origins(imported[0])
    lineage(imported[0], 3)
    assert 0 < max(sizes) < 12


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (3, '3 <'),
        ('train', 'train <'),
        ({'seed': 1}, '{"seed": 1} <'),
        ({'long': 'x' * 500}, '... <'),
    ],
    ids=['int', 'str', 'dict', 'long'],
)
def test_small_nodes(aiida_profile, value, expected):
    text = describe(orm.to_aiida_type(value))
    assert expected in text
    assert len(text) < 200
