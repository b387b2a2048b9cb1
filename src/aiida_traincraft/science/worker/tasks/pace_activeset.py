"""Active set, LAMMPS potential and structure descriptors of a fitted ACE potential."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_check import add_checksum, read_active_set
from aiida_traincraft.science.structure import read_frames
from aiida_traincraft.science.training.ace.activeset import check_active_set
from aiida_traincraft.science.training.ace.basis import count_atoms
from aiida_traincraft.science.training.ace.pacemaker import write_geometries

POTENTIAL_FILE, ACTIVE_SET_FILE, FAST_FILE = 'potential.yaml', 'potential.asi', 'potential.yace'
GEOMETRIES_FILE = 'geometries.pckl.gzip'


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Choose the active set of ``potential.yaml`` from ``dataset.frames``.

    Writes ``potential.asi``, ``potential.yace`` (with E0, for LAMMPS and fast evaluation) and ``descriptors.npz``
    (key ``descriptors``, (n_structures, d): see :meth:`PaceCalculator.descriptor`).

    Parameters
    ----------
    parameters
        ``e0`` (eV of each isolated atom), ``gamma_lo`` (threshold of the exploration), ``seed`` (of the check).
    folder
        Job folder.

    Returns
    -------
    dict
        ``degenerate``, ``message``, ``gamma_rattled`` (see :func:`check_active_set`), ``max_inverse`` (largest
        element of the inverse active set), ``n_functions`` and ``n_atoms`` per element, ``elements``.

    Raises
    ------
    TaskError
        ``bad_input`` if an element has fewer atoms than functions, or no atom has a neighbour within the cutoff;
        ``no_result`` if a pyace tool fails.
    ValueError
        If the input cannot be used.
    """
    e0, potential = parameters['e0'], folder / POTENTIAL_FILE
    structures = read_frames(folder / 'dataset.frames')
    plain = PaceCalculator(potential, e0)
    counts = count_atoms(structures)
    short = [
        f'{el}: {counts.get(el, 0)} atoms, {n} functions' for el, n in plain.counts.items() if counts.get(el, 0) < n
    ]
    if short:
        raise TaskError(
            'bad_input',
            f'an active set needs at least as many atoms of each element as it has functions ({"; ".join(short)}): '
            'add structures or use fewer functions',
        )
    write_geometries(folder / GEOMETRIES_FILE, structures, plain.cutoff)
    _call(folder, 'pace_activeset', '-d', GEOMETRIES_FILE, '--all-atoms', POTENTIAL_FILE)
    _call(folder, 'pace_yaml2yace', '-o', FAST_FILE, POTENTIAL_FILE)
    for name in (ACTIVE_SET_FILE, FAST_FILE):
        if not (folder / name).is_file():
            raise TaskError('no_result', f'{name} was not written')
    _insert_e0(folder / FAST_FILE, [e0[element] for element in plain.elements])
    add_checksum(folder / FAST_FILE)

    # Reads back what was written, and holds the two forms of the potential against each other.
    calculator = PaceCalculator(potential, e0, active_set=folder / ACTIVE_SET_FILE, fast=folder / FAST_FILE)
    check = check_active_set(calculator, structures, float(parameters['gamma_lo']), int(parameters['seed']))
    if check.gamma_rattled is None:
        raise TaskError(
            'bad_input', f'{check.message}: raise the cutoff ({plain.cutoff:g} Å), or add denser structures'
        )
    descriptors = np.array([calculator.descriptor(structure.atoms) for structure in structures])
    np.savez_compressed(folder / 'descriptors.npz', descriptors=descriptors)
    largest = max(float(np.abs(matrix).max()) for matrix in read_active_set(folder / ACTIVE_SET_FILE).values())
    return {
        'degenerate': check.degenerate,
        'message': check.message,
        'gamma_rattled': check.gamma_rattled,
        'max_inverse': largest,
        'n_functions': plain.counts,
        'n_atoms': {element: counts[element] for element in plain.elements},
        'elements': plain.elements,
    }


def _call(folder: Path, tool: str, *arguments: str) -> None:
    """Run one of pyace's scripts, which lie beside this interpreter."""
    script = Path(sys.executable).parent / tool
    if not script.is_file():
        raise TaskError('missing_package', f'{tool} of python-ace is not installed beside {sys.executable}')
    done = subprocess.run([str(script), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise TaskError('no_result', f'{tool} ended with status {done.returncode}: {lines[-1] if lines else "silent"}')


def _insert_e0(path: Path, energies: list[float]) -> None:
    """Write the isolated-atom energies (eV, elements alphabetical) into a ``.yace``, whose E0 is zero at first."""
    line = f'E0: [{", ".join(repr(float(energy)) for energy in energies)}]'
    text, replaced = re.subn(r'^E0:.*$', line, path.read_text(encoding='utf-8'), flags=re.MULTILINE)
    if replaced != 1:
        raise TaskError('no_result', f'{path.name} has {replaced} lines "E0:", expected one')
    path.write_text(text, encoding='utf-8')
