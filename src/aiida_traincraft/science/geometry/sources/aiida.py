"""Source ``aiida``: structures that an AiiDA profile holds already."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

Uuid = Annotated[str, Field(pattern=r'^[0-9a-f-]{8,36}$')]


class AiidaSourceConfig(SourceConfig):
    """Structures of the AiiDA database: by UUID, of a group, or by a query."""

    profile: ClassVar[bool] = True
    type: Literal['aiida'] = 'aiida'
    uuid: Uuid | None = None
    """UUID of a structure, a label, or any ``StructureData``; its beginning is enough."""
    group: str | None = Field(default=None, min_length=1)
    """Label of a group of structures."""
    filters: dict[str, Any] | None = None
    """Filters of AiiDA's QueryBuilder on our structures, such as ``{"attributes.formula" = "Cu4"}``."""
    n: int | None = Field(default=None, ge=1)
    """Most structures, drawn at random; all without it."""

    @model_validator(mode='after')
    def _one(self) -> AiidaSourceConfig:
        if sum(value is not None for value in (self.uuid, self.group, self.filters)) != 1:
            raise ValueError('give exactly one of "uuid", "group" and "filters"')
        return self


@register('source', 'aiida', AiidaSourceConfig)
def read_aiida(config: AiidaSourceConfig, workspace: Workspace | None, rng: np.random.Generator) -> list[Structure]:
    """Structures of the AiiDA database; read when the campaign is launched.

    Raises
    ------
    ValueError
        Always: there is no profile here. Launching a campaign puts a file of the structures in place of this source.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "aiida"
        group = "my starting structures"
        n = 5
    """
    raise ValueError('source "aiida" is read from a profile when a campaign is launched; here is none')
