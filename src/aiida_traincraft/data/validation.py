"""What one validator found of one potential, as a node."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiida_traincraft.data.manifest import JsonFileData
from aiida_traincraft.science.config.kinds import ValidatorConfig
from aiida_traincraft.science.validation import Check, Curve, Findings, check


class ValidationData(JsonFileData):
    """Numbers of a validator as attributes, its curves in a file.

    Attributes to query by: ``validator`` (its label), ``type``, ``values`` (a table of numbers), ``units``, ``passed``
    (None without limits; False for one that broke), ``checks``, ``broken``, ``notes``.

    Parameters
    ----------
    config
        What was asked, limits included.
    findings
        What was found.
    """

    def __init__(self, config: ValidatorConfig, findings: Findings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks = check(config, findings)
        attributes = {
            'validator': config.label,
            'type': config.type,
            'values': findings.values,
            'units': dict(config.quantities),
            'checks': [asdict(item) | {'passed': item.passed} for item in checks],
            'passed': False if findings.broken else all(item.passed for item in checks) if checks else None,
            'broken': findings.broken,
            'notes': findings.notes,
        }
        self._write_rows([findings.curves], [attributes, findings.curves], attributes)

    @property
    def label_of_validator(self) -> str:
        """Name of the validator, or its type."""
        return str(self.base.attributes.get('validator'))

    @property
    def values(self) -> dict[str, float | None]:
        """Numbers by name; None where one is not defined."""
        return dict(self.base.attributes.get('values'))

    @property
    def units(self) -> dict[str, str]:
        """Units by name of the number."""
        return dict(self.base.attributes.get('units'))

    @property
    def checks(self) -> list[Check]:
        """Numbers against limits."""
        names = ('quantity', 'value', 'limit', 'kind')
        return [Check(**{name: row[name] for name in names}) for row in self.base.attributes.get('checks')]

    @property
    def passed(self) -> bool | None:
        """Whether it went well and all limits are kept; None without limits."""
        value: bool | None = self.base.attributes.get('passed')
        return value

    @property
    def broken(self) -> str | None:
        """Why there are no numbers, or not all; None if all went well."""
        value: str | None = self.base.attributes.get('broken')
        return value

    @property
    def curves(self) -> dict[str, Curve]:
        """Tables behind figures, by name."""
        curves: dict[str, Curve] = self._read_rows()[0]
        return curves

    def __str__(self) -> str:
        verdict = {None: 'no limits', True: 'passed', False: 'failed'}[self.passed]
        missed = [f'{item.quantity} is {item.value}, limit {item.limit:g}' for item in self.checks if not item.passed]
        why = f' ({self.broken or "; ".join(missed)})' if self.passed is False else ''
        return f'validation {self.label_of_validator}: {verdict}{why}'
