from __future__ import annotations

import hashlib

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.build import bulk, fcc111

from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.science.calculators.potential import load_potential


@pytest.fixture
def yaml(tmp_path):
    path = tmp_path / 'some.yaml'
    path.write_text('a potential')
    return path


@pytest.fixture(scope='module')
def potential(active_set):
    return orm.load_node(active_set.outputs.potential.pk)


@pytest.mark.usefixtures('aiida_profile')
class TestWithoutPyace:
    def test_attributes(self, yaml):
        node = PacePotentialData(yaml, {'Cu': 3.5, 'Al': 3.2}, 5.5, baseline='zbl', metrics={'n_functions': {'Cu': 9}})
        back = orm.load_node(node.store().pk)
        assert back.elements == ['Al', 'Cu']
        assert back.e0 == {'Cu': 3.5, 'Al': 3.2}
        assert (back.cutoff, back.baseline) == (5.5, {'type': 'zbl'})
        assert not back.has_active_set
        assert not back.is_degenerate
        assert back.files == ['potential.yaml']
        assert 'Al, Cu' in str(back)
        assert 'no active set' in str(back)

    def test_files_that_do_not_belong_together(self, yaml, tmp_path):
        with pytest.raises(ValueError, match='both'):
            PacePotentialData(yaml, {'Cu': 3.5}, 5.0, asi=yaml)
        with pytest.raises(ValueError, match='isolated-atom energy'):
            PacePotentialData(yaml, {}, 5.0)
        (tmp_path / 'empty.yaml').touch()
        with pytest.raises(ValueError, match='empty'):
            PacePotentialData(tmp_path / 'empty.yaml', {'Cu': 3.5}, 5.0)

    def test_lammps_needs_the_fast_file(self, yaml):
        with pytest.raises(ValueError, match='active set'):
            PacePotentialData(yaml, {'Cu': 3.5}, 5.0).lammps_lines()
        node = PacePotentialData(yaml, {'Cu': 3.5, 'Al': 3.2}, 5.0, yace=yaml, asi=yaml)
        assert node.lammps_lines() == 'pair_style pace product\npair_coeff * * potential.yace Al Cu\n'
        assert node.lammps_lines(['Cu', 'Al']).endswith('Cu Al\n')

    def test_a_file_that_is_not_what_was_stored_is_refused(self, yaml, tmp_path, monkeypatch):
        node = PacePotentialData(yaml, {'Cu': 3.5}, 5.0).store()
        digest = hashlib.sha256(b'a potential').hexdigest()
        assert node.digests == node.job_table()['digests'] == {'potential.yaml': digest}
        (tmp_path / 'potential.yaml').write_text('a potenzial')
        with pytest.raises(ValueError, match=r'potential\.yaml is not what was written'):
            load_potential(node.job_table(), tmp_path)
        monkeypatch.setattr(type(node.base.repository), 'get_object_content', lambda *args, **keys: b'a potenzial')
        with pytest.raises(ValueError, match='is not what was stored: its file is damaged'):
            node.write_files(tmp_path)

    def test_lammps_is_told_of_no_element_that_the_potential_lacks(self, yaml):
        node = PacePotentialData(yaml, {'Cu': 3.5}, 5.0, yace=yaml, asi=yaml)
        with pytest.raises(ValueError, match='has no Al; it knows Cu'):
            node.lammps_lines(['Cu', 'Al'])

    def test_files_are_copied_out(self, yaml, tmp_path):
        node = PacePotentialData(yaml, {'Cu': 3.5}, 5.0, yace=yaml, asi=yaml).store()
        folder = tmp_path / 'copy'
        folder.mkdir()
        node.write_files(folder)
        assert sorted(path.name for path in folder.iterdir()) == ['potential.asi', 'potential.yace', 'potential.yaml']
        assert (folder / 'potential.yaml').read_text() == 'a potential'


def test_the_calculator_outlives_its_files(potential, copper_dataset):
    calculator = potential.get_calculator()
    atoms = bulk('Cu', cubic=True)
    atoms.calc = calculator
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    assert np.isfinite(energy)
    np.testing.assert_allclose(forces, 0.0, atol=1e-6)
    # Absolute: EMT's own energy of the crystal, not relative to atoms.
    assert energy / 4 == pytest.approx(0.0, abs=0.1)
    assert copper_dataset.e0['Cu'] > 3.0


def test_fast_and_full_evaluators_agree(potential, copper_frames):
    calculator = potential.get_calculator()
    atoms = copper_frames[3].atoms.copy()
    atoms.calc = calculator
    fast = atoms.get_potential_energy(), atoms.get_forces()
    assert 'gamma' not in calculator.results
    calculator.reset()
    calculator.with_uncertainty = True
    assert atoms.get_potential_energy() == pytest.approx(fast[0], abs=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), fast[1], atol=1e-4)
    assert calculator.results['gamma'].shape == (len(atoms),)


def test_gamma_tells_known_from_unknown(potential, copper_frames):
    calculator = potential.get_calculator()
    strange = copper_frames[0].atoms.copy()
    strange.positions[1] += 0.25 * (strange.positions[0] - strange.positions[1])
    assert calculator.gamma(copper_frames[0].atoms).max() <= 1.05
    assert calculator.gamma(strange).max() > 5.0


def test_slabs_and_left_handed_cells(potential):
    slab = fcc111('Cu', (1, 1, 4), a=3.6, vacuum=8.0)
    assert slab.pbc.tolist() == [True, True, False]
    mirrored = slab.copy()
    mirrored.set_cell(slab.cell.array[[1, 0, 2]])
    energies = []
    for atoms in (slab, mirrored):
        atoms.calc = potential.get_calculator()
        energies.append(atoms.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)


def test_an_unknown_element_is_named(potential):
    atoms = Atoms('Au2', positions=[[0, 0, 0], [0, 0, 2.6]])
    atoms.calc = potential.get_calculator()
    with pytest.raises(ValueError, match='Au'):
        atoms.get_potential_energy()


def test_without_active_set_there_is_no_gamma(linear_fit):
    calculator = linear_fit.outputs.potential.get_calculator()
    with pytest.raises(ValueError, match='active set'):
        calculator.with_uncertainty = True
    with pytest.raises(ValueError, match='active set'):
        calculator.gamma(bulk('Cu', cubic=True))
