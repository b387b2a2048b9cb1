"""Calculator ``pace``: a fitted ACE potential."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from aiida_traincraft.science.calculators.file_content import file_content
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_check import check_fast, check_potential, read_active_set
from aiida_traincraft.science.registry import register


class PaceCalculatorConfig(CalculatorConfig):
    """A fitted ACE potential."""

    aliases: ClassVar[tuple[str, ...]] = ('ace', 'pacemaker')
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    files: ClassVar[tuple[str, ...]] = ('potential', 'active_set', 'fast')
    type: Literal['pace'] = 'pace'
    potential: str
    """Path of the B-basis potential (.yaml)."""
    e0: dict[str, float]
    """Energy of the isolated atom (eV) of each element."""
    active_set: str | None = None
    """Path of the active set (.asi); needed for extrapolation grades."""
    fast: str | None = None
    """Path of the same potential as .yace, evaluated where no extrapolation grade is asked for."""

    def known_elements(self) -> frozenset[str]:
        """Elements that have an energy."""
        return frozenset(self.e0)

    def level_table(self) -> dict[str, Any]:
        """The table with the content of the potential; an active set changes no energy."""
        fast = None if self.fast is None else file_content(self.fast)
        table = self.model_dump(mode='json', exclude={'active_set'})
        return table | {'potential': file_content(self.potential), 'fast': fast}

    def check_files(self) -> None:
        """Check that the potential, its active set and its fast form are whole."""
        checks = ((self.potential, check_potential), (self.active_set, read_active_set), (self.fast, check_fast))
        for name, check in checks:
            if name is not None and (path := Path(name).expanduser()).is_file():
                check(path)


@register('calculator', 'pace', config=PaceCalculatorConfig)
def pace_calculator(config: PaceCalculatorConfig) -> PaceCalculator:
    """A fitted ACE potential.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"

        [calculator]
        type = "pace"
        potential = "potential.yaml"
        active_set = "potential.asi"
        e0 = { Cu = -1.2 }
    """
    active_set, fast = (None if name is None else Path(name).expanduser() for name in (config.active_set, config.fast))
    return PaceCalculator(Path(config.potential).expanduser(), config.e0, active_set, fast)
