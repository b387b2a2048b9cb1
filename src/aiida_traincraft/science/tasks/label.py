"""Task ``label``: energies, forces and stresses of many structures by one ASE calculator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.base import parse_plugin
from aiida_traincraft.science.distances import minimum_distance
from aiida_traincraft.science.structure import Structure, read_frames, write_frames

STRUCTURES_FILE = 'structures.frames'
LABELS_FILE = 'labels.frames'


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Label the structures of ``structures.frames``; the good ones go to ``labels.frames`` in the same order.

    Parameters
    ----------
    parameters
        ``calculator`` (a registered calculator's table), ``min_distance`` (fraction of the sum of covalent radii),
        ``plugins`` (names of plugin files in the folder).
    folder
        The job's folder.

    Returns
    -------
    dict
        ``rows``: for each structure its ``index``, ``status`` (``ok`` or ``failed``) and ``reason``.
    """
    registry.load_plugins([folder / name for name in parameters.get('plugins', [])])
    config = parse_plugin('calculator', parameters['calculator'])
    structures = read_frames(folder / STRUCTURES_FILE)
    calculator = make_calculator(config)
    labelled: list[Structure] = []
    rows: list[dict[str, Any]] = []
    for index, structure in enumerate(structures):
        reason = None
        try:
            labelled.append(label(structure, calculator, parameters['min_distance']))
        except Exception as error:
            reason = str(error) if isinstance(error, LabelError) else f'{type(error).__name__}: {error}'
            # What a failed calculation left behind must not reach the next structure.
            calculator = make_calculator(config)
        status = 'ok' if reason is None else 'failed'
        rows.append({'index': index, 'status': status, 'reason': reason})
        print(
            f'{index + 1}/{len(structures)} {structure.formula} {status}{f": {reason}" if reason else ""}', flush=True
        )
    write_frames(folder / LABELS_FILE, labelled)
    return {'rows': rows}


class LabelError(ValueError):
    """A structure whose label would be no data."""


def label(structure: Structure, calculator: Any, min_distance: float) -> Structure:
    """Copy of a structure with the properties that a calculator gives it.

    Parameters
    ----------
    structure
        The geometry.
    calculator
        ASE calculator.
    min_distance
        Smallest distance allowed, as fraction of the sum of the covalent radii.

    Returns
    -------
    Structure
        With ``energy`` (eV; the one the forces derive from), ``forces`` (eV/Å), ``stress`` (eV/Å³) of a cell periodic
        in three directions and ``dipole`` (e·Å) where the calculator has them.

    Raises
    ------
    LabelError
        If atoms overlap, or a number is not finite or has a wrong shape.
    """
    if not len(structure):
        raise LabelError('the structure has no atoms')
    closest = minimum_distance(structure.atoms)
    if closest < min_distance:
        raise LabelError(f'atoms overlap: closest pair at {closest:.3f} of its covalent radii, allowed {min_distance}')
    atoms = structure.atoms.copy()
    atoms.set_constraint()
    atoms.calc = calculator
    implemented = getattr(calculator, 'implemented_properties', ())
    values: dict[str, Any] = {
        'energy': atoms.get_potential_energy(force_consistent='free_energy' in implemented),
        'forces': atoms.get_forces(),
    }
    shapes: dict[str, tuple[int, ...]] = {'energy': (), 'forces': (len(atoms), 3), 'stress': (6,), 'dipole': (3,)}
    optional = (['stress'] if atoms.pbc.all() else []) + ['dipole']
    for name in [name for name in optional if name in implemented]:
        try:
            values[name] = calculator.get_property(name, atoms)
        except PropertyNotImplementedError:
            continue
    for name, value in values.items():
        if np.shape(value) != shapes[name]:
            raise LabelError(f'{name} has shape {np.shape(value)} instead of {shapes[name]}')
        if not np.isfinite(value).all():
            raise LabelError(f'{name} is not finite')
    properties = {name: float(v) if name == 'energy' else np.array(v, dtype=float) for name, v in values.items()}
    labelled = structure.copy()
    labelled.properties |= properties
    return labelled
