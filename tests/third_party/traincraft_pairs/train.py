"""A Morse potential, fitted by a calcfunction, and its node."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from scipy.optimize import least_squares

from aiida_traincraft import (
    Completed,
    ConfigIssue,
    DatasetData,
    PotentialData,
    TraincraftWorkChain,
    Trainer,
    define_train_ports,
)
from traincraft_pairs.config import REACH, MorseConfig, MorseTraining, make_morse, smallest_radius


class MorsePotentialData(PotentialData):
    """A fitted Morse potential: the table of its calculator, also as a file for whoever uses it elsewhere."""

    def __init__(self, config: MorseConfig, metrics: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base.repository.put_object_from_filelike(io.BytesIO(config.model_dump_json().encode()), 'morse.json')
        self.base.attributes.set_many(
            {
                'calculator': config.model_dump(mode='json'),
                'elements': [config.element],
                'e0': {config.element: 0.0},
                'cutoff': REACH * config.distance,
                'metrics': metrics,
            }
        )

    @property
    def role(self) -> str:
        """Python with ase."""
        return 'ase'

    @property
    def measure(self) -> str | None:
        """Nothing tells what it does not know."""
        return None

    def job_table(self, head: str | None = None) -> dict[str, Any]:
        """Table of ``load_potential``."""
        return {'type': 'calculator', 'calculator': self.base.attributes.get('calculator'), 'files': []}


class MorseTrainer(Trainer[MorseTraining]):
    """Hooks of the fit."""

    def check_start(self, elements: frozenset[str], folder: Path) -> list[ConfigIssue]:
        """Refuse several elements."""
        if len(elements) > 1:
            return [self.issue('type', f'a Morse potential is for one element, not for {", ".join(sorted(elements))}')]
        return []

    def complete(self, elements: frozenset[str], folder: Path) -> Completed:
        """Fill in where the fit starts."""
        content = self.section.model_dump(mode='json')
        content['start_distance'] = content['start_distance'] or 2 * smallest_radius(elements)
        return Completed(content)


@calcfunction
def fit_morse(dataset: DatasetData, section: orm.Dict) -> dict[str, orm.Data]:
    """Fit depth, distance and stiffness to energies and forces; the isolated atom has the energy 0."""
    frames, options = dataset.get_structures('train'), section.get_dict()
    (element,) = dataset.e0

    def config(logarithms: np.ndarray) -> MorseConfig:
        depth, distance, stiffness = (float(value) for value in np.exp(logarithms))
        return MorseConfig(element=element, depth=depth, distance=distance, stiffness=stiffness)

    def residuals(logarithms: np.ndarray) -> np.ndarray:
        calculator, parts = make_morse(config(logarithms)), []
        for frame in frames:
            energy = calculator.get_potential_energy(frame.atoms) - frame.properties['energy']
            forces = calculator.get_forces(frame.atoms) - frame.properties['forces']
            parts += [[options['energy_weight'] * energy / len(frame)], forces.ravel()]
        return np.concatenate(parts)

    found = least_squares(residuals, np.log([0.02, options['start_distance'], 6.0]), xtol=1e-2)
    metrics = {'residual': float(np.sqrt(np.mean(found.fun**2))), 'evaluations': int(found.nfev)}
    return {'potential': MorsePotentialData(config(found.x), metrics), 'history': orm.Dict(metrics)}


class TrainMorseWorkChain(TraincraftWorkChain):
    """Fit a Morse potential."""

    hooks = MorseTrainer

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports and outline."""
        super().define(spec)
        define_train_ports(spec)
        spec.outline(cls.fit)

    def fit(self) -> None:
        """Call the calcfunction."""
        section = orm.Dict(self.config.training.model_dump(mode='json'))
        made = self.call_once('fit', fit_morse, dataset=self.inputs.dataset, section=section)
        self.out('potential', made['potential'])
        self.out('history', made['history'])
