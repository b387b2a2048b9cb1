"""Section ``[run]``."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from aiida_traincraft.science.config.base import StrictModel

SHOWN_UUID = 8
"""Digits of a UUID where there is no room for all."""
IDENTIFIER = re.compile(f'[0-9]+|[0-9a-f]{{{SHOWN_UUID}}}[0-9a-f-]*', re.IGNORECASE)
"""A PK; a UUID, or a beginning of one as long as those that are shown."""


class RunConfig(StrictModel):
    """Name, seed and place of a campaign."""

    name: str = Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9._-]*$')
    """Name of the campaign, of letters, digits, dots, hyphens and underscores; results go to ``<outdir>/<name>/``."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of all randomness; the same seed and config give the same structures."""
    outdir: str = 'runs'
    """Folder for results, relative to where the campaign is started."""
    plugins: list[str] = []
    """Python files with further plugins, relative to the config file."""
    max_concurrent: int = Field(default=2, ge=1)
    """Most jobs of one stage that run at the same time."""

    @field_validator('name')
    @classmethod
    def _no_identifier(cls, name: str) -> str:
        if IDENTIFIER.fullmatch(name):
            raise ValueError(
                'commands that take a campaign would read this as a PK or UUID: take a name with another letter, '
                f'such as "run-{name}"'
            )
        return name
