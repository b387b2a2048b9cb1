"""What an uncertainty says of the force error: bounds that hold for a stated share of the atoms, and thresholds.

The bound is a conformal quantile (Angelopoulos and Bates, arXiv:2107.07511) about a power law fitted by quantile
regression (Romano, Patterson and Candès, arXiv:1905.03222): a share 1 - alpha of the atoms has a force error below
``quantile * uncertainty**exponent``, as long as new structures are drawn like those of the calibration, which must
not be those that the potential was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from aiida_traincraft.science.atoms.arrays import Array, BoolArray, FloatArray, IntArray

Values = Sequence[float] | FloatArray
Groups = Sequence[int] | IntArray

MEASURE_UNITS = {'gamma': '', 'spread': 'eV/Å'}
"""Of each measure of uncertainty; the error is in eV/Å."""
EXPONENTS = np.linspace(0, 3, 61)
MIN_STRUCTURES = 6
HALT_FACTOR = 5.0
"""Bound at which a run halts, in accepted errors: the ratio of the thresholds that are the defaults."""


@dataclass(frozen=True)
class Calibration:
    """Bound of the force error of an atom, ``quantile * max(uncertainty, smallest)**exponent`` (eV/Å)."""

    measure: str
    """Of the uncertainty: "gamma" (no unit) or "spread" (eV/Å)."""
    alpha: float
    """Share of the atoms whose error may exceed the bound."""
    exponent: float
    """Of the uncertainty; 0 if it says nothing of the error."""
    quantile: float
    """Bound (eV/Å) where the uncertainty is 1."""
    scale: float
    """Predicted root mean square error (eV/Å) where the uncertainty is 1."""
    smallest: float
    """The bound falls no further below this uncertainty (1st percentile of those that are not 0)."""
    largest: float
    """Largest finite uncertainty of the calibration; bounds beyond it are extrapolated."""
    n_atoms: int
    """Atoms of finite uncertainty."""
    n_structures: int
    """Structures of these atoms."""

    @property
    def unit(self) -> str:
        """Unit of the uncertainty."""
        return MEASURE_UNITS[self.measure]

    def bound(self, uncertainty: Values) -> FloatArray:
        """Bound of the force error (eV/Å) of each atom, (n,); inf where the uncertainty is."""
        return self.quantile * self._power(uncertainty)

    def predicted(self, uncertainty: Values) -> FloatArray:
        """Expected root mean square force error (eV/Å) of each atom, (n,)."""
        return self.scale * self._power(uncertainty)

    def thresholds(self, max_force_error: float, halt_factor: float = HALT_FACTOR) -> tuple[float, float]:
        """Uncertainties above which a frame is a candidate, and above which a run halts.

        Parameters
        ----------
        max_force_error
            Accepted error of the force on an atom (eV/Å).
        halt_factor
            The run halts where the bound is this many times the accepted error: from there on its frames are too wrong
            to be worth a label, below it they are what is looked for.

        Returns
        -------
        tuple
            The lower is where the bound reaches the accepted error, kept between ``smallest``, above which is nearly
            every atom, and ``largest``, beyond which nothing was tested. Unless ``bound(smallest)`` exceeds the
            accepted error, at most a share alpha of all atoms has a larger error and is not above the threshold. The
            upper is kept between ``largest`` (frames like the tested ones never halt a run) and ``halt_factor`` times
            that.

        Raises
        ------
        ValueError
            If an argument is out of range, or the uncertainty says nothing of the error.
        """
        if not (math.isfinite(max_force_error) and max_force_error > 0):
            raise ValueError(f'"max_force_error" ({max_force_error}) must be a positive number of eV/Å')
        if not (math.isfinite(halt_factor) and halt_factor > 1):
            raise ValueError(f'"halt_factor" ({halt_factor}) must be above 1')
        if self.exponent == 0:
            raise ValueError(
                f'no threshold keeps "max_force_error": on {self.n_structures} structures the {self.measure} says '
                f'nothing of the force error; give thresholds of the {self.measure} instead, or more test structures'
            )
        # In logarithms, as a small exponent overflows.
        wider, top = math.log(halt_factor), math.log(self.largest)
        low = math.log(max_force_error / self.quantile) / self.exponent
        high = low + wider / self.exponent
        return (
            math.exp(min(max(low, math.log(self.smallest)), top)),
            math.exp(min(max(high, top), top + wider)),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable dict, with the units."""
        return asdict(self) | {'units': {'uncertainty': self.unit, 'error': 'eV/Å'}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """The calibration that :meth:`to_dict` gave."""
        names = {field.name for field in fields(cls)}
        if set(content) - {'units'} != names:
            raise ValueError(f'a calibration has {", ".join(sorted(names))}, this has {", ".join(sorted(content))}')
        return cls(**{name: content[name] for name in names})

    def _power(self, uncertainty: Values) -> FloatArray:
        values = np.asarray(uncertainty, dtype=np.float64)
        return np.where(np.isinf(values), np.inf, np.maximum(values, self.smallest) ** self.exponent)


def calibrate(
    uncertainty: Values, error: Values, groups: Groups | None = None, alpha: float = 0.1, measure: str = 'gamma'
) -> Calibration:
    """Calibrate an uncertainty on atoms whose force errors are known.

    The quantile is the ceil((n + 1)(1 - alpha))-th smallest of ``error / uncertainty**exponent`` of n atoms. The
    exponent comes from the same atoms, against the letter of conformal prediction: from a third of the structures it
    was twice as uncertain. Over 60 draws of 65 structures of 8 atoms (γ of copper) the coverage of others was
    0.892 ± 0.023 at a nominal 0.9.

    Parameters
    ----------
    uncertainty
        (n,) of each atom, without unit (γ) or eV/Å; atoms where it is infinite are left out.
    error
        (n,) norm of the error of the force on each atom (eV/Å).
    groups
        (n,) index of the structure of each atom: atoms of one structure are alike and stay together. By default each
        is a structure of its own.
    alpha
        Share of the atoms whose error may exceed the bound.
    measure
        "gamma" or "spread".

    Raises
    ------
    ValueError
        If arrays do not fit together or hold what they cannot, or structures or atoms are too few.
    """
    if not 0 < alpha < 1:
        raise ValueError(f'"alpha" ({alpha}) must be between 0 and 1')
    if measure not in MEASURE_UNITS:
        raise ValueError(f'"measure" ("{measure}") must be one of "{", ".join(MEASURE_UNITS)}"')
    u, e, g = _checked(uncertainty, error, groups)
    finite = np.isfinite(u)
    u, e, g = u[finite], e[finite], g[finite]
    n, n_structures = len(u), len(np.unique(g))
    if n_structures < MIN_STRUCTURES:
        raise ValueError(f'a calibration needs {MIN_STRUCTURES} structures, "groups" has {n_structures}')
    rank = math.ceil((n + 1) * (1 - alpha))
    if rank > n:
        least = math.ceil((1 - alpha) / alpha)
        raise ValueError(f'"alpha" ({alpha:g}) needs {least} atoms for its quantile, there are {n}; raise it')
    if not np.any(u > 0):
        raise ValueError('"uncertainty" is 0 for all atoms')
    smallest = float(np.percentile(u[u > 0], 1))
    floored = np.maximum(u, smallest)
    exponent = _exponent(floored, e, alpha)
    scores = e / floored**exponent
    quantile = float(np.sort(scores)[rank - 1])
    if quantile == 0:
        raise ValueError('"error" is 0 for nearly all atoms: there is nothing to calibrate')
    return Calibration(
        measure=measure,
        alpha=alpha,
        exponent=exponent,
        quantile=quantile,
        scale=float(np.sqrt(np.mean(scores**2))),
        smallest=smallest,
        largest=float(u.max()),
        n_atoms=n,
        n_structures=n_structures,
    )


def coverage(
    calibration: Calibration, uncertainty: Values, error: Values, groups: Groups | None = None
) -> dict[str, float]:
    """Share of atoms whose error the bound covers.

    Parameters
    ----------
    calibration
        From other structures.
    uncertainty, error, groups
        As of :func:`calibrate`.

    Returns
    -------
    dict
        ``coverage``, its ``standard_error`` (of structures drawn anew, whose atoms are alike), ``nominal`` and ``n``.
    """
    u, e, g = _checked(uncertainty, error, groups)
    return _share(e <= calibration.bound(u), g, calibration.alpha)


def cross_coverage(
    uncertainty: Values, error: Values, groups: Groups | None = None, alpha: float = 0.1, folds: int = 5
) -> dict[str, float]:
    """Share of atoms covered by the bounds of calibrations that have not seen their structures.

    It judges the calibration of a set without another set: each of ``folds`` parts of the structures is tested on the
    calibration of the others. Arguments and result as of :func:`calibrate` and :func:`coverage`.
    """
    u, e, g = _checked(uncertainty, error, groups)
    covered = np.zeros(len(u), dtype=bool)
    for test in _folds(g, folds):
        covered[test] = e[test] <= calibrate(u[~test], e[~test], g[~test], alpha).bound(u[test])
    return _share(covered, g, alpha)


def transfer(
    uncertainty: Values, error: Values, groups: Groups, parts: Mapping[str, Collection[int]], alpha: float = 0.1
) -> list[dict[str, Any]]:
    """How far bounds break on structures of another kind than those of the calibration.

    Parameters
    ----------
    uncertainty, error, groups, alpha
        As of :func:`calibrate`.
    parts
        Structures (values of ``groups``) by the name of what sets them apart; each part is tested on the calibration of
        all others.

    Returns
    -------
    list of dict
        By part: ``part``, ``n_calibrated`` (structures), and what :func:`coverage` gives. Parts whose others are too
        few to calibrate on are left out.
    """
    u, e, g = _checked(uncertainty, error, groups)
    rows = []
    for name, members in parts.items():
        test = np.isin(g, list(members))
        try:
            others = calibrate(u[~test], e[~test], g[~test], alpha)
        except ValueError:
            continue
        if test.any():
            row = {'part': name, 'n_calibrated': others.n_structures}
            rows.append(row | coverage(others, u[test], e[test], g[test]))
    return rows


def shifted_parts(systems: Sequence[str], temperatures: Sequence[float | None]) -> dict[str, list[int]]:
    """Parts of a test set that differ from the rest, as indices of structures by name, for :func:`transfer`.

    Each of several systems; and the structures above the median temperature (K), if each has one.
    """
    parts = {}
    if len(set(systems)) > 1:
        for name in sorted(set(systems)):
            parts[f'system {name}'] = [index for index, found in enumerate(systems) if found == name]
    known = [value for value in temperatures if value is not None]
    if len(known) == len(temperatures) and known:
        middle = float(np.median(known))
        parts[f'above {middle:.0f} K'] = [index for index, value in enumerate(known) if value > middle]
    return parts


def reliability(calibration: Calibration, uncertainty: Values, error: Values, bins: int = 10) -> dict[str, list[float]]:
    """Table behind a reliability diagram: atoms in bins of equal number by their uncertainty.

    Returns
    -------
    dict
        Columns, one number per bin: ``uncertainty`` (mean), ``predicted`` and ``observed`` (root mean square force
        error, eV/Å), ``bound`` (mean, eV/Å), ``coverage`` and ``n``. Atoms of infinite uncertainty are left out.
    """
    u, e, _ = _checked(uncertainty, error, None)
    finite = np.isfinite(u)
    order = np.argsort(u[finite], kind='stable')
    u, e = u[finite][order], e[finite][order]
    bound, predicted = calibration.bound(u), calibration.predicted(u)
    parts = [part for part in np.array_split(np.arange(len(u)), bins) if len(part)]
    columns = {
        'uncertainty': [u[part].mean() for part in parts],
        'predicted': [np.sqrt(np.mean(predicted[part] ** 2)) for part in parts],
        'observed': [np.sqrt(np.mean(e[part] ** 2)) for part in parts],
        'bound': [bound[part].mean() for part in parts],
        'coverage': [np.mean(e[part] <= bound[part]) for part in parts],
        'n': [len(part) for part in parts],
    }
    return {name: np.asarray(column).tolist() for name, column in columns.items()}


def alarms(uncertainty: Values, error: Values, threshold: float, max_force_error: float) -> dict[str, float | None]:
    """What a threshold of the uncertainty misses, and what it raises for nothing.

    Returns
    -------
    dict
        ``n`` atoms, of which ``bad`` have a larger error than accepted (eV/Å) and ``alarms`` exceed the threshold;
        ``missed`` are bad without an alarm (false negatives), ``false_alarms`` the reverse; ``missed_share`` of all
        atoms, ``missed_share_of_bad`` and ``false_share_of_alarms`` (None if there are none to divide by).
    """
    u, e, _ = _checked(uncertainty, error, None)
    alarm, bad = u > threshold, e > max_force_error
    missed, false = int(np.sum(bad & ~alarm)), int(np.sum(alarm & ~bad))
    n_bad, n_alarms = int(bad.sum()), int(alarm.sum())
    return {
        'n': len(u),
        'bad': n_bad,
        'alarms': n_alarms,
        'missed': missed,
        'false_alarms': false,
        'missed_share': missed / len(u),
        'missed_share_of_bad': missed / n_bad if n_bad else None,
        'false_share_of_alarms': false / n_alarms if n_alarms else None,
    }


def cross_alarms(
    uncertainty: Values,
    error: Values,
    groups: Groups | None,
    max_force_error: float,
    alpha: float = 0.1,
    folds: int = 5,
) -> dict[str, float | None]:
    """What thresholds miss on structures that they were not found with.

    As :func:`alarms`, over the parts of :func:`cross_coverage`.

    Raises
    ------
    ValueError
        If a calibration of the other parts, or a threshold from it, is not to be had.
    """
    u, e, g = _checked(uncertainty, error, groups)
    # In units of its own threshold, an uncertainty compares with that of another part.
    scaled = np.zeros(len(u))
    for test in _folds(g, folds):
        scaled[test] = u[test] / calibrate(u[~test], e[~test], g[~test], alpha).thresholds(max_force_error)[0]
    return alarms(scaled, e, 1.0, max_force_error)


def _folds(groups: Array, folds: int) -> Iterator[BoolArray]:
    """Masks of the atoms of each part of the structures."""
    names, number = np.unique(groups, return_inverse=True)
    # Shuffled, so that the parts have nothing to do with how the structures were made.
    fold = np.random.default_rng(0).permutation(len(names))[number] % folds
    return (fold == part for part in range(folds))


def _checked(uncertainty: Values, error: Values, groups: Groups | None) -> tuple[FloatArray, FloatArray, Array]:
    u, e = np.asarray(uncertainty, dtype=np.float64), np.asarray(error, dtype=np.float64)
    g = np.arange(len(u)) if groups is None else np.asarray(groups)
    if u.ndim != 1 or not u.shape == e.shape == g.shape:
        raise ValueError(
            f'"uncertainty" {u.shape}, "error" {e.shape} and "groups" {g.shape} must be as many numbers, one per atom'
        )
    if len(u) == 0:
        raise ValueError('"uncertainty" and "error" are of no atom')
    if np.isnan(u).any() or (u < 0).any():
        raise ValueError('"uncertainty" must be 0 or above for every atom')
    if not np.isfinite(e).all() or (e < 0).any():
        raise ValueError('"error" must be finite and 0 or above for every atom')
    return u, e, g


def _exponent(uncertainty: FloatArray, error: FloatArray, alpha: float) -> float:
    """Exponent of the power law through the 1 - alpha quantile of the errors: least pinball loss in logarithms."""
    log_u, log_e = np.log(uncertainty), np.log(np.maximum(error, 1e-12))
    losses = np.empty(len(EXPONENTS))
    for index, exponent in enumerate(EXPONENTS):
        rest = log_e - exponent * log_u
        rest -= np.quantile(rest, 1 - alpha)
        losses[index] = np.maximum((1 - alpha) * rest, -alpha * rest).mean()
    # The smallest of equals: 0 where all uncertainties are the same.
    return float(EXPONENTS[int(np.argmax(losses <= losses.min() + 1e-9))])


def _share(covered: BoolArray, groups: Array, alpha: float) -> dict[str, float]:
    share = float(covered.mean())
    _, number = np.unique(groups, return_inverse=True)
    per_structure = np.bincount(number, weights=covered - share)
    error = float(np.sqrt(np.sum(per_structure**2)) / len(covered))
    return {'coverage': share, 'standard_error': error, 'nominal': 1 - alpha, 'n': len(covered)}
