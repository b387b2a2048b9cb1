"""Baselines by name: physics that is subtracted from the labels, and added once to what was learnt from the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.kinds import BaselineConfig, TrainerConfig
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.models.pair import pairs_between


def make_baseline(config: BaselineConfig | Mapping[str, Any]) -> Any:
    """ASE calculator of a baseline, by its config or by the table that a potential keeps.

    Raises
    ------
    ConfigError
        If the table is not valid, or no baseline of that type is registered.
    ValueError
        If its parameters are still to be fitted.
    """
    parsed = config if isinstance(config, BaselineConfig) else parse_plugin('baseline', dict(config))
    return registry.get('baseline', parsed.type).function(parsed)


def check_continued(asked: BaselineConfig, stored: BaselineConfig) -> None:
    """Refuse to go on from a potential that was learnt on another baseline than the one asked for.

    Core repulsions do not matter: they come after the fit.

    Raises
    ------
    ValueError
        Tells both.
    """
    if (asked.subtracts or stored.subtracts) and not asked.matches(stored):
        raise ValueError(
            f'the potential to start from was trained with the baseline {stored.model_dump(mode="json")}, not with '
            f'{asked.model_dump(mode="json")}: give its own, or start a new one'
        )


def baseline_issues(training: TrainerConfig, elements: Iterable[str], place: str) -> list[ConfigIssue]:
    """Find pairs of elements that the baseline of a section ``[training]`` has no parameters for."""
    baseline = training.given_baseline()
    known = None if baseline is None else baseline.known_pairs()
    missing = [] if known is None else [pair for pair in pairs_between(elements) if pair not in known]
    if not missing:
        return []
    names = ', '.join('-'.join(pair) for pair in missing)
    return [ConfigIssue(f'{place}.baseline.pairs', f'there is nothing for {names}: give every pair of the elements')]
