"""``traincraft diff``: in what two potentials differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm

from aiida_traincraft.data.dataset import DatasetRow, label_attributes
from aiida_traincraft.data.level_of_theory import describe_differences
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.provenance.lineage import calculations_above, training_sets
from aiida_traincraft.provenance.queries import Score, find_scores

FIRST = 5
HOW_TO_SCORE = 'score both on one dataset: see "Score a potential" in docs/queries.md'

Pair = tuple[Any, Any]
"""What the first potential has, and the second; None where one has nothing of the kind."""


@dataclass(frozen=True)
class Labels:
    """Training labels that only one of two potentials knows."""

    count: int
    systems: dict[str, int]
    first: list[str]
    """UUIDs of the first few."""


@dataclass
class Training:
    """What is known of a training; every table by dotted keys."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Parameters of the jobs and config of the campaign."""
    seeds: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, Any] = field(default_factory=dict)
    """Codes and versions of what ran."""


@dataclass(frozen=True)
class Difference:
    """In what two potentials differ."""

    shared: int
    """Training labels of equal content that both know."""
    reweighted: int
    """Those among them that weigh differently."""
    only: tuple[Labels, Labels]
    settings: dict[str, Pair]
    seeds: dict[str, Pair]
    codes: dict[str, Pair]
    levels_of_theory: str
    """In what the levels of theory differ; empty if they are the same."""
    scored_on: str | None
    """Dataset and split of the errors; None if there is none on which both were scored."""
    errors: dict[str, Pair]
    """RMSE of energy (eV/atom) and forces (eV/Å), in all and by element."""


def compare(first: PotentialData, second: PotentialData) -> Difference:
    """Compare what two potentials were trained on, how, and how well they do."""
    rows = [{row.fingerprint: row for row in _training_rows(node)} for node in (first, second)]
    shared = rows[0].keys() & rows[1].keys()
    trainings = [_training(node) for node in (first, second)]
    levels = [
        sorted({level for item in training_sets(node) for level in item.levels_of_theory}) for node in (first, second)
    ]
    scores = _common_scores(first, second)
    return Difference(
        shared=len(shared),
        reweighted=sum(rows[0][key].weight != rows[1][key].weight for key in shared),
        only=(
            _labels(rows[0][key] for key in rows[0] if key not in shared),
            _labels(rows[1][key] for key in rows[1] if key not in shared),
        ),
        settings=_changes(*(item.settings for item in trainings)),
        seeds=_changes(*(item.seeds for item in trainings)),
        codes=_changes(*(item.codes for item in trainings)),
        levels_of_theory=describe_differences({*levels[0], *levels[1]}) if levels[0] != levels[1] else '',
        scored_on=f'split {scores[0].split} of dataset {scores[0].dataset}' if scores else None,
        errors=_errors(*scores) if scores else {},
    )


def _training_rows(potential: PotentialData) -> Iterator[DatasetRow]:
    for dataset in training_sets(potential):
        yield from (row for row in dataset.rows if row.split == 'train')


def _labels(rows: Iterable[DatasetRow]) -> Labels:
    uuids = [row.label for row in rows]
    systems = Counter(str(system or '') for (system,) in label_attributes(uuids, 'system'))
    return Labels(len(uuids), dict(sorted(systems.items())), uuids[:FIRST])


def _training(potential: PotentialData) -> Training:
    """Facts of the jobs that read the training sets, and of the WorkChain that called them."""
    found = Training()
    jobs = training_jobs(potential)
    for job in jobs:
        name = job.process_label
        inputs = {link.link_label: link.node for link in job.base.links.get_incoming().all()}
        parameters = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
        seed = inputs['seed'].value if 'seed' in inputs else parameters.pop('seed', None)
        found.seeds.setdefault(name, []).append(seed)
        found.settings |= _dotted(parameters, f'{name}.')
        found.codes |= _dotted(job.base.attributes.get('version', {}), f'{name}.aiida-')
        if 'code' in inputs:
            found.codes[f'{name}.code'] = inputs['code'].full_label
        if 'summary' in job.outputs:
            found.codes |= _dotted(job.outputs.summary.get_dict().get('versions', {}), f'{name}.')
    if jobs and (config := _config(jobs[0])) is not None:
        found.settings |= _dotted(config, 'campaign.')
    return found


def training_jobs(potential: PotentialData) -> list[orm.CalcJobNode]:
    """Jobs above a potential that read the datasets it was trained on, in the order in which they began."""
    datasets = [node.pk for node in training_sets(potential)]
    if not datasets:
        return []
    above = set().union(*calculations_above(potential))
    query = orm.QueryBuilder().append(orm.Data, filters={'id': {'in': datasets}}, tag='dataset', project=[])
    query.append(orm.CalcJobNode, with_incoming='dataset', filters={'id': {'in': sorted(above)}}, project='id')
    return [orm.load_node(pk) for pk in sorted(set(query.all(flat=True)))]


def _config(job: orm.CalcJobNode) -> dict[str, Any] | None:
    """Config of the outermost WorkChain that called a job."""
    top = job
    while top.caller is not None:
        top = top.caller
    link = top.base.links.get_incoming(link_label_filter='config').first()
    return link.node.get_dict() if link else None


def _common_scores(first: PotentialData, second: PotentialData) -> tuple[Score, Score] | None:
    """Newest scores of both on one and the same content."""
    newest: dict[str, dict[tuple[str, str], Score]] = {first.uuid: {}, second.uuid: {}}
    for score in find_scores([first.uuid, second.uuid]):
        newest[score.potential][score.digest, score.split] = score
    common = newest[first.uuid].keys() & newest[second.uuid].keys()
    for key in reversed(newest[first.uuid]):
        if key in common:
            return newest[first.uuid][key], newest[second.uuid][key]
    return None


def _errors(first: Score, second: Score) -> dict[str, Pair]:
    tables = []
    for score in (first, second):
        errors = score.errors
        table = {
            'energy (eV/atom)': errors['overall']['energy']['rmse'],
            'forces (eV/Å)': errors['overall']['forces']['rmse'],
        }
        tables.append(
            table | {f'forces on {element} (eV/Å)': item['rmse'] for element, item in errors['per_element'].items()}
        )
    return {key: (tables[0].get(key), tables[1].get(key)) for key in tables[0] | tables[1]}


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    keys = sorted(first.keys() | second.keys())
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def _dotted(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested tables as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _dotted(value, f'{prefix}{key}.') if isinstance(value, Mapping) else {f'{prefix}{key}': value}
    return flat
