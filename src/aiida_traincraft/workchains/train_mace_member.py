"""One MACE model: trained, and trained on when something stopped it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.mace_train import MaceTrainCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.workchains.base import TraincraftWorkChain

RATE_FACTOR = 0.3
"""Factor on the learning rate after a loss that was not finite."""


class TrainMaceMemberWorkChain(TraincraftWorkChain):
    """Run ``traincraft.mace_train``; each way of ending early has a handler that says how the next attempt differs.

    When the attempts are used up, the model of the last checkpoint is written out as it is.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.input('data', valid_type=orm.RemoteData, help='Folder of the "traincraft.mace_data" job.')
        spec.input('heads', valid_type=orm.Dict, help='Output "heads" of the same job.')
        spec.input_namespace('datasets', valid_type=DatasetData, dynamic=True, help='Dataset of each head.')
        spec.input(
            'foundation',
            valid_type=(MacePotentialData, orm.SinglefileData),
            required=False,
            help='Model to fine-tune.',
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the training.')
        spec.input(
            'descriptors',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            help='Whether to describe the training set.',
        )
        spec.output('potential', valid_type=MacePotentialData, help='The trained model.')
        spec.output(
            'history', valid_type=orm.Dict, required=False, help='Loss and errors by epoch of the last attempt.'
        )
        spec.output('descriptors', valid_type=orm.ArrayData, required=False, help='Descriptors of the training set.')
        spec.outline(cls.prepare, while_(cls.is_unfinished)(cls.run_training, cls.inspect_training), cls.results)
        spec.exit_code(400, 'ERROR_TRAINING_FAILED', message='The training failed: {reason}')

    def prepare(self) -> None:
        """Start as the config says."""
        training = self._training
        self.ctx.attempt, self.ctx.finished, self.ctx.finish, self.ctx.checkpoint = 0, False, False, None
        self.ctx.batch_size, self.ctx.lr = training.batch_size, training.lr

    @property
    def _training(self) -> MaceTraining:
        section = self.config.training
        assert isinstance(section, MaceTraining)
        return section

    def is_unfinished(self) -> bool:
        """Whether there is no model yet."""
        return not self.ctx.finished

    def run_training(self) -> ToContext:
        """Start or continue the training."""
        parameters = {
            'training': self._training.model_dump(mode='json'),
            'batch_size': self.ctx.batch_size,
            'lr': self.ctx.lr,
            'descriptors': self.inputs.descriptors.value,
            'finish': self.ctx.finish,
        }
        inputs = self.job_inputs('mace_train') | {
            'data': self.inputs.data,
            'heads': self.inputs.heads,
            'datasets': dict(self.inputs.datasets),
            'seed': self.inputs.seed,
            'parameters': orm.Dict(parameters | self.device_of('mace_train')),
        }
        inputs |= {port: self.inputs[port] for port in ('foundation',) if port in self.inputs}
        if self.ctx.checkpoint is not None:
            inputs['checkpoint'] = orm.load_node(self.ctx.checkpoint)
        key = f'training_{self.ctx.attempt}'
        return ToContext(training=self.submit_once(key, CalculationFactory('traincraft.mace_train'), inputs))

    def inspect_training(self) -> ExitCode | None:
        """Take the model, or ask the handler of this end what to do differently."""
        job = self.ctx.training
        if job.is_finished_ok:
            self.ctx.finished = True
            return None
        handler = handlers().get(job.exit_status)
        if self.ctx.attempt < self._training.max_restarts:
            change = handler(self, job) if handler else None
        else:
            change = self.finish_early(job)
        if change is None:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=self.failed([job]))
        self.ctx.attempt += 1
        self.report(f'{job.exit_message}: {change} (attempt {self.ctx.attempt + 1})')
        return None

    def continue_training(self, job: orm.CalcJobNode) -> str | None:
        """Out of walltime: go on from the last checkpoint; without one nothing is gained."""
        if 'checkpoint' not in job.outputs:
            return None
        self.ctx.checkpoint = job.outputs.checkpoint.uuid
        return f'going on from {job.outputs.checkpoint.filename}'

    def go_on(self, job: orm.CalcJobNode) -> str | None:
        """The whole job killed, as any job may be: from its last checkpoint, or once more as it was sent."""
        return self.continue_training(job) or 'sent again as it was'

    def shrink_batch(self, job: orm.CalcJobNode) -> str | None:
        """Out of memory, or killed alone, which systems do when memory runs out: half the batch."""
        if self.ctx.batch_size == 1:
            return self.continue_training(job)
        self.ctx.batch_size //= 2
        kept = self.continue_training(job) or 'from the start'
        return f'batch_size is now {self.ctx.batch_size}, {kept}'

    def lower_rate(self, job: orm.CalcJobNode) -> str | None:
        """Loss not finite: from the start with a lower rate; a checkpoint would bring the old rate back."""
        self.ctx.lr *= RATE_FACTOR
        self.ctx.checkpoint = None
        return f'lr is now {self.ctx.lr:.2g}, from the start'

    def finish_early(self, job: orm.CalcJobNode) -> str | None:
        """No attempt is left: what the last checkpoint holds is better than nothing."""
        if self.ctx.finish or 'checkpoint' not in job.outputs:
            return None
        self.ctx.finish, self.ctx.checkpoint = True, job.outputs.checkpoint.uuid
        return f'no restart is left, the model of {job.outputs.checkpoint.filename} is taken as it is'

    def start_over(self, job: orm.CalcJobNode) -> str | None:
        """Checkpoint not taken: without it."""
        self.ctx.checkpoint = None
        return 'from the start'

    def results(self) -> None:
        """Pass on what the training made."""
        for port in ('potential', 'history', 'descriptors'):
            if port in self.ctx.training.outputs:
                self.out(port, self.ctx.training.outputs[port])


def handlers() -> Mapping[int, Callable[[TrainMaceMemberWorkChain, orm.CalcJobNode], str | None]]:
    """Handler of each exit status that another attempt may mend; it says what changes, or None to give up."""
    codes, chain = MaceTrainCalculation.exit_codes, TrainMaceMemberWorkChain
    return {
        codes.ERROR_OUT_OF_WALLTIME.status: chain.continue_training,
        codes.ERROR_NO_RESULT.status: chain.go_on,
        codes.ERROR_KILLED.status: chain.shrink_batch,
        codes.ERROR_OUT_OF_MEMORY.status: chain.shrink_batch,
        codes.ERROR_NOT_FINITE.status: chain.lower_rate,
        codes.ERROR_CHECKPOINT_IGNORED.status: chain.start_over,
    }
