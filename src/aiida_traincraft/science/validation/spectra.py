"""Infrared and Raman spectra from time series of dipoles and polarizabilities, and strengths of harmonic modes."""

from __future__ import annotations

import numpy as np
from ase import units
from scipy.fft import next_fast_len

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray

LIGHT = 100 * units._c * 1e-15
"""Speed of light (cm/fs)."""
KM_PER_MOL = units._Nav * units._e**2 / (12 * units._eps0 * units._c**2 * units._amu) / 1000
"""Integrated absorption (km/mol) of a mode whose squared dipole derivative is 1 e²/u: N_A / (12 ε0 c²)."""
HIGHEST = 5000.0
"""Wavenumbers (cm⁻¹) above this are no vibrations."""
POINTS_PER_WIDTH = 8
LEAST_PROMINENCE = 0.02


def autocorrelation(series: FloatArray, n_lags: int) -> FloatArray:
    """Unbiased autocorrelation <x(0)·x(t)> for the first lags, by FFT with zero padding.

    Parameters
    ----------
    series
        Independent runs of a vector, (n_runs, n_steps, d).
    n_lags
        Number of lags, the first of which is zero; at most n_steps.

    Returns
    -------
    (n_lags,) array
        Mean over the runs of the sum over the components.
    """
    n_steps = series.shape[1]
    size = next_fast_len(n_steps + n_lags, real=True)
    power = np.abs(np.fft.rfft(series, size, axis=1)) ** 2
    products = np.fft.irfft(power.sum(axis=2).mean(axis=0), size)[:n_lags]
    return np.asarray(products / (n_steps - np.arange(n_lags)))


def spectral_density(
    series: FloatArray, interval: float, timestep: float, longest: float
) -> tuple[FloatArray, FloatArray]:
    """Spectrum of the rate of change of a vector, whose area is the mean square of that rate.

    The Fourier transform of the autocorrelation of dx/dt under a Hann window (Blackman and Tukey). What the velocity
    Verlet algorithm and the finite differences of x do to a harmonic vibration is known, and undone: a vibration of
    frequency ω appears at ω' with sin(ω' Δt / 2) = ω Δt / 2.

    Parameters
    ----------
    series
        Independent runs of a vector x, (n_runs, n_steps, d).
    interval
        Time between two values (fs).
    timestep
        Time step Δt of the velocity Verlet algorithm (fs); 0 for an exact trajectory.
    longest
        Longest lag of the autocorrelation (fs): peaks are 1 / (c · longest) wide.

    Returns
    -------
    (n,) and (n,) arrays
        Wavenumbers (cm⁻¹) from 0 to 5000, and the density in squares of the unit of x per fs² and cm⁻¹.
    """
    rates = np.diff(series, axis=1) / interval
    n_lags = min(round(longest / interval) + 1, rates.shape[1])
    correlation = autocorrelation(rates, n_lags) * np.cos(np.pi / 2 * np.arange(n_lags) / n_lags) ** 2
    size = next_fast_len(POINTS_PER_WIDTH * n_lags, real=True)
    transform = interval * (2 * np.fft.rfft(correlation, size).real - correlation[0])
    seen = np.fft.rfftfreq(size, interval)
    # Those near the Nyquist frequency are of no use: the corrections grow without bound.
    kept = (seen < 0.45 / interval) & (seen * np.sinc(seen * timestep) <= HIGHEST * LIGHT)
    seen, transform = seen[kept], transform[kept]
    rescaled = (np.sinc(seen * timestep) / np.sinc(seen * interval)) ** 2
    density = 2 * LIGHT * transform * rescaled / np.cos(np.pi * seen * timestep)
    return seen * np.sinc(seen * timestep) / LIGHT, density


def unwrap_dipoles(dipoles: FloatArray, cell: FloatArray, pbc: BoolArray) -> FloatArray:
    """Continuous dipoles of a periodic cell, which are defined up to e times a lattice vector.

    Parameters
    ----------
    dipoles
        Dipoles (e·Å) along a trajectory, (n_steps, 3).
    cell
        Lattice vectors as rows (Å), (3, 3); those without periodicity may be any that are independent.
    pbc
        Periodicity along each, (3,).

    Returns
    -------
    (n_steps, 3) array
        The same with each step the shortest that the lattice allows.
    """
    steps = np.diff(dipoles, axis=0) @ np.linalg.inv(cell)
    steps -= np.where(pbc, np.round(steps), 0.0)
    return np.concatenate([dipoles[:1], dipoles[0] + np.cumsum(steps @ cell, axis=0)])


def infrared_spectrum(
    dipoles: FloatArray, interval: float, timestep: float, longest: float, temperature: float
) -> tuple[FloatArray, FloatArray]:
    """Infrared absorption of classical trajectories (Thomas et al., Phys. Chem. Chem. Phys. 15, 6608 (2013)).

    By linear response the Napierian absorption coefficient is α(ω) = 1 / (6 ε0 c V kT) ∫ <dM/dt(0)·dM/dt(t)>
    exp(-iωt) dt for a refractive index of 1. Times the volume per mole of cells and over wavenumbers, a harmonic mode
    has the area N_A / (12 ε0 c²) |dM/dQ|² at any temperature: that of :func:`infrared_intensities`.

    Parameters
    ----------
    dipoles
        Dipoles (e·Å) without jumps, (n_runs, n_steps, 3).
    interval, timestep, longest
        As of :func:`spectral_density` (fs).
    temperature
        Temperature of the trajectories (K).

    Returns
    -------
    (n,) and (n,) arrays
        Wavenumbers (cm⁻¹) and absorption (km/mol per cm⁻¹).
    """
    wavenumbers, density = spectral_density(dipoles, interval, timestep, longest)
    return wavenumbers, KM_PER_MOL * density / _thermal(temperature)


def raman_spectrum(
    polarizabilities: FloatArray, interval: float, timestep: float, longest: float, temperature: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Raman activity of classical trajectories, as :func:`infrared_spectrum` with polarizabilities.

    The areas are those of :func:`raman_invariants`; factors of the laser's frequency and of Bose-Einstein statistics
    are left out. The unpolarised spectrum is 45 times the first plus 7 times the second.

    Parameters
    ----------
    polarizabilities
        Polarizabilities (Å³), (n_runs, n_steps, 3, 3).
    interval, timestep, longest, temperature
        As of :func:`infrared_spectrum`.

    Returns
    -------
    (n,), (n,) and (n,) arrays
        Wavenumbers (cm⁻¹), isotropic part a² and anisotropic part γ² (Å⁴/u per cm⁻¹).
    """
    isotropic, anisotropic = _parts(polarizabilities)
    shape = polarizabilities.shape[:2]
    wavenumbers, mean = spectral_density(isotropic.reshape(*shape, 1), interval, timestep, longest)
    _, rest = spectral_density(anisotropic.reshape(*shape, 9), interval, timestep, longest)
    return wavenumbers, mean / _thermal(temperature), 1.5 * rest / _thermal(temperature)


def infrared_intensities(derivatives: FloatArray) -> FloatArray:
    """Integrated absorption (km/mol) of harmonic modes: N_A / (12 ε0 c²) |dμ/dQ|².

    Parameters
    ----------
    derivatives
        Of the dipole with respect to the normal coordinates (e/√u), (n_modes, 3).
    """
    return np.asarray(KM_PER_MOL * (derivatives**2).sum(axis=1))


def raman_invariants(derivatives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Squares a² and γ² of the mean and of the anisotropy (Å⁴/u) of symmetric tensors.

    a = Tr α / 3 and γ² = 3/2 β:β with β = α - a·1 (Long, The Raman Effect, 2002).

    Parameters
    ----------
    derivatives
        Of the polarizability with respect to the normal coordinates (Å²/√u), (n_modes, 3, 3).
    """
    isotropic, anisotropic = _parts(derivatives)
    return isotropic**2, 1.5 * (anisotropic**2).sum(axis=(-2, -1))


def raman_activities(derivatives: FloatArray) -> FloatArray:
    """Raman activity 45 a² + 7 γ² (Å⁴/u) of harmonic modes; ``derivatives`` as of :func:`raman_invariants`."""
    mean, anisotropy = raman_invariants(derivatives)
    return np.asarray(45 * mean + 7 * anisotropy)


def depolarisation_ratios(derivatives: FloatArray) -> FloatArray:
    """Depolarisation ratio 3 γ² / (45 a² + 4 γ²) of harmonic modes for polarised light; NaN where both are zero."""
    mean, anisotropy = raman_invariants(derivatives)
    whole = 45 * mean + 4 * anisotropy
    return np.divide(3 * anisotropy, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def find_bands(wavenumbers: FloatArray, intensities: FloatArray) -> FloatArray:
    """Wavenumbers (cm⁻¹) of the peaks that rise by two percent of the highest, ascending."""
    # The Hann window leaves dips of -2.7 percent and rises of 0.8 percent beside a peak.
    intensities = np.maximum(intensities, 0.0)
    # Imported here: it takes half a second.
    from scipy.signal import find_peaks

    places, _ = find_peaks(intensities, prominence=LEAST_PROMINENCE * intensities.max())
    left, middle, right = intensities[places - 1], intensities[places], intensities[places + 1]
    spacing = (wavenumbers[places + 1] - wavenumbers[places - 1]) / 2
    # The top of the parabola through three points.
    return np.asarray(wavenumbers[places] + spacing * (left - right) / (2 * (left - 2 * middle + right)))


def _parts(tensors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Third of the trace, and what is left without it."""
    mean = np.trace(tensors, axis1=-2, axis2=-1) / 3
    return np.asarray(mean), tensors - mean[..., None, None] * np.eye(3)


def _thermal(temperature: float) -> float:
    """Temperature (K) as energy kT in u Å²/fs²."""
    return float(units.kB * temperature * units.fs**2)
