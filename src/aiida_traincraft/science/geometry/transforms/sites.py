"""Sites that a defect is made at: given, or drawn."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import IntArray
from aiida_traincraft.science.config.kinds import TransformConfig


class SitesConfig(TransformConfig):
    """Base of the transforms that change some atoms: how many, or which."""

    count: int | None = Field(default=None, ge=0)
    """Atoms changed, drawn at random."""
    fraction: float | None = Field(default=None, ge=0, le=1)
    """Share of the atoms that is changed, drawn at random; rounded to a whole number of atoms."""
    sites: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Indices of the atoms changed, from 0."""

    @model_validator(mode='after')
    def _one(self) -> SitesConfig:
        if sum(value is not None for value in (self.count, self.fraction, self.sites)) != 1:
            raise ValueError('give exactly one of "count", "fraction" and "sites"')
        if self.sites is not None and len(set(self.sites)) < len(self.sites):
            raise ValueError('"sites" has an atom twice')
        return self

    def choose(self, atoms: Atoms, element: str | None, key: str, rng: np.random.Generator) -> IntArray:
        """Indices of the atoms changed.

        Parameters
        ----------
        atoms
            What to choose from.
        element
            Only atoms of this element; of any without it.
        key
            Key that gives the element, for the errors.
        rng
            Draws by count and fraction.

        Raises
        ------
        ValueError
            If there are fewer, no such, or other atoms than asked for.
        """
        eligible = np.flatnonzero(atoms.symbols == element) if element is not None else np.arange(len(atoms))
        what = f'{element} atoms' if element is not None else 'atoms'
        if self.sites is not None:
            if wrong := sorted(set(self.sites).difference(range(len(atoms)))):
                raise ValueError(f'"sites" has {wrong[0]}, but there are {len(atoms)} atoms')
            if wrong := sorted(set(self.sites).difference(eligible.tolist())):
                raise ValueError(f'"sites" has {wrong[0]}, which is {atoms.symbols[wrong[0]]}, not "{key}" {element}')
            return np.array(self.sites)
        if element is not None and not len(eligible):
            raise ValueError(f'"{key}" is {element}, of which there is no atom')
        number = self.count if self.count is not None else round((self.fraction or 0.0) * len(eligible))
        if number > len(eligible):
            raise ValueError(f'"count" is {number}, but there are {len(eligible)} {what}')
        return np.sort(rng.choice(eligible, size=number, replace=False))
