"""Labeller, trainers and explorer of a campaign: asked for their checks, their codes, and what they fill in."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_traincraft.science.campaign.preflight import Check, Preflight
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.workchains.seams.base import Seam
from aiida_traincraft.workchains.seams.explorer import explorer_of
from aiida_traincraft.workchains.seams.labeller import labeller_of
from aiida_traincraft.workchains.seams.trainer import trainer_of


class CampaignSeams:
    """Hooks of every section that a seam stands behind, by its place in the config.

    Raises
    ------
    ConfigError
        If a section has no WorkChain.
    """

    def __init__(self, config: CampaignConfig) -> None:
        self._seams: dict[str, Seam[Any]] = {
            'labelling': labeller_of(config.labelling),
            'training': trainer_of(config.training),
            'exploration': explorer_of(config.exploration),
        }
        if config.distillation is not None:
            place = 'distillation.training'
            self._seams[place] = trainer_of(config.distillation.training, place)
        if config.validation is not None and config.validation.dielectric is not None:
            place = 'validation.dielectric'
            self._seams[place] = trainer_of(config.validation.dielectric, place, explores=False)

    @property
    def roles(self) -> list[str]:
        """Roles of the codes that the campaign uses; sampling of the first structures always needs ``ase``."""
        return sorted({'ase'}.union(*(seam.roles for seam in self._seams.values())))

    @property
    def checks(self) -> list[Check]:
        """Checks that the seams own."""
        return [seam.check for seam in self._seams.values()]

    def complete(self, preflight: Preflight) -> tuple[dict[str, Any], dict[str, orm.SinglefileData]]:
        """Fill in what depends on the campaign or on files.

        Returns
        -------
        dict, dict
            JSON content of the campaign, and the nodes of models' files that sections name, by place.
        """
        content, models = preflight.config.model_dump(mode='json'), {}
        for place, seam in self._seams.items():
            completed = seam.complete(preflight.elements, preflight.folder)
            outer, _, key = place.rpartition('.')
            (content[outer] if outer else content)[key] = completed.section
            if completed.model is not None:
                models[place.replace('.', '_')] = completed.model
        return content, models
