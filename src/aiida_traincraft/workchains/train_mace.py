"""MACE: the data once, then a committee of trainings that differ in their seed."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.functions.committees import make_committee
from aiida_traincraft.calculations.functions.gathering import gather_dataset
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.leakage import find_known, tell
from aiida_traincraft.data.level_of_theory import full_level_hash
from aiida_traincraft.science.config.training.mace import PT_HEAD, MaceTraining
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.training.mace.input import check_data
from aiida_traincraft.workchains.seams.mace import MaceTrainer
from aiida_traincraft.workchains.seams.trainer import define_train_ports
from aiida_traincraft.workchains.throttled import ThrottledWorkChain
from aiida_traincraft.workchains.train_mace_member import TrainMaceMemberWorkChain

LEAST_MEMBERS = 2
"""Members that must succeed for a committee still to have a spread."""


class TrainMaceWorkChain(ThrottledWorkChain):
    """Send the datasets of all heads once, train ``committee`` models, at most ``max_concurrent`` at a time."""

    hooks = MaceTrainer

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_train_ports(spec)
        # The model to start from is a matter of the section "foundation".
        del spec.inputs['initial']
        spec.outline(
            cls.prepare,
            cls.send_data,
            cls.inspect_data,
            while_(cls.has_work)(cls.fill_slots, cls.collect),
            cls.results,
        )
        spec.exit_code(210, 'ERROR_BAD_DATA', message='Nothing can be trained on these data: {reason}')
        spec.exit_code(
            400, 'ERROR_DATA_FAILED', message='Data and settings were not accepted where MACE runs: {reason}'
        )
        spec.exit_code(401, 'ERROR_TRAINING_FAILED', message='{failed} of {total} trainings failed: {reason}')

    def prepare(self) -> ExitCode | None:
        """Find the dataset of each head."""
        training = self._training()
        try:
            datasets = self._datasets(training)
            for name, node in datasets.items():
                self._check_unsealed(name, node)
                check_data(training, name, node.get_structures('train'), node.e0)
        except ValueError as error:
            return self.exit_codes.ERROR_BAD_DATA.format(reason=error)
        self.ctx.datasets = {name: node.uuid for name, node in datasets.items()}
        self.ctx.queue = list(range(training.committee))
        self.ctx.running, self.ctx.ended = {}, {}
        return None

    def send_data(self) -> ToContext:
        """Write the data where the trainings run."""
        parameters = {'training': self.config.training.model_dump(mode='json')} | self.device_of('mace_train')
        inputs = self.job_inputs('mace_train') | self._sources() | {'parameters': orm.Dict(parameters)}
        return ToContext(data=self.submit_once('data', CalculationFactory('traincraft.mace_data'), inputs))

    def inspect_data(self) -> ExitCode | None:
        """Stop before anything is trained if the installed MACE cannot do it."""
        if (reason := self.failed([self.ctx.data])) is None:
            return None
        return self.exit_codes.ERROR_DATA_FAILED.format(reason=reason)

    def has_work(self) -> bool:
        """Whether a training runs or waits."""
        return bool(self.ctx.queue or self.ctx.running)

    def fill_slots(self) -> ToContext:
        """Start what fits, and wait for the first to end."""
        for _ in range(min(self.free_slots(len(self.ctx.running)), len(self.ctx.queue))):
            index = self.ctx.queue.pop(0)
            inputs = (
                self.shared_inputs()
                | self._sources()
                | {
                    'data': self.ctx.data.outputs.remote_folder,
                    'heads': self.ctx.data.outputs.heads,
                    'seed': derive_seed(self.inputs.seed.value, 'member', index),
                    'descriptors': index == 0,
                }
            )
            key = f'member_{index:02d}'
            self.ctx.running[key] = self.submit_once(key, TrainMaceMemberWorkChain, inputs).uuid
        return ToContext(**{key: orm.load_node(uuid) for key, uuid in self.ctx.running.items()})

    def collect(self) -> None:
        """Note which trainings have ended."""
        for key, uuid in list(self.ctx.running.items()):
            if orm.load_node(uuid).is_terminated:
                self.ctx.ended[key] = self.ctx.running.pop(key)
                self.ctx.pop(key, None)

    def results(self) -> ExitCode | None:
        """Join the models that there are."""
        members = {key: orm.load_node(uuid) for key, uuid in sorted(self.ctx.ended.items())}
        good = {key: node for key, node in members.items() if node.is_finished_ok}
        reason = self.failed(members.values())
        if len(good) < min(LEAST_MEMBERS, len(members)):
            return self.exit_codes.ERROR_TRAINING_FAILED.format(
                failed=len(members) - len(good), total=len(members), reason=reason
            )
        if reason is not None:
            self.report(f'the committee has {len(good)} members, {len(members)} were wanted: {reason}')
        first = next(iter(good.values()))
        potentials = {key: node.outputs.potential for key, node in good.items()}
        one = first.outputs.potential
        self.out('potential', one if len(good) == 1 else self.call_once('committee', make_committee, **potentials))
        if len(good) == 1 and 'history' in first.outputs:
            self.out('history', first.outputs.history)
        # Those of another member than the first would not be in the committee's own descriptor space.
        if 'descriptors' in first.outputs:
            self.out('descriptors', first.outputs.descriptors)
        return None

    def _training(self) -> MaceTraining:
        section = self.config.training
        assert isinstance(section, MaceTraining)
        return section

    def _datasets(self, training: MaceTraining) -> dict[str, DatasetData]:
        """Dataset of each head."""
        datasets = {training.head: self.inputs.dataset}
        sealed = {'sealed': self.inputs.test_set} if 'test_set' in self.inputs else {}
        for head in training.heads:
            if head.dataset is not None:
                datasets[head.name] = orm.load_node(head.dataset)
            else:
                assert head.level_of_theory is not None
                level = orm.Str(full_level_hash(head.level_of_theory))
                datasets[head.name] = self.call_once(f'gather_{head.name}', gather_dataset, level=level, **sealed)
        foundation = training.foundation
        if foundation is not None and foundation.replay_dataset is not None:
            datasets[PT_HEAD] = orm.load_node(foundation.replay_dataset)
        return datasets

    def _check_unsealed(self, head: str, dataset: DatasetData) -> None:
        """Refuse a dataset that would train on what the campaign is judged by."""
        if 'test_set' not in self.inputs:
            return
        if leaks := find_known(dataset, self.inputs.test_set):
            raise ValueError(f'head "{head}": {tell(leaks)}')

    def _sources(self) -> dict[str, Any]:
        """Datasets by head, and the model to fine-tune."""
        datasets: dict[str, DatasetData] = {name: orm.load_node(uuid) for name, uuid in self.ctx.datasets.items()}
        foundation = self._training().foundation
        node = {} if foundation is None else {'foundation': orm.load_node(foundation.potential)}
        return {'datasets': datasets} | node
