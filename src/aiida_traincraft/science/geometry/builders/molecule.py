"""Builder ``molecule``: one molecule, alone or in a box."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.species import MOST_SMILES, Species, make_species
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Edge = Annotated[float, Field(gt=0, le=1000)]


class MoleculeConfig(BuilderConfig):
    """A molecule by name or SMILES."""

    type: Literal['molecule'] = 'molecule'
    name: str | None = Field(default=None, min_length=1)
    """Molecule that ASE knows (the G2 set, ``C60``, ``biphenyl``) such as ``H2O``, or an element."""
    smiles: str | None = Field(default=None, min_length=1, max_length=MOST_SMILES)
    """SMILES, in place of a name; needs RDKit."""
    vacuum: float | None = Field(default=None, gt=0, le=1000)
    """Vacuum on each side (Å), not periodic."""
    box: tuple[Edge, Edge, Edge] | None = None
    """Edges of a periodic box (Å), in place of ``vacuum``."""

    @model_validator(mode='after')
    def _consistent(self) -> MoleculeConfig:
        Species(name=self.name, smiles=self.smiles)
        if self.vacuum is not None and self.box is not None:
            raise ValueError('give "vacuum" or "box", not both')
        return self


@register('builder', 'molecule', MoleculeConfig)
def build_molecule(config: MoleculeConfig, rng: np.random.Generator) -> Structure:
    """One molecule: without cell, with vacuum around it, or in the middle of a periodic box.

    Raises
    ------
    ValueError
        If the molecule is not known, or larger than the box.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "molecule"
        name = "C6H6"
        vacuum = 5.0
    """
    atoms = make_species(Species(name=config.name, smiles=config.smiles), rng)
    if config.vacuum is not None:
        atoms.center(vacuum=config.vacuum)
    if config.box is not None:
        size = np.ptp(atoms.positions, axis=0)
        if (size > config.box).any():
            raise ValueError(f'"box" {list(config.box)} Å is smaller than the molecule, {np.round(size, 1).tolist()} Å')
        atoms.set_cell(config.box)
        atoms.center()
        atoms.pbc = True
    return Structure(atoms)
