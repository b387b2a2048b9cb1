"""Fixtures for tests with Quantum ESPRESSO: pw.x as a code, small pseudopotentials, tiny cells of silicon."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.structure import Structure

HEADERS = Path(__file__).parent / 'recorded' / 'pseudos'
"""Headers alone: enough for all that does not run pw.x."""
PSEUDOS = Path(os.environ.get('TRAINCRAFT_PSEUDOS', '/usr/share/espresso/pseudo'))
"""The same files in full, from Debian's quantum-espresso-data."""
CUTOFFS = {'cutoff_wfc': 12.0, 'cutoff_rho': 48.0}


@pytest.fixture(scope='session')
def pw_executable() -> str:
    """The pw.x of this machine; whatever runs it needs whole pseudopotentials too."""
    executable = shutil.which('pw.x')
    if executable is None:
        pytest.skip('no pw.x: install Quantum ESPRESSO')
    if not (PSEUDOS / 'Si.pz-vbc.UPF').exists():
        pytest.skip(f'no pseudopotentials in {PSEUDOS}: install quantum-espresso-data, or set TRAINCRAFT_PSEUDOS')
    return executable


@pytest.fixture(scope='session')
def pw_code(localhost, pw_executable) -> Any:
    """The pw.x of this machine as a code, without MPI."""
    from aiida import orm

    found = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': 'pw'}).first(flat=True)
    return (
        found
        or orm.InstalledCode(
            localhost,
            pw_executable,
            label='pw',
            default_calc_job_plugin='quantumespresso.pw',
            prepend_text='export OMP_NUM_THREADS=1',
        ).store()
    )


@pytest.fixture(scope='session')
def pseudo_folder(tmp_path_factory) -> Path:
    """Pseudopotentials of Si, Al and H: in full where they are installed, else their headers."""
    folder = tmp_path_factory.mktemp('pseudos')
    for header in HEADERS.glob('*.UPF'):
        whole = PSEUDOS / header.name
        shutil.copy(whole if whole.exists() else header, folder)
    return folder


@pytest.fixture(scope='session')
def pseudo_family(aiida_profile, pseudo_folder) -> Any:
    """Family of LDA pseudopotentials for Si, Al and H, with cutoffs that are cheap rather than converged."""
    from aiida import orm
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    label = 'lda-vbc'
    found = orm.QueryBuilder().append(CutoffsPseudoPotentialFamily, filters={'label': label}).first(flat=True)
    if found is not None:
        return found
    family = CutoffsPseudoPotentialFamily.create_from_folder(pseudo_folder, label, pseudo_type=UpfData)
    family.set_cutoffs(dict.fromkeys(family.elements, CUTOFFS), 'normal', unit='Ry')
    return family


@pytest.fixture(scope='session')
def silicon_frames() -> list[Structure]:
    """Six rattled cells of two silicon atoms."""
    rng = np.random.default_rng(11)
    frames = []
    for index in range(6):
        atoms = bulk('Si', 'diamond', a=5.43)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.03, 0.03, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        frames.append(Structure(atoms, provenance={'system': 'silicon', 'sample': index}))
    return frames
