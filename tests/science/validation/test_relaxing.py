"""One crystal in several descriptions is one crystal to every validator that relaxes it."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, examine

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


def left_handed(atoms):
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])


def skewed(atoms):
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ atoms.cell.array)


def rotated(atoms):
    atoms.rotate(40.0, (1, 2, 3), rotate_cell=True)


def mirrored(atoms):
    left_handed(atoms)
    skewed(atoms)
    rotated(atoms)


@pytest.fixture(scope='module')
def numbers():
    """Function that tells the numbers of a validator for primitive copper in a description; each is computed once."""
    known = {}

    def find(validator, change=None):
        key = (validator['type'], change and change.__name__)
        if key not in known:
            atoms = bulk('Cu')
            if change is not None:
                change(atoms)
            config = parse_plugin('validator', validator | {'geometry': GEOMETRY})
            findings, _ = examine(config, Subject(EMT(), Structure(atoms)))
            assert findings.broken is None
            known[key] = findings.values
        return known[key]

    return find


@pytest.mark.parametrize('change', [left_handed, mirrored])
@pytest.mark.parametrize(
    ('validator', 'names'),
    [
        ({'type': 'eos'}, ('bulk_modulus', 'volume')),
        ({'type': 'vacancy', 'target_length': 7.0}, ('formation_energy',)),
        ({'type': 'phonons', 'repeat': [3, 3, 3], 'mesh': 8}, ('highest_frequency', 'mean_frequency')),
        ({'type': 'elastic'}, ('bulk_modulus', 'shear_modulus')),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_the_description_changes_no_number(numbers, change, validator, names):
    expected, found = numbers(validator), numbers(validator, change)
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=5e-3), name
