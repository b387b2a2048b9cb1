"""Nonlinear ACE: pacemaker, continued when the walltime ran out, then active set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.pace_train import PaceTrainCalculation
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.workchains.seams.ace import PaceTrainer
from aiida_traincraft.workchains.train_pace_linear import TrainPaceBase


class TrainPaceWorkChain(TrainPaceBase):
    """Run ``traincraft.pace_train``; out of walltime or killed, it continues from the last interim potential."""

    hooks = PaceTrainer

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the outline."""
        super().define(spec)
        spec.outline(
            cls.prepare, while_(cls.is_unfinished)(cls.run_fit, cls.inspect_fit), cls.run_active_set, cls.results
        )

    def prepare(self) -> None:
        """Decide where the fit starts."""
        training = self._training
        self.ctx.attempt, self.ctx.potential = 0, None
        self.ctx.start = 'warm' if training.warm_start == 'linear' else 'cold'
        self.ctx.initial = None
        if training.initial_potential or 'initial' in self.inputs:
            self.ctx.start = 'initial'
            self.ctx.initial = self.inputs.initial.uuid if 'initial' in self.inputs else training.initial_potential

    def is_unfinished(self) -> bool:
        """Whether there is no finished potential yet."""
        return self.ctx.potential is None

    def run_fit(self) -> ToContext:
        """Start or continue the fit."""
        inputs = self.fit_inputs('pacemaker')
        inputs['parameters'] = orm.Dict(inputs['parameters'].get_dict() | {'start': self.ctx.start})
        if 'test_set' in self.inputs:
            inputs['test_set'] = self.inputs.test_set
        if self.ctx.initial is not None:
            inputs['initial'] = orm.load_node(self.ctx.initial)
        key = f'fit_{self.ctx.attempt}'
        return ToContext(fit=self.submit_once(key, CalculationFactory('traincraft.pace_train'), inputs))

    def inspect_fit(self) -> ExitCode | None:
        """Take the potential, or continue from the interim one."""
        fit = self.ctx.fit
        if fit.is_finished_ok:
            self.ctx.potential = fit.outputs.potential.uuid
            if 'history' in fit.outputs:
                self.out('history', fit.outputs.history)
            return None
        codes = PaceTrainCalculation.exit_codes
        ends = (codes.ERROR_NO_RESULT, codes.ERROR_KILLED, codes.ERROR_OUT_OF_WALLTIME)
        resumable = fit.exit_status in [code.status for code in ends]
        # The whole job may be killed before there is anything to go on from, as any job may be.
        kept, died = 'interim' in fit.outputs, fit.exit_status == codes.ERROR_NO_RESULT.status
        if not resumable or not (kept or died) or self.ctx.attempt >= self._training.max_restarts:
            return self.exit_codes.ERROR_FIT_FAILED.format(reason=self.failed([fit]))
        self.ctx.attempt += 1
        how = 'continuing from the interim potential' if kept else 'sent again as it was'
        if kept:
            self.ctx.start, self.ctx.initial = 'continue', fit.outputs.interim.uuid
        self.report(f'{fit.exit_message}: {how}, attempt {self.ctx.attempt + 1}')
        return None

    @property
    def _training(self) -> PaceNonlinearTraining:
        section = self.config.training
        assert isinstance(section, PaceNonlinearTraining)
        return section
