"""Validator ``infrared``: infrared spectrum of a potential with dipoles."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.validation import Curve
from aiida_traincraft.science.validation.spectra import infrared_intensities, infrared_spectrum, unwrap_dipoles
from aiida_traincraft.science.validation.vibrations import SpectrumConfig, SpectrumValidator


class InfraredConfig(SpectrumConfig):
    """Infrared spectrum: harmonic, and of trajectories."""

    aliases: ClassVar[tuple[str, ...]] = ('ir',)
    quantities: ClassVar[dict[str, str]] = {
        'lowest_frequency': 'cm⁻¹',
        'strongest_peak': 'cm⁻¹',
        'total_intensity': 'km/mol',
        'peak_difference': 'cm⁻¹',
        'energy_drift': 'meV/atom/ps',
        'peak_error': 'cm⁻¹',
        'intensity_error': '',
    }
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'dipole'})
    type: Literal['infrared'] = 'infrared'


@register('validator', 'infrared', InfraredConfig)
class Infrared(SpectrumValidator):
    """Infrared spectrum of a molecule or a cell: harmonic, and of molecular dynamics.

    The harmonic spectrum is that of the start relaxed by the potential, by central differences of forces and dipoles:
    a mode of normal coordinate Q has the integrated absorption N_A / (12 ε0 c²) |dμ/dQ|² (km/mol; Porezag and
    Pederson, Phys. Rev. B 54, 7830 (1996)). That of trajectories is the Fourier transform of the autocorrelation of
    dμ/dt at constant energy (Thomas et al., Phys. Chem. Chem. Phys. 15, 6608 (2013)), on the same scale: a peak's area
    is the mode's intensity. The dynamics are classical.

    ``lowest_frequency`` (negative if imaginary), ``strongest_peak`` and ``total_intensity`` are those of the harmonic
    spectrum. ``peak_difference`` is the largest distance of a harmonic peak of at least 5 % of the strongest from the
    nearest peak of the trajectories; ``energy_drift`` the largest of the trajectories. With a reference,
    ``peak_error`` is the largest difference of such a peak, modes matched by overlap, and ``intensity_error`` that of
    an intensity along the reference's modes, as a part of the strongest.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "infrared"
        geometry.builder = { type = "molecule", name = "H2O" }
        temperature = 60.0
        runs = 1
        length = 0.2
        equilibration = 0.1
        window = 0.2
        at_most = { energy_drift = 1.0 }
    """

    response = 'dipole'
    strength = 'intensity'

    def strengths(self, derivatives: FloatArray) -> FloatArray:
        """Integrated absorption (km/mol)."""
        return infrared_intensities(derivatives)

    def tabulate(self, wavenumbers: FloatArray, derivatives: FloatArray) -> Curve:
        """Wavenumbers and integrated absorptions."""
        return {
            'wavenumber (cm⁻¹)': wavenumbers.tolist(),
            'intensity (km/mol)': infrared_intensities(derivatives).tolist(),
        }

    def transform(self, series: FloatArray, atoms: Atoms, temperature: float) -> tuple[Curve, FloatArray, FloatArray]:
        """Absorption spectrum of dipoles (n_runs, n_values, 3)."""
        config, cell = self.config, atoms.cell.complete().array
        continuous = np.array([unwrap_dipoles(dipoles, cell, atoms.pbc) for dipoles in series])
        wavenumbers, absorption = infrared_spectrum(
            continuous, config.interval * config.timestep, config.timestep, 1000 * config.window, temperature
        )
        curve: Curve = {
            'wavenumber (cm⁻¹)': wavenumbers.tolist(),
            'absorption (km/mol per cm⁻¹)': absorption.tolist(),
        }
        return curve, wavenumbers, absorption
