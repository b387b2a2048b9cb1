"""The active-learning loop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, if_, while_
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_traincraft.calculations.build_structures import build_structures
from aiida_traincraft.calculations.extend_dataset import extend_dataset, merge_ledgers
from aiida_traincraft.calculations.select_structures import select_structures
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.potential import PotentialData
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.loop import LoopConfig
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.stopping import decide
from aiida_traincraft.workchains.base import products
from aiida_traincraft.workchains.builder import builder_from_config
from aiida_traincraft.workchains.validating import ValidatingWorkChain

# The first structures pass the physical checks only: the funnel's other stages need a potential.
INITIAL_STAGES = [{'type': 'physicality'}, {'type': 'dedup'}]
# What is not here is a success.
STOP_CODES = {
    'quiet': 'STOPPED_NOTHING_UNCERTAIN',
    'plateau': 'STOPPED_NO_GAIN',
    'labels': 'STOPPED_LABEL_BUDGET',
    'cycles': 'STOPPED_MAX_CYCLES',
}


class ActiveLearningWorkChain(ValidatingWorkChain):
    """Seal a test set, label the first structures; then train, score, explore, select and label until it is enough.

    Exit status 0 means that the target was reached; 500 to 503 are the other criteria, with the same outputs.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'files', valid_type=orm.SinglefileData, dynamic=True, help='Files that geometry sources read.'
        )
        spec.input_namespace(
            'models',
            valid_type=orm.SinglefileData,
            dynamic=True,
            help='Files of foundation models, by who starts from them.',
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The last potential.')
        spec.output('dataset', valid_type=DatasetData, required=False, help='What it was trained on.')
        spec.output('test_set', valid_type=DatasetData, required=False, help='The sealed test set.')
        spec.output('ledger', valid_type=LedgerData, required=False, help='What became of every structure.')
        spec.output('student', valid_type=PotentialData, required=False, help='Potential taught by the last one.')
        spec.output('student_dataset', valid_type=DatasetData, required=False, help='What the student learnt from.')
        spec.output('student_errors', valid_type=orm.Dict, required=False, help='Its errors on the test set.')
        spec.output('errors', valid_type=orm.Dict, required=False, help='Errors of the last potential on the test set.')
        validation = if_(cls.validates)(
            if_(cls.has_dielectric)(cls.train_dielectric), cls.validate, cls.inspect_validation
        )
        spec.outline(
            cls.prepare,
            cls.sample_systems,
            cls.inspect_samples,
            cls.label_test,
            cls.label_train,
            cls.inspect_first_labels,
            while_(cls.goes_on)(
                if_(cls.has_new_labels)(cls.train, cls.inspect_training, validation),
                if_(cls.goes_on)(
                    cls.explore,
                    cls.inspect_exploration,
                    if_(cls.has_selection)(cls.label, cls.inspect_labels),
                ),
                validation,
            ),
            if_(cls.distils)(cls.distil, cls.inspect_distillation),
            cls.finish,
        )
        spec.exit_code(400, 'ERROR_SAMPLING_FAILED', message='The first structures could not be sampled: {reason}')
        spec.exit_code(401, 'ERROR_LABELLING_FAILED', message='Labelling failed: {reason}')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', message='Training failed: {reason}')
        spec.exit_code(403, 'ERROR_EXPLORATION_FAILED', message='Exploration failed: {reason}')
        spec.exit_code(406, 'ERROR_DISTILLATION_FAILED', message='The distillation failed: {reason}')
        spec.exit_code(404, 'ERROR_NOTHING_SELECTED', message='No {which} structure passed the physical checks{more}.')
        spec.exit_code(
            405,
            'ERROR_BUDGET_TOO_SMALL',
            message='loop.max_labels is {limit}, but test set and first structures alone need {needed} labels.',
        )
        spec.exit_code(500, 'STOPPED_NOTHING_UNCERTAIN', message='{reason}')
        spec.exit_code(501, 'STOPPED_NO_GAIN', message='{reason}')
        spec.exit_code(502, 'STOPPED_LABEL_BUDGET', message='{reason}')
        spec.exit_code(503, 'STOPPED_MAX_CYCLES', message='{reason}')

    @classmethod
    def get_builder_from_config(cls, config: CampaignConfig | Path | str) -> ProcessBuilder:
        """Make a builder from a campaign file or a validated config.

        Raises
        ------
        ConfigError
            If the file is not valid, a code is missing, or the teacher does not know an element.
        """
        return builder_from_config(cls, config)

    def prepare(self) -> None:
        """Build the starting geometries."""
        self.ctx.cycle = 0
        self.ctx.exploration = 0
        self.ctx.quiet = 0
        self.ctx.force_rmse, self.ctx.energy_rmse = [], []
        self.ctx.stop = None
        self.ctx.new_labels = True
        files = {f'files__{name}': node for name, node in self.inputs.get('files', {}).items()}
        built = self.call_once(
            'build_structures', build_structures, config=self.inputs.config, **files, **self.plugin_nodes()
        )
        self.ctx.systems, self.ctx.test_systems = built['systems'].uuid, built['test_systems'].uuid

    def sample_systems(self) -> ToContext:
        """Sample around every geometry, of the systems and of the test set."""
        tested = self.section('test_set')['systems']
        return ToContext(
            sample_train=self._submit_sampling('sample_train', self.ctx.systems, self.section('systems')),
            sample_test=self._submit_sampling('sample_test', self.ctx.test_systems, tested),
        )

    def inspect_samples(self) -> ExitCode | None:
        """Choose the first structures and the test structures."""
        if (reason := self.failed([self.ctx.sample_test, self.ctx.sample_train])) is not None:
            return self.exit_codes.ERROR_SAMPLING_FAILED.format(reason=reason)
        if empty := self._systems_without_frames():
            return self.exit_codes.ERROR_SAMPLING_FAILED.format(reason='; '.join(empty))
        self.ctx.elements = elements = sorted(
            {
                element
                for node in (self.ctx.sample_train.outputs.frames, self.ctx.sample_test.outputs.frames)
                for element in node.base.attributes.get('elements')
            }
        )
        needed, sealed = 0, dict[str, Any]()
        for name, job, isolated in (('test', self.ctx.sample_test, []), ('train', self.ctx.sample_train, elements)):
            parameters = {
                'seed': derive_seed(self.section('run')['seed'], 'select', name),
                'stages': INITIAL_STAGES,
                'budget': sys.maxsize,
                'isolated_atoms': isolated,
            }
            result = self.call_once(
                f'select_{name}',
                select_structures,
                config=self.inputs.config,
                parameters=orm.Dict(parameters),
                frames__0=job.outputs.frames,
                **sealed,
                **self.plugin_nodes(),
            )
            if result['report']['n_selected'] == 0:
                which = 'test' if name == 'test' else 'starting'
                last = result['report']['stages'][-1]
                more = ' and is unlike the test set' if last['stage'] == 'sealed' and last['dropped'] else ''
                return self.exit_codes.ERROR_NOTHING_SELECTED.format(which=which, more=more)
            self.ctx[f'manifest_{name}'] = result['manifest'].uuid
            sealed = {'sealed': result['manifest']}
            needed += len(result['manifest'])
        limit = self._criteria().max_labels
        if limit is not None and needed > limit:
            return self.exit_codes.ERROR_BUDGET_TOO_SMALL.format(limit=limit, needed=needed)
        return None

    def label_test(self) -> ToContext:
        """Label the test set."""
        return ToContext(labelled_test=self._submit_label('label_test', self.ctx.manifest_test))

    def label_train(self) -> ToContext:
        """Label the first structures."""
        return ToContext(labelled_train=self._submit_label('label_train', self.ctx.manifest_train))

    def inspect_first_labels(self) -> ExitCode | None:
        """Seal the test set and begin the dataset."""
        children = [self.ctx.labelled_test, self.ctx.labelled_train]
        self._join_ledgers('merge_ledgers_first', *children)
        if (reason := self.failed(children)) is not None:
            return self._fail('ERROR_LABELLING_FAILED', reason)
        for name in ('test', 'train'):
            labels = self.ctx[f'labelled_{name}'].outputs.manifest
            dataset = self.call_once(f'dataset_{name}', extend_dataset, labels=labels, split=orm.Str(name))
            self.ctx[f'dataset_{name}'] = dataset.uuid
            self.report(f'{name} set: {dataset}')
        missing = sorted(set(self.ctx.elements) - set(dataset.e0))
        if missing:
            names = ', '.join(missing)
            return self._fail('ERROR_LABELLING_FAILED', f'the isolated atom of {names} has no label, so there is no E0')
        return None

    def goes_on(self) -> bool:
        """Whether no criterion holds yet."""
        return self.ctx.stop is None

    def has_new_labels(self) -> bool:
        """Whether the dataset grew since the last training."""
        return bool(self.ctx.new_labels)

    def has_selection(self) -> bool:
        """Whether the exploration found something worth a label."""
        return self.ctx.selected > 0

    def train(self) -> ToContext:
        """Train and score."""
        self.ctx.cycle += 1
        inputs = self.shared_inputs() | {
            'dataset': orm.load_node(self.ctx.dataset_train),
            'test_set': orm.load_node(self.ctx.dataset_test),
            'seed': derive_seed(self.section('run')['seed'], 'train', self.ctx.cycle),
        }
        process = WorkflowFactory('traincraft.train')
        return ToContext(training=self.submit_once(f'train_{self.ctx.cycle:03d}', process, inputs))

    def inspect_training(self) -> ExitCode | None:
        """Record the test error and decide whether to stop."""
        if (reason := self.failed([self.ctx.training])) is not None:
            return self._fail('ERROR_TRAINING_FAILED', reason)
        overall = self.ctx.training.outputs.errors['overall']
        self.ctx.force_rmse.append(overall['forces']['rmse'])
        self.ctx.energy_rmse.append(overall['energy']['rmse'])
        self.ctx.new_labels = False
        self.ctx.limits_broken = None
        self.calibrate()
        self.report(
            f'cycle {self.ctx.cycle}: test RMSE {1000 * self.ctx.energy_rmse[-1]:.2f} meV/atom, '
            f'{1000 * self.ctx.force_rmse[-1]:.2f} meV/Å after {self._labels_spent()} labels'
        )
        self._decide()
        return None

    def explore(self) -> ToContext:
        """Look for what the potential does not know."""
        self.ctx.exploration += 1
        loop, budget = self._criteria(), self.section('selection')['budget']
        if loop.max_labels is not None:
            budget = min(budget, loop.max_labels - self._labels_spent())
        inputs = self.shared_inputs() | {
            'potential': self.ctx.training.outputs.potential,
            'dataset': orm.load_node(self.ctx.dataset_train),
            'sealed': orm.load_node(self.ctx.manifest_test),
            'ledger': orm.load_node(self.ctx.ledger),
            'seed': derive_seed(self.section('run')['seed'], 'explore', self.ctx.exploration),
            'budget': budget,
        }
        if 'descriptors' in self.ctx.training.outputs:
            inputs['descriptors'] = self.ctx.training.outputs.descriptors
        if self.ctx.calibration is not None:
            inputs['calibration'] = orm.load_node(self.ctx.calibration)
        process = WorkflowFactory('traincraft.explore')
        return ToContext(explored=self.submit_once(f'explore_{self.ctx.exploration:03d}', process, inputs))

    def inspect_exploration(self) -> ExitCode | None:
        """Count quiet explorations."""
        if (reason := self.failed([self.ctx.explored])) is not None:
            return self._fail('ERROR_EXPLORATION_FAILED', reason)
        report = self.ctx.explored.outputs.report
        # n_uncertain is None when nobody knows, which is not quiet.
        self.ctx.is_quiet = report['n_uncertain'] == 0 or report['n_selected'] == 0
        if self.ctx.is_quiet:
            self.ctx.quiet += 1
        self.ctx.selected = report['n_selected']
        self._decide()
        if self.ctx.stop is not None:
            # What nobody is going to train on is not worth a label.
            self.ctx.selected = 0
        return None

    def label(self) -> ToContext:
        """Label what was selected."""
        manifest = self.ctx.explored.outputs.manifest.uuid
        return ToContext(labelled=self._submit_label(f'label_{self.ctx.exploration:03d}', manifest))

    def inspect_labels(self) -> ExitCode | None:
        """Extend dataset and ledger."""
        key = f'{self.ctx.exploration:03d}'
        self._join_ledgers(f'merge_ledgers_{key}', self.ctx.labelled)
        if (reason := self.failed([self.ctx.labelled])) is not None:
            return self._fail('ERROR_LABELLING_FAILED', reason)
        labels = self.ctx.labelled.outputs.manifest
        if len(labels):
            previous = orm.load_node(self.ctx.dataset_train)
            dataset = self.call_once(
                f'dataset_{key}', extend_dataset, labels=labels, split=orm.Str('train'), previous=previous
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
        return self.inputs.config.get('distillation') is not None

    def distil(self) -> ToContext:
        """Train the student."""
        training = self.ctx.training
        inputs = self.shared_inputs() | {
            'potential': training.outputs.potential,
            'dataset': training.inputs.dataset,
            'test_set': orm.load_node(self.ctx.dataset_test),
            'sealed': orm.load_node(self.ctx.manifest_test),
            'ledger': orm.load_node(self.ctx.ledger),
            'seed': derive_seed(self.section('run')['seed'], 'distil'),
        }
        if 'descriptors' in training.outputs:
            inputs['descriptors'] = training.outputs.descriptors
        return ToContext(distilled=self.submit_once('distil', WorkflowFactory('traincraft.distill'), inputs))

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
        code: ExitCode = self.exit_codes[name]
        return code.format(reason=reason)

    def _submit_sampling(self, key: str, starts: str, systems: list[dict[str, Any]]) -> orm.ProcessNode:
        seed, samplers = self.section('run')['seed'], {system['name']: system['sampling'] for system in systems}
        runs = []
        for index, frame in enumerate(orm.load_node(starts).get_frames()):
            name, variant = frame.provenance['system'], frame.provenance.get('variant', 0)
            parts = (name, variant) if variant else (name,)
            runs.append({'start': index, 'sampler': samplers[name], 'seed': derive_seed(seed, 'sampling', *parts)})
        # Samplers that need forces before there is a potential take the teacher's; without one they say so.
        parameters = {'runs': runs, 'calculator': self.section('labelling').get('calculator'), 'watch': None}
        inputs = self.job_inputs('ase') | {'starts': orm.load_node(starts), 'parameters': orm.Dict(parameters)}
        return self.submit_once(key, CalculationFactory('traincraft.sample'), inputs)

    def _systems_without_frames(self) -> list[str]:
        """Say what became of every system whose sampling kept nothing; report those that ended early."""
        empty = []
        for job, starts in ((self.ctx.sample_train, self.ctx.systems), (self.ctx.sample_test, self.ctx.test_systems)):
            frames = orm.load_node(starts).get_frames()
            for run, frame in zip(job.outputs.summary['runs'], frames, strict=True):
                name = frame.provenance['system']
                if run['frames'] == 0:
                    empty.append(f'no frame of {name}, {run["end"]}')
                elif run['end'] != 'finished':
                    self.report(f'sampling of {name} ended with {run["frames"]} frames: {run["end"]}')
        return empty

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

    def _criteria(self) -> LoopConfig:
        return LoopConfig.model_validate(self.section('loop'))

    def _decide(self) -> None:
        errors = self.ctx.force_rmse, self.ctx.energy_rmse
        stop = decide(self._criteria(), *errors, self._labels_spent(), self.ctx.quiet, not self.must_go_on())
        if stop is not None:
            self.ctx.stop = (stop.reason, stop.message)
