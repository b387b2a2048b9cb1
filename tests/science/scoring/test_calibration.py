from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.scoring.calibration import (
    Calibration,
    alarms,
    calibrate,
    coverage,
    cross_alarms,
    cross_coverage,
    reliability,
    shifted_parts,
    transfer,
)
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.worker.tasks import pace_activeset

E0 = {'Cu': 3.51}


def draw(n_structures, seed=0, exponent=1.0, stretch=1.0, n_atoms=10, scale=0.03):
    """Atoms whose error is spread like a power of their uncertainty; structures differ by more than their atoms."""
    rng = np.random.default_rng(seed)
    u = stretch * np.exp(
        rng.normal(scale=0.6, size=(n_structures, 1)) + rng.normal(scale=0.3, size=(n_structures, n_atoms))
    )
    e = scale * u**exponent * np.linalg.norm(rng.normal(size=(n_structures, n_atoms, 3)), axis=2)
    return u.ravel(), e.ravel(), np.repeat(np.arange(n_structures), n_atoms)


@pytest.mark.parametrize('alpha', [0.05, 0.1, 0.2])
@pytest.mark.parametrize('exponent', [0.5, 1.0, 2.0])
def test_coverage_and_exponent_of_drawn_errors(alpha, exponent):
    calibration = calibrate(*draw(100, 1, exponent), alpha)
    found = coverage(calibration, *draw(400, 2, exponent))
    assert abs(found['coverage'] - (1 - alpha)) < 0.05
    assert found['nominal'] == 1 - alpha
    assert calibration.exponent == pytest.approx(exponent, abs=0.2)
    # Not only on average: also where the uncertainty is small, and where it is large.
    table = reliability(calibration, *draw(400, 2, exponent)[:2], bins=5)
    np.testing.assert_allclose(table['coverage'], 1 - alpha, atol=0.08)
    np.testing.assert_allclose(table['predicted'], table['observed'], rtol=0.25)


def test_quantile_is_the_conformal_rank():
    error = np.arange(1.0, 21.0)
    calibration = calibrate(np.ones(20), error, alpha=0.2)
    # The rank is ceil(21 * 0.8).
    assert (calibration.exponent, calibration.quantile) == (0, 17)
    assert (calibration.n_atoms, calibration.n_structures) == (20, 20)


def test_average_coverage_of_many_small_calibrations_is_nominal():
    shares = [coverage(calibrate(*draw(20, seed)), *draw(100, 1000 + seed))['coverage'] for seed in range(60)]
    assert np.mean(shares) == pytest.approx(0.9, abs=0.015)


def test_cross_coverage_and_its_standard_error():
    found = cross_coverage(*draw(100))
    assert abs(found['coverage'] - 0.9) < 0.05
    assert found['n'] == 1000
    u, e, g = draw(100)
    calibration = calibrate(u, e, g)
    copies = coverage(calibration, np.repeat(u, 4), np.repeat(e, 4), np.repeat(g, 4))
    # Atoms that only repeat others make it no surer.
    assert copies['standard_error'] == pytest.approx(coverage(calibration, u, e, g)['standard_error'])
    assert cross_coverage(u, e, g) == cross_coverage(u, e, g)


def test_thresholds_keep_the_accepted_error():
    u, e, g = draw(200, 3)
    calibration = calibrate(u, e, g, measure='spread')
    low, high = calibration.thresholds(0.08)
    assert calibration.bound([low])[0] == pytest.approx(0.08)
    assert calibration.largest <= high <= 5 * calibration.largest
    found = alarms(*draw(400, 4)[:2], low, 0.08)
    assert 0 < found['missed_share'] < 0.1
    assert found['missed_share_of_bad'] == found['missed'] / found['bad']
    assert found['false_share_of_alarms'] == found['false_alarms'] / found['alarms']
    # Far above and far below all that was tested.
    assert calibration.thresholds(1e6) == pytest.approx((calibration.largest, 5 * calibration.largest))
    assert calibration.thresholds(1e-9) == pytest.approx((calibration.smallest, calibration.largest))


def test_alarms_are_counted():
    found = alarms([0.5, 0.5, 3.0, 3.0, np.inf], [0.01, 0.2, 0.01, 0.2, 0.2], 2.0, 0.1)
    assert (found['n'], found['bad'], found['alarms'], found['missed'], found['false_alarms']) == (5, 3, 3, 1, 1)
    assert found['missed_share'] == 0.2
    nothing = alarms([0.5], [0.01], 2.0, 0.1)
    assert (nothing['missed_share_of_bad'], nothing['false_share_of_alarms']) == (None, None)


def test_isolated_atoms_and_crystals_without_spread():
    u, e, g = draw(100)
    u[:5], e[:5] = np.inf, 1.0
    u[100:200], e[100:200] = 0, 0
    calibration = calibrate(u, e, g)
    assert np.isfinite([calibration.quantile, calibration.scale, calibration.largest]).all()
    assert np.isinf(calibration.bound([np.inf])).all()
    assert calibration.bound([0.0])[0] == calibration.bound([calibration.smallest])[0] > 0
    assert sum(reliability(calibration, u, e)['n']) == 995


def test_json_round_trip():
    calibration = calibrate(*draw(50), measure='spread')
    content = json.loads(json.dumps(calibration.to_dict()))
    assert content['units'] == {'uncertainty': 'eV/Å', 'error': 'eV/Å'}
    assert Calibration.from_dict(content) == calibration
    with pytest.raises(ValueError, match='this has alpha'):
        Calibration.from_dict({'alpha': 0.1})


def test_uncertainty_that_says_nothing_gives_no_threshold():
    _, e, g = draw(50)
    with pytest.raises(ValueError, match='says nothing of the force error'):
        calibrate(np.ones(500), e, g).thresholds(0.1)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'uncertainty': np.ones(3)}, '"uncertainty" .3,., "error" .500,.'),
        ({'uncertainty': np.full(500, -1.0)}, '"uncertainty" must be 0 or above'),
        ({'uncertainty': np.full(500, np.nan)}, '"uncertainty" must be 0 or above'),
        ({'uncertainty': np.zeros(500)}, '"uncertainty" is 0 for all atoms'),
        ({'error': np.full(500, np.inf)}, '"error" must be finite'),
        ({'error': np.zeros(500)}, '"error" is 0 for nearly all'),
        ({'groups': np.zeros(500)}, 'needs 6 structures, "groups" has 1'),
        ({'alpha': 0.0}, '"alpha" .0.0. must be between'),
        ({'alpha': 0.001}, 'needs 999 atoms'),
        ({'measure': 'distance'}, '"measure" ."distance".'),
    ],
)
def test_bad_input(changes, message):
    u, e, g = draw(50)
    with pytest.raises(ValueError, match=message):
        calibrate(**{'uncertainty': u, 'error': e, 'groups': g} | changes)


@pytest.mark.parametrize(
    ('key', 'value'), [('max_force_error', 0.0), ('max_force_error', np.inf), ('halt_factor', 1.0)]
)
def test_bad_thresholds(key, value):
    with pytest.raises(ValueError, match=f'"{key}"'):
        calibrate(*draw(50)).thresholds(**{'max_force_error': 0.1} | {key: value})


@pytest.fixture(scope='module')
def errors_of_copper(tmp_path_factory, with_emt_labels):
    """Function that gives γ, force error and structure of the atoms of copper cells rattled by an amplitude (Å)."""
    pytest.importorskip('pyace')

    def frames(n, seed, amplitude):
        rng = np.random.default_rng(seed)
        cells = []
        for _ in range(n):
            atoms = bulk('Cu', a=3.6, cubic=True).repeat((2, 1, 1))
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))), scale_atoms=True)
            atoms.positions += rng.normal(scale=amplitude * rng.uniform(0.3, 1.7), size=atoms.positions.shape)
            cells.append(with_emt_labels(Structure(atoms)))
        return cells

    folder, config, train = tmp_path_factory.mktemp('potential'), PaceLinearTraining(functions=40), frames(30, 1, 0.1)
    save_potential(fit_linear(train, config, E0, 1, report=lambda line: None), folder / 'potential.yaml', config, E0)
    write_frames(folder / 'dataset.frames', train)
    pace_activeset.run({'e0': E0, 'gamma_lo': 2.0, 'seed': 0}, folder)
    calculator = PaceCalculator(folder / 'potential.yaml', E0, folder / 'potential.asi')
    calculator.with_uncertainty = True

    def errors(n, seed, amplitude):
        gammas, norms = [], []
        cells = frames(n, seed, amplitude)
        for frame in cells:
            forces = calculator.get_forces(frame.atoms)
            gammas.append(calculator.results['uncertainty'].copy())
            norms.append(np.linalg.norm(forces - frame.properties['forces'], axis=1))
        return np.concatenate(gammas), np.concatenate(norms), np.repeat(np.arange(n), 8)

    return errors


def test_gamma_of_a_potential_covers_held_out_frames_and_not_hotter_ones(errors_of_copper):
    calibration = calibrate(*errors_of_copper(100, 2, 0.1))
    held_out, hotter = errors_of_copper(100, 3, 0.1), errors_of_copper(40, 4, 0.25)
    found = coverage(calibration, *held_out)
    assert found['n'] >= 500
    assert abs(found['coverage'] - 0.9) < 0.05
    assert abs(cross_coverage(*held_out)['coverage'] - 0.9) < 0.05
    assert coverage(calibration, *hotter)['coverage'] < 0.8
    low, high = calibration.thresholds(0.05)
    assert calibration.smallest < low < calibration.largest <= high
    assert alarms(*held_out[:2], low, 0.05)['missed_share'] < 0.1
    missed = cross_alarms(*held_out, 0.05)
    shares = [missed[name] for name in ('missed_share_of_bad', 'missed_share', 'false_share_of_alarms')]
    print('missed of the bad {:.0%}, missed of all {:.1%}, false of the alarms {:.0%}'.format(*shares))
    assert missed['n'] == len(held_out[0])
    assert missed['missed_share'] < 0.1
    joined = [np.concatenate([a, b]) for a, b in zip(held_out[:2], hotter[:2], strict=True)]
    groups = np.concatenate([held_out[2], 100 + hotter[2]])
    (row,) = transfer(*joined, groups, {'hotter': range(100, 140), 'all': range(140)})
    assert (row['part'], row['n_calibrated'], row['n']) == ('hotter', 100, len(hotter[0]))
    assert row['coverage'] < 0.8
    table = reliability(calibration, *held_out[:2], bins=4)
    assert table['observed'][-1] > 1.5 * table['observed'][0]


def test_parts_of_a_test_set_that_differ():
    assert shifted_parts(['a', 'a'], [None, 300.0]) == {}
    parts = shifted_parts(['a', 'b', 'a'], [300.0, 500.0, 900.0])
    assert parts == {'system a': [0, 2], 'system b': [1], 'above 500 K': [2]}
