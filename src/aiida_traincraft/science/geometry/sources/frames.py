"""Source ``frames``: structures in this package's own binary file, exact to the last digit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure, read_frames
from aiida_traincraft.science.workspace import Workspace, input_path


class FramesSourceConfig(SourceConfig):
    """Structures that were fetched when the campaign was launched, from a database or the network."""

    type: Literal['frames'] = 'frames'
    path: str
    """File as a launch or a job writes it; absolute, or relative to the workspace."""
    fetched: dict[str, Any] | None = None
    """Source that they were fetched from; written by the launch."""


@register('source', 'frames', FramesSourceConfig)
def read_frames_file(
    config: FramesSourceConfig, workspace: Workspace | None, rng: np.random.Generator
) -> list[Structure]:
    """Structures of a binary frame file, as a launch or a job writes it.

    Raises
    ------
    ValueError
        If the file is missing or is no such file.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "frames"
        path = "structures.frames"
    """
    path = input_path(workspace, config.path, 'path')
    try:
        structures = read_frames(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f'"path": {path.name} is no file of frames: {error}') from error
    if not structures:
        raise ValueError(f'"path": {path.name} holds no frame')
    return [structure.bare() for structure in structures]
