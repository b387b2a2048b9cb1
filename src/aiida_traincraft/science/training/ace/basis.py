"""The ACE basis of a config: how many functions the data carry, and which ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.training.base import PaceTraining
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.structure import Structure

MIN_FUNCTIONS = 5

# Split of pacemaker's own input template: fewer functions per block, the more elements the block joins.
_TEMPLATE = {
    'UNARY': {'nradmax_by_orders': [15, 6, 4, 3, 2, 2], 'lmax_by_orders': [0, 3, 3, 2, 2, 1]},
    'BINARY': {'nradmax_by_orders': [15, 6, 3, 2, 2, 1], 'lmax_by_orders': [0, 3, 2, 1, 1, 0]},
    'TERNARY': {'nradmax_by_orders': [15, 3, 3, 2, 1], 'lmax_by_orders': [0, 2, 2, 1, 1]},
    'ALL': {'nradmax_by_orders': [15, 3, 2, 1, 1], 'lmax_by_orders': [0, 2, 2, 1, 1]},
}
AUTOMATIC_RADIALS = ('SBessel', 'ChebExpCos')
"""Even, and finer at short distances: for dense solids, and for stiff bonds within a long cutoff."""
_RADIAL_PARAMETERS = {'SBessel': [5.25], 'ChebExpCos': [5.25], 'ChebPow': [2.0], 'ChebLinear': [2.0]}


def count_atoms(structures: Sequence[Structure]) -> dict[str, int]:
    """Atoms of each element in all structures together, alphabetical."""
    counts: dict[str, int] = {}
    for structure in structures:
        for symbol in structure.atoms.get_chemical_symbols():
            counts[symbol] = counts.get(symbol, 0) + 1
    return dict(sorted(counts.items()))


def function_count(config: PaceTraining, structures: Sequence[Structure]) -> int:
    """Largest number of functions per element: the config's own, or half the atoms of the rarest element.

    Raises
    ------
    ValueError
        If there are no structures, or too few atoms of an element for the smallest basis.
    """
    if not structures:
        raise ValueError('the training set has no structures')
    if config.functions != 'auto':
        return config.functions
    counts = count_atoms(structures)
    rarest = min(counts, key=lambda element: counts[element])
    if counts[rarest] // 2 < MIN_FUNCTIONS:
        raise ValueError(
            f'the training set has only {counts[rarest]} atoms of {rarest}; functions = "auto" needs at least '
            f'{2 * MIN_FUNCTIONS} of every element: add structures that contain {rarest}'
        )
    return min(config.max_functions, counts[rarest] // 2)


def radial_bases(config: PaceTraining) -> tuple[str, ...]:
    """Radial bases of which the evidence chooses; the first where there is no evidence."""
    if config.radial_basis != 'auto':
        return (config.radial_basis,)
    return AUTOMATIC_RADIALS if config.regression == 'bayesian' else AUTOMATIC_RADIALS[:1]


def basis_specification(config: PaceTraining, elements: Sequence[str], count: int) -> dict[str, Any]:
    """The ``potential`` section of a pacemaker input: embedding, radial basis and functions.

    Parameters
    ----------
    config
        A nonlinear config brings its embedding; any other is linear (one density, exponent 1).
    elements
        Chemical symbols.
    count
        Largest number of functions per element.
    """
    if isinstance(config, PaceNonlinearTraining):
        embedding = {
            'npot': config.embedding,
            'fs_parameters': list(config.fs_parameters),
            'ndensity': config.ndensity,
        }
    else:
        embedding = {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1], 'ndensity': 1}
    orders: dict[str, Any] = _TEMPLATE
    if config.nradmax_by_orders is not None:
        orders = {
            'ALL': {'nradmax_by_orders': config.nradmax_by_orders, 'lmax_by_orders': config.lmax_by_orders},
        }
    radials = radial_bases(config)[0]
    bond = {
        'radbase': radials,
        'radparameters': _RADIAL_PARAMETERS[radials],
        'rcut': config.cutoff,
        'dcut': 0.01,
        'NameOfCutoffFunction': 'cos',
    }
    return {
        'deltaSplineBins': 0.001,
        'elements': sorted(elements),
        'embeddings': {'ALL': embedding},
        'bonds': {'ALL': bond},
        'functions': {'number_of_functions_per_element': count, **orders},
    }


def roughness(basis: Any) -> tuple[FloatArray, FloatArray]:
    """How much the functions of an ``ACEBBasisSet`` oscillate, and how many bonds they join.

    Returns
    -------
    roughness
        (n,) ``Σ (n - 1) + l`` over the bonds of a function, in units of the median of those that are not 0.
    factors
        (n,) bonds of a function: its body order less one.
    """
    functions = [
        function for first, others in zip(basis.basis_rank1, basis.basis, strict=True) for function in (*first, *others)
    ]
    rough = np.array([sum(item.ns) - len(item.ns) + sum(item.ls) for item in functions], float)
    scale = np.median(rough[rough > 0]) if rough.any() else 1.0
    return rough / scale, np.array([len(item.ns) for item in functions], float)


def basis_config(config: PaceTraining, elements: Sequence[str], count: int) -> Any:
    """Build the basis as pyace's ``BBasisConfiguration``, all coefficients zero.

    Raises
    ------
    ValueError
        If the orders ask for functions that pyace does not have, or there are too few for so many elements.
    """
    specification = basis_specification(config, elements, count)
    found = import_pyace().create_multispecies_basis_config(specification)
    if not any(block.funcspecs for block in found.funcspecs_blocks):
        raise ValueError(
            f'{count} functions per element are too few for {", ".join(elements)}, where each element has to share '
            'them between itself, its pairs and its triples: raise "functions", or with "auto" add structures'
        )
    return found
