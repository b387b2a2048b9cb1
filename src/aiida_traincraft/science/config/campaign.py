"""The whole campaign: all sections, and reading them from one TOML file."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.distillation import DistillationConfig
from aiida_traincraft.science.config.fields import ExplorerField, LabellerField, TrainerField
from aiida_traincraft.science.config.loop import LoopConfig
from aiida_traincraft.science.config.run import RunConfig
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.config.test_set import TestSetConfig
from aiida_traincraft.science.config.validation import ValidationConfig


class CampaignConfig(StrictModel):
    """One TOML file."""

    run: RunConfig
    """Name, seed and place."""
    systems: list[SystemConfig] = Field(min_length=1)
    """Where structures come from."""
    labelling: LabellerField
    """Who labels them."""
    training: TrainerField
    """What is trained on them."""
    exploration: ExplorerField
    """Where the model looks for what it does not know."""
    selection: SelectionConfig = Field(default_factory=SelectionConfig)
    """What of that is labelled."""
    test_set: TestSetConfig
    """What it is judged by."""
    loop: LoopConfig = LoopConfig()
    """When to stop."""
    distillation: DistillationConfig | None = None
    """A student that learns from the trained potential."""
    validation: ValidationConfig | None = None
    """What the trained potential must get right."""
    codes: CodesConfig = CodesConfig()
    """What runs where."""

    @model_validator(mode='after')
    def _consistent(self) -> CampaignConfig:
        names = [system.name for system in (*self.systems, *self.test_set.systems)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f'systems (the test set included) need names of their own; repeated: {", ".join(repeated)}'
            )
        trained = [system.name for system in self.systems]
        for number, sealed in enumerate(self.test_set.systems):
            if sealed.of is not None and sealed.of not in trained:
                raise ValueError(
                    f'test_set.systems[{number}].of: {sealed.of!r} is no system to train on ({", ".join(trained)})'
                )
        if self.loop.min_cycles > self.loop.max_cycles:
            raise ValueError('loop.min_cycles is larger than loop.max_cycles')
        if not any(system.explore for system in self.systems):
            raise ValueError('every system has explore = false: nothing could be explored')
        explored = sorted(system.name for system in self.systems if system.explore)
        for number, stage in enumerate(self.selection.stages):
            for key, named in stage.named_systems().items():
                if unknown := sorted(named - set(explored)):
                    raise ValueError(
                        f'selection.stages[{number}].{key}: {", ".join(unknown)} is no system that is explored '
                        f'({", ".join(explored)})'
                    )
        return self
