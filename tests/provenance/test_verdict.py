"""What is said of a potential."""

from __future__ import annotations

import io

from rich.console import Console

from aiida_traincraft.cli.tables import print_verdict
from aiida_traincraft.provenance.verdict import covered_by, statements

LAST = {'cycle': 6, 'potential': 'bb-2', 'force_rmse': 0.054, 'energy_rmse': 0.003}
BEST = {'cycle': 4, 'potential': 'aa-1', 'force_rmse': 0.0416, 'energy_rmse': 0.004}
WORSE = {
    'potential': 'last',
    'property': 'stress',
    'system': None,
    'rmse': 0.0316,
    'constant': 0.0085,
    'unit': 'eV/Å³',
}


def verdict(**changes):
    found = {'red': False, 'worse_than_constant': [], 'holes': [], 'untested_systems': [], 'last': LAST, 'best': LAST}
    return found | changes


def test_an_earlier_cycle_that_was_better_is_named_with_both_potentials():
    (line,) = statements(verdict(best=BEST))
    assert line.startswith('cycle 4 was better on the sealed test set than the last: 41.60 against 54.00 meV/Å;')
    assert 'potential aa-1, the last is bb-2' in line
    assert 'no independent figure' in line


def test_holes_are_told():
    lines = statements(verdict(holes=['Cu4 falls by 3 eV/atom behind a barrier, to 0.78 of its lengths']))
    assert lines[0] == 'hole in the last potential: Cu4 falls by 3 eV/atom behind a barrier, to 0.78 of its lengths'


def test_the_last_may_be_the_best():
    assert statements(verdict()) == ['best cycle on the sealed test set: 6, the last; potential bb-2']


def test_nothing_is_said_before_there_is_a_potential():
    assert statements(verdict(best=None, last=None)) == []


def test_what_a_constant_does_better_comes_first():
    student = WORSE | {'potential': 'student', 'property': 'dipole', 'unit': 'e·Å', 'system': 'wall'}
    lines = statements(verdict(worse_than_constant=[WORSE, student], untested_systems=['vacancy', 'surface']))
    assert lines[0] == (
        'worse than a constant: stress, 31.60 meV/Å³ on the sealed test set, where the mean of the labels errs by 8.50'
    )
    assert lines[1].startswith('worse than a constant: dipole of the student, 0.03 e·Å on wall of the sealed')
    assert lines[2] == 'without a label in the test set, so that no error tells of them: vacancy, surface'


def test_it_is_red_where_a_constant_is_better():
    def printed(**changes):
        console = Console(file=io.StringIO(), force_terminal=True, color_system='standard', markup=False)
        print_verdict(console, verdict(**changes))
        return console.file.getvalue()

    red = '\x1b[31m'
    assert red in printed(red=True, worse_than_constant=[WORSE])
    assert red not in printed(untested_systems=['vacancy'])


def test_which_system_of_the_test_set_is_of_which():
    config = {
        'systems': [{'name': 'crystal'}, {'name': 'vacancy'}, {'name': 'surface'}],
        'test_set': {
            'systems': [
                {'name': 'test_crystal', 'of': None},
                {'name': 'test_vacancy'},
                {'name': 'hot', 'of': 'surface'},
                {'name': 'hotter', 'of': 'surface'},
                {'name': 'alone'},
            ]
        },
    }
    # All labels of test_vacancy failed.
    found = covered_by(config, {'test_crystal': 3, 'hot': 2, 'hotter': 1, 'alone': 5})
    assert found == {'crystal': ['test_crystal'], 'vacancy': [], 'surface': ['hot', 'hotter'], 'alone': ['alone']}
