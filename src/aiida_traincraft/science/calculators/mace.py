"""Calculator ``mace``: a MACE model in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aiida_traincraft.science.calculators.file_content import file_content
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.models.mace import MaceCalculator
from aiida_traincraft.science.registry import register


class MaceCalculatorConfig(CalculatorConfig):
    """A MACE model in a file; what it predicts is known when it is read."""

    files: ClassVar[tuple[str, ...]] = ('model',)
    type: Literal['mace'] = 'mace'
    model: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Path of the model (.model), on the machine that calculates; several models make a committee and give its mean."""
    head: str | None = None
    """Head of a multi-head model."""
    device: str = Field(default='cpu', pattern=r'^(cpu|mps|xpu|cuda(:\d+)?)$')
    """Where it runs, as torch calls it: ``cpu``, ``cuda``, ``cuda:1``."""

    @property
    def models(self) -> tuple[str, ...]:
        """Paths of all models."""
        return (self.model,) if isinstance(self.model, str) else self.model

    def level_table(self) -> dict[str, Any]:
        """The table with the content of the models."""
        return self.model_dump(mode='json') | {'model': [file_content(model) for model in self.models]}


@register('calculator', 'mace', MaceCalculatorConfig)
def make_mace(config: MaceCalculatorConfig) -> MaceCalculator:
    """A MACE model in a file.

    Raises
    ------
    ValueError
        If there is no such model, or its head is unknown or missing.
    ModuleNotFoundError
        If mace-torch is not installed.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"

        [calculator]
        type = "mace"
        model = "~/copper/potential.model"
        device = "cuda"
    """
    return MaceCalculator([Path(model).expanduser() for model in config.models], config.head, config.device)
