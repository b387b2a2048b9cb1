"""MACE potentials as nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida_traincraft.data.potentials.base import NO_BASELINE, PotentialData
from aiida_traincraft.science.config.training.mace import FORCELESS, model_properties

MODEL, COMPILED, LAMMPS = 'model_{}.model', 'compiled_{}.model', 'lammps_{}.pt'
"""Names of a member's files."""


class MacePotentialData(PotentialData):
    """A MACE model, or a committee of models that differ in their seed.

    Energies are absolute: the models hold the isolated-atom energies.

    Parameters
    ----------
    models
        Trained models (``.model``), one per member.
    architecture
        Class of the models, such as ``ScaleShiftMACE``.
    cutoff
        Radial cutoff ``r_max`` (Å) of one layer.
    elements
        Elements that the models know.
    dtype
        ``float32`` or ``float64``.
    heads
        ``name``, ``e0`` (eV by element; empty without energies) and, where known, ``level_of_theory`` (hash) of each
        head; the last is the one that is meant where nobody chooses.
    metrics
        What the trainer reported.
    compiled, lammps
        The same models as TorchScript and for LAMMPS, one per member or none.
    baseline
        What was subtracted from the labels of all heads, with all its parameters.

    Raises
    ------
    ValueError
        If there is no model or no head, or a file is empty.
    """

    role = 'mace'

    def __init__(
        self,
        models: Sequence[Path],
        architecture: str,
        cutoff: float,
        elements: Sequence[str],
        dtype: str,
        heads: Sequence[Mapping[str, Any]],
        metrics: dict[str, Any] | None = None,
        compiled: Sequence[Path] = (),
        lammps: Sequence[Path] = (),
        baseline: Mapping[str, Any] = NO_BASELINE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not models or not heads:
            raise ValueError('a MACE potential needs at least one model and one head')
        for pattern, paths in ((MODEL, models), (COMPILED, compiled), (LAMMPS, lammps)):
            for index, path in enumerate(paths):
                if path.stat().st_size == 0:
                    raise ValueError(f'{path.name} is empty')
                self.base.repository.put_object_from_file(str(path.resolve()), pattern.format(index))
        e0 = dict(heads[-1]['e0'])
        self.base.attributes.set_many(
            {
                'elements': sorted(elements),
                'e0': e0,
                'cutoff': float(cutoff),
                'architecture': architecture,
                'dtype': dtype,
                'heads': [dict(head) for head in heads],
                'n_models': len(models),
                'metrics': metrics or {},
                'baseline': dict(baseline),
            }
        )
        self.keep_digests()

    @property
    def n_models(self) -> int:
        """Number of members of the committee."""
        return int(self.base.attributes.get('n_models'))

    @property
    def architecture(self) -> str:
        """Class of the models."""
        return str(self.base.attributes.get('architecture'))

    @property
    def dtype(self) -> str:
        """Precision of the models."""
        return str(self.base.attributes.get('dtype'))

    @property
    def heads(self) -> list[dict[str, Any]]:
        """``name``, ``e0`` (eV) and ``level_of_theory`` (hash, where known) of each head."""
        return list(self.base.attributes.get('heads'))

    @property
    def gives_forces(self) -> bool:
        """Whether it has energies and forces, not dipoles alone."""
        return self.architecture not in FORCELESS

    @property
    def properties(self) -> Collection[str]:
        """Those of the models' class."""
        return model_properties(self.architecture)

    @property
    def measure(self) -> str | None:
        """Spread of the forces (eV/Å), of a committee that gives forces."""
        return 'spread' if self.n_models > 1 and self.gives_forces else None

    def head_for(self, levels: Collection[str]) -> str | None:
        """Head that was trained on these levels of theory; the last one, if it was, before others.

        Raises
        ------
        ValueError
            If there are several heads and it is not clear which.
        """
        names = [str(head['name']) for head in self.heads]
        if len(names) == 1:
            return names[0]
        found = [str(head['name']) for head in self.heads if head.get('level_of_theory') in levels]
        if found[-1:] == names[-1:]:
            return names[-1]
        if len(found) != 1:
            raise ValueError(
                f'{"several heads" if found else "no head"} of this potential ({", ".join(names)}) belong to the level '
                f'of theory {", ".join(sorted(levels)) or "(unknown)"}: name the head'
            )
        return found[0]

    def job_table(self, head: str | None = None) -> dict[str, Any]:
        """Table of ``load_potential``; ``head`` is the last one unless given.

        Raises
        ------
        ValueError
            If there is no such head.
        """
        heads = {str(item['name']): item for item in self.heads}
        chosen = head or str(self.heads[-1]['name'])
        if chosen not in heads:
            raise ValueError(f'there is no head {chosen!r}; this potential has {", ".join(heads)}')
        return {
            'type': 'mace',
            'models': [MODEL.format(index) for index in range(self.n_models)],
            'head': chosen,
            'model': self.architecture,
            'dtype': self.dtype,
            'e0': dict(heads[chosen]['e0']),
            'elements': self.elements,
            'digests': self.digests,
            'baseline': self.baseline,
        }

    def lammps_lines(self, elements: Sequence[str] | None = None) -> str:
        """Lines of a LAMMPS input (``units metal``, ``atom_style atomic``) for atom types in the order of ``elements``.

        Raises
        ------
        ValueError
            If the potential was trained without a form for LAMMPS, or does not know an element.
        """
        name, types = LAMMPS.format(0), self.lammps_types(elements)
        if name not in self.files:
            raise ValueError('there is no form for LAMMPS: train with lammps = "libtorch" or "mliap"')
        exported = self.exported_name(name)
        if self.metrics.get('lammps') == 'mliap':
            return self.lammps_pairs(f'mliap unified {exported} 0', types)
        return self.lammps_pairs('mace no_domain_decomposition', types, f'{exported} ')

    def python_lines(self) -> str:
        """Lines of Python that make an ASE calculator of the exported models, without this node."""
        names = [self.exported_name(MODEL.format(index)) for index in range(self.n_models)]
        return self.python_sum(
            'from mace.calculators import MACECalculator',
            f"MACECalculator({names!r}, device='cpu', default_dtype={self.dtype!r}, head={self.heads[-1]['name']!r})",
        )

    def __str__(self) -> str:
        heads = f', heads {", ".join(str(head["name"]) for head in self.heads)}' if len(self.heads) > 1 else ''
        kind = 'model' if self.n_models == 1 else f'committee of {self.n_models}'
        return f'MACE {kind} of {", ".join(self.elements)} ({self.architecture}, {self.dtype}{heads})'
