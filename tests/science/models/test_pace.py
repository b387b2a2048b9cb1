from __future__ import annotations

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.cells import prepare_atoms
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.worker.tasks import pace_activeset

pytest.importorskip('pyace')

E0 = {'Cu': 3.51}


@pytest.fixture(scope='module')
def potential_folder(tmp_path_factory, copper_frames):
    """A linear potential of 30 functions with its active set and its .yace."""
    folder = tmp_path_factory.mktemp('potential')
    config = PaceLinearTraining(functions=30, cutoff=5.0)
    fit = fit_linear(copper_frames, config, E0, seed=1, report=lambda line: None)
    save_potential(fit, folder / 'potential.yaml', config, E0)
    write_frames(folder / 'dataset.frames', copper_frames)
    pace_activeset.run({'e0': E0, 'gamma_lo': 2.0, 'seed': 0}, folder)
    return folder


@pytest.fixture(scope='module')
def graded(potential_folder):
    return PaceCalculator(potential_folder / 'potential.yaml', E0, potential_folder / 'potential.asi')


def evaluate(calculator, atoms):
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()


def rattled(repeat=(1, 1, 1), a=3.6, seed=0):
    atoms = bulk('Cu', a=a, cubic=True).repeat(repeat)
    atoms.rattle(0.1, seed=seed)
    return atoms


def test_isolated_atom_has_its_e0(graded):
    for atoms in (Atoms('Cu'), Atoms('Cu', cell=[20, 20, 20], pbc=True)):
        atoms.calc = graded
        assert atoms.get_potential_energy() == pytest.approx(3.51, abs=1e-12)
        assert not atoms.get_forces().any()


def test_forces_and_stress_are_derivatives_of_the_energy(graded):
    atoms = rattled()
    atoms.calc = graded
    forces, stress, volume = atoms.get_forces(), atoms.get_stress(), atoms.get_volume()

    def energy_at(shift=0.0, strain=None):
        moved = atoms.copy()
        moved.positions[1, 2] += shift
        if strain is not None:
            moved.set_cell(moved.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        moved.calc = graded
        return moved.get_potential_energy()

    step = 1e-4
    assert -(energy_at(step) - energy_at(-step)) / (2 * step) == pytest.approx(forces[1, 2], abs=1e-6)
    shear = np.zeros((3, 3))
    shear[0, 1] = shear[1, 0] = step / 2
    assert (energy_at(strain=shear) - energy_at(strain=-shear)) / (2 * step * volume) == pytest.approx(
        stress[5], abs=1e-8
    )
    assert atoms.get_potential_energy() == pytest.approx(graded.results['energies'].sum())


def test_slab_with_mixed_pbc_is_the_slab_with_vacuum(graded):
    slab = fcc111('Cu', (2, 2, 3), a=3.6, vacuum=8.0)
    slab.rattle(0.05, seed=2)
    reference = slab.copy()
    reference.pbc = True
    expected = evaluate(graded, reference)
    for mixed in (slab, slab.copy()):
        mixed.pbc = (True, True, False)
        for got, want in zip(evaluate(graded, mixed), expected, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-10)
    thin = slab.copy()
    thin.cell[2] = [0, 0, 0]
    thin.calc = graded
    np.testing.assert_allclose(thin.get_potential_energy(), expected[0], atol=1e-10)
    assert 'stress' not in graded.results


def test_stress_of_a_thin_vacuum_refers_to_the_cell_given(graded):
    slab = fcc111('Cu', (1, 1, 3), a=3.6, vacuum=8.0)
    slab.pbc = (True, True, False)
    tight = slab.copy()
    tight.cell[2] /= 2
    _, _, wide = evaluate(graded, slab)
    _, _, narrow = evaluate(graded, tight)
    np.testing.assert_allclose(narrow, 2 * wide, atol=1e-12)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_wire_periodic_along_one_axis(graded, axis):
    wire = Atoms('Cu2', [[0, 0, 0], [0.3, 0.1, 0.2]], pbc=np.arange(3) == axis)
    wire.positions[1, axis] += 2.4
    wire.cell[axis, axis] = 5.0
    long = wire.repeat([3 if i == axis else 1 for i in range(3)])
    wire.calc = graded
    energy = wire.get_potential_energy()
    long.calc = graded
    assert long.get_potential_energy() == pytest.approx(3 * energy, abs=1e-9)


def test_left_handed_and_skewed_cells(graded):
    atoms = rattled((2, 1, 1))
    expected = evaluate(graded, atoms)
    left = atoms.copy()
    left.set_cell(atoms.cell.array[[1, 0, 2]])
    assert np.linalg.det(left.cell.array) < 0
    skewed = atoms.copy()
    skewed.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 3, 1]]) @ atoms.cell.array)
    for other in (left, skewed):
        for got, want in zip(evaluate(graded, other), expected, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-9)


def test_left_handed_slab_swaps_its_periodicity(graded):
    slab = fcc111('Cu', (1, 1, 3), a=3.6, vacuum=8.0)
    slab.pbc = (True, True, False)
    left = slab.copy()
    left.set_cell(slab.cell.array[[2, 1, 0]])
    left.pbc = (False, True, True)
    np.testing.assert_allclose(evaluate(graded, left)[0], evaluate(graded, slab)[0], atol=1e-10)


def test_cluster_is_not_periodic(graded):
    cluster = Atoms('Cu3', [[0, 0, 0], [2.5, 0, 0], [0, 2.4, 0.2]])
    boxed = cluster.copy()
    boxed.set_cell([3.0, 3.0, 3.0])
    cluster.calc = graded
    energy = cluster.get_potential_energy()
    assert 'stress' not in graded.results
    boxed.calc = graded
    assert boxed.get_potential_energy() == pytest.approx(energy, abs=1e-10)
    assert np.isfinite(boxed.get_stress()).all()


def test_gamma_of_known_far_and_isolated_atoms(graded, copper_frames):
    assert graded.uncertainty == 'gamma'
    graded.with_uncertainty = True
    atoms = copper_frames[0].atoms.copy()
    atoms.calc = graded
    atoms.get_forces()
    assert graded.results['uncertainty'].shape == (len(atoms),)
    assert graded.results['uncertainty'].max() <= 1.01
    np.testing.assert_allclose(graded.gamma(atoms), graded.results['gamma'])
    graded.with_uncertainty = False
    assert graded.gamma(rattled(a=2.9)).max() > 10
    lonely = Atoms('Cu3', [[0, 0, 0], [2.5, 0, 0], [0, 0, 30]])
    assert np.isinf(graded.gamma(lonely)).tolist() == [False, False, True]


def test_uncertainty_can_be_switched_for_the_same_atoms(graded):
    atoms = rattled()
    atoms.calc = graded
    energy = atoms.get_potential_energy()
    assert 'uncertainty' not in graded.results
    graded.with_uncertainty = True
    assert atoms.get_potential_energy() == pytest.approx(energy)
    assert len(graded.results['uncertainty']) == 4
    graded.with_uncertainty = False


def test_active_coordinates_give_gamma(graded):
    atoms = rattled()
    coordinates = graded.active_coordinates(atoms)
    np.testing.assert_allclose(np.abs(coordinates['Cu']).max(axis=1), graded.gamma(atoms), rtol=1e-6)


def test_fast_evaluator_agrees_and_its_own_e0_is_not_added_twice(potential_folder, graded):
    fast = PaceCalculator(
        potential_folder / 'potential.yaml',
        E0,
        potential_folder / 'potential.asi',
        potential_folder / 'potential.yace',
    )
    atoms = rattled()
    for got, want in zip(evaluate(fast, atoms), evaluate(graded, atoms), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-9)
    fast.with_uncertainty = True
    np.testing.assert_allclose(evaluate(fast, atoms)[0], evaluate(graded, atoms)[0], atol=1e-9)
    assert fast.results['uncertainty'].shape == (4,)


def test_descriptor_is_intensive(graded):
    atoms = rattled()
    vector = graded.descriptor(atoms)
    assert vector.shape == (30,)
    np.testing.assert_allclose(graded.descriptor(atoms.repeat((2, 1, 1))), vector, rtol=1e-9)


def test_what_cannot_be_evaluated(graded, potential_folder):
    cases = {
        'without atoms': Atoms(),
        'no Al; it knows Cu': bulk('Al'),
        'not finite': Atoms('Cu', [[np.nan, 0, 0]]),
        'no cell vector': Atoms('Cu', pbc=True),
    }
    for message, atoms in cases.items():
        with pytest.raises(ValueError, match=message):
            graded.calculate(atoms)
    plain = PaceCalculator(potential_folder / 'potential.yaml', E0)
    with pytest.raises(ValueError, match='need an active set'):
        plain.with_uncertainty = True
    assert plain.uncertainty is None
    with pytest.raises(ValueError, match=r'no isolated-atom energy .* for Cu'):
        PaceCalculator(potential_folder / 'potential.yaml', {'Al': 1.0})
    with pytest.raises(ValueError, match='does not exist'):
        PaceCalculator(potential_folder / 'nothing.yaml', E0)


def test_truncated_potential_is_refused(potential_folder, tmp_path):
    lines = (potential_folder / 'potential.yaml').read_text().splitlines(keepends=True)
    (tmp_path / 'cut.yaml').write_text(''.join(lines[:-5]))
    with pytest.raises(ValueError, match='damaged: it holds 25 functions, its metadata says 30'):
        PaceCalculator(tmp_path / 'cut.yaml', E0)


def test_active_set_of_another_potential_is_refused(potential_folder, tmp_path):
    with (tmp_path / 'other.asi').open('wb') as handle:
        np.savez(handle, Cu=np.eye(7))
    with pytest.raises(ValueError, match='belongs to another potential'):
        PaceCalculator(potential_folder / 'potential.yaml', E0, tmp_path / 'other.asi')


def test_root_logger_is_left_alone():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    import_pyace('pyace.generalfit')
    assert (root.handlers, root.level) == before


def test_prepared_copy_keeps_positions():
    slab = fcc111('Cu', (1, 1, 3), a=3.6, vacuum=1.0)
    slab.pbc = (True, True, False)
    ready = prepare_atoms(slab, 5.0)
    assert ready.pbc.all()
    assert ready.cell[2, 2] >= np.ptp(slab.positions[:, 2]) + 5.0
    np.testing.assert_array_equal(ready.positions, slab.positions)


def test_structures_are_not_changed(graded):
    structure = Structure(rattled())
    before = structure.content_hash()
    graded.gamma(structure.atoms)
    assert structure.content_hash() == before
