"""Validator ``rdf``: radial distribution functions of dynamics beside those of labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import ClassVar, Literal

import numpy as np
from ase.neighborlist import neighbor_list
from pydantic import Field

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Findings, Subject, Validator
from aiida_traincraft.science.validation.md_stability import ThermostatConfig


class RdfConfig(ThermostatConfig):
    """Radial distribution functions."""

    quantities: ClassVar[dict[str, str]] = {'rdf_error': '', 'rdf_noise': ''}
    needs_labels: ClassVar[bool] = True
    type: Literal['rdf'] = 'rdf'
    frames_of: str | None = None
    """System of the labelled structures to compare with; by default all, which must then have one composition."""
    tolerance: float | None = Field(default=None, gt=0)
    """Compared with are labelled structures whose temperature is this near to ``temperature`` (K); by default all."""
    r_max: float = Field(default=6.0, gt=0, le=20)
    """Largest distance (Å)."""
    width: float = Field(default=0.1, ge=0.005, le=1)
    """Width of the bins (Å), about: a whole number of them makes up ``r_max``."""

    def tested_systems(self) -> dict[str, str]:
        """System whose labelled structures are compared with."""
        return {} if self.frames_of is None else {'frames_of': self.frames_of}


@register('validator', 'rdf', RdfConfig)
class Rdf(Validator):
    """Radial distribution functions g(r) of Langevin dynamics, for each pair of elements, against labelled frames.

    The frames must be samples of the equilibrium at ``temperature``, such as those of ab-initio dynamics, periodic in
    all directions; frames chosen for their variety are no such samples. The dynamics start from frames evenly spread
    among them, thus at their density.

    ``rdf_error`` is ``∫ |g − g_ref| dr / ∫ g_ref dr`` up to ``r_max``, of the pair for which it is largest: the error
    of Fu et al., TMLR (2023), arXiv:2210.07237, relative to the reference. ``rdf_noise`` is the same between the even
    and the odd labelled frames: an error below it means nothing. Distances beyond half the cell count, for both alike.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "rdf"
        temperature = 600.0
        runs = 1
        length = 0.4
        equilibration = 0.2
        timestep = 4.0
        at_most = { rdf_error = 0.3 }
    """

    config: RdfConfig

    def run(self, subject: Subject) -> Findings:
        """Dynamics and comparison."""
        config = self.config
        labelled = self._reference(subject.labelled)
        middles, reference = self._average(labelled)
        findings = Findings({'rdf_error': None, 'rdf_noise': None})
        if len(labelled) > 1:
            findings.values['rdf_noise'] = _distance(self._average(labelled[::2])[1], self._average(labelled[1::2])[1])
        starts = [labelled[index * len(labelled) // config.runs] for index in range(config.runs)]
        frames: list[Structure] = []
        for number, start in enumerate(starts, 1):
            run = config.sample(start, subject)
            subject.report(f'{config.label}: run {number} of {config.runs}: {run.end}')
            if run.end != 'finished':
                return findings | Findings(broken=f'run {number} of {config.runs}: {run.end}')
            frames += run.frames
        own = self._average(frames)[1]
        findings.values['rdf_error'] = _distance(own, reference)
        findings.notes.append(f'{len(frames)} frames of dynamics against {len(labelled)} labelled ones')
        for pair, values in reference.items():
            findings.curves[pair] = {
                'distance (Å)': middles.tolist(),
                'g': own[pair].tolist(),
                'g of the labels': values.tolist(),
            }
        return findings

    def _reference(self, labelled: Sequence[Structure]) -> list[Structure]:
        """Labelled frames to compare with."""
        config = self.config
        found = [frame for frame in labelled if config.frames_of in (None, frame.provenance.get('system'))]
        if config.tolerance is not None:
            known = [frame for frame in found if frame.provenance.get('temperature') is not None]
            found = [f for f in known if abs(f.provenance['temperature'] - config.temperature) <= config.tolerance]
        formulas = sorted({frame.formula for frame in found})
        if not found:
            raise BrokenError('no labelled structure is left by "frames_of" and "tolerance"')
        if len(formulas) > 1:
            raise BrokenError(f'labelled structures of {", ".join(formulas)}: choose one system with "frames_of"')
        if not all(frame.atoms.pbc.all() for frame in found):
            raise BrokenError('labelled structures are not periodic in all directions: g(r) has no density to refer to')
        return found

    def _average(self, frames: Sequence[Structure]) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Middles of the bins (Å), and the mean g(r) of each pair of elements."""
        n_bins = max(1, round(self.config.r_max / self.config.width))
        edges = np.linspace(0, self.config.r_max, n_bins + 1)
        tables = [radial_distribution(frame, edges) for frame in frames]
        mean = {pair: np.mean([table[pair] for table in tables], axis=0) for pair in tables[0]}
        return (edges[:-1] + edges[1:]) / 2, mean


def radial_distribution(frame: Structure, edges: FloatArray) -> dict[str, FloatArray]:
    """Radial distribution function of each pair of elements such as "Cu-O", without unit.

    Parameters
    ----------
    frame
        Periodic in all directions; any cell, as all periodic images count.
    edges
        Edges of the bins (Å), (n_bins + 1,).
    """
    first, second, distances = neighbor_list('ijd', frame.atoms, float(edges[-1]))
    symbols = np.array(frame.atoms.get_chemical_symbols())
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    found = {}
    for one, other in combinations_with_replacement(frame.elements, 2):
        counts, _ = np.histogram(distances[(symbols[first] == one) & (symbols[second] == other)], edges)
        pairs = (symbols == one).sum() * (symbols == other).sum()
        found[f'{one}-{other}'] = counts * frame.atoms.get_volume() / (pairs * shells)
    return found


def _distance(own: dict[str, FloatArray], reference: dict[str, FloatArray]) -> float | None:
    errors = [np.abs(own[pair] - values).sum() / values.sum() for pair, values in reference.items() if values.any()]
    return float(max(errors)) if errors else None
