"""Validate a potential: numbers of physics, held against limits and against a reference."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, if_
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_traincraft.calculations.functions.configs import take_section
from aiida_traincraft.calculations.functions.validation import (
    build_validation_starts,
    judge_validation,
    read_validation,
    store_planned,
)
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.science.config.kinds import ValidatorConfig
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.workchains.base import TraincraftWorkChain


class ValidateWorkChain(TraincraftWorkChain):
    """Run the validators of ``[validation]`` on the compute node and the labeller on what they compare with.

    That a limit is not kept is a result: exit status 0. Who called decides what follows.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'files', valid_type=orm.SinglefileData, dynamic=True, help='Files that geometry sources read.'
        )
        spec.input('potential', valid_type=PotentialData, help='The potential to validate.')
        spec.input(
            'dielectric', valid_type=PotentialData, required=False, help='Model of dipoles and polarizabilities.'
        )
        spec.input('test_set', valid_type=DatasetData, required=False, help='The sealed test set.')
        spec.output_namespace(
            'validators', valid_type=ValidationData, dynamic=True, help='What each validator found, by its label.'
        )
        spec.output('ledger', valid_type=LedgerData, required=False, help='What became of the reference structures.')
        spec.outline(
            cls.build,
            cls.validate,
            cls.inspect_validation,
            if_(cls.has_reference)(cls.label, cls.inspect_labels),
            cls.judge,
        )
        spec.exit_code(400, 'ERROR_VALIDATION_FAILED', message='The validators could not be run: {reason}')
        spec.exit_code(401, 'ERROR_REFERENCE_FAILED', message='The reference could not be computed: {reason}')

    def build(self) -> None:
        """Build the structures that validators start from."""
        self.ctx.section = self.call_once('section', take_section, config=self.inputs.config).uuid
        if any(_has_start(validator) for validator in self._validators):
            files = {f'files__{name}': node for name, node in self.inputs.get('files', {}).items()}
            seed = orm.Int(self.config.run.seed)
            starts = self.call_once(
                'starts',
                build_validation_starts,
                section=orm.load_node(self.ctx.section),
                seed=seed,
                **files,
                **self.plugin_nodes(),
            )
            self.ctx.starts = starts.uuid

    def validate(self) -> ToContext:
        """Run the validators."""
        seed, jobs, places = self.config.run.seed, [], 0
        for validator in self._validators:
            start = None
            if _has_start(validator):
                start, places = places, places + 1
            table = validator.model_dump(mode='json')
            jobs.append({'config': table, 'start': start, 'seed': derive_seed(seed, 'validate', validator.label)})
        inputs = self.potential_inputs(self.inputs.potential, {'validators': jobs})
        inputs |= {port: self.inputs[port] for port in ('dielectric', 'test_set') if port in self.inputs}
        if 'starts' in self.ctx:
            inputs['starts'] = orm.load_node(self.ctx.starts)
        return ToContext(validation=self.submit_once('validate', CalculationFactory('traincraft.validate'), inputs))

    def inspect_validation(self) -> ExitCode | None:
        """Without findings there is nothing to judge."""
        if (reason := self.failed([self.ctx.validation])) is not None:
            return self.exit_codes.ERROR_VALIDATION_FAILED.format(reason=reason)
        return None

    def has_reference(self) -> bool:
        """Whether a validator compares with the labeller."""
        asked = any(validator.has_reference for validator in self._validators)
        return asked and 'planned' in self.ctx.validation.outputs

    def label(self) -> ToContext:
        """Ask the labeller for the same structures."""
        manifest = self.call_once(
            'store_planned',
            store_planned,
            section=orm.load_node(self.ctx.section),
            planned=self.ctx.validation.outputs.planned,
            **self.plugin_nodes(),
        )
        inputs = self.shared_inputs() | {'structures': manifest}
        return ToContext(labelled=self.submit_once('label', WorkflowFactory('traincraft.label'), inputs))

    def inspect_labels(self) -> ExitCode | None:
        """Pass the ledger on; a labeller that fails leaves no reference."""
        if 'ledger' in self.ctx.labelled.outputs:
            self.out('ledger', self.ctx.labelled.outputs.ledger)
        if (reason := self.failed([self.ctx.labelled])) is not None:
            return self.exit_codes.ERROR_REFERENCE_FAILED.format(reason=reason)
        return None

    def judge(self) -> None:
        """Hold the numbers against the limits."""
        found = self.ctx.validation.outputs
        inputs: dict[str, Any] = {'section': orm.load_node(self.ctx.section), 'findings': found.findings}
        if 'planned' in found:
            inputs['planned'] = found.planned
        if 'labelled' in self.ctx:
            inputs['labels'] = self.ctx.labelled.outputs.manifest
        judged = self.call_once('judge', judge_validation, **inputs, **self.plugin_nodes())
        for label, node in judged.items():
            self.out(f'validators.{label}', node)
            self.report(str(node))

    @cached_property
    def _validators(self) -> list[ValidatorConfig]:
        return read_validation(orm.load_node(self.ctx.section), self.plugin_nodes()).validators


def _has_start(validator: ValidatorConfig) -> bool:
    return isinstance(validator, StructureValidatorConfig) and validator.geometry is not None


def broken_limits(validation: orm.WorkChainNode) -> str | None:
    """Limits that a validation found not kept; None if all are."""
    found = validation.outputs.validators
    return '; '.join(str(found[label]) for label in found if found[label].passed is False) or None
