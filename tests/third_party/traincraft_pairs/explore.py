"""Shaken training structures, drawn by a calcfunction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft import (
    Completed,
    ConfigIssue,
    DatasetData,
    Explorer,
    FramesData,
    PotentialData,
    Preflight,
    TraincraftWorkChain,
    define_explore_ports,
)
from traincraft_pairs.config import ShakeExploration, smallest_radius


class ShakeExplorer(Explorer[ShakeExploration]):
    """Hooks of the shaking."""

    def check(self, preflight: Preflight) -> list[ConfigIssue]:
        """Refuse displacements that would break everything."""
        if self.section.amplitude is None or not preflight.elements:
            return []
        largest = smallest_radius(preflight.elements) / 4
        if self.section.amplitude <= largest:
            return []
        return [self.issue('amplitude', f'{self.section.amplitude} Å breaks every bond: at most {largest:.2f} Å')]

    def complete(self, elements: frozenset[str], folder: Path) -> Completed:
        """Fill in the amplitude."""
        content = self.section.model_dump(mode='json')
        content['amplitude'] = content['amplitude'] or smallest_radius(elements) / 20
        return Completed(content)


@calcfunction
def shake(
    dataset: DatasetData, potential: PotentialData, seed: orm.Int, section: orm.Dict
) -> dict[str, FramesData | orm.Dict]:
    """Displace the atoms of every training structure once; keep what the potential can stand."""
    options, calculator = section.get_dict(), potential.get_calculator()
    rng = np.random.default_rng(seed.value)
    kept, left_out = [], 0
    for structure in dataset.iterate('train'):
        frame = structure.bare()
        frame.atoms.positions += rng.normal(scale=options['amplitude'], size=(len(frame), 3))
        frame.provenance = {'system': structure.provenance['system'], 'sampler': 'shake', 'seed': seed.value}
        if np.linalg.norm(calculator.get_forces(frame.atoms), axis=1).max() > options['max_force']:
            left_out += 1
        else:
            kept.append(frame)
    return {'frames': FramesData(kept), 'summary': orm.Dict({'kept': len(kept), 'left_out': left_out})}


class ExploreShakeWorkChain(TraincraftWorkChain):
    """Shake what the potential was trained on."""

    hooks = ShakeExplorer

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports and outline."""
        super().define(spec)
        define_explore_ports(spec)
        spec.outline(cls.shake)

    def shake(self) -> None:
        """Call the calcfunction."""
        made = self.call_once(
            'shake',
            shake,
            dataset=self.inputs.dataset,
            potential=self.inputs.potential,
            seed=self.inputs.seed,
            section=orm.Dict(self.config.exploration.model_dump(mode='json')),
        )
        self.out('frames', {'shaken': made['frames']})
        self.out('summaries', {'shaken': made['summary']})
