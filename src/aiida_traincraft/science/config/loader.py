"""A campaign read from one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import from_json
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.explain import explain
from aiida_traincraft.science.errors import ConfigError, ConfigIssue


def load_campaign(path: Path | str) -> CampaignConfig:
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
        return from_json(CampaignConfig, data)
    except ValidationError as error:
        raise ConfigError(explain(error, CampaignConfig), origin) from None
