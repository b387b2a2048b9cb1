"""Kill daemon, broker and worker in mid-flight; resuming loses and repeats nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.campaign

CONFIG = Path(__file__).with_name('small.toml')

KEYS = ('labels', 'candidates', 'uncertain', 'selected', 'funnel', 'max_uncertainty', 'errors')

COUNTS = """
import json
from aiida import orm
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.provenance.campaign import jobs
from aiida_traincraft.provenance.queries import load_campaign_node
campaign = load_campaign_node()
labels = orm.QueryBuilder().append(LabelData, project='attributes.structure').all(flat=True)
structures = orm.QueryBuilder().append(TrainingStructureData, project='label').all(flat=True)
names = [job.process_label for job in jobs(campaign)]
print(json.dumps({
    'digest': campaign.outputs.dataset.digest,
    'labels': len(labels), 'labelled_once': len(set(labels)),
    'structures': len(structures), 'distinct_structures': len(set(structures)),
    'jobs': {name: names.count(name) for name in sorted(set(names))},
    'unfinished': sum(not job.is_finished_ok for job in jobs(campaign)),
}))
"""

RETRY_RUNS = """
from aiida_traincraft.provenance.campaign import job_counts
from aiida_traincraft.provenance.queries import load_campaign_node
from aiida_traincraft.provenance.retries import retries
found = retries(load_campaign_node())
holds, state = bool(found) and job_counts(found[0])[0] > 0, len(found)
"""


@pytest.fixture(scope='module')
def undisturbed(make_site):
    site = make_site('undisturbed')
    site.traincraft('run', str(CONFIG), '--stop-daemon')
    return site


def test_kill_in_exploration_and_in_labelling(make_site, undisturbed):
    expected = undisturbed.python(COUNTS)
    assert expected['labels'] == expected['labelled_once'] == expected['structures'] == 23

    site = make_site('killed')
    site.traincraft('run', str(CONFIG), '--detach')
    # The command waits until the daemon has it: AiiDA's broker loses the task of a sender that ends too early.
    site.wait_for('p.state != "created"')
    for stage in ('"explore"', '"label" and p.cycle == 1'):
        site.wait_for(f'p.stage == {stage} and p.jobs_running')
        assert site.kill_everything() >= 3
        if stage == '"explore"':
            # Goes on in the background while the next stage is awaited.
            site.traincraft('resume', '--detach')
    done = site.traincraft('resume')
    assert 'results are in' in done.stdout
    assert site.python(COUNTS) == expected
    # The same seed gives the same campaign, whatever came between.
    cycles = [each.summary('small')['cycles'] for each in (undisturbed, site)]
    first, second = ([[cycle[key] for key in KEYS] for cycle in found] for found in cycles)
    assert first == second


@pytest.mark.long
def test_kill_in_a_retry(make_site):
    site = make_site('retry')
    shutil.copy(CONFIG.with_name('slow_emt.py'), site.folder)
    text = CONFIG.read_text().replace('seconds = 0.3', 'seconds = 1.0')
    for name, distance in (('strict', 0.93), ('tolerant', 0.5)):
        limits = f'type = "ase"\nmin_distance = {distance}\nmax_failed_fraction = 0.0\ncalculator'
        (site.folder / f'{name}.toml').write_text(text.replace('type = "ase"\ncalculator', limits))
    assert 'try them again with: traincraft retry-failed' in site.traincraft('run', 'strict.toml', check=False).stdout

    site.traincraft('retry-failed', 'small', '--with', 'tolerant.toml', '--detach')
    site.wait_until(RETRY_RUNS)
    assert site.kill_everything() >= 3
    done = site.traincraft('resume')
    assert 'a retry of its failed labels goes on' in done.stdout
    assert 'labelled now' in done.stdout
    assert 'failed again' not in done.stdout
    # Nothing is left to go on with.
    assert 'results are in' in site.traincraft('resume', check=False).stdout
