"""What every fit asks of its training structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.structure import Structure

ISOLATED_TOLERANCE = 1e-6
"""Energy (eV) that a baseline may give an isolated atom."""


def check_labels(structures: Sequence[Structure], e0: Mapping[str, float]) -> None:
    """Check that there are structures, each with a finite energy, forces of its shape, and E0s for its elements.

    Raises
    ------
    ValueError
        Names the first structure at fault and what it lacks.
    """
    if not structures:
        raise ValueError('the training set has no structures')
    elements = {element for structure in structures for element in structure.elements}
    if missing := sorted(elements - set(e0)):
        raise ValueError(f'no isolated-atom energy (e0, eV) is given for {", ".join(missing)}')
    if not np.isfinite([e0[element] for element in elements]).all():
        raise ValueError(f'isolated-atom energies (e0, eV) are not finite: {dict(e0)}')
    for index, structure in enumerate(structures):
        shapes = {'energy': (), 'forces': (len(structure), 3)}
        if 'stress' in structure.properties:
            shapes['stress'] = (6,)
        for name, shape in shapes.items():
            where = f'training structure {index} ({structure.formula})'
            if name not in structure.properties:
                raise ValueError(f'{where} has no {name}')
            value = np.asarray(structure.properties[name], float)
            if value.shape != shape:
                raise ValueError(f'{where}: {name} has shape {value.shape}, expected {shape}')
            if not np.isfinite(value).all():
                raise ValueError(f'{where}: {name} is not finite')


def subtract(structures: Sequence[Structure], baseline: BaselineConfig) -> list[Structure]:
    """Structures whose energy, forces and stress are those that are left beside a baseline; other labels stay.

    Parameters
    ----------
    structures
        Labelled; they are not changed.
    baseline
        With all its parameters, see :meth:`~aiida_traincraft.science.config.kinds.BaselineConfig.fitted`.

    Raises
    ------
    ValueError
        If the baseline gives an isolated atom an energy, lacks what is labelled, or is not finite for a structure.
    """
    if not baseline.subtracts:
        return list(structures)
    calculator = make_baseline(baseline)
    for element in sorted({element for structure in structures for element in structure.elements}):
        alone = float(calculator.get_property('energy', Atoms(element)))
        if not abs(alone) <= ISOLATED_TOLERANCE:
            raise ValueError(
                f'baseline "{baseline.type}" gives an isolated atom of {element} {alone:.6g} eV, and must give none: '
                'count its energies from those of isolated atoms'
            )
    left = []
    for index, structure in enumerate(structures):
        properties = dict(structure.properties)
        for name in ('energy', 'forces', 'stress'):
            if name not in properties:
                continue
            where = f'of training structure {index} ({structure.formula})'
            try:
                given = np.asarray(calculator.get_property(name, structure.atoms), float)
            except PropertyNotImplementedError:
                raise ValueError(f'baseline "{baseline.type}" gives no {name} {where}, which has one') from None
            if not np.isfinite(given).all():
                raise ValueError(f'baseline "{baseline.type}": the {name} {where} is not finite')
            value = np.asarray(properties[name], float) - given
            properties[name] = value if value.ndim else float(value)
        left.append(Structure(structure.atoms, properties, structure.provenance))
    return left


def cohesive_energy(structure: Structure, e0: Mapping[str, float]) -> float:
    """Energy (eV) minus the energies of the isolated atoms."""
    symbols = structure.atoms.get_chemical_symbols()
    return float(structure.properties['energy']) - sum(e0[symbol] for symbol in symbols)
