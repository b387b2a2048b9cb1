"""Labelled extended XYZ as other programs write it: frame by frame, by whichever keys they use, with frame numbers.

Frames count from 0, as in ASE's ``FILE@17``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_traincraft.science.datasets.frame_text import parse_frame
from aiida_traincraft.science.datasets.label_keys import (
    NAMES,
    PROPERTIES,
    LabelKeys,
    Sources,
    find_sources,
    missing_label,
)
from aiida_traincraft.science.datasets.refusals import FrameError, RefusedFrame, excerpt
from aiida_traincraft.science.structure import ISOLATED_ATOM, PROVENANCE_KEY, Structure

LONGEST_LINE = 1_000_000
LARGEST_FRAME = 1_000_000
STRESS_ASYMMETRY = 1e-3
DEEPEST = 20
SAME_ENERGY = 1e-6
SAME_STRESS = 0.01
BYTE_ORDER_MARK = b'\xef\xbb\xbf'
KNOWN_ARRAYS = ('masses', 'momenta', 'initial_magmoms', 'initial_charges', 'magmoms', 'charges', 'tags')
SCALARS = ('system', 'group', 'sampler', 'seed', 'level_of_theory', 'source')
ISOLATED_ATOM_NAMES = ('IsolatedAtom', 'isolated_atom', 'isolated')


def read_labelled(
    path: Path, keys: LabelKeys, name: str | None = None, allowed: Sequence[str] = ()
) -> Iterator[tuple[Structure | RefusedFrame, int]]:
    """Read a file frame by frame.

    Parameters
    ----------
    path
        Extended XYZ file.
    keys
        Keys that were chosen; counts what is found.
    name
        What the file is called in refusals; its own name without.
    allowed
        With ``last_line`` in it, a last row without an end of line is read too; with ``fixed_atoms``, forces that
        constraints have set to zero.

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
        if handle.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
            handle.seek(0)
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
                found = _structure(*parse_frame(text, n_atoms), keys, 'fixed_atoms' not in allowed)
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
        raise FrameError('count', f'expected the number of atoms, found {excerpt(word)}')
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


def _structure(
    atoms: Atoms, store: dict[str, Any], columns: dict[str, Any], keys: LabelKeys, judge_mask: bool
) -> Structure:
    provenance = _provenance(store.pop(PROVENANCE_KEY, None))
    sources = find_sources(tuple(store), tuple(columns), tuple(keys.chosen.items()))
    values = _labels(store, columns, sources, keys)
    mask = columns.pop('move_mask', None)
    for key, column in columns.items():
        if key in KNOWN_ARRAYS and not np.isfinite(column).all():
            raise FrameError('finite', f'{key} holds numbers that are not finite')
        atoms.arrays[key] = column
    provenance |= _names(values)
    if len(atoms) == 1 and provenance.get('system') in ISOLATED_ATOM_NAMES:
        # Programs with periodic boundaries put the atom in a box; some leave its forces out.
        provenance['system'] = ISOLATED_ATOM
        atoms.pbc = False
        values['forces'] = np.zeros((1, 3)) if values['forces'] is None else values['forces']
    for name in ('energy', 'forces'):
        if values[name] is None:
            raise FrameError('keys', missing_label(name, sources, keys, (*store, *columns)))
    properties = {
        'energy': _numbers('energy', values['energy'], ()).item(),
        'forces': _numbers('forces', values['forces'], (len(atoms), 3)),
    }
    if mask is not None and judge_mask:
        _check_mask(mask, properties['forces'])
    stress, used = _stress(values['stress'], values['virial'], atoms)
    if stress is not None:
        properties['stress'] = stress
    for name, shape in (('dipole', (3,)), ('polarizability', (3, 3))):
        if values[name] is not None:
            properties[name] = _numbers(name, values[name], shape)
    taken = {name: key for name, key in sources.keys.items() if name not in ('stress', 'virial') or name in used}
    keys.counts.update(taken.values())
    keys.unused.update([*sources.unused, *(set(sources.keys.values()) - set(taken.values()))])
    keys.families[sources.family] += 1
    try:
        info = {key: _plain(value) for key, value in store.items()}
    except RecursionError:
        raise FrameError('format', 'has a value that is nested too deeply') from None
    return Structure(atoms, properties, provenance | ({'info': info} if info else {}))


def _names(values: dict[str, Any]) -> dict[str, str]:
    """System and group, where they are named."""
    found = {name: str(values[name]) for name in NAMES if values[name] is not None}
    for name, text in found.items():
        if not text.isprintable():
            raise FrameError('format', f'{name} is {excerpt(text)}, which holds control characters')
    return found


def _labels(store: dict[str, Any], columns: dict[str, Any], sources: Sources, keys: LabelKeys) -> dict[str, Any]:
    """Take the values of all properties out of a frame, by property; None where there is none.

    Raises
    ------
    FrameError
        If two keys of one family contradict each other.
    """
    values: dict[str, Any] = dict.fromkeys(PROPERTIES)
    for name, key in sources.keys.items():
        place = columns if name == 'forces' else store
        values[name] = place.pop(key)
        for twin in sources.twins.get(name, ()):
            if twin == 'energy_corrected':
                # Relative to isolated atoms.
                continue
            same = np.shape(place[twin]) == np.shape(values[name]) and np.allclose(
                _numbers(twin, place[twin], np.shape(place[twin])),
                _numbers(key, values[name], np.shape(values[name])),
                rtol=0.0,
                atol=SAME_ENERGY,
            )
            if twin.casefold() == 'free_energy' and not same:
                keys.free_energies += 1
                values[name], store[key] = place.pop(twin), values[name]
            elif not same:
                raise FrameError('keys', f'{key} and {twin} differ: choose with --key {name}=KEY')
    return values


def _check_mask(mask: Any, forces: np.ndarray[Any, Any]) -> None:
    """Refuse forces that were set to zero where atoms were held: no potential energy has that gradient."""
    held = ~np.broadcast_to(np.asarray(mask, bool).reshape(len(forces), -1), forces.shape)
    if held.any() and not forces[held].any() and len(forces) > 1:
        raise FrameError(
            'fixed_atoms',
            f'the forces on the {int(held.any(axis=1).sum())} atoms that move_mask holds are exactly zero: the program '
            'that wrote them had applied its constraints (ASE: get_forces(apply_constraint=False))',
        )


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Value as float64 in its shape; nine numbers in a row are a matrix."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in 'bc':
            raise TypeError
        array = array.astype(float)
    except (TypeError, ValueError):
        raise FrameError('format', f'{name} is {excerpt(str(value))}, which is no number') from None
    if array.size == np.prod(shape) and (array.ndim == 1 or shape == ()):
        array = array.reshape(shape)
    if array.shape != shape:
        raise FrameError('format', f'{name} has shape {array.shape}, expected {shape}')
    return array


def _stress(stress: Any, virial: Any, atoms: Atoms) -> tuple[np.ndarray[Any, Any] | None, set[str]]:
    """Stress (6,) of either and which of both it comes from; none of a virial where it has no volume to act in."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    if stress is not None:
        six = np.size(stress) == 6
        found['stress'] = _numbers('stress', stress, (6,)) if six else _voigt('stress', stress)
    if virial is not None and atoms.pbc.all():
        if not atoms.cell.volume > 0:
            raise FrameError('format', 'has a virial but no volume')
        found['virial'] = -_voigt('virial', virial) / atoms.cell.volume
    if len(found) == 2:
        one, other = found.values()
        size = SAME_STRESS * max(np.abs(one).max(), np.abs(other).max(), 1e-4)
        if not np.allclose(one, other, rtol=0.0, atol=size):
            how = 'have opposite signs' if np.allclose(one, -other, rtol=0.0, atol=size) else 'differ'
            reason = f'stress and -virial/volume {how}: choose with --key stress=KEY or --key virial=KEY'
            raise FrameError('keys', reason)
    return next(iter(found.values()), None), set(found)


def _voigt(name: str, value: Any) -> np.ndarray[Any, Any]:
    """Six numbers (xx, yy, zz, yz, xz, xy) of a matrix."""
    matrix = _numbers(name, value, (3, 3))
    if not np.isfinite(matrix).all():
        raise FrameError('finite', f'{name} holds numbers that are not finite')
    if not np.allclose(matrix, matrix.T, rtol=STRESS_ASYMMETRY, atol=STRESS_ASYMMETRY * np.abs(matrix).max()):
        raise FrameError('format', f'{name} is not symmetric')
    return np.asarray(full_3x3_to_voigt_6_stress(matrix), float)


def _provenance(raw: Any) -> dict[str, Any]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise FrameError('format', f'{PROVENANCE_KEY} is no JSON of finite numbers') from None
    if not isinstance(raw, Mapping):
        return {}
    for name in SCALARS:
        if isinstance(raw.get(name), Mapping | list):
            raise FrameError('format', f'{PROVENANCE_KEY}: {name!r} is {excerpt(str(raw[name]))}, which is no word')
    if _depth(raw, DEEPEST) > DEEPEST:
        raise FrameError('format', f'{PROVENANCE_KEY} is nested more than {DEEPEST} times')
    return dict(raw)


def _depth(value: Any, most: int) -> int:
    """How deeply lists and tables are nested; one more than ``most`` stands for anything deeper."""
    if most < 0 or not isinstance(value, Mapping | list):
        return 0
    inner = value.values() if isinstance(value, Mapping) else value
    return 1 + max((_depth(item, most - 1) for item in inner), default=0)


def _no_number(name: str) -> None:
    raise ValueError(f'{name} cannot be stored')


def _plain(value: Any) -> Any:
    """As JSON holds it; numbers that are not finite as text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    text = json.dumps(value, default=str)
    return value if 'NaN' not in text and 'Infinity' not in text else text
