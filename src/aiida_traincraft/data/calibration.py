"""What the uncertainty of a potential says of its force errors, as a node."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_traincraft.data.manifest import JsonFileData
from aiida_traincraft.science.calibration import Calibration, Values, alarms, calibrate, cross_coverage, reliability


class CalibrationData(JsonFileData):
    """A calibration, the atoms that it rests on, and the thresholds that follow from an accepted force error.

    Attributes to query by: ``calibration`` (None if ``reason`` says why there is none), ``max_force_error`` (eV/Å),
    ``lo``, ``hi``, ``coverage``, ``alarms`` and ``reliability``; see :mod:`aiida_traincraft.science.calibration`.

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
    """

    def __init__(
        self,
        uncertainty: Values,
        error: Values,
        groups: Any,
        measure: str,
        alpha: float,
        max_force_error: float | None = None,
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
        }
        try:
            found = calibrate(u, e, groups, alpha, measure)
            attributes['calibration'] = found.to_dict()
            attributes['reliability'] = reliability(found, u, e)
            if max_force_error is not None:
                attributes['lo'], attributes['hi'] = found.thresholds(max_force_error)
                attributes['alarms'] = alarms(u, e, attributes['lo'], max_force_error)
            attributes['coverage'] = cross_coverage(u, e, groups, alpha)
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
            found = self.base.attributes.get('alarms')
            parts.append(
                f'below the threshold {window[0]:.3g} (runs halt at {window[1]:.3g}) are {found["missed"]} of the '
                f'{found["bad"]} atoms with more than the accepted error, {found["missed_share"]:.2%} of all'
            )
        if self.reason is not None:
            parts.append(self.reason if parts else f'no calibration: {self.reason}')
        return '; '.join(parts)
