"""The label of one structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.datasets.plausibility import check_numbers
from aiida_traincraft.science.datasets.refusals import FrameError
from aiida_traincraft.science.structure import Structure


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
        If atoms overlap, a number is not finite, complex, of a wrong shape or so large that none can be meant, or an
        isolated atom's element has no E0.
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
        if np.iscomplexobj(value):
            raise LabelError(f'{name} is complex')
        if np.shape(value) != shapes[name]:
            raise LabelError(f'{name} has shape {np.shape(value)} instead of {shapes[name]}')
        if not np.isfinite(value).all():
            raise LabelError(f'{name} is not finite')
    properties = {name: float(v) if name == 'energy' else np.array(v, dtype=float) for name, v in values.items()}
    labelled = structure.copy()
    labelled.properties |= properties
    try:
        check_numbers(labelled)
    except FrameError as error:
        raise LabelError(str(error)) from None
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
