"""What ``traincraft train`` reads of a file: a campaign's, or one with no more than it needs."""

from __future__ import annotations

from pathlib import Path

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.fields import ExplorerField, TrainerField
from aiida_traincraft.science.config.loader import parse_file, read_toml
from aiida_traincraft.science.config.run import RunConfig


class TrainingRunConfig(StrictModel):
    """One TOML file."""

    training: TrainerField
    """What is trained."""
    exploration: ExplorerField | None = None
    """Whose thresholds the active set of an ACE is checked against; by default those of any exploration."""
    run: RunConfig = RunConfig(name='training')
    """Name, seed and plugins."""
    codes: CodesConfig = CodesConfig()
    """What runs where."""


def load_training_run(path: Path) -> TrainingRunConfig:
    """Read and validate a TOML file; the other sections of a campaign may be there, and are not read.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    unread = CampaignConfig.model_fields.keys() - TrainingRunConfig.model_fields.keys()
    data = {key: value for key, value in read_toml(path).items() if key not in unread}
    return parse_file(TrainingRunConfig, data, path.resolve().parent, path.name)
