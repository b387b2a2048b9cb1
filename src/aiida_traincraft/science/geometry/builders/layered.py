"""Builder ``layered``: stacks of graphene, hexagonal boron nitride or MX2 layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from ase import Atoms
from ase.build import graphene, make_supercell, mx2
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.crystal import Count, Length
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

# Lattice constant and distance of the layers (Å), experiment at room temperature.
_REFERENCE = {'graphene': ('C2', 2.461, 3.354), 'hBN': ('BN', 2.504, 3.33)}
_PERIOD = {'AA': 1, "AA'": 2, 'AB': 2, 'ABC': 3}
_LARGEST_INDEX = 60
_ANGLE_TOLERANCE = 0.001
_LONGEST_LIST = 8


class LayeredConfig(BuilderConfig):
    """A stack of hexagonal layers; with vacuum, or periodic along the normal."""

    type: Literal['layered'] = 'layered'
    name: str = Field(pattern=r'^[A-Za-z0-9]*$')
    """``graphene``, ``hBN``, or the formula of a dichalcogenide such as ``MoS2``."""
    phase: Literal['2H', '1T'] = '2H'
    """Coordination of the metal of a dichalcogenide: trigonal prism or octahedron."""
    a: Length | None = None
    """Lattice constant (Å); needed for a dichalcogenide."""
    thickness: Length | None = None
    """Distance of the two planes of chalcogen atoms of a dichalcogenide along the normal (Å)."""
    layers: int = Field(default=1, ge=1, le=1000)
    """Number of layers."""
    stacking: Literal['AA', "AA'", 'AB', 'ABC'] = 'AA'
    """Each layer above the one before: in place, turned by 180 degrees (AA'), or shifted by a bond (AB, ABC)."""
    interlayer: Length | None = None
    """Distance between the middles of neighbouring layers (Å); needed for several layers of a dichalcogenide."""
    twist: Annotated[float, Field(gt=0, lt=60)] | None = None
    """Angle of the second of two layers (degrees); only angles with a common period are possible."""
    repeat: tuple[Count, Count] = (1, 1)
    """Repetitions in the plane."""
    vacuum: float = Field(default=8.0, gt=0, le=1000)
    """Vacuum below and above the stack (Å)."""
    periodic: bool = False
    """A crystal: the stack repeats along the normal at ``interlayer``, without vacuum."""

    @model_validator(mode='after')
    def _consistent(self) -> LayeredConfig:
        compound = self.name not in _REFERENCE
        for key in ('a', 'thickness', 'interlayer'):
            if compound and getattr(self, key) is None and (key != 'interlayer' or self.layers > 1 or self.periodic):
                raise ValueError(f'"{key}" is needed for {self.name!r} (in Å)')
        if not compound and (self.thickness is not None or self.phase != '2H'):
            raise ValueError(f'"thickness" and "phase" have no meaning for {self.name}')
        if self.twist is not None and (self.layers != 2 or self.stacking != 'AA' or self.periodic):
            raise ValueError('"twist" needs "layers" = 2, "stacking" = "AA" and no "periodic"')
        if self.periodic and self.layers % _PERIOD[self.stacking]:
            raise ValueError(f'"layers" of periodic {self.stacking} must be a multiple of {_PERIOD[self.stacking]}')
        return self


@register('builder', 'layered', LayeredConfig)
def build_layered(config: LayeredConfig, rng: np.random.Generator) -> Structure:
    """Stack of hexagonal layers in the plane xy.

    Two layers twisted against each other have a common period where the first has the vector m·b1 + n·b2 and the
    second n·b1 + m·b2, with b1 and b2 at 60 degrees: cos θ = (n² + 4nm + m²) / (2(n² + nm + m²)), in a cell of
    n² + nm + m² unit cells of each layer (Trambly de Laissardière et al., Nano Lett. 10, 804 (2010)).

    Raises
    ------
    ValueError
        If the formula is no dichalcogenide, or the twist has no common period; the message lists the nearest angles.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "layered"
        name = "graphene"
        layers = 2
        twist = 21.787
    """
    distance = layer_distance(config)
    spacings = [distance] * (config.layers if config.periodic else config.layers - 1)
    return Structure(stack_layers(config, spacings))


def layer_distance(config: LayeredConfig) -> float:
    """Distance between neighbouring layers (Å)."""
    return config.interlayer or _REFERENCE.get(config.name, ('', 0.0, 0.0))[2]


def stack_layers(config: LayeredConfig, spacings: Sequence[float]) -> Atoms:
    """Layers of a config, repeated in the plane, with a distance of their own between each and the next.

    Parameters
    ----------
    config
        What the layers are and how they lie on each other.
    spacings
        Distances (Å) between the middles; one more than gaps between the layers where the stack is periodic.

    Returns
    -------
    Atoms
        Layer after layer, bottom to top, equally many atoms in each; the first is at z = 0 where it is periodic.
    """
    layer = _single_layer(config)
    if config.twist is not None:
        first, second = _commensurate(config.twist, math.prod(config.repeat) * len(layer))
        sheets = [_turned(layer, first), _turned(layer, second)]
    else:
        sheets = [_shifted(layer, config.stacking, number) for number in range(config.layers)]
    check_size(len(sheets[0]) * len(sheets) * math.prod(config.repeat), '"repeat" and "layers"')
    stack: Atoms | None = None
    for sheet, height in zip(sheets, np.cumsum([0.0, *spacings]), strict=False):
        repeated = sheet.repeat((*config.repeat, 1))
        repeated.positions[:, 2] += height
        stack = repeated if stack is None else stack + repeated
    assert stack is not None
    stack.pbc = [True, True, config.periodic]
    if config.periodic:
        stack.cell[2] = [0.0, 0.0, sum(spacings)]
    else:
        stack.cell[2] = [0.0, 0.0, 1.0]
        stack.center(vacuum=config.vacuum, axis=2)
    return stack


def _single_layer(config: LayeredConfig) -> Atoms:
    """Unit cell of a layer at z = 0, its vectors at 120 degrees, without a third vector."""
    if config.name in _REFERENCE:
        formula, a, _ = _REFERENCE[config.name]
        return graphene(formula, a=config.a or a)
    try:
        layer = mx2(config.name, kind=config.phase, a=config.a, thickness=config.thickness)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'"name" {config.name!r} is neither graphene, hBN, nor the formula of a dichalcogenide such as MoS2'
        ) from error
    layer.positions[:, 2] -= layer.positions[0, 2]
    return layer


def _shifted(layer: Atoms, stacking: str, number: int) -> Atoms:
    sheet: Atoms = layer.copy()
    # From an atom to its neighbour in the plane.
    bond = np.array([2 / 3, 1 / 3, 0]) @ layer.cell.array
    number %= _PERIOD[stacking]
    if stacking == "AA'":
        if number:
            # Half a turn about the middle of a bond.
            sheet.positions[:, :2] = bond[:2] - sheet.positions[:, :2]
    else:
        sheet.positions += number * bond
    sheet.wrap(pbc=[True, True, False])
    return sheet


def _commensurate(twist: float, atoms_per_cell: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Vectors (m, n) and (n, m) of the smallest common period at an angle (degrees)."""
    pairs = [(m, n) for m in range(2, _LARGEST_INDEX) for n in range(1, m) if math.gcd(m, n) == 1]
    found, nearest = None, math.inf
    offered: list[str] = []
    for pair in sorted(pairs, key=_cells):
        deviation = abs(_angle(*pair) - twist)
        if deviation < nearest:
            nearest = deviation
            offered.append(f'{_angle(*pair):.3f} ({2 * _cells(pair) * atoms_per_cell} atoms)')
        if deviation <= _ANGLE_TOLERANCE:
            found = pair
            break
    if found is None:
        raise ValueError(
            f'"twist" {twist} has no common period of the two layers; with growing cell come nearest '
            f'{", ".join(offered[:_LONGEST_LIST])}'
        )
    check_size(2 * _cells(found) * atoms_per_cell, '"twist"')
    return found, found[::-1]


def _cells(pair: tuple[int, int]) -> int:
    m, n = pair
    return n * n + n * m + m * m


def _angle(m: int, n: int) -> float:
    return math.degrees(math.acos((n * n + 4 * n * m + m * m) / (2 * _cells((m, n)))))


def _turned(layer: Atoms, pair: tuple[int, int]) -> Atoms:
    """Supercell of a layer with the vector m·b1 + n·b2, turned so that it is along x."""
    m, n = pair
    # b1 = a1 and b2 = a1 + a2, as a1 and a2 are at 120 degrees.
    along, across = (m + n, n), (-n, m)
    flat: Atoms = layer.copy()
    flat.cell[2] = [0.0, 0.0, 1.0]
    large = make_supercell(flat, [[*along, 0], [*across, 0], [0, 0, 1]])
    direction = large.cell[0]
    large.rotate(-math.degrees(math.atan2(direction[1], direction[0])), 'z', rotate_cell=True)
    large.cell[2] = 0.0
    return large
