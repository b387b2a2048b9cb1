"""Builder ``nanotube``: single-walled tubes of carbon or boron nitride."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.build import graphene, make_supercell
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.crystal import Count, Length
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

# Formula of the flat sheet and its bond length (Å).
_SHEETS = {'C': ('C2', 1.42), 'BN': ('BN', 1.45)}


class NanotubeConfig(BuilderConfig):
    """A tube along z, rolled from a hexagonal sheet."""

    aliases: ClassVar[tuple[str, ...]] = ('cnt',)
    type: Literal['nanotube'] = 'nanotube'
    name: Literal['C', 'BN'] = 'C'
    """Carbon or boron nitride."""
    n: int = Field(ge=0, le=200)
    """First chiral index."""
    m: int = Field(ge=0, le=200)
    """Second chiral index; (n, m) and (m, n) are mirror images."""
    length: Count = 1
    """Repetitions of the period along the tube."""
    bond: Length | None = None
    """Bond length in the flat sheet (Å)."""
    vacuum: float = Field(default=6.0, gt=0, le=1000)
    """Vacuum around the tube on each side (Å)."""
    periodic: bool = True
    """Periodic along the tube; else vacuum is at its ends too."""

    @model_validator(mode='after')
    def _wide_enough(self) -> NanotubeConfig:
        if self.n**2 + self.n * self.m + self.m**2 < 9:
            raise ValueError(f'"n" {self.n} and "m" {self.m} give no tube: take at least (3, 0) or (2, 2)')
        return self


@register('builder', 'nanotube', NanotubeConfig)
def build_nanotube(config: NanotubeConfig, rng: np.random.Generator) -> Structure:
    """Single-walled nanotube: a sheet rolled along C = n·a1 + m·a2, a1 and a2 at 60 degrees.

    Its radius is R = a √(n² + nm + m²) / 2π with a = √3 times the bond length, its period T = √3 |C| / d and its number
    of atoms in a period 4 (n² + nm + m²) / d, where d is the greatest common divisor of 2n + m and 2m + n
    (Dresselhaus, Dresselhaus and Saito, Carbon 33, 883 (1995)).

    Raises
    ------
    ValueError
        If the tube would be too large.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "nanotube"
        n = 6
        m = 3
    """
    return Structure(roll_tube(config))


def roll_tube(config: NanotubeConfig) -> Atoms:
    """Tube of a config in its cell, its axis in the middle.

    Raises
    ------
    ValueError
        As :func:`build_nanotube`.
    """
    n, m = config.n, config.m
    divisor = math.gcd(2 * n + m, 2 * m + n)
    check_size(4 * (n * n + n * m + m * m) // divisor * config.length, '"n", "m" and "length"')
    formula, bond = _SHEETS[config.name]
    sheet = graphene(formula, a=math.sqrt(3) * (config.bond or bond))
    sheet.cell[2] = [0.0, 0.0, 1.0]
    # ASE's vectors are at 120 degrees: n·a1 + m·a2 is (n + m, m) of them, and so for the period.
    first, second = (2 * m + n) // divisor, -(2 * n + m) // divisor
    flat = make_supercell(sheet, [[n + m, m, 0], [-first - second, -second, 0], [0, 0, 1]])
    around, along = flat.cell.lengths()[:2]
    fractions = flat.get_scaled_positions()
    angles, radius = 2 * np.pi * fractions[:, 0], around / (2 * np.pi)
    positions = np.column_stack([radius * np.cos(angles), radius * np.sin(angles), along * fractions[:, 1]])
    tube = Atoms(flat.numbers, positions, cell=[0, 0, along], pbc=[False, False, True]).repeat((1, 1, config.length))
    tube.center(vacuum=config.vacuum, axis=(0, 1))
    if config.periodic:
        tube.pbc = True
    else:
        tube.center(vacuum=config.vacuum, axis=2)
        tube.pbc = False
    return tube
