"""Source ``scratch``: a molecule or an element by its name alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase.build import bulk
from pydantic import Field

from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.species import Species, make_species
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


class ScratchConfig(SourceConfig):
    """A molecule of ASE's G2 set, or the reference crystal of an element."""

    type: Literal['scratch'] = 'scratch'
    kind: Literal['molecule', 'bulk']
    """What the name stands for."""
    name: str = Field(min_length=1)
    """Molecule such as ``CH3OH``, or element such as ``Cu``."""
    cubic: bool = False
    """Cubic cell of a crystal in place of the primitive one."""
    vacuum: float | None = Field(default=None, gt=0, le=1000)
    """Vacuum around a molecule on each side (Å); without it, it has no cell."""


@register('source', 'scratch', ScratchConfig)
def from_scratch(config: ScratchConfig, workspace: Workspace | None, rng: np.random.Generator) -> Structure:
    """Molecule of ASE's G2 set, or reference crystal of an element, by its name.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "scratch"
        kind = "molecule"
        name = "CH3CH2OH"
        vacuum = 4.0
    """
    if config.kind == 'molecule':
        atoms = make_species(Species(name=config.name), rng)
        if config.vacuum is not None:
            atoms.center(vacuum=config.vacuum)
        return Structure(atoms)
    if config.vacuum is not None:
        raise ValueError('"vacuum" goes with kind = "molecule"; a crystal fills space')
    try:
        return Structure(bulk(config.name, cubic=config.cubic))
    except (ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(
            f'"name": ASE has no reference crystal of {config.name!r} ({error}): use builder "crystal"'
        ) from error
