"""Builder ``random_crystal``: random structures with the symmetry of a space group."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.defects import Element
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Group = Annotated[int, Field(ge=1, le=230)]
_ATTEMPTS = 30
LARGEST_RANDOM_CELL = 200


class RandomCrystalConfig(BuilderConfig):
    """Random crystals of exact composition."""

    type: Literal['random_crystal'] = 'random_crystal'
    composition: Annotated[dict[Element, Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=20)]
    """Number of atoms of each element in the conventional cell, at most 200 together."""
    spacegroup: Group | Annotated[tuple[Group, ...], Field(min_length=1)] | None = None
    """Number of the space group, or several to draw from; any that admits the composition without it."""
    n: int = Field(default=1, ge=1, le=10_000)
    """Number of structures."""
    volume_factor: float = Field(default=1.1, gt=0.2, le=10)
    """Volume in units of the sum of the volumes of the atoms by their covalent radii."""


@register('builder', 'random_crystal', RandomCrystalConfig)
def build_random_crystal(config: RandomCrystalConfig, rng: np.random.Generator) -> list[Structure]:
    """Random crystals: random lattice of the crystal system, atoms on random Wyckoff positions, none too near.

    Built by PyXtal (Fredericks et al., Comput. Phys. Commun. 261, 107810 (2021)); the conventional cell is given.
    The space group is in the provenance as ``spacegroup``.

    Raises
    ------
    ValueError
        If the composition does not fit the space group, or no structure is found.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "random_crystal"
        composition = { Ti = 2, O = 4 }
        spacegroup = [14, 61, 136]
        n = 3
    """
    if (n_atoms := sum(config.composition.values())) > LARGEST_RANDOM_CELL:
        raise ValueError(f'"composition" has {n_atoms} atoms, more than {LARGEST_RANDOM_CELL}')
    crystals = require('pyxtal', 'builder "random_crystal"')
    groups = _compatible(config)
    structures: list[Structure] = []
    for _ in range(config.n):
        for _ in range(_ATTEMPTS):
            group = int(rng.choice(groups))
            atoms = _draw(crystals, config, group, int(rng.integers(2**31)))
            if atoms is not None:
                break
        else:
            raise ValueError(
                f'no random crystal of {config.composition} found in {_ATTEMPTS} attempts: raise "volume_factor", '
                'or change "spacegroup"'
            )
        structures.append(Structure(atoms, {}, {'spacegroup': group}))
    return structures


def _compatible(config: RandomCrystalConfig) -> list[int]:
    symmetry = require('pyxtal.symmetry', 'builder "random_crystal"')
    asked = config.spacegroup
    groups = range(1, 231) if asked is None else [asked] if isinstance(asked, int) else asked
    counts = list(config.composition.values())
    fits = [group for group in groups if symmetry.Group(group).check_compatible(counts)[0]]
    if not fits:
        raise ValueError(
            f'"composition" {config.composition} has no Wyckoff positions that add up to it in "spacegroup" {asked}'
        )
    return fits


def _draw(crystals: Any, config: RandomCrystalConfig, group: int, seed: int) -> Atoms | None:
    crystal = crystals.pyxtal()
    messages = require('pyxtal.msg', 'builder "random_crystal"')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            crystal.from_random(
                3, group, list(config.composition), list(config.composition.values()),
                factor=config.volume_factor, random_state=seed,
            )  # fmt: skip
        except (messages.Error, RuntimeError, ValueError):
            return None
    if not crystal.valid:
        return None
    made = crystal.to_ase()
    return Atoms(made.numbers, made.positions, cell=made.cell, pbc=True)
