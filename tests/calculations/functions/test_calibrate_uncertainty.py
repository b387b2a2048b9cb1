"""Thresholds of the uncertainty from an accepted force error, as nodes."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_traincraft.calculations.functions.calibration import calibrate_uncertainty
from aiida_traincraft.data.calibration import CalibrationData
from aiida_traincraft.science.config.kinds import ExplorerConfig, ForceErrorLimit
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.seams.explorer import thresholds

WINDOW = ExplorerConfig(type='any', gamma_lo=2.0, gamma_hi=10.0)


@pytest.fixture(scope='module')
def scored(run_job, active_set, store_dataset, copper_frames):
    """Score of a potential on nearly all frames, so that there are enough of them."""
    dataset = store_dataset(copper_frames[:1], copper_frames[1:])
    potential = active_set.outputs.potential
    return run_job('traincraft.evaluate', {}, potential=potential, dataset=dataset)


def calibrated(scored, **keys):
    parameters = orm.Dict({'measure': 'gamma', 'alpha': 0.1, 'max_force_error': None} | keys)
    return calibrate_uncertainty(scored.outputs.predictions, scored.inputs.dataset, parameters)


def test_atoms_are_those_of_the_test_set(scored, copper_frames):
    node = calibrated(scored)
    uncertainty, errors, groups = node._read_rows()
    assert len(errors) == sum(len(frame) for frame in copper_frames[1:]) == node.base.attributes.get('n_atoms')
    assert len(set(groups)) == len(copper_frames) - 1
    squared = 3 * scored.outputs.errors['overall']['forces']['rmse'] ** 2
    assert np.mean(np.square(errors)) == pytest.approx(squared)
    assert node.creator.inputs.predictions.uuid == scored.outputs.predictions.uuid
    assert node.thresholds is None
    assert len(uncertainty) == len(errors)


def test_an_accepted_error_replaces_the_thresholds_of_the_config(scored, active_set):
    potential = active_set.outputs.potential
    node = calibrated(scored, max_force_error=0.02)
    if node.thresholds is None:
        # This set's γ says nothing of its errors: told, and the config's thresholds stay.
        assert 'says nothing' in node.reason
        assert thresholds(WINDOW, potential, node) == (2.0, 10.0)
    else:
        lo, hi = node.thresholds
        assert 0 < lo < hi
        assert thresholds(WINDOW, potential, node) == (lo, hi)
        assert node.base.attributes.get('alarms')['n'] == node.base.attributes.get('n_atoms')
    assert thresholds(WINDOW, potential) == (2.0, 10.0)


def test_hotter_structures_and_other_systems_tell_how_far_bounds_break(
    run_job, active_set, store_dataset, copper_frames, with_emt_labels
):
    rng = np.random.default_rng(11)
    frames = []
    for temperature, stdev in ((300.0, 0.05), (1200.0, 0.25)):
        for frame in copper_frames[1:]:
            atoms = frame.atoms.copy()
            atoms.positions += rng.normal(scale=stdev, size=atoms.positions.shape)
            system = f'cell of {len(atoms)}'
            frames.append(with_emt_labels(Structure(atoms, provenance={'system': system, 'temperature': temperature})))
    dataset = store_dataset(copper_frames[:1], frames)
    scored = run_job('traincraft.evaluate', {}, potential=active_set.outputs.potential, dataset=dataset)
    node = calibrated(scored)
    rows = {row['part']: row for row in node.store().base.attributes.get('transfer')}
    assert set(rows) == {'system cell of 4', 'system cell of 8', 'above 750 K'}
    hotter = rows['above 750 K']
    half = len(copper_frames) - 1
    assert (hotter['n_calibrated'], hotter['n']) == (half, sum(len(frame) for frame in copper_frames[1:]))
    assert hotter['coverage'] < 0.8
    assert f'they cover only {hotter["coverage"]:.1%} of "above 750 K"' in str(node)


def test_thresholds_of_a_calibration_that_holds(active_set):
    rng = np.random.default_rng(1)
    uncertainty = rng.uniform(0.5, 3.0, 400)
    errors = 0.03 * uncertainty * np.abs(rng.normal(size=400))
    node = CalibrationData(uncertainty, errors, np.repeat(np.arange(40), 10), 'gamma', 0.1, 0.05)
    lo, hi = node.thresholds
    # 1.64 standard deviations cover 90 %.
    assert lo == pytest.approx(0.05 / (0.03 * 1.645), rel=0.25)
    assert thresholds(WINDOW, active_set.outputs.potential, node) == (lo, hi)
    assert 'bounds cover' in str(node)
    assert node.store().base.attributes.get('coverage')['nominal'] == 0.9
    found = orm.QueryBuilder().append(CalibrationData, filters={'attributes.lo': {'<': hi}}, project='uuid')
    assert node.uuid in found.all(flat=True)


def test_too_few_structures_are_told():
    node = CalibrationData([1.0, 2.0], [0.1, 0.2], [0, 1], 'gamma', 0.1, 0.05)
    assert node.thresholds is None
    assert str(node).startswith('no calibration: ')


@pytest.mark.parametrize(('text', 'expected'), [('80 meV/Å', 0.08), ('0.08eV/A', 0.08), ('80 meV/Angstrom', 0.08)])
def test_units_of_the_accepted_error(text, expected):
    assert ForceErrorLimit(max_force_error=text).force_error == pytest.approx(expected)


@pytest.mark.parametrize('text', ['80', '80 meV', '0 meV/Å', '-1 eV/Å', '80 kcal/mol/Å'])
def test_what_is_no_force_error(text):
    with pytest.raises(ValueError, match=r'max_force_error'):
        ForceErrorLimit(max_force_error=text)
