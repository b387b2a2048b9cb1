"""Under which keys files hold labels: families of keys, and what a frame's own keys say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from aiida_traincraft.science.datasets.refusals import FrameError

FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    # MACE and this project.
    'REF': {
        'energy': ('REF_energy',),
        'forces': ('REF_forces', 'REF_force'),
        'stress': ('REF_stress',),
        'virial': ('REF_virials', 'REF_virial'),
        'dipole': ('REF_dipole',),
        'polarizability': ('REF_polarizability',),
    },
    # GAP.
    'dft': {
        'energy': ('dft_energy',),
        'forces': ('dft_forces', 'dft_force'),
        'stress': ('dft_stress',),
        'virial': ('dft_virial', 'dft_virials'),
        'dipole': ('dft_dipole',),
        'polarizability': ('dft_polarizability',),
    },
    # ASE, DP-GEN (dpdata), NEP; pacemaker's table.
    'plain': {
        'energy': ('energy', 'free_energy', 'energy_corrected'),
        'forces': ('forces', 'force'),
        'stress': ('stress',),
        'virial': ('virial', 'virials'),
        'dipole': ('dipole',),
        'polarizability': ('polarizability',),
    },
}
"""Keys of each family, in any case; the labels of a frame are all of one. Virial (eV) is minus stress times volume."""
LABELS = tuple(FAMILIES['REF'])
NAMES = {'system': 'config_type', 'group': 'group'}
PROPERTIES = (*LABELS, *NAMES)
"""What a key can be chosen for."""
NOTEWORTHY = re.compile(
    'energ|forc|stress|virial|dipol|polari[sz]|lattice|(^|_)cell($|_)|^pbc|weight|mask', re.IGNORECASE
)
"""Keys that look like a label, a lattice, a weight or a mask."""


@dataclass
class LabelKeys:
    """Which keys of a file hold its labels: those that the user chose, and what was found by ``FAMILIES``.

    Attributes
    ----------
    chosen
        Key by property, as it stands in the file; what is chosen is looked for under no other key.
    counts
        Frames whose labels were under each key.
    unused
        Frames with each key that looks like a label, a lattice, a weight or a mask and was not used.
    families
        Frames of each family.
    free_energies
        Frames whose force-consistent ``free_energy`` was taken in place of another ``energy``.
    """

    chosen: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    free_energies: int = 0

    def missing(self) -> list[str]:
        """Tell of every chosen key that no frame had."""
        return [
            f'no frame has the key of --key {name}={key}' for name, key in self.chosen.items() if not self.counts[key]
        ]

    def notes(self) -> list[str]:
        """Tell what the user should know of the labels that were taken."""
        found = []
        if len(self.families) > 1:
            numbers = ', '.join(f'{name} ({count})' for name, count in self.families.items())
            found.append(f'frames have keys of several families, {numbers}: labels of one calculator? --key chooses')
        if self.free_energies:
            found.append(
                f'energy and free_energy differ in {self.free_energies} frames: free_energy, which the forces derive '
                'from, was taken; --key energy=energy takes the other'
            )
        return found


@dataclass(frozen=True)
class Sources:
    """Where frames with the same keys have their labels."""

    keys: dict[str, str]
    """Key by property."""
    twins: dict[str, tuple[str, ...]]
    """Further keys of the same family by property, which must hold the same."""
    family: str
    unused: tuple[str, ...]


@lru_cache(maxsize=1000)
def find_sources(info: tuple[str, ...], columns: tuple[str, ...], chosen: tuple[tuple[str, str], ...]) -> Sources:
    """Find out which keys of a frame hold its labels.

    Parameters
    ----------
    info, columns
        Keys of the frame and names of its columns.
    chosen
        Pairs of property and key.

    Raises
    ------
    FrameError
        If two keys differ in nothing but their case.
    """
    asked = dict(chosen)

    def present(name: str, key: str) -> list[str]:
        return [other for other in (columns if name == 'forces' else info) if other.casefold() == key.casefold()]

    keys = {name: key for name, key in chosen if key in (columns if name == 'forces' else info)}
    family = _family(asked, present)
    twins: dict[str, tuple[str, ...]] = {}
    wanted = {} if family is None else FAMILIES[family]
    for name, known in (wanted | {name: (key,) for name, key in NAMES.items()}).items():
        # Who names a stress or a virial wants no other.
        if name in asked or (name in ('stress', 'virial') and {'stress', 'virial'} & set(asked)):
            continue
        found = [other for key in known for other in present(name, key)]
        if len({key.casefold() for key in found}) < len(found):
            raise FrameError('keys', f'has {" and ".join(map(repr, found))}: choose with --key {name}=KEY')
        if found:
            keys[name], twins[name] = found[0], tuple(found[1:])
    used = {*keys.values(), *(key for found in twins.values() for key in found)}
    unused = tuple(key for key in (*info, *columns) if key not in used and NOTEWORTHY.search(key))
    return Sources(keys, twins, family or 'chosen', unused)


def _family(asked: dict[str, str], present: Callable[[str, str], list[str]]) -> str | None:
    """Family of the keys that were chosen, else the first of which the frame has energy or forces."""
    for name in ('energy', 'forces'):
        if name in asked:
            known = (
                family for family, keys in FAMILIES.items() if asked[name].casefold() in map(str.casefold, keys[name])
            )
            return next(known, None)
    for family, keys in FAMILIES.items():
        if any(present(name, key) for name in ('energy', 'forces') for key in keys[name]):
            return family
    return None


def missing_label(name: str, sources: Sources, keys: LabelKeys, present: Sequence[str]) -> str:
    """Tell that a frame lacks a property, where it was looked for, and what is there instead."""
    if name in keys.chosen:
        looked = repr(keys.chosen[name])
    else:
        families = [sources.family] if sources.family in FAMILIES else list(FAMILIES)
        looked = ', '.join(key for family in families for key in FAMILIES[family][name])
    others = [key for key in present if name[:5] in key.casefold()]
    there = f'; it has {", ".join(others)}, of another family or name' if others else ''
    return f'has no {name} (looked for {looked}){there}; choose with --key {name}=KEY'
