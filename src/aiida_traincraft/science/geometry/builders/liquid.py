"""Builder ``liquid``: molecules packed into a periodic box."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from ase import units
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.packing import pack
from aiida_traincraft.science.geometry.species import Component, counts, make_components
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Edge = Annotated[float, Field(gt=0, le=1000)]
GRAMS_PER_CM3 = units.kg * 1e-3 / (units.m * 1e-2) ** 3


class LiquidConfig(BuilderConfig):
    """A liquid or gas of one or several kinds of molecules; needs packmol."""

    aliases: ClassVar[tuple[str, ...]] = ('packmol', 'water')
    type: Literal['liquid'] = 'liquid'
    species: list[Component] = Field(min_length=1, max_length=20)
    """Molecules: ``name`` or ``smiles``, and ``count`` or ``ratio``."""
    n_molecules: int | None = Field(default=None, ge=1, le=100_000)
    """Molecules in all, shared out by ``ratio``."""
    density: float | None = Field(default=None, gt=0, le=30)
    """Mass density (g/cm³) of a cubic box."""
    box: tuple[Edge, Edge, Edge] | None = None
    """Edges of the box (Å), in place of the density."""
    tolerance: float = Field(default=2.0, gt=0, le=5)
    """Least distance (Å) of atoms of different molecules, across the border of the box too."""
    seconds: float = Field(default=120.0, gt=0, le=86_400)
    """Time (s) after which packing is given up."""

    @model_validator(mode='after')
    def _consistent(self) -> LiquidConfig:
        if (self.density is None) == (self.box is None):
            raise ValueError('give exactly one of "density" and "box"')
        counts(self.species, self.n_molecules)
        return self


@register('builder', 'liquid', LiquidConfig)
def build_liquid(config: LiquidConfig, rng: np.random.Generator) -> Structure:
    """Molecules packed at random into a periodic box, by density or by its edges; each molecule is a fragment.

    Raises
    ------
    ValueError
        If a molecule is not known, or they do not fit.
    MissingLibraryError
        Without packmol.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "liquid"
        density = 0.9
        n_molecules = 20
        species = [{ name = "H2O", ratio = 3.0 }, { name = "CH3OH", ratio = 1.0 }]
    """
    species = make_components(config.species, config.n_molecules, rng)
    box = np.array(config.box or [])
    if config.density is not None:
        mass = sum(atoms.get_masses().sum() * number for atoms, number in species)
        box = np.full(3, (mass / (config.density * GRAMS_PER_CM3)) ** (1 / 3))
    seed = int(rng.integers(1, 2**31))
    atoms = pack(species, [0, 0, 0], box.tolist(), config.tolerance, seed, config.seconds, 'builder "liquid"')
    atoms.set_cell(box)
    atoms.pbc = True
    return Structure(atoms)
