"""Molecules by name, SMILES or file: the block of keys that several builders share."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.build.molecule import extra
from ase.collections import g2
from ase.data import atomic_numbers
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.conversion import from_rdkit
from aiida_traincraft.science.atoms.fragments import set_fragments
from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.geometry.defects import largest_remainder
from aiida_traincraft.science.optional import require

MOST_SMILES = 1000
EMBED_SECONDS = 30


class Species(StrictModel):
    """A molecule or atom."""

    name: str | None = Field(default=None, min_length=1)
    """Molecule that ASE knows (the G2 set, ``C60``, ``biphenyl``) such as ``H2O``, or an element."""
    smiles: str | None = Field(default=None, min_length=1, max_length=MOST_SMILES)
    """SMILES of the molecule, in place of a name; needs RDKit."""

    @property
    def label(self) -> str:
        """Name or SMILES."""
        return self.name or self.smiles or ''

    @model_validator(mode='after')
    def _one(self) -> Species:
        if (self.name is None) == (self.smiles is None):
            raise ValueError('give exactly one of "name" and "smiles"')
        return self


class Component(Species):
    """A molecule and how many of it."""

    count: int | None = Field(default=None, ge=1, le=100_000)
    """Number of molecules."""
    ratio: float | None = Field(default=None, gt=0)
    """Share of the molecules, relative to the others."""

    @model_validator(mode='after')
    def _one_amount(self) -> Component:
        if (self.count is None) == (self.ratio is None):
            raise ValueError('give exactly one of "count" and "ratio"')
        return self


def make_species(species: Species, rng: np.random.Generator) -> Atoms:
    """Atoms of a species without cell; fragment 0.

    Raises
    ------
    ValueError
        If the name is not known, or the SMILES is none or cannot be embedded.
    """
    if species.smiles is not None:
        return conformers(species.smiles, 1, rng)[0]
    assert species.name is not None
    if species.name in g2.names or species.name in extra:
        atoms = molecule(species.name)
    elif species.name in atomic_numbers and atomic_numbers[species.name] > 0:
        atoms = Atoms(species.name)
    else:
        raise ValueError(
            f'"name": {species.name!r} is neither an element nor a molecule of ASE\'s G2 set: give "smiles" instead'
        )
    atoms.info.clear()
    set_fragments(atoms, 0)
    return atoms


def make_components(
    components: list[Component], n_molecules: int | None, rng: np.random.Generator
) -> list[tuple[Atoms, int]]:
    """Atoms of each component and how many of it, without those of which there is none; see :func:`counts`."""
    numbers = counts(components, n_molecules)
    return [(make_species(item, rng), number) for item, number in zip(components, numbers, strict=True) if number]


def conformers(smiles: str, n: int, rng: np.random.Generator) -> list[Atoms]:
    """Conformers of a molecule.

    Embedded by ETKDG (Riniker and Landrum, J. Chem. Inf. Model. 55, 2562 (2015)), relaxed by MMFF94.

    Parameters
    ----------
    smiles
        The molecule, or several separated by dots; hydrogens are added.
    n
        Conformers wanted.
    rng
        Source of the seed.

    Returns
    -------
    list of Atoms
        At most ``n``, the lowest in energy first where MMFF knows all atoms; a fragment per molecule, no cell.

    Raises
    ------
    ValueError
        If the SMILES is none, or no conformer can be embedded.
    """
    chem, force_fields = require('rdkit.Chem', 'a SMILES'), require('rdkit.Chem.AllChem', 'a SMILES')
    require('rdkit.RDLogger', 'a SMILES').DisableLog('rdApp.*')
    # RDKit reads no further than a null character.
    parsed = chem.MolFromSmiles(smiles) if smiles.isprintable() else None
    if parsed is None:
        raise ValueError(f'"smiles": {smiles!r} is no SMILES that RDKit can read')
    if any(atom.GetAtomicNum() == 0 for atom in parsed.GetAtoms()):
        raise ValueError(f'"smiles": {smiles!r} has atoms without an element')
    full = chem.AddHs(parsed)
    check_size(full.GetNumAtoms(), '"smiles"')
    parameters = force_fields.ETKDGv3()
    parameters.randomSeed = int(rng.integers(2**31))
    parameters.maxIterations = 50
    parameters.timeout = EMBED_SECONDS
    found: list[int] = []
    # Random coordinates embed long chains and cages on which the usual start fails.
    for parameters.useRandomCoords in (False, True):
        if full.GetNumAtoms() and not found:
            # One that timed out counts as −1.
            found = [place for place in force_fields.EmbedMultipleConfs(full, n, parameters) if place >= 0]
    if not found:
        raise ValueError(f'"smiles": no geometry can be embedded for {smiles!r}')
    order = found
    if force_fields.MMFFHasAllMoleculeParams(full):
        energies = [energy for _, energy in force_fields.MMFFOptimizeMoleculeConfs(full, maxIters=2000)]
        order = [found[place] for place in np.argsort(energies, kind='stable')]
    return [from_rdkit(full, conformer) for conformer in order]


def counts(components: list[Component], n_molecules: int | None) -> list[int]:
    """Molecules of each component: as given, or shares of ``n_molecules`` by largest remainder.

    Raises
    ------
    ValueError
        If ratios come without a number of molecules, or with counts beside them.
    """
    if all(component.count is not None for component in components):
        if n_molecules is not None:
            raise ValueError('"n_molecules" goes with "ratio"; with "count" leave it out')
        return [component.count or 0 for component in components]
    if any(component.count is not None for component in components):
        raise ValueError('give either "count" or "ratio" for all species, not both kinds')
    if n_molecules is None:
        raise ValueError('"ratio" needs "n_molecules"')
    return largest_remainder([component.ratio or 0.0 for component in components], n_molecules)
