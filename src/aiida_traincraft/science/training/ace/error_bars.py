"""Error bars of a linear ACE potential, from the posterior of its coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.training.ace.design import RowBuilder
from aiida_traincraft.science.training.ace.evidence import Posterior, deviation

NOISE_PREFIX = 'noise_'
"""Of the name of a noise in a file and on a node, before the kind of labels."""


@dataclass(frozen=True)
class ErrorBars:
    """Standard deviations of what a potential predicts for one structure.

    Attributes
    ----------
    energy
        Of the energy per atom (eV/atom).
    forces
        (n_atoms, 3), of each force component (eV/Å).
    """

    energy: float
    forces: FloatArray


def save_posterior(posterior: Posterior, path: Path) -> None:
    """Write what error bars need: the triangular factor (key ``factor``), and the noise of each kind of labels."""
    arrays: dict[str, Any] = {f'{NOISE_PREFIX}{name}': value for name, value in posterior.noise.items()}
    np.savez_compressed(path, factor=posterior.factor, **arrays)


def error_bars(builder: RowBuilder, factor: FloatArray, noise: dict[str, float], atoms: Atoms) -> ErrorBars:
    """Error bars of one structure.

    The variance is that of the noise, which holds what the basis cannot say, and what the coefficients leave (C. M.
    Bishop, Pattern Recognition and Machine Learning, 2006, eq. 3.59). Below the onset of a core repulsion they say
    nothing.

    Parameters
    ----------
    builder
        Of the potential's basis.
    factor, noise
        Of the :class:`~aiida_traincraft.science.training.ace.evidence.Posterior`; noise of ``energy`` (eV/atom) and
        ``forces`` (eV/Å).
    atoms
        The structure.

    Raises
    ------
    ValueError
        If it cannot be evaluated, or the posterior is not of this basis.
    """
    rows = builder.rows(atoms)
    if len(factor) != len(rows.energy):
        raise ValueError(f'the posterior has {len(factor)} coefficients, the potential {len(rows.energy)}')
    energy = deviation(factor, rows.energy[None, :])[0]
    forces = deviation(factor, rows.forces).reshape(-1, 3)
    return ErrorBars(float(np.hypot(energy, noise['energy'])), np.hypot(forces, noise['forces']))
