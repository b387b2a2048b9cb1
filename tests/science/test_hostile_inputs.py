"""Damaged and hostile geometries: each is refused with its key's name, quickly, and writes nothing elsewhere."""

from __future__ import annotations

import copy
import gzip
import re
import time
import tomllib

import pytest

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.optional import MissingLibraryError
from aiida_traincraft.science.workspace import Workspace

CPU_SECONDS = 1.0
COPPER = {'type': 'crystal', 'name': 'Cu', 'a': 3.6, 'cubic': True}
SLAB = {'type': 'slab', 'name': 'Cu', 'facet': 'fcc111', 'size': [2, 2, 3], 'vacuum': 6.0}
GROUP = {'type': 'crystal', 'a': 3.6, 'basis': [{'element': 'Cu', 'position': [0.0, 0.0, 0.0]}]}
CONTROL = 'C\x00\x1b[31mu\r\n'
WATER = {'name': 'H2O', 'ratio': 1.0}
NUMBERS = {'nan': float('nan'), 'inf': float('inf'), 'huge': 1e300, 'negative_huge': -1e300, 'many': 10**9}
WRONG_TYPES = {'text': 'ten', 'table': {'nonsense': 1}, 'empty_list': [], 'nested': [[[[1]]]], 'control': CONTROL}

FILES = {
    'empty.xyz': b'',
    'empty.cif': b'',
    'noise.cif': bytes(range(256)) * 40,
    'noise.extxyz': bytes(range(255, -1, -1)) * 40,
    'noise.vasp': b'\xff\xfe' * 3000,
    'pseudo.UPF': b'<UPF version="2.0.1">\n<PP_HEADER element="Cu"',
    'pseudo.cif': b'<UPF version="2.0.1">\n<PP_HEADER element="Cu"',
    'cut.extxyz': b'4\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nCu 0 0 0\nCu 1 1',
    'nan.extxyz': b'1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nCu nan 0 0\n',
    'inf_cell.extxyz': b'1\nLattice="inf 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nCu 0 0 0\n',
    'flat_cell.extxyz': b'1\nLattice="3 0 0 3 0 0 0 0 3" Properties=species:S:1:pos:R:3 pbc="T T T"\nCu 0 0 0\n',
    'billion.xyz': b'1000000000\n\nCu 0 0 0\n',
    'second_billion.extxyz': b'1\n\nCu 0 0 0\n1000000000\n\nCu 0 0 0\n',
    'billion.vasp': b'Cu\n1.0\n3 0 0\n0 3 0\n0 0 3\nCu\n1000000000\nDirect\n0 0 0\n',
    'billion.xsf': b'CRYSTAL\nPRIMVEC\n3 0 0\n0 3 0\n0 0 3\nPRIMCOORD\n1000000000 1\n29 0 0 0\n',
    'billion.cube': b'a\nb\n1000000000 0 0 0\n10 1 0 0\n10 0 1 0\n10 0 0 1\n29 0 0 0 0\n',
    'billion.cfg': b'Number of particles = 1000000000\nA = 1.0 Angstrom\n',
    'billion.xyz.gz': gzip.compress(b'1000000000\n\nCu 0 0 0\n'),
    'billion.vasp.gz': gzip.compress(b'Cu\n1.0\n3 0 0\n0 3 0\n0 0 3\nCu\n1000000000\nDirect\n0 0 0\n'),
    'cut.xyz.gz': gzip.compress(b'1\n\nCu 0 0 0\n')[:-12],
    'carriage_returns.xyz': b'1\r\rCu 0 0 0\r1000000000\r\rCu 0 0 0\r',
    'wide_digits.xyz': '１０００００００００\n\nCu 0 0 0\n'.encode(),
    'billion_columns.extxyz': b'1\nProperties=species:S:1:pos:R:1000000000\nCu 0 0 0\n',
    'digits.vasp': b'Cu\n1.0\n3 0 0\n0 3 0\n0 0 3\nCu\n' + b'1' * 5000 + b'x\nDirect\n0 0 0\n',
    'long_title.vasp': b'Cu' * 9000 + b'\n1.0\n3 0 0\n0 3 0\n0 0 3\nCu\n1000000000\nDirect\n0 0 0\n',
    'XDATCAR': b'Cu\n1.0\n3 0 0\n0 3 0\n0 0 3\nCu\n1000000000\nDirect configuration= 1\n0 0 0\n',
    'billion.lammpstrj': b'ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1000000000\nITEM: BOX BOUNDS pp pp pp\n0 3\n0 3\n'
    b'0 3\nITEM: ATOMS id type x y z\n1 1 0 0 0\n',
    'billion.STRUCT_OUT': b'3 0 0\n0 3 0\n0 0 3\n 1000000000\n1 29 0 0 0\n',
    'negative.xyz': b'-4\n\nCu 0 0 0\n',
    'no_atoms.xyz': b'0\n\n',
    'unknown_element.xyz': b'1\n\nQq 0 0 0\n',
    'unknown_element.cif': b'data_x\n_cell_length_a 3\n_cell_length_b 3\n_cell_length_c 3\n_cell_angle_alpha 90\n'
    b'_cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n'
    b'_atom_site_fract_z\nQq 0 0 0\n',
    'no_atoms.cif': b'data_x\n_cell_length_a 3\n_cell_length_b 3\n_cell_length_c 3\n_cell_angle_alpha 90\n'
    b'_cell_angle_beta 90\n_cell_angle_gamma 90\n',
    'halves.extxyz': b'1\nProperties=species:S:1:pos:R:3:tc_fragment:R:1\nCu 0 0 0 0.5\n',
    'code.py': b'raise SystemExit("executed")\n',
}


HOSTILE_PATHS = [
    '', '.', '..', '../..', '/', '/etc', '/nonexistent/x.xyz', 'file:///etc/passwd', 'a\x00b', 'x' * 5000, '~nobody/x',
    '~', '/dev/null', '/dev/zero', '-', '*.xyz', '@:', 'absent.xyz@0', CONTROL, '../' * 2000 + 'x',
]  # fmt: skip


def altered(geometry, path, value):
    """Copy with another value at a path of keys."""
    result = copy.deepcopy(geometry)
    *parents, last = path
    place = result
    for key in parents:
        place = place[key]
    place[last] = value
    return result


def leaves(table, path=()):
    """Paths and values of all keys but "type" in nested tables and lists of tables."""
    items = table.items() if isinstance(table, dict) else enumerate(table)
    for key, value in items:
        if key == 'type':
            continue
        yield (*path, key), value
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield from leaves(value, (*path, key))


def examples():
    """Geometry of every example, with the place of the plugin in it."""
    for plugin in registry.plugins():
        if plugin.kind in ('source', 'builder', 'transform') and plugin.example:
            tables = tomllib.loads(plugin.example)
            place = ('transforms', 0) if plugin.kind == 'transform' else (plugin.kind,)
            yield plugin, tables, place


def damages(plugin, tables, place):
    """Every key with values of a wrong type, and with numbers that are none or far too large."""
    table = tables[place[0]] if len(place) == 1 else tables[place[0]][0]
    for path, old in leaves(table):
        if isinstance(path[-1], int):
            continue
        wrong = {'nan': float('nan'), **WRONG_TYPES}
        if isinstance(old, int | float) and not isinstance(old, bool):
            wrong |= {'boolean': True, **NUMBERS}
        elif isinstance(old, list) and isinstance(old[0], int | float):
            wrong |= {f'list of {name}': [value] * len(old) for name, value in NUMBERS.items()}
        for name, value in wrong.items():
            keys = [part for part in path if isinstance(part, str)]
            yield f'{".".join(map(str, path))}: {name}', altered(tables, (*place, *path), value), keys, value


EXAMPLES = list(examples())


def campaign(geometry):
    rattle = {'type': 'rattle'}
    exploration = {'type': 'ase', 'sampling': rattle}
    return {
        'run': {'name': 'hostile'},
        'systems': [{'name': 'one', 'geometry': geometry, 'sampling': rattle}],
        'labelling': {'type': 'ase', 'calculator': {'type': 'emt'}},
        'training': {'type': 'pace_linear'},
        'exploration': exploration,
        'test_set': {'systems': [{'name': 'two', 'geometry': {'builder': COPPER}, 'sampling': rattle}]},
    }


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ('elsewhere', 'home', 'workspace'):
        (tmp_path / name).mkdir()
    for name, content in FILES.items():
        (tmp_path / 'workspace' / name).write_bytes(content)
    monkeypatch.chdir(tmp_path / 'elsewhere')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    return Workspace(tmp_path / 'workspace')


def attempt(geometry, workspace):
    """Text of the refusal, or None where the geometry is built."""
    outside = [workspace.root.parent / name for name in ('elsewhere', 'home')]
    started = time.process_time()
    try:
        config = parse_campaign(campaign(geometry)).systems[0].geometry
        source = config.source
        if not (getattr(source, 'network', False) or getattr(source, 'profile', False)):
            build_geometries(config, workspace, seed=1)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    except ValueError as error:
        text = str(error)
    else:
        text = None
    assert time.process_time() - started < CPU_SECONDS
    assert not [path for folder in outside for path in folder.rglob('*')]
    return text


def complaint(text, keys, value=None):
    """What is wrong with a refusal: it names neither a key nor the value, or carries control characters."""
    if not text.replace('\n', '').isprintable():
        return f'control characters in {text!r}'
    named = any(re.search(rf'(?<![A-Za-z0-9_]){re.escape(key)}(?![A-Za-z0-9_])', text) for key in keys)
    return None if named or (isinstance(value, str) and repr(value) in text) else f'names no key: {text}'


@pytest.mark.parametrize(
    ('plugin', 'tables', 'place'), [pytest.param(*case, id=f'{case[0].kind}-{case[0].name}') for case in EXAMPLES]
)
def test_damaged_examples(plugin, tables, place, workspace):
    bad = []
    for name, geometry, keys, value in damages(plugin, tables, place):
        text = attempt(geometry, workspace)
        # Some damage is none: any text may be the name of a group of nodes.
        if text is not None and (wrong := complaint(text, keys, value)):
            bad.append(f'{name}: {wrong}')
    assert not bad, '\n'.join(bad)


def test_there_are_hundreds_of_damaged_examples():
    assert sum(1 for case in EXAMPLES for _ in damages(*case)) > 300


@pytest.mark.parametrize('name', sorted(FILES))
def test_damaged_files(name, workspace):
    text = attempt({'source': {'type': 'file', 'path': name, 'index': ':'}}, workspace)
    assert text is not None
    assert complaint(text, ['path', 'index', 'format', name]) is None


@pytest.mark.parametrize('path', [*HOSTILE_PATHS, '/proc/self/mem'])
def test_hostile_paths(path, workspace):
    for source in ({'path': path}, {'paths': [path]}):
        text = attempt({'source': {'type': 'file', **source}}, workspace)
        assert text is not None
        assert complaint(text, ['path', 'paths', 'format']) is None


@pytest.mark.parametrize('path', [*HOSTILE_PATHS, '/proc/self/mem'])
def test_hostile_paths_of_frames(path, workspace):
    text = attempt({'source': {'type': 'frames', 'path': path}}, workspace)
    assert text is not None
    assert complaint(text, ['path']) is None


@pytest.mark.parametrize('name', [*sorted(FILES), 'cut.frames', 'huge.frames'])
def test_damaged_frame_files(name, workspace):
    (workspace.root / 'cut.frames').write_bytes((500).to_bytes(8, 'little') + b'{}')
    (workspace.root / 'huge.frames').write_bytes((2**63).to_bytes(8, 'little') + b'{}')
    text = attempt({'source': {'type': 'frames', 'path': name}}, workspace)
    assert text is not None
    assert complaint(text, ['path', 'frames']) is None


@pytest.mark.parametrize(
    'url',
    ['', 'file:///etc/passwd', 'FILE:///etc/passwd', 'ftp://host/x', 'gopher://host/x', 'data:text/plain,Cu',
     '/etc/passwd', 'http://', 'https:///x', 'http://[::1', 'http://a b/x', 'http://host/\x00', 'http://host/\r\nX: y',
     'javascript:1',
     'http:/host', '//host/x', 'http://host/' + 'x' * 3000],
)  # fmt: skip
def test_hostile_addresses(url, workspace):
    text = attempt({'source': {'type': 'url', 'url': url}}, workspace)
    assert text is not None
    assert complaint(text, ['url']) is None


@pytest.mark.parametrize(
    'smiles',
    ['', ' ', 'X', 'C(', 'C1CC', 'c1cccc1c', '[Cu', 'C(C)(C)(C)(C)C', '[C@@@H]', '>>', '*', 'C' * 3000, 'é',
     'C\x00', '[' * 500, '(' * 500, 'N(=O)(=O)(=O)C'],
)  # fmt: skip
def test_hostile_smiles(smiles, workspace):
    text = attempt({'source': {'type': 'smiles', 'smiles': smiles}}, workspace)
    assert text is not None
    assert complaint(text, ['smiles']) is None


@pytest.mark.parametrize(
    ('builder', 'key'),
    [
        (COPPER | {'repeat': [0, 1, 1]}, 'repeat'),
        (COPPER | {'repeat': [10**9, 1, 1]}, 'repeat'),
        (COPPER | {'repeat': [1000, 1000, 1000]}, 'repeat'),
        (COPPER | {'repeat': [1, 1]}, 'repeat'),
        (COPPER | {'a': 0.0}, 'a'),
        (COPPER | {'a': -3.6}, 'a'),
        (COPPER | {'name': ''}, 'name'),
        (COPPER | {'name': 'Qq'}, 'name'),
        (COPPER | {'crystalstructure': 'nonsense'}, 'crystalstructure'),
        (COPPER | {'vacancies': 4}, 'vacancies'),
        (COPPER | {'vacancies': -1}, 'vacancies'),
        (COPPER | {'typo': 1}, 'typo'),
        (GROUP | {'spacegroup': 0}, 'spacegroup'),
        (GROUP | {'spacegroup': 231}, 'spacegroup'),
        (GROUP | {'spacegroup': 'Q4'}, 'spacegroup'),
        (GROUP | {'spacegroup': CONTROL}, 'spacegroup'),
        ({'type': 'crystal', 'spacegroup': 225, 'a': 3.6, 'basis': []}, 'basis'),
        ({'type': 'crystal', 'spacegroup': 225, 'a': 3.6, 'basis': [{'element': 'Cu', 'position': [0.0]}]}, 'position'),
        (SLAB | {'vacuum': 0.0}, 'vacuum'),
        (SLAB | {'vacuum': -5.0}, 'vacuum'),
        (SLAB | {'vacuum': 1e300}, 'vacuum'),
        (SLAB | {'size': [2, 2, 0]}, 'size'),
        (SLAB | {'size': [10**6, 10**6, 1]}, 'size'),
        (SLAB | {'facet': 'fcc999'}, 'facet'),
        ({'type': 'slab', 'name': 'Cu', 'miller': [0, 0, 0], 'size': [1, 1, 3]}, 'miller'),
        ({'type': 'slab', 'name': 'Cu', 'miller': [10**6, 1, 1], 'size': [1, 1, 3]}, 'miller'),
        ({'type': 'liquid', 'density': -1.0, 'n_molecules': 10, 'species': [{'name': 'H2O', 'ratio': 1.0}]}, 'density'),
        ({'type': 'liquid', 'density': 0.0, 'n_molecules': 10, 'species': [{'name': 'H2O', 'ratio': 1.0}]}, 'density'),
        ({'type': 'liquid', 'density': 1e6, 'n_molecules': 10, 'species': [{'name': 'H2O', 'ratio': 1.0}]}, 'density'),
        ({'type': 'liquid', 'density': 1.0, 'n_molecules': 0, 'species': [WATER]}, 'n_molecules'),
        ({'type': 'liquid', 'density': 1.0, 'n_molecules': 10**9, 'species': [WATER]}, 'n_molecules'),
        ({'type': 'liquid', 'density': 1.0, 'n_molecules': 10, 'species': []}, 'species'),
        ({'type': 'liquid', 'density': 1.0, 'species': [{'name': 'Nope', 'count': 1}]}, 'name'),
        ({'type': 'nanotube', 'n': 0, 'm': 0}, 'n'),
        ({'type': 'nanotube', 'n': -6, 'm': 3}, 'n'),
        ({'type': 'nanotube', 'n': 10**9, 'm': 3}, 'n'),
        ({'type': 'nanotube', 'n': 997, 'm': 991}, 'n'),
        ({'type': 'alloy', 'name': 'Cu', 'a': 3.8, 'composition': {}}, 'composition'),
        ({'type': 'alloy', 'name': 'Cu', 'a': 3.8, 'composition': {'Cu': -0.5, 'Au': 1.5}}, 'composition'),
        ({'type': 'alloy', 'name': 'Cu', 'a': 3.8, 'composition': {'Qq': 1.0}}, 'composition'),
        ({'type': 'cluster', 'shape': 'icosahedron', 'name': 'Au', 'shells': 10**6}, 'shells'),
        ({'type': 'cluster', 'shape': 'blob', 'name': 'Au', 'shells': 3}, 'shape'),
        ({'type': 'molecule', 'name': 'NotAMolecule'}, 'name'),
        ({'type': 'random_crystal', 'composition': {}, 'spacegroup': 1}, 'composition'),
        ({'type': 'random_crystal', 'composition': {'Ti': 1}, 'spacegroup': 400}, 'spacegroup'),
        ({'type': 'grain_boundary', 'name': 'Cu', 'axis': [0, 0, 0], 'sigma': 5, 'plane': [2, 1, 0]}, 'axis'),
        ({'type': 'grain_boundary', 'name': 'Cu', 'axis': [0, 0, 1], 'sigma': 4, 'plane': [2, 1, 0]}, 'sigma'),
        ({'type': 'dimer', 'elements': ['Cu', 'Qq'], 'n': 5}, 'elements'),
        ({'type': 'dimer', 'elements': [], 'n': 5}, 'elements'),
        ({'type': 'crystl'}, 'type'),
        ({'type': 5}, 'type'),
        ({'type': CONTROL}, 'type'),
        ({}, 'type'),
    ],
    ids=str,
)  # fmt: skip
def test_hostile_builders(builder, key, workspace):
    text = attempt({'builder': builder}, workspace)
    assert text is not None
    assert complaint(text, [key]) is None


@pytest.mark.parametrize(
    ('transform', 'key'),
    [
        ({'type': 'supercell', 'repeat': [10**9, 1, 1]}, 'repeat'),
        ({'type': 'supercell', 'repeat': [0, 1, 1]}, 'repeat'),
        ({'type': 'supercell', 'matrix': [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, 'matrix'),
        ({'type': 'supercell', 'matrix': [[10**9, 0, 0], [0, 1, 0], [0, 0, 1]]}, 'matrix'),
        ({'type': 'supercell', 'matrix': []}, 'matrix'),
        ({'type': 'supercell', 'target_atoms': 10**9}, 'target_atoms'),
        ({'type': 'supercell'}, 'repeat'),
        ({'type': 'strain', 'hydrostatic': -1.0}, 'hydrostatic'),
        ({'type': 'strain', 'hydrostatic': 1e300}, 'hydrostatic'),
        ({'type': 'perturb', 'stdev': -0.1}, 'stdev'),
        ({'type': 'perturb', 'stdev': 1e300}, 'stdev'),
        ({'type': 'vacancy', 'element': 'Cu', 'count': 10**9}, 'count'),
        ({'type': 'vacancy', 'element': 'Qq', 'count': 1}, 'element'),
        ({'type': 'substitute', 'old': 'Cu', 'new': 'Qq', 'count': 1}, 'new'),
        ({'type': 'substitute', 'old': 'Ag', 'new': 'Au', 'count': 1}, 'old'),
        ({'type': 'vacuum', 'thickness': -1.0}, 'thickness'),
        ({'type': 'vacuum', 'thickness': 1e300}, 'thickness'),
        ({'type': 'rotate', 'angle': 30.0, 'axis': [0.0, 0.0, 0.0]}, 'axis'),
        ({'type': 'set_pbc', 'pbc': [True, True]}, 'pbc'),
        ({'type': 'constraints'}, 'indices'),
        ({'type': 'constraints', 'indices': [10**9]}, 'indices'),
        ({'type': 'sort', 'by': 'nonsense'}, 'by'),
    ],
    ids=str,
)
def test_hostile_transforms(transform, key, workspace):
    text = attempt({'builder': COPPER, 'transforms': [transform]}, workspace)
    assert text is not None
    assert complaint(text, [key]) is None


@pytest.mark.parametrize('geometry', [{}, {'builder': COPPER, 'source': {'type': 'file', 'path': 'x'}}, [], 5, None])
def test_not_one_origin(geometry, workspace):
    text = attempt(geometry, workspace)
    assert text is not None
    assert complaint(text, ['geometry']) is None


@pytest.mark.parametrize('name', ['', '.', '..', '../x', '/x', 'a/b', 'a b', 'a\x00', '~x', CONTROL, 5, None, []])
def test_names_that_would_leave_the_folder(name):
    for change in (('run', 'name'), ('systems', 0, 'name')):
        with pytest.raises(ValueError, match='name') as caught:
            parse_campaign(altered(campaign({'builder': COPPER}), change, name))
        assert caught.value.issues[0].path.endswith('name')
