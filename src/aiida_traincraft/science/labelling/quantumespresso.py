"""From the numbers of a pw.x run to a label, or to the reason why there is none.

Numbers come as aiida-quantumespresso parses them, whatever ran pw.x, so that all labels use the same unit constants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

PARSER_UNITS = {'energy_units': 'eV', 'forces_units': 'ev / angstrom', 'stress_units': 'GPascal'}
EMPTY = 5e-3
"""Occupation (electrons; of both spins where they share a band) below which a band counts as empty."""
SMALLEST_GAP = 0.05
"""Band gap (eV) below which fixed occupations are no description of a structure."""
FUNCTIONALS = {
    ('SLA', 'PZ', 'NOGX', 'NOGC'): 'PZ',
    ('SLA', 'PW', 'NOGX', 'NOGC'): 'PW',
    ('SLA', 'PW', 'PBX', 'PBC'): 'PBE',
    ('SLA', 'PW', 'PBE', 'PBE'): 'PBE',
    ('SLA', 'PW', 'PSX', 'PSC'): 'PBESOL',
    ('SLA', 'PW', 'PBSX', 'PBSC'): 'PBESOL',
    ('SLA', 'PW', 'RPB', 'PBC'): 'REVPBE',
    ('SLA', 'PW', 'GGX', 'GGC'): 'PW91',
    ('LDA',): 'PZ',
    ('SLA', 'PW', 'REVX', 'PBC'): 'REVPBE',
    ('B88', 'P86'): 'BP',
    ('SLA', 'PW', 'B88', 'P86'): 'BP',
    ('SLA', 'LYP', 'B88', 'BLYP'): 'BLYP',
}
REASONS = {
    'ERROR_ELECTRONIC_CONVERGENCE_NOT_REACHED': 'SCF not converged',
    'ERROR_OUT_OF_WALLTIME': 'walltime',
    'ERROR_OUT_OF_WALLTIME_INTERRUPTED': 'walltime',
    'ERROR_SCHEDULER_OUT_OF_WALLTIME': 'walltime',
    'ERROR_SCHEDULER_OUT_OF_MEMORY': 'out of memory',
    'ERROR_SCHEDULER_NODE_FAILURE': 'scheduler failure',
    'ERROR_SCHEDULER_INVALID_ACCOUNT': 'scheduler failure',
    'ERROR_NO_RETRIEVED_FOLDER': 'scheduler failure',
    'ERROR_OUTPUT_STDOUT_MISSING': 'scheduler failure',
    'ERROR_CHARGE_IS_WRONG': 'odd number of electrons with fixed occupations',
}
"""Reason by label of aiida-quantumespresso's exit code or log message; any other label is a stop of pw.x."""
INCOMPLETE = {'ERROR_OUTPUT_STDOUT_INCOMPLETE', 'ERROR_OUTPUT_XML_MISSING', 'ERROR_OUTPUT_FILES'}
# Rulers, what the Fortran runtime says of every stop, and a backtrace.
NOISE = re.compile(r'[^a-z]*$|#|at \.\.|Error termination|Backtrace|Note: The following floating-point')
BROKEN_DOWN = re.compile(r'Fortran runtime error|forrtl: severe|SIGSEGV|SIGFPE|SIGILL|SIGBUS|SIGABRT')


@dataclass(frozen=True)
class Limits:
    """What a label is held against."""

    conv_thr: float
    """Convergence threshold that was asked for (Ry)."""
    n_electrons: float
    """Valence electrons that the pseudopotentials of the right elements bring."""
    max_force: float
    """eV/Å."""
    max_pressure: float
    """GPa."""
    version: str
    """Version of pw.x that the level of theory names."""
    periodic: bool = True
    """Whether a stress is expected."""


@dataclass(frozen=True)
class Refusal:
    """Why a run that ended with exit code 0 gives no label."""

    reason: str
    """In few words, the same for all of its kind."""
    detail: str
    """With numbers."""


def label_properties(
    parameters: Mapping[str, Any], forces: npt.ArrayLike | None, stress: npt.ArrayLike | None, periodic: bool
) -> dict[str, Any]:
    """Properties of a label in this package's units and signs.

    Parameters
    ----------
    parameters
        Parsed output parameters; ``energy`` (eV) is pw.x's "! total energy", which with smearing is the free energy
        E − TS that the forces derive from.
    forces
        (n_atoms, 3) in eV/Å.
    stress
        (3, 3) in GPa with pw.x's sign: positive under compression.
    periodic
        Whether the stress means anything.

    Returns
    -------
    dict
        ``energy`` (eV), ``forces`` (n_atoms, 3) in eV/Å, ``stress`` (6,) in eV/Å³ with ASE's sign and Voigt order.
    """
    properties: dict[str, Any] = {'energy': float(parameters['energy']), 'forces': np.array(forces, dtype=float)}
    if periodic:
        # Adding 0.0 turns −0.0 into 0.0.
        properties['stress'] = -full_3x3_to_voigt_6_stress(np.array(stress, dtype=float)) * GPa + 0.0
    return properties


def refusal(
    parameters: Mapping[str, Any],
    forces: npt.ArrayLike | None,
    stress: npt.ArrayLike | None,
    bands: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    limits: Limits,
) -> Refusal | None:
    """Why a run with exit code 0 gives no label, None if it does.

    Parameters
    ----------
    parameters, forces, stress
        As :func:`label_properties` takes them.
    bands
        Energies (eV) and occupations of all bands, (..., n_kpoints, n_bands) each.
    limits
        What to hold it against.
    """
    return (
        _complete(parameters, forces, stress, limits)
        or _converged(parameters, limits)
        or _right_input(parameters, limits)
        or insufficient_bands(parameters, bands)
        or too_large(
            float(np.linalg.norm(np.asarray(forces), axis=1).max()),
            float(np.trace(np.asarray(stress)) / 3) if limits.periodic else None,
            limits.max_force,
            limits.max_pressure,
        )
    )


def _complete(
    parameters: Mapping[str, Any], forces: npt.ArrayLike | None, stress: npt.ArrayLike | None, limits: Limits
) -> Refusal | None:
    missing = [name for name, value in (('energy', parameters.get('energy')), ('forces', forces)) if value is None]
    if limits.periodic and stress is None:
        missing.append('stress')
    if missing:
        return Refusal('incomplete output', f'no {" and no ".join(missing)} in the output')
    values = [np.asarray(parameters['energy']), np.asarray(forces), *([np.asarray(stress)] if limits.periodic else [])]
    if not all(np.isfinite(value).all() for value in values):
        return Refusal('numbers not finite', 'energy, forces or stress hold NaN, infinity or an overflow (***)')
    for key, unit in PARSER_UNITS.items():
        given = parameters.get(key)
        if given is None and key == 'forces_units':
            # Forces too large for their column are not recognised in the output, and no unit is reported.
            return Refusal('atoms too close', 'the forces overflow their columns')
        if given != unit and (limits.periodic or key != 'stress_units'):
            return Refusal('unexpected units', f'{key} is {given!r} instead of {unit!r}')
    return None


def _converged(parameters: Mapping[str, Any], limits: Limits) -> Refusal | None:
    scf = parameters.get('convergence_info', {}).get('scf_conv', {})
    # pw.x 6.7 says "converged" also where convergence was switched off; its estimated error (Ha) does not lie.
    error = 2 * scf['scf_error'] if 'scf_error' in scf else float('inf')
    if not scf.get('convergence_achieved') or not error <= limits.conv_thr:
        return Refusal('SCF not converged', f'estimated error {error:.1e} Ry, threshold {limits.conv_thr:.1e} Ry')
    return None


def _right_input(parameters: Mapping[str, Any], limits: Limits) -> Refusal | None:
    electrons = parameters.get('number_of_electrons')
    if electrons is None or abs(electrons - limits.n_electrons) > 1e-6:
        return Refusal('wrong pseudopotential', f'{electrons} electrons instead of {limits.n_electrons:g}')
    if parameters.get('creator_version') != limits.version:
        return Refusal(
            'another version of pw.x',
            f'the code is version {parameters.get("creator_version")} now, the level of theory says {limits.version}: '
            'run "traincraft doctor", which records it',
        )
    return None


def insufficient_bands(
    parameters: Mapping[str, Any], bands: tuple[npt.ArrayLike, npt.ArrayLike] | None
) -> Refusal | None:
    """Refuse a run whose highest band is not empty, or that has fixed occupations but no gap."""
    if bands is None:
        return Refusal('incomplete output', 'no bands in the output')
    energies, occupations = (np.asarray(value, dtype=float) for value in bands)
    if parameters.get('occupations') == 'fixed':
        filled = occupations > EMPTY
        if filled.all():
            return Refusal('no band gap with fixed occupations', 'there is no empty band that would show a gap')
        gap = float(energies[~filled].min() - energies[filled].max())
        if gap < SMALLEST_GAP:
            return Refusal('no band gap with fixed occupations', f'gap {gap:.3f} eV: set a smearing')
    elif (top := float(occupations[..., -1].max())) > EMPTY:
        return Refusal('too few bands', f'the highest band holds {top:.3f} electrons')
    return None


def too_large(
    max_force: float, pressure: float | None, force_allowed: float, pressure_allowed: float
) -> Refusal | None:
    """Refuse a label by its largest force (eV/Å) or its pressure (GPa): atoms that all but overlap end well too."""
    if max_force > force_allowed:
        return Refusal('force too large', f'{max_force:.1f} eV/Å, allowed {force_allowed:g} eV/Å')
    if pressure is not None and abs(pressure) > pressure_allowed:
        return Refusal('pressure too large', f'{pressure:.1f} GPa, allowed {pressure_allowed:g} GPa')
    return None


def upf_functional(upf: str) -> str:
    """Functional that a pseudopotential file was made with: its short name where known, else what the file says.

    Parameters
    ----------
    upf
        Text of a UPF file of version 1 or 2.

    Raises
    ------
    ValueError
        If the file does not name one.
    """
    found = re.search(r'functional\s*=\s*"([^"]*)"', upf) or re.search(
        r'^(.*?)Exchange-Correlation functional', upf, re.MULTILINE
    )
    words = found.group(1).upper().replace('+', ' ').replace('-', ' ').split() if found else []
    if not words:
        raise ValueError('the pseudopotential file does not name its functional')
    for tokens, name in FUNCTIONALS.items():
        if tuple(words[: len(tokens)]) == tokens:
            return name
    return ' '.join(words)


def too_close(closest: float, allowed: float) -> Refusal | None:
    """Refuse a structure before it is calculated; distances as fractions of the sum of covalent radii."""
    if closest >= allowed:
        return None
    return Refusal(
        'atoms too close', f'the closest pair is at {closest:.3f} of its covalent radii, allowed {allowed:g}'
    )


def failure(label: str, crash: str = '', stdout: str = '', stderr: str = '') -> Refusal:
    """Why pw.x gave nothing.

    Parameters
    ----------
    label
        Label of aiida-quantumespresso's exit code or log message, such as ``ERROR_OUT_OF_WALLTIME``.
    crash, stdout, stderr
        Content of the file ``CRASH`` and of both output streams, as far as there are any.
    """
    reason = REASONS.get(label, 'pw.x stopped')
    told = _between_rulers(crash, stdout) or _told(crash) or BROKEN_DOWN.search(stderr) or 'JOB DONE' in stdout
    if label in INCOMPLETE and not told:
        reason = 'scheduler failure'
    accuracy = re.findall(r'estimated scf accuracy\s+<\s*(\S+)', stdout)
    if reason == 'SCF not converged' and accuracy:
        steps = re.findall(r'convergence NOT achieved after\s+(\d+) iterations', stdout)
        return Refusal(reason, f'{steps[-1] if steps else "?"} iterations, estimated error {accuracy[-1]} Ry')
    if reason == 'walltime' and stdout:
        return Refusal(reason, f'{scf_iterations(stdout)} SCF iterations begun')
    return Refusal(reason, error_message(crash, stdout, stderr) or label)


def scf_iterations(stdout: str) -> int:
    """SCF iterations that an output of pw.x begins."""
    return len(re.findall(r'^ *iteration #.*ecut', stdout, re.MULTILINE))


def error_message(crash: str, stdout: str, stderr: str = '') -> str:
    """What pw.x says of its end: the message between its %-lines, else the end of CRASH, else of the streams.

    Empty if nothing is said, or only that all is well.
    """
    told = _between_rulers(crash, stdout) or ' '.join((_told(crash) or _told(stderr))[-3:])
    if not told and 'JOB DONE' not in stdout:
        lines = [line.strip() for line in stdout.splitlines() if any(letter.isalpha() for letter in line)]
        told = lines[-1] if lines else ''
    return told[:300]


def _between_rulers(*texts: str) -> str:
    for text in texts:
        found = re.search(r'%%%+\s*\n(.*?)\n\s*%%%+', text, re.DOTALL)
        if found:
            return ' '.join(re.sub(r'task #\s*\d+', '', found.group(1)).split())
    return ''


def _told(text: str) -> list[str]:
    """Lines that say something, with single blanks."""
    lines = [' '.join(line.split()) for line in text.splitlines()]
    return [line for line in lines if not NOISE.match(line)]
