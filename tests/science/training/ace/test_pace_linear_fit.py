from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.science.baselines.none import NoneConfig
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_file import (
    add_core_repulsion,
    core_onsets,
    load_basis,
    n_functions,
    remove_core_repulsion,
    shortest_distances,
)
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.lift import lift
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential

pyace = pytest.importorskip('pyace')

E0 = {'Cu': 3.51}
CONFIG = PaceLinearTraining(functions=40, cutoff=5.0)
RIDGE = CONFIG.model_copy(update={'regression': 'ridge', 'stress_weight': 20.0})


def quiet(line: str) -> None:
    """Drop the progress."""


def stiff(positions):
    """Molecules of two atoms, bound as tightly as O-H is (40 eV/Å²)."""
    bonds = positions[1::2] - positions[::2]
    lengths = np.linalg.norm(bonds, axis=1)
    pull = (40.0 * (lengths - 0.97) / lengths)[:, None] * bonds
    properties = {'energy': 20.0 * np.sum((lengths - 0.97) ** 2), 'forces': np.stack([pull, -pull], 1).reshape(-1, 3)}
    return Structure(Atoms(f'H{len(positions)}', positions), properties)


@pytest.fixture(scope='module')
def fit(copper_frames):
    return fit_linear(copper_frames, CONFIG, E0, seed=1, report=quiet)


def test_the_ridge_of_the_smallest_loss_is_taken(copper_frames):
    fit = fit_linear(copper_frames, RIDGE, E0, seed=1, report=quiet)
    assert [row.ridge for row in fit.scan] == sorted(RIDGE.ridge)
    assert fit.ridge == min(fit.scan, key=lambda row: row.loss).ridge


def test_fit_is_accurate_and_reports_its_holdout(fit):
    assert fit.n_functions == {'Cu': 40}
    assert fit.train.energy_rmse < 2e-3
    assert fit.train.force_rmse < 20e-3
    assert fit.holdout.force_rmse < 40e-3
    assert fit.train.stress_rmse < 2e-3


def test_the_evidence_chooses_the_radial_basis(fit):
    assert fit.radial_basis == 'SBessel'

    rng = np.random.default_rng(0)
    clusters = []
    for _ in range(30):
        positions = rng.uniform(-2.5, 2.5, (4, 3)) + 8.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
        ends = positions + rng.normal(0, 1, (4, 3))
        bonds = ends - positions
        ends = positions + (0.97 + rng.normal(0, 0.03, (4, 1))) * bonds / np.linalg.norm(bonds, axis=1)[:, None]
        clusters.append(stiff(np.stack([positions, ends], axis=1).reshape(-1, 3)))
    keys = {'functions': 20, 'cutoff': 5.0}
    fits = {
        radials: fit_linear(clusters, PaceLinearTraining(radial_basis=radials, **keys), {'H': 0.0}, 0, report=quiet)
        for radials in ('auto', 'SBessel', 'ChebExpCos')
    }
    assert fits['auto'].radial_basis == 'ChebExpCos'
    assert fits['auto'].posterior.log_evidence == fits['ChebExpCos'].posterior.log_evidence
    assert fits['auto'].train.force_rmse < 0.5 * fits['SBessel'].train.force_rmse
    ridge = PaceLinearTraining(regression='ridge', **keys)
    assert fit_linear(clusters, ridge, {'H': 0.0}, 0, report=quiet).radial_basis == 'SBessel'


def test_a_fit_that_is_worse_than_a_constant_says_so(copper_frames, fit):
    assert fit.worse_than_constant() == []
    assert fit.holdout.force_rmse < 0.1 * fit.constant.force_rmse

    rng = np.random.default_rng(2)
    senseless = [frame.copy() for frame in copper_frames]
    for frame in senseless:
        frame.properties['forces'] = rng.choice([-1.0, 1.0], frame.properties['forces'].shape)
    config = RIDGE.model_copy(update={'functions': 80, 'ridge': [1e-12]})
    worse = fit_linear(senseless, config, E0, seed=1, report=quiet)
    assert worse.constant.force_rmse == pytest.approx(1.0, rel=1e-12)
    [told] = [line for line in worse.worse_than_constant() if line.startswith('force')]
    assert told.endswith('meV/Å, where a constant errs by 1e+03')
    # Two structures held out may be worse by chance.
    assert fit_linear(senseless[:14], config, E0, seed=1, report=quiet).worse_than_constant() == []


def test_reported_errors_are_those_of_the_written_potential(fit, copper_frames, tmp_path):
    save_potential(fit, tmp_path / 'potential.yaml', CONFIG, E0)
    calculator = PaceCalculator(tmp_path / 'potential.yaml', E0)
    energies, forces = [], []
    for frame in copper_frames:
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        forces.append(np.ravel(atoms.get_forces() - frame.properties['forces']))
        energies.append((atoms.get_potential_energy() - frame.properties['energy']) / len(atoms))
    assert np.sqrt(np.mean(np.square(energies))) == pytest.approx(fit.train.energy_rmse, rel=1e-6)
    assert np.sqrt(np.mean(np.concatenate(forces) ** 2)) == pytest.approx(fit.train.force_rmse, rel=1e-6)


def test_same_seed_same_bytes(fit, copper_frames, tmp_path):
    again = fit_linear(copper_frames, CONFIG, E0, seed=1, report=quiet)
    for name, result in (('a', fit), ('b', again)):
        save_potential(result, tmp_path / name, CONFIG, E0)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_weight_pulls_the_fit_to_its_structure(copper_frames):
    def error(frames):
        result = fit_linear(frames, CONFIG, E0, seed=1, report=quiet)
        atoms = frames[4].atoms.copy()
        atoms.calc = pyace.PyACECalculator(result.basis)
        return np.abs(atoms.get_forces() - frames[4].properties['forces']).max()

    heavy = [frame.copy() for frame in copper_frames]
    heavy[4].provenance['weight'] = 100.0
    assert error(heavy) < 0.3 * error(copper_frames)


def test_ridge_zero_is_least_squares_and_few_structures_need_no_scan(copper_frames):
    config = PaceLinearTraining(functions=10, cutoff=5.0, ridge=[0.0])
    exact = fit_linear(copper_frames[:4], config, E0, seed=0, report=quiet)
    assert exact.scan == []
    assert exact.holdout is None
    near = fit_linear(copper_frames[:4], config.model_copy(update={'ridge': [1e-14]}), E0, seed=0, report=quiet)
    np.testing.assert_allclose(exact.coefficients, near.coefficients, rtol=1e-3)


def test_wrong_labels_name_the_structure(copper_frames):
    def broken(**properties):
        frames = [frame.copy() for frame in copper_frames[:3]]
        frames[2].properties |= properties
        return frames

    cases = {
        'structure 2 .*energy is not finite': broken(energy=float('nan')),
        'structure 2 .*forces has shape': broken(forces=np.zeros((1, 3))),
        'structure 2 .*stress has shape': broken(stress=np.zeros((3, 3))),
        'no structures': [],
    }
    for message, frames in cases.items():
        with pytest.raises(ValueError, match=message):
            fit_linear(frames, CONFIG, E0, seed=0, report=quiet)
    bare = [copper_frames[0].bare()]
    with pytest.raises(ValueError, match='has no energy'):
        fit_linear(bare, CONFIG, E0, seed=0, report=quiet)
    with pytest.raises(ValueError, match=r'no isolated-atom energy \(e0, eV\) is given for Cu'):
        fit_linear(copper_frames, CONFIG, {'Al': 1.0}, seed=0, report=quiet)


def test_metadata_holds_e0_and_size(fit, tmp_path):
    save_potential(fit, tmp_path / 'potential.yaml', CONFIG, E0)
    metadata = dict(load_basis(tmp_path / 'potential.yaml').metadata)
    assert json.loads(metadata['E0']) == E0
    assert metadata['nfunc'] == '40'
    assert [path.name for path in tmp_path.iterdir()] == ['potential.yaml']


def test_core_repulsion_leaves_the_training_set_alone(fit, copper_frames, tmp_path):
    save_potential(fit, tmp_path / 'zbl.yaml', CONFIG, E0)
    save_potential(fit, tmp_path / 'bare.yaml', CONFIG.model_copy(update={'baseline': NoneConfig()}), E0)
    zbl, bare = (PaceCalculator(tmp_path / name, E0) for name in ('zbl.yaml', 'bare.yaml'))

    def energy(calculator, atoms):
        atoms = atoms.copy()
        atoms.calc = calculator
        return atoms.get_potential_energy()

    for frame in copper_frames[:5]:
        assert energy(zbl, frame.atoms) == pytest.approx(energy(bare, frame.atoms), abs=1e-10)
    close = Atoms('Cu2', [[0, 0, 0], [0, 0, 0.5]])
    # Universal ZBL of Cu2 at 0.5 Å.
    assert energy(zbl, close) - 2 * E0['Cu'] == pytest.approx(1476.0, abs=1.0)
    assert energy(zbl, Atoms('Cu')) == pytest.approx(E0['Cu'])


def test_core_onset_stays_below_data_and_contact():
    assert core_onsets(['Cu'], {('Cu', 'Cu'): 1.5}) == {('Cu', 'Cu'): pytest.approx(1.48)}
    contact = 0.7 * 2 * 1.32
    onsets = core_onsets(['Cu', 'Al'], {('Cu', 'Cu'): 2.4})
    assert onsets[('Cu', 'Cu')] == pytest.approx(contact)
    assert set(onsets) == {('Al', 'Al'), ('Al', 'Cu'), ('Cu', 'Cu')}


def test_shortest_distances_of_each_pair():
    frames = [
        Atoms('CuAl', [[0, 0, 0], [0, 0, 2.3]]),
        Atoms('Cu2', [[0, 0, 0], [0, 0, 2.6]]),
        Atoms('Al', cell=[3, 3, 3], pbc=True),
        Atoms('AlCu', [[0, 0, 0], [0, 0, 2.2]]),
    ]
    assert shortest_distances(frames, 4.0) == pytest.approx({('Al', 'Cu'): 2.2, ('Cu', 'Cu'): 2.6, ('Al', 'Al'): 3.0})


def test_core_repulsion_can_be_removed(fit, tmp_path):
    basis = fit.basis.copy()
    basis.save(str(tmp_path / 'before.yaml'))
    add_core_repulsion(basis, core_onsets(['Cu'], {}))
    assert basis.funcspecs_blocks[0].inner_cutoff_type == 'zbl'
    remove_core_repulsion(basis)
    basis.save(str(tmp_path / 'after.yaml'))
    assert (tmp_path / 'after.yaml').read_text() == (tmp_path / 'before.yaml').read_text()


def test_lifted_potential_has_the_same_functions_and_nearly_the_same_energy(fit, copper_frames):
    lifted = lift(fit.basis, PaceNonlinearTraining())
    assert n_functions(pyace.ACEBBasisSet(lifted)) == fit.n_functions
    linear, nonlinear = pyace.PyACECalculator(fit.basis), pyace.PyACECalculator(lifted)
    for frame in copper_frames[:3]:
        energies = []
        for calculator in (linear, nonlinear):
            atoms = frame.atoms.copy()
            atoms.calc = calculator
            energies.append(atoms.get_potential_energy() / len(atoms))
        assert energies[0] != energies[1]
        assert energies[0] == pytest.approx(energies[1], abs=0.05)
    with pytest.raises(ValueError, match='has 2 densities'):
        lift(lifted, PaceNonlinearTraining())


def test_two_elements_are_lifted_too(copper_frames):
    basis = pyace.ACEBBasisSet(
        pyace.create_multispecies_basis_config(
            {
                'deltaSplineBins': 0.001,
                'elements': ['Al', 'Cu'],
                'embeddings': {'ALL': {'npot': 'FinnisSinclair', 'fs_parameters': [1, 1], 'ndensity': 1}},
                'bonds': {'ALL': {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 5, 'dcut': 0.01}},
                'functions': {'ALL': {'nradmax_by_orders': [4, 2], 'lmax_by_orders': [0, 1]}},
            }
        )
    )
    basis.basis_coeffs = list(np.random.default_rng(1).normal(scale=1e-3, size=len(basis.basis_coeffs)))
    lifted = pyace.ACEBBasisSet(lift(basis.to_BBasisConfiguration(), PaceNonlinearTraining()))
    assert n_functions(lifted) == n_functions(basis)
    assert lifted.ndensitymax == 2
