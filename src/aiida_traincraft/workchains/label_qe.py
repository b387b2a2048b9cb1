"""DFT labels by pw.x: one calculation per structure, or many to a job."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, if_, while_
from aiida.plugins import CalculationFactory
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
from ase.units import GPa

from aiida_traincraft.calculations.cores import job_cores
from aiida_traincraft.calculations.functions.labels import collect_labels, make_label, make_labels
from aiida_traincraft.calculations.pw_inputs import structure_parameters
from aiida_traincraft.calculations.pw_outcome import core_seconds, run_refusal
from aiida_traincraft.calculations.pw_setup import (
    common_parameters,
    find_family,
    find_pseudos,
    is_atom,
    level_content,
    per_atom_thresholds,
    pw_base_inputs,
    resolve,
    unfit,
    with_mpi,
)
from aiida_traincraft.calculations.pw_version import PwVersionCalculation, newest_version
from aiida_traincraft.data.frames.label import LabelData, find_label
from aiida_traincraft.data.ledger import LedgerRow
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import read_structures
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.labelling.quantumespresso import Refusal, too_large
from aiida_traincraft.workchains.isolated_atom import IsolatedAtomWorkChain
from aiida_traincraft.workchains.seams.labeller import define_label_ports
from aiida_traincraft.workchains.seams.quantumespresso import QuantumEspressoLabeller
from aiida_traincraft.workchains.throttled import ThrottledWorkChain

ATOM, BATCH, SINGLE = 'atom', 'batch', 'single'
SCHEDULING_MARGIN = 300
"""Seconds that a batch gets beyond the time limits of its structures."""


class LabelQeWorkChain(ThrottledWorkChain):
    """Label structures with pw.x, at most ``max_concurrent`` jobs at a time.

    A structure that has a label of this level of theory anywhere in the database is not calculated again. A structure
    that gets no label is a row of the ledger with its reason.
    """

    hooks = QuantumEspressoLabeller

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_label_ports(spec)
        spec.outline(
            if_(cls.needs_version)(cls.ask_version, cls.inspect_version),
            cls.plan,
            while_(cls.has_work)(cls.fill_slots, cls.collect),
            cls.results,
        )
        spec.exit_code(400, 'ERROR_CODE_UNUSABLE', message='pw.x cannot be used: {reason}')
        spec.exit_code(401, 'ERROR_BAD_INPUT', message='The labelling cannot be set up: {reason}')

    def needs_version(self) -> bool:
        """Whether nobody has asked pw.x for its version yet."""
        return newest_version(self.inputs.codes['pw']) is None

    def ask_version(self) -> ToContext:
        """Ask."""
        options = with_mpi(self.job_options('pw'))
        inputs = {'code': self.inputs.codes['pw'], 'metadata': {'options': options}}
        return ToContext(asked=self.submit_once('version', PwVersionCalculation, inputs))

    def inspect_version(self) -> ExitCode | None:
        """Without pw.x there are no labels."""
        if (reason := self.failed([self.ctx.asked])) is not None:
            return self.exit_codes.ERROR_CODE_UNUSABLE.format(reason=reason)
        return None

    def plan(self) -> ExitCode | None:
        """Sort the structures into those that have a label, those that cannot get one, and work to do."""
        manifest: ManifestData = self.inputs.structures
        uuids, fingerprints = manifest.uuids, manifest.fingerprints
        version = newest_version(self.inputs.codes['pw'])
        # It was asked for in the step before.
        assert version is not None
        structures = read_structures(uuids)
        elements = sorted({element for structure in structures for element in structure.elements})
        try:
            section = self.config.labelling
            assert isinstance(section, QuantumEspressoLabelling)
            section = resolve(section, elements)
            find_pseudos(find_family(section.pseudo_family), elements)
            level = LevelOfTheoryData.get_or_create(level_content(section, version.value))
        except ValueError as error:
            return self.exit_codes.ERROR_BAD_INPUT.format(reason=error)
        self.ctx.version, self.ctx.level = version.uuid, level.uuid
        self.ctx.section = section.model_dump(mode='json')
        known = find_label(fingerprints, level.hash)
        excessive = _excessive(known, section)
        self.ctx.rows = {}
        self.ctx.core_seconds = {}
        queue: list[tuple[str, list[int]]] = []
        batch: list[int] = []
        for index, structure in enumerate(structures):
            refused = unfit(structure, section) or excessive.get(fingerprints[index])
            if refused is not None:
                self._row(index, 'failed', refused, tries=0)
            elif fingerprints[index] in known:
                self._row(index, 'reused', label=known[fingerprints[index]], tries=0)
            elif is_atom(structure):
                queue.append((ATOM, [index]))
            elif section.batch_size > 1 and structure.atoms.pbc.all():
                batch.append(index)
            else:
                queue.append((SINGLE, [index]))
        size = section.batch_size
        queue += [(BATCH, batch[start : start + size]) for start in range(0, len(batch), size)]
        # An isolated atom without a label ends the campaign: better early.
        self.ctx.queue = [[kind, indices] for kind, indices in sorted(queue, key=lambda task: task[0] != ATOM)]
        self.ctx.running = {}
        self.ctx.tries = {}
        counts = ', '.join(f'{sum(k == kind for k, _ in queue)} x {kind}' for kind in (ATOM, BATCH, SINGLE))
        self.report(f'{len(uuids)} structures: {len(known)} labels found; to do: {counts}; level {level.hash[:8]}')
        return None

    def has_work(self) -> bool:
        """Whether anything runs or waits."""
        return bool(self.ctx.queue or self.ctx.running)

    def fill_slots(self) -> ToContext:
        """Start what fits, and wait for the first to end."""
        for _ in range(min(self.free_slots(len(self.ctx.running)), len(self.ctx.queue))):
            kind, indices = self.ctx.queue.pop(0)
            key = f'{kind}_{indices[0]:06d}'
            try:
                process, inputs = self._task(kind, indices)
            except ValueError as error:
                for index in indices:
                    self._row(index, 'failed', Refusal('no input for pw.x', str(error)), tries=0)
                continue
            node = self.submit_once(key, process, inputs)
            self.ctx.running[key] = [kind, indices, node.uuid]
        return ToContext(**{key: orm.load_node(uuid) for key, (_, _, uuid) in self.ctx.running.items()})

    def collect(self) -> None:
        """Turn what has ended into rows of the ledger."""
        for key, (kind, indices, uuid) in list(self.ctx.running.items()):
            node = orm.load_node(uuid)
            if not node.is_terminated:
                continue
            {ATOM: self._collect_atom, BATCH: self._collect_batch, SINGLE: self._collect_single}[kind](node, indices)
            del self.ctx.running[key]
            self.ctx.pop(key, None)
        self._skip_if_hopeless()

    def results(self) -> None:
        """Put labels and ledger together."""
        rows = [self.ctx.rows[str(index)] for index in range(len(self.inputs.structures))]
        collected = self.call_once(
            'collect', collect_labels, structures=self.inputs.structures, rows=orm.Dict({'rows': rows})
        )
        self.out('manifest', collected['manifest'])
        self.out('ledger', collected['ledger'])

    def _task(self, kind: str, indices: list[int]) -> tuple[type, dict[str, Any]]:
        """Process and inputs of a piece of work."""
        section, level = self._section(), orm.load_node(self.ctx.level)
        uuids = self.inputs.structures.uuids
        structure = orm.load_node(uuids[indices[0]])
        code, options = self.inputs.codes['pw'], self.job_options('pw')
        if kind == ATOM:
            inputs = {'structure': structure, 'level_of_theory': level, 'version': orm.load_node(self.ctx.version)}
            if self.config.labelling != section:
                # Completed for all structures, not for this element alone: the level says so.
                inputs['config'] = orm.Dict(self.inputs.config.get_dict() | {'labelling': dict(self.ctx.section)})
            return IsolatedAtomWorkChain, self.shared_inputs() | inputs
        family, thresholds = find_family(section.pseudo_family), per_atom_thresholds(section)
        if kind == SINGLE:
            pseudos = find_pseudos(family, structure.elements)
            parameters = structure_parameters(common_parameters(section, pseudos), thresholds, structure, pseudos)
            inputs = pw_base_inputs(section, code, structure, options, parameters)
            # A node that broke down, say: one more run before it counts as failed.
            inputs['on_unhandled_failure'] = orm.Str('restart_once')
            return PwBaseWorkChain, inputs
        fingerprints = self.inputs.structures.fingerprints
        members = read_structures([uuids[index] for index in indices])
        pseudos = find_pseudos(family, {element for member in members for element in member.elements})
        limit = options['max_wallclock_seconds']
        plan = {
            'conv_thr_per_atom': thresholds['conv_thr'],
            'etot_conv_thr_per_atom': thresholds['etot_conv_thr'],
            'kpoints_distance': section.kpoints_distance,
            'concurrent': section.concurrent,
            'max_seconds': limit,
            'parallelization': dict(section.parallelization),
            'max_force': section.max_force,
            'max_pressure': section.max_pressure,
            'version': orm.load_node(self.ctx.version).value,
        }
        needed = math.ceil(len(indices) / section.concurrent) * limit + SCHEDULING_MARGIN
        options['max_wallclock_seconds'] = section.batch_wallclock_seconds or needed
        return CalculationFactory('traincraft.pw_batch'), {
            'code': code,
            'structures': ManifestData([uuids[i] for i in indices], [fingerprints[i] for i in indices]),
            'parameters': orm.Dict(common_parameters(section, pseudos)),
            'plan': orm.Dict(plan),
            'pseudos': pseudos,
            'metadata': {'options': options},
        }

    def _collect_atom(self, node: orm.WorkChainNode, indices: list[int]) -> None:
        (index,) = indices
        attempts = sorted(
            (child for child in node.called if isinstance(child, orm.WorkChainNode)), key=lambda child: int(child.pk)
        )
        jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
        tries, process = len(jobs), max(jobs, key=lambda job: int(job.pk), default=node).uuid
        self._spend(index, core_seconds(jobs))
        if node.is_finished_ok:
            self._labelled(index, node.outputs.label.uuid, tries, process)
            return
        told = node.exit_message or node.exception or str(node.process_state.value)
        refused = None
        if attempts:
            version = orm.load_node(self.ctx.version).value
            refused, _ = run_refusal(self._section(), attempts[-1], version, periodic=False)
        reason = refused.reason if refused is not None else 'isolated atom without its moment'
        self._row(index, 'failed', Refusal(reason, told), tries=tries, process=process)
        if self._section().max_failed_fraction < 1.0:
            # Without E0 there is no training, whatever the others give.
            self._skip('an isolated atom failed')

    def _collect_batch(self, node: orm.CalcJobNode, indices: list[int]) -> None:
        """Keep the labels; what has none gets a calculation of its own, with its error handlers."""
        labels: dict[int, str] = {}
        if 'frames' in node.outputs:
            frames = node.outputs.frames
            made = self.call_once(
                f'labels_{indices[0]:06d}', make_labels, level_of_theory=orm.load_node(self.ctx.level), frames=frames
            )
            positions = [frame.provenance['index'] for frame in frames.get_frames()]
            labels = {indices[at]: uuid for at, uuid in zip(positions, made.uuids, strict=True)}
        if 'report' in node.outputs:
            cores = job_cores(node, node.inputs.plan['concurrent'])
            for row in node.outputs.report['rows']:
                self._spend(indices[row['index']], cores * (row['seconds'] or 0.0))
        for index in indices:
            if index in labels:
                self._row(index, 'ok', label=labels[index], process=node.uuid)
            else:
                self.ctx.tries[str(index)] = 1
                self.ctx.queue.append([SINGLE, [index]])
        if len(labels) < len(indices):
            self.report(f'{len(indices) - len(labels)} structures of batch <{node.pk}> are calculated alone')

    def _collect_single(self, node: orm.WorkChainNode, indices: list[int]) -> None:
        (index,) = indices
        structure = orm.load_node(self.inputs.structures.uuids[index])
        version = orm.load_node(self.ctx.version).value
        refused, jobs = run_refusal(self._section(), node, version, periodic=all(structure.pbc))
        tries = len(jobs) + self.ctx.tries.get(str(index), 0)
        process = jobs[-1].uuid if jobs else node.uuid
        self._spend(index, core_seconds(jobs))
        if refused is not None:
            for job in jobs:
                # A retry has to calculate it again.
                job.base.caching.is_valid_cache = False
            self._row(index, 'failed', refused, tries=tries, process=process)
            return
        label = self.call_once(
            f'label_{index:06d}',
            make_label,
            structure=structure,
            level_of_theory=orm.load_node(self.ctx.level),
            parameters=node.outputs.output_parameters,
            trajectory=node.outputs.output_trajectory,
            kpoints=jobs[-1].inputs.kpoints,
        )
        self._labelled(index, label.uuid, tries, process)

    def _labelled(self, index: int, label: str, tries: int, process: str) -> None:
        self._row(index, 'ok' if tries == 1 else 'recovered', label=label, tries=tries, process=process)

    def _spend(self, index: int, seconds: float) -> None:
        self.ctx.core_seconds[str(index)] = self.ctx.core_seconds.get(str(index), 0.0) + seconds

    def _skip_if_hopeless(self) -> None:
        """Drop what waits when so much failed that the rest cannot save it: it would be calculated for nothing."""
        total = len(self.inputs.structures)
        failed = sum(row['status'] == 'failed' for row in self.ctx.rows.values())
        if failed > self._section().max_failed_fraction * total:
            self._skip('too many others failed')

    def _skip(self, reason: str) -> None:
        skipped = [index for _, indices in self.ctx.queue for index in indices]
        self.ctx.queue = []
        for index in skipped:
            self._row(index, 'skipped', Refusal(reason, ''), tries=0)
        if skipped:
            self.report(f'{reason}: the {len(skipped)} structures that wait are skipped')

    def _row(
        self,
        index: int,
        status: str,
        refused: Refusal | None = None,
        label: str | None = None,
        tries: int = 1,
        process: str | None = None,
    ) -> None:
        manifest: ManifestData = self.inputs.structures
        row = LedgerRow(
            structure=manifest.uuids[index],
            fingerprint=manifest.fingerprints[index],
            status=status,
            label=label,
            reason=refused.reason if refused else None,
            detail=(refused.detail or None) if refused else None,
            tries=tries,
            process=process,
            core_seconds=self.ctx.core_seconds.get(str(index)) or None,
        )
        # Keys of the context are strings once it was saved.
        self.ctx.rows[str(index)] = asdict(row)
        if refused is not None and status == 'failed':
            self.report(f'structure {index}: {refused.reason} ({refused.detail})')

    def _section(self) -> QuantumEspressoLabelling:
        return QuantumEspressoLabelling.model_validate(self.ctx.section)


def _excessive(known: dict[str, str], section: QuantumEspressoLabelling) -> dict[str, Refusal]:
    """Labels found, by the structure's fingerprint, that another campaign took and that this one would refuse."""
    by_uuid = {uuid: fingerprint for fingerprint, uuid in known.items()}
    query = orm.QueryBuilder().append(
        LabelData,
        filters={'uuid': {'in': list(by_uuid) or ['-']}},
        project=['uuid', 'attributes.max_force', 'attributes.pressure'],
    )
    found = {}
    for uuid, force, pressure in query.iterall():
        refused = too_large(
            force, None if pressure is None else pressure / GPa, section.max_force, section.max_pressure
        )
        if refused is not None:
            found[by_uuid[uuid]] = refused
    return found
