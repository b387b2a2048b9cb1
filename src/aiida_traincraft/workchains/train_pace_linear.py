"""Linear ACE: fit, then active set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import CalculationFactory

from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.ace import PaceLinearTrainer
from aiida_traincraft.workchains.seams.trainer import define_train_ports


class TrainPaceBase(TraincraftWorkChain):
    """What linear and nonlinear ACE share: the active set after the fit."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports and exit codes."""
        super().define(spec)
        define_train_ports(spec)
        spec.exit_code(400, 'ERROR_FIT_FAILED', message='The fit failed: {reason}')
        spec.exit_code(401, 'ERROR_ACTIVE_SET_FAILED', message='No active set could be made: {reason}')

    def fit_inputs(self, role: str) -> dict[str, Any]:
        """Inputs that both kinds of fit have."""
        parameters = {'training': self.config.training.model_dump(mode='json'), 'seed': self.inputs.seed.value}
        return self.job_inputs(role) | {'dataset': self.inputs.dataset, 'parameters': orm.Dict(parameters)}

    def run_active_set(self) -> ToContext:
        """Start ``pace_activeset`` for the fitted potential."""
        parameters = {'gamma_lo': self.config.gamma_lo, 'seed': self.inputs.seed.value}
        inputs = self.job_inputs('pace') | {
            'potential': orm.load_node(self.ctx.potential),
            'dataset': self.inputs.dataset,
            'parameters': orm.Dict(parameters),
        }
        summary = self.ctx.fit.outputs.summary
        if left_out := summary.get_dict().get('left_out'):
            self.report(f'trained on {summary["n_structures"]} of {summary["n_structures"] + len(left_out)} structures')
            inputs['fit'] = summary
        return ToContext(
            active_set=self.submit_once('active_set', CalculationFactory('traincraft.pace_activeset'), inputs)
        )

    def results(self) -> ExitCode | None:
        """Pass on the completed potential."""
        if (reason := self.failed([self.ctx.active_set])) is not None:
            return self.exit_codes.ERROR_ACTIVE_SET_FAILED.format(reason=reason)
        potential: PacePotentialData = self.ctx.active_set.outputs.potential
        if potential.is_degenerate:
            self.report(f'the active set is degenerate: {self.ctx.active_set.outputs.summary["message"]}')
        self.out('potential', potential)
        self.out('descriptors', self.ctx.active_set.outputs.descriptors)
        return self.poor(self.ctx.fit)


class TrainPaceLinearWorkChain(TrainPaceBase):
    """Fit a linear ACE and its active set."""

    hooks = PaceLinearTrainer

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the outline."""
        super().define(spec)
        spec.outline(cls.run_fit, cls.inspect_fit, cls.run_active_set, cls.results)

    def run_fit(self) -> ToContext:
        """Start the fit."""
        process = CalculationFactory('traincraft.pace_linear')
        return ToContext(fit=self.submit_once('fit', process, self.fit_inputs('pace')))

    def inspect_fit(self) -> ExitCode | None:
        """Go on with the fitted potential."""
        if (reason := self.failed([self.ctx.fit])) is not None:
            return self.exit_codes.ERROR_FIT_FAILED.format(reason=reason)
        self.ctx.potential = self.ctx.fit.outputs.potential.uuid
        return None
