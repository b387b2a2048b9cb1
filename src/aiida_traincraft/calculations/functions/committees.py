"""Several MACE models as one potential."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aiida.engine import calcfunction

from aiida_traincraft.data.potentials.mace import COMPILED, LAMMPS, MODEL, MacePotentialData


@calcfunction
def make_committee(**members: MacePotentialData) -> MacePotentialData:
    """Join single models, in the order of their keys, to a committee; the files are shared, not stored again.

    Parameters
    ----------
    **members
        Models of the same architecture, cutoff, precision, heads and baseline, trained with different seeds.
    """
    nodes = [node for _, node in sorted(members.items())]
    first = nodes[0]
    with tempfile.TemporaryDirectory() as name:
        paths: dict[str, list[Path]] = {MODEL: [], COMPILED: [], LAMMPS: []}
        for index, node in enumerate(nodes):
            for pattern, found in paths.items():
                if (own := pattern.format(0)) in node.files:
                    found.append(Path(name) / pattern.format(index))
                    found[-1].write_bytes(node.read_file(own))
        return MacePotentialData(
            paths[MODEL],
            architecture=first.architecture,
            cutoff=first.cutoff,
            elements=first.elements,
            dtype=first.dtype,
            heads=first.heads,
            metrics={'members': [node.metrics for node in nodes], 'lammps': first.metrics.get('lammps')},
            compiled=paths[COMPILED],
            lammps=paths[LAMMPS],
            baseline=first.baseline,
        )
