"""Source ``materials_project``: crystals of the Materials Project by their identifiers."""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from aiida_traincraft.science.atoms.conversion import from_pymatgen
from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

KEY = 'MP_API_KEY'
"""Variable of the environment with the user's key; never a key of the config, which is kept and shared."""
Identifier = Annotated[str, Field(pattern=r'^(mp|mvc)-[0-9a-z]{1,20}$')]


class MaterialsProjectConfig(SourceConfig):
    """Crystals by identifier; needs mp-api, and the user's key in the environment variable MP_API_KEY."""

    aliases: ClassVar[tuple[str, ...]] = ('mp',)
    network: ClassVar[bool] = True
    type: Literal['materials_project'] = 'materials_project'
    ids: tuple[Identifier, ...] = Field(min_length=1, max_length=1000)
    """Identifiers such as ``mp-149``."""


@register('source', 'materials_project', MaterialsProjectConfig)
def read_materials_project(
    config: MaterialsProjectConfig, workspace: Workspace | None, rng: np.random.Generator
) -> list[Structure]:
    """Primitive cells of the Materials Project (Jain et al., APL Mater. 1, 011002 (2013)), as relaxed there.

    Fetched when the campaign is launched; the provenance names the identifier and the version of the database.

    Raises
    ------
    ValueError
        If there is no key, the Materials Project does not answer, or does not have a material.
    MissingLibraryError
        Without mp-api.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "materials_project"
        ids = ["mp-149", "mp-66"]
    """
    library = require('mp_api.client', 'source "materials_project"')
    if not os.environ.get(KEY):
        raise ValueError(f'source "materials_project" needs your key of the Materials Project: set {KEY}')
    found: dict[str, Any] = {}
    try:
        with library.MPRester(os.environ[KEY], mute_progress_bars=True) as client:
            version = getattr(client, 'db_version', None)
            for name in config.ids:
                found[name] = client.get_structure_by_material_id(name)
    # Its client raises its own errors, those of requests and those of its models.
    except Exception as error:
        reason = str(error).replace(os.environ[KEY], '...') or type(error).__name__
        raise ValueError(f'"ids": the Materials Project gives no answer: {reason}') from None
    return [_structure(name, crystal, version) for name, crystal in found.items()]


def _structure(name: str, crystal: Any, version: str | None) -> Structure:
    if not crystal:
        raise ValueError(f'"ids": the Materials Project has no {name!r}')
    if not crystal.is_ordered:
        raise ValueError(f'"ids": {name!r} has partly occupied sites')
    check_size(len(crystal), name)
    atoms = from_pymatgen(crystal)
    # Magnetic moments and charges of the calculations there are no part of the geometry.
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    return Structure(bare, {}, {'material_id': name, 'database_version': version})
