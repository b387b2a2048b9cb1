"""Transform ``vacancy``: atoms taken out."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiida_traincraft.science.geometry.defects import Element
from aiida_traincraft.science.geometry.transforms.sites import SitesConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class VacancyConfig(SitesConfig):
    """Vacancies of an exact number."""

    type: Literal['vacancy'] = 'vacancy'
    element: Element | None = None
    """Element that is taken out; any without it."""


@register('transform', 'vacancy', VacancyConfig)
def vacancy(structure: Structure, config: VacancyConfig, rng: np.random.Generator) -> Structure:
    """Vacancies at exactly as many sites as asked; the other atoms keep their order, places and fragments.

    Raises
    ------
    ValueError
        If there are fewer, no such, or other atoms than asked for, or none would be left.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "MgO"
        crystalstructure = "rocksalt"
        a = 4.21
        cubic = true
        repeat = [2, 2, 2]

        [[transforms]]
        type = "vacancy"
        element = "O"
        count = 2
    """
    atoms = structure.atoms.copy()
    chosen = config.choose(atoms, config.element, 'element', rng)
    if len(chosen) == len(atoms):
        raise ValueError(f'all {len(atoms)} atoms would be taken out: lower "count" or "fraction", or give "element"')
    del atoms[chosen.tolist()]
    return Structure(atoms, {}, dict(structure.provenance))
