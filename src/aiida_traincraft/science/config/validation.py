"""Section ``[validation]``: what a trained potential must get right, and what happens if it does not."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.fields import TrainerField, ValidatorField
from aiida_traincraft.science.config.kinds import ERROR, ValidatorConfig
from aiida_traincraft.science.config.systems import GeometryConfig


class StructureValidatorConfig(ValidatorConfig):
    """A validator that starts from one structure."""

    compares: ClassVar[bool] = True

    system: str | None = None
    """System of the campaign whose starting geometry is taken."""
    geometry: GeometryConfig | None = None
    """A geometry of its own, in place of a system."""
    reference: bool = False
    """Whether the campaign's labelling computes the same structures, so that differences can be told (``..._error``).
    The structures are those that the potential relaxed."""

    @property
    def has_reference(self) -> bool:
        """Whether the labelling computes the same structures."""
        return self.reference

    @model_validator(mode='after')
    def _one_start(self) -> StructureValidatorConfig:
        if (self.system is None) == (self.geometry is None):
            raise ValueError('give exactly one of "system" and "geometry"')
        limited = [name for name in (*self.at_most, *self.at_least) if name.endswith(ERROR)]
        if limited and not self.reference:
            raise ValueError(f'{", ".join(limited)}: a limit of a difference needs reference = true')
        return self


class ValidationConfig(StrictModel):
    """Section ``[validation]``."""

    validators: list[ValidatorField] = Field(min_length=1)
    """What to ask the potential, in order."""
    on_failure: Literal['warn', 'continue', 'fail'] = 'warn'
    """What a campaign does if a limit is not kept: say so, go on with the loop for more labels, or end as failed."""
    on_success: Literal['continue', 'stop'] = 'continue'
    """What a campaign does if all limits are kept: go on until a criterion of the loop holds, or stop."""
    every: int = Field(default=0, ge=0)
    """Cycles between two validations; 0 validates the last potential only."""
    dielectric: TrainerField | None = None
    """Model of dipoles and polarizabilities, trained on the same labels, for the spectra of a potential without."""

    @model_validator(mode='after')
    def _labels(self) -> ValidationConfig:
        labels = [config.label for config in self.validators]
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ValueError(f'validators need names of their own ("name"); repeated: {", ".join(repeated)}')
        if self.on_success == 'stop':
            if self.every == 0:
                raise ValueError('on_success = "stop" needs "every": 1 validates every potential')
            if not any(config.at_most or config.at_least for config in self.validators):
                raise ValueError('on_success = "stop", but no validator has a limit ("at_most", "at_least")')
        return self
