"""The active-learning loop."""

from __future__ import annotations

from typing import Any, cast

from aiida import orm
from aiida.engine import ExitCode, ToContext, if_, while_
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_traincraft.calculations.functions.calibration import calibrate_uncertainty, calibration_parameters
from aiida_traincraft.calculations.functions.configs import dielectric_config
from aiida_traincraft.calculations.functions.datasets import extend_dataset
from aiida_traincraft.calculations.functions.ledgers import merge_ledgers
from aiida_traincraft.calculations.functions.selection import select_structures
from aiida_traincraft.calculations.functions.structures import build_structures
from aiida_traincraft.science.campaign.stopping import CONTENT, KEPT, decide
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.workchains import campaign_keys as keys
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.campaign_ports import STOP_CODES, define_campaign_ports, define_exit_codes
from aiida_traincraft.workchains.campaign_products import products
from aiida_traincraft.workchains.first_samples import (
    describe_empty,
    sampling_parameters,
    selection_parameters,
    short_runs,
)
from aiida_traincraft.workchains.validate import broken_limits


class ActiveLearningWorkChain(TraincraftWorkChain):
    """Seal a test set, label the first structures; then train, score, explore, select and label until it is enough.

    Exit status 0 means that the target was reached; 500 to 503 are the other criteria, with the same outputs.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_campaign_ports(spec)
        define_exit_codes(spec)
        validation = if_(cls.validates)(
            if_(cls.has_dielectric)(cls.train_dielectric), cls.validate, cls.inspect_validation
        )
        labelling = if_(cls.has_selection)(cls.label, cls.inspect_labels)
        spec.outline(
            cls.prepare,
            cls.sample_systems,
            cls.inspect_samples,
            cls.label_test,
            cls.label_train,
            cls.inspect_first_labels,
            while_(cls.goes_on)(
                if_(cls.has_new_labels)(cls.train, cls.inspect_training, validation),
                if_(cls.goes_on)(cls.explore, cls.inspect_exploration, labelling),
                validation,
            ),
            if_(cls.distils)(cls.distil, cls.inspect_distillation),
            cls.finish,
        )

    def prepare(self) -> None:
        """Build the starting geometries."""
        self.ctx.cycle, self.ctx.exploration, self.ctx.quiet = 0, 0, 0
        self.ctx.force_rmse, self.ctx.energy_rmse = [], []
        self.ctx.stop = None
        self.ctx.new_labels = True
        files = {f'files__{name}': node for name, node in self.inputs.get('files', {}).items()}
        built = self.call_once(keys.BUILD, build_structures, config=self.inputs.config, **files, **self.plugin_nodes())
        self.ctx.systems, self.ctx.test_systems = built['systems'].uuid, built['test_systems'].uuid

    def sample_systems(self) -> ToContext:
        """Sample around every geometry, of the systems and of the test set."""
        return ToContext(
            sample_train=self._submit_sampling('train', self.ctx.systems, self.config.systems),
            sample_test=self._submit_sampling('test', self.ctx.test_systems, [*self.config.test_set.systems]),
        )

    def inspect_samples(self) -> ExitCode | None:
        """Choose the first structures and the test structures."""
        if (reason := self.failed([self.ctx.sample_test, self.ctx.sample_train])) is not None:
            return self.exit_codes.ERROR_SAMPLING_FAILED.format(reason=reason)
        sampled = {'train': self.ctx.sample_train.outputs, 'test': self.ctx.sample_test.outputs}
        short = [*short_runs(self.ctx.systems, sampled['train']), *short_runs(self.ctx.test_systems, sampled['test'])]
        for run in short:
            self.report(str(run))
        if empty := [str(run) for run in short if run.frames == 0]:
            return self.exit_codes.ERROR_SAMPLING_FAILED.format(reason='; '.join(empty))
        found = (set(outputs.frames.base.attributes.get('elements')) for outputs in sampled.values())
        self.ctx.elements = sorted(set[str]().union(*found))
        needed, sealed = 0, dict[str, Any]()
        for name in keys.SETS:
            result = self.call_once(
                keys.first_selection(name),
                select_structures,
                config=self.inputs.config,
                parameters=orm.Dict(selection_parameters(name, self.config.run.seed, self.ctx.elements)),
                frames__0=sampled[name].frames,
                **sealed,
                **self.plugin_nodes(),
            )
            if result['report']['n_selected'] == 0:
                return self.exit_codes.ERROR_NOTHING_SELECTED.format(**describe_empty(name, result['report']))
            self.ctx[f'manifest_{name}'] = result['manifest'].uuid
            sealed = {'sealed': result['manifest']}
            needed += len(result['manifest'])
        limit = self.config.loop.max_labels
        if limit is not None and needed > limit:
            return self.exit_codes.ERROR_BUDGET_TOO_SMALL.format(limit=limit, needed=needed)
        return None

    def label_test(self) -> ToContext:
        """Label the test set."""
        return ToContext(labelled_test=self._submit_label(keys.first_labels('test'), self.ctx.manifest_test))

    def label_train(self) -> ToContext:
        """Label the first structures."""
        return ToContext(labelled_train=self._submit_label(keys.first_labels('train'), self.ctx.manifest_train))

    def inspect_first_labels(self) -> ExitCode | None:
        """Seal the test set and begin the dataset."""
        children = [self.ctx.labelled_test, self.ctx.labelled_train]
        self._join_ledgers(keys.FIRST_LEDGER, *children)
        if (reason := self.failed(children)) is not None:
            return self._fail('ERROR_LABELLING_FAILED', reason)
        for name in keys.SETS:
            labels = self.ctx[f'labelled_{name}'].outputs.manifest
            dataset = self.call_once(keys.first_dataset(name), extend_dataset, labels=labels, split=orm.Str(name))
            self.ctx[f'dataset_{name}'] = dataset.uuid
            self.report(f'{name} set: {dataset}')
        if missing := ', '.join(sorted(set(self.ctx.elements) - set(dataset.e0))):
            reason = f'the isolated atom of {missing} has no label, so there is no E0'
            return self._fail('ERROR_LABELLING_FAILED', reason)
        return None

    def goes_on(self) -> bool:
        """Whether no criterion holds yet."""
        return self.ctx.stop is None

    def has_new_labels(self) -> bool:
        """Whether the dataset grew since the last training."""
        return bool(self.ctx.new_labels)

    def has_selection(self) -> bool:
        """Whether the exploration found something worth a label."""
        return bool(self.ctx.selected > 0)

    def train(self) -> ToContext:
        """Train and score."""
        self.ctx.cycle += 1
        inputs = self.shared_inputs() | {
            'dataset': orm.load_node(self.ctx.dataset_train),
            'test_set': orm.load_node(self.ctx.dataset_test),
            'seed': derive_seed(self.config.run.seed, 'train', self.ctx.cycle),
        }
        process = WorkflowFactory('traincraft.train')
        return ToContext(training=self.submit_once(keys.train(self.ctx.cycle), process, inputs))

    def inspect_training(self) -> ExitCode | None:
        """Record the test error and decide whether to stop."""
        if (reason := self.failed([self.ctx.training])) is not None:
            return self._fail('ERROR_TRAINING_FAILED', reason)
        overall = self.ctx.training.outputs.errors['overall']
        self.ctx.force_rmse.append(overall['forces']['rmse'])
        self.ctx.energy_rmse.append(overall['energy']['rmse'])
        self.ctx.new_labels, self.ctx.limits_broken = False, None
        self.calibrate()
        self.report(
            f'cycle {self.ctx.cycle}: test RMSE {1000 * self.ctx.energy_rmse[-1]:.2f} meV/atom, '
            f'{1000 * self.ctx.force_rmse[-1]:.2f} meV/Å after {self._labels_spent()} labels'
        )
        self._decide()
        return None

    def calibrate(self) -> None:
        """Hold the uncertainty of the last potential against its force errors on the test set, if it has both."""
        self.ctx.calibration = None
        outputs = self.ctx.training.outputs
        parameters = calibration_parameters(outputs.potential, self.config.exploration)
        if 'predictions' not in outputs or parameters is None:
            return
        found = self.call_once(
            keys.calibrate(self.ctx.cycle),
            calibrate_uncertainty,
            predictions=outputs.predictions,
            test_set=orm.load_node(self.ctx.dataset_test),
            parameters=orm.Dict(parameters),
        )
        self.ctx.calibration = found.uuid
        self.report(f'cycle {self.ctx.cycle}: {found}')

    def validates(self) -> bool:
        """Whether the last potential is to be validated now."""
        section = self.config.validation
        if section is None or self.ctx.get('validated') == self.ctx.cycle:
            return False
        due = section.every > 0 and self.ctx.cycle % section.every == 0
        return due or self.ctx.stop is not None

    def has_dielectric(self) -> bool:
        """Whether spectra need a model of dipoles beside the potential."""
        return self.config.validation is not None and self.config.validation.dielectric is not None

    def train_dielectric(self) -> ToContext:
        """Train the model of dipoles on the potential's dataset."""
        cycle, seed = self.ctx.cycle, self.config.run.seed
        config = self.call_once(keys.config_of(keys.dielectric(cycle)), dielectric_config, config=self.inputs.config)
        inputs = self.shared_inputs() | {
            'config': config,
            'dataset': self.ctx.training.inputs.dataset,
            'test_set': orm.load_node(self.ctx.dataset_test),
            'seed': derive_seed(seed, 'dielectric', cycle),
        }
        return ToContext(
            dielectric=self.submit_once(keys.dielectric(cycle), WorkflowFactory('traincraft.train'), inputs)
        )

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
        return ToContext(validation=self.submit_once(keys.validate(self.ctx.cycle), process, inputs))

    def inspect_validation(self) -> None:
        """Remember the verdict; a campaign may have to go on."""
        section = self.config.validation
        assert section is not None
        self.ctx.validated = self.ctx.cycle
        reason = self.failed([self.ctx.validation]) or broken_limits(self.ctx.validation)
        self.ctx.limits_broken = reason
        if reason is None:
            self.report(f'cycle {self.ctx.cycle}: every validator passed')
            if self.ctx.stop is None and section.on_success == 'stop':
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
        section = self.config.validation
        return section is not None and section.on_failure == 'continue' and bool(self.ctx.get('limits_broken'))

    def judge_limits(self) -> ExitCode | None:
        """Exit code of a campaign whose potential does not keep its limits, if the config wants one."""
        section, validation = self.config.validation, self.ctx.get('validation')
        if section is None or validation is None:
            return None
        if validation.is_finished_ok:
            self.out('validation', dict(validation.outputs.validators))
        if self.has_dielectric() and self.ctx.dielectric.is_finished_ok:
            self.out('dielectric', self.ctx.dielectric.outputs.potential)
        reason: str | None = self.ctx.limits_broken
        if not validation.is_finished_ok:
            return self.exit_codes.ERROR_VALIDATION_FAILED.format(reason=reason)
        if reason is not None and section.on_failure != 'warn':
            return self.exit_codes.ERROR_LIMITS_NOT_KEPT.format(reason=reason)
        return None

    def explore(self) -> ToContext:
        """Look for what the potential does not know."""
        self.ctx.exploration += 1
        loop, budget = self.config.loop, self.config.selection.budget
        if loop.max_labels is not None:
            budget = min(budget, loop.max_labels - self._labels_spent())
        inputs = self._exploring('explore', self.ctx.exploration) | {'budget': budget}
        inputs['dataset'] = orm.load_node(self.ctx.dataset_train)
        if self.ctx.calibration is not None:
            inputs['calibration'] = orm.load_node(self.ctx.calibration)
        process = WorkflowFactory('traincraft.explore')
        return ToContext(explored=self.submit_once(keys.explore(self.ctx.exploration), process, inputs))

    def inspect_exploration(self) -> ExitCode | None:
        """Count quiet explorations."""
        if (reason := self.failed([self.ctx.explored])) is not None:
            return self._fail('ERROR_EXPLORATION_FAILED', reason)
        report = self.ctx.explored.outputs.report
        # n_uncertain is None when nobody knows, which is not quiet.
        self.ctx.is_quiet = report['n_uncertain'] == 0 or report['n_selected'] == 0
        self.ctx.quiet += int(self.ctx.is_quiet)
        self.ctx.selected = report['n_selected']
        self._decide()
        if self.ctx.stop is not None:
            # What nobody is going to train on is not worth a label.
            self.ctx.selected = 0
        return None

    def label(self) -> ToContext:
        """Label what was selected."""
        manifest = self.ctx.explored.outputs.manifest.uuid
        return ToContext(labelled=self._submit_label(keys.label(self.ctx.exploration), manifest))

    def inspect_labels(self) -> ExitCode | None:
        """Extend dataset and ledger."""
        number = self.ctx.exploration
        self._join_ledgers(keys.ledger(number), self.ctx.labelled)
        if (reason := self.failed([self.ctx.labelled])) is not None:
            return self._fail('ERROR_LABELLING_FAILED', reason)
        labels = self.ctx.labelled.outputs.manifest
        if len(labels):
            previous = orm.load_node(self.ctx.dataset_train)
            dataset = self.call_once(
                keys.dataset(number), extend_dataset, labels=labels, split=orm.Str('train'), previous=previous
            )
            self.ctx.dataset_train = dataset.uuid
            self.ctx.new_labels = True
            # Not before: what is uncertain but never gets a label must not keep the loop going for ever.
            self.ctx.quiet = self.ctx.quiet if self.ctx.is_quiet else 0
        else:
            self.ctx.quiet += 0 if self.ctx.is_quiet else 1
            # New labels are trained on first, even if they were the last that the budget allows.
            self._decide()
        return None

    def distils(self) -> bool:
        """Whether the potential teaches another one."""
        return self.config.distillation is not None

    def distil(self) -> ToContext:
        """Train the student."""
        inputs = self._exploring('distil') | {'dataset': self.ctx.training.inputs.dataset}
        inputs['test_set'] = orm.load_node(self.ctx.dataset_test)
        return ToContext(distilled=self.submit_once(keys.DISTIL, WorkflowFactory('traincraft.distill'), inputs))

    def inspect_distillation(self) -> ExitCode | None:
        """Without the student the campaign has not done what was asked."""
        if (reason := self.failed([self.ctx.distilled])) is not None:
            return self._fail('ERROR_DISTILLATION_FAILED', reason)
        return None

    def finish(self) -> ExitCode | None:
        """Attach the results and say why the campaign stopped."""
        self._attach()
        reason, message = self.ctx.stop
        self.report(f'stopped: {message}')
        if (failed := self.judge_limits()) is not None:
            return failed
        return self.exit_codes[STOP_CODES[reason]].format(reason=message) if reason in STOP_CODES else None

    def _attach(self) -> None:
        """Attach what there is, so that a campaign that fails late keeps what it made before."""
        for port, product in products(self.node).items():
            self.out(port, product)
        if 'ledger' in self.ctx:
            self.out('ledger', orm.load_node(self.ctx.ledger))

    def _fail(self, name: str, reason: str) -> ExitCode:
        self._attach()
        return cast(ExitCode, self.exit_codes[name].format(reason=reason))

    def _submit_sampling(self, which: keys.Set, starts: str, systems: list[SystemConfig]) -> orm.ProcessNode:
        frames = orm.load_node(starts)
        parameters = orm.Dict(sampling_parameters(frames, systems, self.config))
        inputs = self.job_inputs('ase') | {'starts': frames, 'parameters': parameters}
        return self.submit_once(keys.first_samples(which), CalculationFactory('traincraft.sample'), inputs)

    def _exploring(self, *seed: str | int) -> dict[str, Any]:
        """Inputs of what explores with the last potential."""
        outputs = self.ctx.training.outputs
        return self.shared_inputs() | {
            'potential': outputs.potential,
            'sealed': orm.load_node(self.ctx.manifest_test),
            'ledger': orm.load_node(self.ctx.ledger),
            'seed': derive_seed(self.config.run.seed, *seed),
            **({'descriptors': outputs.descriptors} if 'descriptors' in outputs else {}),
        }

    def _submit_label(self, key: str, manifest: str) -> orm.ProcessNode:
        inputs = self.shared_inputs() | {'structures': orm.load_node(manifest)}
        return self.submit_once(key, WorkflowFactory('traincraft.label'), inputs)

    def _join_ledgers(self, key: str, *children: orm.ProcessNode) -> None:
        ledgers = [orm.load_node(self.ctx.ledger)] if 'ledger' in self.ctx else []
        ledgers += [child.outputs.ledger for child in children if 'ledger' in child.outputs]
        if ledgers:
            merged = self.call_once(key, merge_ledgers, **{f'part_{i}': node for i, node in enumerate(ledgers)})
            self.ctx.ledger = merged.uuid

    def _labels_spent(self) -> int:
        return int(orm.load_node(self.ctx.ledger).counts['total'])

    def _decide(self) -> None:
        errors = self.ctx.force_rmse, self.ctx.energy_rmse
        stop = decide(self.config.loop, *errors, self._labels_spent(), self.ctx.quiet, not self.must_go_on())
        if stop is not None:
            self.ctx.stop = (stop.reason, stop.message)
