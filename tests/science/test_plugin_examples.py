"""The example in every plugin's docstring: what we tell users to write works."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science import registry
from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.calculators import check_elements, make_calculator
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.optional import MissingLibraryError
from aiida_traincraft.science.sampling import sample
from aiida_traincraft.science.selection import FunnelContext, apply_funnel
from aiida_traincraft.science.structure import Structure, write_extxyz, write_frames
from aiida_traincraft.science.workspace import Workspace

KINDS = ('source', 'builder', 'transform', 'calculator', 'sampler', 'selector', 'baseline', 'validator')
LARGEST_EXAMPLE = 400
RANDOM = {
    'source': {'smiles'},
    'builder': {
        'alloy', 'crystal', 'filled_nanotube', 'intercalation', 'liquid', 'random_crystal', 'surface_adsorbate',
        'surface_packing',
    },
    'transform': {'interstitial', 'perturb', 'strain', 'substitute', 'vacancy'},
}  # fmt: skip
"""Plugins whose example comes out otherwise with another seed."""
CLOSEST = 0.5
"""Shortest distance allowed, as a fraction of the sum of the covalent radii."""


def of_kinds(*kinds):
    found = [plugin for plugin in registry.plugins() if plugin.kind in kinds]
    return pytest.mark.parametrize('plugin', found, ids=lambda plugin: f'{plugin.kind}-{plugin.name}')


def example(plugin):
    assert plugin.example, f'the docstring of {plugin.kind} {plugin.name!r} has no code-block:: toml'
    return tomllib.loads(plugin.example)


def geometry(tables):
    return GeometryConfig.model_validate({key: tables[key] for key in tables.keys() & GeometryConfig.model_fields})


def later(config):
    """Whether a config names what is not here: the network, a profile, files of a potential, another program."""
    names = ('potential', 'model', 'command')
    return any(getattr(config, key, False) for key in ('network', 'profile')) or any(hasattr(config, n) for n in names)


@pytest.fixture
def workspace(tmp_path):
    """Folder with the files that examples of sources name."""
    rng, frames = np.random.default_rng(5), []
    for _ in range(12):
        atoms = bulk('Cu', a=3.6, cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(Structure(atoms))
    for name in ('structure.extxyz', 'structures.extxyz'):
        write_extxyz(tmp_path / name, frames)
    write_frames(tmp_path / 'structures.frames', frames)
    return Workspace(tmp_path)


@pytest.fixture
def pool():
    """Copper at 300 to 1000 K with all that a stage may ask for; two frames are the same."""
    rng, frames = np.random.default_rng(7), []
    for number in range(24):
        atoms = bulk('Cu', a=3.6, cubic=True)
        atoms.positions += rng.normal(0, 0.02 + 0.005 * number, atoms.positions.shape)
        properties = {
            'energy': -3.7 * len(atoms) + 0.05 * number,
            'forces': rng.normal(0, 0.1 * number, (len(atoms), 3)),
            'uncertainty': rng.uniform(0, 0.3 * (number + 1), len(atoms)),
            'energy_spread': rng.uniform(0, 0.05),
            'descriptor': rng.normal(size=6),
            'active.Cu': rng.normal(0, number, (len(atoms), 6)),
        }
        provenance = {'system': 'bulk', 'sampler': 'md', 'seed': number % 3, 'temperature': 300.0 + 30 * number}
        frames.append(Structure(atoms, properties, provenance))
    return [*frames, frames[3].copy()]


def check(structures):
    """What every structure must be, whoever made it."""
    assert structures
    for structure in structures:
        atoms = structure.atoms
        assert 0 < len(atoms) <= LARGEST_EXAMPLE
        assert np.isfinite(atoms.positions).all()
        assert np.isfinite(atoms.cell.array).all()
        assert (atoms.numbers > 0).all()
        assert np.linalg.matrix_rank(atoms.cell.array[atoms.pbc]) == atoms.pbc.sum()
        assert minimum_distance(atoms) > CLOSEST
        assert atoms.calc is None
        assert not atoms.info
        fragments = atoms.arrays.get('tc_fragment')
        assert fragments is None or (fragments.dtype.kind == 'i' and fragments.shape == (len(atoms),))


def facts(structures):
    """What two runs with the same seed must share, to the last digit."""
    return [
        (
            one.atoms.cell.tolist(),
            one.atoms.pbc.tolist(),
            one.provenance,
            {key: one.atoms.arrays[key].tolist() for key in one.atoms.arrays},
        )
        for one in structures
    ]


@of_kinds(*KINDS)
def test_every_plugin_shows_itself(plugin):
    tables = example(plugin)
    written = str(tables)
    assert f"'type': '{plugin.name}'" in written


@of_kinds('source', 'builder', 'transform')
def test_geometry(plugin, workspace):
    config = geometry(example(plugin))
    origin = config.source or config.builder
    used = [transform.type for transform in config.transforms] if plugin.kind == 'transform' else [origin.type]
    assert plugin.name in used
    if later(origin):
        return
    try:
        first = build_geometries(config, workspace, seed=1)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    check(first)
    assert all(structure.properties == {} for structure in first)
    assert facts(build_geometries(config, workspace, seed=1)) == facts(first)
    if plugin.name in RANDOM[plugin.kind]:
        another = build_geometries(config, workspace, seed=2)
        assert [one.content_hash() for one in another] != [one.content_hash() for one in first]


@of_kinds('calculator')
def test_calculator(plugin, workspace):
    tables = example(plugin)
    config = parse_plugin('calculator', tables['calculator'])
    assert config.type == plugin.name
    structure = build_geometries(geometry(tables), workspace, seed=1)[0]
    check_elements(config, structure.elements)
    if later(config):
        return
    try:
        structure.atoms.calc = make_calculator(config)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    assert np.isfinite(structure.atoms.get_potential_energy())
    assert structure.atoms.get_forces().shape == (len(structure.atoms), 3)
    assert np.isfinite(structure.atoms.get_forces()).all()


@of_kinds('baseline')
def test_baseline(plugin):
    config = parse_plugin('baseline', example(plugin)['training']['baseline'])
    assert config.type == plugin.name
    atoms = bulk('Cu', a=3.6, cubic=True)
    atoms.calc = make_baseline(config)
    assert (atoms.get_potential_energy() != 0) == config.subtracts
    assert np.isfinite(atoms.get_forces()).all()


@of_kinds('sampler')
def test_sampler(plugin, workspace):
    tables = example(plugin)
    config = parse_plugin('sampler', tables['sampling'])
    assert config.type == plugin.name
    start = build_geometries(geometry(tables), workspace, seed=1)[0]
    assert config.needs_calculator == ('calculator' in tables)

    def run(seed):
        calculator = (
            make_calculator(parse_plugin('calculator', tables['calculator'])) if 'calculator' in tables else None
        )
        return sample(start, calculator, workspace, config, seed)

    try:
        first = run(3)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    assert first.end == 'finished'
    check(first.frames)
    assert facts(run(3).frames) == facts(first.frames)


@of_kinds('selector')
def test_selector(plugin, pool):
    tables = example(plugin)
    config = SelectionConfig.model_validate(tables)
    assert plugin.name in [stage.type for stage in config.stages]
    copper = bulk('Cu', cubic=True).get_chemical_formula()
    context = FunnelContext(budget=8, lo=2.0, hi=10.0, seed=2, costs=[(copper, 400.0), (copper, 500.0)])
    first, again = (apply_funnel(pool, config, context) for _ in range(2))
    assert 0 < len(first.selected) <= 8
    assert facts(first.selected) == facts(again.selected)
    assert first.report == again.report
