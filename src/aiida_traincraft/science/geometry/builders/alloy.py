"""Builder ``alloy``: a lattice whose sites are occupied at random or as a special quasirandom structure."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.crystal import Lattice, perfect_crystal
from aiida_traincraft.science.geometry.defects import Composition, Element, largest_remainder, occupy
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

MOST_SQS_ATOMS = 500


class AlloyConfig(Lattice, BuilderConfig):
    """An alloy on a lattice given by the keys of the builder ``crystal``."""

    aliases: ClassVar[tuple[str, ...]] = ('sqs', 'solid_solution')
    type: Literal['alloy'] = 'alloy'
    composition: Composition
    """Fraction of each element."""
    sublattice: Element | None = None
    """Only the sites of this element of the lattice are occupied; all sites without it."""
    method: Literal['random', 'sqs'] = 'random'
    """Random occupation, or the special quasirandom structure found in ``iterations`` random trials."""
    iterations: int = Field(default=20_000, ge=1, le=1_000_000)
    """Trials of ``method = "sqs"``."""


@register('builder', 'alloy', AlloyConfig)
def build_alloy(config: AlloyConfig, rng: np.random.Generator) -> Structure:
    """Alloy with exact numbers of atoms: fractions are rounded by the method of largest remainders.

    A special quasirandom structure is the occupation, of those tried, whose Warren-Cowley short-range order parameters
    of the first shells of neighbours, weighted by 1/shell, are nearest to zero (Zunger et al., Phys. Rev. Lett. 65,
    353 (1990); Gehringer et al., Comput. Phys. Commun. 286, 108664 (2023)).

    Raises
    ------
    ValueError
        If the lattice cannot be built, has no site of ``sublattice``, or is too small or too large for an SQS.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "alloy"
        name = "Cu"
        a = 3.8
        cubic = true
        repeat = [2, 2, 2]
        composition = { Cu = 0.75, Au = 0.25 }
    """
    atoms = perfect_crystal(config)
    if config.sublattice is not None and not (atoms.symbols == config.sublattice).any():
        raise ValueError(f'"sublattice" is {config.sublattice}, of which the lattice {atoms.symbols} has no atom')
    if config.method == 'sqs':
        return Structure(_quasirandom(atoms, config, rng))
    return Structure(occupy(atoms, config.composition, rng, config.sublattice))


def _quasirandom(atoms: Atoms, config: AlloyConfig, rng: np.random.Generator) -> Atoms:
    library = require('sqsgenerator', 'builder "alloy" with method = "sqs"')
    if len(atoms) > MOST_SQS_ATOMS:
        raise ValueError(f'"repeat" gives {len(atoms)} atoms; "method" "sqs" is for at most {MOST_SQS_ATOMS}')
    changed = np.ones(len(atoms), dtype=bool)
    if config.sublattice is not None:
        changed = np.asarray(atoms.symbols == config.sublattice)
    fractions = config.composition
    counts = largest_remainder(list(fractions.values()), int(changed.sum()))
    occupation = {symbol: count for symbol, count in zip(fractions, counts, strict=True) if count}
    if len(occupation) < 2:
        raise ValueError(f'"repeat": {int(changed.sum())} sites hold only {", ".join(occupation)}; an SQS needs more')
    # The sites of the sublattice by themselves: what stays has no part in the order.
    sites = atoms[changed]
    settings = {
        'structure': {
            'lattice': sites.cell.array.tolist(),
            'coords': sites.get_scaled_positions().tolist(),
            'species': [next(iter(occupation))] * len(sites),
        },
        'composition': occupation,
        'iterations': config.iterations,
        'iteration_mode': 'random',
        'seed': int(rng.integers(2**31)),
        # More threads would make the result depend on their order.
        'thread_config': 1,
        'max_results_per_objective': 1000,
    }
    try:
        parsed = library.parse_config(settings)
        if hasattr(parsed, 'msg'):
            raise ValueError(parsed.msg)
        # Its results live only as long as the pack that holds them.
        pack = library.optimize(parsed, level=library.core.LogLevel.error)
        results = [result for _, equal in pack for result in equal]
    except (ValueError, RuntimeError) as error:
        raise ValueError(f'no SQS of {len(sites)} sites can be searched ({error}): raise "repeat"') from error
    # The library finds equally good ones in an order that differs from run to run.
    best = min(result.objective for result in results)
    found = min((result for result in results if result.objective < best + 1e-9), key=lambda result: int(result.rank()))
    alloy: Atoms = atoms.copy()
    alloy.numbers[changed] = library.to_ase(found.structure()).numbers
    return alloy
