"""Transform ``slab``: a surface cut from a crystal."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from ase import Atoms
from ase.formula import Formula
from ase.geometry import minkowski_reduce
from pydantic import AfterValidator, Field

from aiida_traincraft.science.atoms.fragments import FRAGMENT, FRAMEWORK
from aiida_traincraft.science.atoms.symbols import check_formula
from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.geometry.cuts import Axes, Miller, empirical, find_cut, outermost_plane, upside_down
from aiida_traincraft.science.geometry.terminations import set_vacuum
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


def _formula(text: str) -> str:
    try:
        return check_formula(text)
    except ValueError:
        raise ValueError(f'{text!r} is no formula of a plane of atoms, such as "TiO2"') from None


class SlabTransformConfig(TransformConfig):
    """A slab of a crystal with vacuum on both sides."""

    type: Literal['slab'] = 'slab'
    miller: Miller
    """Miller indices of the cut."""
    axes: Axes = 'conventional'
    """Cell that ``miller`` counts in: the conventional one, as spglib standardises it, or that of the structure."""
    layers: int = Field(ge=1, le=10_000)
    """Layers as thick as neighbouring lattice planes are apart: planes of atoms in copper, formula units in MgO."""
    termination: Annotated[int, Field(ge=0)] | Annotated[str, AfterValidator(_formula)] = 0
    """Number of the slab among those that differ, from 0, or formula of the plane of atoms on top, such as "TiO2"; a
    slab that has it below is turned over."""
    symmetric: bool = False
    """Only slabs with equivalent sides; planes at the top are left out where that needs it."""
    vacuum: float = Field(gt=0, le=1000)
    """Vacuum on each side (Å)."""
    periodic: bool = False
    """Periodic along the normal too, as plane-wave codes need it."""


@register('transform', 'slab', SlabTransformConfig)
def slab(structure: Structure, config: SlabTransformConfig, rng: np.random.Generator) -> Structure:
    """Surface of a crystal, its normal along z and its cell the smallest in the plane, whichever cell is given.

    Elements, masses, moments and charges of the atoms stay, other arrays do not; ``supercell`` makes the slab wider.

    Raises
    ------
    ValueError
        If the structure is no crystal, or of molecules, if there is no such slab, or it would be too large.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "MgO"
        crystalstructure = "rocksalt"
        a = 4.21

        [[transforms]]
        type = "slab"
        miller = [1, 1, 1]
        layers = 4
        termination = "O"
        symmetric = true
        vacuum = 7.5
    """
    crystal = structure.atoms
    if not crystal.pbc.all():
        raise ValueError(f'"slab" cuts a crystal, but {structure.formula} is not periodic in three directions')
    if FRAGMENT in crystal.arrays and (crystal.arrays[FRAGMENT] != FRAMEWORK).any():
        raise ValueError(
            f'"slab" would cut the molecules of {structure.formula}: the transform "vacuum" leaves them whole'
        )
    slabs = find_cut(crystal, config.miller, config.axes).slabs(config.layers, config.symmetric, 'layers')
    if not slabs:
        raise ValueError(f'"symmetric": no slab {list(config.miller)} of {structure.formula} has equivalent sides')
    chosen = _reduced(_terminated(slabs, config), config.vacuum)
    chosen.pbc = [True, True, config.periodic]
    return Structure(chosen, {}, dict(structure.provenance))


def _terminated(slabs: list[Atoms], config: SlabTransformConfig) -> Atoms:
    """Slab that is asked for, upside down where its lower side is the one asked for."""
    told = '; '.join(
        f'{number}: {outermost_plane(atoms, top=False)} below, {outermost_plane(atoms, top=True)} on top'
        for number, atoms in enumerate(slabs)
    )
    if isinstance(config.termination, int):
        if config.termination >= len(slabs):
            raise ValueError(f'"termination" {config.termination} is none of the slabs {list(config.miller)}: {told}')
        return slabs[config.termination]
    wanted = empirical(Formula(config.termination).count())
    for top in (True, False):
        fitting = [atoms for atoms in slabs if outermost_plane(atoms, top) == wanted]
        if len(fitting) > 1:
            raise ValueError(
                f'"termination" {config.termination!r} is that of several slabs; give one by number: {told}'
            )
        if fitting:
            return fitting[0] if top else upside_down(fitting[0])
    raise ValueError(f'"termination" {config.termination!r} is that of none of the slabs {list(config.miller)}: {told}')


def _reduced(slab: Atoms, vacuum: float) -> Atoms:
    """With the shortest vectors in the plane, the first along x."""
    spaced = set_vacuum(slab, vacuum)
    spaced.set_cell(minkowski_reduce(spaced.cell, [True, True, False])[0])
    spaced.rotate(spaced.cell[0], 'x', rotate_cell=True)
    return set_vacuum(spaced, vacuum)
