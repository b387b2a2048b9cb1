"""The sealed test set: what must not be trained on, since it tells what the test set is to ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ase.formula import Formula

from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE, kind, near_pairs
from aiida_traincraft.science.structure import Structure


@dataclass(frozen=True)
class SealedSet:
    """A test set, as far as new structures are held against it.

    Attributes
    ----------
    fingerprints
        Content hashes of all its structures.
    groups
        Groups (trajectories) that it has frames of.
    structures
        Its structures of the compositions of the new ones; others are never near duplicates.
    """

    fingerprints: Collection[str]
    groups: Collection[str]
    structures: Sequence[Structure]

    def refuse(self, frames: Sequence[Structure], tolerance: float = DEFAULT_TOLERANCE) -> dict[int, str]:
        """Find what is in the test set, shares a trajectory with it, or nearly repeats one of its structures.

        Parameters
        ----------
        frames
            New structures.
        tolerance
            Largest relative distance (no unit) of near duplicates.

        Returns
        -------
        dict
            Why, by the index of each frame that must not be trained on.

        Raises
        ------
        ValueError
            If a frame that is not refused otherwise cannot be described (see ``near_duplicates.describe``).
        """
        verdicts = {}
        for index, frame in enumerate(frames):
            if frame.content_hash() in self.fingerprints:
                verdicts[index] = 'in the test set'
            elif frame.group in self.groups:
                verdicts[index] = 'of a trajectory of the test set'
        kinds = {kind(structure) for structure in self.structures}
        rest = [index for index, frame in enumerate(frames) if index not in verdicts and kind(frame) in kinds]
        n_sealed = len(self.structures)
        for first, second, _ in near_pairs([*self.structures, *(frames[index] for index in rest)], tolerance):
            if first < n_sealed <= second:
                verdicts[rest[second - n_sealed]] = 'near duplicate in the test set'
        return verdicts


@lru_cache(maxsize=1024)
def composition(formula: str) -> str:
    """Reduced formula in Hill order: what near duplicates, supercells among them, share."""
    return str(Formula(formula).reduce()[0].convert('hill'))
