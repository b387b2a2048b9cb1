"""Calculator ``fhi_aims``: the input that ASE writes; FHI-aims itself is not at hand."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import CalculationFailed
from pydantic import ValidationError

from aiida_traincraft.science.calculators import check_structures, make_calculator
from aiida_traincraft.science.calculators.fhi_aims import FhiAimsConfig
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Keys of a config with a stand-in for FHI-aims that keeps its input and fails, and made-up species defaults."""
    monkeypatch.chdir(tmp_path)
    for variable in ('TRAINCRAFT_AIMS_COMMAND', 'AIMS_SPECIES_DIR'):
        monkeypatch.delenv(variable, raising=False)
    script = tmp_path / 'aims'
    script.write_text(f'#!/bin/sh\ncp control.in geometry.in {tmp_path}\necho "no licence"\nexit 1\n')
    script.chmod(0o755)
    species = tmp_path / 'light'
    species.mkdir()
    for number, symbol in ((1, 'H'), (8, 'O'), (29, 'Cu')):
        (species / f'{number:02d}_{symbol}_default').write_text(f'  species {symbol}\n    nucleus {number}\n')
    return {'command': str(script), 'species_dir': str(species)}


def written(atoms, config, folder):
    atoms.calc = make_calculator(config)
    with pytest.raises(CalculationFailed, match=r'fhi_aims failed \(exit status 1\)\n  no licence'):
        atoms.get_potential_energy()
    return [
        [' '.join(line.split()) for line in (folder / name).read_text().splitlines()]
        for name in ('control.in', 'geometry.in')
    ]


def test_molecule(keys, tmp_path):
    config = FhiAimsConfig(**keys, xc='pbe0', parameters={'sc_accuracy_rho': 1e-5})
    control, geometry = written(molecule('H2O'), config, tmp_path)
    for line in ('xc pbe0', 'output dipole', 'compute_forces .true.', 'sc_accuracy_rho 1e-05', 'nucleus 8'):
        assert line in control
    assert not [line for line in control if line.startswith(('k_grid', 'compute_analytical_stress'))]
    assert sum(line.startswith('atom ') for line in geometry) == 3


def test_crystal(keys, tmp_path):
    control, geometry = written(bulk('Cu', cubic=True), FhiAimsConfig(**keys, kpoints_distance=0.4), tmp_path)
    # 2π / 3.61 Å / 0.4 = 4.4.
    assert 'k_grid 5 5 5' in control
    assert 'compute_analytical_stress .true.' in control
    assert 'output dipole' not in control
    assert sum(line.startswith('lattice_vector') for line in geometry) == 3


def test_what_is_not_there(keys):
    with pytest.raises(ValueError, match=r"no program 'aims\.x': set \"command\" or .* TRAINCRAFT_AIMS_COMMAND"):
        make_calculator(FhiAimsConfig())
    with pytest.raises(ValueError, match='"species_dir": there is no folder None: give it, or set AIMS_SPECIES_DIR'):
        make_calculator(FhiAimsConfig(command=keys['command']))
    slab = Structure(fcc111('Cu', (1, 1, 3), vacuum=5.0))
    with pytest.raises(ValueError, match='cannot do structures that are periodic in 2 directions'):
        check_structures(FhiAimsConfig(), [slab])
    slab.atoms.calc = make_calculator(FhiAimsConfig(**keys))
    with pytest.raises(ValueError, match='FHI-aims cannot do pbc'):
        slab.atoms.get_potential_energy()


def test_keywords_that_have_a_key():
    with pytest.raises(ValidationError, match='"parameters" cannot set xc'):
        FhiAimsConfig(parameters={'xc': 'pbe'})


def test_an_isolated_atom_is_polarised(keys, tmp_path):
    control, geometry = written(Atoms('O'), FhiAimsConfig(**keys), tmp_path)
    assert 'spin collinear' in control
    assert 'initial_moment 2.000000' in geometry
