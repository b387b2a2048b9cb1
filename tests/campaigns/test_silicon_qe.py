"""A campaign with labels by pw.x: killed while it labels, resumed, and run again for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.campaign, pytest.mark.long]

CONFIG = Path(__file__).with_name('small_qe.toml')

FACTS = """
import json
from aiida import orm
from aiida.plugins import CalculationFactory
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.provenance.dft import calculation_of
from aiida_traincraft.provenance.lineage import ancestors
from aiida_traincraft.provenance.queries import load_campaign_node
campaign = load_campaign_node()
labels = orm.QueryBuilder().append(LabelData).all(flat=True)
rows = [calculation_of(label.uuid).all() for label in labels]
above = ancestors(campaign.outputs.potential)
print(json.dumps({
    'calculations': orm.QueryBuilder().append(CalculationFactory('quantumespresso.pw')).count(),
    'labels': len(labels),
    'labelled_once': len({label.structure_fingerprint for label in labels}),
    'levels': len({label.level_of_theory for label in labels}),
    'elements': sorted({row[3] for found in rows for row in found}),
    'traced': sum(len(found) == 1 and found[0][1].pk in above for found in rows),
    'trained_on': sum(label.pk in above for label in labels),
    'digest': campaign.outputs.dataset.digest,
    'uuid': labels[-1].uuid,
}))
"""


@pytest.fixture(scope='module')
def silicon(make_site, pseudo_folder, pw_executable):
    site = make_site('silicon')
    site.traincraft('pseudos', 'install', str(pseudo_folder), '--family', 'lda-vbc')
    site.traincraft('run', str(CONFIG), '--detach')
    site.wait_for('p.stage == "label" and p.jobs_done >= 5 and p.jobs_running')
    assert site.kill_everything() >= 3
    site.traincraft('resume')
    site.facts = site.python(FACTS)
    return site


def test_every_label_has_one_calculation(silicon):
    facts, summary = silicon.facts, silicon.summary('small-qe')
    assert facts['labels'] == facts['labelled_once'] == summary['labels']['labelled'] == summary['labels']['total']
    # A structure of a calculation with two runs of pw.x counts once.
    assert facts['calculations'] >= facts['labels']
    assert facts['levels'] == 1
    assert facts['elements'] == ['Si']
    assert facts['traced'] == facts['trained_on'] > 12
    assert [cycle['errors']['forces']['rmse'] < 1.0 for cycle in summary['cycles']] == [True, True]


def test_why_tells_the_calculation(silicon):
    output = silicon.traincraft('why', silicon.facts['uuid']).stdout
    assert 'PwCalculation' in output
    assert 'cutoffs 12 and 48 Ry, k-points ' in output
    assert 'pseudopotential of Si: Si.pz-vbc.UPF, MD5 ' in output


def test_the_same_campaign_again_calculates_nothing(silicon):
    done = silicon.traincraft('run', str(CONFIG), '--stop-daemon')
    again = silicon.python(FACTS)
    assert again['calculations'] == silicon.facts['calculations']
    assert again['labels'] == silicon.facts['labels']
    assert again['digest'] == silicon.facts['digest']
    assert f'labels: 0 ok, {again["labels"]} reused, 0 failed' in done.stdout
