"""What speaks against the geometries of a campaign, and against drawing the first structures around them."""

from __future__ import annotations

import json
from pathlib import Path

from aiida_traincraft.science.atoms.distances import shortest_distance
from aiida_traincraft.science.baselines import baseline_issues
from aiida_traincraft.science.calculators import (
    NEEDED,
    check_cell_sizes,
    check_elements,
    check_properties,
    check_structures,
)
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.campaign.systems import all_systems
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.errors import ConfigIssue


def check_sampling(preflight: Preflight) -> list[ConfigIssue]:
    """Check that the first structures can be drawn: without a potential yet, forces and stress are the teacher's."""
    config = preflight.config
    teacher = config.labelling.teacher()
    if teacher is not None:
        return _check_stress(config, teacher)
    return [
        ConfigIssue(
            f'{place}.sampling',
            f'"{system.sampling.type}" needs forces before there is a potential, and labelling by '
            f'"{config.labelling.type}" gives none cheaply: use "rattle" (for the test set too)',
        )
        for place, system in all_systems(config)
        if system.sampling.needs_calculator
    ]


def _check_stress(config: CampaignConfig, teacher: CalculatorConfig) -> list[ConfigIssue]:
    issues = []
    for place, system in all_systems(config):
        key = system.sampling.stress_key
        if key is None:
            continue
        try:
            check_properties(teacher, ('stress',), periodic=True)
        except ValueError as error:
            value = json.dumps(system.sampling.model_dump(mode='json')[key])
            issues.append(ConfigIssue(f'{place}.sampling.{key}', f'"{key}" = {value} needs the stress: {error}'))
    return issues


def check_geometries(preflight: Preflight) -> list[ConfigIssue]:
    """Find geometries that cannot be built."""
    return [
        ConfigIssue(f'{system.place}.geometry', system.error) for system in preflight.built if system.error is not None
    ]


def check_neighbours(preflight: Preflight) -> list[ConfigIssue]:
    """Find systems to train on in which the potential would see no neighbour of any atom: nothing could be learnt."""
    training = preflight.config.training
    cutoff = training.neighbour_cutoff()
    issues: list[ConfigIssue] = []
    if cutoff is None:
        return issues
    for system in preflight.built:
        if system.place.startswith('test_set') or not system.structures:
            continue
        shortest = [shortest_distance(structure.atoms) for structure in system.structures]
        nearest = min((distance for distance in shortest if distance is not None), default=None)
        if nearest is not None and nearest >= cutoff:
            issues.append(
                ConfigIssue(
                    'training',
                    f'the cutoff ({cutoff:g} Å) leaves every atom of {system.place} "{system.config.name}" without a '
                    f'neighbour: its shortest distance is {nearest:.2f} Å. Raise the cutoff to twice that',
                )
            )
    return issues


def check_baselines(preflight: Preflight) -> list[ConfigIssue]:
    """Find pairs of elements that the baseline of a training has no parameters for."""
    config = preflight.config
    issues = baseline_issues(config.training, preflight.elements, 'training')
    if config.distillation is not None:
        issues += baseline_issues(config.distillation.training, preflight.elements, 'distillation.training')
    return issues


def check_teacher(preflight: Preflight) -> list[ConfigIssue]:
    """Find what the teacher cannot calculate, of its files and of the structures."""
    config, issues = preflight.config, []
    teacher = config.labelling.teacher()
    if teacher is None:
        return []
    wanted = (*NEEDED, *sorted(config.training.needed_labels()))
    issues += _check_teacher_files(teacher)
    for system in preflight.built:
        try:
            check_structures(teacher, system.structures, wanted)
            check_elements(teacher, system.added)
        except ValueError as error:
            issues.append(ConfigIssue('labelling.calculator', f'{error} (needed by {system.place})'))
    try:
        check_cell_sizes(teacher, [structure for system in preflight.built for structure in system.structures])
    except ValueError as error:
        issues.append(ConfigIssue('labelling.calculator', str(error)))
    return issues


def _check_teacher_files(teacher: CalculatorConfig) -> list[ConfigIssue]:
    """Find paths that a job would not find, and files that are damaged."""
    issues, table = [], teacher.model_dump(mode='json')
    for key in teacher.files:
        names = [table[key]] if isinstance(table[key], str) else table[key] or []
        if relative := [name for name in names if not Path(name).expanduser().is_absolute()]:
            problem = f'{relative[0]!r} is relative to the folder of a job, where it is not; give the whole path'
            issues.append(ConfigIssue(f'labelling.calculator.{key}', problem))
    try:
        teacher.check_files()
    except ValueError as error:
        issues.append(ConfigIssue('labelling.calculator', str(error)))
    return issues


def check_coverage(preflight: Preflight) -> list[ConfigIssue]:
    """Find elements that the test set asks for and no system trains."""
    if not preflight.is_complete or any(system.error is not None for system in preflight.built):
        return []
    trained, tested = set[str](), set[str]()
    for system in preflight.built:
        (tested if system.place.startswith('test_set') else trained).update(system.elements)
    names = ', '.join(sorted(tested - trained))
    return [ConfigIssue('test_set', f'elements that no system trains: {names}')] if names else []
