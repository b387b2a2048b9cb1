"""A MACE model file: what it is, and making it ready to be fine-tuned."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aiida_traincraft.science.config.training.mace import MaceFoundation
from aiida_traincraft.science.errors import TaskError


def require_mace() -> None:
    """Look for MACE before anything is written.

    Raises
    ------
    TaskError
        ``missing_package``, with what to install.
    """
    if importlib.util.find_spec('mace') is None:
        raise TaskError(
            'missing_package', f'mace-torch is not installed for {sys.executable}: pip install "mace-torch>=0.3.16"'
        )


def load_model(path: Path) -> Any:
    """Load a model on the CPU; it is a pickle, which can run any code.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    # Before torch: mace tells it to read pickles that hold more than weights.
    import mace  # noqa: F401
    import torch

    try:
        return torch.load(path, map_location='cpu', weights_only=False)
    except Exception as error:
        raise ValueError(f'{path.name} is no MACE model: {type(error).__name__}: {error}') from error


def model_facts(model: Any, head: str = 'Default') -> dict[str, Any]:
    """What a model says of itself.

    Parameters
    ----------
    model
        As :func:`load_model` gives it.
    head
        Name of the one head of a class of models that have no heads.

    Returns
    -------
    dict
        ``model`` (its class), ``r_max`` (Å), ``elements`` in its own order, ``dtype`` ("float32" or "float64"), and
        ``heads``: of each ``name`` and ``e0`` (eV by element; empty for a model without energies).
    """
    elements = [chemical_symbols[int(number)] for number in model.atomic_numbers]
    names = getattr(model, 'heads', [head])
    e0: list[dict[str, float]] = [{} for _ in names]
    if hasattr(model, 'atomic_energies_fn'):
        energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.numpy())
        e0 = [dict(zip(elements, map(float, row), strict=True)) for row in energies]
    return {
        'model': type(model).__name__,
        # float32 has no more digits.
        'r_max': round(float(model.r_max), 6),
        'elements': elements,
        'dtype': str(next(model.parameters()).dtype).removeprefix('torch.'),
        'heads': [{'name': name, 'e0': values} for name, values in zip(names, e0, strict=True)],
    }


def prepare_foundation(path: Path, config: MaceFoundation, r_max: float, elements: Iterable[str]) -> dict[str, Any]:
    """Check a model that a training shall start from, and reduce the file to the head that it starts with.

    Elements that the data lack MACE drops from the new model.

    Parameters
    ----------
    path
        The ``.model`` file, replaced in one piece.
    config
        The head.
    r_max
        Cutoff asked for (Å).
    elements
        Of all data.

    Returns
    -------
    dict
        What :func:`model_facts` says of the file as it was.

    Raises
    ------
    ValueError
        Names the key of the config at fault.
    """
    try:
        model = load_model(path)
    except ValueError as error:
        raise ValueError(f'training.foundation: {error}') from error
    if type(model).__name__ != 'ScaleShiftMACE':
        raise ValueError(
            f'training.foundation: the file holds a {type(model).__name__}; MACE fine-tunes a ScaleShiftMACE '
            '(not its compiled form)'
        )
    facts = model_facts(model)
    if not np.isclose(facts['r_max'], r_max, rtol=1e-6):
        raise ValueError(
            f'training.r_max is {r_max} Å, but the foundation model has {facts["r_max"]} Å, and its cutoff stays: '
            f'set training.r_max = {facts["r_max"]}'
        )
    if missing := sorted(set(elements) - set(facts['elements'])):
        raise ValueError(
            f'training.foundation: the model does not know {", ".join(missing)} of the data, only '
            f'{", ".join(facts["elements"])}'
        )
    names = [head['name'] for head in facts['heads']]
    if config.head is not None and config.head not in names:
        raise ValueError(f'training.foundation.head is "{config.head}", but the model has {", ".join(names)}')
    import torch
    from mace.tools.scripts_utils import remove_pt_head

    if len(names) > 1:
        # The reduced model is built in torch's default precision.
        torch.set_default_dtype(getattr(torch, facts['dtype']))
        model = remove_pt_head(model, config.head)
    # MACE 0.3.16 copies E0s of the same shape over those asked for, and loses the last dimension of a single one.
    energies = model.atomic_energies_fn
    energies.atomic_energies = energies.atomic_energies.reshape(-1)
    partial = path.with_name(path.name + '.partial')
    torch.save(model, partial)
    partial.replace(path)
    return facts


def check_e0(facts: Mapping[str, Any], e0: Mapping[str, Mapping[str, float]]) -> None:
    """Check that a trained model has the energies of isolated atoms that it was to have.

    Parameters
    ----------
    facts
        What :func:`model_facts` says of it.
    e0
        By head and element (eV).

    Raises
    ------
    TaskError
        ``no_result``: MACE took others.
    """
    found = {head['name']: head['e0'] for head in facts['heads']}
    for name, energies in e0.items():
        for element, energy in energies.items():
            if not np.isclose(found[name][element], energy, rtol=1e-6, atol=1e-6):
                raise TaskError(
                    'no_result',
                    f'head "{name}" has the isolated-atom energy {found[name][element]} eV for {element} instead of '
                    f'{energy} eV',
                )
