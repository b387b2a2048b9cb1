"""Source ``smiles``: conformers of a molecule."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.species import MOST_SMILES, conformers
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


class SmilesConfig(SourceConfig):
    """A molecule by its SMILES; needs RDKit."""

    type: Literal['smiles'] = 'smiles'
    smiles: str = Field(min_length=1, max_length=MOST_SMILES)
    """The molecule, or several separated by dots."""
    n_conformers: int = Field(default=1, ge=1, le=1000)
    """Conformers, the lowest in energy first."""
    vacuum: float | None = Field(default=None, gt=0, le=1000)
    """Vacuum on each side (Å); without it, the molecule has no cell."""


@register('source', 'smiles', SmilesConfig)
def read_smiles(config: SmilesConfig, workspace: Workspace | None, rng: np.random.Generator) -> list[Structure]:
    """Conformers by ETKDG, relaxed by MMFF94 (RDKit); hydrogens are added.

    The provenance names the total ``charge`` (e) and the number of ``radical_electrons``: a calculator knows neither.

    Raises
    ------
    ValueError
        If the SMILES is none, or no geometry can be embedded.
    MissingLibraryError
        Without RDKit.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "smiles"
        smiles = "CC(=O)Oc1ccccc1C(=O)O"
        n_conformers = 3
    """
    found = conformers(config.smiles, config.n_conformers, rng)
    for atoms in found:
        if config.vacuum is not None:
            atoms.center(vacuum=config.vacuum)
    chem = require('rdkit.Chem', 'source "smiles"')
    parsed = chem.MolFromSmiles(config.smiles)
    radicals = sum(atom.GetNumRadicalElectrons() for atom in parsed.GetAtoms())
    facts = {'smiles': config.smiles, 'charge': chem.GetFormalCharge(parsed), 'radical_electrons': radicals}
    return [Structure(atoms, {}, dict(facts)) for atoms in found]
