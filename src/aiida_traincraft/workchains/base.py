"""What all WorkChains share: config, codes, and children that are never started twice."""

from __future__ import annotations

from asyncio import InvalidStateError
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from types import TracebackType
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode, ProcessBuilder, ProcessState, WorkChain
from aiida.engine.processes.workchains.awaitable import Awaitable, construct_awaitable

from aiida_traincraft.calculations.base import WorkerCalculation, is_poor
from aiida_traincraft.calculations.stored_config import StoredConfig
from aiida_traincraft.data.locks import alone_at, wait_for_writers
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.config.codes import CODE_ROLES, CodeConfig, TorchCodeConfig

# Options that are left to the computer when the config does not set them.
OPTIONAL = (
    'queue_name',
    'account',
    'qos',
    'max_memory_kb',
    'custom_scheduler_commands',
    'prepend_text',
    'mpirun_extra_params',
)

MAX_TRIES = 3
"""Times that a job is sent whose process dies."""
TRY = '_try'


def code_options(code: CodeConfig) -> dict[str, Any]:
    """Resources, limits and environment of the jobs of a code."""
    options: dict[str, Any] = {
        'resources': {
            'num_machines': code.num_machines,
            'num_mpiprocs_per_machine': code.num_mpiprocs_per_machine,
        },
        'max_wallclock_seconds': code.max_wallclock_seconds,
        'environment_variables': {
            name: str(code.omp_num_threads) for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')
        },
    }
    if code.num_cores_per_mpiproc is not None:
        options['resources']['num_cores_per_mpiproc'] = code.num_cores_per_mpiproc
    return options | {name: getattr(code, name) for name in OPTIONAL if getattr(code, name)}


class TraincraftWorkChain(WorkChain):
    """A WorkChain that can be killed at any moment.

    The engine saves a WorkChain between its steps. One that is killed inside a step repeats that step, so every child
    has a key within its WorkChain and is adopted, not started again, when the step is repeated.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the inputs that every WorkChain has."""
        super().define(spec)
        spec.input('config', valid_type=orm.Dict, help='The validated campaign (all sections).')
        spec.input_namespace('codes', help='Python interpreters by role; which are needed depends on the config.')
        for role in CODE_ROLES:
            spec.input(f'codes.{role}', valid_type=orm.AbstractCode, required=False, help=f'Code for role "{role}".')
        spec.input_namespace(
            'plugins', valid_type=orm.SinglefileData, dynamic=True, help='Python files with further plugins.'
        )

    def init(self) -> None:
        """Begin, or go on in another worker."""
        super().init()
        wait_for_writers()

    @cached_property
    def config(self) -> StoredConfig:
        """The config, read once."""
        return StoredConfig(self.inputs.config, self.plugin_nodes())

    def shared_inputs(self) -> dict[str, Any]:
        """Inputs that every child WorkChain gets."""
        return {
            'config': self.inputs.config,
            'codes': dict(self.inputs.codes),
            'plugins': dict(self.inputs.get('plugins', {})),
        }

    def plugin_nodes(self) -> dict[str, orm.SinglefileData]:
        """Plugin files as keyword arguments of a calcfunction."""
        return {f'plugins__{name}': node for name, node in self.inputs.get('plugins', {}).items()}

    def job_inputs(self, role: str) -> dict[str, Any]:
        """Code, plugins and options of a CalcJob that runs our worker."""
        return {
            'code': self.inputs.codes[role],
            'plugins': dict(self.inputs.get('plugins', {})),
            'metadata': {'options': self.job_options(role)},
        }

    def job_options(self, role: str) -> dict[str, Any]:
        """Resources, limits and environment of a job."""
        return code_options(self._code_config(role))

    def device_of(self, role: str) -> dict[str, str]:
        """Parameter ``device`` of a task that runs a model of torch; empty for other codes."""
        code = self._code_config(role)
        return {'device': code.device} if isinstance(code, TorchCodeConfig) else {}

    def potential_inputs(self, potential: PotentialData, parameters: dict[str, Any]) -> dict[str, Any]:
        """Code, options, potential and parameters of a job that evaluates a potential."""
        role = potential.role
        return self.job_inputs(role) | {
            'potential': potential,
            'parameters': orm.Dict(parameters | self.device_of(role)),
        }

    def submit_once(self, key: str, process: type, inputs: dict[str, Any]) -> orm.ProcessNode:
        """Submit a child, or adopt the one submitted under this key before this WorkChain was interrupted."""
        metadata = inputs.get('metadata', {}) | {'call_link_label': key}
        return self._child(key, process, inputs | {'metadata': metadata})

    def call_once(self, key: str, function: Callable[..., Any], **inputs: Any) -> Any:
        """Call a calcfunction, or take the outputs of the call that finished under this key before an interruption."""
        for child in self._children(key):
            if child.is_finished_ok:
                outputs = {link.link_label: link.node for link in child.base.links.get_outgoing(orm.Data).all()}
                return outputs.get('result', outputs)
        return function(**inputs, metadata={'call_link_label': key})

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        """Send a job again whose process died; what waits for it waits on."""
        again = None if self.has_terminated() else self._sent_again(orm.load_node(awaitable.pk))
        if again is None:
            super()._on_awaitable_finished(awaitable)
            return
        self._awaitables.remove(awaitable)
        fresh = construct_awaitable(again)
        fresh.key, fresh.action = awaitable.key, awaitable.action
        self._insert_awaitable(fresh)
        self.runner.call_on_process_finish(fresh.pk, partial(self.call_soon, self._on_awaitable_finished, fresh))

    def callback_excepted(
        self, _callback: Callable[..., Any], exception: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End a WorkChain that fails when it is told of a child; the engine marks it only, and it waits for ever."""
        if self.state == ProcessState.WAITING:
            # Told once already, it does not wait any more.
            with suppress(InvalidStateError):
                self._state.interrupt(exception)
                return
        super().callback_excepted(_callback, exception, trace)

    def _sent_again(self, job: orm.ProcessNode) -> orm.ProcessNode | None:
        """Child in the place of a job that died; None if it did not, or too often."""
        process = job.process_class if isinstance(job, orm.CalcJobNode) else None
        if process is None or not (issubclass(process, WorkerCalculation) and process.SENT_AGAIN):
            return None
        if job.exit_status != process.exit_codes.ERROR_NO_RESULT.status:
            return None
        label = job.base.links.get_incoming(link_type=LinkType.CALL_CALC).one().link_label
        key, _, number = label.partition(TRY)
        tries = int(number or 1)
        if tries == MAX_TRIES:
            return None
        which = f'{tries + 1} of {MAX_TRIES}'
        self.report(f'{job.process_label}<{job.pk}> died and is sent again ({which}): {job.exit_message}')
        key = f'{key}{TRY}{tries + 1}'
        builder = job.get_builder_restart()
        builder.metadata.call_link_label = key
        return self._child(key, builder, {})

    def failed(self, children: Iterable[orm.ProcessNode]) -> str | None:
        """Describe the first child that did not end well, None if all did; a poor potential is one to go on with."""
        for child in children:
            if not child.is_finished_ok and not is_poor(child):
                status = child.exit_status if child.is_finished else child.process_state.value
                return f'{child.process_label}<{child.pk}> ended with status {status}: {child.exit_message or ""}'
        return None

    def poor(self, training: orm.ProcessNode) -> ExitCode | None:
        """Exit code of a WorkChain whose training ended with a potential that is kept but poor, None of any other."""
        if not is_poor(training):
            return None
        code: ExitCode = self.exit_codes.ERROR_WORSE_THAN_CONSTANT
        return code.format(reason=training.exit_message)

    def _code_config(self, role: str) -> CodeConfig:
        return self.config.codes.of(role)

    def _child(self, key: str, process: type | ProcessBuilder, inputs: dict[str, Any]) -> orm.ProcessNode:
        """Child of a key: an adopted one, or a new one.

        Another worker may be here too, for the same WorkChain, if one of the two was taken for dead: the database lets
        one of them look and store at a time. The child is stored with its checkpoint, or not at all.
        """
        with alone_at(self.node):
            if (child := self._adopted(key)) is not None:
                return child
            fresh = self.runner.instantiate_process(process, **inputs)
        node: orm.ProcessNode = self.runner.submit(fresh)
        return node

    def _adopted(self, key: str) -> orm.ProcessNode | None:
        """Child that was submitted under a key before and can still be waited for."""
        alive = (child for child in self._children(key) if not (child.is_excepted or child.is_killed))
        return next(alive, None)

    def _children(self, key: str) -> list[orm.ProcessNode]:
        query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'id': self.node.pk}, tag='me', project=[])
        # Equal, not "like": there "_" is a wildcard. And only the one key: a labeller may have thousands of children.
        query.append(orm.ProcessNode, with_incoming='me', edge_filters={'label': {'==': key}}, project='*', tag='child')
        query.order_by({'child': 'id'})
        children: list[orm.ProcessNode] = query.all(flat=True)
        return children
