from __future__ import annotations

from aiida import orm

from aiida_traincraft.data.filters import float_numbers
from aiida_traincraft.data.frames.label import LabelData


def test_numbers_become_floats_at_any_depth():
    filters = {'or': [{'a': {'<': 3}}, {'b': {'in': [1, 2.5, 'x']}}, {'c': True}, {'d': None}, {'e': {'of_length': 2}}]}
    made = float_numbers(filters)
    assert [type(value) for value in made['or'][1]['b']['in']] == [float, float, str]
    assert type(made['or'][0]['a']['<']) is float
    assert made['or'][2]['c'] is True
    assert type(made['or'][4]['e']['of_length']) is int
    assert made == filters


def test_bounds_are_those_of_the_numbers(copper_frames, aiida_profile):
    level = 'level of the filters'
    frame = copper_frames[0].copy()
    frame.provenance['level_of_theory'] = level
    frame.properties['energy'] = -10.5
    LabelData(frame).store()

    def count(condition):
        filters = {'and': [{'attributes.level_of_theory': level}, float_numbers(condition)]}
        return orm.QueryBuilder().append(LabelData, filters=filters).count()

    assert count({'attributes.energy': {'<': -10}}) == 1
    assert count({'attributes.energy': {'>=': -10}}) == 0
    assert count({'attributes.n_atoms': 8}) == 1
    assert count({'attributes.n_atoms': {'in': [4, 8]}}) == 1
    assert count({'attributes.elements': {'of_length': 1}}) == 1
