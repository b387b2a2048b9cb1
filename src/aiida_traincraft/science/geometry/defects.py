"""Point defects and occupations of a crystal, in exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import get_distances
from pydantic import AfterValidator, Field, model_validator
from scipy.spatial import Voronoi, cKDTree

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray, IntArray
from aiida_traincraft.science.atoms.fragments import FRAGMENT, FRAMEWORK
from aiida_traincraft.science.atoms.symbols import check_symbol
from aiida_traincraft.science.config.base import StrictModel


def _whole(composition: dict[str, float]) -> dict[str, float]:
    total = sum(composition.values())
    if abs(total - 1.0) > 0.0101:
        raise ValueError(f'the fractions add up to {total:.6g}, not to 1')
    return composition


Element = Annotated[str, AfterValidator(check_symbol)]
Composition = Annotated[dict[Element, Annotated[float, Field(gt=0, le=1)]], AfterValidator(_whole)]
Number = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=-10, le=10)]
Sites = Annotated[tuple[Number, ...], Field(min_length=1)]


class _CountOrSites(StrictModel):
    count: int | None = Field(default=None, ge=1)
    """Atoms, drawn at random."""
    sites: Sites | None = None
    """Indices of atoms of the perfect crystal, from 0, in place of ``count``."""

    @model_validator(mode='after')
    def _one(self) -> _CountOrSites:
        if (self.count is None) == (self.sites is None):
            raise ValueError('give exactly one of "count" and "sites"')
        return self


class Vacancies(_CountOrSites):
    """Atoms taken out."""

    element: Element | None = None
    """Element that is taken out; any without it."""


class Substitution(_CountOrSites):
    """Atoms replaced by those of another element."""

    old: Element | None = None
    """Element that is replaced; any without it."""
    new: Element
    """Element that takes its place."""


class Interstitial(StrictModel):
    """Atoms added between those of the crystal."""

    element: Element
    """Element added."""
    count: int | None = Field(default=None, ge=1, le=10_000)
    """Atoms, placed one by one in the largest voids."""
    position: tuple[Fraction, Fraction, Fraction] | None = None
    """Place in fractions of the vectors of the repeated cell, in place of ``count``."""
    min_distance: float = Field(default=1.0, gt=0, le=100)
    """Least distance to every other atom (Å)."""

    @model_validator(mode='after')
    def _one(self) -> Interstitial:
        if (self.count is None) == (self.position is None):
            raise ValueError('give exactly one of "count" and "position"')
        return self


class Defects(StrictModel):
    """Keys of the defects of a crystal, made in the order of the keys."""

    composition: Composition | None = None
    """Fractions of the elements that occupy the sites of the crystal at random, in exact numbers."""
    substitutions: tuple[Substitution, ...] = ()
    """Atoms replaced; no atom twice."""
    vacancies: Number | Vacancies = 0
    """Atoms removed at random, or a table of ``element`` and of ``count`` or ``sites``; none that is substituted."""
    interstitials: tuple[Interstitial, ...] = ()
    """Atoms added."""


def largest_remainder(fractions: Sequence[float], total: int) -> list[int]:
    """Whole numbers in the ratio of the fractions that add up to the total (the method of largest remainders)."""
    exact = np.asarray(fractions, dtype=float) / sum(fractions) * total
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(counts - exact, kind='stable')
    counts[order[: total - int(counts.sum())]] += 1
    return [int(count) for count in counts]


def occupy(atoms: Atoms, composition: dict[str, float], rng: np.random.Generator, element: str | None = None) -> Atoms:
    """Copy whose sites, or only those of one element, are occupied at random with exact numbers of the elements."""
    occupied = atoms.copy()
    sites = np.arange(len(atoms)) if element is None else np.flatnonzero(atoms.symbols == element)
    counts = largest_remainder(list(composition.values()), len(sites))
    numbers = np.repeat([atomic_numbers[symbol] for symbol in composition], counts)
    occupied.numbers[sites] = rng.permutation(numbers)
    return occupied


def make_defects(atoms: Atoms, defects: Defects, rng: np.random.Generator) -> Atoms:
    """Copy of a periodic crystal with the defects asked for.

    Raises
    ------
    ValueError
        If there are fewer or other atoms than asked for, or no room for an interstitial.
    """
    made: Atoms = occupy(atoms, defects.composition, rng) if defects.composition else atoms.copy()
    vacancies = _vacancies(defects)
    free = _free_of_named(len(made), [*defects.substitutions, *([vacancies] if vacancies else [])])
    for entry in defects.substitutions:
        chosen = _choose(made, entry, entry.old, free, 'substitutions', rng)
        made.numbers[chosen] = atomic_numbers[entry.new]
        free[chosen] = False
    if vacancies is not None:
        wanted = vacancies.count or len(vacancies.sites or ())
        if wanted >= len(made):
            raise ValueError(f'"vacancies" is {wanted}, but the crystal has {len(made)} atoms: raise "repeat"')
        del made[_choose(made, vacancies, vacancies.element, free, 'vacancies', rng)]
    for interstitial in defects.interstitials:
        insert(made, interstitial, rng)
    return made


def _vacancies(defects: Defects) -> Vacancies | None:
    if isinstance(defects.vacancies, Vacancies):
        return defects.vacancies
    return Vacancies(count=defects.vacancies) if defects.vacancies else None


def _free_of_named(n_atoms: int, entries: list[_CountOrSites]) -> BoolArray:
    named = [site for entry in entries for site in entry.sites or ()]
    if wrong := [site for site in named if site >= n_atoms]:
        raise ValueError(f'"sites" has {wrong[0]}, but the crystal has {n_atoms} atoms, numbered from 0')
    if len(set(named)) < len(named):
        twice = next(site for site in named if named.count(site) > 1)
        raise ValueError(f'"sites" has atom {twice} twice: give every atom to one defect')
    free = np.ones(n_atoms, dtype=bool)
    free[named] = False
    return free


def _choose(
    atoms: Atoms, entry: _CountOrSites, element: str | None, free: BoolArray, key: str,
    rng: np.random.Generator,
) -> IntArray:  # fmt: skip
    fits = np.ones(len(atoms), dtype=bool) if element is None else np.asarray(atoms.symbols == element)
    if entry.sites is not None:
        if wrong := [site for site in entry.sites if not fits[site]]:
            raise ValueError(f'"{key}": atom {wrong[0]} of "sites" is {atoms.symbols[wrong[0]]}, not {element}')
        return np.array(entry.sites)
    eligible, count = np.flatnonzero(free & fits), entry.count or 0
    if count > len(eligible):
        what = f'{element} atoms' if element else 'atoms'
        raise ValueError(f'"{key}" asks for {count} {what}, but there are {len(eligible)} for it: raise "repeat"')
    return rng.choice(eligible, size=count, replace=False)


def insert(atoms: Atoms, entry: Interstitial, rng: np.random.Generator) -> None:
    """Add interstitials to a periodic crystal.

    Raises
    ------
    ValueError
        If there is no room for them.
    """
    if entry.position is not None:
        place = np.asarray(entry.position) @ atoms.cell.array
        nearest = get_distances(place, atoms.positions, atoms.cell, atoms.pbc)[1].min()
        if nearest < entry.min_distance:
            raise ValueError(
                f'"interstitials": "position" {list(entry.position)} is {nearest:.2f} Å from an atom, '
                f'nearer than "min_distance" {entry.min_distance}'
            )
        places = [place]
    else:
        places = _largest_voids(atoms, entry, rng)
    atoms.extend(Atoms([entry.element] * len(places), places))
    if FRAGMENT in atoms.arrays:
        atoms.arrays[FRAGMENT][-len(places) :] = FRAMEWORK


def _largest_voids(atoms: Atoms, entry: Interstitial, rng: np.random.Generator) -> list[FloatArray]:
    candidates, radii = voids(atoms)
    places: list[FloatArray] = []
    for _ in range(entry.count or 0):
        largest = float(radii.max())
        if largest < entry.min_distance:
            raise ValueError(
                f'"interstitials" asks for {entry.count} {entry.element}, but there is room for {len(places)} '
                f'at "min_distance" {entry.min_distance}: lower it, or raise "repeat"'
            )
        # Voids of one kind differ by rounding.
        place = candidates[rng.choice(np.flatnonzero(radii > largest - 1e-3))]
        radii = np.minimum(radii, get_distances(place, candidates, atoms.cell, atoms.pbc)[1][0])
        places.append(place)
    return places


def voids(atoms: Atoms) -> tuple[FloatArray, FloatArray]:
    """Points of a periodic crystal that are farthest from the atoms around: the corners of the Voronoi cells.

    Returns
    -------
    (n, 3) array
        Positions (Å) in the cell.
    (n,) array
        Distance of each to the nearest atom (Å).
    """
    cell = atoms.cell.array
    heights = atoms.cell.volume / np.linalg.norm(np.cross(np.roll(cell, -1, 0), np.roll(cell, -2, 0)), axis=1)
    reach = 3.0 * (atoms.cell.volume / len(atoms)) ** (1 / 3)
    inside = atoms.get_scaled_positions(wrap=True)
    while True:
        margin = reach / heights
        around = [np.arange(-images, images + 1) for images in np.ceil(margin).astype(int)]
        shifts = np.stack(np.meshgrid(*around, indexing='ij'), axis=-1).reshape(-1, 1, 3)
        fractions = (inside + shifts).reshape(-1, 3)
        points = fractions[((fractions > -margin) & (fractions < 1 + margin)).all(axis=1)] @ cell
        corners = np.linalg.solve(cell.T, Voronoi(points).vertices.T).T
        corners = corners[((corners > -1e-6) & (corners < 1 - 1e-6)).all(axis=1)]
        _, first = np.unique(np.round(corners * 1e4).astype(int), axis=0, return_index=True)
        found = corners[np.sort(first)] @ cell
        radii = np.asarray(cKDTree(points).query(found)[0])
        # A void larger than the margin may be cut by the border of the points.
        if len(radii) and radii.max() < reach:
            return found, radii
        reach *= 2
