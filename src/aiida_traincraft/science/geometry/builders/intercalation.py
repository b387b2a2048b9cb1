"""Builder ``intercalation``: atoms or molecules between the layers of a crystal."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from ase.geometry import get_distances
from ase.neighborlist import neighbor_list
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms import fragments
from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.layered import LayeredConfig, layer_distance, stack_layers
from aiida_traincraft.science.geometry.insertion import make_inserted, turned
from aiida_traincraft.science.geometry.species import Species
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class IntercalationConfig(BuilderConfig):
    """A layered crystal with guests in its galleries."""

    type: Literal['intercalation'] = 'intercalation'
    host: LayeredConfig
    """The crystal: keys of the builder ``layered``, with ``periodic = true``."""
    guest: Species
    """What is intercalated."""
    stage: int = Field(default=1, ge=1, le=100)
    """One gallery of so many is filled; ``layers`` of the host must be a multiple of it."""
    concentration: float | None = Field(default=None, gt=0, le=1)
    """Guests per atom of the host; their number must be whole and equal in all filled galleries."""
    count: int | None = Field(default=None, ge=1, le=10_000)
    """Guests in each filled gallery, in place of ``concentration``."""
    gallery_expansion: float = Field(default=0.0, ge=-2, le=50)
    """Widening of the filled galleries (Å)."""
    min_distance: float = Field(default=1.5, gt=0, le=10)
    """Least distance of a guest to other guests, their periodic images and the host (Å)."""

    @model_validator(mode='after')
    def _consistent(self) -> IntercalationConfig:
        if (self.count is None) == (self.concentration is None):
            raise ValueError('give exactly one of "concentration" and "count"')
        if not self.host.periodic:
            raise ValueError('"host" must have "periodic" = true')
        if self.host.layers % self.stage:
            raise ValueError(f'"stage" {self.stage} does not divide the {self.host.layers} "layers" of the host')
        return self


@register('builder', 'intercalation', IntercalationConfig)
def build_intercalation(config: IntercalationConfig, rng: np.random.Generator) -> Structure:
    """Layered crystal with an exact number of guests in every gallery that is filled.

    Guests are in the middle of the gallery, at the high-symmetry sites farthest from the atoms of the host, and as far
    from each other as choosing one after the other can bring them; a molecule is turned at random about the normal.
    The host is framework, the guests are molecules 0, 1, ... of ``tc_fragment``.

    Raises
    ------
    ValueError
        If the host cannot be built, the number of guests is not whole, or there are fewer sites.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "intercalation"
        host = { name = "graphene", layers = 2, repeat = [3, 3], periodic = true }
        guest = { name = "Li" }
        concentration = 0.16667
        gallery_expansion = 0.35
    """
    host, layers = config.host, config.host.layers
    spacing, guest = layer_distance(host), make_inserted(config.guest, rng)
    filled = [(gallery + 1) % config.stage == 0 for gallery in range(layers)]
    spacings = [spacing + config.gallery_expansion * full for full in filled]
    if min(spacings) <= 0:
        raise ValueError(f'"gallery_expansion" {config.gallery_expansion} closes the galleries of {spacing} Å')
    stack = stack_layers(host, spacings)
    count = config.count or _whole(config.concentration or 0.0, len(stack), sum(filled))
    compound: Atoms = stack.copy()
    fragments.set_fragments(compound, fragments.FRAMEWORK)
    heights = np.cumsum([0.0, *spacings])
    for gallery in np.flatnonzero(filled):
        middle = (heights[gallery] + heights[gallery + 1]) / 2
        for place in _spread(_sites(stack, host, middle), count, stack, rng):
            positions = turned(guest, rng, 'z').positions + place
            fragments.append(compound, Atoms(guest.numbers, positions))
    _check_distances(compound, config)
    return Structure(compound)


def _check_distances(compound: Atoms, config: IntercalationConfig) -> None:
    first, second, shifts, distances = neighbor_list('ijSd', compound, config.min_distance)
    numbers = fragments.get_fragments(compound)
    apart = (numbers[first] != numbers[second]) | ((numbers[first] >= 0) & shifts.any(axis=1))
    if apart.any():
        raise ValueError(
            f'a guest is {distances[apart].min():.2f} Å from another or from the host, nearer than "min_distance" '
            f'{config.min_distance}: raise "gallery_expansion" or "repeat" of the host, or lower the number of guests'
        )


def _whole(concentration: float, n_host: int, n_galleries: int) -> int:
    exact = concentration * n_host / n_galleries
    count = round(exact)
    # Up to the digits of a fraction such as 1/6.
    if count < 1 or abs(exact - count) > 1e-3 * exact:
        near = sorted({max(1, int(exact)), int(exact) + 1})
        offered = ' or '.join(f'{number * n_galleries / n_host:.6g}' for number in near)
        raise ValueError(
            f'"concentration" {concentration} gives {exact:.4g} guests in each gallery, no whole number: '
            f'take {offered}, or change "repeat" of the host'
        )
    return count


def _sites(stack: Atoms, host: LayeredConfig, height: float) -> FloatArray:
    """High-symmetry points of the unit cells at a height (Å) that are farthest from the atoms."""
    columns, rows = host.repeat
    corners = np.array([(column, row) for column in range(columns) for row in range(rows)])
    points = (corners[:, None] + np.array([[0, 0], [1 / 3, 2 / 3], [2 / 3, 1 / 3]])).reshape(-1, 2) / host.repeat
    places = points @ stack.cell.array[:2] + [0.0, 0.0, height]
    distances = get_distances(places[:3], stack.positions, stack.cell, stack.pbc)[1].min(axis=1)
    best = distances > distances.max() - 1e-3
    return np.asarray(places[np.tile(best, columns * rows)])


def _spread(sites: FloatArray, count: int, stack: Atoms, rng: np.random.Generator) -> FloatArray:
    """Sites of a number of guests: each as far as possible from those chosen before, the first at random."""
    if count > len(sites):
        raise ValueError(f'"concentration" or "count" asks for {count} guests in a gallery of {len(sites)} sites')
    chosen = [int(rng.integers(len(sites)))]
    nearest = np.full(len(sites), np.inf)
    while len(chosen) < count:
        latest = get_distances(sites[chosen[-1]], sites, stack.cell, [True, True, False])[1][0]
        nearest = np.minimum(nearest, latest)
        chosen.append(int(rng.choice(np.flatnonzero(nearest > nearest.max() - 1e-3))))
    return sites[chosen]
