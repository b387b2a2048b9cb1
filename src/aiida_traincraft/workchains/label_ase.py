"""Labels by an ASE calculator, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.ase_label import AseLabelCalculation
from aiida_traincraft.calculations.functions.ledgers import merge_ledgers, skip_structures
from aiida_traincraft.calculations.functions.manifests import merge_manifests
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.labelling.ase import AseLabelling
from aiida_traincraft.science.config.labelling.batched import BatchedLabelling
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.labeller import Labeller, define_label_ports, labeller_of


class AseLabeller(Labeller[AseLabelling]):
    """Hooks of labels by an ASE calculator."""

    def level_of_theory(self, inputs: Mapping[str, Any], elements: frozenset[str]) -> dict[str, Any]:
        """Tell the whole level: the teacher, its parameters, and what its files and those of its plugin hold.

        Files of a teacher on another machine cannot be read from here: there the level names their paths.
        """
        teacher = self.section.calculator
        content = {'type': self.section.type, 'calculator': teacher.model_dump(mode='json')}
        # A calculator of a dotted path may come from a plugin file too.
        if teacher.type == 'custom' or not registry.get('calculator', teacher.type).is_builtin:
            files = dict(inputs['plugins']).values() if 'plugins' in inputs else ()
            digests = (hashlib.sha1(node.get_content(mode='rb'), usedforsecurity=False) for node in files)
            content['plugins'] = sorted(digest.hexdigest() for digest in digests)
        elif inputs['codes']['ase'].computer.transport_type == 'core.local':
            content['calculator'] = teacher.level_table()
        return content


class LabelAseWorkChain(TraincraftWorkChain):
    """Split the structures into batches and run ``traincraft.ase_label``, at most ``max_concurrent`` at a time."""

    hooks: ClassVar[type[Labeller[Any]]] = AseLabeller

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_label_ports(spec)
        spec.outline(cls.split, while_(cls.has_batches)(cls.run_batches, cls.inspect_batches), cls.results)
        spec.exit_code(400, 'ERROR_BATCH_FAILED', message='A batch of labels failed: {reason}')

    def teacher_inputs(self) -> dict[str, Any]:
        """Code, options and parameters of a job: who labels."""
        parameters = self.config.labelling.model_dump(mode='json', include={'calculator', 'min_distance'})
        return self.job_inputs('ase') | {'parameters': orm.Dict(parameters)}

    def split(self) -> None:
        """Find the bounds of the batches."""
        total, size = len(self.inputs.structures), self._batch_size
        self.ctx.queue = [[start, min(start + size, total), False] for start in range(0, max(total, 1), size)]
        self.ctx.parts = {}
        self.ctx.deadly = 0

    def has_batches(self) -> bool:
        """Whether batches are left."""
        return bool(self.ctx.queue)

    def run_batches(self) -> ToContext:
        """Start the next batches."""
        level = LevelOfTheoryData.get_or_create(
            labeller_of(self.config.labelling).level_of_theory(self.inputs, frozenset())
        )
        most = self.config.run.max_concurrent
        self.ctx.running, self.ctx.queue = self.ctx.queue[:most], self.ctx.queue[most:]
        jobs = {}
        for start, stop, alone in self.ctx.running:
            inputs = self.teacher_inputs()
            if alone:
                inputs['parameters'] = orm.Dict(inputs['parameters'].get_dict() | {'alone': True})
            inputs |= {'structures': self._batch(start, stop), 'level_of_theory': level}
            key = _key(start, stop, alone)
            jobs[key] = self.submit_once(key, CalculationFactory('traincraft.ase_label'), inputs)
        return ToContext(**jobs)

    def inspect_batches(self) -> ExitCode | None:
        """Keep what was labelled; where a job died, try the structure that it died of alone, and the others again."""
        codes = AseLabelCalculation.exit_codes
        died = (codes.ERROR_NO_RESULT.status, codes.ERROR_OUT_OF_WALLTIME.status)
        for start, stop, alone in self.ctx.running:
            job = self.ctx[_key(start, stop, alone)]
            if job.exit_status not in died and (reason := self.failed([job])) is not None:
                return self.exit_codes.ERROR_BATCH_FAILED.format(reason=reason)
            done = len(job.outputs.ledger.rows) if 'ledger' in job.outputs else 0
            if done or job.is_finished_ok:
                self.ctx.parts[f'part_{start:06d}'] = job.uuid
            if job.exit_status in died:
                self.report(f'structures {start} to {stop - 1}: {done} were done when the job died: {job.exit_message}')
                suspect = start + done
                if alone:
                    self.ctx.deadly += 1
                elif suspect < stop:
                    again = [[suspect, suspect + 1, True], [suspect + 1, stop, False]]
                    self.ctx.queue = [each for each in again if each[0] < each[1]] + self.ctx.queue
        self._skip_if_hopeless()
        return None

    def _skip_if_hopeless(self) -> None:
        """Leave out what waits when too many structures have ended their process: none of it would be used."""
        limit = self.config.labelling.max_failed_fraction * len(self.inputs.structures)
        if self.ctx.deadly <= limit or not self.ctx.queue:
            return
        self.report(f'{self.ctx.deadly} structures ended their process: those that wait are skipped')
        for start, stop, _ in self.ctx.queue:
            reason = orm.Str('too many others ended their process')
            skipped = self.call_once(
                f'skip_{start:06d}', skip_structures, structures=self._batch(start, stop), reason=reason
            )
            self.ctx.parts[f'part_{start:06d}'] = skipped.uuid
        self.ctx.queue = []

    def results(self) -> None:
        """Join the parts, in the order of the structures."""
        parts = {key: orm.load_node(uuid) for key, uuid in sorted(self.ctx.parts.items())}
        for port, merge in (('manifest', merge_manifests), ('ledger', merge_ledgers)):
            found = {
                key: node if isinstance(node, orm.Data) else node.outputs[port]
                for key, node in parts.items()
                if port == 'ledger' or not isinstance(node, orm.Data)
            }
            first = next(iter(found.values()))
            self.out(port, first if len(found) == 1 else self.call_once(f'merge_{port}', merge, **found))

    @property
    def _batch_size(self) -> int:
        section = self.config.labelling
        assert isinstance(section, BatchedLabelling)
        return section.batch_size

    def _batch(self, start: int, stop: int) -> ManifestData:
        manifest: ManifestData = self.inputs.structures
        if stop - start >= len(manifest):
            return manifest
        return ManifestData(manifest.uuids[start:stop], manifest.fingerprints[start:stop])


def _key(start: int, stop: int, alone: bool) -> str:
    return f'batch_{start:06d}_{stop:06d}{"_alone" if alone else ""}'
