"""The trainer seam ``traincraft.train.<type>``: its ports, and what a trainer is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from aiida import orm

from aiida_traincraft.calculations.base import WORSE_THAN_CONSTANT
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.kinds import TrainerConfig
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.workchains.seams.base import Seam, hooks_of

Training = TypeVar('Training', bound=TrainerConfig)


def define_train_ports(spec: Any) -> None:
    """Define the ports of a trainer's WorkChain."""
    spec.input('dataset', valid_type=DatasetData, help='Labels to train on.')
    spec.input('test_set', valid_type=DatasetData, required=False, help='Sealed test set, followed while training.')
    spec.input('initial', valid_type=PotentialData, required=False, help='Potential to start from.')
    spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the training.')
    spec.output('potential', valid_type=PotentialData, help='The trained potential.')
    spec.output('descriptors', valid_type=orm.ArrayData, required=False, help='Descriptors of the training set.')
    spec.output('history', valid_type=orm.Dict, required=False, help='Loss and errors by iteration.')
    spec.exit_code(
        WORSE_THAN_CONSTANT, 'ERROR_WORSE_THAN_CONSTANT', message='The potential is kept, but poor: {reason}'
    )


class Trainer(Seam[Training]):
    """Hooks of a trainer."""

    prefix: ClassVar[str] = 'train'
    model_key: ClassVar[str] = 'type'
    """Key that decides what its potentials give."""
    explores: bool = True
    """Whether the potential is to drive explorations."""

    def check(self, preflight: Preflight) -> list[ConfigIssue]:
        """Find out whether the potential can drive explorations, and what would make the training fail."""
        forces = self.check_forces() if self.explores else []
        return forces + self.check_start(preflight.elements, preflight.folder)

    def check_forces(self) -> list[ConfigIssue]:
        """Find out whether the potential can drive explorations."""
        if 'forces' in self.section.given_properties():
            return []
        model = getattr(self.section, self.model_key)
        message = (
            f'{model} gives no forces, so nothing can be explored with it; train it on the dataset of a '
            'campaign: "traincraft train FILE --dataset CAMPAIGN"'
        )
        return [self.issue(self.model_key, message)]

    def check_start(self, elements: frozenset[str], folder: Path) -> list[ConfigIssue]:
        """Find out what would make the training fail: models to start from, further datasets.

        Parameters
        ----------
        elements
            Elements of the dataset.
        folder
            Folder that relative paths refer to.
        """
        return []

    def check_dataset(self, dataset: DatasetData) -> list[ConfigIssue]:
        """Find out why a training on a dataset that is there would fail; a campaign's is not there yet."""
        return []


def trainer_of(section: TrainerConfig, place: str = 'training', explores: bool = True) -> Trainer[Any]:
    """Hooks of the trainer that a section stands for; ``explores``: whether its potential drives explorations."""
    hooks: Trainer[Any] = hooks_of(Trainer.prefix, section, place)
    hooks.explores = explores
    return hooks
