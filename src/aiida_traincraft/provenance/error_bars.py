"""Error bars of a potential that was fitted with a posterior."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from aiida import orm
from ase import Atoms

from aiida_traincraft.data.potentials.pace import YAML, PacePotentialData
from aiida_traincraft.science.models.ace_file import load_basis
from aiida_traincraft.science.training.ace.design import RowBuilder
from aiida_traincraft.science.training.ace.error_bars import NOISE_PREFIX, ErrorBars, error_bars


def potential_error_bars(potential: PacePotentialData, frames: Iterable[Atoms]) -> list[ErrorBars]:
    """Error bars of a linear ACE potential, from the posterior of its fit.

    Parameters
    ----------
    potential
        With or without an active set.
    frames
        Structures to predict.

    Returns
    -------
    list of ErrorBars
        Standard deviations of the energy (eV/atom) and the force components (eV/Å) of each structure.

    Raises
    ------
    ValueError
        If its fit kept no posterior, or a structure cannot be evaluated.
    """
    posterior = _posterior(potential)
    noise = {
        key.removeprefix(NOISE_PREFIX): float(value)
        for key, value in posterior.base.attributes.all.items()
        if key.startswith(NOISE_PREFIX)
    }
    with TemporaryDirectory() as folder:
        (Path(folder) / YAML).write_bytes(potential.read_file(YAML))
        builder = RowBuilder(load_basis(Path(folder) / YAML))
    factor = posterior.get_array('factor')
    return [error_bars(builder, factor, noise, atoms) for atoms in frames]


def _posterior(potential: PacePotentialData) -> orm.ArrayData:
    """Follow a potential to its fit, through the job that added the active set."""
    made: PacePotentialData = potential
    while (creator := made.creator) is not None:
        if 'posterior' in creator.outputs:
            found: orm.ArrayData = creator.outputs.posterior
            return found
        if 'potential' not in creator.inputs:
            break
        made = creator.inputs.potential
    raise ValueError(
        f'{potential} has no posterior: only linear ACE with regression = "bayesian" (type = "pace_linear") keeps one'
    )
