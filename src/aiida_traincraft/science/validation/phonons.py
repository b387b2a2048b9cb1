"""Validator ``phonons``: phonon frequencies of a crystal."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.cell import Cell
from pydantic import Field

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Curve, Findings, Subject
from aiida_traincraft.science.validation.relaxing import CrystalValidator, SupercellValidatorConfig, repetitions

SYMPREC = 1e-3
IMAGINARY = -0.1
"""Frequency (THz) below which a mode is imaginary, and no noise of the forces."""
SAME = 1e-6
"""Largest difference of fractional coordinates of the same wave vector."""


class PhononsConfig(SupercellValidatorConfig):
    """Phonons by finite displacements in a supercell of the relaxed crystal."""

    quantities: ClassVar[dict[str, str]] = {
        'lowest_frequency': 'THz',
        'highest_frequency': 'THz',
        'mean_frequency': 'THz',
        'band_error': 'THz',
    }
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['phonons'] = 'phonons'
    displacement: float = Field(default=0.01, gt=0, le=0.5)
    """Displacement of an atom (Å)."""
    mesh: int = Field(default=20, ge=1, le=200)
    """Wave vectors in each direction for the density of states and the mean."""
    points: int = Field(default=120, ge=10, le=10_000)
    """Wave vectors along the path between the special points of the lattice."""


@register('validator', 'phonons', PhononsConfig)
class Phonons(CrystalValidator):
    """Phonon frequencies of the relaxed crystal by finite displacements.

    Computed by phonopy (Togo et al., J. Phys.: Condens. Matter 35, 353001 (2023)); the bands follow the path of
    Setyawan and Curtarolo (Comput. Mater. Sci. 49, 299 (2010)). ``lowest_frequency`` and ``highest_frequency`` are the
    extremes on the mesh and the path, the acoustic modes at Γ left out; an imaginary frequency is a negative number.
    ``mean_frequency`` is that of the mesh. With a reference, ``band_error`` is the root mean square difference along
    the path. The non-analytical term of polar crystals is left out: their longitudinal optical branches do not split
    at Γ.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "phonons"
        geometry.builder = { type = "crystal", name = "Cu" }
        repeat = [3, 3, 3]
        at_least = { lowest_frequency = -0.1 }
    """

    config: PhononsConfig

    def check_start(self, start: Structure) -> None:
        """Raise ValueError if the supercell is too large."""
        super().check_start(start)
        repetitions(start.atoms, self.config)

    def plan(self, subject: Subject) -> list[Structure]:
        """Supercells with one atom displaced."""
        crystal = self.relaxed_crystal(subject)
        counts = repetitions(crystal, self.config)
        phonons = _make_phonopy(crystal.numbers, crystal.cell.array, crystal.get_scaled_positions(), counts)
        phonons.generate_displacements(distance=self.config.displacement)
        facts = {
            'numbers': crystal.numbers.tolist(),
            'cell': crystal.cell.array.tolist(),
            'scaled_positions': crystal.get_scaled_positions().tolist(),
            'repeat': list(counts),
        }
        frames = []
        for cell, move in zip(phonons.supercells_with_displacements, phonons.dataset['first_atoms'], strict=True):
            atoms = Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True)
            displaced = {'atom': int(move['number']), 'displacement': np.asarray(move['displacement']).tolist()}
            frames.append(Structure(atoms, {}, facts | displaced))
        subject.report(f'{self.config.label}: {len(frames)} displacements in {len(frames[0])} atoms')
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Bands, density of states and extremes."""
        phonons, path = _force_constants(frames), _path(frames, self.config.points)
        bands = _frequencies(phonons, path.kpts)
        phonons.run_mesh([self.config.mesh] * 3, is_gamma_center=True)
        mesh = phonons.mesh
        phonons.run_total_dos()
        density = phonons.total_dos
        moving = np.concatenate([
            _without_acoustic(path.kpts, bands),
            _without_acoustic(mesh.qpoints, mesh.frequencies),
        ])  # fmt: skip
        names = [_name(path, vector) for vector in path.kpts]
        labelled = [names.index(name) for name in dict.fromkeys(filter(None, names))]
        findings = Findings(
            {
                'lowest_frequency': float(moving.min()),
                'highest_frequency': float(moving.max()),
                'mean_frequency': float(np.average(mesh.frequencies.mean(axis=1), weights=mesh.weights)),
            },
            {
                'bands': {
                    'point': names,
                    'path (1/Å)': path.get_linear_kpoint_axis()[0].tolist(),
                    **_columns(bands),
                },
                'density': {
                    'frequency (THz)': density.frequency_points.tolist(),
                    'density of states (1/THz)': density.dos.tolist(),
                },
                'special_points': {'point': [names[place] for place in labelled], **_columns(bands[labelled])},
            },
        )
        if moving.min() < IMAGINARY:
            soft = [names[place] for place in labelled if bands[place].min() < IMAGINARY]
            where = f'at {", ".join(soft)}' if soft else 'between the special points'
            findings.notes.append(f'imaginary modes {where}, the lowest {moving.min():.2f} THz')
        return findings

    def contrast(self, own: Sequence[Structure], reference: Sequence[Structure]) -> dict[str, float | None]:
        """Root mean square difference of the bands along the path."""
        vectors = _path(own, self.config.points).kpts
        mine, theirs = (_frequencies(_force_constants(frames), vectors) for frames in (own, reference))
        return {'band_error': float(np.sqrt(np.mean((mine - theirs) ** 2)))}


def _make_phonopy(numbers: Any, cell: Any, scaled_positions: Any, repeat: Sequence[int]) -> Any:
    """``Phonopy`` of a unit cell, which finds the primitive one by itself."""
    unit = require('phonopy.structure.atoms', 'validator "phonons"').PhonopyAtoms(
        numbers=numbers, cell=cell, scaled_positions=scaled_positions
    )
    with warnings.catch_warnings():
        # phonopy 4 warns that 'auto' was not the default of phonopy 3, even where it is asked for.
        warnings.simplefilter('ignore')
        return require('phonopy', 'validator "phonons"').Phonopy(
            unit, supercell_matrix=np.diag(repeat), primitive_matrix='auto', symprec=SYMPREC
        )


def _force_constants(frames: Sequence[Structure]) -> Any:
    """``Phonopy`` with the force constants that the frames' forces tell."""
    facts = frames[0].provenance
    phonons = _make_phonopy(facts['numbers'], facts['cell'], facts['scaled_positions'], facts['repeat'])
    phonons.dataset = {
        'natom': len(frames[0]),
        'first_atoms': [
            {
                'number': frame.provenance['atom'],
                'displacement': np.array(frame.provenance['displacement']),
                'forces': np.asarray(frame.properties['forces']),
            }
            for frame in frames
        ],
    }
    phonons.produce_force_constants(show_drift=False)
    phonons.symmetrize_force_constants(show_drift=False)
    return phonons


def _path(frames: Sequence[Structure], points: int) -> Any:
    """Path between the special points of the primitive cell."""
    facts = frames[0].provenance
    phonons = _make_phonopy(facts['numbers'], facts['cell'], facts['scaled_positions'], facts['repeat'])
    return Cell(phonons.primitive.cell).bandpath(npoints=points)


def _frequencies(phonons: Any, vectors: FloatArray) -> FloatArray:
    """Frequencies (THz), (n_vectors, n_branches), by rising frequency."""
    phonons.run_qpoints(vectors)
    return np.sort(np.asarray(phonons.qpoints.frequencies), axis=1)


def _without_acoustic(vectors: FloatArray, frequencies: FloatArray) -> FloatArray:
    """All frequencies but the three next to zero at Γ."""
    kept = np.ones(frequencies.shape, bool)
    for row in np.flatnonzero(np.abs(vectors - np.rint(vectors)).max(axis=1) < SAME):
        kept[row, np.abs(frequencies[row]).argsort()[:3]] = False
    return frequencies[kept]


def _name(path: Any, vector: FloatArray) -> str:
    """Name of a special point, empty for another."""
    for name, point in path.special_points.items():
        if np.abs(point - vector).max() < SAME:
            return str(name)
    return ''


def _columns(frequencies: FloatArray) -> Curve:
    return {f'branch {i + 1} (THz)': frequencies[:, i].tolist() for i in range(frequencies.shape[1])}
