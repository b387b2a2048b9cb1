"""Starting geometries: a source or a builder, then transforms in order."""

from __future__ import annotations

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


def build_geometries(config: GeometryConfig, workspace: Workspace | None = None, seed: int = 0) -> list[Structure]:
    """Build the starting geometries of a system.

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
    list of Structure
        At least one: several from a source or builder that gives several (frames of a file, conformers, terminations
        of a slab, ...), each transformed by itself. No properties; the provenance names the steps, and ``variant``
        counts the structures where there are several.

    Raises
    ------
    ValueError
        If a step cannot be done; the message says which value is wrong.
    """
    generators = np.random.default_rng(seed).spawn(1 + len(config.transforms))
    if config.source is not None:
        origin = config.source.type
        made = registry.get('source', origin).function(config.source, workspace, generators[0])
    else:
        assert config.builder is not None
        origin = config.builder.type
        made = registry.get('builder', origin).function(config.builder, generators[0])
    structures: list[Structure] = [made] if isinstance(made, Structure) else list(made)
    if not structures:
        raise ValueError(f'{origin!r} gave no structure')
    several = len(structures) > 1
    for transform, rng in zip(config.transforms, generators[1:], strict=True):
        apply = registry.get('transform', transform.type).function
        structures = [apply(structure, transform, rng) for structure in structures]
    for number, structure in enumerate(structures):
        structure.provenance |= {'origin': origin, 'transforms': [transform.type for transform in config.transforms]}
        if several:
            structure.provenance['variant'] = number
    return structures


def build_geometry(config: GeometryConfig, workspace: Workspace | None = None, seed: int = 0) -> Structure:
    """Build the one starting geometry of a system; the first of :func:`build_geometries`."""
    return build_geometries(config, workspace, seed)[0]
