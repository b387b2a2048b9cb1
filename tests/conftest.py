"""Fixtures shared by all tests: a temporary profile, a local computer, and codes that are this interpreter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_traincraft.science.structure import Structure

# Several BLAS threads on a few cores slow every small job down.
os.environ.setdefault('OMP_NUM_THREADS', '1')

pytest_plugins = 'aiida.tools.pytest_fixtures'


@pytest.fixture(scope='session')
def aiida_profile(aiida_config, aiida_profile_factory):
    """A profile in memory, loaded once."""
    with aiida_profile_factory(aiida_config, storage_backend='core.sqlite_temp') as profile:
        yield profile


@pytest.fixture
def localhost(aiida_profile, tmp_path_factory):
    """This machine, without a login shell and without waiting between polls."""
    from aiida import orm

    folder = tmp_path_factory.getbasetemp() / 'aiida_work'
    created, computer = orm.Computer.collection.get_or_create(
        label='localhost',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(folder),
    )
    if created:
        computer.store()
        computer.set_minimum_job_poll_interval(0.0)
        computer.set_default_mpiprocs_per_machine(1)
        computer.configure(safe_interval=0.0, use_login_shell=False)
    return computer


@pytest.fixture
def python_code(localhost):
    """This interpreter as a code."""
    from aiida import orm

    found = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': 'python'}).first(flat=True)
    return found or orm.InstalledCode(localhost, sys.executable, label='python').store()


@pytest.fixture(scope='session')
def pacemaker_python() -> Path:
    """Interpreter of the environment with pacemaker's tensorpot evaluator."""
    default = Path(__file__).parents[1] / '.venv-pace' / 'bin' / 'python'
    path = Path(os.environ.get('TRAINCRAFT_PACEMAKER_PYTHON', default))
    if not path.exists():
        pytest.skip('no environment with tensorpotential: run "make setup-pace"')
    return path


def label_with_emt(structure: Structure) -> Structure:
    """Energy, forces and stress of EMT."""
    atoms = structure.atoms.copy()
    atoms.calc = EMT()
    properties = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces()}
    if atoms.pbc.all():
        properties['stress'] = atoms.get_stress()
    return Structure(structure.atoms.copy(), properties, {**structure.provenance, 'level_of_theory': 'emt'})


@pytest.fixture(scope='session')
def copper_frames() -> list[Structure]:
    """Thirty rattled and strained copper cells of 4 to 8 atoms, labelled by EMT."""
    rng = np.random.default_rng(7)
    frames = []
    for index in range(30):
        atoms = bulk('Cu', 'fcc', a=3.6, cubic=True)
        if index % 3 == 0:
            atoms = atoms.repeat((2, 1, 1))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        frames.append(label_with_emt(Structure(atoms, provenance={'system': 'bulk', 'index': index})))
    return frames
