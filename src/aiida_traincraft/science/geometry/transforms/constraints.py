"""Transform ``constraints``: atoms that relaxations hold fixed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import BoolArray
from aiida_traincraft.science.atoms.fragments import FRAMEWORK, get_fragments
from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

KEYS = ('indices', 'elements', 'fragments', 'below_z')


class ConstraintsConfig(TransformConfig):
    """Atoms to hold fixed; given twice, both sets of atoms are."""

    type: Literal['constraints'] = 'constraints'
    indices: tuple[int, ...] | None = Field(default=None, min_length=1)
    """Indices of atoms, from 0; negative ones count from the end."""
    elements: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Chemical symbols."""
    fragments: tuple[Annotated[int, Field(ge=FRAMEWORK)], ...] | None = Field(default=None, min_length=1)
    """Values of ``tc_fragment``: −1 for the framework, molecules from 0."""
    below_z: float | None = None
    """Atoms with a Cartesian z below this (Å)."""

    @model_validator(mode='after')
    def _one(self) -> ConstraintsConfig:
        if sum(getattr(self, key) is not None for key in KEYS) != 1:
            raise ValueError('give exactly one of "indices", "elements", "fragments" and "below_z"')
        return self


@register('transform', 'constraints', ConstraintsConfig)
def constraints(structure: Structure, config: ConstraintsConfig, rng: np.random.Generator) -> Structure:
    """Fixed atoms (ASE's ``FixAtoms``), besides those fixed before.

    They hold in the structure that is built, and in what later transforms make of it. Samplers take them off, so that
    labels cover every atom's motion, and stored structures do not carry them.

    Raises
    ------
    ValueError
        If no atom is meant, or an index, element or fragment is not there.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "slab"
        name = "Cu"
        facet = "fcc111"
        size = [2, 2, 4]

        [[transforms]]
        type = "constraints"
        below_z = 11.0
    """
    atoms = structure.atoms.copy()
    fixed = _meant(atoms, config)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed[constraint.index] = True
    others = [constraint for constraint in atoms.constraints if not isinstance(constraint, FixAtoms)]
    atoms.set_constraint([*others, FixAtoms(mask=fixed)])
    return Structure(atoms, {}, dict(structure.provenance))


def _meant(atoms: Atoms, config: ConstraintsConfig) -> BoolArray:
    if config.below_z is not None:
        meant = atoms.positions[:, 2] < config.below_z
        if not meant.any():
            lowest = atoms.positions[:, 2].min()
            raise ValueError(f'"below_z" is {config.below_z} Å, but the lowest atom is at z = {lowest:.3f} Å')
        return np.asarray(meant)
    if config.indices is not None:
        places = np.array(config.indices)
        if wrong := [place for place in config.indices if not -len(atoms) <= place < len(atoms)]:
            raise ValueError(f'"indices" has {wrong[0]}, but there are {len(atoms)} atoms')
        meant = np.zeros(len(atoms), dtype=bool)
        meant[places] = True
        return meant
    key = 'elements' if config.elements is not None else 'fragments'
    present = list(atoms.symbols) if config.elements is not None else get_fragments(atoms).tolist()
    wanted = config.elements or config.fragments or ()
    if absent := [value for value in wanted if value not in present]:
        raise ValueError(f'"{key}" has {absent[0]!r}, which is not there; there are {sorted(set(present))}')
    return np.isin(np.array(present), wanted)
