"""A campaign summed up from its graph: what ``status`` shows and ``summary.json`` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.data.ledger import STATUSES, LedgerData
from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.provenance.verdict import judge
from aiida_traincraft.science.campaign.stopping import KEPT
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.workchains import campaign_keys as keys

TERMINATED = ('finished', 'excepted', 'killed')
FACTS = [f'attributes.{name}' for name in ('process_state', 'paused', 'process_label', 'process_status')]
LATEST_START = timedelta(minutes=5)
"""After this a submitted process should have begun, if a worker has a slot for it."""
MOST_HELD_UP = 5


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands."""

    state: str
    cycle: int
    stage: str
    jobs_running: int
    jobs_done: int
    labels: dict[str, int]
    reasons: dict[str, int]
    errors: dict[str, Any] | None
    scored: int
    """Potentials scored so far."""
    message: str
    max_cycles: int | None
    """Most cycles, of ``[loop]``; None if its config is not known."""
    max_labels: int | None
    """Budget of labels, of ``[loop]``; None without."""
    seconds_left: float | None
    """Until all cycles are done, at the pace of those that are; None while none is, or when it has ended."""


def children(campaign: orm.WorkChainNode) -> dict[str, orm.ProcessNode]:
    """Children of a campaign by their key, in the order in which they began; the last of each key."""
    links = campaign.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    return {link.link_label: link.node for link in sorted(links, key=lambda link: link.node.pk)}


@dataclass(frozen=True)
class Called:
    """A process below another one, as the database has it."""

    step: str
    """Key of the upper one's own child that it is, or belongs to."""
    kind: str
    """Type of its node."""
    state: str | None
    paused: bool
    name: str
    status: str | None
    """What it waits for, in the engine's words."""
    ctime: datetime


def called(process: orm.ProcessNode) -> dict[int, Called]:
    """Processes that a process called, itself or further down, by PK.

    A query for each level of calls, and no node is loaded: a query for each process takes seconds for hundreds of them.
    """
    found: dict[int, Called] = {}
    callers: dict[int, str | None] = {process.pk: None}
    while callers:
        query = orm.QueryBuilder()
        query.append(orm.WorkChainNode, filters={'id': {'in': list(callers)}}, tag='caller', project='id')
        facts = ['id', 'node_type', *FACTS, 'ctime']
        query.append(orm.ProcessNode, with_incoming='caller', edge_project='label', project=facts)
        level = {
            pk: Called(callers[caller] or key, kind, state, bool(paused), name, status, ctime)
            for caller, pk, kind, state, paused, name, status, ctime, key in query.all()
        }
        found |= level
        callers = {pk: one.step for pk, one in level.items() if one.kind == orm.WorkChainNode.class_node_type}
    return found


def called_jobs(process: orm.ProcessNode) -> dict[int, Called]:
    """CalcJobs that a process called, itself or further down, by PK."""
    return {pk: one for pk, one in called(process).items() if one.kind == orm.CalcJobNode.class_node_type}


def unfinished(process: orm.ProcessNode) -> dict[int, Called]:
    """A process and those that it called, as far as they have not ended, by PK."""
    facts = [process.base.attributes.get(name.partition('.')[2], None) for name in FACTS]
    state, paused, name, status = facts
    own = Called('', process.node_type, state, bool(paused), name, status, process.ctime)
    return {pk: one for pk, one in ({process.pk: own} | called(process)).items() if one.state not in TERMINATED}


def is_overdue(process: Called) -> bool:
    """Whether a process was submitted long ago and has not begun."""
    return process.state == 'created' and datetime.now(UTC) - process.ctime > LATEST_START


def held_up(process: orm.ProcessNode) -> list[str]:
    """Name a process, and those that it called, where they are paused or have not begun for minutes."""
    lines = []
    for pk, one in unfinished(process).items():
        if one.paused:
            lines.append(f'{one.name}<{pk}> is paused: {one.status or "no reason is given"}')
        elif is_overdue(one):
            lines.append(f'{one.name}<{pk}> has not begun for more than {LATEST_START.seconds // 60} minutes')
    return lines[:MOST_HELD_UP]


def jobs(process: orm.ProcessNode) -> list[orm.CalcJobNode]:
    """CalcJobs that a process called, itself or further down."""
    if not (pks := list(called_jobs(process))):
        return []
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': {'in': pks}})
    found: list[orm.CalcJobNode] = query.order_by({orm.CalcJobNode: 'id'}).all(flat=True)
    return found


def job_counts(campaign: orm.WorkChainNode) -> tuple[int, int]:
    """Jobs running and done; asked for every other second."""
    found = called_jobs(campaign).values()
    ended = sum(job.state in TERMINATED for job in found)
    return len(found) - ended, ended


def ledger_counts(
    steps: Mapping[str, orm.ProcessNode], upto: int | None = None
) -> tuple[dict[str, int], dict[str, int]]:
    """Counts and reasons of failure over the labelled batches of the cycles before ``upto`` (all without it).

    ``steps`` are the :func:`children` of a campaign.
    """
    counts = dict.fromkeys(('total', 'labelled', *STATUSES), 0)
    reasons: dict[str, int] = {}
    for key, child in steps.items():
        if keys.kind_of(key) != 'label' or (upto is not None and keys.number_of(key) >= upto):
            continue
        ledger = child.outputs.ledger if 'ledger' in child.outputs else None
        if isinstance(ledger, LedgerData):
            counts = {name: value + ledger.counts[name] for name, value in counts.items()}
            for reason, number in ledger.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + number
    return counts, reasons


def progress(campaign: orm.WorkChainNode) -> Progress:
    """Where a campaign stands now."""
    steps = children(campaign)
    last = next(reversed(steps), keys.BUILD)
    trainings = [node for _, node in keys.of_kind('train', steps)]
    scored = [node for node in trainings if 'errors' in node.outputs]
    running, done = job_counts(campaign)
    counts, reasons = ledger_counts(steps)
    finished, loop = campaign.is_finished, campaign.inputs.config['loop'] if 'config' in campaign.inputs else {}
    return Progress(
        state='finished' if finished else str(campaign.process_state.value),
        cycle=len(trainings),
        stage='-' if campaign.is_terminated else keys.stage_of(last),
        jobs_running=running,
        jobs_done=done,
        labels=counts,
        reasons=reasons,
        errors=scored[-1].outputs.errors['overall'] if scored else None,
        scored=len(scored),
        message=stop_message(campaign) if campaign.is_terminated else '',
        max_cycles=loop.get('max_cycles'),
        max_labels=loop.get('max_labels'),
        seconds_left=None if campaign.is_terminated else _seconds_left(trainings, loop.get('max_cycles')),
    )


def _seconds_left(trainings: Sequence[orm.ProcessNode], max_cycles: int | None) -> float | None:
    """Seconds until the last training ends; a cycle lasts from one training to the next, as the median of them."""
    begun = [node.ctime for node in trainings]
    lengths = [(after - before).total_seconds() for before, after in pairwise(begun)]
    ended = [_seconds(node) for node in trainings if node.is_terminated]
    if max_cycles is None or not (lengths and ended) or (len(begun) == max_cycles and trainings[-1].is_terminated):
        return None
    since = (datetime.now(tz=UTC) - begun[-1]).total_seconds()
    rest: float = (max_cycles - len(begun)) * median(lengths) + median(ended) - since
    return max(0.0, rest)


def stop_message(campaign: orm.WorkChainNode) -> str:
    """Why a campaign ended."""
    if campaign.is_finished_ok:
        judged = campaign.outputs.validation.values() if 'validation' in campaign.outputs else ()
        section = campaign.inputs.config.get('validation') or {}
        if section.get('on_success') == 'stop' and all(node.passed is not False for node in judged):
            return KEPT
        return 'the test error reached its target'
    return shortened(campaign.exit_message or campaign.exception or str(campaign.process_state.value))


def summarise(campaign: orm.WorkChainNode) -> dict[str, Any]:
    """Everything a user asks of a campaign, as JSON: per cycle and in all, with the UUIDs of what is named."""
    steps = children(campaign)
    cycles = []
    for number, training in keys.of_kind('train', steps):
        potential = training.outputs.potential.uuid if 'potential' in training.outputs else None
        explored = {
            count: node for count, node in keys.of_kind('explore', steps) if node.inputs.potential.uuid == potential
        }
        upto = min(explored, default=_explorations_before(steps, training) + 1)
        members = [training, *explored.values()]
        members += [steps[name] for name in map(keys.label, explored) if name in steps]
        reports = [node.outputs.report for node in explored.values() if 'report' in node.outputs]
        uncertainties = [
            frames.max_uncertainty
            for node in explored.values()
            if 'frames' in node.outputs
            for frames in node.outputs.frames.values()
            if frames.max_uncertainty is not None
        ]
        cycles.append(
            {
                'cycle': number,
                'labels': ledger_counts(steps, upto)[0],
                'training_set': training.inputs.dataset.count('train'),
                'errors': training.outputs.errors['overall'] if 'errors' in training.outputs else None,
                'candidates': sum(report['n_candidates'] for report in reports),
                'uncertain': sum(report['n_uncertain'] or 0 for report in reports),
                'selected': sum(report['n_selected'] for report in reports),
                'funnel': [stage for report in reports for stage in report['stages']],
                'calibration': _calibration(steps.get(keys.calibrate(number))),
                'measure': training.outputs.potential.measure if potential else None,
                'max_uncertainty': max(uncertainties, default=None),
                'seconds': round(sum(_seconds(node) for node in members), 1),
                'seconds_in_codes': round(sum(_seconds_in_codes(node) for node in members), 1),
                'uuids': {
                    'training': training.uuid,
                    'dataset': training.inputs.dataset.uuid,
                    'potential': potential,
                    'explorations': [node.uuid for node in explored.values()],
                },
            }
        )
    counts, reasons = ledger_counts(steps)
    named = {name: campaign.outputs[name] for name in campaign.outputs}
    return {
        'name': campaign.label,
        'state': str(campaign.process_state.value),
        'exit_status': campaign.exit_status,
        'stop_reason': stop_message(campaign),
        'labels': counts,
        'failed_labels': reasons,
        'cycles': cycles,
        'verdict': judge(campaign, cycles),
        'validation': verdicts(named.get('validation', {})),
        'student_errors': named['student_errors']['overall'] if 'student_errors' in named else None,
        'seconds': round(_seconds(campaign), 1),
        'seconds_in_codes': round(_seconds_in_codes(campaign), 1),
        'jobs': len(called_jobs(campaign)),
        'dataset_digest': named['dataset'].digest if 'dataset' in named else None,
        'uuids': {'campaign': campaign.uuid, 'config': campaign.inputs.config.uuid}
        | {name: node.uuid for name, node in named.items() if isinstance(node, orm.Data)},
    }


def _calibration(process: orm.ProcessNode | None) -> dict[str, Any] | None:
    """Thresholds of a cycle, and what they miss."""
    if process is None or not process.is_finished_ok:
        return None
    node = process.outputs.result
    names = ('measure', 'alpha', 'max_force_error', 'lo', 'hi', 'coverage', 'alarms', 'transfer', 'reason')
    return {name: node.base.attributes.get(name, None) for name in names} | {'uuid': node.uuid}


def verdicts(nodes: Mapping[str, ValidationData]) -> list[dict[str, Any]]:
    """What validators found, one row each, by name."""
    return [
        {
            'validator': name,
            'passed': node.passed,
            'broken': node.broken,
            'values': node.values,
            'units': node.units,
            'checks': [asdict(check) | {'passed': check.passed} for check in node.checks],
            'uuid': node.uuid,
        }
        for name, node in sorted(nodes.items())
    ]


def _explorations_before(steps: dict[str, orm.ProcessNode], training: orm.ProcessNode) -> int:
    return sum(node.pk < training.pk for _, node in keys.of_kind('explore', steps))


def _seconds(process: orm.ProcessNode) -> float:
    return float((process.mtime - process.ctime).total_seconds())


def _seconds_in_codes(process: orm.ProcessNode) -> float:
    """Seconds that workers report; jobs side by side add up."""
    if not (pks := list(called_jobs(process))):
        return 0.0
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': {'in': pks}}, tag='job')
    query.append(orm.Dict, with_incoming='job', edge_filters={'label': 'summary'}, project=['attributes.seconds'])
    return float(sum(seconds or 0.0 for seconds in query.all(flat=True)))
