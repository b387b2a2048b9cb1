"""Source ``pubchem``: a molecule of the PubChem database."""

from __future__ import annotations

from typing import ClassVar, Literal
from urllib.parse import quote

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.fragments import infer_fragments, set_fragments
from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.sources.url import UrlConfig, read_url
from aiida_traincraft.science.geometry.species import MOST_SMILES
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

SERVICE = 'https://pubchem.ncbi.nlm.nih.gov/rest/pug/compound'
MAX_BYTES = 10_000_000


class PubchemConfig(SourceConfig):
    """A molecule by number, name or SMILES."""

    network: ClassVar[bool] = True
    type: Literal['pubchem'] = 'pubchem'
    cid: int | None = Field(default=None, ge=1, le=10**10)
    """PubChem's number of the compound."""
    name: str | None = Field(default=None, min_length=1, max_length=500)
    """Name, such as ``aspirin``; the compound that PubChem thinks of first."""
    smiles: str | None = Field(default=None, min_length=1, max_length=MOST_SMILES)
    """SMILES of exactly this compound."""
    vacuum: float | None = Field(default=None, gt=0, le=1000)
    """Vacuum on each side (Å); without it, the molecule has no cell."""
    timeout: float = Field(default=30.0, gt=0, le=3600)
    """Time (s) that the transfer may take."""

    @model_validator(mode='after')
    def _one(self) -> PubchemConfig:
        if sum(value is not None for value in (self.cid, self.name, self.smiles)) != 1:
            raise ValueError('give exactly one of "cid", "name" and "smiles"')
        return self


@register('source', 'pubchem', PubchemConfig)
def read_pubchem(config: PubchemConfig, workspace: Workspace | None, rng: np.random.Generator) -> Structure:
    """First conformer that PubChem computed of a molecule (Kim et al., Nucleic Acids Res. 53, D1516 (2025)).

    Fetched when the campaign is launched; the provenance names the address and the checksum of what came.

    Raises
    ------
    ValueError
        If PubChem cannot be reached, does not know the molecule, or has no conformer of it.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "pubchem"
        name = "aspirin"
        vacuum = 5.0
    """
    key, value = next(
        (key, str(value))
        for key, value in (('cid', config.cid), ('name', config.name), ('smiles', config.smiles))
        if value is not None
    )
    # The path of an address cannot carry the slashes of a SMILES.
    place = f'smiles/SDF?smiles={quote(value, safe="")}&' if key == 'smiles' else f'{key}/{quote(value, safe="")}/SDF?'
    address = f'{SERVICE}/{place}record_type=3d'
    asked = UrlConfig(url=address, format='sdf', max_bytes=MAX_BYTES, timeout=config.timeout)
    try:
        (structure,) = read_url(asked, workspace, rng)
    except ValueError as error:
        hint = '; it knows no such molecule, or no conformer: try source "smiles"' if ' answers 4' in str(error) else ''
        raise ValueError(f'"{key}": PubChem gives no {value!r}{hint} ({error})') from None
    atoms = structure.atoms
    set_fragments(atoms, infer_fragments(atoms))
    if config.vacuum is not None:
        atoms.center(vacuum=config.vacuum)
    return structure
