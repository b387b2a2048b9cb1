"""One geometry as a node."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.orm.nodes.data.structure import Kind, Site
from ase.data import chemical_symbols

from aiida_traincraft.data.frames.base import FrameMixin
from aiida_traincraft.science.structure import Structure


class TrainingStructureData(FrameMixin, orm.StructureData):
    """A ``StructureData`` for every plugin that asks for one; its geometry is read from the batch on first use.

    Parameters
    ----------
    structure
        The geometry; properties are not kept, per-atom arrays and provenance are.

    Raises
    ------
    ValueError
        If the geometry is not valid.
    """

    def __init__(self, structure: Structure, **kwargs: Any) -> None:
        # StructureData's own constructor would write cell and sites as attributes.
        orm.Data.__init__(self, **kwargs)
        self._set_frame(structure.bare())

    @property
    def cell(self) -> list[list[float]]:
        """Cell vectors (Å)."""
        return [[float(x) for x in row] for row in self._frame.atoms.cell.array]

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Periodicity along the three cell vectors."""
        a, b, c = (bool(x) for x in self._frame.atoms.pbc)
        return a, b, c

    @property
    def pbc1(self) -> bool:
        """Periodicity along the first cell vector."""
        return self.pbc[0]

    @property
    def pbc2(self) -> bool:
        """Periodicity along the second cell vector."""
        return self.pbc[1]

    @property
    def pbc3(self) -> bool:
        """Periodicity along the third cell vector."""
        return self.pbc[2]

    @property
    def kinds(self) -> list[Kind]:
        """One kind per species, in order of appearance."""
        symbols = [chemical_symbols[z] for z in dict.fromkeys(self._frame.atoms.numbers.tolist())]
        return [Kind(symbols=symbol, name=symbol) for symbol in symbols]

    @property
    def sites(self) -> list[Site]:
        """Sites in the order of the atoms; positions in Å."""
        atoms = self._frame.atoms
        return [
            Site(kind_name=symbol, position=position)
            for symbol, position in zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True)
        ]

    def __str__(self) -> str:
        return f'structure {self.formula} ({self.n_atoms} atoms, {self.system or "no system"}) {self.fingerprint[:8]}'
