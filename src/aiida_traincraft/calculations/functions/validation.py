"""Steps of a validation: starting structures, structures for the reference, the judgement."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.calculations.functions.structures import file_workspace
from aiida_traincraft.calculations.stored_config import load_plugin_nodes
from aiida_traincraft.data.bulk import NewFrame, create_frames
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import read_structures
from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.science.config.base import from_json
from aiida_traincraft.science.config.kinds import ValidatorConfig
from aiida_traincraft.science.config.validation import ValidationConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Findings, compare, conclude
from aiida_traincraft.science.validation.starts import build_starts


@calcfunction
def build_validation_starts(section: orm.Dict, seed: orm.Int, **nodes: orm.SinglefileData) -> FramesData:
    """Build the structures that validators start from.

    Parameters
    ----------
    section
        The section ``[validation]``, systems already replaced by their geometries.
    seed
        Seed of the campaign.
    **nodes
        ``files__*``: files that sources read; ``plugins__*``: files with plugins.
    """
    config = read_validation(section, nodes)
    with file_workspace(nodes) as workspace:
        return FramesData([start for start in build_starts(config, workspace, seed.value) if start is not None])


@calcfunction
def store_planned(section: orm.Dict, planned: FramesData, **nodes: orm.SinglefileData) -> ManifestData:
    """Store the structures that the reference is asked for, each as a node; ``plugins__*``: files with plugins."""
    asked = compared(read_validation(section, nodes))
    wanted = [frame for frame in planned.get_frames() if frame.provenance['validator'] in asked]
    # Two validators may ask for the same structure.
    frames = {frame.content_hash(): frame for frame in wanted}.values()
    stored = create_frames(
        Process.current().node,
        (NewFrame(TrainingStructureData, item.bare(), f'structures__{i:06d}') for i, item in enumerate(frames)),
    )
    return ManifestData([item.uuid for item in stored], [item.fingerprint for item in stored])


@calcfunction
def judge_validation(
    section: orm.Dict, findings: orm.SinglefileData, labels: ManifestData | None = None, **nodes: orm.Data
) -> dict[str, orm.Data]:
    """Hold what was found against the limits, and against the reference.

    Parameters
    ----------
    section
        The section ``[validation]``.
    findings
        Rows of ``traincraft.validate``.
    labels
        What the reference gave for the planned structures.
    **nodes
        ``planned``: the planned structures; ``plugins__*``: files with plugins.

    Returns
    -------
    dict
        One :class:`ValidationData` per validator, by its label.
    """
    asked = read_validation(section, nodes)
    configs = {config.label: config for config in asked.validators}
    planned = nodes['planned'].get_frames() if 'planned' in nodes else []
    known = {frame.content_hash(): frame for frame in read_structures(labels.uuids)} if labels is not None else {}
    judged: dict[str, orm.Data] = {}
    for row in json.loads(findings.get_content()):
        config = configs[row['validator']]
        found = Findings(**{name: row[name] for name in ('values', 'curves', 'notes', 'broken')})
        mine = [frame for frame in planned if frame.provenance['validator'] == config.label]
        found = conclude(config, found, mine)
        if mine and labels is not None and config.label in compared(asked):
            found = _referred(config, found, mine, known)
        judged[config.label] = ValidationData(config, found)
    return judged


def _referred(
    config: ValidatorConfig, found: Findings, planned: list[Structure], known: dict[str, Structure]
) -> Findings:
    labelled = [
        Structure(frame.atoms, known[frame.content_hash()].properties, frame.provenance)
        for frame in planned
        if frame.content_hash() in known
    ]
    if len(labelled) < len(planned):
        found.notes.append(f'{len(planned) - len(labelled)} of {len(planned)} structures have no reference label')
        return found
    return compare(config, found, planned, labelled)


def compared(config: ValidationConfig) -> set[str]:
    """Labels of the validators that ask for a reference."""
    return {validator.label for validator in config.validators if validator.has_reference}


def read_validation(section: orm.Dict, nodes: Mapping[str, orm.Data]) -> ValidationConfig:
    """Validate a stored section; ``nodes`` with keys ``plugins__*`` hold the plugin files that it needs."""
    load_plugin_nodes(nodes)
    return from_json(ValidationConfig, section.get_dict())
