from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.baselines import baseline_issues, check_continued, make_baseline
from aiida_traincraft.science.baselines.lj import LjConfig, fit_lj, lj_curve
from aiida_traincraft.science.campaign.checks import CHECKS
from aiida_traincraft.science.campaign.preflight import Preflight, examine
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.models.pair import PairCalculator
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.labels import subtract

COPPER = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.2, 'sigma': 2.3}}, 'cutoff': 5.0}


class Attraction(Calculator):
    """An energy of every atom, isolated or not."""

    implemented_properties = ['energy', 'forces']
    alone = 0.0

    def calculate(self, atoms=None, properties=(), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {'energy': self.alone * len(atoms), 'forces': np.zeros((len(atoms), 3))}


class AttractionConfig(BaselineConfig):
    """A baseline of a plugin."""

    type: str = 'attraction'
    alone: float = 0.0


@pytest.fixture
def attraction(monkeypatch):
    """A baseline that a plugin registers."""
    monkeypatch.setattr(registry, '_plugins', dict(registry._plugins))

    @registry.register('baseline', 'attraction', AttractionConfig)
    def make(config):
        """An energy of every atom."""
        calculator = Attraction()
        calculator.alone = config.alone
        return calculator


def issues(content, **training):
    content['training'] |= training
    with pytest.raises(ConfigError) as caught:
        parse_campaign(content)
    return {issue.path: issue.message for issue in caught.value.issues}


def test_a_name_stands_for_its_table(campaign_content):
    for written in ('lj', {'type': 'lj'}):
        campaign_content['training']['baseline'] = written
        assert parse_campaign(campaign_content).training.baseline == LjConfig()
    del campaign_content['training']['baseline']
    training = parse_campaign(campaign_content).training
    assert training.model_dump(mode='json')['baseline'] == {'type': 'zbl'}
    assert PaceLinearTraining.model_validate(training.model_dump(mode='json')) == training


@pytest.mark.parametrize(
    ('baseline', 'path', 'message'),
    [
        ('zlb', 'training.baseline.type', "no baseline is called 'zlb'; did you mean 'zbl'?"),
        ({'type': 'ljj'}, 'training.baseline.type', 'allowed: lj, none, table, zbl'),
        ({'pairs': {}}, 'training.baseline', 'the key "type" is missing'),
        ({'type': 'lj', 'cut': 3.0}, 'training.baseline.cut', 'unknown key'),
        (
            {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': -0.1, 'sigma': 2.0}}},
            'training.baseline.pairs.Cu-Cu.epsilon',
            'greater than 0 (given -0.1)',
        ),
        (
            {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 0}}},
            'training.baseline.pairs.Cu-Cu.sigma',
            'greater than 0',
        ),
        ({'type': 'lj', 'pairs': {'CuCu': {'epsilon': 0.1, 'sigma': 2}}}, 'training.baseline', "'CuCu' names no two"),
        (
            {'type': 'lj', 'pairs': {name: {'epsilon': 0.1, 'sigma': 2} for name in ('Cu-Au', 'Au-Cu')}},
            'training.baseline',
            'given twice: Au-Cu',
        ),
        ({'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 6}}}, 'training.baseline', 'must be below'),
        ({'type': 'lj', 'cutoff': 5.5}, 'training', '"baseline" reaches 5.5 Å, which must not be more than "cutoff"'),
        (
            {'type': 'table', 'pairs': {'Cu-Cu': {'r': [1, 2, 3, 7], 'energy': [1, 1, 1, 0]}}},
            'training',
            'reaches 7 Å',
        ),
        (
            {'type': 'table', 'pairs': {'Cu-Cu': {'r': [1, 2, 3, 4], 'energy': [1, 1, 0]}}},
            'training.baseline.pairs.Cu-Cu.energy',
            'at least 4',
        ),
        (
            {'type': 'table', 'pairs': {'Cu-Cu': {'r': [1, 2, 2, 4], 'energy': [1, 1, 1, 0]}}},
            'training.baseline.pairs.Cu-Cu',
            'rise',
        ),
        (
            {'type': 'table', 'pairs': {'Cu-Cu': {'r': [1, 2, 3, 4], 'energy': [1, 1, 1, 0.1]}}},
            'training.baseline.pairs.Cu-Cu',
            'must be 0',
        ),
        (3, 'training.baseline', 'expected a table'),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(campaign_content, baseline, path, message):
    found = issues(campaign_content, baseline=baseline)
    assert list(found) == [path]
    assert message in found[path]


def test_every_pair_of_the_elements_is_needed(campaign_content):
    training = PaceLinearTraining.model_validate({'baseline': COPPER})
    assert baseline_issues(training, ['Cu'], 'training') == []
    (issue,) = baseline_issues(training, ['Cu', 'Au'], 'training')
    assert (issue.path, 'there is nothing for Au-Au, Au-Cu' in issue.message) == ('training.baseline.pairs', True)
    assert baseline_issues(PaceLinearTraining.model_validate({'baseline': 'lj'}), ['Cu', 'Au'], 'training') == []


def test_a_campaign_is_checked_before_it_is_stored(campaign_content, tmp_path):
    gold = {'type': 'lj', 'pairs': {'Au-Au': {'epsilon': 0.2, 'sigma': 2.3}}}
    campaign_content['training']['baseline'] = gold
    campaign_content['distillation'] = {'training': {'type': 'pace_linear', 'baseline': gold}}
    found = examine(Preflight(parse_campaign(campaign_content), tmp_path), CHECKS)
    assert [issue.path for issue in found] == ['training.baseline.pairs', 'distillation.training.baseline.pairs']
    assert 'there is nothing for Cu-Cu' in found[0].message


def test_mace_has_its_own_repulsion():
    assert MaceTraining().baseline.type == 'none'
    assert MaceTraining.model_validate({'baseline': COPPER}).baseline.subtracts
    with pytest.raises(ValidationError, match='pair_repulsion = true'):
        MaceTraining.model_validate({'baseline': 'zbl'})
    with pytest.raises(ValidationError, match='"r_max"'):
        MaceTraining.model_validate({'baseline': COPPER, 'r_max': 4.0})
    with pytest.raises(ValidationError, match='has no energies'):
        MaceTraining.model_validate({'baseline': COPPER, 'model': 'AtomicDipolesMACE'})


def test_lennard_jones_parameters_come_back_from_its_own_labels(copper_frames):
    pairs = {'Au-Au': (0.4, 2.6), 'Au-Cu': (0.3, 2.4), 'Cu-Cu': (0.2, 2.3)}
    truth = {'type': 'lj', 'pairs': {name: {'epsilon': e, 'sigma': s} for name, (e, s) in pairs.items()}, 'cutoff': 4.5}
    labels = [frame.bare() for frame in copper_frames[:6]]
    for frame in labels:
        frame.atoms.numbers[::3] = 79
        frame.properties['forces'] = make_baseline(truth).get_property('forces', frame.atoms)
    found = LjConfig(cutoff=4.5).fitted(labels)
    assert found.known_pairs() == {('Au', 'Au'), ('Au', 'Cu'), ('Cu', 'Cu')}
    for name, (epsilon, sigma) in pairs.items():
        assert found.pairs[name].epsilon == pytest.approx(epsilon, rel=1e-5)
        assert found.pairs[name].sigma == pytest.approx(sigma, rel=1e-6)
    assert found.fitted([]) is found


def test_a_pair_without_attraction_keeps_its_repulsion(copper_frames):
    labels = [frame.bare() for frame in copper_frames[:4]]
    repulsion = PairCalculator({('Cu', 'Cu'): lj_curve(2000.0, 0.0, 4.5)})
    for frame in labels:
        frame.properties['forces'] = repulsion.get_property('forces', frame.atoms)
    found = fit_lj(labels, 4.5)['Cu-Cu']
    assert found.epsilon == pytest.approx(1e-3)
    assert 4 * found.epsilon * found.sigma**12 == pytest.approx(2000.0, rel=1e-6)
    # A well of 1 meV would have its sigma beyond this cutoff.
    short = fit_lj(labels, 4.5 * 0.8)['Cu-Cu']
    assert short.sigma == pytest.approx(2.4)
    assert short.epsilon > 1e-3


def test_less_of_the_forces_is_left(copper_frames):
    baseline = LjConfig().fitted(copper_frames[:8])
    left = subtract(copper_frames[:8], baseline)
    before, after = (
        sum(float((frame.properties['forces'] ** 2).sum()) for frame in frames) for frames in (copper_frames[:8], left)
    )
    assert after < 0.1 * before


def test_a_pair_that_never_meets_gets_a_weak_repulsion():
    atoms = Atoms('CuAu', [[0, 0, 0], [0, 0, 9.0]])
    pairs = fit_lj([Structure(atoms, {'forces': np.zeros((2, 3))})], 5.0)
    assert set(pairs) == {'Au-Au', 'Au-Cu', 'Cu-Cu'}
    assert pairs['Au-Cu'].epsilon == 1e-3
    assert pairs['Au-Cu'].sigma == pytest.approx(1.36 + 1.32)


def test_labels_without_the_baseline(copper_frames):
    frame = copper_frames[3].copy()
    frame.properties['dipole'] = np.ones(3)
    frame.provenance['weight'] = 2.0
    (left,) = subtract([frame], LjConfig.model_validate(COPPER))
    atoms = frame.atoms.copy()
    atoms.calc = make_baseline(COPPER)
    assert left.properties['energy'] == pytest.approx(frame.properties['energy'] - atoms.get_potential_energy())
    assert np.allclose(left.properties['forces'], frame.properties['forces'] - atoms.get_forces())
    assert np.allclose(left.properties['stress'], frame.properties['stress'] - atoms.get_stress())
    assert left.properties['dipole'].tolist() == [1, 1, 1]
    assert left.provenance['weight'] == 2.0
    assert frame.properties['energy'] == copper_frames[3].properties['energy']
    assert subtract([frame], parse_plugin('baseline', {'type': 'zbl'})) == [frame]


@pytest.mark.usefixtures('attraction')
def test_a_baseline_of_a_plugin(copper_frames):
    config = PaceLinearTraining.model_validate({'baseline': {'type': 'attraction'}}).baseline
    assert config.subtracts
    frame = copper_frames[3].copy()
    with pytest.raises(ValueError, match='gives no stress of training structure 0'):
        subtract([frame], config)
    del frame.properties['stress']
    assert subtract([frame], config)[0].properties['energy'] == frame.properties['energy']
    with pytest.raises(ValueError, match='gives an isolated atom of Cu -2 eV'):
        subtract([frame], AttractionConfig(alone=-2.0))


def test_going_on_takes_the_same_baseline():
    zbl, none, lj = (parse_plugin('baseline', {'type': name}) for name in ('zbl', 'none', 'lj'))
    given = LjConfig.model_validate(COPPER)
    check_continued(zbl, none)
    check_continued(given, given)
    check_continued(lj, given)
    others = [(zbl, given), (given, none), (given, given.model_copy(update={'cutoff': 4.0}))]
    for asked, stored in [*others, (lj, given.model_copy(update={'cutoff': 4.0}))]:
        with pytest.raises(ValueError, match='was trained with the baseline'):
            check_continued(asked, stored)
    with pytest.raises(ValueError, match='still to be fitted'):
        make_baseline(lj)
