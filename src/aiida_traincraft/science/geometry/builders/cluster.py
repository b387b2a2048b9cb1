"""Builder ``cluster``: nanoparticles, and atoms thrown together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, Icosahedron, Octahedron, wulff_construction
from ase.data import atomic_numbers, covalent_radii
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.atoms.symbols import check_formula
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

MAX_TRIES = 1000
Shells = Annotated[int, Field(ge=1, le=40)]


class ClusterConfig(BuilderConfig):
    """A cluster of one element, or a random one of several."""

    aliases: ClassVar[tuple[str, ...]] = ('nanoparticle', 'wulff')
    type: Literal['cluster'] = 'cluster'
    shape: Literal['wulff', 'icosahedron', 'octahedron', 'decahedron', 'random']
    """How the atoms are arranged."""
    name: str | None = None
    """Element; all shapes but ``random``."""
    a: float | None = Field(default=None, gt=0, le=100)
    """Lattice constant (Å); by default ASE's reference value."""
    shells: Shells | None = None
    """Shells of an icosahedron, atoms along an edge of an octahedron or decahedron."""
    cutoff: int = Field(default=0, ge=0, le=39)
    """Layers cut off every corner of an octahedron."""
    surfaces: dict[str, float] | None = None
    """Of a Wulff shape: surface energy (any unit) by Miller indices, such as ``{ 111 = 1.0, 100 = 1.15 }``."""
    n: int | None = Field(default=None, ge=2, le=100_000)
    """Atoms of a Wulff shape, met as closely as whole layers allow."""
    lattice: Literal['fcc', 'bcc', 'sc'] = 'fcc'
    """Lattice of a Wulff shape."""
    composition: dict[str, Annotated[int, Field(ge=1, le=1000)]] | None = None
    """Of a random cluster: atoms of each element."""
    closest: float = Field(default=0.9, gt=0, le=2)
    """Of a random cluster: least distance, as a multiple of the sum of the covalent radii."""
    vacuum: float | None = Field(default=None, gt=0, le=1000)
    """Vacuum on each side (Å); without it, the cluster has no cell."""

    @model_validator(mode='after')
    def _consistent(self) -> ClusterConfig:
        needed = {
            'wulff': ('name', 'surfaces', 'n'),
            'icosahedron': ('name', 'shells'),
            'octahedron': ('name', 'shells'),
            'decahedron': ('name', 'shells'),
            'random': ('composition',),
        }[self.shape]
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise ValueError(
                f'shape "{self.shape}" needs {" and ".join(f"{key!r}" for key in missing)}'.replace("'", '"')
            )
        for element in [*([self.name] if self.name else []), *(self.composition or {})]:
            if not atomic_numbers.get(element):
                raise ValueError(f'{element!r} is no chemical symbol ("name", "composition")')
        for miller, energy in (self.surfaces or {}).items():
            if not (len(miller) == 3 and miller.isdigit() and int(miller)) or energy <= 0:
                raise ValueError(f'"surfaces" has {miller!r} = {energy}: give three digits and a positive energy')
        return self


@register('builder', 'cluster', ClusterConfig)
def build_cluster(config: ClusterConfig, rng: np.random.Generator) -> Structure:
    """Nanoparticle: Wulff shape, icosahedron, octahedron, decahedron; or atoms at random places, none too close.

    Raises
    ------
    ValueError
        If ASE cannot build the shape, or no random places are found.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "cluster"
        shape = "icosahedron"
        name = "Au"
        shells = 3
        vacuum = 5.0
    """
    if config.shape == 'random':
        atoms = _random(config, rng)
    else:
        shells = config.shells or 0
        check_formula(config.name or '')
        check_size(4 * shells**3, '"shells"')
        try:
            atoms = _regular(config, shells)
        except (ValueError, KeyError, TypeError, NotImplementedError, AssertionError) as error:
            raise ValueError(
                f'no {config.shape} of {config.name!r} can be built: {str(error) or type(error).__name__}; give "a" (Å)'
            ) from error
        atoms = Atoms(atoms.numbers, atoms.positions)
    if config.vacuum is not None:
        atoms.center(vacuum=config.vacuum)
    return Structure(atoms)


def _regular(config: ClusterConfig, shells: int) -> Atoms:
    if config.shape == 'icosahedron':
        return Icosahedron(config.name, shells, latticeconstant=config.a)
    if config.shape == 'octahedron':
        return Octahedron(config.name, shells, cutoff=config.cutoff, latticeconstant=config.a)
    if config.shape == 'decahedron':
        return Decahedron(config.name, shells, shells, 0, latticeconstant=config.a)
    surfaces = [tuple(int(digit) for digit in miller) for miller in config.surfaces or {}]
    energies = list((config.surfaces or {}).values())
    return wulff_construction(
        config.name, surfaces, energies, config.n, config.lattice, rounding='closest', latticeconstant=config.a
    )


def _random(config: ClusterConfig, rng: np.random.Generator) -> Atoms:
    """Atoms in random order, each at a random place in touch with one that is there."""
    composition = config.composition or {}
    check_size(sum(composition.values()), '"composition"')
    symbols = [element for element, count in composition.items() for _ in range(count)]
    radii = covalent_radii[[atomic_numbers[element] for element in symbols]]
    positions = np.zeros((0, 3))
    order = rng.permutation(len(symbols))
    for place, index in enumerate(order):
        before = radii[order[:place]]
        for _ in range(MAX_TRIES):
            if not place:
                trial = np.zeros(3)
                break
            neighbour = rng.integers(place)
            direction = rng.normal(size=3)
            reach = rng.uniform(config.closest, 1.1 * config.closest) * (before[neighbour] + radii[index])
            trial = positions[neighbour] + direction / np.linalg.norm(direction) * reach
            distances = np.linalg.norm(positions - trial, axis=1)
            if (distances >= config.closest * (before + radii[index]) - 1e-9).all():
                break
        else:
            raise ValueError(
                f'no place for atom {place + 1} of {len(symbols)} found: lower "closest" ({config.closest})'
            )
        positions = np.vstack([positions, trial])
    return Atoms([symbols[index] for index in order], positions)
