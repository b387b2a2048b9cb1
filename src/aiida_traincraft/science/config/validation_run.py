"""A file for ``traincraft validate-potential``: validators without a campaign."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import StrictModel, from_json
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.explain import explain
from aiida_traincraft.science.config.fields import CalculatorField, LabellerField
from aiida_traincraft.science.config.loader import read_toml
from aiida_traincraft.science.config.run import RunConfig
from aiida_traincraft.science.config.validation import ValidationConfig
from aiida_traincraft.science.errors import ConfigError, ConfigIssue


class ValidationRunConfig(StrictModel):
    """One TOML file."""

    validation: ValidationConfig
    """What to ask the potential."""
    potential: CalculatorField | None = None
    """A potential that was not trained here: the calculator that evaluates it, with the names of its files."""
    labelling: LabellerField | None = None
    """Who computes the reference; needed by validators with ``reference = true``."""
    run: RunConfig = RunConfig(name='validation')
    """Name, seed and plugins."""
    codes: CodesConfig = CodesConfig()
    """What runs where."""


def load_validation_run(path: Path) -> ValidationRunConfig:
    """Read and validate a TOML file; plugins named in ``[run] plugins`` are loaded first.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    data = read_toml(path)
    run = data.get('run')
    files = run.get('plugins', []) if isinstance(run, dict) else []
    try:
        registry.load_plugins([path.parent / str(file) for file in files])
        return from_json(ValidationRunConfig, data)
    except ValidationError as error:
        raise ConfigError(explain(error, ValidationRunConfig), path.name) from None
    except Exception as error:
        raise ConfigError([ConfigIssue('run.plugins', str(error))], path.name) from error
