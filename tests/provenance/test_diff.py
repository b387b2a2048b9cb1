from __future__ import annotations

import pytest
from aiida import orm

from aiida_traincraft.provenance.diff import compare, training_jobs
from aiida_traincraft.provenance.queries import find_potentials


@pytest.fixture(scope='module')
def pair(tiny_campaign):
    """Complete potentials of both cycles of the campaign."""
    return find_potentials(campaign=tiny_campaign, has_active_set=True).all(flat=True)


def test_two_cycles_of_a_campaign(pair, tiny_campaign):
    found = compare(*pair)
    first, second = ({row.label for row in training_rows(node)} for node in pair)
    assert found.shared == len(first & second) > 0
    assert found.only[0].count == 0
    assert found.only[1].count == len(second - first) > 0
    assert found.only[1].systems == {'bulk': found.only[1].count}
    assert set(found.only[1].first) <= second - first
    assert found.reweighted == 0
    assert found.levels_of_theory == ''
    assert found.codes == {}
    # Both belong to one campaign, whose config is one; each cycle has a seed of its own.
    assert found.settings == {}
    assert set(found.seeds) == {'PaceActivesetCalculation', 'PaceLinearCalculation'}
    assert found.scored_on == f'split test of dataset {tiny_campaign.outputs.test_set.uuid}'
    after = tiny_campaign.outputs.errors
    assert found.errors['energy (eV/atom)'][1] == after['overall']['energy']['rmse']
    assert found.errors['forces on Cu (eV/Å)'][1] == after['per_element']['Cu']['rmse']


def training_rows(potential):
    (job, *_) = training_jobs(potential)
    return [row for row in job.inputs.dataset.rows if row.split == 'train']


def test_one_with_itself(pair):
    found = compare(pair[1], pair[1])
    assert found.shared == len(training_rows(pair[1]))
    assert [labels.count for labels in found.only] == [0, 0]
    assert found.settings == found.seeds == found.codes == {}
    assert all(before == after for before, after in found.errors.values())


def test_settings_and_levels(pair, linear_fit):
    """A fit by hand at another level of theory, not scored."""
    found = compare(pair[0], linear_fit.outputs.potential)
    assert found.shared == 0
    assert found.only[1].count == 24
    assert found.settings['PaceLinearCalculation.training.functions'] == (10, 30)
    assert found.settings['campaign.run.name'] == ('tiny', None)
    assert 'emt' in found.levels_of_theory
    assert found.scored_on is None
    assert found.errors == {}


def test_jobs_that_read_the_dataset(pair):
    assert [job.process_label for job in training_jobs(pair[1])] == [
        'PaceLinearCalculation',
        'PaceActivesetCalculation',
    ]
    assert all(isinstance(job, orm.CalcJobNode) for job in training_jobs(pair[1]))
