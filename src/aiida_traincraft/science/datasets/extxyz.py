"""Labelled extended XYZ as other programs write it: frame by frame, by whichever keys they use, with frame numbers.

Frames count from 0, as in ASE's ``FILE@17``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict, parse_properties
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_traincraft.science.structure import ISOLATED_ATOM, PROVENANCE_KEY, Structure

LONGEST_LINE = 1_000_000
LARGEST_FRAME = 1_000_000
STRESS_ASYMMETRY = 1e-3
LONGEST_EXCERPT = 120
PLAIN = 'species:S:1:pos:R:3'

CONVENTIONS: dict[str, tuple[str, ...]] = {
    # MACE and this project; GAP; pacemaker's table; ASE, DP-GEN (dpdata) and NEP.
    'energy': ('REF_energy', 'dft_energy', 'energy', 'free_energy', 'energy_corrected'),
    'forces': ('REF_forces', 'dft_forces', 'dft_force', 'forces', 'force'),
    'stress': ('REF_stress', 'dft_stress', 'stress'),
    'virial': ('REF_virials', 'REF_virial', 'dft_virial', 'virial', 'virials'),
    'dipole': ('REF_dipole', 'dft_dipole', 'dipole'),
    'polarizability': ('REF_polarizability', 'polarizability'),
    'system': ('config_type',),
    'group': ('group',),
}
"""Keys under which a file may hold each property, the first found wins; virial (eV) is minus stress times volume."""

# All frames of a file have the same columns.
_columns = lru_cache(maxsize=100)(parse_properties)

ISOLATED_ATOM_NAMES = ('IsolatedAtom', 'isolated_atom', 'isolated')


class FrameError(ValueError):
    """What is wrong with a frame, and which rule says so."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


@dataclass(frozen=True)
class RefusedFrame:
    """A frame that is not taken."""

    file: str
    frame: int
    rule: str
    reason: str

    def __str__(self) -> str:
        return f'{self.file}, frame {self.frame}: {self.reason}'


@dataclass
class LabelKeys:
    """Which key of a file holds which property: given by the user, or found in the first frame that has one.

    Attributes
    ----------
    chosen
        Key by property; what is not there yet is found among ``CONVENTIONS``.
    counts
        Frames that held each key.
    beside
        Known keys that were present beside the chosen one and are kept as they are, with the number of frames.
    """

    chosen: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)

    def take(self, name: str, store: dict[str, Any]) -> Any:
        """Take the value of a property out of a frame's values; None if the frame has none.

        Raises
        ------
        FrameError
            If the frame has the property under another key than the frames before it.
        """
        present = [key for key in CONVENTIONS[name] if key in store]
        if name not in self.chosen and present:
            self.chosen[name] = present[0]
        key = self.chosen.get(name)
        if present != [key]:
            self.beside.update(other for other in present if other != key)
        if key is not None and key in store:
            self.counts[key] += 1
            return store.pop(key)
        if present and key is not None and self.counts[key] and name in ('energy', 'forces'):
            reason = f'{name} under {present[0]!r}, but before under {key!r}: choose with --key {name}=KEY'
            raise FrameError('keys', reason)
        return None

    def leave(self, name: str, store: dict[str, Any]) -> None:
        """Leave a property that is not needed where it is."""
        self.beside.update(key for key in CONVENTIONS[name] if key in store)


def read_labelled(
    path: Path, keys: LabelKeys, name: str | None = None, allowed: Sequence[str] = ()
) -> Iterator[tuple[Structure | RefusedFrame, int]]:
    """Read a file frame by frame.

    Parameters
    ----------
    path
        Extended XYZ file.
    keys
        Keys to use; filled in while reading.
    name
        What the file is called in refusals; its own name without.
    allowed
        With ``last_line`` in it, a last row without an end of line is read too.

    Yields
    ------
    tuple
        A structure or why there is none, in the order of the file, and how many bytes it took. Energy in eV, forces in
        eV/Å, stress in eV/Å³ with ASE's sign and order, as far as the file keeps to these units. What is under other
        keys stays: per-atom columns as arrays, the rest in ``provenance["info"]``. After damage that hides where the
        next frame begins, one refusal ends the file.
    """
    name = name or path.name
    # A frame waits for the next one: only what stands behind its last row shows that its number of atoms is right.
    held: tuple[Structure | RefusedFrame, int] | None = None
    with path.open('rb') as handle:
        for number in count():
            begin = handle.tell()
            try:
                text, n_atoms = _frame_text(handle)
            except FrameError as error:
                if held is not None and error.rule == 'count':
                    reason = f'its number of atoms may be wrong: behind its last row, {error}'
                    held = RefusedFrame(name, number - 1, 'format', reason), held[1]
                if held is not None:
                    yield held
                unread = path.stat().st_size - begin
                reason = f'{error}; nothing behind it can be read ({unread} bytes)'
                yield RefusedFrame(name, number, 'format', reason), unread
                return
            if held is not None:
                yield held
            if not text:
                if number == 0:
                    yield RefusedFrame(name, 0, 'format', 'the file holds no frame'), 0
                return
            found: Structure | RefusedFrame
            try:
                if not text.endswith(b'\n') and 'last_line' not in allowed:
                    raise FrameError('last_line', 'has no end of line behind its last row: cut inside a number?')
                found = _structure(*_parse(text, n_atoms), keys)
            except FrameError as error:
                found = RefusedFrame(name, number, error.rule, str(error))
            held = found, handle.tell() - begin


def _frame_text(handle: BinaryIO) -> tuple[bytes, int]:
    """Text of the next frame and its number of atoms; empty at the end of the file."""
    first = handle.readline(LONGEST_LINE)
    # Some programs end a file, or a frame, with empty lines.
    while first and not first.strip():
        first = handle.readline(LONGEST_LINE)
    if not first:
        return b'', 0
    word = first.strip()
    if not word.isdigit() or len(word) > 15:
        raise FrameError('count', f'expected the number of atoms, found {_excerpt(word)}')
    n_atoms = int(word)
    if n_atoms > LARGEST_FRAME:
        raise FrameError('format', f'claims {n_atoms} atoms, more than the {LARGEST_FRAME} that are read')
    lines = [first]
    for _ in range(n_atoms + 1):
        line = handle.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise FrameError('format', f'has a line of more than {LONGEST_LINE} characters')
        lines.append(line)
        if not line:
            raise FrameError('format', f'is truncated: {max(len(lines) - 3, 0)} of {n_atoms} atoms are there')
    return b''.join(lines), n_atoms


def _parse(raw: bytes, n_atoms: int) -> tuple[Atoms, dict[str, Any], dict[str, Any]]:
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
        info = key_val_str_to_dict(comment.strip()) if comment.strip() else {}
        layout, _, _, converters = _columns(info.pop('Properties', PLAIN))
        width = len(converters)
        if len(words) != n_atoms * width:
            raise FrameError('format', f'has {len(words)} values in {n_atoms} rows, {width} a row are announced')
        columns: dict[str, Any] = {}
        first = 0
        for name, count in layout.values():
            table = [[*map(converters[index], words[index::width])] for index in range(first, first + count)]
            columns[name] = np.ascontiguousarray(np.array(table[0] if count == 1 else table).T)
            if columns[name].dtype.hasobject or count < 1:
                raise FrameError('format', f'cannot be read: column {name!r} holds other values than it announces')
            first += count
        cell = info.pop('Lattice', None)
        pbc = info.pop('pbc', cell is not None)
        numbers, symbols, positions = (columns.pop(name, None) for name in ('numbers', 'symbols', 'positions'))
        if positions is None or (numbers is None and symbols is None):
            raise FrameError('format', 'has no column of positions ("pos"), or none of species ("species" or "Z")')
        species = [word.capitalize() for word in symbols.tolist()] if numbers is None else numbers
        atoms = Atoms(species, positions, cell=None if cell is None else cell.T, pbc=pbc)
    # The values of damaged lines fail in many ways, some of them by accident.
    except FrameError:
        raise
    except Exception as error:
        raise FrameError('format', f'cannot be read: {_excerpt(str(error) or type(error).__name__)}') from None
    return atoms, info, columns


def _structure(atoms: Atoms, store: dict[str, Any], columns: dict[str, Any], keys: LabelKeys) -> Structure:
    provenance = _provenance(store.pop(PROVENANCE_KEY, None))
    values = {name: keys.take(name, store) for name in CONVENTIONS if name not in ('forces', 'virial')}
    values['virial'] = None
    if values['stress'] is None:
        values['virial'] = keys.take('virial', store)
    else:
        keys.leave('virial', store)
    values['forces'] = keys.take('forces', columns)
    # Which atoms may move is a matter of the program that wrote the file, not of the structure.
    columns.pop('move_mask', None)
    for key, column in columns.items():
        atoms.arrays[key] = column
    for name in ('system', 'group'):
        if values[name] is not None:
            provenance[name] = str(values[name])
            if not provenance[name].isprintable():
                raise FrameError('format', f'{name} is {_excerpt(provenance[name])}, which holds control characters')
    if len(atoms) == 1 and provenance.get('system') in ISOLATED_ATOM_NAMES:
        # Programs with periodic boundaries put the atom in a box; some leave its forces out.
        provenance['system'] = ISOLATED_ATOM
        atoms.pbc = False
        values['forces'] = np.zeros((1, 3)) if values['forces'] is None else values['forces']
    for name in ('energy', 'forces'):
        if values[name] is None:
            looked = repr(keys.chosen[name]) if name in keys.chosen else ', '.join(CONVENTIONS[name])
            raise FrameError('keys', f'has no {name} (looked for {looked}); choose with --key {name}=KEY')
    properties = {
        'energy': _numbers('energy', values['energy'], ()).item(),
        'forces': _numbers('forces', values['forces'], (len(atoms), 3)),
    }
    if (stress := _stress(values['stress'], values['virial'], atoms)) is not None:
        properties['stress'] = stress
    for name, shape in (('dipole', (3,)), ('polarizability', (3, 3))):
        if values[name] is not None:
            properties[name] = _numbers(name, values[name], shape)
    info = {key: _plain(value) for key, value in store.items()}
    return Structure(atoms, properties, provenance | ({'info': info} if info else {}))


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Value as float64 in its shape; nine numbers in a row are a matrix."""
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise FrameError('format', f'{name} is {_excerpt(str(value))}, which is no number') from None
    if array.size == np.prod(shape) and (array.ndim == 1 or shape == ()):
        array = array.reshape(shape)
    if array.shape != shape:
        raise FrameError('format', f'{name} has shape {array.shape}, expected {shape}')
    return array


def _stress(stress: Any, virial: Any, atoms: Atoms) -> np.ndarray[Any, Any] | None:
    """Stress (6,) of either; None where there is neither, or where a molecule has a virial without a volume."""
    if stress is not None and np.size(stress) == 6:
        return _numbers('stress', stress, (6,))
    name, value = ('stress', stress) if stress is not None else ('virial', virial)
    if value is None or (stress is None and not atoms.pbc.all()):
        return None
    matrix = _numbers(name, value, (3, 3))
    if not np.isfinite(matrix).all():
        raise FrameError('finite', f'{name} holds numbers that are not finite')
    if not np.allclose(matrix, matrix.T, rtol=STRESS_ASYMMETRY, atol=STRESS_ASYMMETRY * np.abs(matrix).max()):
        raise FrameError('format', f'{name} is not symmetric')
    if stress is None:
        if not atoms.cell.volume > 0:
            raise FrameError('format', 'has a virial but no volume')
        matrix = -matrix / atoms.cell.volume
    return np.asarray(full_3x3_to_voigt_6_stress(matrix), float)


def _provenance(raw: Any) -> dict[str, Any]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw, parse_constant=_no_number)
        except ValueError:
            raise FrameError('format', f'{PROVENANCE_KEY} is no JSON of finite numbers') from None
    return dict(raw) if isinstance(raw, Mapping) else {}


def _no_number(name: str) -> None:
    raise ValueError(f'{name} cannot be stored')


def _plain(value: Any) -> Any:
    """As JSON holds it; numbers that are not finite as text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    text = json.dumps(value, default=str)
    return value if 'NaN' not in text and 'Infinity' not in text else text


def _excerpt(value: bytes | str) -> str:
    text = repr(value[:LONGEST_EXCERPT]).removeprefix('b')
    return text if len(value) <= LONGEST_EXCERPT >= len(text) else f'{text[:LONGEST_EXCERPT]}...'
