import json
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pydantic import ValidationError

from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.selection import FunnelContext, apply_funnel, run_funnel
from aiida_traincraft.science.structure import Structure, to_record


def rattled(n, uncertainty=None, seed=0):
    frames = []
    for k in range(n):
        atoms = bulk('Cu', cubic=True)
        atoms.positions += np.random.default_rng([seed, k]).normal(scale=0.05, size=(4, 3))
        properties = {} if uncertainty is None else {'uncertainty': np.array([0.1, 0.1, uncertainty[k], 0.2])}
        frames.append(Structure(atoms, properties, {'k': k}))
    return frames


def funnel(*stages, budget=20):
    return SelectionConfig(budget=budget, stages=list(stages))


def picks(result):
    return [structure.provenance['k'] for structure in result.selected]


def test_default_stages_end_to_end():
    frames = rattled(60, uncertainty=np.linspace(0.5, 60.0, 60))
    frames[3].atoms.positions[1] = frames[3].atoms.positions[0] + 0.1
    frames[4].atoms = frames[5].atoms.copy()
    context = FunnelContext(budget=10, lo=2.0, hi=10.0, known_hashes=frozenset({frames[6].content_hash()}), seed=1)
    before = [to_record(frame) for frame in frames]
    result = apply_funnel(frames, SelectionConfig(), context)
    assert len(result.selected) == 10
    assert [to_record(frame) for frame in frames] == before
    stages = [structure.provenance['selected_by'] for structure in result.selected]
    assert stages == ['random'] * 2 + ['diversity'] * 8
    assert not {3, 5, 6} & set(picks(result))
    for structure in result.selected[2:]:
        assert 2.0 < structure.provenance['uncertainty'] <= 50.0
    rows = {row['stage']: row for row in json.loads(json.dumps(result.report))}
    assert list(rows) == ['physicality', 'dedup', 'random', 'uncertainty', 'diversity', 'budget']
    assert rows['physicality'] | {'reasons': 0} == {
        'stage': 'physicality', 'entered': 60, 'dropped': 1, 'picked': 0, 'reasons': 0
    }  # fmt: skip
    assert rows['dedup']['reasons'] == {'repeated in the pool': 1, 'labelled or tried before': 1}
    assert rows['random']['picked'] == 2
    assert rows['uncertainty']['entered'] == 55
    # Uncertainties run 0.5, 1.5, ... : of those above 2, the frames 3, 5 and 6 are invalid.
    above = [k for k in range(60) if np.linspace(0.5, 60.0, 60)[k] > 2.0]
    assert result.n_uncertain == len(set(above) - {3, 5, 6})


def test_same_seed_same_selection_other_seed_another():
    frames = rattled(80, uncertainty=np.full(80, 5.0))
    runs = [
        picks(apply_funnel(frames, SelectionConfig(), FunnelContext(budget=20, lo=2.0, seed=seed)))
        for seed in (7, 7, 8)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_stages_draw_independently():
    frames = rattled(50)
    second = {'type': 'random', 'n': 5}
    five = picks(apply_funnel(frames, funnel({'type': 'dedup'}, second), FunnelContext(budget=5, seed=3)))
    assert len(set(five)) == 5
    assert five == picks(apply_funnel(frames, funnel({'type': 'physicality'}, second), FunnelContext(budget=5, seed=3)))


def test_filters_alone_return_what_passes_up_to_the_budget():
    frames = rattled(12)
    frames[2] = frames[1].copy()
    stages = ({'type': 'physicality'}, {'type': 'dedup'})
    assert len(run_funnel(frames, funnel(*stages, budget=3))) == 3
    selected = run_funnel(frames, funnel(*stages, budget=20))
    assert len(selected) == 11
    assert {structure.provenance['selected_by'] for structure in selected} == {'dedup'}


@pytest.mark.parametrize('budget', [1, 2, 3, 7, 10, 13, 20])
@pytest.mark.parametrize('fractions', [(0.2, 0.8), (1 / 3, 1 / 3, 1 / 3), (0.1, 0.15, 0.25, 0.5)])
def test_fractions_that_add_up_to_one_give_exactly_the_budget(budget, fractions):
    stages = [{'type': 'random', 'fraction': fraction} for fraction in fractions]
    result = apply_funnel(rattled(30), funnel(*stages), FunnelContext(budget=budget))
    assert len(set(picks(result))) == budget


def test_picks_never_exceed_the_budget():
    stages = [{'type': 'random', 'n': 6}, {'type': 'random', 'fraction': 0.9}]
    result = apply_funnel(rattled(30), funnel(*stages), FunnelContext(budget=10))
    assert [row['picked'] for row in result.report] == [6, 4]


def test_a_share_that_cannot_be_filled_stays_unfilled():
    frames = rattled(30, uncertainty=[9.0] * 3 + [0.5] * 27)
    stages = [{'type': 'random', 'fraction': 0.2}, {'type': 'uncertainty'}, {'type': 'diversity', 'fraction': 0.8}]
    result = apply_funnel(frames, funnel(*stages), FunnelContext(budget=20, lo=2.0, seed=2))
    uncertain = 3 - len({0, 1, 2} & set(picks(result)[:4]))
    assert len(result.selected) == 4 + uncertain
    (text,) = result.report[-1]['reasons']
    assert text.startswith('share not filled')
    assert result.report[-1]['reasons'][text] == 16 - uncertain


def test_selects_nothing_when_the_picking_stages_find_nothing():
    frames = rattled(9, uncertainty=[0.5] * 9)
    stages = [{'type': 'uncertainty'}, {'type': 'diversity', 'fraction': 1}, {'type': 'budget'}]
    result = apply_funnel(frames, funnel(*stages), FunnelContext(budget=5, lo=2.0))
    assert result.selected == []
    assert result.n_uncertain == 0


def test_empty_pool():
    result = apply_funnel([], SelectionConfig(), FunnelContext(budget=5, lo=2.0))
    assert (result.selected, result.n_uncertain) == ([], 0)
    assert all(row['entered'] == 0 for row in result.report)


def test_number_of_uncertain_frames_is_unknown_without_uncertainties_or_threshold():
    assert apply_funnel(rattled(3), SelectionConfig(), FunnelContext(budget=2, lo=2.0)).n_uncertain is None
    frames = rattled(3, uncertainty=[3.0] * 3)
    assert apply_funnel(frames, funnel({'type': 'dedup'}), FunnelContext(budget=2)).n_uncertain is None


def test_an_infinite_uncertainty_leaves_the_provenance_json():
    frames = rattled(2, uncertainty=[np.inf, 4.0])
    selected = run_funnel(frames, funnel({'type': 'random', 'n': 2}))
    known = {structure.provenance['k']: structure.provenance.get('uncertainty') for structure in selected}
    assert known == {0: None, 1: 4.0}
    json.dumps([structure.provenance for structure in selected], allow_nan=False)


@pytest.mark.parametrize('share', [{}, {'n': 3, 'fraction': 0.5}, {'fraction': 0.0}, {'fraction': 1.2}, {'n': 0}])
@pytest.mark.parametrize('stage', ['random', 'diversity', 'd_optimal'])
def test_picking_stages_need_exactly_one_share(stage, share):
    with pytest.raises(ValidationError):
        funnel({'type': stage} | share)


def test_ten_thousand_candidates_take_linear_time():
    rng = np.random.default_rng(0)
    frames = [Structure(Atoms('Cu2', [[0, 0, 0], rng.normal(size=3)], pbc=False), {}, {'k': k}) for k in range(10_000)]
    stages = [{'type': 'physicality'}, {'type': 'dedup'}, {'type': 'random', 'fraction': 1.0}, {'type': 'budget'}]
    times = []
    for n in (2500, 10_000):
        start = time.process_time()
        result = apply_funnel(frames[:n], funnel(*stages), FunnelContext(budget=500))
        times.append(time.process_time() - start)
    assert len(set(picks(result))) == 500
    assert 0 < result.report[0]['dropped'] < 10_000
    # Four times the frames: 16 times the time if any stage were quadratic.
    assert times[1] < 8 * times[0] + 0.5
    assert times[1] < 60
