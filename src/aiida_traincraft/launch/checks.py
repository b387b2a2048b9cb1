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
from aiida_traincraft.science.campaign.checks import CHECKS
from aiida_traincraft.science.campaign.preflight import Check, Preflight, examine
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.kinds import TrainerConfig
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.workchains.seams.explorer import explorer_of
from aiida_traincraft.workchains.seams.labeller import labeller_of
from aiida_traincraft.workchains.seams.trainer import trainer_of


@contextmanager
def frozen_preflight(config: CampaignConfig, folder: Path) -> Iterator[tuple[Preflight, list[ConfigIssue]]]:
    """Fetch what is fetched at launch, and ask every check that there is, in a loaded profile.

    Parameters
    ----------
    config
        The campaign as given.
    folder
        Folder that relative paths refer to.

    Yields
    ------
    Preflight, list of ConfigIssue
        The preflight with the codes that were found, and all that speaks against the campaign. Files of what was
        fetched are there until the context ends.

    Raises
    ------
    ConfigError
        If something cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as store:
        config = freeze_sources(config, folder, Path(store))
        codes, issues = find_codes(config.codes, needed_roles(config))
        preflight = Preflight(config, folder, codes)
        yield preflight, issues + check_interpreters(codes) + examine(preflight, (*CHECKS, *seam_checks(config)))


def seam_checks(config: CampaignConfig) -> list[Check]:
    """Checks that labeller, trainers and explorer own."""
    trainers = [trainer_of(section, place).check for place, section in exploring_trainers(config).items()]
    if (section := dielectric_trainer(config)) is not None:
        seam = trainer_of(section, 'validation.dielectric')
        # Nothing is explored with it.
        trainers.append(lambda preflight: seam.check_start(preflight.elements, preflight.folder))
    return [labeller_of(config.labelling).check, *trainers, explorer_of(config.exploration).check]


def exploring_trainers(config: CampaignConfig) -> dict[str, TrainerConfig]:
    """Trainers whose potentials explore, by their place in the config."""
    found = {'training': config.training}
    if config.distillation is not None:
        found['distillation.training'] = config.distillation.training
    return found


def dielectric_trainer(config: CampaignConfig) -> TrainerConfig | None:
    """Trainer of the model of dipoles beside the potential."""
    return None if config.validation is None else config.validation.dielectric


def needed_roles(config: CampaignConfig) -> list[str]:
    """Roles of the codes that a campaign uses; sampling of the first structures always needs ``ase``."""
    roles = {'ase', *labeller_of(config.labelling).roles, *explorer_of(config.exploration).roles}
    sections = [*exploring_trainers(config).values(), dielectric_trainer(config)]
    return sorted(roles.union(*(trainer_of(section).roles for section in sections if section is not None)))


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
