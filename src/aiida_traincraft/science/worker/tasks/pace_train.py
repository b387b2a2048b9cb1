"""Fit a nonlinear ACE potential with pacemaker (evaluator tensorpot), in pacemaker's own environment."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science.baselines import check_continued
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.models.ace_file import (
    add_core_repulsion,
    clear_metadata,
    load_basis,
    n_functions,
    remove_core_repulsion,
    shortest_distances,
    write_potential,
)
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.structure import Structure, read_extxyz
from aiida_traincraft.science.training.ace.basis import basis_config, function_count
from aiida_traincraft.science.training.ace.lift import lift
from aiida_traincraft.science.training.ace.linear import fit_linear
from aiida_traincraft.science.training.ace.pacemaker import pacemaker_input, read_metrics, write_data, write_input
from aiida_traincraft.science.training.ace.reduction import divide
from aiida_traincraft.science.training.ace.repulsion import repelling_onsets
from aiida_traincraft.science.training.labels import check_labels, subtract

STARTS = ('warm', 'initial', 'cold', 'continue')
TRAIN_FILE, TEST_FILE = 'train.pckl.gzip', 'test.pckl.gzip'
INITIAL_FILE, START_FILE = 'initial.yaml', 'start.yaml'
TARGET_FILE, PARTIAL_FILE, OUTPUT_FILE = 'target_potential.yaml', 'interim_potential_0.yaml', 'output_potential.yaml'
ERROR_FILE, BASELINE_FILE = 'pacemaker.err', 'baseline.json'
WALLTIME_SHARE = 0.9
"""Share of the time given after which pacemaker is stopped, so that its last state can be brought home."""
STOP_SECONDS = 30.0


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit a potential to ``dataset.extxyz`` and write ``potential.yaml``.

    Parameters
    ----------
    parameters
        ``training`` (the config), ``e0`` (eV of each isolated atom), ``seed``, ``max_seconds`` (or None) and
        ``start``: "warm" (from a linear fit of the same functions), "cold" (pacemaker's own start), "initial" (refine
        ``initial.yaml``) or "continue" (``initial.yaml`` is the ``interim.yaml`` of a run that was stopped). With
        the last two, ``baseline`` is that of the potential to start from.
    folder
        Job folder, with ``dataset.extxyz`` and optionally ``test.extxyz`` and ``initial.yaml``.

    Returns
    -------
    dict
        ``end``: "finished", or "walltime" if the time was over: then ``interim.yaml`` is written and no
        ``potential.yaml``; ``history`` of errors on the train and test sets (eV/atom, eV/Å), ``loss``,
        ``n_functions`` per element, ``n_structures`` trained on, ``left_out`` (indices of the other structures),
        ``cutoff`` (Å), ``elements``, ``start``, and ``baseline`` with all its parameters, which ``baseline.json`` holds
        from the beginning.

    Raises
    ------
    TaskError
        ``missing_package``, ``no_result`` (pacemaker failed), ``killed`` (by a signal), ``not_finite``, or
        ``walltime`` (the time was over before anything could be kept).
    ValueError
        If the input cannot be used.
    """
    begin = time.monotonic()
    command = _pacemaker()
    config = PaceNonlinearTraining.model_validate(parameters['training'])
    e0, seed, start = parameters['e0'], int(parameters['seed']), parameters['start']
    if start not in STARTS:
        raise ValueError(f'start is {start!r}, allowed: {", ".join(STARTS)}')
    train = read_extxyz(folder / 'dataset.extxyz')
    test = read_extxyz(folder / 'test.extxyz') if (folder / 'test.extxyz').is_file() else []
    check_labels([*train, *test], e0)
    train, left_out = divide(train, config)
    baseline = _baseline(config, parameters.get('baseline'), train)
    # For who is told of this run only by what it leaves behind.
    (folder / BASELINE_FILE).write_text(json.dumps(baseline.model_dump(mode='json')), encoding='utf-8')
    train, test = subtract(train, baseline), subtract(test, baseline)

    for name in (PARTIAL_FILE, OUTPUT_FILE, 'log.txt', 'metrics.txt', 'test_metrics.txt'):
        (folder / name).unlink(missing_ok=True)
    write_data(folder / TRAIN_FILE, train, e0, config.cutoff)
    if test:
        write_data(folder / TEST_FILE, test, e0, config.cutoff)
    elements, count = sorted({element for item in train for element in item.elements}), function_count(config, train)
    _write_start(folder, start, config, train, e0, seed)
    extend = start == 'continue' and config.ladder is not None and _is_unfinished(folder, config, elements, count)
    content = pacemaker_input(
        config,
        elements,
        count,
        seed,
        train_file=TRAIN_FILE,
        test_file=TEST_FILE if test else None,
        start_file=None if start == 'cold' or extend else START_FILE,
    )
    write_input(folder / 'input.yaml', content)
    if extend:
        command = [*command, '--initial-potential', START_FILE]

    limit = parameters.get('max_seconds')
    deadline = None if limit is None else begin + WALLTIME_SHARE * limit
    status, stopped = _run_pacemaker(command, folder, deadline)
    history = {key: _metrics(folder / f'{prefix}metrics.txt') for key, prefix in (('train', ''), ('test', 'test_'))}
    if any(row['loss'] is None for row in history['train']):
        raise TaskError(
            'not_finite', 'the loss became NaN or infinite: see metrics.txt; check labels and regularisation'
        )
    interim = _keep_interim(folder, status, e0, ladder=config.ladder is not None)
    if stopped and not interim:
        raise TaskError('walltime', f'{limit} s were over before the first iteration: raise the walltime')
    if not stopped:
        _check_finished(folder, status, interim)
    result = folder / (OUTPUT_FILE if not stopped else 'interim.yaml')
    basis = load_basis(result)
    if not np.isfinite(basis.all_coeffs).all():
        raise TaskError('not_finite', f'{result.name} has coefficients that are not finite')
    if not stopped:
        potential = import_pyace().BBasisConfiguration(str(result))
        if config.baseline.core_repulsion:
            frames = [item.atoms for item in train]
            shortest = shortest_distances(frames, config.cutoff)
            onsets = repelling_onsets(basis, frames, shortest)
            add_core_repulsion(potential, onsets)
        write_potential(potential, folder / 'potential.yaml', e0)
    return {
        'end': 'walltime' if stopped else 'finished',
        'start': start,
        'history': history,
        'loss': history['train'][-1]['loss'] if history['train'] else None,
        'n_functions': n_functions(basis),
        'n_structures': len(train),
        'left_out': left_out,
        'elements': list(basis.elements_name),
        'cutoff': basis.cutoffmax,
        'baseline': baseline.model_dump(mode='json'),
    }


def _baseline(
    config: PaceNonlinearTraining, stored: dict[str, Any] | None, train: Sequence[Structure]
) -> BaselineConfig:
    """Baseline with all its parameters: that of the potential to start from, if there is one and it subtracts any."""
    if stored is not None:
        before = parse_plugin('baseline', stored)
        check_continued(config.baseline, before)
        if before.subtracts:
            return before
    return config.baseline.fitted(train)


def _pacemaker() -> list[str]:
    """Command of the pacemaker beside this interpreter; a look before hours of queueing end in an ImportError."""
    script = Path(sys.executable).parent / 'pacemaker'
    if importlib.util.find_spec('pyace') is None or not script.is_file():
        raise TaskError(
            'missing_package', f'python-ace is not installed for {sys.executable}: pip install "python-ace>=0.4.0rc1"'
        )
    missing = [name for name in ('tensorflow', 'tensorpotential') if importlib.util.find_spec(name) is None]
    if missing:
        raise TaskError(
            'missing_package',
            f'{" and ".join(missing)} not installed for {sys.executable}. The evaluator tensorpot needs: '
            'pip install "numpy<2.4" "pandas<3" "tensorflow-cpu==2.20.0" matscipy sympy tqdm pyyaml; '
            'pip install --no-deps "tf_keras==2.20.1" "tensorpotential==0.6.2.1"',
        )
    return [str(script), 'input.yaml', '--no-predict']


def _write_start(
    folder: Path,
    start: str,
    config: PaceNonlinearTraining,
    train: Sequence[Structure],
    e0: dict[str, float],
    seed: int,
) -> None:
    """Write the potential that the fit starts from; without core repulsion, which is no part of the fit."""
    if start == 'cold':
        return
    if start == 'warm':
        fit = fit_linear(train, config, e0, seed, report=lambda line: print(line, flush=True))
        lift(fit.basis, config).save(str(folder / START_FILE))
        return
    basis = load_basis(folder / INITIAL_FILE)
    unknown = sorted({element for item in train for element in item.elements} - set(basis.elements_name))
    if unknown:
        raise ValueError(f'the initial potential has no {", ".join(unknown)}: start a new one')
    if missing := sorted(set(basis.elements_name) - set(e0)):
        raise ValueError(f'no isolated-atom energy (e0, eV) is given for {", ".join(missing)} of the initial potential')
    initial = import_pyace().BBasisConfiguration(str(folder / INITIAL_FILE))
    remove_core_repulsion(initial)
    # A ladder copies the metadata of its start, where the number of functions would soon be wrong.
    clear_metadata(initial)
    initial.save(str(folder / START_FILE))


def _is_unfinished(folder: Path, config: PaceNonlinearTraining, elements: list[str], count: int) -> bool:
    """Whether the start has fewer functions than the target of the ladder."""
    target = import_pyace().ACEBBasisSet(basis_config(config, elements, count))
    return sum(n_functions(load_basis(folder / START_FILE)).values()) < sum(n_functions(target).values())


def _run_pacemaker(command: list[str], folder: Path, deadline: float | None) -> tuple[int, bool]:
    """Run pacemaker in the folder; return its exit status and whether we stopped it at the deadline."""
    environment = dict(os.environ)
    if threads := environment.get('OMP_NUM_THREADS'):
        # TensorFlow does not read OMP_NUM_THREADS.
        environment |= {'TF_NUM_INTRAOP_THREADS': threads, 'TF_NUM_INTEROP_THREADS': threads}
    with (
        (folder / 'pacemaker.out').open('w', encoding='utf-8') as out,
        (folder / ERROR_FILE).open('w', encoding='utf-8') as err,
    ):
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        try:
            return process.wait(None if deadline is None else max(0.0, deadline - time.monotonic())), False
        except subprocess.TimeoutExpired:
            print('walltime is near: stopping pacemaker', flush=True)
            process.terminate()
            try:
                return process.wait(STOP_SECONDS), True
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait(), True
        finally:
            # An exception here (an interrupt) must not leave pacemaker running.
            if process.poll() is None:
                process.kill()


def _keep_interim(folder: Path, status: int, e0: dict[str, float], ladder: bool) -> bool:
    """Keep the last state of a run that did not end well as ``interim.yaml``, if it is whole."""
    partial = folder / PARTIAL_FILE
    if status == 0 or not partial.is_file():
        return False
    try:
        found = n_functions(load_basis(partial))
        # A stop in the middle of writing leaves a file that may still load.
        if not ladder and found != n_functions(load_basis(folder / TARGET_FILE)):
            return False
    except ValueError:
        return False
    write_potential(import_pyace().BBasisConfiguration(str(partial)), folder / 'interim.yaml', e0)
    return True


def _check_finished(folder: Path, status: int, interim: bool) -> None:
    kept = '; its last state is kept as interim.yaml' if interim else ''
    if status < 0:
        name = signal.Signals(-status).name
        raise TaskError('killed', f'pacemaker was killed by {name} (out of memory, or by the scheduler?){kept}')
    if status != 0 or not (folder / OUTPUT_FILE).is_file():
        lines = [
            line
            for line in (folder / ERROR_FILE).read_text(errors='replace', encoding='utf-8').splitlines()
            if line.strip()
        ]
        last = lines[-1].strip() if lines else 'nothing on standard error'
        kind = 'missing_package' if last.startswith(('ModuleNotFoundError', 'ImportError')) else 'no_result'
        raise TaskError(kind, f'pacemaker ended with status {status} and no potential: {last}{kept}')


def _metrics(path: Path) -> list[dict[str, float | int | None]]:
    return read_metrics(path.read_text(encoding='utf-8')) if path.is_file() else []
