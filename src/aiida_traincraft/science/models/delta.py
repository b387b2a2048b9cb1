"""What was learnt and the baseline that it was learnt on, as one calculator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes


class DeltaCalculator(Calculator):  # type: ignore[misc]
    """Energies, forces and stress of a potential with those of its baseline; all else is the potential's own.

    Parameters
    ----------
    learned
        ASE calculator of what was learnt.
    baseline
        ASE calculator of what was subtracted from the labels.
    """

    def __init__(self, learned: Any, baseline: Any) -> None:
        super().__init__()
        self.learned, self.baseline = learned, baseline
        self.implemented_properties = list(learned.implemented_properties)

    def __getattr__(self, name: str) -> Any:
        # Uncertainties, descriptors and elements are those of what was learnt.
        if name in ('learned', 'baseline') or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.learned, name)

    @property
    def with_uncertainty(self) -> bool:
        """Whether the next evaluation writes the uncertainty of what was learnt."""
        return bool(self.learned.with_uncertainty)

    @with_uncertainty.setter
    def with_uncertainty(self, value: bool) -> None:
        self.learned.with_uncertainty = value
        if value and 'uncertainty' not in self.results:
            self.reset()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate all properties of the atoms.

        Raises
        ------
        ValueError
            As of the two calculators.
        """
        super().calculate(atoms, properties or ['energy'], system_changes)
        self.learned.calculate(self.atoms, properties, all_changes)
        self.results = self._sum(self.atoms, self.learned.results)

    def calculate_many(self, structures: Sequence[Atoms]) -> Iterator[dict[str, Any] | Exception]:
        """Results of each of many structures in order, or why there are none."""
        many = getattr(self.learned, 'calculate_many', self._one_by_one)
        for atoms, outcome in zip(structures, many(structures), strict=True):
            try:
                yield outcome if isinstance(outcome, Exception) else self._sum(atoms, outcome)
            except Exception as error:
                yield error

    def _one_by_one(self, structures: Sequence[Atoms]) -> Iterator[dict[str, Any] | Exception]:
        for atoms in structures:
            try:
                self.learned.calculate(atoms, self.implemented_properties, all_changes)
                yield self.learned.results
            except Exception as error:
                yield error

    def _sum(self, atoms: Atoms, learned: dict[str, Any]) -> dict[str, Any]:
        results = dict(learned)
        for name in ('energy', 'forces', 'stress', 'energies'):
            if name not in results:
                continue
            try:
                given = self.baseline.get_property(name, atoms)
            except PropertyNotImplementedError:
                # Better none than half of it.
                del results[name]
            else:
                results[name] = results[name] + np.asarray(given, float) if np.ndim(given) else results[name] + given
        if 'energy' in results:
            results['free_energy'] = results['energy'] = float(results['energy'])
        return results
