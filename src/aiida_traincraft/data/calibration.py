"""What the uncertainty of a potential says of its force errors, as a node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from aiida_traincraft.data.manifest import JsonFileData
from aiida_traincraft.science.scoring.calibration import (
    Calibration,
    Values,
    calibrate,
    cross_alarms,
    cross_coverage,
    reliability,
    transfer,
)

BREAKS = 0.1
"""Coverage so far below the nominal one is told."""


class CalibrationData(JsonFileData):
    """A calibration, the atoms that it rests on, and the thresholds that follow from an accepted force error.

    Attributes to query by: ``calibration`` (None if ``reason`` says why there is none), ``max_force_error`` (eV/Å),
    ``lo``, ``hi``, ``coverage``, ``alarms`` (of held-out structures), ``transfer`` and ``reliability``; see
    :mod:`aiida_traincraft.science.scoring.calibration`.

    Parameters
    ----------
    uncertainty
        (n,) of each atom.
    error
        (n,) norm of the error of the force on each atom (eV/Å).
    groups
        (n,) index of the structure of each atom.
    measure
        ``gamma`` or ``spread``.
    alpha
        Share of the atoms whose error may exceed the bound.
    max_force_error
        Accepted force error (eV/Å), None if nobody said.
    parts
        Structures (values of ``groups``) that differ from the rest, by name.
    """

    def __init__(
        self,
        uncertainty: Values,
        error: Values,
        groups: Any,
        measure: str,
        alpha: float,
        max_force_error: float | None = None,
        parts: Mapping[str, Collection[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        u, e = np.asarray(uncertainty, dtype=np.float64), np.asarray(error, dtype=np.float64)
        attributes: dict[str, Any] = {
            'measure': measure,
            'alpha': alpha,
            'max_force_error': max_force_error,
            'n_atoms': len(u),
            **dict.fromkeys(('calibration', 'reason', 'lo', 'hi', 'coverage', 'reliability', 'alarms')),
            'transfer': [],
        }
        try:
            found = calibrate(u, e, groups, alpha, measure)
            attributes['calibration'] = found.to_dict()
            attributes['reliability'] = reliability(found, u, e)
            attributes['transfer'] = transfer(u, e, groups, parts or {}, alpha)
            attributes['coverage'] = cross_coverage(u, e, groups, alpha)
            if max_force_error is not None:
                window = found.thresholds(max_force_error)
                # No threshold is used of which nobody can tell what it misses.
                attributes['alarms'] = cross_alarms(u, e, groups, max_force_error, alpha)
                attributes['lo'], attributes['hi'] = window
        # Too few structures, or an uncertainty that says nothing of the error: that is a result too.
        except ValueError as failure:
            attributes['reason'] = str(failure)
        # JSON has no infinity: an atom without neighbours has no finite uncertainty.
        atoms = [
            [value if np.isfinite(value) else None for value in u.tolist()],
            e.tolist(),
            np.asarray(groups).tolist(),
        ]
        self._write_rows(atoms, [atoms, alpha, max_force_error], attributes)

    @property
    def calibration(self) -> Calibration | None:
        """The calibration, if there is one."""
        content = self.base.attributes.get('calibration')
        return None if content is None else Calibration.from_dict(content)

    @property
    def thresholds(self) -> tuple[float, float] | None:
        """Uncertainties above which a frame is a candidate, and a run halts; None without an accepted error."""
        lo, hi = self.base.attributes.get('lo'), self.base.attributes.get('hi')
        return None if lo is None else (float(lo), float(hi))

    @property
    def reason(self) -> str | None:
        """Why there is no calibration, or no threshold."""
        value: str | None = self.base.attributes.get('reason')
        return value

    def __str__(self) -> str:
        parts = []
        if (coverage := self.base.attributes.get('coverage')) is not None:
            nominal = 1 - self.base.attributes.get('alpha')
            parts.append(f'bounds cover {coverage["coverage"]:.1%} of the force errors (nominal {nominal:.0%})')
        if (window := self.thresholds) is not None:
            parts.append(f'candidates are above {window[0]:.3g}, runs halt at {window[1]:.3g}')
        if (found := self.base.attributes.get('alarms')) is not None:
            parts.append(
                f'of {found["bad"]} held-out atoms with more than the accepted error {found["missed"]} are missed, '
                f'{found["missed_share"]:.2%} of all'
            )
        parts += [
            f'calibrated on the rest, they cover only {row["coverage"]:.1%} of "{row["part"]}"'
            for row in self.base.attributes.get('transfer', [])
            if row['coverage'] < row['nominal'] - BREAKS
        ]
        if self.reason is not None:
            parts.append(self.reason if parts else f'no calibration: {self.reason}')
        if self.thresholds is None and self.base.attributes.get('max_force_error') is not None:
            parts.append('thresholds of the uncertainty that the config names stay in force')
        return '; '.join(parts)
