from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_traincraft.calculations.base import is_poor


@pytest.fixture(scope='module')
def trained(run_workchain, make_campaign_content, copper_dataset) -> orm.WorkChainNode:
    """Linear fit, active set and score of the copper dataset."""
    content = make_campaign_content()
    content['training']['functions'] = 30
    node = run_workchain('traincraft.train', content, dataset=copper_dataset, test_set=copper_dataset, seed=orm.Int(5))
    assert node.is_finished_ok, node.exit_message
    return node


def test_fit_active_set_and_score(trained):
    labels = [child.process_label for child in sorted(trained.called_descendants, key=lambda child: child.pk)]
    assert labels == [
        'TrainPaceLinearWorkChain',
        'PaceLinearCalculation',
        'PaceActivesetCalculation',
        'EvaluateCalculation',
    ]
    potential = trained.outputs.potential
    assert potential.has_active_set
    assert not potential.is_degenerate
    assert potential.metrics['n_functions'] == {'Cu': 30}
    assert trained.outputs.descriptors.get_array('descriptors').shape == (24, 30)


def test_the_score_is_that_of_the_sealed_split(trained, copper_dataset):
    errors = trained.outputs.errors['overall']
    assert errors['energy']['n'] == copper_dataset.count('test')
    assert 0 < errors['forces']['rmse'] < 0.02
    assert trained.outputs.errors.creator.inputs.potential.uuid == trained.outputs.potential.uuid


def test_options_of_the_config_reach_the_jobs(run_workchain, campaign_content, copper_dataset):
    campaign_content['training']['functions'] = 10
    campaign_content['codes']['pace'] |= {'max_wallclock_seconds': 600, 'omp_num_threads': 2}
    # Without a test set there is nothing to score.
    node = run_workchain('traincraft.train', campaign_content, dataset=copper_dataset, seed=orm.Int(5))
    assert node.is_finished_ok, node.exit_message
    assert 'errors' not in node.outputs
    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    assert len(jobs) == 2
    for job in jobs:
        assert job.get_option('max_wallclock_seconds') == 600
        assert job.get_option('environment_variables')['OMP_NUM_THREADS'] == '2'


def test_a_potential_worse_than_a_constant_is_kept_and_named(
    run_workchain, campaign_content, store_dataset, copper_frames
):
    rng = np.random.default_rng(3)
    senseless = [frame.copy() for frame in copper_frames]
    for frame in senseless:
        frame.properties['forces'] = rng.normal(size=frame.properties['forces'].shape)
    campaign_content['training'] |= {'functions': 60, 'regression': 'ridge', 'ridge': [1e-12]}
    dataset = store_dataset(senseless[:24], senseless[24:])
    node = run_workchain('traincraft.train', campaign_content, dataset=dataset, test_set=dataset, seed=orm.Int(5))
    assert node.exit_status == 330
    assert is_poor(node)
    assert 'force' in node.exit_message
    assert 'where a constant errs by' in node.exit_message
    assert node.outputs.potential.has_active_set
    assert node.outputs.errors['overall']['forces']['rmse'] > 1.0


def test_a_fit_that_fails_is_explained(run_workchain, campaign_content, store_dataset, copper_frames):
    campaign_content['training']['functions'] = 'auto'
    node = run_workchain(
        'traincraft.train', campaign_content, dataset=store_dataset(copper_frames[1:2]), seed=orm.Int(5)
    )
    assert node.exit_status == 400
    assert 'only 4 atoms of Cu' in node.exit_message


def test_an_active_set_that_fails_is_explained(run_workchain, campaign_content, store_dataset, copper_frames):
    campaign_content['training']['functions'] = 20
    node = run_workchain(
        'traincraft.train.pace_linear', campaign_content, dataset=store_dataset(copper_frames[1:3]), seed=orm.Int(5)
    )
    assert node.exit_status == 401
    assert 'Cu: 8 atoms, 20 functions' in node.exit_message
