"""One HTML page about a campaign: no server, no network, readable on a phone and on paper."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft import __version__
from aiida_traincraft.provenance import costs
from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.provenance.verdict import MEV, covered_by, statements
from aiida_traincraft.report import figures
from aiida_traincraft.report.citations import citations
from aiida_traincraft.report.figures import Columns, Drawing
from aiida_traincraft.report.validators import draw_findings
from aiida_traincraft.workchains.campaign_products import products

STYLE = (Path(__file__).parent / 'page.css').read_text(encoding='utf-8')
REFERENCES = 'references of validators'


def write_page(campaign: orm.WorkChainNode, path: Path, summary: dict[str, Any] | None = None) -> None:
    """Write the report of a campaign, at whatever point it is.

    Parameters
    ----------
    campaign
        The campaign.
    path
        The HTML file; replaced as a whole, so that no reader sees half of it.
    summary
        As of :func:`~aiida_traincraft.provenance.campaign.summarise`, if it is there already.
    """
    summary = summary or summarise(campaign)
    last = costs.last_scored(campaign)
    jobs = costs.find_jobs(campaign)
    sections = [
        ('Learning', _learning(summary)),
        ('Labels', _labels(campaign, summary)),
        ('Systems', _systems(campaign, last)),
        ('Test set', _parity(campaign, last)),
        ('Uncertainty', uncertainty(summary)),
        ('Validation', _validation(summary)),
        ('Cost', _cost(jobs, summary)),
        ('Provenance', _provenance(summary)),
        ('Reproduce', _reproduce(campaign, jobs, summary)),
        ('Cite', _list(citations(campaign))),
    ]
    body = ''.join(
        f'<section id="{title.lower().replace(" ", "-")}"><h2>{title}</h2>{content}</section>'
        for title, content in sections
        if content
    )
    name = escape(summary['name'])
    css = 'verdict bad' if summary['verdict']['red'] else 'verdict'
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{name}: report</title><link rel="icon" href="data:,"><style>{STYLE}</style></head><body><main>'
        f'<h1>{name}</h1><div class="{css}"><p>{escape(verdict(summary))}</p>'
        f'{_list(statements(summary["verdict"]))}</div>{body}'
        f'<footer>aiida-traincraft {__version__}, campaign {_uuid(summary["uuids"]["campaign"])}</footer>'
        '</main></body></html>\n'
    )
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(text, encoding='utf-8')
    partial.rename(path)


def verdict(summary: dict[str, Any]) -> str:
    """One sentence: what came out, and why it ended."""
    scored = [cycle for cycle in summary['cycles'] if cycle['errors']]
    if not scored:
        return f'No potential yet ({summary["state"]}). {summary["stop_reason"]}'.strip()
    errors, judged = scored[-1]['errors'], [row for row in summary['validation'] if row['passed'] is not None]
    parts = [
        f'{summary["labels"]["labelled"]} labels in {len(summary["cycles"])} cycles give a potential that errs by '
        f'{MEV * errors["forces"]["rmse"]:.2f} meV/Å in the forces and '
        f'{MEV * errors["energy"]["rmse"]:.2f} meV/atom in the energy on the sealed test set'
    ]
    if judged:
        parts.append(f'{sum(row["passed"] for row in judged)} of {len(judged)} validators with limits passed')
    ended = summary['stop_reason'] if summary['state'] == 'finished' else f'the campaign is {summary["state"]}'
    return '; '.join([*parts, ended]) + '.'


def _learning(summary: dict[str, Any]) -> str:
    columns = costs.learning_columns(summary)
    if not columns['cycle']:
        return ''
    return _figure('learning', figures.learning(columns), {'': columns}) + _table(columns)


def _labels(campaign: orm.WorkChainNode, summary: dict[str, Any]) -> str:
    counts, reasons = summary['labels'], summary['failed_labels']
    asked, failed = costs.reference_counts(campaign)
    names = [name for name in counts if counts[name] or asked.get(name)]
    outcomes: dict[str, list[Any]] = {'outcome': names, 'structures': [counts[name] for name in names]}
    why: dict[str, list[Any]] = {'reason': list({**reasons, **failed})}
    why['structures'] = [reasons.get(reason, 0) for reason in why['reason']]
    if asked:
        outcomes[REFERENCES] = [asked.get(name, 0) for name in names]
        why[REFERENCES] = [failed.get(reason, 0) for reason in why['reason']]
    return _table(outcomes) + (f'<h3>Why labels failed</h3>{_table(why)}' if why['reason'] else '')


def _systems(campaign: orm.WorkChainNode, last: orm.ProcessNode | None) -> str:
    made = products(campaign)
    if 'dataset' not in made:
        return ''
    counts = dict(made['dataset'].base.attributes.get('systems', {}))
    tested = made['test_set'].base.attributes.get('systems', {}) if 'test_set' in made else {}
    errors = last.outputs.errors['per_system'] if last is not None and 'errors' in last.outputs else {}
    names = sorted({*counts, *tested})
    found = covered_by(campaign.inputs.config.get_dict(), tested)
    return _table(
        {
            'system': [name or '(none)' for name in names],
            'training labels': [counts.get(name, 0) for name in names],
            'test labels': [tested.get(name, 0) for name in names],
            'tested by': [', '.join(found.get(name, [])) or None for name in names],
            'forces RMSE (meV/Å)': [_rmse(errors.get(name, {}), 'forces') for name in names],
            'energy RMSE (meV/atom)': [_rmse(errors.get(name, {}), 'energy') for name in names],
        }
    )


def _rmse(errors: dict[str, Any], name: str) -> float | None:
    value = errors.get(name, {}).get('rmse')
    return None if value is None else MEV * value


def _parity(campaign: orm.WorkChainNode, last: orm.ProcessNode | None) -> str:
    made = products(campaign)
    if last is None or 'predictions' not in last.outputs or 'test_set' not in made:
        return ''
    told = ''
    points = costs.parity_points(last.outputs.predictions, made['test_set'])
    for name, columns in points.items():
        unit = {'energy': 'eV/atom', 'forces': 'eV/Å'}[name]
        told += _figure(f'parity_{name}', figures.parity(columns, name, unit), {'': columns})
    overall = {name: row for name, row in last.outputs.errors['overall'].items() if row['n']}
    units = last.outputs.errors['units']
    table: Columns = {'property': list(overall), 'unit': [units[name] for name in overall]}
    table = {**table, **{key: [row[key] for row in overall.values()] for key in ('rmse', 'mae', 'max', 'std', 'n')}}
    return told + _table(table) + '<p class="small">std: what a model that always says the mean would score.</p>'


def uncertainty(summary: dict[str, Any]) -> str:
    """HTML of the last calibration: reliability, alarms, and coverage of shifted data."""
    found = [cycle['calibration'] for cycle in summary['cycles'] if cycle['calibration']]
    if not found:
        return ''
    node = orm.load_node(found[-1]['uuid'])
    facts = node.base.attributes.all
    told = f'<p>{escape(str(node))} {_uuid(node.uuid)}</p>'
    if facts['reliability']:
        told += _figure('reliability', figures.reliability_of(facts), {'': facts['reliability']})
    if alarms := facts['alarms']:
        accepted = f'{MEV * facts["max_force_error"]:g} meV/Å'
        rows = {
            'tested': [alarms['n'], None],
            f'with an error above {accepted}': [alarms['bad'], None],
            'of these not above the threshold (missed)': [alarms['missed'], _percent(alarms['missed_share_of_bad'])],
            'above the threshold': [alarms['alarms'], None],
            'of these with a smaller error (false alarms)': [
                alarms['false_alarms'],
                _percent(alarms['false_share_of_alarms']),
            ],
        }
        counts, shares = zip(*rows.values(), strict=True)
        told += _table({'held-out atoms of the test set': list(rows), 'number': counts, 'share (%)': shares})
    if shifted := facts.get('transfer'):
        told += (
            '<h3>On shifted data</h3><p>Bounds calibrated without these structures, and tested on them: how far the '
            'promise holds beyond what was tested.</p>'
        ) + _table(
            {
                'tested on': [row['part'] for row in shifted],
                'atoms tested': [row['n'] for row in shifted],
                'structures calibrated on': [row['n_calibrated'] for row in shifted],
                'coverage (%)': [_percent(row['coverage']) for row in shifted],
                'standard error (%)': [_percent(row['standard_error']) for row in shifted],
                'nominal (%)': [_percent(row['nominal']) for row in shifted],
            }
        )
    return told


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _validation(summary: dict[str, Any]) -> str:
    told = ''
    for row in summary['validation']:
        mark = {None: '', True: ' <b class="ok">passed</b>', False: ' <b class="bad">failed</b>'}[row['passed']]
        told += f'<h3>{escape(row["validator"])}{mark} {_uuid(row["uuid"])}</h3>'
        if row['broken']:
            told += f'<p class="bad">{escape(row["broken"])}</p>'
        node = orm.load_node(row['uuid'])
        told += ''.join(f'<p class="small">{escape(note)}</p>' for note in node.base.attributes.get('notes'))
        limits = {check['quantity']: check for check in row['checks']}
        names = [name for name in row['units'] if name in row['values']]
        columns: Columns = {
            'number': names,
            'value': [row['values'][name] for name in names],
            'reference': [row['values'].get(f'{name}_reference') for name in names],
            'unit': [row['units'][name] for name in names],
            'limits': [_limits(limits, name) for name in names],
        }
        told += _table(
            {name: column for name, column in columns.items() if any(cell not in ('', None) for cell in column)}
        )
        drawn, rest = draw_findings(node.base.attributes.get('type'), node.curves)
        told += ''.join(_figure(f'{row["validator"]}_{item.name}', item.drawing, item.tables) for item in drawn)
        if rest:
            tables = ''.join(f'<h4>{escape(name.replace("_", " "))}</h4>{_table(cols)}' for name, cols in rest.items())
            told += f'<details><summary>Tables</summary>{tables}</details>'
    return told


def _limits(limits: dict[str, dict[str, Any]], name: str) -> str:
    kept = [limits[key] for key in (name, f'{name}_error') if key in limits]
    sign = {'at_most': '≤', 'at_least': '≥'}
    return ', '.join(
        f'{"difference " if check["quantity"] != name else ""}{sign[check["kind"]]} {check["limit"]:g}'
        f'{"" if check["passed"] else " not kept"}'
        for check in kept
    )


def _cost(jobs: Sequence[costs.Job], summary: dict[str, Any]) -> str:
    rows = costs.costs(jobs)
    total = sum(row.core_hours for row in rows)
    table = _table(
        {
            'stage': [row.stage for row in rows],
            'code': [row.code for row in rows],
            'jobs': [row.jobs for row in rows],
            'core-hours': [row.core_hours for row in rows],
            'share (%)': [100 * row.core_hours / total if total else 0.0 for row in rows],
        }
    )
    return f'<p>{total:.3g} core-hours in codes; {summary["seconds"] / 3600:.3g} hours from start to end.</p>{table}'


def _provenance(summary: dict[str, Any]) -> str:
    """The graph, folded: a row of boxes for each cycle, each with the UUIDs behind it."""
    rows = []
    for cycle in summary['cycles']:
        uuids = cycle['uuids']
        boxes = [
            _box(f'dataset, {cycle["training_set"]} labels', [uuids['dataset']]),
            _box('training', [uuids['training']]),
            _box('potential', [uuids['potential']] if uuids['potential'] else []),
            _box(f'exploration, {cycle["candidates"]} candidates', uuids['explorations']),
            _box(f'{cycle["selected"]} selected', []),
        ]
        rows.append(f'<h3>Cycle {cycle["cycle"]}</h3><div class="flow">{"<i>→</i>".join(filter(None, boxes))}</div>')
    named = [f'{escape(name)} {_uuid(uuid)}' for name, uuid in summary['uuids'].items()]
    return ''.join(rows) + '<h3>What came out</h3>' + _list(named, raw=True)


def _box(title: str, uuids: Sequence[str]) -> str:
    inside = ''.join(f'<div>{_uuid(uuid)}</div>' for uuid in uuids)
    return (
        f'<details><summary>{escape(title)}</summary>{inside}</details>' if uuids else f'<span>{escape(title)}</span>'
    )


def _reproduce(campaign: orm.WorkChainNode, jobs: Sequence[costs.Job], summary: dict[str, Any]) -> str:
    config = campaign.inputs.config.get_dict()
    made = [cycle['uuids']['potential'] for cycle in summary['cycles'] if cycle['uuids']['potential']]
    potential = summary['uuids'].get('potential', made[-1] if made else None)
    command = 'traincraft run campaign.toml' + (f'\ntraincraft why {potential}' if potential else '')
    found = costs.versions(jobs)
    return (
        '<p>The file <code>campaign.toml</code> beside this page, or the node of the config, with seed '
        f'{config["run"]["seed"]}, gives the same structures; labels that exist already are not computed again.</p>'
        f'<pre>{escape(command)}</pre>'
        + _table({'package': list(found), 'version': [', '.join(values) for values in found.values()]})
    )


def _figure(name: str, drawing: Drawing, tables: Mapping[str, Columns]) -> str:
    """A figure with its data; the names of several tables are told, that of one is the figure's."""
    links = [
        f'<a download="{file}.csv" href="data:text/csv;base64,{_csv(columns)}">{escape(text)} (CSV)</a>'
        for table, columns in tables.items()
        for file, text in [(name, 'data') if len(tables) == 1 else (f'{name}_{table}', table.replace('_', ' '))]
    ]
    svg = figures.to_svg(name, drawing)
    return f'<figure id="figure-{name}">{svg}<figcaption>{", ".join(links)}</figcaption></figure>'


def _csv(columns: Columns) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return base64.b64encode(buffer.getvalue().encode()).decode()


def _table(columns: Columns) -> str:
    if not any(len(values) for values in columns.values()):
        return ''
    marks = [
        ' class="n"' if all(value is None or isinstance(value, int | float) for value in values) else ''
        for values in columns.values()
    ]
    head = ''.join(f'<th{mark}>{escape(name)}</th>' for mark, name in zip(marks, columns, strict=True))
    rows = ''.join(
        '<tr>' + ''.join(f'<td{mark}>{_cell(value)}</td>' for mark, value in zip(marks, row, strict=True)) + '</tr>'
        for row in zip(*columns.values(), strict=True)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return '–'
    return f'{value:.4g}' if isinstance(value, float) else escape(str(value))


def _list(items: Iterable[str], raw: bool = False) -> str:
    return '<ul>' + ''.join(f'<li>{item if raw else escape(item)}</li>' for item in items) + '</ul>'


def _uuid(uuid: str) -> str:
    return f'<code>{escape(uuid)}</code>'
