"""Spectra of time series whose spectra are known."""

import numpy as np
import pytest
from ase import units
from ase.vibrations.infrared import Infrared

from aiida_traincraft.science.validation import spectra

TEMPERATURE = 300.0
KT = units.kB * TEMPERATURE * units.fs**2


def oscillate(wavenumber, interval, n_runs=3, n_steps=8000, timestep=0.0):
    """Normal coordinate (√u Å) with the mean energy kT, (n_runs, n_steps)."""
    omega = 2 * np.pi * spectra.LIGHT * wavenumber
    # What velocity Verlet makes of it.
    seen = 2 / timestep * np.arcsin(omega * timestep / 2) if timestep else omega
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, n_runs)
    return np.sqrt(2 * KT) / omega * np.cos(seen * interval * np.arange(n_steps) + phases[:, None])


def area(wavenumbers, density, around, width=150.0):
    inside = abs(wavenumbers - around) < width
    return np.trapezoid(density[inside], wavenumbers[inside])


def test_autocorrelation_is_the_direct_sum():
    series = np.random.default_rng(0).normal(size=(2, 50, 3))
    direct = [np.mean([(x[: 50 - lag] * x[lag:]).sum(axis=1).mean() for x in series]) for lag in range(50)]
    assert spectra.autocorrelation(series, 50) == pytest.approx(np.array(direct), abs=1e-12)


@pytest.mark.parametrize('wavenumber', [200.0, 1600.0, 3700.0])
@pytest.mark.parametrize(('interval', 'timestep'), [(0.5, 0.0), (1.0, 0.5), (3.0, 1.0)])
def test_a_harmonic_dipole_gives_one_peak_with_the_area_of_its_intensity(wavenumber, interval, timestep):
    slope = np.array([0.1, -0.2, 0.05])
    coordinate = oscillate(wavenumber, interval, timestep=timestep)
    found, density = spectra.infrared_spectrum(
        coordinate[..., None] * slope + [5.0, 0.0, 1.0], interval, timestep, 2000.0, TEMPERATURE
    )
    assert found[0] == 0
    assert found[-1] <= spectra.HIGHEST
    assert spectra.find_bands(found, density) == pytest.approx([wavenumber], abs=0.5)
    intensity = spectra.infrared_intensities(slope[None])[0]
    assert area(found, density, wavenumber) == pytest.approx(intensity, rel=0.02)


def test_two_modes_are_two_peaks():
    coordinates = oscillate(1000.0, 1.0)[..., None] * [0.1, 0, 0] + oscillate(2000.0, 1.0)[..., None] * [0, 0.03, 0]
    found, density = spectra.infrared_spectrum(coordinates, 1.0, 0.0, 2000.0, TEMPERATURE)
    assert spectra.find_bands(found, density) == pytest.approx([1000, 2000], abs=0.5)
    assert area(found, density, 2000) / area(found, density, 1000) == pytest.approx(0.09, rel=0.02)


def test_intensities_are_those_of_ase():
    # (D/Å)²/u of a dipole derivative of 1 e/√u, times ASE's own factor.
    conversion = Infrared.intensity_prefactor(None, 'km/mol')[0] / units.Debye**2
    assert spectra.infrared_intensities(np.eye(3)[:1]) == pytest.approx([conversion], rel=1e-4)


@pytest.mark.parametrize(
    ('tensor', 'ratio'),
    [
        (np.eye(3), 0.0),
        (np.diag([1.0, -1.0, 0.0]), 0.75),
        (np.array([[0, 0, 1.0], [0, 0, 0], [1, 0, 0]]), 0.75),
        # a = 1/3, γ² = 1: 3 / (5 + 4).
        (np.diag([0.0, 0.0, 1.0]), 1 / 3),
    ],
)
def test_raman_of_a_mode_of_known_tensor(tensor, ratio):
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turned = rotation @ tensor @ rotation.T
    assert spectra.depolarisation_ratios(turned[None]) == pytest.approx([ratio], abs=1e-12)
    coordinate = oscillate(1500.0, 1.0)
    found, mean, anisotropy = spectra.raman_spectrum(
        coordinate[..., None, None] * turned + 3 * np.eye(3), 1.0, 0.0, 2000.0, TEMPERATURE
    )
    activity = 45 * mean + 7 * anisotropy
    assert spectra.find_bands(found, activity) == pytest.approx([1500], abs=0.5)
    assert area(found, activity, 1500) == pytest.approx(spectra.raman_activities(turned[None])[0], rel=0.02)
    a, g = area(found, mean, 1500), area(found, anisotropy, 1500)
    assert 3 * g / (45 * a + 4 * g) == pytest.approx(ratio, abs=1e-6)


def test_a_tensor_that_does_not_change_has_no_ratio():
    assert np.isnan(spectra.depolarisation_ratios(np.zeros((1, 3, 3)))).all()


def test_anisotropy_is_that_of_the_textbook():
    x = np.random.default_rng(4).normal(size=(3, 3))
    x = x + x.T
    textbook = ((x[0, 0] - x[1, 1]) ** 2 + (x[1, 1] - x[2, 2]) ** 2 + (x[2, 2] - x[0, 0]) ** 2) / 2
    textbook += 3 * (x[0, 1] ** 2 + x[1, 2] ** 2 + x[2, 0] ** 2)
    assert spectra.raman_invariants(x[None])[1] == pytest.approx([textbook])


def test_dipoles_are_unwrapped_along_periodic_directions_only():
    cell = np.array([[5.0, 0, 0], [2.0, 4.0, 0], [0, 0.5, 6.0]])
    rng = np.random.default_rng(5)
    smooth = np.cumsum(rng.normal(scale=0.1, size=(300, 3)), axis=0)
    jumps = rng.integers(-2, 3, size=(300, 3)) * [1, 1, 0]
    wrapped = smooth + jumps @ cell
    unwrapped = spectra.unwrap_dipoles(wrapped, cell, np.array([True, True, False]))
    assert unwrapped - unwrapped[0] == pytest.approx(smooth - smooth[0], abs=1e-9)
    assert spectra.unwrap_dipoles(wrapped, cell, np.array([False] * 3)) == pytest.approx(wrapped)
