"""Builder ``surface_adsorbate``: atoms or molecules on the sites of a surface."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms import fragments
from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.atoms.conversion import to_pymatgen
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.slab import SlabConfig, build_slabs
from aiida_traincraft.science.geometry.insertion import image_distance, make_inserted, nearest_distance, turned
from aiida_traincraft.science.geometry.species import Species
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Site = Literal['ontop', 'bridge', 'hollow']
SURFACE_HEIGHT = 0.9
"""Atoms that are no further (Å) below the highest one are the surface, as for pymatgen."""
_ATTEMPTS = 50


class SurfaceAdsorbateConfig(BuilderConfig):
    """A slab with adsorbates on its upper side."""

    type: Literal['surface_adsorbate'] = 'surface_adsorbate'
    slab: SlabConfig
    """The surface: keys of the builder ``slab``; its vacuum must hold the adsorbates too."""
    adsorbate: Species
    """What is adsorbed."""
    sites: Annotated[tuple[Site, ...], Field(min_length=1)] = ('ontop', 'bridge', 'hollow')
    """Kinds of sites that may be occupied."""
    count: int | None = Field(default=None, ge=1, le=10_000)
    """Number of adsorbates."""
    coverage: float | None = Field(default=None, gt=0, le=4)
    """Adsorbates per atom of the surface (monolayers), in place of ``count``; their number must be whole."""
    height: float = Field(default=2.0, gt=0, le=20)
    """Height of the lowest atom of an adsorbate above the site (Å)."""
    orientations: int | None = Field(default=None, ge=1, le=1000)
    """Number of structures, each with sites and orientations drawn anew; without it one, with the molecule as it was
    made: upright, for those of ASE."""
    min_distance: float = Field(default=2.0, gt=0, le=100)
    """Least distance between atoms of two adsorbates, or of one and its periodic image (Å)."""

    @model_validator(mode='after')
    def _one(self) -> SurfaceAdsorbateConfig:
        if (self.count is None) == (self.coverage is None):
            raise ValueError('give exactly one of "count" and "coverage"')
        return self


@register('builder', 'surface_adsorbate', SurfaceAdsorbateConfig)
def build_surface_adsorbate(config: SurfaceAdsorbateConfig, rng: np.random.Generator) -> list[Structure]:
    """Slab with adsorbates on sites drawn at random among those found by Delaunay triangulation of its upper side.

    The site finder is pymatgen's (Montoya and Persson, npj Comput. Mater. 3, 14 (2017)). The lowest atom of each
    adsorbate is above the site; adsorbates are molecules 0, 1, ... of ``tc_fragment``, the slab is framework. Every
    termination of the slab gives structures of its own.

    Raises
    ------
    ValueError
        If the slab cannot be built, it has too few sites, or the adsorbates come too near to each other or to the
        next image of the slab.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "surface_adsorbate"
        slab = { facet = "fcc111", name = "Cu", size = [2, 2, 3], vacuum = 8.0 }
        adsorbate = { name = "CO" }
        sites = ["ontop"]
        coverage = 0.25
        height = 1.85
    """
    guest = make_inserted(config.adsorbate, rng)
    structures: list[Structure] = []
    across, along, layers = config.slab.size
    # The site finder takes minutes for a thousand cells.
    one_cell = config.slab.model_copy(update={'size': (1, 1, layers)})
    for slab, unit in zip(build_slabs(config.slab), build_slabs(one_cell), strict=True):
        in_cell, n_surface = find_sites(unit, config.sites, config.height)
        steps = np.stack(np.meshgrid(range(across), range(along)), axis=-1).reshape(-1, 1, 2) @ unit.cell.array[:2]
        places = (in_cell + steps).reshape(-1, 3)
        count = config.count or _whole(config.coverage or 0.0, n_surface * across * along)
        turns = range(config.orientations or 1)
        structures += [Structure(_cover(slab, guest, places, count, config, rng)) for _ in turns]
    return structures


def find_sites(slab: Atoms, kinds: tuple[Site, ...], height: float) -> tuple[FloatArray, int]:
    """Sites on the upper side of a slab.

    Returns
    -------
    (n, 3) array
        Points (Å) at a height (Å) above every site of these kinds.
    int
        Atoms of the surface.

    Raises
    ------
    ValueError
        If there is none of these kinds.
    """
    # Imported here: it takes seconds.
    from pymatgen.analysis.adsorption import AdsorbateSiteFinder

    # The finder's own search for the surface compares every atom with every other.
    top = slab[slab.positions[:, 2] >= slab.positions[:, 2].max() - SURFACE_HEIGHT]
    surface = to_pymatgen(top)
    surface.add_site_property('surface_properties', ['surface'] * len(top))
    finder: Any = AdsorbateSiteFinder(surface, mi_vec=[0, 0, 1])
    found = finder.find_adsorption_sites(distance=height, symm_reduce=0, near_reduce=0.01, positions=kinds)
    places = np.array([place for kind in dict.fromkeys(kinds) for place in found[kind]]).reshape(-1, 3)
    if not len(places):
        raise ValueError(f'"sites": the surface has no site of the kind {", ".join(kinds)}')
    return places, len(finder.surface_sites)


def _whole(coverage: float, n_surface: int) -> int:
    exact = coverage * n_surface
    count = round(exact)
    if count < 1 or abs(exact - count) > 1e-2:
        near = sorted({max(1, int(exact)), int(exact) + 1})
        offered = ' or '.join(f'{number / n_surface:.6g}' for number in near)
        raise ValueError(
            f'"coverage" {coverage} of {n_surface} surface atoms is no whole number of adsorbates: '
            f'take {offered}, or change "size"'
        )
    return count


def _cover(
    slab: Atoms, guest: Atoms, places: FloatArray, count: int, config: SurfaceAdsorbateConfig, rng: np.random.Generator
) -> Atoms:
    if count > len(places):
        raise ValueError(f'"count" or "coverage" asks for {count} adsorbates on {len(places)} "sites"')
    inverse = np.linalg.inv(slab.cell.array)[:, :2]
    in_plane, thickness = places @ inverse, 1.0 / np.linalg.norm(inverse, axis=0)
    reach = config.min_distance + 2.0 * float(np.ptp(guest.positions, axis=0).sum())
    most = 0
    for _ in range(_ATTEMPTS):
        placed: list[FloatArray] = []
        taken: list[int] = []
        for number in rng.permutation(len(places)):
            adsorbate = turned(guest, rng) if config.orientations else guest
            lowest = adsorbate.positions[np.argmin(adsorbate.positions[:, 2])]
            positions = adsorbate.positions - lowest + places[number]
            apart = in_plane[taken] - in_plane[number]
            near = (abs(apart - apart.round()) * thickness <= reach).all(axis=1)
            others = np.reshape([placed[index] for index in np.flatnonzero(near)], (-1, 3))
            nearest = min(nearest_distance(positions, others, slab), image_distance(positions, slab))
            if nearest >= config.min_distance:
                placed.append(positions)
                taken.append(number)
            if len(placed) == count:
                return _join(slab, guest, placed, config)
        most = max(most, len(placed))
    raise ValueError(
        f'"min_distance" {config.min_distance} leaves room for {most} adsorbates, but {count} are asked for: '
        'lower it, or "count" or "coverage", or raise "size"'
    )


def _join(slab: Atoms, guest: Atoms, placed: list[FloatArray], config: SurfaceAdsorbateConfig) -> Atoms:
    covered: Atoms = slab.copy()
    fragments.set_fragments(covered, fragments.FRAMEWORK)
    for positions in placed:
        fragments.append(covered, Atoms(guest.numbers, positions))
    top = covered.positions[:, 2].max()
    room = slab.cell[2, 2] + slab.positions[:, 2].min() - top if slab.pbc[2] else slab.cell[2, 2] - top
    if room < config.min_distance:
        raise ValueError(
            f'"vacuum" {config.slab.vacuum} of the slab leaves {room:.2f} Å above the adsorbates: raise it'
        )
    return covered
