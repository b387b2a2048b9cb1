"""The value that every stage passes on: atoms, the properties known of them, and where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.formula import Formula
from ase.io.extxyz import read_xyz, write_xyz

from aiida_traincraft.science.atoms.arrays import Array

HASH_DECIMALS = 4
STATE_ARRAYS = {'initial_magmoms': 2, 'magmoms': 0}
"""Columns that tell an electronic state, the first found counts, and the decimals that matter of each."""
STATE_KEYS = ('charge', 'total_charge', 'spin', 'total_spin', 'multiplicity')
EXTXYZ_PREFIX = 'REF_'
PROVENANCE_KEY = 'tc_provenance'
GEOMETRY_ARRAYS = ('numbers', 'positions')
ISOLATED_ATOM = 'isolated_atom'
"""System of a single atom in vacuum, whose energy is the E0 of its element."""


@lru_cache(maxsize=1024)
def _composition(counts: tuple[int, ...]) -> tuple[str, tuple[str, ...]]:
    """Formula in Hill order and elements of so many atoms of each atomic number."""
    found = {chemical_symbols[number]: count for number, count in enumerate(counts) if count}
    return str(Formula.from_dict(found).format('hill')), tuple(sorted(found))


@dataclass
class Structure:
    """One atomic configuration.

    Attributes
    ----------
    atoms
        Species, positions (Å), cell (Å), periodicity and any further per-atom array (``tc_fragment``, magnetic
        moments, momenta). Carries no calculator.
    properties
        What is known of the frame: ``energy`` (eV), ``forces`` (n_atoms, 3) in eV/Å, ``stress`` (6,) in eV/Å³ with
        ASE's sign and Voigt order, ``dipole`` (3,) in e·Å, ``polarizability`` (3, 3) in Å³, ``uncertainty``
        (n_atoms,), ``descriptor`` (d,), ...
    provenance
        JSON-serialisable facts: the system's name, sampler, seed, step, temperature (K), ...
    """

    atoms: Atoms
    properties: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.atoms)

    @property
    def formula(self) -> str:
        """Chemical formula in Hill order."""
        return _composition(tuple(np.bincount(self.atoms.numbers).tolist()))[0]

    @property
    def elements(self) -> list[str]:
        """Chemical symbols present, alphabetical."""
        return [*_composition(tuple(np.bincount(self.atoms.numbers).tolist()))[1]]

    @property
    def group(self) -> str | None:
        """What frames of one trajectory share: ``provenance["group"]``, or system, sampler and seed; None."""
        facts = self.provenance
        if facts.get('group') is not None:
            return str(facts['group'])
        if 'sampler' in facts and 'seed' in facts:
            return f'{facts.get("system")} {facts["sampler"]} {facts["seed"]}'
        return None

    def content_hash(self) -> str:
        """SHA-1 (40 hex digits) over species, positions, cell and pbc, lengths rounded to 1e-4 Å.

        Equal for any dtype of the arrays and for −0.0 and 0.0. Where the frame tells of magnetic moments or of a charge
        or spin other than zero, these count too: a ferromagnet is not its antiferromagnet.
        """
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(np.asarray(self.atoms.numbers, '<i4').tobytes())
        for lengths in (self.atoms.positions, self.atoms.cell.array):
            # Adding 0.0 turns −0.0 into 0.0.
            digest.update((np.round(np.asarray(lengths, '<f8'), HASH_DECIMALS) + 0.0).tobytes())
        digest.update(np.asarray(self.atoms.pbc, 'u1').tobytes())
        digest.update(self.electronic_state())
        return digest.hexdigest()

    def electronic_state(self) -> bytes:
        """What the frame tells of magnetic moments, in the order of its atoms, charge and spin; empty for the usual."""
        told = b''
        name = next((key for key in STATE_ARRAYS if key in self.atoms.arrays), None)
        if name is not None:
            moments = np.round(np.asarray(self.atoms.arrays[name], '<f8'), STATE_ARRAYS[name]) + 0.0
            told += moments.tobytes() if moments.any() else b''
        info = self.provenance.get('info')
        for key, value in sorted(info.items()) if isinstance(info, dict) else ():
            if key.casefold() in STATE_KEYS and isinstance(value, int | float) and value:
                told += f'{key.casefold()}={float(value)}'.encode()
        return told

    def copy(self) -> Structure:
        """Copy that shares no array with this one."""
        atoms = self.atoms.copy()
        properties = {key: np.copy(v) if isinstance(v, np.ndarray) else v for key, v in self.properties.items()}
        return Structure(atoms, properties, json.loads(json.dumps(self.provenance)))

    def bare(self) -> Structure:
        """Copy without properties: the geometry and its provenance."""
        return Structure(self.atoms.copy(), {}, json.loads(json.dumps(self.provenance)))


def pack_arrays(arrays: dict[str, Array], info: dict[str, Any] | None = None) -> bytes:
    """Serialise named arrays and JSON facts: header length (4 bytes), JSON header, raw little-endian buffers.

    Raises
    ------
    ValueError
        If an array holds Python objects: its bytes would be addresses.
    """
    # Sorted, as the keys of the header are: the order of the buffers is that of the header.
    # Not np.ascontiguousarray, which makes a vector of a scalar.
    values = {key: np.asarray(arrays[key], order='C') for key in sorted(arrays)}
    for key, value in values.items():
        if value.dtype.hasobject:
            raise ValueError(f'array {key!r} holds Python objects, which cannot be stored')
    little = {key: value.astype(value.dtype.newbyteorder('<'), copy=False) for key, value in values.items()}
    layout = {key: [value.dtype.str, list(value.shape)] for key, value in little.items()}
    head = json.dumps({'arrays': layout, 'info': info or {}}, sort_keys=True).encode()
    return len(head).to_bytes(4, 'little') + head + b''.join(value.tobytes() for value in little.values())


def unpack_arrays(record: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    """Inverse of :func:`pack_arrays`.

    Raises
    ------
    ValueError
        If the record is truncated or is no record at all.
    """
    end = 4 + int.from_bytes(record[:4], 'little')
    try:
        head = json.loads(record[4:end])
        layout, info = head['arrays'], head['info']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError('not a frame record: its header cannot be read') from error
    arrays = {}
    for name, (dtype, shape) in layout.items():
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if end + size > len(record):
            raise ValueError(f'frame record is truncated inside array {name!r}')
        arrays[name] = np.frombuffer(record[end : end + size], dtype).reshape(shape)
        end += size
    return arrays, info


def to_record(structure: Structure) -> bytes:
    """Serialise a structure exactly (float64 stays float64)."""
    atoms = structure.atoms
    arrays: dict[str, Array] = {
        'numbers': np.asarray(atoms.numbers, 'i4'),
        'positions': np.asarray(atoms.positions, 'f8'),
        'cell': np.asarray(atoms.cell.array, 'f8'),
        'pbc': np.asarray(atoms.pbc, 'u1'),
    }
    arrays |= {f'atoms.{key}': value for key, value in atoms.arrays.items() if key not in GEOMETRY_ARRAYS}
    arrays |= {f'property.{key}': np.asarray(value) for key, value in structure.properties.items()}
    return pack_arrays(arrays, structure.provenance)


def from_record(record: bytes) -> Structure:
    """Inverse of :func:`to_record`; scalars come back as floats."""
    arrays, info = unpack_arrays(record)
    atoms = Atoms(arrays['numbers'], arrays['positions'], cell=arrays['cell'], pbc=arrays['pbc'].astype(bool))
    properties: dict[str, Any] = {}
    for key, value in arrays.items():
        kind, _, name = key.partition('.')
        if kind == 'atoms':
            atoms.set_array(name, value.copy())
        elif kind == 'property':
            properties[name] = value.item() if value.ndim == 0 else value.copy()
    return Structure(atoms, properties, info)


def write_frames(path: Path, structures: Iterable[Structure]) -> None:
    """Write structures as one binary frame file: each record behind its length (8 bytes)."""
    with path.open('wb') as handle:
        for structure in structures:
            append_frame(handle, structure)


def append_frame(handle: BinaryIO, structure: Structure) -> None:
    """Write one more structure into an open frame file."""
    record = to_record(structure)
    handle.write(len(record).to_bytes(8, 'little') + record)


def iterate_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a frame file, one at a time.

    Raises
    ------
    ValueError
        If the file ends inside a record.
    """
    with path.open('rb') as handle:
        end = path.stat().st_size
        while head := handle.read(8):
            size = int.from_bytes(head, 'little')
            if len(head) < 8 or size > end - handle.tell():
                raise ValueError(f'{path.name} is truncated or no frame file')
            yield handle.read(size)


def read_frames(path: Path) -> list[Structure]:
    """Read a file written by :func:`write_frames`."""
    return [from_record(record) for record in iterate_records(path)]


def write_extxyz(path: Path, structures: Iterable[Structure]) -> None:
    """Write extended XYZ: properties under ``REF_`` keys, per-atom arrays as columns, provenance as JSON."""
    with path.open('w', encoding='utf-8') as handle:
        write_xyz(handle, (_to_extxyz(structure) for structure in structures), write_results=False)


def _to_extxyz(structure: Structure) -> Atoms:
    atoms = structure.atoms.copy()
    atoms.calc = None
    for key, value in structure.properties.items():
        # ASE reads bare 'energy' and 'forces' into a calculator; prefixed keys stay as they are.
        name, array = EXTXYZ_PREFIX + key, np.asarray(value)
        if array.ndim and len(array) == len(atoms) and key in PER_ATOM_PROPERTIES:
            atoms.set_array(name, array)
        else:
            atoms.info[name] = value
    if structure.provenance:
        atoms.info[PROVENANCE_KEY] = json.dumps(structure.provenance)
    return atoms


def read_extxyz(path: Path, index: slice = slice(None)) -> list[Structure]:
    """Read extended XYZ; understands our ``REF_`` keys and ASE's own ``energy``, ``forces``, ``stress``."""
    with path.open(encoding='utf-8') as handle:
        # iread_xyz of ASE 3.29 takes the first digit of the number of atoms for the whole.
        return [_from_extxyz(atoms) for atoms in read_xyz(handle, index=index)]


PER_ATOM_PROPERTIES = ('forces', 'uncertainty')


def _from_extxyz(atoms: Atoms) -> Structure:
    properties: dict[str, Any] = dict(atoms.calc.results) if atoms.calc is not None else {}
    atoms.calc = None
    raw = atoms.info.pop(PROVENANCE_KEY, None)
    provenance = json.loads(raw) if isinstance(raw, str) else (raw or {})
    for store in (atoms.info, atoms.arrays):
        for key in [key for key in store if key.startswith(EXTXYZ_PREFIX)]:
            properties[key.removeprefix(EXTXYZ_PREFIX)] = store.pop(key)
    return Structure(atoms, properties, provenance)
