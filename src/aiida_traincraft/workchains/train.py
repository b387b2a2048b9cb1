"""Train a potential, whoever trains, and score it on the sealed test set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.base import is_poor
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.leakage import find_known, tell
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.base import workchain_of
from aiida_traincraft.workchains.seams.trainer import Trainer, define_train_ports


class TrainWorkChain(TraincraftWorkChain):
    """Run the trainer that ``[training] type`` names, then ``traincraft.evaluate`` on the test set."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_train_ports(spec)
        spec.output('errors', valid_type=orm.Dict, required=False, help='Errors on the sealed test set.')
        spec.output('predictions', valid_type=FramesData, required=False, help='What the potential gives for it.')
        spec.outline(cls.check_sealed, cls.run_trainer, cls.inspect_trainer, cls.score, cls.inspect_score)
        spec.exit_code(210, 'ERROR_TEST_SET_KNOWN', message='The test set is not sealed: {reason}')
        spec.exit_code(400, 'ERROR_TRAINER_FAILED', message='The training failed: {reason}')
        spec.exit_code(401, 'ERROR_SCORE_FAILED', message='The potential could not be scored: {reason}')

    def check_sealed(self) -> ExitCode | None:
        """Refuse structures and trajectories that the potential is to be judged by."""
        if 'test_set' in self.inputs and (leaks := find_known(self.inputs.dataset, self.inputs.test_set)):
            return self.exit_codes.ERROR_TEST_SET_KNOWN.format(reason=tell(leaks))
        return None

    def run_trainer(self) -> ToContext:
        """Start the trainer."""
        trainer = workchain_of(Trainer.prefix, self.config.training)
        inputs = self.shared_inputs() | {'dataset': self.inputs.dataset, 'seed': self.inputs.seed}
        inputs |= {port: self.inputs[port] for port in ('test_set', 'initial') if port in self.inputs}
        return ToContext(trainer=self.submit_once('trainer', trainer, inputs))

    def inspect_trainer(self) -> ExitCode | None:
        """Pass on what the trainer made."""
        if (reason := self.failed([self.ctx.trainer])) is not None:
            return self.exit_codes.ERROR_TRAINER_FAILED.format(reason=reason)
        if is_poor(self.ctx.trainer):
            self.report(self.ctx.trainer.exit_message)
        for port in ('potential', 'descriptors', 'history'):
            if port in self.ctx.trainer.outputs:
                self.out(port, self.ctx.trainer.outputs[port])
        return None

    def score(self) -> ToContext | None:
        """Evaluate on the test set."""
        if 'test_set' not in self.inputs:
            return None
        # The head that was trained for this campaign, whatever the levels of theory of all heads are.
        parameters = self.config.training.model_dump(mode='json', include={'head'})
        inputs = self.potential_inputs(self.ctx.trainer.outputs.potential, parameters)
        inputs['dataset'] = self.inputs.test_set
        return ToContext(score=self.submit_once('score', CalculationFactory('traincraft.evaluate'), inputs))

    def inspect_score(self) -> ExitCode | None:
        """Pass on the errors."""
        if 'score' not in self.ctx:
            return self.poor(self.ctx.trainer)
        if (reason := self.failed([self.ctx.score])) is not None:
            return self.exit_codes.ERROR_SCORE_FAILED.format(reason=reason)
        errors = self.ctx.score.outputs.errors
        if failed := errors['n_failed']:
            self.report(f'{failed} test structures could not be evaluated and are left out of the errors')
        if all(statistics['n'] == 0 for statistics in errors['overall'].values()):
            return self.exit_codes.ERROR_SCORE_FAILED.format(reason='no test structure could be evaluated')
        self.out('errors', errors)
        self.out('predictions', self.ctx.score.outputs.predictions)
        return self.poor(self.ctx.trainer)
