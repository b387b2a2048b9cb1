"""What every fit asks of its training structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aiida_traincraft.science.structure import Structure


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


def cohesive_energy(structure: Structure, e0: Mapping[str, float]) -> float:
    """Energy (eV) minus the energies of the isolated atoms."""
    symbols = structure.atoms.get_chemical_symbols()
    return float(structure.properties['energy']) - sum(e0[symbol] for symbol in symbols)
