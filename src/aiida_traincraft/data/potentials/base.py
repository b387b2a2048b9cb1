"""Trained potentials as nodes."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.models.pair import TABLE_POINTS, PairCalculator, lammps_table

NO_BASELINE: Mapping[str, Any] = {'type': 'none'}
BASELINE_TABLE = 'baseline.table'
"""Pair energies of the baseline for LAMMPS, among the exported files."""


class PotentialData(orm.Data):
    """A trained potential, whoever trained it: what exploration, scoring and reports ask of it."""

    @property
    def role(self) -> str:
        """Code of ``[codes]`` that evaluates it."""
        raise NotImplementedError

    @property
    def gives_forces(self) -> bool:
        """Whether it has energies and forces."""
        return True

    @property
    def properties(self) -> Collection[str]:
        """What it gives: ``energy``, ``forces``, ``stress``, ``dipole``, ``polarizability``."""
        return ('energy', 'forces', 'stress')

    @property
    def measure(self) -> str | None:
        """What its uncertainty is: ``gamma`` (no unit), ``spread`` (eV/Å), or None if it has none."""
        raise NotImplementedError

    def job_table(self, head: str | None = None) -> dict[str, Any]:
        """What a task on a compute node needs to know beside the files, as ``load_potential`` takes it."""
        raise NotImplementedError

    def head_for(self, levels: Collection[str]) -> str | None:
        """Head that gives energies of these levels of theory (hashes); None where there is no choice."""
        return None

    @property
    def baseline(self) -> dict[str, Any]:
        """What was subtracted from the labels and is added by :meth:`get_calculator`, with all its parameters."""
        stored = self.base.attributes.get('baseline', NO_BASELINE)
        # Older nodes have its name alone.
        return {'type': stored} if isinstance(stored, str) else dict(stored)

    @property
    def adds_baseline(self) -> bool:
        """Whether energies and forces of the files are only what was learnt beside the baseline.

        Raises
        ------
        ConfigError
            If the baseline is of a plugin that is not loaded.
        """
        return parse_plugin('baseline', self.baseline).subtracts

    @property
    def is_degenerate(self) -> bool:
        """Whether its uncertainty says nothing although there is one."""
        return False

    @property
    def elements(self) -> list[str]:
        """Elements, alphabetical."""
        return list(self.base.attributes.get('elements'))

    def lammps_types(self, elements: Sequence[str] | None) -> str:
        """Elements of LAMMPS's atom types, by default all.

        Raises
        ------
        ValueError
            If the potential does not know one of them.
        """
        if unknown := sorted(set(elements or ()) - set(self.elements)):
            raise ValueError(f'the potential has no {", ".join(unknown)}; it knows {", ".join(self.elements)}')
        return ' '.join(elements or self.elements)

    @property
    def e0(self) -> dict[str, float]:
        """Isolated-atom energies (eV) by element."""
        return {key: float(value) for key, value in self.base.attributes.get('e0').items()}

    @property
    def cutoff(self) -> float:
        """Largest radial cutoff (Å)."""
        return float(self.base.attributes.get('cutoff'))

    @property
    def metrics(self) -> dict[str, Any]:
        """What the trainer reported."""
        return dict(self.base.attributes.get('metrics'))

    @property
    def files(self) -> list[str]:
        """Names of the files that the node holds."""
        return list(self.base.repository.list_object_names())

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the files, as they were when the node was made; older nodes do not tell."""
        return dict(self.base.attributes.get('digests', {}))

    def keep_digests(self) -> None:
        """Keep the digests of all files, to hold whoever reads them against."""
        contents = {name: self.base.repository.get_object_content(name, mode='rb') for name in self.files}
        self.base.attributes.set('digests', {name: sha256(content).hexdigest() for name, content in contents.items()})

    def read_file(self, name: str) -> bytes:
        """Content of a file.

        Raises
        ------
        ValueError
            If it is not what was stored.
        """
        content: bytes = self.base.repository.get_object_content(name, mode='rb')
        told = self.digests.get(name)
        if told is not None and sha256(content).hexdigest() != told:
            raise ValueError(f'{name} of potential {self.uuid} is not what was stored: its file is damaged')
        return content

    def write_files(self, folder: Path) -> None:
        """Copy the potential's files into a folder.

        Raises
        ------
        ValueError
            If a file is not what was stored.
        """
        for name in self.files:
            (folder / name).write_bytes(self.read_file(name))

    def exported_name(self, name: str) -> str:
        """Name under which a file is given away: it says where the baseline is still to be added."""
        stem, dot, ending = name.rpartition('.')
        return f'{stem}.without_baseline{dot}{ending}' if self.adds_baseline else name

    def export_files(self, folder: Path) -> list[str]:
        """Write the files to give away into a folder, with the baseline as a table for LAMMPS where it is of pairs.

        Returns
        -------
        list of str
            Their names.

        Raises
        ------
        ValueError
            If a file is not what was stored.
        """
        contents = {self.exported_name(name): self.read_file(name) for name in self.files}
        if (calculator := self._pair_baseline()) is not None:
            contents[BASELINE_TABLE] = lammps_table(calculator).encode()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return sorted(contents)

    def lammps_pairs(self, style: str, types: str, file: str = '') -> str:
        """Lines of a LAMMPS input for a pair style, with the baseline as a table laid over it.

        Parameters
        ----------
        style
            Style with its arguments.
        types
            Elements of the atom types.
        file
            What ``pair_coeff`` has before the elements.

        Raises
        ------
        ValueError
            If the baseline is not one of pairs.
        """
        if not self.adds_baseline:
            return f'pair_style {style}\npair_coeff * * {file}{types}\n'
        calculator = self._pair_baseline()
        if calculator is None:
            raise ValueError(f'the baseline "{self.baseline["type"]}" is no pair potential: LAMMPS has no table of it')
        lines = [f'pair_style hybrid/overlay {style} table spline {TABLE_POINTS}']
        lines += [f'pair_coeff * * {style.split(maxsplit=1)[0]} {file}{types}']
        for (first, one), (second, other) in combinations_with_replacement(enumerate(types.split(), 1), 2):
            pair = min(one, other), max(one, other)
            if pair in calculator.curves:
                lines.append(f'pair_coeff {first} {second} table {BASELINE_TABLE} {"-".join(pair)}')
        return '\n'.join(lines) + '\n'

    def python_sum(self, line: str, learned: str) -> str:
        """Lines of Python: an import, and the expression of a calculator with the baseline added once."""
        if not self.adds_baseline:
            return f'{line}\n\ncalculator = {learned}\n'
        imports = (
            f'from ase.calculators.mixing import SumCalculator\n{line}\n\nfrom aiida_traincraft import make_baseline'
        )
        return (
            f'{imports}\n\nlearned = {learned}\nbaseline = make_baseline({self.baseline!r})\n'
            'calculator = SumCalculator([learned, baseline])\n'
        )

    def _pair_baseline(self) -> PairCalculator | None:
        """Calculator of the baseline, if it is added and of pairs."""
        calculator = make_baseline(self.baseline) if self.adds_baseline else None
        return calculator if isinstance(calculator, PairCalculator) else None

    def get_calculator(self, head: str | None = None, device: str = 'cpu') -> Any:
        """ASE calculator with absolute energies; ``results['uncertainty']`` while ``with_uncertainty`` is set.

        Parameters
        ----------
        head
            Head of a multi-head model.
        device
            torch's name of the device that a MACE model runs on.

        Raises
        ------
        ModuleNotFoundError
            If the potential's own package (python-ace, mace-torch) is not installed here.
        """
        with tempfile.TemporaryDirectory() as name:
            self.write_files(Path(name))
            return load_potential(self.job_table(head), Path(name), device)
