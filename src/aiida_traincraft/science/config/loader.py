"""A campaign read from one TOML file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import Model, from_json
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.explain import explain
from aiida_traincraft.science.errors import ConfigError, ConfigIssue

TOO_DEEP = 'tables or arrays are nested too deeply'
LONG_NUMBER = re.compile(r'^\s*([\w."\'-]+)\s*=[^\n]*?[0-9_]{1000}', re.MULTILINE)


def load_campaign(path: Path | str) -> CampaignConfig:
    """Read and validate a TOML file; plugins named in ``[run] plugins`` are loaded first.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    path = Path(path)
    return parse_campaign(read_toml(path), path.resolve().parent, path.name)


def read_toml(path: Path) -> dict[str, Any]:
    """Content of a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read or is no TOML.
    """
    text = ''
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = path.read_text(encoding='utf-8-sig')
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError([ConfigIssue(str(path), 'no such file')], 'cannot read the config') from None
    except OSError as error:
        raise ConfigError([ConfigIssue(str(path), f'not valid TOML: {error}')], 'cannot read the config') from None
    except RecursionError:
        raise ConfigError([ConfigIssue(str(path), TOO_DEEP)], 'cannot read the config') from None
    except ValueError as error:
        raise ConfigError([ConfigIssue(str(path), _not_toml(error, text))], 'cannot read the config') from None


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
    return parse_file(CampaignConfig, data, folder or Path(), origin)


def parse_file(model: type[Model], data: dict[str, Any], folder: Path, origin: str) -> Model:
    """Validate the content of a file of any kind, as :func:`parse_campaign` does that of a campaign.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    run = data.get('run')
    files = run.get('plugins', []) if isinstance(run, dict) else []
    try:
        registry.load_plugins([folder / str(file) for file in files])
    except Exception as error:
        raise ConfigError([ConfigIssue('run.plugins', str(error))], origin) from error
    try:
        return from_json(model, data)
    except RecursionError:
        raise ConfigError([ConfigIssue('(top level)', TOO_DEEP)], origin) from None
    except ValidationError as error:
        raise ConfigError(explain(error, model), origin) from None


def _not_toml(error: ValueError, text: str) -> str:
    """What is wrong with a text that is no TOML, in words that help."""
    if 'integer string conversion' in str(error) and (match := LONG_NUMBER.search(text)) is not None:
        return f'{match[1]}: a number of far too many digits'
    place = re.search(r'at line (\d+)', str(error))
    lines = text.splitlines()[: int(place[1])] if place is not None else []
    if any(line.count('{') > line.count('}') for line in lines[-2:]):
        return f'not valid TOML: {error}: a table in braces {{ }} must stand on one line'
    return f'not valid TOML: {error}'
