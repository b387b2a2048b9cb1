"""Calculator ``espresso``: what pw.x is told, what it says, and what is wrong with a config."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed
from pydantic import ValidationError

from aiida_traincraft.science.calculators import check_elements, make_calculator
from aiida_traincraft.science.calculators.espresso import EspressoConfig

PSEUDOS = Path('/usr/share/espresso/pseudo')
NEEDS_PW = pytest.mark.skipif(
    shutil.which('pw.x') is None or not (PSEUDOS / 'Si.pz-vbc.UPF').is_file(), reason='no pw.x or pseudopotentials'
)


def config(**keys):
    table = {'pseudo_dir': str(PSEUDOS), 'pseudopotentials': {'Si': 'Si.pz-vbc.UPF'}, 'ecutwfc': 12.0}
    return EspressoConfig(**(table | keys))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('TRAINCRAFT_PW_COMMAND', raising=False)
    return tmp_path


@pytest.fixture
def fake_pw(tmp_path):
    """Stands in for pw.x: keeps its input and fails with a message."""
    script = tmp_path / 'pw'
    script.write_text(f'#!/bin/sh\ncp "$2" {tmp_path}/seen.in\necho "Error in routine electrons: too hard"\nexit 3\n')
    script.chmod(0o755)
    (tmp_path / 'Si.UPF').write_text('')
    return str(script)


@pytest.mark.slow
@NEEDS_PW
def test_silicon(folder):
    atoms = bulk('Si', a=5.43)
    atoms.positions[1] += [0.05, 0, 0]
    calculator = make_calculator(config(kpoints_distance=0.5))
    atoms.calc = calculator
    energies = []
    for shift in (-0.01, 0.0, 0.01):
        moved = atoms.copy()
        moved.positions[1, 0] += shift
        moved.calc = calculator
        energies.append(moved.get_potential_energy())
    assert energies[1] == pytest.approx(-214.5, abs=2.0)
    assert atoms.get_forces()[1, 0] == pytest.approx(-(energies[2] - energies[0]) / 0.02, rel=0.02)
    assert atoms.get_stress().shape == (6,)
    assert list(folder.iterdir()) == []


@NEEDS_PW
def test_an_isolated_atom_has_its_moment(folder):
    atom = Atoms('H')
    hydrogen = config(pseudopotentials={'H': 'H.pz-vbc.UPF'}, ecutwfc=30.0, vacuum=4.0)
    atom.calc = make_calculator(hydrogen)
    # The local spin density approximation gives 13.0 eV, without spin 12.1 eV; 13.6 eV is exact.
    assert atom.get_potential_energy() == pytest.approx(-13.0, abs=0.15)
    assert not atom.get_initial_magnetic_moments().any()
    atom.calc = make_calculator(hydrogen.model_copy(update={'degauss': 0.002}))
    assert atom.get_potential_energy() == pytest.approx(-13.0, abs=0.15)


def test_input_as_ase_writes_it(folder, fake_pw):
    pw = config(
        command=fake_pw, pseudo_dir=str(folder), pseudopotentials={'Si': 'Si.UPF'}, degauss=0.01,
        kpoints_distance=0.4, parameters={'ELECTRONS': {'mixing_beta': 0.3}},
    )  # fmt: skip
    atoms = bulk('Si', a=5.43, cubic=True)
    atoms.calc = make_calculator(pw)
    with pytest.raises(CalculationFailed, match=r'espresso failed \(exit status 3\)\n  Error in routine electrons'):
        atoms.get_potential_energy()
    lines = [' '.join(line.split()) for line in (folder / 'seen.in').read_text().splitlines()]
    for line in ('ecutwfc = 12.0', 'ecutrho = 48.0', "smearing = 'cold'", 'mixing_beta = 0.3', 'tstress = .true.'):
        assert line in lines
    # 2π / 5.43 Å / 0.4 = 2.9.
    assert lines[lines.index('K_POINTS automatic') + 1] == '3 3 3 0 0 0'
    assert sorted(path.name for path in folder.iterdir()) == ['Si.UPF', 'pw', 'seen.in']


def test_moments_are_those_of_isolated_atoms_only(folder, fake_pw):
    pw = config(command=fake_pw, pseudo_dir=str(folder), pseudopotentials={'Si': 'Si.UPF'})
    for atoms, told in ((Atoms('Si'), True), (Atoms('Si2', [[0, 0, 0], [0, 0, 2.2]]), False), (bulk('Si'), False)):
        atoms.calc = make_calculator(pw)
        with pytest.raises(CalculationFailed):
            atoms.get_potential_energy()
        words = (folder / 'seen.in').read_text().split()
        assert ('tot_magnetization' in words, 'nspin' in words) == (told, told)
    given = Atoms('Si', magmoms=[0.5])
    given.calc = make_calculator(pw)
    with pytest.raises(CalculationFailed):
        given.get_potential_energy()
    words = (folder / 'seen.in').read_text().split()
    assert float(words[words.index('tot_magnetization') + 2]) == 0.5


def test_a_molecule_gets_a_box(folder, fake_pw):
    pw = config(command=fake_pw, pseudo_dir=str(folder), pseudopotentials={'Si': 'Si.UPF'}, vacuum=5.0)
    atoms = Atoms('Si2', [[0, 0, 0], [0, 0, 2.2]])
    atoms.calc = make_calculator(pw)
    with pytest.raises(CalculationFailed):
        atoms.get_potential_energy()
    lines = (folder / 'seen.in').read_text().splitlines()
    assert 'K_POINTS gamma' in lines
    start = lines.index('CELL_PARAMETERS angstrom') + 1
    cell = np.array([[float(value) for value in line.split()] for line in lines[start : start + 3]])
    np.testing.assert_allclose(cell, np.diag([10.0, 10.0, 12.2]))
    assert not atoms.pbc.any()


def test_what_is_not_there():
    with pytest.raises(ValueError, match=r'no program \'nowhere\': set "command" or .* TRAINCRAFT_PW_COMMAND'):
        make_calculator(config(command='nowhere -n 4'))
    with pytest.raises(ValueError, match=r'"pseudopotentials": the file \'none.UPF\' of Si is not in "pseudo_dir"'):
        make_calculator(config(command='sh', pseudopotentials={'Si': 'none.UPF'}))
    with pytest.raises(ValueError, match="'espresso' does not know Cu; it supports Si"):
        check_elements(config(), ['Si', 'Cu'])


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'ecutrho': 20.0}, '"ecutrho" .* at least four times'),
        ({'ecutwfc': -1.0}, 'greater than 0'),
        ({'pseudopotentials': {'Si': '../Si.UPF'}}, 'is no file name'),
        ({'parameters': {'IONS': {}}}, 'CONTROL'),
        ({'parameters': {'CONTROL': {'calculation': 'relax'}}}, '"parameters" cannot set calculation'),
    ],
)
def test_config_limits(keys, message):
    with pytest.raises(ValidationError, match=message):
        config(**keys)
