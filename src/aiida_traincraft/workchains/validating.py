"""Steps of a campaign that validate its potential."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import WorkflowFactory

from aiida_traincraft.calculations.calibrate import calibrate_uncertainty
from aiida_traincraft.calculations.validation import dielectric_config
from aiida_traincraft.data.potential import PotentialData
from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.science.config.exploration import ForceErrorLimit
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.stopping import CONTENT, KEPT
from aiida_traincraft.workchains.base import TraincraftWorkChain


class ValidatingWorkChain(TraincraftWorkChain):
    """A campaign that holds its potential against limits; ``ctx`` has ``cycle``, ``training``, ``stop``, ``quiet``."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports and exit codes."""
        super().define(spec)
        spec.output_namespace(
            'validation', valid_type=ValidationData, dynamic=True, help='What validators found of the last potential.'
        )
        spec.output('dielectric', valid_type=PotentialData, required=False, help='Model of dipoles for the spectra.')
        spec.exit_code(407, 'ERROR_VALIDATION_FAILED', message='The validation could not be run: {reason}')
        spec.exit_code(408, 'ERROR_LIMITS_NOT_KEPT', message='The potential does not keep its limits: {reason}')

    def calibrate(self) -> None:
        """Hold the uncertainty of the last potential against its force errors on the test set, if it has both."""
        self.ctx.calibration = None
        outputs = self.ctx.training.outputs
        if 'predictions' not in outputs or outputs.potential.measure is None or outputs.potential.is_degenerate:
            return
        accepted = ForceErrorLimit.model_validate(
            {key: value for key, value in self.section('exploration').items() if key in ForceErrorLimit.model_fields}
        )
        parameters = {
            'measure': outputs.potential.measure,
            'alpha': 1 - accepted.confidence,
            'max_force_error': accepted.force_error,
        }
        found = self.call_once(
            f'calibrate_{self.ctx.cycle:03d}',
            calibrate_uncertainty,
            predictions=outputs.predictions,
            test_set=orm.load_node(self.ctx.dataset_test),
            parameters=orm.Dict(parameters),
        )
        self.ctx.calibration = found.uuid
        self.report(f'cycle {self.ctx.cycle}: {found}')

    def validates(self) -> bool:
        """Whether the last potential is to be validated now."""
        section = self._validation()
        if section is None or self.ctx.get('validated') == self.ctx.cycle:
            return False
        due = section['every'] > 0 and self.ctx.cycle % section['every'] == 0
        return due or self.ctx.stop is not None

    def has_dielectric(self) -> bool:
        """Whether spectra need a model of dipoles beside the potential."""
        return (self._validation() or {}).get('dielectric') is not None

    def train_dielectric(self) -> ToContext:
        """Train the model of dipoles on the potential's dataset."""
        key = f'dielectric_{self.ctx.cycle:03d}'
        config = self.call_once(f'config_{key}', dielectric_config, config=self.inputs.config)
        inputs = self.shared_inputs() | {
            'config': config,
            'dataset': self.ctx.training.inputs.dataset,
            'test_set': orm.load_node(self.ctx.dataset_test),
            'seed': derive_seed(self.section('run')['seed'], 'dielectric', self.ctx.cycle),
        }
        return ToContext(dielectric=self.submit_once(key, WorkflowFactory('traincraft.train'), inputs))

    def validate(self) -> ToContext:
        """Run the validators."""
        inputs = self.shared_inputs() | {
            'files': dict(self.inputs.get('files', {})),
            'potential': self.ctx.training.outputs.potential,
            'test_set': orm.load_node(self.ctx.dataset_test),
        }
        # Without it, validators that need it say so in their findings.
        if self.has_dielectric() and self.ctx.dielectric.is_finished_ok:
            inputs['dielectric'] = self.ctx.dielectric.outputs.potential
        process = WorkflowFactory('traincraft.validate')
        return ToContext(validation=self.submit_once(f'validate_{self.ctx.cycle:03d}', process, inputs))

    def inspect_validation(self) -> None:
        """Remember the verdict; a campaign may have to go on."""
        self.ctx.validated = self.ctx.cycle
        reason = self.failed([self.ctx.validation])
        if reason is None:
            found = self.ctx.validation.outputs.validators
            broken = [str(found[label]) for label in found if found[label].passed is False]
            reason = '; '.join(broken) or None
        self.ctx.limits_broken = reason
        if reason is None:
            self.report(f'cycle {self.ctx.cycle}: every validator passed')
            if self.ctx.stop is None and self.section('validation').get('on_success') == 'stop':
                self.ctx.stop = ('validated', KEPT)
            return
        self.report(f'cycle {self.ctx.cycle}: not validated: {reason}')
        if self.must_go_on() and self.ctx.stop is not None and self.ctx.stop[0] in CONTENT:
            self.ctx.stop = None
            self._decide()
            if self.ctx.stop is None:
                self.report('the loop goes on until the limits are kept')

    def must_go_on(self) -> bool:
        """Whether criteria of "good enough" do not count, since the last potential does not keep its limits."""
        section = self._validation()
        return section is not None and section['on_failure'] == 'continue' and bool(self.ctx.get('limits_broken'))

    def judge_limits(self) -> ExitCode | None:
        """Exit code of a campaign whose potential does not keep its limits, if the config wants one."""
        section, validation = self._validation(), self.ctx.get('validation')
        if section is None or validation is None:
            return None
        if validation.is_finished_ok:
            self.out(
                'validation', {label: validation.outputs.validators[label] for label in validation.outputs.validators}
            )
        if self.has_dielectric() and self.ctx.dielectric.is_finished_ok:
            self.out('dielectric', self.ctx.dielectric.outputs.potential)
        reason: str | None = self.ctx.limits_broken
        if not validation.is_finished_ok:
            return self.exit_codes.ERROR_VALIDATION_FAILED.format(reason=reason)
        if reason is not None and section['on_failure'] != 'warn':
            return self.exit_codes.ERROR_LIMITS_NOT_KEPT.format(reason=reason)
        return None

    def _decide(self) -> None:
        """Set ``ctx.stop`` if a criterion holds."""
        raise NotImplementedError

    def _validation(self) -> dict[str, Any] | None:
        # Campaigns of older configs do not have the section.
        section: dict[str, Any] | None = self.inputs.config.get('validation')
        return section
