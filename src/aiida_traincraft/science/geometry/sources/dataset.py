"""Source ``dataset``: structures of a dataset node."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.sources.aiida import Uuid
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


class DatasetSourceConfig(SourceConfig):
    """Structures of a dataset, without their labels."""

    profile: ClassVar[bool] = True
    type: Literal['dataset'] = 'dataset'
    uuid: Uuid
    """UUID of the dataset; its beginning is enough."""
    split: Literal['train', 'test'] = 'train'
    """Part of the dataset."""
    system: str | None = None
    """Only structures of this system."""
    n: int | None = Field(default=None, ge=1)
    """Most structures, drawn at random; all without it."""


@register('source', 'dataset', DatasetSourceConfig)
def read_dataset(config: DatasetSourceConfig, workspace: Workspace | None, rng: np.random.Generator) -> list[Structure]:
    """Structures of a dataset node; read when the campaign is launched.

    Raises
    ------
    ValueError
        Always: there is no profile here. Launching a campaign puts a file of the structures in place of this source.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "dataset"
        uuid = "7b1e8a52"
        system = "surface"
        n = 10
    """
    raise ValueError('source "dataset" is read from a profile when a campaign is launched; here is none')
