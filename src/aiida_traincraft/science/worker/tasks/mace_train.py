"""Train one MACE model with ``mace_run_train``, in MACE's own environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.training.mace import PT_HEAD, MaceTraining
from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.models.mace_file import check_e0, load_model, model_facts, require_mace
from aiida_traincraft.science.structure import read_extxyz
from aiida_traincraft.science.training.mace.input import NAME, data_file, head_elements, mace_input
from aiida_traincraft.science.training.mace.log import (
    CHECKPOINT_NAME,
    NO_LABELS,
    OUT_OF_MEMORY,
    last_words,
    read_errors,
)
from aiida_traincraft.science.training.mace.watch import CHECKPOINTS, RESTART, RESULTS, TrainingWatch, is_whole

PROGRAM = ('-m', 'mace.cli.run_train')
CONFIG_FILE, OUTPUT_FILE, ERROR_FILE = 'config.yml', 'mace.out', 'mace.err'
MODEL, COMPILED, LAMMPS = f'{NAME}.model', f'{NAME}_compiled.model', f'{NAME}_lammps.pt'
DESCRIPTORS_FILE = 'descriptors.npy'
LAMMPS_SUFFIX = {'libtorch': '-lammps.pt', 'mliap': '-mliap_lammps.pt'}
WALLTIME_SHARE = 0.9
"""Share of the time given after which MACE is stopped, so that its last checkpoint can be brought home."""
POLL_SECONDS, STOP_SECONDS = 0.5, 30.0


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train on the files of the folder ``data`` and write ``potential.model``.

    Parameters
    ----------
    parameters
        ``training`` (the config), ``heads`` (of each ``name``, ``e0`` in eV and ``counts``; the campaign's own last),
        ``seed``, ``device``, ``batch_size`` and ``lr`` (in place of the config's, or None), ``checkpoint`` (name of a
        file in the folder to continue from, or None), ``max_seconds`` (or None) and optionally ``descriptors`` and
        ``finish`` (whether to make the model of the checkpoint, without any more training).
    folder
        Job folder, with ``data`` as the task ``mace_data`` left it.

    Returns
    -------
    dict
        ``models`` (file names), ``model`` (class), ``r_max`` (Å), ``elements``, ``dtype``, ``heads`` (of each ``name``
        and ``e0`` in eV), ``errors`` by head and set (eV/atom, eV/Å, eV/Å³, e·Å and Å³ per atom; of the training set as
        MACE has them, without the structures left over of a batch), ``history`` of the validation errors, ``epochs``,
        ``stage`` ("two" if there is one, as MACE does, even where it is no better), ``resumed_from`` (epoch or None),
        ``finished_early`` (whether by ``finish``), ``labels_read``, and ``warnings``: what could not be made besides
        the model.

        While it runs, ``restart`` holds a whole copy of the newest checkpoint. With ``descriptors``,
        ``descriptors.npy`` (n_train, d) holds those of the training set.

    Raises
    ------
    TaskError
        ``missing_package``, ``bad_input``, ``walltime``, ``no_result``, ``killed`` (by a signal), ``out_of_memory``,
        ``not_finite``, ``labels_dropped`` or ``checkpoint_ignored``.
    ValueError
        If the input cannot be used.
    """
    begin = time.monotonic()
    require_mace()
    config = MaceTraining.model_validate(parameters['training'])
    heads, seed = parameters['heads'], int(parameters['seed'])
    finish = bool(parameters.get('finish'))
    checkpoint = parameters.get('checkpoint')
    if finish and checkpoint is None:
        raise ValueError('"finish" needs a "checkpoint": there is no model to write yet')
    for name in (CHECKPOINTS, RESTART, RESULTS, 'logs'):
        shutil.rmtree(folder / name, ignore_errors=True)
    resumed = None if checkpoint is None else _place_checkpoint(folder, checkpoint, seed, config)
    if finish:
        # MACE then makes its model of the checkpoint at once; with a stage two it would want one of it.
        config = config.model_copy(update={'max_num_epochs': resumed, 'start_stage_two': None})
    content = mace_input(config, heads, seed, parameters['device'], parameters.get('batch_size'), parameters.get('lr'))
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2), encoding='utf-8')
    limit = parameters.get('max_seconds')
    watch = TrainingWatch(folder, OUTPUT_FILE, seed, heads, config.max_num_epochs, resumed)
    _run_mace(folder, watch, None if limit is None else begin + WALLTIME_SHARE * limit)

    watch.check_complete()
    stage, epoch, errors = _check_finished(folder)
    if stage == 'two':
        for name in (MODEL, COMPILED):
            source = folder / name.replace(NAME, f'{NAME}_stagetwo')
            if source.is_file():
                source.replace(folder / name)
    elif finish:
        # MACE was shown a checkpoint of stage two as one of stage one.
        stage, epoch = 'two' if str(checkpoint).endswith('_swa.pt') else 'one', config.max_num_epochs
    for row in watch.history:
        if row['epoch'] == epoch:
            # The table has few digits, and no row for a head without stresses beside one with them.
            found = {key: row[key] for key in row if key not in ('epoch', 'head', 'loss')}
            errors.setdefault(row['head'], {})['valid'] = found
    if not config.compiled:
        (folder / COMPILED).unlink(missing_ok=True)
    facts = _model_facts(folder / MODEL, config, heads)
    warnings: list[str] = []
    if parameters.get('descriptors'):
        _try('descriptors', warnings, lambda: _write_descriptors(folder, config.head, facts, parameters['device']))
    lammps = None
    if config.lammps != 'none':
        lammps = _try('form for LAMMPS', warnings, lambda: _write_lammps(folder, config, facts['dtype']))
    return {
        **facts,
        'models': {
            'model': MODEL,
            'compiled': COMPILED if (folder / COMPILED).is_file() else None,
            'lammps': lammps,
        },
        'errors': errors,
        'history': watch.history,
        'epochs': watch.history[-1]['epoch'] + 1,
        'stage': stage,
        'resumed_from': resumed,
        'finished_early': finish,
        'labels_read': watch.labels,
        'warnings': warnings,
    }


def _place_checkpoint(folder: Path, name: str, seed: int, config: MaceTraining) -> int:
    """Put a checkpoint where MACE looks for it; returns its epoch."""
    prefix = f'{NAME}_run-{seed}_epoch-'
    match = CHECKPOINT_NAME.fullmatch(name)
    if match is None or not name.startswith(prefix):
        raise ValueError(f'checkpoint {name} is not of this training: its name must begin with {prefix}')
    if not is_whole(folder / name):
        raise TaskError('checkpoint_ignored', f'{name} is damaged: train from the start')
    (folder / CHECKPOINTS).mkdir()
    shutil.copy(folder / name, folder / CHECKPOINTS / name)
    if match[2] is not None and config.start_stage_two is not None:
        # In the end MACE wants a checkpoint of stage one too; the model of stage two takes its place.
        shutil.copy(folder / name, folder / CHECKPOINTS / f'{prefix}{config.start_stage_two - 1}.pt')
    return int(match[1])


def _run_mace(folder: Path, watch: TrainingWatch, deadline: float | None) -> None:
    """Run MACE in the folder to its end, or until it is useless or the time is over."""
    command = [sys.executable, *PROGRAM, '--config', CONFIG_FILE]
    with (
        (folder / OUTPUT_FILE).open('w', encoding='utf-8') as out,
        (folder / ERROR_FILE).open('w', encoding='utf-8') as err,
    ):
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, process_group=0)
        try:
            while process.poll() is None:
                if deadline is not None and time.monotonic() > deadline:
                    print('walltime is near: stopping MACE', flush=True)
                    _stop(process)
                    watch.look()
                    raise TaskError('walltime', f'the walltime was nearly over: {watch.reached()}')
                time.sleep(POLL_SECONDS)
                watch.look()
            watch.look()
        finally:
            # An exception here must not leave MACE running.
            if process.poll() is None:
                _stop(process)
    if process.returncode != 0:
        _fail(process.returncode, (folder / ERROR_FILE).read_text(errors='replace', encoding='utf-8'), watch.reached())


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _fail(status: int, errors: str, reached: str) -> None:
    words = last_words(errors)
    if OUT_OF_MEMORY.search(errors):
        raise TaskError('out_of_memory', f'{words}: smaller batches need less; {reached}')
    if status < 0:
        name = signal.Signals(-status).name
        raise TaskError('killed', f'MACE was killed by {name} (out of memory, or by the scheduler?); {reached}')
    if NO_LABELS.search(words):
        raise TaskError('labels_dropped', f'MACE found no labels: {words}')
    kind = 'missing_package' if words.startswith(('ModuleNotFoundError', 'ImportError')) else 'no_result'
    raise TaskError(kind, f'MACE ended with status {status}: {words}; {reached}')


def _check_finished(folder: Path) -> tuple[str, int, dict[str, dict[str, dict[str, float]]]]:
    """Stage, epoch and errors of the model that was written."""
    log = (folder / OUTPUT_FILE).read_text(errors='replace', encoding='utf-8')
    found = read_errors(log)
    if found is None or not log.rstrip().endswith('INFO: Done') or not (folder / MODEL).is_file():
        raise TaskError('no_result', 'MACE ended without an error, but has not written its model to the end')
    return found


def _model_facts(path: Path, config: MaceTraining, heads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    facts = model_facts(load_model(path), config.head)
    if not config.gives_forces:
        return facts
    own = {
        head['name']: {element: head['e0'][element] for element in head_elements(head)}
        for head in heads
        if head['name'] != PT_HEAD
    }
    check_e0(facts, own)
    # MACE has a zero where a head's data lack an element.
    facts['heads'] = [{'name': head['name'], 'e0': own.get(head['name'], head['e0'])} for head in facts['heads']]
    return facts


def _try(what: str, warnings: list[str], make: Callable[[], Any]) -> Any:
    """Make what is not worth losing a trained model for; why it failed goes to the warnings."""
    try:
        return make()
    except Exception as error:
        warnings.append(f'{what}: {type(error).__name__}: {error}')
        print(warnings[-1], flush=True)
        return None


def _write_descriptors(folder: Path, head: str, facts: Mapping[str, Any], device: str) -> None:
    table = {**facts, 'type': 'mace', 'models': [MODEL], 'head': head}
    calculator = load_potential(table, folder, device)
    frames = read_extxyz(folder / data_file(head, 'train'))
    np.save(folder / DESCRIPTORS_FILE, np.array([calculator.descriptor(frame.atoms) for frame in frames]))


def _write_lammps(folder: Path, config: MaceTraining, dtype: str) -> str:
    """Make the form that LAMMPS loads, of the campaign's own head."""
    command = [sys.executable, '-m', 'mace.cli.create_lammps_model', MODEL]
    command += ['--head', config.head, '--dtype', dtype, '--format', config.lammps]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(last_words(done.stderr))
    (folder / f'{MODEL}{LAMMPS_SUFFIX[config.lammps]}').rename(folder / LAMMPS)
    return LAMMPS
