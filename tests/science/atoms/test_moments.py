from __future__ import annotations

import pytest
from ase.data import atomic_numbers, chemical_symbols

from aiida_traincraft.science.atoms.moments import ground_moment

# 2S + 1 of the ground levels of H to Lr in the NIST Atomic Spectra Database, row by row of the periodic table.
MULTIPLICITIES = [
    *(2, 1),
    *(2, 1, 2, 3, 4, 3, 2, 1),
    *(2, 1, 2, 3, 4, 3, 2, 1),
    *(2, 1, 2, 3, 4, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1),
    *(2, 1, 2, 3, 6, 7, 6, 5, 4, 1, 2, 1, 2, 3, 4, 3, 2, 1),
    *(2, 1, 2, 1, 4, 5, 6, 7, 8, 9, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1),
    *(2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 6, 5, 4, 3, 2, 1, 2),
]


@pytest.mark.parametrize('element', chemical_symbols[1:104])
def test_moments_are_those_of_the_ground_levels(element):
    number, moment = atomic_numbers[element], ground_moment(element)
    assert moment % 2 == number % 2
    assert moment == MULTIPLICITIES[number - 1] - 1


def test_what_nobody_knows_is_refused():
    assert len(MULTIPLICITIES) == 103
    with pytest.raises(ValueError, match='Rf'):
        ground_moment('Rf')
