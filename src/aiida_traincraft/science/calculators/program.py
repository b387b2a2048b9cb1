"""Programs that ASE runs: one calculation, one folder, and errors that say what the program said."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import warnings
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes, kptdensity2monkhorstpack

from aiida_traincraft.science.atoms.moments import ground_moment

TAIL = 12
"""Lines of a program's output that an error repeats."""


class Program(Calculator):  # type: ignore[misc]
    """A program, run for each structure in a folder that is removed afterwards.

    Parameters
    ----------
    name
        Name of the calculator, for errors.
    make
        Makes ASE's calculator for a folder and for atoms.
    properties
        Gives the properties that are asked for, for atoms.
    vacuum
        With it, the program gets atoms that are periodic in all directions, see :func:`boxed`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Path, Atoms], Any],
        properties: Callable[[Atoms], list[str]],
        vacuum: float | None = None,
    ) -> None:
        super().__init__()
        self._title, self._make, self._properties, self._vacuum = name, make, properties, vacuum
        self.implemented_properties = ['energy', 'free_energy', 'forces', 'stress', 'dipole']

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: list[str] = all_changes
    ) -> None:
        """Run the program.

        Raises
        ------
        CalculationFailed
            With the last lines of what the program wrote.
        """
        super().calculate(atoms, properties or ['energy'], system_changes)
        wanted, atoms = self._properties(self.atoms), grounded(self.atoms)
        ready = atoms if self._vacuum is None else boxed(atoms, self._vacuum)
        # In the present folder: that of a job is shared by all its nodes.
        with TemporaryDirectory(prefix=f'{self._title}-', dir=Path.cwd()) as place, warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)
            folder = Path(place)
            inner = self._make(folder, atoms)
            try:
                inner.calculate(ready, wanted, all_changes)
            except Exception as error:
                reason = (
                    f'exit status {error.returncode}'
                    if isinstance(error, subprocess.CalledProcessError)
                    else f'{type(error).__name__}: {error}'
                )
                raise CalculationFailed(f'{self._title} failed ({reason}){_tail(folder)}') from None
        self.results = {key: inner.results[key] for key in ('free_energy', *wanted) if key in inner.results}


def find_command(given: str | None, variable: str, default: str, environment: dict[str, str] | Any) -> str:
    """Command of a program: the key, the variable of the environment, or the usual name.

    Raises
    ------
    ValueError
        If there is no such program.
    """
    command = given or environment.get(variable) or default
    try:
        program = shlex.split(command)[0]
    except (ValueError, IndexError):
        raise ValueError(f'"command" {command!r} is no command line') from None
    if shutil.which(program) is None:
        raise ValueError(f'there is no program {program!r}: set "command" or the environment variable {variable}')
    return command


def refuse_reserved(given: Iterable[str], reserved: Collection[str]) -> None:
    """Refuse keywords of a program that follow from other keys, or that would make a result no label.

    Raises
    ------
    ValueError
        Naming them.
    """
    found = sorted(set(map(str.lower, given)) & set(reserved))
    if found:
        raise ValueError(
            f'"parameters" cannot set {", ".join(found)}: it follows from other keys, or is always the same'
        )


def is_lone(atoms: Atoms) -> bool:
    """Whether this is an isolated atom."""
    return len(atoms) == 1 and not atoms.pbc.any()


def grounded(atoms: Atoms) -> Atoms:
    """Copy in which an isolated atom without a moment has that of its ground level (Bohr magnetons): E0 is its energy.

    Raises
    ------
    ValueError
        If the ground level of the element is not known.
    """
    copy = atoms.copy()
    if is_lone(atoms) and not atoms.get_initial_magnetic_moments().any():
        copy.set_initial_magnetic_moments([ground_moment(atoms.get_chemical_symbols()[0])])
    return copy


def boxed(atoms: Atoms, vacuum: float) -> Atoms:
    """Copy that is periodic in all directions, with vacuum (Å) on both sides where it was not."""
    copy = atoms.copy()
    axes = np.flatnonzero(~atoms.pbc)
    if len(axes):
        copy.center(vacuum=vacuum, axis=tuple(axes.tolist()))
        copy.pbc = True
    return copy


def k_grid(atoms: Atoms, distance: float) -> tuple[int, int, int]:
    """Numbers of k-points of a Gamma-centred grid no wider than a distance (1/Å, with the factor 2π)."""
    one, two, three = kptdensity2monkhorstpack(atoms, 1.0 / distance, even=False)
    return int(one), int(two), int(three)


def _tail(folder: Path) -> str:
    written = [path for path in sorted(folder.glob('*')) if path.suffix in ('.pwo', '.out', '.err')]
    lines = [
        line
        for path in written
        for line in path.read_text(errors='replace', encoding='utf-8').splitlines()
        if line.strip()
    ]
    return ''.join(f'\n  {line.rstrip()}' for line in lines[-TAIL:])
