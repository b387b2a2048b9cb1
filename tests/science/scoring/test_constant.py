"""Errors beside those of a constant."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from aiida_traincraft.science.scoring.constant import is_worse, worse_than_constant
from aiida_traincraft.science.scoring.evaluation import evaluate
from aiida_traincraft.science.structure import Structure


def gold(stdev: float, system: str, n: int, a: float = 4.08) -> list[Structure]:
    """Cells of four gold atoms, labelled by EMT."""
    rng = np.random.default_rng(5)
    frames = []
    for _ in range(n):
        atoms = bulk('Au', 'fcc', a=a * (1 + stdev * rng.normal(scale=0.2)), cubic=True)
        atoms.positions += rng.normal(scale=stdev, size=atoms.positions.shape)
        atoms.calc = EMT()
        labels = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces(), 'stress': atoms.get_stress()}
        frames.append(Structure(atoms, labels, {'system': system}))
    return frames


def test_a_potential_of_another_kind_is_worse_where_it_is():
    errors, _ = evaluate(gold(0.05, 'crystal', 5), LennardJones(sigma=2.8, epsilon=1.0, rc=6.0))
    found = worse_than_constant(errors)
    assert [(row['property'], row['system']) for row in found] == [('energy', None), ('forces', None), ('stress', None)]
    for row in found:
        statistics = errors['overall'][row['property']]
        assert (row['rmse'], row['constant']) == (statistics['rmse'], statistics['std'])
        assert row['rmse'] > row['constant'] > 0
        assert row['unit'] == errors['units'][row['property']]


def test_the_teacher_itself_is_better_everywhere():
    # A perfect crystal has no forces, and energy and stress of a single one are a constant.
    frames = [*gold(0.05, 'crystal', 3), *gold(0.0, 'perfect', 1)]
    assert worse_than_constant(evaluate(frames, EMT())[0]) == []


def test_one_system_is_named_where_the_whole_is_better():
    narrow, wide = {'rmse': 0.3, 'std': 0.1, 'n': 9}, {'rmse': 0.3, 'std': 2.0, 'n': 18}
    errors = {
        'units': {'energy': 'eV/atom', 'forces': 'eV/Å'},
        'overall': {'energy': wide, 'forces': narrow},
        'per_system': {'a': {'energy': narrow, 'forces': narrow}, 'b': {'energy': wide, 'forces': wide}},
    }
    found = [(row['property'], row['system'], row['constant']) for row in worse_than_constant(errors)]
    assert found == [('forces', None, 0.1), ('energy', 'a', 0.1)]


@pytest.mark.parametrize(
    ('rmse', 'std', 'n', 'worse'),
    [(0.2, 0.1, 5, True), (0.1, 0.2, 5, False), (0.2, 0.0, 1, False), (2e-16, 1e-17, 3, False), (None, None, 0, False)],
)
def test_what_counts_as_worse(rmse, std, n, worse):
    assert is_worse({'rmse': rmse, 'std': std, 'n': n}) is worse
