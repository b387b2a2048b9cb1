"""A student that learns from a trained potential."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import WorkflowFactory

from aiida_traincraft.calculations.functions.configs import distillation_config
from aiida_traincraft.calculations.functions.datasets import extend_dataset
from aiida_traincraft.calculations.functions.manifests import merge_manifests, structures_of
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.workchains.base import TraincraftWorkChain


class DistillWorkChain(TraincraftWorkChain):
    """Explore with a potential, label what it is sure of with it, and train the student of ``[distillation]``."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=PotentialData, help='The teacher.')
        spec.input('dataset', valid_type=DatasetData, help='What the teacher was trained on.')
        spec.input('descriptors', valid_type=orm.ArrayData, required=False, help='Descriptors of that, by the teacher.')
        spec.input('test_set', valid_type=DatasetData, help='Sealed test set, at the level of theory of that.')
        spec.input('sealed', valid_type=ManifestData, required=False, help='Structures of the test set.')
        spec.input('ledger', valid_type=LedgerData, help='Structures that were labelled in the campaign.')
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of exploration and training.')
        spec.output('student', valid_type=PotentialData, help='The student.')
        spec.output('student_dataset', valid_type=DatasetData, help="What it was trained on: the teacher's labels.")
        spec.output('student_errors', valid_type=orm.Dict, required=False, help='Its errors on the sealed test set.')
        spec.outline(
            cls.prepare, cls.explore, cls.inspect_exploration, cls.label, cls.inspect_labels, cls.train, cls.results
        )
        spec.exit_code(400, 'ERROR_EXPLORATION_FAILED', message='The exploration failed: {reason}')
        spec.exit_code(401, 'ERROR_LABELLING_FAILED', message='The teacher could not label: {reason}')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', message='The student could not be trained: {reason}')

    def prepare(self) -> None:
        """Write the student's config."""
        self.ctx.config = self.call_once(
            'config', distillation_config, config=self.inputs.config, potential=self.inputs.potential
        ).uuid

    def explore(self) -> ToContext:
        """Look for structures that the teacher is sure of."""
        seed = derive_seed(self.inputs.seed.value, 'explore')
        distillation = self.config.distillation
        assert distillation is not None
        budget = distillation.structures
        inputs = self._shared() | {port: self.inputs[port] for port in ('potential', 'dataset', 'ledger')}
        inputs |= {port: self.inputs[port] for port in ('descriptors', 'sealed') if port in self.inputs}
        process = WorkflowFactory('traincraft.explore')
        return ToContext(explored=self.submit_once('explore', process, inputs | {'seed': seed, 'budget': budget}))

    def inspect_exploration(self) -> ExitCode | None:
        """Add the structures of the teacher's own training set."""
        if (reason := self.failed([self.ctx.explored])) is not None:
            return self.exit_codes.ERROR_EXPLORATION_FAILED.format(reason=reason)
        known = self.call_once('structures', structures_of, dataset=self.inputs.dataset)
        chosen = self.ctx.explored.outputs.manifest
        self.ctx.manifest = self.call_once('manifest', merge_manifests, part_0=known, part_1=chosen).uuid
        return None

    def label(self) -> ToContext:
        """Let the teacher label."""
        inputs = self._shared() | {'structures': orm.load_node(self.ctx.manifest)}
        return ToContext(labelled=self.submit_once('label', WorkflowFactory('traincraft.label'), inputs))

    def inspect_labels(self) -> ExitCode | None:
        """Make the student's dataset."""
        if (reason := self.failed([self.ctx.labelled])) is not None:
            return self.exit_codes.ERROR_LABELLING_FAILED.format(reason=reason)
        labels = self.ctx.labelled.outputs.manifest
        dataset = self.call_once('dataset', extend_dataset, labels=labels, split=orm.Str('train'))
        self.ctx.dataset = dataset.uuid
        self.report(f'the student learns from a {dataset}')
        return None

    def train(self) -> ToContext:
        """Train and score the student."""
        inputs = self._shared() | {
            'dataset': orm.load_node(self.ctx.dataset),
            'test_set': self.inputs.test_set,
            'seed': derive_seed(self.inputs.seed.value, 'train'),
        }
        return ToContext(trained=self.submit_once('train', WorkflowFactory('traincraft.train'), inputs))

    def results(self) -> ExitCode | None:
        """Pass on the student."""
        if (reason := self.failed([self.ctx.trained])) is not None:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=reason)
        outputs = self.ctx.trained.outputs
        self.out('student', outputs.potential)
        self.out('student_dataset', orm.load_node(self.ctx.dataset))
        if 'errors' in outputs:
            self.out('student_errors', outputs.errors)
            overall = outputs.errors['overall']
            self.report(
                f'student: test RMSE {1000 * overall["energy"]["rmse"]:.2f} meV/atom, '
                f'{1000 * overall["forces"]["rmse"]:.2f} meV/Å'
            )
        return None

    def _shared(self) -> dict[str, Any]:
        return self.shared_inputs() | {'config': orm.load_node(self.ctx.config)}
