"""One labelled frame as a node."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from aiida import orm

from aiida_traincraft.data.frames.base import FrameMixin, finite
from aiida_traincraft.data.reading import QUERY_CHUNK
from aiida_traincraft.science.structure import Structure

SHAPES: dict[str, tuple[int, ...]] = {'stress': (6,), 'dipole': (3,), 'polarizability': (3, 3)}
FINGERPRINT_DECIMALS = 8


class LabelData(FrameMixin, orm.Data):
    """Energy (eV), forces (eV/Å) and, where known, stress (eV/Å³), dipole (e·Å), polarizability (Å³) of a structure.

    Stress has ASE's sign and Voigt order (xx, yy, zz, yz, xz, xy).

    Parameters
    ----------
    structure
        The frame; its provenance holds ``level_of_theory``, the hash of the level that made it.

    Raises
    ------
    ValueError
        If energy or forces are missing, not finite, or of the wrong shape.
    """

    def __init__(self, structure: Structure, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_frame(structure)

    @classmethod
    def frame_attributes(cls, structure: Structure, geometry: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate a labelled frame and return what it is queried by."""
        geometry = super().frame_attributes(structure, geometry)
        properties, name = structure.properties, geometry['formula']
        level = structure.provenance.get('level_of_theory')
        if not level:
            raise ValueError(f'{name}: a label needs the hash of its level of theory')
        missing = [key for key in ('energy', 'forces') if key not in properties]
        if missing:
            raise ValueError(f'{name}: a label needs {" and ".join(missing)}')
        shapes = {'forces': (len(structure), 3)} | {key: SHAPES[key] for key in SHAPES if key in properties}
        for key, shape in shapes.items():
            value = np.asarray(properties[key])
            if value.shape != shape:
                raise ValueError(f'{name}: {key} has shape {value.shape}, expected {shape}')
            if not np.isfinite(value).all():
                raise ValueError(f'{name}: {key} holds numbers that are not finite')
        energy = finite(properties['energy'])
        stress = properties.get('stress')
        return geometry | {
            'structure': geometry['fingerprint'],
            'fingerprint': _fingerprint(geometry['fingerprint'], level, properties),
            'level_of_theory': level,
            'energy': energy,
            'energy_per_atom': energy / len(structure),
            'max_force': finite(np.linalg.norm(properties['forces'], axis=1).max()),
            'pressure': None if stress is None else finite(-np.mean(np.asarray(stress)[:3])),
            'properties': sorted(properties),
            'kpoints': structure.provenance.get('kpoints'),
            'total_magnetization': structure.provenance.get('total_magnetization'),
        }

    @property
    def energy(self) -> float:
        """Energy of the whole frame (eV)."""
        return float(self.base.attributes.get('energy'))

    @property
    def max_force(self) -> float:
        """Largest norm of a force (eV/Å)."""
        return float(self.base.attributes.get('max_force'))

    @property
    def pressure(self) -> float | None:
        """Minus a third of the trace of the stress (eV/Å³), if there is a stress."""
        value = self.base.attributes.get('pressure')
        return None if value is None else float(value)

    @property
    def level_of_theory(self) -> str:
        """Hash of the level of theory."""
        return str(self.base.attributes.get('level_of_theory'))

    @property
    def structure_fingerprint(self) -> str:
        """Fingerprint of the structure that was labelled."""
        return str(self.base.attributes.get('structure'))

    @property
    def forces(self) -> np.ndarray[Any, Any]:
        """Forces (n_atoms, 3) in eV/Å."""
        return np.array(self._frame.properties['forces'])

    def __str__(self) -> str:
        per_atom = self.base.attributes.get('energy_per_atom')
        return f'label {self.formula}: {per_atom:.4f} eV/atom, max force {self.max_force:.3f} eV/Å'


def find_label(fingerprints: Sequence[str], level: str) -> dict[str, str]:
    """Newest stored label of each structure at one level of theory.

    Parameters
    ----------
    fingerprints
        Content fingerprints of structures.
    level
        Hash of the level of theory.

    Returns
    -------
    dict
        UUID of the label by fingerprint; structures without one are left out.

    Notes
    -----
    A label counts whatever became of the process that made it: each was judged by itself before it was stored, and a
    job that failed later, or was killed, does not make it worse. A label that no process made does not count: nothing
    says where its numbers come from. The limits that a campaign sets (largest force, pressure) are no part of a level:
    the caller holds what is found against its own.
    """
    found: dict[str, str] = {}
    for start in range(0, len(fingerprints), QUERY_CHUNK):
        query = orm.QueryBuilder().append(orm.CalculationNode, tag='process')
        query.append(
            LabelData,
            with_incoming='process',
            filters={
                'attributes.level_of_theory': level,
                'attributes.structure': {'in': list(fingerprints[start : start + QUERY_CHUNK])},
            },
            project=['attributes.structure', 'uuid'],
            tag='label',
        )
        # The newest comes last and stays.
        query.order_by({'label': 'id'})
        found |= dict(query.iterall())
    return found


def _fingerprint(structure: str, level: str, properties: dict[str, Any]) -> str:
    digest = hashlib.sha1(f'{structure} {level}'.encode(), usedforsecurity=False)
    for key in ('energy', 'forces', *SHAPES):
        if key in properties:
            digest.update(key.encode())
            digest.update((np.round(np.asarray(properties[key], '<f8'), FINGERPRINT_DECIMALS) + 0.0).tobytes())
    return digest.hexdigest()
