from __future__ import annotations

import click
import pytest

from aiida_traincraft.cli.ranges import Formula, Range


@pytest.mark.parametrize(
    ('text', 'bounds'),
    [('1:2', (1.0, 2.0)), ('-4.1:-3', (-4.1, -3.0)), ('1e-3:', (1e-3, None)), (':5', (None, 5.0)), ('2:2', (2.0, 2.0))],
)
def test_bounds(text, bounds):
    found = Range().convert(text, None, None)
    assert found == bounds
    # Integers would make SQLite compare truncated numbers.
    assert all(bound is None or isinstance(bound, float) for bound in found)
    assert Range().convert(found, None, None) == bounds


@pytest.mark.parametrize('text', ['', '3', 'a:b', '1:2:3', 'nan:1', '2:1'])
def test_no_bounds(text):
    with pytest.raises(click.BadParameter):
        Range().convert(text, None, None)


def test_formulas():
    assert Formula().convert('NiAl3', None, None) == Formula().convert('Al3Ni', None, None) == 'Al3Ni'
    for text in ('', 'Cu(', 'Xx7', '3'):
        with pytest.raises(click.BadParameter, match='no chemical formula'):
            Formula().convert(text, None, None)
