"""``traincraft bundle``: a potential as a folder to publish, with its dataset and its whole lineage."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft import __version__
from aiida_traincraft.data.dataset import SPLITS, DatasetData, label_attributes
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.exchange.export import export_dataset
from aiida_traincraft.provenance.describe import IMPORT_PROCESS_TYPE, describe
from aiida_traincraft.provenance.lineage import calculations_above, origins, training_sets
from aiida_traincraft.provenance.queries import find_scores
from aiida_traincraft.science.optional import THIS_PACKAGE

README, CITATION, ARCHIVE = 'README.md', 'CITATION.cff', 'lineage.aiida'
NOT_STATED = 'not stated'
MOST_SYSTEMS = 50

Progress = Callable[[str, int], None]
"""Told the stage ("dataset", "archive") and how many frames were written since."""

REFERENCES = {
    'aiida': {
        'type': 'article',
        'title': 'AiiDA 1.0, a scalable computational infrastructure for automated reproducible workflows and data '
        'provenance',
        'authors': [{'family-names': 'Huber', 'given-names': 'Sebastiaan P.'}, {'name': 'others'}],
        'journal': 'Scientific Data',
        'year': 2020,
        'doi': '10.1038/s41597-020-00638-4',
    },
    'pace': {
        'type': 'article',
        'title': 'Efficient parametrization of the atomic cluster expansion',
        'authors': [{'family-names': 'Bochkarev', 'given-names': 'Anton'}, {'name': 'others'}],
        'journal': 'Physical Review Materials',
        'year': 2022,
        'doi': '10.1103/PhysRevMaterials.6.013804',
    },
    'mace': {
        'type': 'conference-paper',
        'title': 'MACE: Higher Order Equivariant Message Passing Neural Networks for Fast and Accurate Force Fields',
        'authors': [{'family-names': 'Batatia', 'given-names': 'Ilyes'}, {'name': 'others'}],
        'conference': {'name': 'Advances in Neural Information Processing Systems 35'},
        'year': 2022,
    },
}


def write_bundle(
    potential: PotentialData, folder: Path, licence: str | None = None, progress: Progress | None = None
) -> Path:
    """Write a potential, the dataset that it was trained on, a data card, a citation file and its lineage.

    Parameters
    ----------
    potential
        A stored potential.
    folder
        Must not be there yet; it is written aside and renamed.
    licence
        Licence of what is published, in words.
    progress
        Told how far it is.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If the folder is there already, no dataset is above the potential, or a process above it has not ended.
    """
    from aiida.tools.archive import create_archive

    if folder.exists():
        raise ValueError(f'{folder} is there already: remove it, or choose another --output')
    datasets = training_sets(potential)
    if not datasets:
        raise ValueError(f'{describe(potential)} has no dataset above it: nothing is known of what it was trained on')
    check_ended(potential)
    tell = progress or (lambda _stage, _amount: None)
    partial = folder.with_name(f'.{folder.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        files = potential.export_files(partial)
        for dataset in datasets:
            export_dataset(
                dataset, partial / dataset_file(datasets, dataset), 'extxyz', SPLITS, lambda n: tell('dataset', n)
            )
        (partial / README).write_text('\n'.join(_card(potential, files, datasets, licence)) + '\n', encoding='utf-8')
        (partial / CITATION).write_text(_citation(potential), encoding='utf-8')
        tell('archive', 0)
        create_archive([potential], filename=partial / ARCHIVE)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def check_ended(node: orm.Data) -> None:
    """Refuse a lineage that cannot be archived: what made a node, and the WorkChains around it with all they called.

    Raises
    ------
    ValueError
        If a process of it is not sealed; names it, and says what to do.
    """
    from aiida.tools.graph.graph_traversers import get_nodes_export

    query = orm.QueryBuilder().append(
        orm.ProcessNode,
        filters={
            'id': {'in': list(get_nodes_export([node.pk])['nodes'])},
            # Before it is sealed, a process lacks the attribute.
            'attributes.sealed': {'!in': [True]},
        },
        tag='process',
    )
    process = query.order_by({'process': 'id'}).first(flat=True)
    if process is not None:
        remedy = (
            'finish it with the same "traincraft import" again'
            if process.process_type == IMPORT_PROCESS_TYPE
            else f'wait until it has ended ("verdi process show {process.pk}")'
        )
        raise ValueError(f'{describe(process)} has not ended, and only ended processes can be archived: {remedy}')


def dataset_file(datasets: Sequence[DatasetData], dataset: DatasetData) -> str:
    """Name of a dataset's file in the bundle."""
    return 'dataset.extxyz' if len(datasets) == 1 else f'dataset-{dataset.uuid[:8]}.extxyz'


def _card(
    potential: PotentialData, files: Sequence[str], datasets: Sequence[DatasetData], licence: str | None
) -> Iterator[str]:
    """Lines of the data card."""
    yield from (f'# {potential}', '')
    yield f'- UUID: `{potential.uuid}`'
    yield f'- Elements: {", ".join(potential.elements)}'
    yield f'- Cutoff: {potential.cutoff:g} Å'
    yield f'- Isolated atoms: {", ".join(f"{name} {energy:.6f} eV" for name, energy in potential.e0.items())}'
    yield f'- Files: {", ".join(f"`{name}`" for name in files)}'
    yield f'- Licence: {licence or NOT_STATED}'
    if potential.adds_baseline:
        yield from _baseline(potential)
    for dataset in datasets:
        yield from ('', f'## Dataset `{dataset_file(datasets, dataset)}`', '')
        yield f'UUID `{dataset.uuid}`, digest `{dataset.digest}`. Units: eV, eV/Å, eV/Å³.'
        yield from _counts(dataset)
    yield from ('', '## Levels of theory', '')
    for level in sorted({level for dataset in datasets for level in dataset.levels_of_theory}):
        query = orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': level}, project='attributes.content')
        content = query.first(flat=True)
        yield f'- `{level}`: {json.dumps(content, sort_keys=True) if content else "content not stored"}'
    yield from ('', '## Errors', '')
    yield from _errors(potential)
    yield from ('', '## What it was made from', '')
    for name, lines in origins(potential).items():
        yield from (f'- {name}: {line}' for line in lines)
    yield from (f'- software: {line}' for line in _versions(potential))
    yield from (
        '',
        '## Import',
        '',
        f'`{ARCHIVE}` is an AiiDA archive of the potential and everything that it was made from.',
        f'It needs aiida-traincraft ({__version__} wrote it), which is on no package index: {THIS_PACKAGE}.',
        '',
        '```console',
        '$ traincraft -p NAME setup --create',
        f'$ verdi -p NAME archive import {ARCHIVE}',
        f'$ traincraft -p NAME why {potential.uuid}',
        '```',
    )


def _baseline(potential: PotentialData) -> Iterator[str]:
    """How energies and forces become whole, outside this package's own nodes."""
    yield from ('', '## Baseline', '')
    yield 'The model was trained on what a baseline leaves of the labels. **Its files alone give wrong energies and'
    yield 'forces:** add the baseline, once. The potential in the archive does so by itself (`get_calculator`).'
    yield from ('', '```json', json.dumps(potential.baseline, indent=2, sort_keys=True), '```')
    for language, lines in (('python', potential.python_lines), ('lammps', potential.lammps_lines)):
        try:
            yield from ('', f'```{language}', lines().rstrip('\n'), '```')
        except ValueError as error:
            yield from ('', f'For {language}: {error}.')


def _counts(dataset: DatasetData) -> Iterator[str]:
    """Number of structures by split, system and elements."""
    rows = dataset.rows
    facts = label_attributes([row.label for row in rows], 'system', 'elements')
    counts = Counter(
        (row.split, system or 'no system', '-'.join(elements))
        for row, (system, elements) in zip(rows, facts, strict=True)
    )
    yield from ('', '| split | system | elements | structures |', '|---|---|---|---|')
    shown = counts.most_common(MOST_SYSTEMS)
    yield from (f'| {split} | {system} | {elements} | {count} |' for (split, system, elements), count in sorted(shown))
    if len(counts) > len(shown):
        rest = sum(counts.values()) - sum(count for _, count in shown)
        yield f'| | {len(counts) - len(shown)} others | | {rest} |'


def _errors(potential: PotentialData) -> Iterator[str]:
    scores = find_scores([potential.uuid])
    if not scores:
        yield 'Not scored.'
        return
    yield from ('| scored on | energy RMSE, meV/atom | force RMSE, meV/Å |', '|---|---|---|')
    for score in scores:
        figures = [score.errors['overall'][name]['rmse'] for name in ('energy', 'forces')]
        texts = ['-' if value is None else f'{1000 * value:.4g}' for value in figures]
        yield f'| split {score.split} of dataset `{score.dataset}` | {texts[0]} | {texts[1]} |'


def _versions(potential: PotentialData) -> list[str]:
    """Software that the processes above a potential name, with its versions."""
    above = sorted(set().union(*calculations_above(potential))) or [-1]
    query = orm.QueryBuilder().append(
        orm.CalculationNode,
        filters={'id': {'in': above}},
        project=['attributes.process_label', 'attributes.version'],
        tag='calculation',
    )
    found = set()
    for name, versions in query.iterall():
        for part, number in (versions or {}).items():
            found.add(f'aiida-core {number}' if part == 'core' else f'{part} of {name} {number}')
    query.add_projection('calculation', [])
    query.append(
        orm.Dict, with_incoming='calculation', edge_filters={'label': 'summary'}, project='attributes.versions'
    )
    found |= {f'{name} {number}' for (table,) in query.iterall() for name, number in (table or {}).items()}
    return sorted(found)


def _citation(potential: PotentialData) -> str:
    """Content of the citation file (CFF 1.2.0)."""
    import yaml

    user = orm.User.collection.get_default()
    names = {'family-names': user.last_name, 'given-names': user.first_name, 'affiliation': user.institution}
    author = {key: value for key, value in names.items() if value} if user.last_name else {'name': user.email}
    content: dict[str, Any] = {
        'cff-version': '1.2.0',
        'message': 'If you use this potential or its data, please cite it as below.',
        'title': f'{potential}, with its training data',
        'type': 'dataset',
        'authors': [author],
        'identifiers': [{'type': 'other', 'value': potential.uuid, 'description': 'UUID of the potential'}],
        'references': [REFERENCES['aiida'], REFERENCES[potential.role]],
    }
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))
