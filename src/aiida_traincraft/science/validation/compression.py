"""Validator ``compression``: whether a potential repels atoms that come closer and closer, to the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from pydantic import Field

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Curve, Findings, Subject, Validator, compute
from aiida_traincraft.science.validation.dimer import bond_length, fall_inwards

FARTHEST = 6.0
"""Distance (Å) of a pair whose energy counts as zero."""
STEP = 0.03
"""Share of the distance by which each is larger than the next."""
SYSTEMS, LARGEST = 3, 100
"""Systems, and atoms of a structure, that are looked at without being asked for."""
NOTED = {'fall': 0.01, 'pair_fall': 0.05, 'tension': 1.0}
"""Values (eV/atom, eV, GPa) below which nothing is said."""


class CompressionConfig(StructureValidatorConfig):
    """Energy and pressure of a structure under compression, and of every pair of its elements."""

    quantities: ClassVar[dict[str, str]] = {'fall': 'eV/atom', 'tension': 'GPa', 'pair_fall': 'eV'}
    type: Literal['compression'] = 'compression'

    closest: float = Field(default=0.5, gt=0, lt=0.8)
    """Smallest distance in the compressed structure, as a part of the sum of the pair's covalent radii."""
    closest_pair: float = Field(default=0.2, gt=0, le=1.0)
    """Smallest distance (Å) of a pair."""


@register('validator', 'compression', CompressionConfig)
class Compression(Validator):
    """A structure compressed alike in all directions, and pairs of atoms, far beyond what any data hold.

    ``fall`` is how far the energy per atom falls on the way inwards behind a barrier, 0 without one: what dynamics at
    high pressure or temperature would fall into. ``tension`` is the largest negative pressure, -dE/dV, inside the
    volume of lowest energy; 0 where compression always costs. ``pair_fall`` is ``fall`` (eV) of the worst pair.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "compression"
        geometry.builder = { type = "crystal", name = "Cu" }
        at_most = { fall = 0.01, pair_fall = 0.05, tension = 1.0 }
    """

    config: CompressionConfig

    def plan(self, subject: Subject) -> list[Structure]:
        """The structure at every scale from its own size, then every pair, from far to near."""
        assert subject.start is not None
        start = subject.start.bare()
        frames = []
        for scale in self._scales(start.atoms):
            atoms = start.atoms.copy()
            atoms.set_cell(scale * atoms.cell.array)
            atoms.positions *= scale
            frames.append(Structure(atoms, {}, start.provenance | {'scale': float(scale)}))
        for pair in combinations_with_replacement(start.elements, 2):
            for distance in _inwards(FARTHEST, self.config.closest_pair):
                atoms = Atoms(pair, [[0, 0, 0], [distance, 0, 0]])
                frames.append(Structure(atoms, {}, {'pair': '-'.join(pair), 'distance': float(distance)}))
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Falls and tension on the way inwards."""
        findings = Findings(values={'fall': None, 'tension': None, 'pair_fall': None})
        squeezed = [frame for frame in frames if 'scale' in frame.provenance]
        if len(squeezed) > 1:
            self._measure_structure(squeezed, findings)
        energy: Curve = {'pair': [], 'distance (Å)': [], 'energy (eV)': []}
        falls = []
        for pair in dict.fromkeys(frame.provenance['pair'] for frame in frames if 'pair' in frame.provenance):
            chosen = [frame for frame in frames if frame.provenance.get('pair') == pair]
            distances = np.array([frame.provenance['distance'] for frame in chosen])
            energies = np.array([frame.properties['energy'] for frame in chosen])
            energies -= energies[0]
            found = fall_inwards(energies, distances <= bond_length(pair.split('-')))
            falls.append(float(found.max()))
            for column, values in zip(energy.values(), ([pair] * len(chosen), distances, energies), strict=True):
                column.extend(np.asarray(values).tolist())
            if falls[-1] > NOTED['pair_fall']:
                top = int(found.argmax())
                place = distances[top + int(energies[top:].argmin())]
                findings.notes.append(f'{pair} falls by {falls[-1]:.3g} eV behind its barrier, to {place:.2f} Å')
        findings.values['pair_fall'] = max(falls, default=None)
        findings.curves['pairs'] = energy
        return findings

    def _measure_structure(self, frames: Sequence[Structure], findings: Findings) -> None:
        formula = frames[0].formula
        scales = np.array([frame.provenance['scale'] for frame in frames])
        energies = np.array([frame.properties['energy'] / len(frame) for frame in frames])
        falls = fall_inwards(energies, np.ones(len(energies), bool))
        fall, top = float(falls.max()), int(falls.argmax())
        curve: Curve = {'scale': scales.tolist(), 'energy (eV/atom)': energies.tolist()}
        findings.values['fall'] = fall
        findings.curves['compression'] = curve
        if fall > NOTED['fall']:
            place = scales[top + int(energies[top:].argmin())]
            findings.notes.append(
                f'{formula} falls by {fall:.3g} eV/atom behind a barrier, to {place:.2f} of its lengths'
            )
        if not frames[0].atoms.pbc.all():
            return
        volumes = np.array([frame.atoms.get_volume() / len(frame) for frame in frames])
        pressures = -np.diff(energies) / np.diff(volumes) / units.GPa
        curve['pressure (GPa)'] = [None, *pressures.tolist()]
        bottom = int(energies[: top + 1 if fall else None].argmin())
        tension = -float(pressures[bottom:].min(initial=0.0))
        findings.values['tension'] = tension
        if tension > NOTED['tension']:
            findings.notes.append(f'{formula} is drawn inwards by {tension:.3g} GPa when compressed')

    def _scales(self, atoms: Atoms) -> FloatArray:
        """Scales of all lengths; none without neighbours."""
        nearest = minimum_distance(atoms)
        return _inwards(1.0, min(1.0, self.config.closest / nearest)) if np.isfinite(nearest) else np.zeros(0)


def find_holes(structures: Sequence[Structure], calculator: Any) -> list[str]:
    """What the validator has to say, with its defaults, of the first structure of each system and of every pair.

    Parameters
    ----------
    structures
        ``provenance["system"]`` groups; no more systems than three are asked, nor structures of more than 100 atoms.
    calculator
        ASE calculator with energies.
    """
    firsts: dict[str, Structure] = {}
    for structure in structures:
        if len(structure) <= LARGEST:
            firsts.setdefault(str(structure.provenance.get('system')), structure)
    notes: list[str] = []
    validator = Compression(CompressionConfig.model_construct())
    for structure in list(firsts.values())[:SYSTEMS]:
        try:
            frames = [compute(frame, calculator) for frame in validator.plan(Subject(calculator, structure))]
        except BrokenError as error:
            notes.append(f'{structure.formula}: {error}')
        else:
            notes += validator.measure(frames).notes
    return list(dict.fromkeys(notes))


def _inwards(start: float, end: float) -> FloatArray:
    return np.geomspace(start, end, 1 + int(np.ceil(np.log(start / end) / np.log1p(STEP))))
