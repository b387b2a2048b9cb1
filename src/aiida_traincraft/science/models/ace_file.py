"""An ACE potential file (B-basis ``.yaml``): load it safely, finish it, write it in one piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.models.ace_check import add_checksum, check_potential
from aiida_traincraft.science.models.cells import prepare_atoms
from aiida_traincraft.science.models.pyace_import import import_pyace

Pair = tuple[str, str]

CORE_SWITCH = 1 / 6
"""Width over which the core repulsion takes over from ACE, as a fraction of its onset."""
CORE_MARGIN = 0.02
"""Distance (Å) that the core repulsion keeps from the shortest pair of the training set."""
CORE_FRACTION = 0.7
"""Largest onset of the core repulsion, as a fraction of the sum of the covalent radii."""

PROBE_SPACING = 0.45
"""Distance of neighbours in a probe, as a fraction of the cutoff."""


def load_basis(path: Path) -> Any:
    """Load a potential as pyace's ``ACEBBasisSet``.

    Raises
    ------
    ValueError
        If the file is absent, cannot be read, or is not whole.
    """
    check_potential(path)
    return open_basis(path)


def open_basis(path: Path) -> Any:
    """Load a potential that was checked: pyace may crash on one that is not whole.

    Raises
    ------
    ValueError
        If pyace cannot read it.
    """
    try:
        return import_pyace().ACEBBasisSet(str(path))
    # Exceptions of C++ come as several kinds.
    except Exception as error:
        raise ValueError(f'potential {path.name} cannot be read: {error}') from error


def n_functions(basis: Any) -> dict[str, int]:
    """Basis functions per element of an ``ACEBBasisSet``."""
    ranks = zip(basis.elements_name, basis.basis_rank1, basis.basis, strict=True)
    return {element: len(first) + len(others) for element, first, others in ranks}


def shortest_distances(frames: Iterable[Atoms], cutoff: float) -> dict[Pair, float]:
    """Shortest distance (Å) of each pair of elements (alphabetical) that comes within the cutoff (Å) anywhere."""
    shortest: dict[Pair, float] = {}
    for atoms in frames:
        first, second, distances = neighbor_list('ijd', atoms, cutoff)
        low, high = np.sort(np.stack([atoms.numbers[first], atoms.numbers[second]]), axis=0)
        for key in np.unique(low * 1000 + high):
            symbols = Atoms([key // 1000, key % 1000]).get_chemical_symbols()
            pair = (min(symbols), max(symbols))
            found = float(distances[low * 1000 + high == key].min())
            shortest[pair] = min(found, shortest.get(pair, np.inf))
    return shortest


def core_onsets(elements: list[str], shortest: Mapping[Pair, float]) -> dict[Pair, float]:
    """Distance (Å) below which the core repulsion acts, for every pair of the elements (alphabetical).

    It stays below the shortest distance of the training set, where ACE is fitted, and below a fraction of the sum of
    the covalent radii: a training set at low temperature must not put a hard wall beside the distances that a hotter
    run reaches.
    """
    onsets = {}
    for pair in combinations_with_replacement(sorted(elements), 2):
        onsets[pair] = float(min(shortest.get(pair, np.inf) - CORE_MARGIN, CORE_FRACTION * contact(pair)))
    return onsets


def contact(pair: Pair) -> float:
    """Sum of the covalent radii (Å) of a pair (Cordero et al., Dalton Trans., 2832 (2008))."""
    return float(sum(covalent_radii[atomic_numbers[element]] for element in pair))


def add_core_repulsion(config: Any, onsets: Mapping[Pair, float]) -> None:
    """Add the universal ZBL repulsion at short distances to a ``BBasisConfiguration``, in place.

    Parameters
    ----------
    config
        The potential.
    onsets
        Distance (Å) of every pair of its elements (alphabetical) below which it begins to take over from ACE; see
        :func:`core_onsets`.
    """
    # pyace hands out copies: they must be assigned back.
    blocks = config.funcspecs_blocks
    for block in blocks:
        first, *others = sorted(block.block_name.split())
        if len(others) > 1:
            continue
        block.r_in = onsets[first, others[0] if others else first]
        block.delta_in = CORE_SWITCH * block.r_in
        block.core_rep_parameters, block.inner_cutoff_type = [1.0, 1.0], 'zbl'
        block.rho_cut, block.drho_cut = 1.0, 1.0
    config.funcspecs_blocks = blocks


def remove_core_repulsion(config: Any) -> None:
    """Undo :func:`add_core_repulsion`, in place: a trainer must see the bare ACE."""
    bare = import_pyace().BBasisFunctionsSpecificationBlock()
    blocks = config.funcspecs_blocks
    for block in blocks:
        for name in ('core_rep_parameters', 'r_in', 'delta_in', 'inner_cutoff_type', 'rho_cut', 'drho_cut'):
            setattr(block, name, getattr(bare, name))
    config.funcspecs_blocks = blocks


def clear_metadata(config: Any) -> None:
    """Drop all metadata, in place: pacemaker writes user name and dates, so that no two files are equal."""
    for key in list(dict(config.metadata)):
        del config.metadata[key]


def write_potential(config: Any, path: Path, e0: Mapping[str, float]) -> None:
    """Write a ``BBasisConfiguration`` atomically, with the isolated-atom energies (eV) and its size as metadata.

    The file format has no place for E0: an isolated atom has zero energy, and who evaluates the potential adds E0.

    Raises
    ------
    TaskError
        ``no_result``: what was read back is not what was to be written.
    """
    basis = import_pyace().ACEBBasisSet(config)
    clear_metadata(config)
    config.metadata['nfunc'] = str(sum(n_functions(basis).values()))
    config.metadata['E0'] = json.dumps({element: e0[element] for element in basis.elements_name})
    partial = path.with_name(path.name + '.partial')
    config.save(str(partial))
    add_checksum(partial)
    atoms = probe_cluster(list(basis.elements_name), basis.cutoffmax)
    expected, found = (_energy(form, atoms) for form in (basis, load_basis(partial)))
    if not np.isclose(found, expected, rtol=1e-9, atol=1e-9):
        raise TaskError(
            'no_result', f'{path.name} gives {found:.9g} eV for a cluster of {len(atoms)} atoms, not {expected:.9g} eV'
        )
    partial.rename(path)


def _energy(basis: Any, atoms: Atoms) -> float:
    calculator = import_pyace().PyACECalculator(basis)
    calculator.calculate(prepare_atoms(atoms, basis.cutoffmax))
    return float(calculator.results['energy'])


def probe_cluster(elements: Sequence[str], cutoff: float) -> Atoms:
    """Irregular cluster in which atoms of all elements have neighbours of all elements within the cutoff (Å)."""
    side = next(n for n in range(2, 10) if n**3 >= 2 * len(elements))
    sites = np.stack(np.meshgrid(*[np.arange(side, dtype=float)] * 3), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    positions = PROBE_SPACING * cutoff * (sites + rng.uniform(-0.1, 0.1, sites.shape))
    return Atoms([elements[index % len(elements)] for index in range(len(sites))], positions)
