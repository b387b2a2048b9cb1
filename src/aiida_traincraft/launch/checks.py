"""Checks of a campaign against a profile, and the list that every command shows."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiida import orm
from aiida.common import exceptions

from aiida_traincraft.launch.frozen_sources import freeze_sources
from aiida_traincraft.launch.interpreters import check_interpreters
from aiida_traincraft.launch.seams import CampaignSeams
from aiida_traincraft.science.campaign.checks import CHECKS
from aiida_traincraft.science.campaign.preflight import Preflight, examine
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.errors import ConfigIssue


@contextmanager
def frozen_preflight(
    config: CampaignConfig, folder: Path
) -> Iterator[tuple[Preflight, CampaignSeams, list[ConfigIssue]]]:
    """Fetch what is fetched at launch, and ask every check that there is, in a loaded profile.

    Parameters
    ----------
    config
        The campaign as given.
    folder
        Folder that relative paths refer to.

    Yields
    ------
    Preflight, CampaignSeams, list of ConfigIssue
        The preflight with the codes that were found, who labels, trains and explores, and all that speaks against the
        campaign. Files of what was fetched are there until the context ends.

    Raises
    ------
    ConfigError
        If something cannot be fetched, or a section has no WorkChain.
    """
    with tempfile.TemporaryDirectory() as store:
        config = freeze_sources(config, folder, Path(store))
        seams = CampaignSeams(config)
        codes, issues = find_codes(config.codes, seams.roles)
        preflight = Preflight(config, folder, codes)
        issues += check_interpreters(codes) + examine(preflight, (*CHECKS, *seams.checks))
        yield preflight, seams, issues


def find_codes(section: CodesConfig, roles: Collection[str]) -> tuple[dict[str, orm.AbstractCode], list[ConfigIssue]]:
    """Codes by role, and which are missing."""
    codes, issues = {}, []
    for role in roles:
        label = section.of(role).code
        try:
            codes[role] = orm.load_code(label)
        except (exceptions.NotExistent, exceptions.MultipleObjectsError, ValueError):
            issues.append(
                ConfigIssue(
                    f'codes.{role}.code',
                    f'there is no code {label!r} in this profile; run "traincraft setup", which says what it finds '
                    'and how to get what is missing, or name a code of "verdi code list"',
                )
            )
    return codes, issues
