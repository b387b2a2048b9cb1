"""Pick evenly over systems, and over windows of temperature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import PickConfig, Pool, StageResult

Temperature = Annotated[float, Field(ge=0, le=100_000)]
Quota = Annotated[float, Field(gt=0, le=1)]


class StratifiedConfig(PickConfig):
    """The strata, and what is picked within one."""

    type: Literal['stratified'] = 'stratified'
    temperature_windows: tuple[Temperature, ...] = ()
    """Temperatures that part the windows, rising (K): ``[300, 800]`` makes below 300, 300 to 800, and 800 and above.
    Without them a system is one stratum."""
    quotas: dict[str, Quota] = {}
    """Part of the picks that goes to each system named (0 to 1, no unit), as far as it has frames; the systems that are
    not named share the rest evenly."""
    by: Literal['uncertainty', 'random'] = 'uncertainty'
    """What is picked first within a stratum: the largest uncertainty of an atom (unknown ones last), or any frame."""

    @model_validator(mode='after')
    def _rising(self) -> StratifiedConfig:
        if any(low >= high for low, high in zip(self.temperature_windows, self.temperature_windows[1:], strict=False)):
            raise ValueError(f'"temperature_windows" must rise, not {list(self.temperature_windows)}')
        return self

    def named_systems(self) -> dict[str, frozenset[str]]:
        """Those with quotas."""
        return {'quotas': frozenset(self.quotas)}

    @field_validator('quotas')
    @classmethod
    def _at_most_all(cls, quotas: dict[str, float]) -> dict[str, float]:
        if (total := sum(quotas.values())) > 1 + 1e-9:
            raise ValueError(f'the quotas must add up to 1 at most, not {total:g}')
        return quotas


@register('selector', 'stratified', config=StratifiedConfig)
def stratified(pool: Pool, config: StratifiedConfig) -> StageResult:
    """Pick: the best of each stratum, then the second best of each, and so on, until the share is filled.

    A stratum is a system (``system`` of the provenance) and, with windows, a window of the frame's ``temperature``
    (frames without one are a stratum of their own). Strata get equally many picks, give or take one. A system with a
    quota is served first: its strata share the quota, and the other systems what is left. What a small stratum or
    system cannot fill goes to the others. Where not every stratum can be served, those whose best is most uncertain
    come first.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "stratified"
        fraction = 0.5
        temperature_windows = [300.0, 800.0]
        quotas = { surface = 0.5, bulk = 0.2 }
    """
    share = pool.share(config)
    if config.by == 'random':
        worth = pool.rng.random(len(pool.alive))
    else:
        worth = np.nan_to_num(pool.uncertainty[pool.alive], nan=-np.inf, posinf=np.inf)
    strata: dict[tuple[object, float], list[int]] = defaultdict(list)
    # From the best to the worst: strata come in the order of their best frames, and their frames in order.
    for place in np.argsort(-worth, kind='stable'):
        index = pool.alive[place]
        facts = pool.frames[index].provenance
        strata[facts.get('system'), _window(facts.get('temperature'), config.temperature_windows)].append(index)
    order: list[int] = []
    given = 0.0
    for system, quota in config.quotas.items():
        # Rounded on the running sum, as the shares of stages are.
        before = round(given * share)
        given += quota
        own = _in_turn(members for (name, _), members in strata.items() if name == system)
        order += own[: round(given * share) - before]
    order += _in_turn(members for (name, _), members in strata.items() if name not in config.quotas)
    order += _in_turn(strata.values())
    return pool.pick(list(dict.fromkeys(order))[:share], share)


def _in_turn(strata: Iterable[list[int]]) -> list[int]:
    return [index for index in chain.from_iterable(zip_longest(*strata)) if index is not None]


def _window(temperature: object, edges: tuple[float, ...]) -> float:
    if not edges:
        return 0
    return int(np.searchsorted(edges, temperature, side='right')) if isinstance(temperature, int | float) else np.nan
