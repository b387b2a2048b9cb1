"""Builder ``filled_nanotube``: a nanotube with atoms or molecules inside."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from aiida_traincraft.science.atoms import fragments
from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.nanotube import NanotubeConfig, roll_tube
from aiida_traincraft.science.geometry.insertion import make_inserted, turned
from aiida_traincraft.science.geometry.species import Species
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

_TRIALS = 2000


class FilledNanotubeConfig(BuilderConfig):
    """A nanotube with guests inside."""

    type: Literal['filled_nanotube'] = 'filled_nanotube'
    tube: NanotubeConfig
    """The tube: keys of the builder ``nanotube``."""
    filling: Species
    """What is inside."""
    count: int = Field(ge=1, le=1000)
    """Number of guests."""
    min_distance: float = Field(default=2.5, gt=0.5, le=100)
    """Least distance between atoms of two guests, and of a guest and the tube (Å)."""


@register('builder', 'filled_nanotube', FilledNanotubeConfig)
def build_filled_nanotube(config: FilledNanotubeConfig, rng: np.random.Generator) -> Structure:
    """Nanotube with an exact number of guests at random places and orientations inside, none too near.

    The tube is framework, the guests are molecules 0, 1, ... of ``tc_fragment``.

    Raises
    ------
    ValueError
        If the tube cannot be built, or the guests do not fit in it.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "filled_nanotube"
        tube = { n = 8, m = 8, length = 4 }
        filling = { name = "H2O" }
        count = 3
    """
    tube, guest = roll_tube(config.tube), make_inserted(config.filling, rng)
    middle = tube.positions[:, :2].mean(axis=0)
    radius = float(np.linalg.norm(tube.positions[0, :2] - middle))
    low, high = tube.positions[:, 2].min(), tube.positions[:, 2].max()
    if config.tube.periodic:
        low, high = 0.0, tube.cell[2, 2]
    # Farthest from the axis that an atom can be; the tube is no smooth cylinder, so distances are checked as well.
    inner = radius - config.min_distance / 2
    filled: Atoms = tube.copy()
    fragments.set_fragments(filled, fragments.FRAMEWORK)
    for number in range(config.count):
        for _ in range(_TRIALS):
            positions = _draw(guest, inner, low, high, rng)
            inside = np.linalg.norm(positions[:, :2], axis=1).max() < inner
            positions[:, :2] += middle
            if inside and _is_free(positions, filled, config):
                fragments.append(filled, Atoms(guest.numbers, positions))
                break
        else:
            raise ValueError(
                f'"count" is {config.count}, but only {number} {config.filling.label} were found room for: lower it or '
                '"min_distance", or make the tube wider or longer'
            )
    return Structure(filled)


def _draw(guest: Atoms, inner: float, low: float, high: float, rng: np.random.Generator) -> FloatArray:
    """Positions (Å) of a guest turned at random, with its middle uniform in a cylinder about the axis z."""
    angle, distance = rng.uniform(0, 2 * np.pi), max(inner, 0.0) * np.sqrt(rng.uniform())
    place = [distance * np.cos(angle), distance * np.sin(angle), rng.uniform(low, high)]
    return np.asarray(turned(guest, rng).positions + place)


def _is_free(positions: FloatArray, filled: Atoms, config: FilledNanotubeConfig) -> bool:
    apart = filled.positions - positions[:, None]
    if config.tube.periodic:
        period = filled.cell[2, 2]
        # Only along the tube; across it, the images of the wall are farther than the wall.
        apart[..., 2] -= period * np.round(apart[..., 2] / period)
        if period - np.ptp(positions[:, 2]) < config.min_distance:
            return False
    return bool((np.linalg.norm(apart, axis=-1) >= config.min_distance).all())
