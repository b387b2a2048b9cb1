"""One frame of an extended XYZ file as text: its header, its columns, its geometry."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.io.extxyz import key_val_str_to_dict, parse_properties

from aiida_traincraft.science.datasets.refusals import FrameError, excerpt

PLAIN = 'species:S:1:pos:R:3'
HEADER = re.compile(r'(?i)(?<![^\s])(lattice|properties|pbc)(?=\s*=)')
# As ASE's parser sees it: what is escaped or quoted holds no keys.
QUOTED = re.compile(r'\\.|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|\{(?:[^}\\]|\\.)*\}|\[(?:[^\]\\]|\\.)*\]')
SWALLOWED = re.compile(r'(?i)=\s*[{\[]|(?<!\S)(?:lattice|properties|pbc)\s*=')
"""What no value in braces or brackets holds, but one does that was never closed before the next keys."""
EMPTY = ('""', "''", '{}', '[]')
KEY = re.compile(r'(?<![^\s])([^\s=]+)\s*=')
SPELLED = {'lattice': 'Lattice', 'properties': 'Properties', 'pbc': 'pbc'}
GEOMETRY = {
    'species': 'symbols', 'symbols': 'symbols', 'pos': 'positions', 'positions': 'positions', 'z': 'numbers',
    'numbers': 'numbers',
}  # fmt: skip
"""Columns of the geometry, in any case; some programs write one twice, under two names."""
WIDEST_COLUMN = 1000
TRUE = ('t', 'true', '.true.', '1', 'yes', 'y')
FALSE = ('f', 'false', '.false.', '0', 'no', 'n')
PBC_WORDS = frozenset((*TRUE, *FALSE))

# All frames of a file have the same columns.
_columns = lru_cache(maxsize=100)(parse_properties)


def parse_frame(raw: bytes, n_atoms: int) -> tuple[Atoms, dict[str, Any], dict[str, Any]]:
    """Geometry of a frame, its values and its further columns.

    The second line is read by ASE's parser; the rows are not, as that takes three times as long.
    """
    if n_atoms == 0:
        raise FrameError('format', 'has no atoms')
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise FrameError('format', 'is no text') from None
    _, comment, rows = text.split('\n', 2)
    words = rows.split()
    try:
        info = _header(comment.strip())
        layout, _, _, converters = _columns(info.pop('Properties', PLAIN))
        width = len(converters)
        if len(words) != n_atoms * width:
            raise FrameError('format', f'has {len(words)} values in {n_atoms} rows, {width} a row are announced')
        columns: dict[str, Any] = {}
        first = 0
        for name, count in layout.values():
            table = [[*map(converters[index], words[index::width])] for index in range(first, first + count)]
            column = np.ascontiguousarray(np.array(table[0] if count == 1 else table).T)
            if column.dtype.hasobject or count < 1:
                raise FrameError('format', f'cannot be read: column {name!r} holds other values than it announces')
            known = GEOMETRY.get(name.casefold(), name)
            if known == 'numbers' and column.dtype.kind != 'i':
                known = name
            if known in columns and not np.array_equal(column, columns[known]):
                raise FrameError('format', f'has several columns of {known} that differ')
            columns[known] = column
            first += count
        cell = info.pop('Lattice', None)
        pbc = _periodicity(info.pop('pbc', cell is not None))
        if any(pbc) and cell is None:
            raise FrameError('format', 'is periodic, but has no Lattice')
        numbers, symbols, positions = (columns.pop(name, None) for name in ('numbers', 'symbols', 'positions'))
        if positions is None or (numbers is None and symbols is None):
            raise FrameError('format', 'has no column of positions ("pos"), or none of species ("species" or "Z")')
        atoms = Atoms(_species(numbers, symbols), positions, cell=None if cell is None else cell.T, pbc=pbc)
    # The values of damaged lines fail in many ways, some of them by accident.
    except FrameError:
        raise
    except Exception as error:
        raise FrameError('format', f'cannot be read: {excerpt(str(error) or type(error).__name__)}') from None
    return atoms, info, columns


def _header(comment: str) -> dict[str, Any]:
    """Values of the second line; ``Lattice``, ``Properties`` and ``pbc`` are spelled so."""
    if not comment:
        return {}
    # ASE's parser would make the next key a part of an empty value.
    if any(pair in comment for pair in EMPTY):
        comment = QUOTED.sub(lambda quoted: '" "' if quoted[0] in EMPTY else quoted[0], comment)
    for match in QUOTED.finditer(comment):
        if match[0][0] in '{[' and SWALLOWED.search(match[0]):
            raise FrameError('format', f'has {excerpt(match[0])} as one value: a brace that does not close?')
    # As long as the comment: what is found in it stands at the same place there.
    bare = QUOTED.sub(lambda quoted: '"' * len(quoted[0]), comment)
    written = [comment[slice(*match.span(1))].strip('"\'{}[]') for match in KEY.finditer(bare)]
    names = Counter(key.casefold() for key in written)
    if twice := [name for name, times in names.items() if times > 1]:
        raise FrameError('format', f'has the key {twice[0]!r} twice (in any case)')
    for match in HEADER.finditer(bare):
        comment = comment[: match.start()] + SPELLED[match[1].lower()] + comment[match.end() :]
    found: dict[str, Any] = key_val_str_to_dict(comment)
    keyed = {SPELLED.get(key.casefold(), key) for key in written}
    if lost := sorted(keyed.difference(found)):
        raise FrameError('format', f'has the key {lost[0]!r} inside the value of another: a quote that does not close?')
    if 'pbc' in found and (stray := [key for key in found if key.casefold() in PBC_WORDS and key not in keyed]):
        raise FrameError(
            'format', f'has {stray[0]!r} without a key: does it belong to pbc? Three of T and F need quotes'
        )
    layout = str(found.get('Properties', ''))
    if any(part.isdigit() and int(part[:9]) > WIDEST_COLUMN for part in layout.split(':')):
        raise FrameError('format', f'announces a column of more than {WIDEST_COLUMN} numbers')
    return found


def _periodicity(value: Any) -> list[bool]:
    """Periodicity along the three vectors, in any of the spellings that programs use."""
    text = value if isinstance(value, str) else ' '.join(map(str, np.ravel(value)))
    words = text.replace(',', ' ').casefold().split()
    if len(words) == 1 and len(words[0]) == 3 and set(words[0]) <= {'t', 'f'}:
        words = list(words[0])
    if len(words) not in (1, 3) or not set(words) <= PBC_WORDS:
        raise FrameError('format', f'pbc is {excerpt(text)}; expected three of T and F')
    return [word in TRUE for word in words] * (3 // len(words))


def _species(numbers: Any, symbols: Any) -> np.ndarray[Any, Any]:
    """Atomic numbers of either column; of both, where they agree."""
    if symbols is not None:
        words = symbols.tolist()
        table = {word: _atomic_number(word) for word in set(words)}
        found = np.array([table[word] for word in words])
        if numbers is not None and (numbers != found).any():
            place = int(np.argmax(numbers != found))
            raise FrameError('format', f'species {words[place]!r} stands beside the atomic number {numbers[place]}')
        return found
    odd = numbers[(numbers < 1) | (numbers > len(chemical_symbols) - 1)]
    if len(odd):
        raise FrameError('format', f'the atomic number {odd[0]} belongs to no element')
    return np.asarray(numbers)


@lru_cache(maxsize=200)
def _atomic_number(word: str) -> int:
    number = atomic_numbers.get(word.capitalize(), 0)
    if number > 0:
        return int(number)
    letters = re.match('[A-Za-z]*', word)
    head = letters[0].capitalize() if letters is not None else ''
    hint = ''
    if word in ('D', 'T'):
        hint = ': an isotope is written H here, with its mass in a column "masses"'
    elif head in atomic_numbers and head != 'X':
        hint = f': a label of {head}? The species must be {head}'
    raise FrameError('format', f'species {excerpt(word)} is no chemical symbol{hint}')
