"""Validator ``raman``: Raman spectrum of a potential with polarizabilities."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.validation import Curve
from aiida_traincraft.science.validation.spectra import (
    depolarisation_ratios,
    raman_activities,
    raman_spectrum,
)
from aiida_traincraft.science.validation.vibrations import SpectrumConfig, SpectrumValidator


class RamanConfig(SpectrumConfig):
    """Raman spectrum: harmonic, and of trajectories."""

    quantities: ClassVar[dict[str, str]] = {
        'lowest_frequency': 'cm⁻¹',
        'strongest_peak': 'cm⁻¹',
        'strongest_depolarisation': '',
        'total_activity': 'Å⁴/u',
        'peak_difference': 'cm⁻¹',
        'energy_drift': 'meV/atom/ps',
        'peak_error': 'cm⁻¹',
        'activity_error': '',
    }
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'polarizability'})
    type: Literal['raman'] = 'raman'


@register('validator', 'raman', RamanConfig)
class Raman(SpectrumValidator):
    """Raman spectrum of a molecule or a cell: harmonic, and of molecular dynamics.

    The harmonic spectrum is that of the start relaxed by the potential, by central differences of forces and
    polarizabilities: a mode has the activity 45 a² + 7 γ² (Å⁴/u) and the depolarisation ratio 3 γ² / (45 a² + 4 γ²) of
    polarised light, with the mean a and the anisotropy γ of dα/dQ (Long, The Raman Effect, 2002). That of trajectories
    is the Fourier transform of the autocorrelations of the two parts of dα/dt at constant energy (Thomas et al., Phys.
    Chem. Chem. Phys. 15, 6608 (2013)), on the same scale: a peak's area is the mode's activity. Factors of the laser's
    frequency and of the statistics of phonons are left out of both. The dynamics are classical.

    ``lowest_frequency`` (negative if imaginary), ``strongest_peak``, its depolarisation ratio
    ``strongest_depolarisation`` and ``total_activity`` are those of the harmonic spectrum. ``peak_difference`` is the
    largest distance of a harmonic peak of at least 5 % of the strongest from the nearest peak of the trajectories;
    ``energy_drift`` the largest of the trajectories. With a reference, ``peak_error`` is the largest difference of such
    a peak, modes matched by overlap, and ``activity_error`` that of an activity along the reference's modes, as a part
    of the strongest.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "raman"
        geometry.builder = { type = "molecule", name = "H2O" }
        temperature = 60.0
        runs = 1
        length = 0.2
        equilibration = 0.1
        window = 0.2
        at_most = { energy_drift = 1.0 }
    """

    response = 'polarizability'
    strength = 'activity'

    def strengths(self, derivatives: FloatArray) -> FloatArray:
        """Raman activity (Å⁴/u)."""
        return raman_activities(derivatives)

    def describe(self, derivatives: FloatArray) -> dict[str, float | None]:
        """Depolarisation ratio of the strongest mode."""
        ratio = float(depolarisation_ratios(derivatives[None])[0])
        return {'strongest_depolarisation': None if np.isnan(ratio) else ratio}

    def tabulate(self, wavenumbers: FloatArray, derivatives: FloatArray) -> Curve:
        """Wavenumbers, activities and depolarisation ratios, None for modes without activity."""
        ratios = depolarisation_ratios(derivatives)
        return {
            'wavenumber (cm⁻¹)': wavenumbers.tolist(),
            'activity (Å⁴/u)': raman_activities(derivatives).tolist(),
            'depolarisation ratio': [None if np.isnan(ratio) else float(ratio) for ratio in ratios],
        }

    def transform(self, series: FloatArray, atoms: Atoms, temperature: float) -> tuple[Curve, FloatArray, FloatArray]:
        """Raman spectrum of polarizabilities (n_runs, n_values, 3, 3)."""
        config = self.config
        wavenumbers, mean, anisotropy = raman_spectrum(
            series, config.interval * config.timestep, config.timestep, 1000 * config.window, temperature
        )
        activity = 45 * mean + 7 * anisotropy
        curve: Curve = {
            'wavenumber (cm⁻¹)': wavenumbers.tolist(),
            'isotropic (Å⁴/u per cm⁻¹)': (45 * mean).tolist(),
            'anisotropic (Å⁴/u per cm⁻¹)': (7 * anisotropy).tolist(),
            'unpolarised (Å⁴/u per cm⁻¹)': activity.tolist(),
        }
        return curve, wavenumbers, activity
