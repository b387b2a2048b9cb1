"""ACE potentials as nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida_traincraft.data.potentials.base import NO_BASELINE, PotentialData

SPECIES_BLOCK = re.compile(r'\s*-?\s*speciesblock:\s*["\']?([A-Za-z ]+)')
YAML, YACE, ASI = 'potential.yaml', 'potential.yace', 'potential.asi'
POSTERIOR = 'posterior.npz'


class PacePotentialData(PotentialData):
    """An ACE potential: B-basis ``potential.yaml``, and once it has an active set ``potential.yace`` and ``.asi``.

    Energies of the files are relative to isolated atoms (the ``.yace`` carries E0); :meth:`get_calculator` adds E0.

    Parameters
    ----------
    yaml
        The B-basis potential.
    e0
        Isolated-atom energies (eV) by element.
    cutoff
        Largest radial cutoff (Å).
    baseline
        What was subtracted from the labels, with all its parameters; a name stands for a table without any.
    metrics
        What the trainer reported.
    yace, asi
        The C-tilde potential and the active set inverse; both or neither.
    degenerate
        Whether γ of this active set is meaningless.

    Raises
    ------
    ValueError
        If the files do not belong together or an isolated-atom energy is missing.
    """

    role = 'pace'

    def __init__(
        self,
        yaml: Path,
        e0: dict[str, float],
        cutoff: float,
        baseline: str | Mapping[str, Any] = NO_BASELINE,
        metrics: dict[str, Any] | None = None,
        yace: Path | None = None,
        asi: Path | None = None,
        degenerate: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (yace is None) != (asi is None):
            raise ValueError('give both the .yace and the .asi file, or neither')
        if not e0:
            raise ValueError('a potential needs the isolated-atom energy of each of its elements')
        for name, path in ((YAML, yaml), (YACE, yace), (ASI, asi)):
            if path is not None:
                if path.stat().st_size == 0:
                    raise ValueError(f'{name} is empty')
                self.base.repository.put_object_from_file(str(path.resolve()), name)
        self.base.attributes.set_many(
            {
                'elements': sorted(_species(yaml) or e0),
                'e0': dict(e0),
                'cutoff': float(cutoff),
                'baseline': {'type': baseline} if isinstance(baseline, str) else dict(baseline),
                'metrics': metrics or {},
                'degenerate': degenerate,
                'has_active_set': asi is not None,
            }
        )
        self.keep_digests()

    @property
    def has_active_set(self) -> bool:
        """Whether γ can be computed."""
        return bool(self.base.attributes.get('has_active_set'))

    @property
    def is_degenerate(self) -> bool:
        """Whether the active set's γ is meaningless (too few different environments)."""
        return bool(self.base.attributes.get('degenerate'))

    @property
    def measure(self) -> str | None:
        """γ, once there is an active set."""
        return 'gamma' if self.has_active_set else None

    def job_table(self, head: str | None = None) -> dict[str, Any]:
        """Table of ``load_potential``."""
        table = {'type': 'pace', 'e0': self.e0, 'active_set': self.has_active_set, 'digests': self.digests}
        return table | {'baseline': self.baseline}

    def lammps_lines(self, elements: Sequence[str] | None = None) -> str:
        """Lines of a LAMMPS input (``units metal``) for atom types in the order of ``elements``."""
        types = self.lammps_types(elements)
        if not self.has_active_set:
            raise ValueError('LAMMPS needs the .yace file, which this potential has only with its active set')
        return self.lammps_pairs('pace product', types, f'{self.exported_name(YACE)} ')

    def python_lines(self) -> str:
        """Lines of Python that make an ASE calculator of the exported ``.yace``, without this node."""
        if not self.has_active_set:
            raise ValueError('these lines need the .yace file, which this potential has only with its active set')
        return self.python_sum('from pyace import PyACECalculator', f'PyACECalculator({self.exported_name(YACE)!r})')

    def __str__(self) -> str:
        state = (
            'degenerate active set' if self.is_degenerate else 'active set' if self.has_active_set else 'no active set'
        )
        functions = json.dumps(self.metrics.get('n_functions'))
        return f'ACE potential of {", ".join(self.elements)} ({functions} functions, {state})'


def _species(yaml: Path) -> set[str]:
    """Elements of the functions of a potential: energies of isolated atoms may be known of more."""
    found: set[str] = set()
    with yaml.open(encoding='utf-8', errors='replace') as handle:
        for line in handle:
            if (match := SPECIES_BLOCK.match(line)) is not None:
                found.update(match[1].split())
    return found
