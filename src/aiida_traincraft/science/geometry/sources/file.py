"""Source ``file``: frames of any files that ASE reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.fragments import FRAGMENT, infer_fragments, set_fragments
from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.declared_sizes import check_declared_sizes, check_unpacked_size
from aiida_traincraft.science.geometry.defects import Element
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace, input_path

FULL = 1e-3
"""Deviation of an occupancy from one that rounding explains."""
SliceText = Annotated[str, Field(pattern=r'^-?\d{0,9}:-?\d{0,9}(:(-?[1-9]\d{0,8})?)?$')]


class FileSourceConfig(SourceConfig):
    """Structures in one file or several."""

    type: Literal['file'] = 'file'
    path: str | None = None
    """File; absolute, or relative to the workspace."""
    paths: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Several files, in place of ``path``."""
    index: int | SliceText = -1
    """Frame of each file; negative numbers count from the end. Or a slice such as ``"::10"``, and ``":"`` for all."""
    format: str | None = None
    """ASE's name of the format; by default the file's name and content decide."""
    species: tuple[Element, ...] | None = Field(default=None, min_length=1)
    """Elements of the atom types 1, 2, ... of a LAMMPS dump that names none."""
    fragments: Literal['keep', 'infer'] = 'keep'
    """Molecules: as the file's ``tc_fragment`` says, or found from the bonds between the atoms."""

    max_unpacked: int = Field(default=32_000_000, ge=1, le=10**12)
    """Most bytes that a compressed file (.gz, .bz2, .xz) may unpack to: all its frames are read at once."""

    @model_validator(mode='after')
    def _one(self) -> FileSourceConfig:
        if (self.path is None) == (self.paths is None):
            raise ValueError('give exactly one of "path" and "paths"')
        return self


@register('source', 'file', FileSourceConfig)
def read_file(config: FileSourceConfig, workspace: Workspace | None, rng: np.random.Generator) -> list[Structure]:
    """Frames of any files that ASE reads.

    Per-atom arrays are kept; energies, forces and constraints of the file are not.

    Raises
    ------
    ValueError
        If a file is missing, its format cannot be read, it has no such frame, or what it holds is no structure.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "file"
        path = "structures.extxyz"
        index = "::10"
    """
    key, names = ('path', [config.path or '']) if config.paths is None else ('paths', list(config.paths))
    structures: list[Structure] = []
    for name in names:
        path = input_path(workspace, name, key)
        for atoms in _read(path, config, key):
            _check(atoms, f'"{key}": {path.name}')
            if config.fragments == 'infer':
                set_fragments(atoms, infer_fragments(atoms))
            structures.append(Structure(atoms))
    return structures


def _read(path: Path, config: FileSourceConfig, key: str) -> list[Atoms]:
    check_unpacked_size(path, config.max_unpacked, key)
    check_declared_sizes(path, config.format, key)
    try:
        # All of them: asked for one, ASE gives the first frame of an extxyz for any index too negative.
        frames = ase.io.read(path, index=':', format=config.format, do_not_split_by_at_sign=True)
        found = [frames[config.index]] if isinstance(config.index, int) else frames[_slice(config.index)]
    except (IndexError, StopIteration) as error:
        raise ValueError(f'"index": {path.name} has no frame {config.index}') from error
    # A reader may raise anything on a file that is not of its format.
    except Exception as error:
        tried = f'as {config.format!r}' if config.format else 'in a format found by its name and content'
        raise ValueError(
            f'"{key}": {path.name} cannot be read {tried} ({type(error).__name__}: {error}); '
            '"format" takes the names that `ase info --formats` lists'
        ) from error
    if not found:
        raise ValueError(f'"index": {path.name} has {len(frames)} frames, of which {config.index!r} takes none')
    typed = _has_only_types(path)
    if config.species is not None and not typed:
        raise ValueError(f'"species": {path.name} is no LAMMPS dump without elements')
    for atoms in found:
        _check_occupancies(atoms, f'"{key}": {path.name}')
        if typed:
            _name_types(atoms, config.species, path.name)
        atoms.calc = None
        atoms.set_constraint()
        atoms.info.clear()
    return found


def _check_occupancies(atoms: Atoms, what: str) -> None:
    """Refuse sites that several species share, or that are partly empty: the reader keeps one species of each."""
    for site, occupancy in atoms.info.get('occupancy', {}).items():
        if len(occupancy) > 1 or abs(sum(occupancy.values()) - 1.0) > FULL:
            told = ', '.join(f'{species} {share:g}' for species, share in occupancy.items())
            raise ValueError(
                f'{what} has a partly occupied site ({told}; site {site}): give an ordered cell, and let the '
                'transforms "alloy" or "vacancy" draw the disorder'
            )


def _has_only_types(path: Path) -> bool:
    """Whether a file is a LAMMPS dump that tells types of atoms and no elements."""
    with path.open('rb') as handle:
        if handle.readline(100).strip() != b'ITEM: TIMESTEP':
            return False
        lines = (handle.readline(1000) for _ in range(100))
        header = next((line.split() for line in lines if line.startswith(b'ITEM: ATOMS')), [])
    return b'type' in header and b'element' not in header


def _name_types(atoms: Atoms, species: tuple[str, ...] | None, name: str) -> None:
    """Put the elements in the place of atom types, which the reader takes for atomic numbers."""
    types = atoms.numbers
    if species is None:
        raise ValueError(
            f'"species": {name} names no elements but types 1 to {types.max()}: give their elements, such as '
            'species = ["Ni", "Al"]'
        )
    if types.max() > len(species):
        raise ValueError(f'"species": {name} has the type {types.max()}, and {len(species)} elements are given')
    atoms.numbers = [atomic_numbers[species[number - 1]] for number in types]


def _slice(text: str) -> slice:
    return slice(*(int(part) if part else None for part in text.split(':')))


def check_numbers(atoms: Atoms, what: str) -> None:
    """Refuse numbers that are not finite, and periodic directions without a cell vector.

    Raises
    ------
    ValueError
        That begins with ``what``.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError(f'{what} has positions or cell vectors that are not finite')
    if np.linalg.matrix_rank(atoms.cell.array[atoms.pbc]) < atoms.pbc.sum():
        raise ValueError(f'{what} has a periodic direction without a cell vector of its own')


def _check(atoms: Atoms, what: str) -> None:
    """Refuse what no later step could work with; make the numbers of the molecules integers."""
    check_size(len(atoms), what)
    if not len(atoms):
        raise ValueError(f'{what} has a frame without atoms')
    check_numbers(atoms, what)
    if FRAGMENT in atoms.arrays:
        given = atoms.arrays.pop(FRAGMENT)
        if given.ndim != 1 or given.dtype.kind not in 'iuf' or not (given == np.rint(given)).all():
            raise ValueError(f'{what} has a column {FRAGMENT} that is not one whole number per atom')
        set_fragments(atoms, given)
