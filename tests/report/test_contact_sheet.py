"""Pictures of structures: what is to the right and above."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matplotlib.figure import Figure
from matplotlib.image import imread

from aiida_traincraft.report.contact_sheet import Row, draw_contact_sheet, draw_view
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def axes():
    return Figure().subplots()


@pytest.mark.parametrize(('view', 'right', 'up'), [('x', 1, 2), ('y', 0, 2), ('z', 0, 1)])
def test_directions(axes, view, right, up):
    atoms = Atoms('H4', [[0, 0, 0], [8, 0, 0], [0, 9, 0], [0, 0, 10]])
    draw_view(axes, atoms, view)
    drawn = np.array([patch.center for patch in axes.patches])
    drawn -= drawn.min(axis=0)
    found, expected = (
        {tuple(place) for place in places.round(6).tolist()} for places in (drawn, atoms.positions[:, [right, up]])
    )
    assert found == expected
    assert axes.get_xlim()[1] - axes.get_xlim()[0] == pytest.approx(axes.get_ylim()[1] - axes.get_ylim()[0])


def test_sheet_grows_with_its_rows(tmp_path):
    rows = [Row('copper', Structure(bulk('Cu'))), Row('a_very_long_name_of_a_system_indeed', Structure(Atoms('H')), 3)]
    for n in (1, 2):
        draw_contact_sheet(rows[:n], tmp_path / f'{n}.png')
    one, two = (imread(tmp_path / f'{n}.png') for n in (1, 2))
    assert two.shape[0] > one.shape[0] + 100
    assert two.shape[1] == one.shape[1]
