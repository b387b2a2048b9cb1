"""Source ``file``: one frame of any file that ASE reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import ase.io
import numpy as np

from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


class FileSourceConfig(PluginConfig):
    """A structure in a file."""

    type: Literal['file'] = 'file'
    path: str
    """Absolute, or relative to the workspace."""
    index: int = -1
    """Frame of a file with several; negative numbers count from the end."""
    format: str | None = None
    """ASE's name of the format; by default the file's name and content decide."""


@register('source', 'file', FileSourceConfig)
def read_file(config: FileSourceConfig, workspace: Workspace | None, rng: np.random.Generator) -> Structure:
    """One frame of any file that ASE reads.

    Per-atom arrays are kept; energies, forces and constraints of the file are not.

    Raises
    ------
    ValueError
        If the file is missing, its format cannot be read, or it has no such frame.
    """
    folder = workspace.root if workspace is not None else Path.cwd()
    path = folder / config.path
    if not path.is_file():
        raise ValueError(f'no file {config.path!r}: give an absolute path, or one relative to {folder}')
    try:
        # All of them: asked for one, ASE gives the first frame of an extxyz for any index too negative.
        atoms = ase.io.read(path, index=':', format=config.format)[config.index]
    except (IndexError, StopIteration) as error:
        raise ValueError(f'{path.name} has no frame {config.index}') from error
    # A reader may raise anything on a file that is not of its format.
    except Exception as error:
        tried = f'as {config.format!r}' if config.format else 'in a format found by its name and content'
        raise ValueError(
            f'{path.name} cannot be read {tried} ({type(error).__name__}: {error}); '
            '"format" takes the names that `ase info --formats` lists'
        ) from error
    if not len(atoms):
        raise ValueError(f'frame {config.index} of {path.name} has no atoms')
    atoms.calc = None
    atoms.set_constraint()
    atoms.info.clear()
    return Structure(atoms)
