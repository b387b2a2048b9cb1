"""The report of a campaign as one page."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from aiida import orm

from aiida_traincraft.data.calibration import CalibrationData
from aiida_traincraft.provenance import costs
from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.provenance.verdict import statements
from aiida_traincraft.report.page import uncertainty, verdict, write_page


class Page(HTMLParser):
    """Tags, attributes and text of a page; every tag must be closed."""

    VOID = frozenset({'meta', 'link', 'br', 'img', 'hr', 'input'})

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.text = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope='module')
def written(tiny_campaign, tmp_path_factory):
    path = tmp_path_factory.mktemp('report') / 'report.html'
    write_page(tiny_campaign, path)
    return path.read_text()


@pytest.fixture(scope='module')
def page(written):
    return Page(written)


def test_numbers_are_those_of_the_nodes(written, page, tiny_campaign):
    summary = summarise(tiny_campaign)
    last = tiny_campaign.outputs.errors['overall']
    text = ' '.join(page.text)
    assert f'{1000 * last["forces"]["rmse"]:.2f} meV/Å in the forces' in text
    assert f'{1000 * last["energy"]["rmse"]:.2f} meV/atom in' in text
    assert verdict(summary) in text
    for line in statements(summary['verdict']):
        assert line in text
    assert ('class="verdict bad"' in written) is summary['verdict']['red']
    for uuid in (tiny_campaign.uuid, tiny_campaign.outputs.potential.uuid, tiny_campaign.outputs.dataset.uuid):
        assert uuid in text
    for cycle in summary['cycles']:
        assert cycle['uuids']['potential'] in text
    counts = summary['labels']
    assert re.search(rf'<td>total</td><td class="n">{counts["total"]}</td>', written)
    assert counts['failed']
    for reason in summary['failed_labels']:
        assert reason in text
    jobs = [node for node in tiny_campaign.called_descendants if isinstance(node, orm.CalcJobNode)]
    found = costs.find_jobs(tiny_campaign)
    assert len(found) == len(jobs)
    hours = sum(job.outputs.summary['seconds'] for job in jobs) / 3600
    assert sum(job.core_hours for job in found) == pytest.approx(hours)
    assert {row.stage for row in costs.costs(found)} == {'sample', 'label', 'train', 'explore'}
    assert f'{hours:.3g} core-hours in codes' in text


def test_figures_bring_their_data(page, tiny_campaign):
    names = [value for tag, key, value in page.attributes if tag == 'a' and key == 'download']
    data = [value for tag, key, value in page.attributes if tag == 'a' and key == 'href']
    tables = {
        name: list(csv.DictReader(io.StringIO(base64.b64decode(link.partition(',')[2]).decode())))
        for name, link in zip(names, data, strict=True)
    }
    assert {'learning.csv', 'parity_energy.csv', 'parity_forces.csv'} <= tables.keys()
    errors = [float(row['forces RMSE (meV/Å)']) for row in tables['learning.csv']]
    assert errors[-1] == pytest.approx(1000 * tiny_campaign.outputs.errors['overall']['forces']['rmse'])
    rows = tables['parity_forces.csv']
    squares = [(float(row['predicted']) - float(row['label'])) ** 2 for row in rows]
    rmse = (sum(squares) / len(squares)) ** 0.5
    assert rmse == pytest.approx(tiny_campaign.outputs.errors['overall']['forces']['rmse'], rel=1e-6)


def test_nothing_is_fetched(written, page):
    for tag, key, value in page.attributes:
        if key in ('href', 'src', 'xlink:href'):
            assert value.startswith(('data:', '#')), (tag, value)
    assert '<script' not in written
    assert '@import' not in written
    assert 'url(http' not in written
    assert len(written) < 2_000_000


def test_ids_are_unique(page):
    ids = [value for _, key, value in page.attributes if key == 'id']
    assert len(ids) == len(set(ids))


def test_the_same_page_again(written, tiny_campaign, tmp_path):
    write_page(tiny_campaign, tmp_path / 'again.html')
    assert (tmp_path / 'again.html').read_text() == written
    assert [path.name for path in tmp_path.iterdir()] == ['again.html']


def test_shifted_data_have_a_table(aiida_profile):
    rng = np.random.default_rng(1)
    structures = np.repeat(np.arange(40), 8)
    spread = rng.uniform(0.01, 0.2, len(structures))
    # Above structure 30 the errors are three times as large as the spread promises.
    error = spread * np.abs(rng.normal(size=len(spread))) * np.where(structures > 30, 3, 1)
    node = CalibrationData(spread, error, structures, 'spread', 0.1, 0.1, parts={'above 650 K': range(31, 40)}).store()
    text = uncertainty({'cycles': [{'calibration': None}, {'calibration': {'uuid': node.uuid}}]})
    (row,) = node.base.attributes.get('transfer')
    assert row['coverage'] < 0.7
    assert 'On shifted data' in text
    assert f'<td>above 650 K</td><td class="n">{row["n"]}</td>' in text
    assert f'<td class="n">{100 * row["coverage"]:.4g}</td>' in text
    alarms = node.base.attributes.get('alarms')
    assert f'<td class="n">{alarms["missed"]}</td><td class="n">{100 * alarms["missed_share_of_bad"]:.4g}</td>' in text
