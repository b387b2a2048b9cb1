"""Fixtures shared by all tests: a temporary profile, a local computer, and codes that are this interpreter."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from xdist.scheduler import LoadFileScheduling

from aiida_traincraft.science.structure import Structure

# Several BLAS threads on a few cores slow every small job down.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# Where it is set, every program that a test starts compiles again what it imports.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)

pytest_plugins = ['aiida.tools.pytest_fixtures', 'quantumespresso']


class OneTinyCampaign(LoadFileScheduling):
    """A file stays in one process, and so do all files that read the tiny campaign: it is run once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return 'tiny_campaign' if 'tiny_campaign' in (self.config.rootpath / file).read_text() else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Take the scheduler above for ``--dist loadfile``; xdist's own groups have no effect with pytest 9.2."""
    return OneTinyCampaign(config, log) if config.getvalue('dist') == 'loadfile' else None


@pytest.fixture(scope='session')
def aiida_profile(aiida_config, aiida_profile_factory):
    """A profile in memory, loaded once."""
    from aiida.manage import get_manager

    with aiida_profile_factory(aiida_config, storage_backend='core.sqlite_temp') as profile:
        # A test profile polls its children without a pause, which takes the time that they need.
        get_manager().get_runner(poll_interval=0.1)
        yield profile


@pytest.fixture(scope='session')
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


@pytest.fixture(scope='session')
def python_code(localhost):
    """This interpreter as a code."""
    from aiida import orm

    found = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': 'python'}).first(flat=True)
    return found or orm.InstalledCode(localhost, sys.executable, label='python').store()


@pytest.fixture(scope='session')
def mace_code(localhost, mace_python):
    """The interpreter with MACE as a code."""
    from aiida import orm

    prepend = 'unset PYTHONPATH'
    return orm.InstalledCode(localhost, str(mace_python), label='mace', prepend_text=prepend).store()


@pytest.fixture(scope='session')
def pacemaker_python() -> Path:
    """Interpreter of the environment with pacemaker's tensorpot evaluator."""
    default = Path(__file__).parents[1] / '.venv-pace' / 'bin' / 'python'
    path = Path(os.environ.get('TRAINCRAFT_PACEMAKER_PYTHON', default))
    if not path.exists():
        pytest.skip('no environment with tensorpotential: run "make setup-pace"')
    return path


@pytest.fixture(scope='session')
def mace_python() -> Path:
    """Interpreter of the environment with MACE."""
    default = Path(__file__).parents[1] / '.venv-mace' / 'bin' / 'python'
    path = Path(os.environ.get('TRAINCRAFT_MACE_PYTHON', default))
    if not path.exists():
        pytest.skip('no environment with mace-torch: run "make setup-mace"')
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


@pytest.fixture(scope='session')
def bare_python(tmp_path_factory) -> Path:
    """Interpreter of an environment that holds no package at all."""
    folder = tmp_path_factory.mktemp('bare')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder], check=True)
    return folder / 'bin' / 'python'


@pytest.fixture(scope='session')
def store_structures(aiida_profile) -> Callable[[Sequence[Structure]], Any]:
    """Function that stores structures as nodes and returns their manifest."""
    from aiida_traincraft.data.frames.structure import TrainingStructureData
    from aiida_traincraft.data.manifest import ManifestData

    def store(frames: Sequence[Structure]) -> ManifestData:
        nodes = [TrainingStructureData(frame).store() for frame in frames]
        return ManifestData([node.uuid for node in nodes], [node.fingerprint for node in nodes]).store()

    return store


@pytest.fixture(scope='session')
def store_dataset(aiida_profile) -> Callable[..., Any]:
    """Function that stores labelled frames, with the isolated copper atom, as a dataset."""
    from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
    from aiida_traincraft.data.frames.label import LabelData

    def store(train: Sequence[Structure], test: Sequence[Structure] = ()) -> DatasetData:
        atom = label_with_emt(Structure(Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'}))
        rows = []
        for split, frames in (('train', train), ('test', test), ('e0', [atom])):
            for frame in frames:
                node = LabelData(frame).store()
                rows.append(DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint, split))
        return DatasetData(rows, ['emt'], isolated_atom_energies([atom])).store()

    return store


@pytest.fixture(scope='session')
def copper_dataset(store_dataset, copper_frames) -> Any:
    """Dataset of twenty-four training and six test frames of copper."""
    return store_dataset(copper_frames[:24], copper_frames[24:])


@pytest.fixture(scope='session')
def run_job(python_code) -> Callable[..., Any]:
    """Function that runs a CalcJob by its entry point, to its end, in this process; returns its node."""
    from aiida import orm
    from aiida.engine import run_get_node
    from aiida.plugins import CalculationFactory

    def run(entry_point: str, parameters: dict[str, Any], **inputs: Any) -> orm.CalcJobNode:
        inputs = {'code': python_code, 'parameters': orm.Dict(parameters)} | inputs
        _, node = run_get_node(CalculationFactory(entry_point), **inputs)
        return node

    return run


@pytest.fixture(scope='session')
def linear_fit(run_job, copper_dataset) -> Any:
    """Finished ``traincraft.pace_linear`` job on the copper dataset."""
    parameters = {'training': {**LINEAR_TRAINING, 'functions': 30}, 'seed': 1}
    node = run_job('traincraft.pace_linear', parameters, dataset=copper_dataset)
    assert node.is_finished_ok, node.exit_message
    return node


@pytest.fixture(scope='session')
def active_set(run_job, copper_dataset, linear_fit) -> Any:
    """Finished ``traincraft.pace_activeset`` job for the fitted potential."""
    potential = linear_fit.outputs.potential
    node = run_job(
        'traincraft.pace_activeset', {'gamma_lo': 1.5, 'seed': 1}, dataset=copper_dataset, potential=potential
    )
    assert node.is_finished_ok, node.exit_message
    return node


LINEAR_TRAINING: dict[str, Any] = {
    'type': 'pace_linear',
    'cutoff': 5.0,
    'baseline': 'zbl',
    'energy_weight': 20.0,
    'stress_weight': 20.0,
    'regression': 'ridge',
    'ridge': [1e-8, 1e-6],
    'holdout_fraction': 0.15,
}

MACE_TRAINING: dict[str, Any] = {
    'type': 'mace',
    'r_max': 4.0,
    'num_interactions': 1,
    'num_channels': 8,
    'max_L': 0,
    'max_ell': 1,
    'correlation': 2,
    'radial_MLP': [16],
    'lr': 0.02,
    'batch_size': 4,
    'valid_fraction': 0.2,
    'max_num_epochs': 8,
    'ema': False,
    'dtype': 'float32',
    'committee': 2,
}

CELL: dict[str, Any] = {'type': 'crystal', 'name': 'Cu', 'crystalstructure': 'fcc', 'a': 3.6, 'cubic': True}

TINY_CAMPAIGN: dict[str, Any] = {
    'run': {'name': 'tiny', 'seed': 3, 'max_concurrent': 2},
    'systems': [
        {
            'name': 'bulk',
            'geometry': {'builder': dict(CELL)},
            'sampling': {'type': 'rattle', 'n': 10, 'stdev': 0.08, 'strain': 0.02},
        }
    ],
    # One of the first structures is closer than this: a campaign has to do with labels that fail.
    'labelling': {'type': 'ase', 'calculator': {'type': 'emt'}, 'min_distance': 0.864, 'max_failed_fraction': 0.7},
    'training': {'type': 'pace_linear', 'cutoff': 5.0, 'functions': 10},
    'exploration': {
        'type': 'ase',
        'gamma_lo': 1.2,
        'gamma_hi': 20.0,
        'runs_per_system': 2,
        'check_interval': 5,
        'record_interval': 20,
        'sampling': {'type': 'md', 'temperature': 600.0, 'steps': 40, 'n': 4, 'timestep': 4.0, 'strain': 0.05},
    },
    'selection': {'budget': 3},
    'test_set': {
        'systems': [
            {
                'name': 'hot',
                'geometry': {'builder': dict(CELL)},
                'sampling': {'type': 'md', 'temperature': 500.0, 'steps': 40, 'n': 4, 'timestep': 4.0},
            }
        ]
    },
    'loop': {'max_cycles': 2},
    'codes': {'ase': {'code': 'python@localhost'}, 'pace': {'code': 'python@localhost'}},
}


@pytest.fixture
def linear_training() -> dict[str, Any]:
    """Section ``[training]`` of a linear fit, as a job gets it."""
    return copy.deepcopy(LINEAR_TRAINING)


@pytest.fixture(scope='session')
def mace_training() -> dict[str, Any]:
    """Section ``[training]`` of a committee of two tiny models, eight epochs."""
    return copy.deepcopy(MACE_TRAINING)


@pytest.fixture(scope='session')
def with_emt_labels() -> Callable[[Structure], Structure]:
    """Function that labels a structure with EMT, in this process."""
    return label_with_emt


@pytest.fixture(scope='session')
def make_campaign_content() -> Callable[[], dict[str, Any]]:
    """Function that gives the content of a campaign file, to be changed at will."""
    return lambda: copy.deepcopy(TINY_CAMPAIGN)


@pytest.fixture
def campaign_content(make_campaign_content) -> dict[str, Any]:
    """Content of a campaign file of two cycles on cells of four copper atoms, to be changed at will."""
    return make_campaign_content()


@pytest.fixture
def campaign_file(tmp_path) -> Callable[[dict[str, Any]], Path]:
    """Function that writes the content of a campaign file."""

    def write(content: dict[str, Any]) -> Path:
        path = tmp_path / 'campaign.toml'
        path.write_text(tomli_w.dumps(content))
        return path

    return write


@pytest.fixture(scope='session')
def tiny_campaign(python_code) -> Any:
    """A finished campaign of two cycles."""
    from aiida.engine import run_get_node

    from aiida_traincraft.launch.campaign_builder import builder_from_config
    from aiida_traincraft.science.config.loader import parse_campaign

    config = parse_campaign(copy.deepcopy(TINY_CAMPAIGN))
    _, node = run_get_node(builder_from_config(config))
    return node
