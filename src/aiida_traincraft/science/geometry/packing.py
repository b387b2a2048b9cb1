"""Molecules packed without overlap, by packmol."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.fragments import append
from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.optional import require


def pack(
    species: Sequence[tuple[Atoms, int]],
    lower: Sequence[float],
    upper: Sequence[float],
    tolerance: float,
    seed: int,
    seconds: float,
    what: str,
) -> Atoms:
    """Molecules at random places and orientations in a box.

    Packmol (Martínez et al., J. Comput. Chem. 30, 2157 (2009)) keeps atoms of different molecules at least a distance
    apart; the box is taken smaller by half of it on each side, so that this holds across a periodic border too.

    Parameters
    ----------
    species
        Molecules and how many of each.
    lower, upper
        Corners of the box (Å).
    tolerance
        Least distance (Å) of atoms of different molecules.
    seed
        Seed of packmol.
    seconds
        Time (s) after which it is given up.
    what
        Plugin that wants it, for errors.

    Returns
    -------
    Atoms
        No cell; every molecule a fragment, in the order given.

    Raises
    ------
    ValueError
        If they do not fit.
    MissingLibraryError
        Without packmol.
    """
    require('packmol', what)
    beside = str(Path(sys.executable).parent)
    program = shutil.which('packmol', path=os.pathsep.join([beside, os.environ.get('PATH', '')]))
    if program is None:
        raise ValueError(f'{what}: the program packmol is neither in {beside} nor in PATH')
    check_size(sum(len(atoms) * count for atoms, count in species), '"count" or "n_molecules"')
    inner = (np.asarray(lower, float) + tolerance / 2, np.asarray(upper, float) - tolerance / 2)
    if (inner[1] <= inner[0]).any():
        edges = np.round(np.subtract(upper, lower), 2).tolist()
        raise ValueError(f'the box {edges} Å has no room for "tolerance" ({tolerance} Å): make it larger')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f'tolerance {tolerance}', 'filetype xyz', 'output packed.xyz', f'seed {seed % 2**31}']
        corners = ' '.join(f'{x:.6f}' for x in np.concatenate(inner))
        for index, (atoms, count) in enumerate(species):
            ase.io.write(folder / f'{index}.xyz', Atoms(atoms.numbers, atoms.positions), plain=True)
            lines += [f'structure {index}.xyz', f'  number {count}', f'  inside box {corners}', 'end structure']
        deck = folder / 'packmol.inp'
        deck.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        try:
            # Packmol goes back in its input, so that it must be a file, not a pipe.
            with deck.open(encoding='utf-8') as handle:
                done = subprocess.run(
                    [program],
                    check=False,
                    stdin=handle,
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                )
        except subprocess.TimeoutExpired:
            raise ValueError(
                f'packmol found no packing in {seconds:g} s: lower the density or "tolerance" ({tolerance} Å)'
            ) from None
        if done.returncode or not (folder / 'packed.xyz').is_file() or 'ERROR' in done.stdout:
            raise ValueError(f'the molecules do not fit: lower the density or "tolerance" ({tolerance} Å)')
        positions = ase.io.read(folder / 'packed.xyz').positions
    packed, first = Atoms(), 0
    for atoms, count in species:
        for _ in range(count):
            molecule = atoms.copy()
            molecule.positions = positions[first : first + len(molecule)]
            append(packed, molecule)
            first += len(molecule)
    return packed
