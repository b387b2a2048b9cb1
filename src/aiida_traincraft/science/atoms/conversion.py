"""Between ASE, pymatgen and RDKit, with the fragments of the atoms kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.fragments import FRAGMENT, get_fragments, set_fragments
from aiida_traincraft.science.optional import require


def to_pymatgen(atoms: Atoms) -> Any:
    """``Structure`` of periodic atoms, ``Molecule`` of others; per-atom arrays become site properties."""
    from pymatgen.io.ase import AseAtomsAdaptor

    if atoms.pbc.any():
        return AseAtomsAdaptor.get_structure(atoms)
    return AseAtomsAdaptor.get_molecule(atoms)


def from_pymatgen(structure: Any) -> Atoms:
    """Atoms of a ``Structure`` or ``Molecule``; site properties become per-atom arrays."""
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms: Atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.calc = None
    atoms.info.clear()
    return atoms


def to_rdkit(atoms: Atoms, charge: int = 0) -> Any:
    """Molecule of RDKit with one conformer (Å) and the fragments as an atom property.

    Parameters
    ----------
    atoms
        Whole molecules; periodicity is not passed on.
    charge
        Total charge (e).

    Raises
    ------
    ValueError
        If no bonds and bond orders fit the geometry and the charge.
    """
    chem = require('rdkit.Chem', 'a molecule of RDKit')
    bonds = require('rdkit.Chem.rdDetermineBonds', 'a molecule of RDKit')
    molecule = chem.RWMol()
    conformer = chem.Conformer(len(atoms))
    fragments = get_fragments(atoms).tolist()
    for index, (number, position) in enumerate(zip(atoms.numbers.tolist(), atoms.positions.tolist(), strict=True)):
        atom = chem.Atom(number)
        atom.SetNoImplicit(True)
        atom.SetIntProp(FRAGMENT, fragments[index])
        molecule.AddAtom(atom)
        conformer.SetAtomPosition(index, position)
    molecule.AddConformer(conformer)
    try:
        bonds.DetermineBonds(molecule, charge=charge)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f'{atoms.get_chemical_formula()} with charge {charge} e has no bonds that fit: {reason}'
        ) from None
    return molecule.GetMol()


def from_rdkit(molecule: Any, conformer: int = -1) -> Atoms:
    """Atoms of one conformer of RDKit's molecule.

    Parameters
    ----------
    molecule
        With explicit hydrogens and at least one conformer; its atoms' fragments are kept, else each of its molecules
        gets a number.
    conformer
        Its identifier; −1 takes the first.
    """
    chem = require('rdkit.Chem', 'a molecule of RDKit')
    rdkit_atoms = list(molecule.GetAtoms())
    atoms = Atoms([atom.GetAtomicNum() for atom in rdkit_atoms], molecule.GetConformer(conformer).GetPositions())
    if all(atom.HasProp(FRAGMENT) for atom in rdkit_atoms):
        set_fragments(atoms, [atom.GetIntProp(FRAGMENT) for atom in rdkit_atoms])
    else:
        numbers = np.zeros(len(atoms), dtype=int)
        for number, members in enumerate(chem.GetMolFrags(molecule)):
            numbers[list(members)] = number
        set_fragments(atoms, numbers)
    return atoms
