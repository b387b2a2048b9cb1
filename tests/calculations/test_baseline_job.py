"""A linear fit beside a Lennard-Jones baseline, from the dataset to the files that are given away."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.build import bulk

from aiida_traincraft.calculations.functions.committees import make_committee
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.exchange.bundle import write_bundle
from aiida_traincraft.science.atoms.distances import shortest_distance
from aiida_traincraft.science.config.labelling.potential import PotentialLabelling
from aiida_traincraft.workchains.label_potential import PotentialLabeller

pyace = pytest.importorskip('pyace')

GIVEN = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.15, 'sigma': 2.3}}, 'cutoff': 4.2}


def lennard_jones(atoms, baseline):
    """Energy (eV) by distances of all images: nothing of the package."""
    ((_, pair),) = baseline['pairs'].items()
    shifts = np.array(np.meshgrid(*[np.arange(-3, 4) if pbc else [0] for pbc in atoms.pbc])).reshape(3, -1).T
    vectors = atoms.positions[None, :, None] + (shifts @ atoms.cell.array)[None, None] - atoms.positions[:, None, None]
    r = np.linalg.norm(vectors, axis=-1).ravel()
    r = r[(r > 1e-9) & (r < baseline['cutoff'])]
    x = np.clip(3 * r / baseline['cutoff'] - 2, 0, 1)
    energies = 4 * pair['epsilon'] * ((pair['sigma'] / r) ** 12 - (pair['sigma'] / r) ** 6)
    return 0.5 * float((energies * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5)).sum())


@pytest.fixture(scope='module')
def made(run_job, copper_dataset, request):
    """Function that fits with a baseline and adds the active set."""
    found = {}

    def make(baseline):
        training = request.getfixturevalue('linear_fit').inputs.parameters['training'] | {'baseline': baseline}
        fit = run_job('traincraft.pace_linear', {'training': training, 'seed': 1}, dataset=copper_dataset)
        assert fit.is_finished_ok, fit.exit_message
        done = run_job(
            'traincraft.pace_activeset',
            {'gamma_lo': 1.5, 'seed': 1},
            dataset=copper_dataset,
            potential=fit.outputs.potential,
        )
        assert done.is_finished_ok, done.exit_message
        return orm.load_node(done.outputs.potential.pk)

    def once(name):
        if name not in found:
            found[name] = make({'given': GIVEN, 'fitted': {'type': 'lj'}}[name])
        return found[name]

    return once


@pytest.fixture(scope='module', params=['given', 'fitted'])
def potential(made, request):
    return made(request.param)


def geometries(frames):
    """A bulk cell as it is, and scaled so that its shortest distance is 0.6 of that trained on."""
    shortest = min(shortest_distance(frame.atoms) for frame in frames)
    dense = bulk('Cu', a=3.6, cubic=True)
    dense.rattle(0.02, seed=1)
    factor = 0.6 * shortest / shortest_distance(dense)
    dense.set_cell(dense.cell.array * factor, scale_atoms=True)
    return frames[2].atoms.copy(), dense


def test_the_node_keeps_all_parameters(potential):
    baseline = potential.baseline
    assert potential.adds_baseline
    assert potential.job_table()['baseline'] == baseline
    assert set(baseline['pairs']) == {'Cu-Cu'}
    if baseline['cutoff'] == 4.2:
        assert baseline == GIVEN
    else:
        assert baseline['cutoff'] == 5.0
        assert baseline['pairs']['Cu-Cu']['epsilon'] > 0


def test_energy_is_that_of_the_file_and_of_the_formula(potential, copper_frames, tmp_path):
    assert 'potential.without_baseline.yace' in potential.export_files(tmp_path)
    calculators = {
        ending: pyace.PyACECalculator(str(tmp_path / f'potential.without_baseline.{ending}'))
        for ending in ('yaml', 'yace')
    }
    for atoms in geometries(copper_frames):
        added = lennard_jones(atoms, potential.baseline)
        assert abs(added) > 0.1
        alone = {}
        for ending, calculator in calculators.items():
            bare = atoms.copy()
            bare.calc = calculator
            alone[ending] = bare.get_potential_energy()
        atoms.calc = potential.get_calculator()
        assert atoms.get_potential_energy() == pytest.approx(alone['yace'] + added, abs=1e-6)
        # The B-basis file knows of no E0.
        assert atoms.get_potential_energy() == pytest.approx(
            alone['yaml'] + len(atoms) * potential.e0['Cu'] + added, abs=1e-6
        )
    atom = Atoms('Cu')
    atom.calc = potential.get_calculator()
    assert atom.get_potential_energy() == pytest.approx(potential.e0['Cu'], abs=1e-9)


def test_the_whole_is_as_good_as_without_a_baseline(potential, copper_dataset, run_job):
    node = run_job('traincraft.evaluate', {}, dataset=copper_dataset, potential=potential)
    errors = node.outputs.errors['overall']
    assert errors['energy']['rmse'] < 0.005
    assert errors['forces']['rmse'] < 0.05
    assert errors['stress']['rmse'] < 2e-3


def test_forces_and_stress_of_the_whole_are_derivatives(potential):
    rng = np.random.default_rng(3)
    atoms = bulk('Cu', a=3.6, cubic=True)
    atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
    calculator = potential.get_calculator()
    # Some neighbours are where the energy is switched off.
    between = [r for r in _distances(atoms) if 2 / 3 < r / potential.baseline['cutoff'] < 1]
    assert between
    forces = calculator.get_property('forces', atoms)
    stress = calculator.get_property('stress', atoms)
    step = 1e-5

    def difference(change):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            change(moved, sign * step)
            ends.append(calculator.get_property('energy', moved))
        return (ends[0] - ends[1]) / (2 * step)

    def shift(moved, amount):
        moved.positions[1, 2] += amount

    def stretch(moved, amount):
        moved.set_cell(moved.cell.array @ np.diag([1 + amount, 1, 1]), scale_atoms=True)

    assert forces[1, 2] == pytest.approx(-difference(shift), abs=1e-6)
    assert stress[0] * atoms.get_volume() == pytest.approx(difference(stretch), abs=1e-5)


def _distances(atoms):
    shifts = np.array(np.meshgrid(*[range(-1, 2)] * 3)).reshape(3, -1).T @ atoms.cell.array
    vectors = atoms.positions[None, :, None] + shifts[None, None] - atoms.positions[:, None, None]
    return np.linalg.norm(vectors, axis=-1).ravel()


def test_gamma_and_descriptors_are_those_of_what_was_learnt(potential, copper_frames):
    calculator = potential.get_calculator()
    atoms = copper_frames[0].atoms.copy()
    assert (calculator.uncertainty, calculator.elements, calculator.e0) == ('gamma', ['Cu'], potential.e0)
    calculator.with_uncertainty = True
    atoms.calc = calculator
    atoms.get_potential_energy()
    assert np.allclose(calculator.results['uncertainty'], calculator.learned.gamma(atoms))
    assert np.allclose(calculator.gamma(atoms), calculator.learned.gamma(atoms))
    assert calculator.descriptor(atoms).shape == (30,)
    assert calculator.projections(atoms)['Cu'].shape == (len(atoms), 30)
    assert calculator.active_coordinates(atoms)['Cu'].shape == (len(atoms), 30)


def test_it_explores_with_the_whole_and_watches_what_was_learnt(made, run_job, copper_frames):
    potential = made('given')
    sampler = {'type': 'md', 'temperature': 600.0, 'steps': 20, 'n': 2, 'timestep': 4.0}
    watch = {'lo': 1.0, 'hi': 50.0, 'check_interval': 5, 'record_interval': 10}
    node = run_job(
        'traincraft.sample',
        {'runs': [{'start': 0, 'sampler': sampler, 'seed': 1}], 'calculator': None, 'watch': watch},
        starts=FramesData([copper_frames[0].bare()]).store(),
        potential=potential,
    )
    assert node.is_finished_ok, node.exit_message
    frames, calculator = node.outputs.frames.get_frames(), potential.get_calculator()
    assert frames
    for frame in frames:
        assert np.allclose(frame.properties['uncertainty'], calculator.gamma(frame.atoms), rtol=1e-6)
        assert np.allclose(frame.properties['descriptor'], calculator.descriptor(frame.atoms))
        energy = calculator.get_property('energy', frame.atoms)
        assert frame.properties['energy'] == pytest.approx(energy, abs=1e-6)


def test_what_is_given_away_says_what_it_lacks(made, copper_frames, tmp_path, monkeypatch):
    potential = made('given')
    names = potential.export_files(tmp_path)
    assert names == sorted(
        ['baseline.table', *(f'potential.without_baseline.{end}' for end in ('asi', 'yace', 'yaml'))]
    )
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    assert potential.lammps_lines().splitlines() == [
        'pair_style hybrid/overlay pace product table spline 10000',
        'pair_coeff * * pace potential.without_baseline.yace Cu',
        'pair_coeff 1 1 table baseline.table Cu-Cu',
    ]
    # The lines of Python, as they stand.
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(potential.python_lines(), space)
    for atoms in geometries(copper_frames):
        expected = potential.get_calculator()
        assert space['calculator'].get_property('energy', atoms) == pytest.approx(
            expected.get_property('energy', atoms), abs=1e-6
        )
        assert np.allclose(
            space['calculator'].get_property('stress', atoms), expected.get_property('stress', atoms), atol=1e-8
        )


def test_a_bundle_tells_how_to_add_it(made, tmp_path):
    potential = made('given')
    folder = write_bundle(potential, tmp_path / 'bundle')
    names = {path.name for path in folder.iterdir()}
    assert {'potential.without_baseline.yace', 'baseline.table', 'README.md'} <= names
    assert not {'potential.yace', 'potential.yaml'} & names
    card = (folder / 'README.md').read_text()
    assert '`potential.without_baseline.yace`' in card
    assert 'add the baseline, once' in card
    for language, lines in (('python', potential.python_lines()), ('lammps', potential.lammps_lines())):
        assert f'```{language}\n{lines}```' in card
    assert json.loads(re.search(r'```json\n(.*?)```', card, re.DOTALL)[1]) == GIVEN


def test_labels_of_a_potential_are_of_a_level_with_its_baseline(made, active_set):
    levels = []
    for node in (made('given'), active_set.outputs.potential):
        labeller = PotentialLabeller(PotentialLabelling(potential=node.uuid), 'labelling')
        levels.append(labeller.level_of_theory({}, frozenset({'Cu'}))['potential'])
    assert levels[0]['baseline'] == GIVEN
    # As it was before there were baselines: labels of the same potential stay at the same level.
    assert set(levels[1]) == {'type', 'files'}


def test_a_core_repulsion_is_part_of_the_files(active_set, tmp_path):
    potential = active_set.outputs.potential
    assert not potential.adds_baseline
    assert potential.export_files(tmp_path) == ['potential.asi', 'potential.yace', 'potential.yaml']
    assert potential.lammps_lines() == 'pair_style pace product\npair_coeff * * potential.yace Cu\n'
    assert 'baseline' not in potential.python_lines()


def test_mace_files_and_lines(tmp_path):
    (tmp_path / 'some.model').write_text('a model')
    baseline = {
        'type': 'lj',
        'pairs': {name: {'epsilon': 0.1, 'sigma': 2.0} for name in ('Au-Au', 'Au-Cu', 'Cu-Cu')},
        'cutoff': 4.0,
    }
    made = [
        MacePotentialData(
            [tmp_path / 'some.model'],
            architecture='ScaleShiftMACE',
            cutoff=4.0,
            elements=['Cu', 'Au'],
            dtype='float32',
            heads=[{'name': 'Default', 'e0': {'Cu': 1.0, 'Au': 2.0}}],
            lammps=[tmp_path / 'some.model'],
            baseline=baseline,
        ).store()
        for _ in range(2)
    ]
    committee = make_committee(a=made[0], b=made[1])
    assert committee.baseline == committee.job_table()['baseline'] == baseline
    (tmp_path / 'out').mkdir()
    assert 'model_1.without_baseline.model' in committee.export_files(tmp_path / 'out')
    assert committee.lammps_lines(['Cu', 'Au']).splitlines() == [
        'pair_style hybrid/overlay mace no_domain_decomposition table spline 10000',
        'pair_coeff * * mace lammps_0.without_baseline.pt Cu Au',
        'pair_coeff 1 1 table baseline.table Cu-Cu',
        'pair_coeff 1 2 table baseline.table Au-Cu',
        'pair_coeff 2 2 table baseline.table Au-Au',
    ]
    assert "'model_0.without_baseline.model', 'model_1.without_baseline.model'" in committee.python_lines()


def test_older_nodes_have_a_name_alone(tmp_path):
    from aiida_traincraft.data.potentials.pace import PacePotentialData

    (tmp_path / 'some.yaml').write_text('a potential')
    node = PacePotentialData(tmp_path / 'some.yaml', {'Cu': 3.5}, 5.0)
    node.base.attributes.set('baseline', 'zbl')
    assert (node.baseline, node.adds_baseline) == ({'type': 'zbl'}, False)
    node.base.attributes.delete('baseline')
    assert (node.baseline, node.adds_baseline) == ({'type': 'none'}, False)
