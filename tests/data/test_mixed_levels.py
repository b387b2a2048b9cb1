"""What is said of labels that cannot share one dataset."""

from __future__ import annotations

import pytest

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData, describe_differences

pytestmark = pytest.mark.usefixtures('aiida_profile')

ADVICE = r'\. Label the structures again at one level, or keep one dataset for each level \(one head of a model each\)$'


def level(**content) -> str:
    shared = {'type': 'quantumespresso', 'kpoints_distance': 0.2, 'pseudos': {'Si': 'a' * 32, 'H': 'b' * 32}}
    return LevelOfTheoryData.get_or_create(shared | content).hash


def refusal(*levels: str) -> str:
    with pytest.raises(ValueError, match=ADVICE) as caught:
        DatasetData([], list(levels), {})
    return str(caught.value)


def test_the_keys_that_differ_are_named_with_their_values():
    one, two = sorted([level(ecutwfc=30.0), level(ecutwfc=40.0, spin='collinear')])
    text = refusal(one, two, one)
    assert text.startswith('labels of 2 levels of theory cannot share one dataset: ')
    assert f'(level {one[:8]})' in text
    assert f'(level {two[:8]})' in text
    assert 'ecutwfc is ' in text
    assert '30.0 (level ' in text
    assert '40.0 (level ' in text
    assert 'spin is ' in text
    assert 'absent (level ' in text
    for same in ('kpoints_distance', 'pseudos', 'type'):
        assert f'{same} is' not in text


def test_nested_tables_and_long_values():
    one, two = level(pseudos={'Si': 'a' * 32, 'H': 'c' * 32}), level(plugins=['x' * 40, 'y' * 40])
    text = describe_differences([one, two])
    assert 'pseudos.H is ' in text
    assert 'pseudos.Si' not in text
    assert 'y' * 40 not in text
    assert '…' in text
    shared = 'z' * 80
    assert 'remark is ' in describe_differences([level(remark=f'{shared}1'), level(remark=f'{shared}2')])


def test_three_levels_of_which_two_agree_in_a_key():
    hashes = sorted([level(ecutwfc=30.0), level(ecutwfc=30.0, degauss=0.01), level(ecutwfc=50.0, degauss=0.01)])
    text = refusal(*hashes)
    assert text.startswith('labels of 3 levels')
    pair = ', '.join(f'level {name[:8]}' for name in hashes if name != level(ecutwfc=50.0, degauss=0.01))
    assert f'30.0 ({pair})' in text


def test_many_differences_are_cut():
    keys = [f'key_{number:02d}' for number in range(14)]
    text = describe_differences([level(**dict.fromkeys(keys, 1.0)), level(**dict.fromkeys(keys, 2.0))])
    assert text.count(' is ') == 10
    assert text.endswith('; and 4 more')


def test_levels_that_are_not_in_the_database_keep_their_hashes():
    assert 'share one dataset: emt, pbe. Label' in refusal('pbe', 'emt')
    stored = level(ecutwfc=30.0)
    assert f'share one dataset: {", ".join(sorted([stored, "emt"]))}. Label' in refusal('emt', stored)
