"""What structure and label nodes share: scalars in the database, arrays in a slice of a batch object."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from aiida.orm.nodes.caching import NodeCaching

from aiida_traincraft.science.structure import Structure, from_record, to_record

BATCH_FILE = 'frames'
SMALLEST_SPAN = 1e-3
"""Least length, area or volume (Å, Å², Å³) of the periodic cell vectors."""


class ContentCaching(NodeCaching):
    """Hash by content, not by place in a batch: equal frames of two batches are one cache entry."""

    def get_objects_to_hash(self) -> Any:
        """Return what the hash is made of: the class and the content fingerprint."""
        node = self._node
        return content_to_hash(node.class_node_type, node.base.attributes.get('fingerprint'))


def content_to_hash(node_type: str, fingerprint: str) -> str:
    """What decides the hash of a node known by its fingerprint; the bulk writer uses the same."""
    # One string: AiiDA takes five times as long for a dictionary of two.
    return f'{node_type} {fingerprint}'


def check_geometry(structure: Structure) -> None:
    """Refuse a frame that is no structure.

    Raises
    ------
    ValueError
        If there are no atoms, numbers are not finite, species are unknown, or a periodic cell has no volume.
    """
    atoms = structure.atoms
    if len(atoms) == 0:
        raise ValueError('a structure needs at least one atom')
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError(f'{structure.formula}: positions or cell are not finite')
    if (atoms.numbers < 1).any() or (atoms.numbers > 118).any():
        raise ValueError('atomic numbers must lie between 1 and 118')
    periodic = atoms.cell.array[atoms.pbc]
    # The determinant of the Gram matrix is the squared length, area or volume that the vectors span.
    if len(periodic) and np.linalg.det(periodic @ periodic.T) < SMALLEST_SPAN**2:
        raise ValueError(f'{structure.formula}: periodic cell vectors are zero or linearly dependent')


def geometry_attributes(structure: Structure) -> dict[str, Any]:
    """Validate the geometry of a frame and return what any node of it is queried by.

    Raises
    ------
    ValueError
        If the frame is no structure (see :func:`check_geometry`).
    """
    check_geometry(structure)
    return {
        'n_atoms': len(structure),
        'formula': structure.formula,
        'elements': structure.elements,
        'system': structure.provenance.get('system'),
        'group': structure.group,
        'fingerprint': structure.content_hash(),
    }


def finite(value: float) -> float:
    """Plain float, refused when it is NaN or infinite (the database cannot hold it)."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f'{number} cannot be stored')
    return number


class FrameMixin:
    """Behaviour of a node whose arrays are one record of a batch object."""

    _CLS_NODE_CACHING = ContentCaching
    base: Any
    label: str

    @classmethod
    def frame_attributes(cls, structure: Structure, geometry: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate a frame and return the attributes that its node is queried by.

        Parameters
        ----------
        structure
            The frame.
        geometry
            What :func:`geometry_attributes` gave for it, if that is known already.

        Raises
        ------
        ValueError
            If the frame is not fit to be stored as this class.
        """
        return geometry or geometry_attributes(structure)

    def _set_frame(self, structure: Structure) -> None:
        """Fill a new node as a batch of one."""
        record = to_record(structure)
        attributes = self.frame_attributes(structure) | {'offset': 0, 'nbytes': len(record)}
        self.base.attributes.set_many(attributes)
        self.base.repository.put_object_from_filelike(io.BytesIO(record), BATCH_FILE)
        self.label = attributes['fingerprint']

    def get_structure(self) -> Structure:
        """The frame with all per-atom arrays, properties and provenance."""
        return self._frame.copy()

    @property
    def _frame(self) -> Structure:
        if '_frame_value' not in self.__dict__:
            attributes = self.base.attributes
            with self.base.repository.open(BATCH_FILE, 'rb') as handle:
                handle.seek(attributes.get('offset'))
                self.__dict__['_frame_value'] = from_record(handle.read(attributes.get('nbytes')))
        value: Structure = self.__dict__['_frame_value']
        return value

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.base.attributes.get('n_atoms'))

    @property
    def formula(self) -> str:
        """Chemical formula in Hill order."""
        return str(self.base.attributes.get('formula'))

    @property
    def elements(self) -> list[str]:
        """Chemical symbols present, alphabetical."""
        return list(self.base.attributes.get('elements'))

    @property
    def system(self) -> str | None:
        """Name of the system that the frame was sampled from, if any."""
        name = self.base.attributes.get('system', None)
        return None if name is None else str(name)

    @property
    def group(self) -> str | None:
        """What frames of one trajectory share, if it is known."""
        name = self.base.attributes.get('group', None)
        return None if name is None else str(name)

    @property
    def fingerprint(self) -> str:
        """Content fingerprint (SHA-1), also the node's ``label``."""
        return str(self.base.attributes.get('fingerprint'))
