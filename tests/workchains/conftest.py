"""Run WorkChains of the loop one by one, for real, in this process."""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.structure import Structure

SILICON: dict[str, Any] = {
    'name': 'silicon',
    'geometry': {'builder': {'type': 'crystal', 'name': 'Si', 'crystalstructure': 'diamond', 'a': 5.43}},
    'sampling': {'type': 'rattle', 'n': 4, 'stdev': 0.05},
}
# The first job of each task ends its own interpreter.
DYING = """#!/bin/sh
task=$(sed -n 's/.*"task": "\\([a-z_]*\\)".*/\\1/p' task.json)
if mkdir "{folder}/$task" 2>/dev/null; then kill -9 $$; fi
exec "{python}" "$@"
"""
DFT: dict[str, Any] = {
    'type': 'quantumespresso',
    'protocol': 'fast',
    'ecutwfc': 12.0,
    'ecutrho': 48.0,
    'kpoints_distance': 0.6,
    'max_failed_fraction': 0.5,
}


@pytest.fixture(scope='session')
def run_workchain(python_code) -> Callable[..., orm.WorkChainNode]:
    """Function that runs a WorkChain by its entry point with the config of a campaign; returns its node."""

    def run(entry_point: str, content: dict[str, Any], **inputs: Any) -> orm.WorkChainNode:
        config = orm.Dict(parse_campaign(content).model_dump(mode='json'))
        inputs = {'codes': {'ase': python_code, 'pace': python_code}} | inputs
        _, node = run_get_node(WorkflowFactory(entry_point), config=config, **inputs)
        return node

    return run


@pytest.fixture(scope='session')
def silicon_content(make_campaign_content, pseudo_family) -> Callable[..., dict[str, Any]]:
    """Function that gives the content of a campaign on silicon with labels of pw.x; keywords change ``[labelling]``."""

    def make(max_concurrent: int = 2, seconds: int = 300, **labelling: Any) -> dict[str, Any]:
        content = make_campaign_content()
        content['run'] |= {'name': 'silicon', 'max_concurrent': max_concurrent}
        content['systems'] = [dict(SILICON)]
        content['test_set'] = {'systems': [SILICON | {'name': 'rattled'}]}
        content['labelling'] = DFT | {'pseudo_family': pseudo_family.label} | labelling
        content['codes']['pw'] = {'code': 'pw@localhost', 'max_wallclock_seconds': seconds}
        return content

    return make


@pytest.fixture(scope='session')
def fresh_level() -> Callable[[], dict[str, float]]:
    """Function that gives keys of ``[labelling]`` for a level of theory without labels, equal in all that matters."""
    numbers = itertools.count(1)
    return lambda: {'conv_thr_per_atom': 4e-10 * (1 + 1e-3 * next(numbers))}


@pytest.fixture(scope='session')
def label_by_pw(run_workchain, silicon_content, store_structures) -> Callable[..., orm.WorkChainNode]:
    """Function that labels frames with a code in the place of pw.x; keywords as those of ``silicon_content``."""

    def label(
        code: orm.InstalledCode, frames: Sequence[Structure], entry_point: str = 'traincraft.label.qe', **keys: Any
    ) -> orm.WorkChainNode:
        content = silicon_content(**keys)
        return run_workchain(entry_point, content, structures=store_structures(frames), codes={'pw': code})

    return label


@pytest.fixture
def dying(localhost, tmp_path) -> Callable[..., tuple[orm.InstalledCode, Callable[[], list[str]]]]:
    """Function that gives a code by which the first job of each task is killed, and one that tells these tasks."""

    def make(like: orm.InstalledCode | None = None) -> tuple[orm.InstalledCode, Callable[[], list[str]]]:
        script, killed = tmp_path / 'python', tmp_path / 'killed'
        killed.mkdir()
        python = sys.executable if like is None else like.filepath_executable
        script.write_text(DYING.format(folder=killed, python=python))
        script.chmod(0o755)
        code = orm.InstalledCode(localhost, str(script), label=f'dies-{uuid.uuid4()}')
        code.prepend_text = '' if like is None else like.prepend_text
        return code.store(), lambda: sorted(path.name for path in killed.iterdir())

    return make
