"""Check settings and foundation model against the installed MACE, once before a whole committee is trained."""

from __future__ import annotations

import difflib
import importlib.util
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.models.mace_file import prepare_foundation, require_mace
from aiida_traincraft.science.structure import read_extxyz
from aiida_traincraft.science.training.labels import subtract
from aiida_traincraft.science.training.mace.input import (
    DATA_FOLDER,
    FOUNDATION_FILE,
    data_file,
    head_elements,
    mace_input,
    write_data,
)


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Check what can be known before training; ``data/foundation.model`` is made ready to be fine-tuned.

    The labels of all heads are replaced by what is left of them beside the baseline.

    Parameters
    ----------
    parameters
        ``training`` (the config), ``heads`` (of each ``name``, ``e0`` in eV and ``counts``) and ``device``.
    folder
        Job folder, with the folder ``data`` that the trainings link.

    Returns
    -------
    dict
        ``foundation`` (None, or ``r_max`` in Å, ``elements``, ``heads`` and ``model`` of the foundation model),
        ``baseline`` with all its parameters, and ``flags_checked``, the number of flags.

    Raises
    ------
    TaskError
        ``missing_package``, or ``bad_input`` (a flag or a value that MACE does not know).
    ValueError
        If heads or foundation model cannot be used.
    """
    require_mace()
    config = MaceTraining.model_validate(parameters['training'])
    heads = parameters['heads']
    content = mace_input(config, heads, seed=0, device=parameters['device'])
    _check_flags(content, config)
    if config.lammps == 'mliap' and importlib.util.find_spec('cuequivariance_torch') is None:
        raise TaskError(
            'missing_package',
            'training.lammps = "mliap" needs: pip install --no-deps cuequivariance cuequivariance-torch',
        )
    foundation = None
    if config.foundation is not None:
        path = folder / DATA_FOLDER / FOUNDATION_FILE
        elements = {element for head in heads for element in head_elements(head)}
        found = prepare_foundation(path, config.foundation, config.r_max, elements)
        foundation = {key: found[key] for key in ('r_max', 'elements', 'model')}
        foundation['heads'] = [head['name'] for head in found['heads']]
    return {'foundation': foundation, 'baseline': _subtract(config, heads, folder), 'flags_checked': len(content)}


def _subtract(config: MaceTraining, heads: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Write all data anew without the baseline; returns its table, fitted to the campaign's own head."""
    if not config.baseline.subtracts:
        return config.baseline.model_dump(mode='json')
    baseline = config.baseline.fitted(read_extxyz(folder / data_file(config.head, 'train')))
    for path in (folder / data_file(head['name'], split) for head in heads for split in ('train', 'valid')):
        frames = read_extxyz(path)
        for frame in frames:
            if 'config_weight' in frame.atoms.info:
                # As it was before it was squared for MACE.
                frame.provenance['weight'] = float(frame.atoms.info['config_weight']) ** 0.5
        write_data(path, subtract(frames, baseline))
    return baseline.model_dump(mode='json')


def _check_flags(content: dict[str, Any], config: MaceTraining) -> None:
    """Let MACE's own parser read the configuration."""
    # Before anything of torch: mace tells it to read pickles that hold more than weights.
    from mace.tools import build_default_arg_parser

    parser = build_default_arg_parser()
    known = [option.removeprefix('--') for option in parser._option_string_actions]
    for flag in content:
        if flag not in known:
            near = difflib.get_close_matches(flag, known, n=3)
            hint = f'; did you mean {", ".join(near)}?' if near else ''
            raise TaskError(
                'bad_input', f'training.extra.{flag}: mace-torch {version("mace-torch")} has no such flag{hint}'
            )

    def refuse(message: str) -> NoReturn:
        match = re.match(r'argument --(\w+)', message)
        flag = match[1] if match else ''
        raise TaskError('bad_input', f'training.{"extra." if flag in config.extra else ""}{flag}: {message}')

    parser.error = refuse
    parser.parse_args([], config_file_contents=json.dumps(content))
