"""Starting geometries: a source or a builder, then transforms in order."""

from __future__ import annotations

from typing import cast

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


def build_geometry(config: GeometryConfig, workspace: Workspace | None = None, seed: int = 0) -> Structure:
    """Build one starting geometry.

    Parameters
    ----------
    config
        A source or a builder, and transforms.
    workspace
        Folder that relative paths of a source refer to; the current folder if not given.
    seed
        Seed of all randomness. Every step has a generator of its own, so that a change of one step leaves the random
        numbers of the others alone.

    Returns
    -------
    Structure
        No properties; the provenance names the steps.

    Raises
    ------
    ValueError
        If a step cannot be done; the message says which value is wrong.
    """
    generators = np.random.default_rng(seed).spawn(1 + len(config.transforms))
    if config.source is not None:
        plugin = registry.get('source', config.source.type)
        structure = cast(Structure, plugin.function(config.source, workspace))
        origin = config.source.type
    else:
        assert config.builder is not None
        plugin = registry.get('builder', config.builder.type)
        structure = cast(Structure, plugin.function(config.builder, generators[0]))
        origin = config.builder.type
    for transform, rng in zip(config.transforms, generators[1:], strict=True):
        structure = registry.get('transform', transform.type).function(structure, transform, rng)
    structure.provenance |= {'origin': origin, 'transforms': [transform.type for transform in config.transforms]}
    return structure
