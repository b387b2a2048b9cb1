"""Builder ``surface_packing``: a liquid on a slab."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.fragments import FRAMEWORK, append, set_fragments
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.slab import SlabConfig, build_slab
from aiida_traincraft.science.geometry.packing import pack
from aiida_traincraft.science.geometry.species import Component, counts, make_components
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class SurfacePackingConfig(BuilderConfig):
    """Molecules packed into the space above a slab; needs packmol."""

    type: Literal['surface_packing'] = 'surface_packing'
    slab: SlabConfig
    """The slab, with the keys of the builder of that name; rectangular in the plane."""
    species: list[Component] = Field(min_length=1, max_length=20)
    """Molecules: ``name`` or ``smiles``, and ``count`` or ``ratio``."""
    n_molecules: int | None = Field(default=None, ge=1, le=100_000)
    """Molecules in all, shared out by ``ratio``."""
    thickness: float = Field(gt=0, le=1000)
    """Height (Å) of the space that is filled."""
    gap: float = Field(default=2.0, gt=0, le=20)
    """Least distance (Å) between the topmost layer of the slab and the molecules."""
    vacuum: float = Field(default=8.0, ge=0, le=1000)
    """Vacuum (Å) above the molecules and below the slab, each half of it."""
    tolerance: float = Field(default=2.0, gt=0, le=5)
    """Least distance (Å) of atoms of different molecules, across the border of the cell too."""
    seconds: float = Field(default=120.0, gt=0, le=86_400)
    """Time (s) after which packing is given up."""

    @model_validator(mode='after')
    def _consistent(self) -> SurfacePackingConfig:
        counts(self.species, self.n_molecules)
        return self


@register('builder', 'surface_packing', SurfacePackingConfig)
def build_surface_packing(config: SurfacePackingConfig, rng: np.random.Generator) -> Structure:
    """Molecules packed above a slab; the slab is framework, each molecule a fragment.

    Raises
    ------
    ValueError
        If the slab is not rectangular in the plane, a molecule is not known, or they do not fit.
    MissingLibraryError
        Without packmol.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "surface_packing"
        slab = { type = "slab", name = "Cu", facet = "fcc100", size = [4, 4, 3], a = 3.6 }
        species = [{ name = "H2O", count = 8 }]
        thickness = 8.0
    """
    made = build_slab(config.slab, rng)
    atoms = (made if isinstance(made, Structure) else made[0]).atoms
    edges = atoms.cell.lengths()
    if not np.allclose(atoms.cell.angles(), 90.0, atol=1e-3):
        angles = np.round(atoms.cell.angles(), 1).tolist()
        raise ValueError(f'"slab" has a cell with angles {angles}: a rectangular one is needed, such as facet "fcc100"')
    atoms.positions[:, 2] -= atoms.positions[:, 2].min()
    top = float(atoms.positions[:, 2].max())
    bottom = top + config.gap - config.tolerance / 2
    species = make_components(config.species, config.n_molecules, rng)
    upper = [edges[0], edges[1], bottom + config.thickness + config.tolerance / 2]
    seed = int(rng.integers(1, 2**31))
    packed = pack(species, [0, 0, bottom], upper, config.tolerance, seed, config.seconds, 'builder "surface_packing"')
    set_fragments(atoms, FRAMEWORK)
    append(atoms, packed)
    height = top + config.gap + config.thickness + config.vacuum
    atoms.set_cell([edges[0], edges[1], height])
    atoms.positions[:, 2] += config.vacuum / 2
    return Structure(atoms)
