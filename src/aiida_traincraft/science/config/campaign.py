"""The whole campaign: all sections, and reading them from one TOML file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import (
    ConfigError,
    ConfigIssue,
    ExplorerField,
    LabellerField,
    StrictModel,
    TrainerField,
    explain,
)
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.distillation import DistillationConfig
from aiida_traincraft.science.config.loop import LoopConfig
from aiida_traincraft.science.config.run import RunConfig
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.shared_sources import check_shared_sources
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
        if self.loop.min_cycles > self.loop.max_cycles:
            raise ValueError('loop.min_cycles is larger than loop.max_cycles')
        if not any(system.explore for system in self.systems):
            raise ValueError('every system has explore = false: nothing could be explored')
        explored = sorted(system.name for system in self.systems if system.explore)
        for number, stage in enumerate(self.selection.stages):
            # Of any stage that has shares by system, a user's plugin among them.
            unknown = sorted(set(getattr(stage, 'quotas', {})) - set(explored))
            if unknown:
                raise ValueError(
                    f'selection.stages[{number}].quotas: {", ".join(unknown)} is no system that is explored '
                    f'({", ".join(explored)})'
                )
        return self


def load_campaign(path: Path) -> CampaignConfig:
    """Read and validate a TOML file; plugins named in ``[run] plugins`` are loaded first.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError([ConfigIssue(str(path), 'no such file')], 'cannot read the config') from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError([ConfigIssue(str(path), f'not valid TOML: {error}')], 'cannot read the config') from None
    return parse_campaign(data, path.resolve().parent, path.name)


def validate_campaign(data: dict[str, Any]) -> CampaignConfig:
    """Validate with JSON's types: an array is a tuple where one is wanted, but "5" is no number and "no" no boolean.

    Raises
    ------
    pydantic.ValidationError
        With every error found.
    """
    return CampaignConfig.model_validate_json(json.dumps(data, default=str))


def parse_campaign(data: dict[str, Any], folder: Path | None = None, origin: str = 'config') -> CampaignConfig:
    """Validate the content of a campaign file.

    Parameters
    ----------
    data
        The parsed TOML.
    folder
        Folder that relative paths of plugin files and of sources refer to.
    origin
        Name of the config in error messages.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    run = data.get('run')
    files = run.get('plugins', []) if isinstance(run, dict) else []
    try:
        registry.load_plugins([(folder or Path()) / str(file) for file in files])
    except Exception as error:
        raise ConfigError([ConfigIssue('run.plugins', str(error))], origin) from error
    try:
        config = validate_campaign(data)
    except ValidationError as error:
        raise ConfigError(explain(error, CampaignConfig), origin) from None
    if issues := check_shared_sources(config, folder or Path()):
        raise ConfigError(issues, origin)
    return config
