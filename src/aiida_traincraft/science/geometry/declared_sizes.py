"""How many atoms a file says that it has, held against what can be before ASE reads it."""

from __future__ import annotations

import contextlib
import io
import itertools
import lzma
import re
import zlib
from pathlib import Path
from typing import TextIO

from ase.io.formats import UnknownFileTypeError, filetype, get_compression, open_with_compression

from aiida_traincraft.science.atoms.sizes import check_size

BLOCK = 65_536
MOST_COLUMNS = 100_000
"""Columns of the atoms of an extxyz."""
_UNREADABLE = (UnknownFileTypeError, OSError, EOFError, zlib.error, lzma.LZMAError)
_NUMBER = r'\+?\d+(?:_\d+)*'
_NUMBERS = rf'\s*({_NUMBER}(?:\s+{_NUMBER})*)\s*(?:!.*)?$'
_DECLARATIONS: dict[str, tuple[range | None, str, str]] = {
    'cfg': (None, '', rf'Number of particles\s*=\s*({_NUMBER})'),
    'cube': (range(2, 3), '', rf'\s*({_NUMBER})'),
    'lammps-data': (None, '', rf'\s*({_NUMBER})\s+atoms'),
    'lammps-dump-text': (None, '.*NUMBER OF ATOMS', _NUMBERS),
    'struct_out': (range(3, 4), '', _NUMBERS),
    'vasp': (range(5, 7), '', _NUMBERS),
    'vasp-xdatcar': (None, '.*[A-Za-z]', _NUMBERS),
}
"""Of ASE's names of formats: lines that may have the number (all of them without), the line before, and the line."""


def check_unpacked_size(path: Path, limit: int, key: str) -> None:
    """Refuse a compressed file that becomes too large: ASE unpacks it whole, and every frame of it takes memory.

    Parameters
    ----------
    path
        The file; one that is not compressed passes.
    limit
        Most bytes.
    key
        Key that gives the path, for the errors.

    Raises
    ------
    ValueError
        If it unpacks to more.
    """
    if get_compression(str(path))[1] is None:
        return
    # Reading it says what else is wrong with it.
    with contextlib.suppress(*_UNREADABLE), open_with_compression(str(path), 'rb') as handle:
        for read in itertools.count(BLOCK, BLOCK):
            if not handle.read(BLOCK):
                return
            if read > limit:
                raise ValueError(
                    f'"{key}": {path.name} unpacks to more than {limit} bytes: raise "max_unpacked" if that is meant, '
                    'or cut the file'
                )


def check_declared_sizes(path: Path, format: str | None, key: str) -> None:
    """Refuse a file that says it has more atoms than can be: ASE makes room for them, or counts so far, first.

    Formats that are read line by line until they end need no check.

    Parameters
    ----------
    path
        The file, compressed or not.
    format
        ASE's name of the format; by default the file's name and content decide.
    key
        Key that gives the path, for the errors.

    Raises
    ------
    ValueError
        If there are too many, or an xyz ends before it has as many as it says.
    """
    try:
        kind = format or filetype(str(path))
    # Reading it says what is wrong with it.
    except (*_UNREADABLE, ValueError):
        return
    if kind not in _DECLARATIONS and kind not in ('xyz', 'extxyz'):
        return
    # As ASE opens it: a check of other lines than those that it reads would be none.
    with (
        contextlib.suppress(*_UNREADABLE),
        open_with_compression(str(path), 'rb') as raw,
        io.TextIOWrapper(raw, encoding='utf-8', errors='replace') as handle,
    ):
        if kind in _DECLARATIONS:
            _check_lines(handle, kind, f'"{key}": {path.name}')
        else:
            _check_frames(handle, path.name, key)


def _check_lines(handle: TextIO, kind: str, what: str) -> None:
    places, before, pattern = _DECLARATIONS[kind]
    last = ''
    for place, line in enumerate(handle):
        if places is not None and place >= places.stop:
            break
        if (places is None or place in places) and re.match(before, last) and (found := re.match(pattern, line)):
            # Not int(), which refuses thousands of digits.
            check_size(sum(map(float, found.group(1).split())), what)
        last = line


def _check_frames(handle: TextIO, name: str, key: str) -> None:
    frame = 0
    while line := handle.readline():
        try:
            claimed = int(line)
        except ValueError:
            # Blank lines at the end, vectors of a cell, or nothing that ASE reads either.
            continue
        what = f'"{key}": frame {frame} of {name}'
        check_size(claimed, what)
        comment = handle.readline()
        columns = sum(map(float, re.findall(rf':[RISL]:({_NUMBER})', comment)))
        if columns > MOST_COLUMNS:
            raise ValueError(f'{what} has {columns:.3g} columns, more than the {MOST_COLUMNS} that are read')
        if not (comment and all(handle.readline() for _ in range(claimed))):
            raise ValueError(f'"{key}": {name} ends within frame {frame}, of which it says {claimed} atoms')
        frame += 1
