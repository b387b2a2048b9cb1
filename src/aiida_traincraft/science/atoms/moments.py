"""Spin of free atoms."""

from __future__ import annotations

from ase.data import atomic_numbers, ground_state_magnetic_moments

CORRECTIONS = {'Ce': 0.0, 'Es': 3.0, 'Lr': 1.0}
"""Ground levels in the NIST Atomic Spectra Database: 1G4 (4f 5d 6s²), 4I15/2 (5f¹¹ 7s²), 2P1/2 (5f¹⁴ 7s² 7p). In ASE's
table the unpaired electrons of Ce and Es are odd and even, as their 58 and 99 electrons cannot have; it has no Lr."""


def ground_moment(element: str) -> float:
    """Magnetic moment of the spins of an isolated atom in its ground level (Bohr magnetons): its unpaired electrons.

    Raises
    ------
    ValueError
        If it is not known, beyond lawrencium.
    """
    number = atomic_numbers[element]
    if element in CORRECTIONS:
        return CORRECTIONS[element]
    if number > atomic_numbers['Lr']:
        raise ValueError(f'the ground level of the {element} atom is not known: give its E0')
    return float(ground_state_magnetic_moments[number])
