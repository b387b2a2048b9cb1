"""Task ``label``: energies, forces and stresses of many structures by one ASE calculator or a stored potential."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from aiida_traincraft.science import registry
from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.structure import Structure, read_frames, write_frames

STRUCTURES_FILE = 'structures.frames'
LABELS_FILE = 'labels.frames'


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Label the structures of ``structures.frames``; the good ones go to ``labels.frames`` in the same order.

    Parameters
    ----------
    parameters
        ``calculator`` (a registered calculator's table) or, in its place, ``potential`` (table of
        :func:`~aiida_traincraft.science.calculators.potential.load_potential`) with ``device``; ``min_distance``
        (fraction of the sum of covalent radii), ``plugins`` (names of plugin files in the folder).
    folder
        The job's folder; a potential's files lie there.

    Returns
    -------
    dict
        ``rows``: for each structure its ``index``, ``status`` (``ok`` or ``failed``), ``reason`` and ``seconds`` (wall
        time).

    Notes
    -----
    An isolated atom that a potential labels gets the potential's E0 and no forces: what a model makes of a lone atom is
    not what it was trained against.
    """
    registry.load_plugins([folder / name for name in parameters.get('plugins', [])])
    potential = parameters.get('potential')
    structures = read_frames(folder / STRUCTURES_FILE)
    if potential is None:
        config, e0 = parse_plugin('calculator', parameters['calculator']), None
        calculator = make_calculator(config)
    else:
        config, e0 = None, potential['e0']
        calculator = load_potential(potential, folder, parameters.get('device', 'cpu'))
    labelled: list[Structure] = []
    rows: list[dict[str, Any]] = []
    for index, structure in enumerate(structures):
        reason, began = None, time.perf_counter()
        try:
            labelled.append(label(structure, calculator, parameters['min_distance'], e0))
        except Exception as error:
            reason = str(error) if isinstance(error, LabelError) else f'{type(error).__name__}: {error}'
        seconds = time.perf_counter() - began
        if reason is not None:
            # What a failed calculation left behind must not reach the next structure.
            if config is None:
                calculator.reset()
            else:
                calculator = make_calculator(config)
        status = 'ok' if reason is None else 'failed'
        rows.append({'index': index, 'status': status, 'reason': reason, 'seconds': seconds})
        print(
            f'{index + 1}/{len(structures)} {structure.formula} {status}{f": {reason}" if reason else ""}', flush=True
        )
    write_frames(folder / LABELS_FILE, labelled)
    return {'rows': rows}


class LabelError(ValueError):
    """A structure whose label would be no data."""


def label(
    structure: Structure, calculator: Any, min_distance: float, e0: Mapping[str, float] | None = None
) -> Structure:
    """Copy of a structure with the properties that a calculator gives it.

    Parameters
    ----------
    structure
        The geometry.
    calculator
        ASE calculator.
    min_distance
        Smallest distance allowed, as fraction of the sum of the covalent radii.
    e0
        Energies (eV) by element that an isolated atom gets in place of the calculator's.

    Returns
    -------
    Structure
        With ``energy`` (eV; the one the forces derive from), ``forces`` (eV/Å), ``stress`` (eV/Å³) of a cell periodic
        in three directions, ``dipole`` (e·Å) and ``polarizability`` (3, 3) in Å³ where the calculator has them.

    Raises
    ------
    LabelError
        If atoms overlap, a number is not finite or has a wrong shape, or an isolated atom's element has no E0.
    """
    if not len(structure):
        raise LabelError('the structure has no atoms')
    closest = minimum_distance(structure.atoms)
    if closest < min_distance:
        raise LabelError(f'atoms overlap: closest pair at {closest:.3f} of its covalent radii, allowed {min_distance}')
    if e0 is not None and len(structure) == 1 and not structure.atoms.pbc.any():
        if structure.formula not in e0:
            raise LabelError(f'no isolated-atom energy (e0, eV) is given for {structure.formula}')
        values: dict[str, Any] = {'energy': e0[structure.formula], 'forces': np.zeros((1, 3))}
    else:
        values = _calculate(structure, calculator)
    shapes: dict[str, tuple[int, ...]] = {
        'energy': (),
        'forces': (len(structure), 3),
        'stress': (6,),
        'dipole': (3,),
        'polarizability': (3, 3),
    }
    for name, value in values.items():
        if np.shape(value) != shapes[name]:
            raise LabelError(f'{name} has shape {np.shape(value)} instead of {shapes[name]}')
        if not np.isfinite(value).all():
            raise LabelError(f'{name} is not finite')
    properties = {name: float(v) if name == 'energy' else np.array(v, dtype=float) for name, v in values.items()}
    labelled = structure.copy()
    labelled.properties |= properties
    return labelled


def _calculate(structure: Structure, calculator: Any) -> dict[str, Any]:
    atoms = structure.atoms.copy()
    atoms.set_constraint()
    atoms.calc = calculator
    implemented = getattr(calculator, 'implemented_properties', ())
    values: dict[str, Any] = {
        'energy': atoms.get_potential_energy(force_consistent='free_energy' in implemented),
        'forces': atoms.get_forces(),
    }
    optional = (['stress'] if atoms.pbc.all() else []) + ['dipole', 'polarizability']
    for name in [name for name in optional if name in implemented]:
        try:
            values[name] = calculator.get_property(name, atoms)
        except PropertyNotImplementedError:
            continue
    return values
