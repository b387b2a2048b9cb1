"""A file for ``traincraft validate-potential``: validators without a campaign."""

from __future__ import annotations

from pathlib import Path

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.fields import CalculatorField, LabellerField
from aiida_traincraft.science.config.loader import parse_file, read_toml
from aiida_traincraft.science.config.run import RunConfig
from aiida_traincraft.science.config.validation import ValidationConfig


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
    return parse_file(ValidationRunConfig, read_toml(path), path.parent, path.name)
