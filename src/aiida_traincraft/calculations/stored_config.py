"""The campaign's config node, read back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import from_json
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.distillation import DistillationConfig
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.kinds import ExplorerConfig, LabellerConfig, TrainerConfig
from aiida_traincraft.science.config.loop import LoopConfig
from aiida_traincraft.science.config.run import RunConfig
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.config.test_set import TestSetConfig
from aiida_traincraft.science.config.validation import ValidationConfig

PLUGIN_PREFIX = 'plugins__'


class StoredConfig:
    """The sections of a stored config, typed; each is read when it is asked for first.

    Parameters
    ----------
    config
        A validated campaign, or what has some of its sections, such as a file of validators.
    nodes
        Nodes with keys ``plugins__*`` hold the plugin files that it needs.
    """

    def __init__(self, config: orm.Dict, nodes: Mapping[str, orm.Data]) -> None:
        self._content: dict[str, Any] = config.get_dict()
        load_plugin_nodes(nodes)

    @cached_property
    def run(self) -> RunConfig:
        """Section ``[run]``."""
        return from_json(RunConfig, self._content['run'])

    @cached_property
    def codes(self) -> CodesConfig:
        """Section ``[codes]``."""
        return from_json(CodesConfig, self._content['codes'])

    @cached_property
    def systems(self) -> list[SystemConfig]:
        """Sections ``[[systems]]``."""
        return [from_json(SystemConfig, table) for table in self._content['systems']]

    @cached_property
    def test_set(self) -> TestSetConfig:
        """Section ``[test_set]``."""
        return from_json(TestSetConfig, self._content['test_set'])

    @cached_property
    def labelling(self) -> LabellerConfig:
        """Section ``[labelling]``."""
        return parse_plugin('labeller', self._content['labelling'])

    @cached_property
    def training(self) -> TrainerConfig:
        """Section ``[training]``."""
        return parse_plugin('trainer', self._content['training'])

    @cached_property
    def exploration(self) -> ExplorerConfig:
        """Section ``[exploration]``."""
        return parse_plugin('explorer', self._content['exploration'])

    @property
    def gamma_lo(self) -> float:
        """Extrapolation grade from which the exploration is uncertain; the default where none is planned."""
        if self._content.get('exploration') is None:
            return float(ExplorerConfig.model_fields['gamma_lo'].default)
        return self.exploration.gamma_lo

    @cached_property
    def selection(self) -> SelectionConfig:
        """Section ``[selection]``."""
        return from_json(SelectionConfig, self._content['selection'])

    @cached_property
    def loop(self) -> LoopConfig:
        """Section ``[loop]``."""
        return from_json(LoopConfig, self._content['loop'])

    @cached_property
    def distillation(self) -> DistillationConfig | None:
        """Section ``[distillation]``, if there is one."""
        section = self._content.get('distillation')
        return None if section is None else from_json(DistillationConfig, section)

    @cached_property
    def validation(self) -> ValidationConfig | None:
        """Section ``[validation]``, if there is one."""
        section = self._content.get('validation')
        return None if section is None else from_json(ValidationConfig, section)


def read_campaign(config: orm.Dict, nodes: Mapping[str, orm.Data]) -> CampaignConfig:
    """Validate a stored config; ``nodes`` with keys ``plugins__*`` hold the plugin files that it needs."""
    load_plugin_nodes(nodes)
    return from_json(CampaignConfig, config.get_dict())


def load_plugin_nodes(nodes: Mapping[str, orm.Data]) -> None:
    """Load the plugins of the files in nodes with keys ``plugins__*``."""
    with tempfile.TemporaryDirectory() as name:
        files = []
        for key, node in sorted(nodes.items()):
            if key.startswith(PLUGIN_PREFIX):
                files.append(Path(name) / f'{key}.py')
                files[-1].write_bytes(node.get_content(mode='rb'))
        registry.load_plugins(files)
