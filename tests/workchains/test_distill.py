"""A trained potential teaches another; its labels stay apart."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching

from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.report.results import write_results
from aiida_traincraft.science.config.loader import parse_campaign


@pytest.fixture(scope='module')
def campaign(tiny_campaign, make_campaign_content):
    # Samples and the teacher's fit come from the tiny campaign by AiiDA's cache.
    content = make_campaign_content()
    content['run']['name'] = 'ladder'
    content['loop']['max_cycles'] = 1
    content['exploration']['gamma_hi'] = 1e6
    student = {'type': 'pace_linear', 'cutoff': 4.0, 'functions': 8}
    content['distillation'] = {'structures': 5, 'runs_per_system': 1, 'record_interval': 10, 'training': student}
    with enable_caching(identifier='aiida.calculations:traincraft.*'):
        _, node = run_get_node(builder_from_config(parse_campaign(content)))
    assert node.exit_status == 503, node.exit_message
    return node


def test_the_student_learns_from_the_teacher_alone(campaign):
    student, data = campaign.outputs.student, campaign.outputs.student_dataset
    assert student.cutoff == 4.0
    assert campaign.outputs.potential.cutoff == 5.0
    # The teacher's own structures and new ones.
    assert data.count('train') > campaign.outputs.dataset.count('train')
    assert data.e0 == pytest.approx(campaign.outputs.potential.e0)
    calculator = campaign.outputs.potential.get_calculator()
    for frame in data.get_structures('train'):
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(frame.properties['energy'], abs=1e-6)


def test_surrogate_labels_are_marked_and_never_mixed(campaign):
    (level,) = campaign.outputs.student_dataset.levels_of_theory
    node = orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': level}).first(flat=True)
    assert node.content['surrogate'] is True
    assert level not in campaign.outputs.dataset.levels_of_theory
    rows = [row.label for row in campaign.outputs.dataset.rows]
    filters = {'uuid': {'in': rows}, 'attributes.level_of_theory': level}
    assert orm.QueryBuilder().append(LabelData, filters=filters).count() == 0


def test_the_student_is_judged_by_the_same_test_set(campaign, tmp_path):
    errors = campaign.outputs.student_errors['overall']
    assert errors['forces']['n'] == campaign.outputs.errors['overall']['forces']['n']
    summary = write_results(campaign, tmp_path / 'ladder')
    assert summary['student_errors'] == errors
    assert (tmp_path / 'ladder' / 'student' / 'potential.yaml').is_file()
