"""Transform ``substitute``: atoms of one element by those of another."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from aiida_traincraft.science.geometry.defects import Element
from aiida_traincraft.science.geometry.transforms.sites import SitesConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class SubstituteConfig(SitesConfig):
    """Substitutions of an exact number."""

    type: Literal['substitute'] = 'substitute'
    old: Element | None = None
    """Element that is replaced; with ``sites`` it may be left out."""
    new: Element
    """Element that takes its place."""


@register('transform', 'substitute', SubstituteConfig)
def substitute(structure: Structure, config: SubstituteConfig, rng: np.random.Generator) -> Structure:
    """Substitution at exactly as many sites as asked; the atoms keep their order, places and fragments.

    Masses become those of the new element; initial charges and magnetic moments become zero.

    Raises
    ------
    ValueError
        If an element is not known, or there are fewer, no such, or other atoms than asked for.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true
        repeat = [2, 2, 2]

        [[transforms]]
        type = "substitute"
        old = "Cu"
        new = "Au"
        fraction = 0.25
    """
    if config.old is None and config.sites is None:
        raise ValueError('"old" is needed with "count" and "fraction": the element that is replaced')
    if config.old == config.new:
        raise ValueError(f'"old" and "new" are both {config.new}')
    atoms = structure.atoms.copy()
    chosen = config.choose(atoms, config.old, 'old', rng)
    number = atomic_numbers[config.new]
    atoms.numbers[chosen] = number
    for name, value in (('masses', atomic_masses[number]), ('initial_charges', 0.0), ('initial_magmoms', 0.0)):
        if name in atoms.arrays:
            atoms.arrays[name][chosen] = value
    return Structure(atoms, {}, dict(structure.provenance))
