"""Labels by an ASE calculator, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.ase_label import AseLabelCalculation
from aiida_traincraft.calculations.functions.ledgers import merge_ledgers
from aiida_traincraft.calculations.functions.manifests import merge_manifests
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.labelling.ase import AseLabelling
from aiida_traincraft.science.config.labelling.batched import BatchedLabelling
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.labeller import Labeller, define_label_ports, labeller_of

MAX_TRIES = 2


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
        size = self._batch_size
        self.ctx.starts = list(range(0, max(len(self.inputs.structures), 1), size))
        self.ctx.pending = list(range(len(self.ctx.starts)))
        self.ctx.tries = [1] * len(self.ctx.starts)

    def has_batches(self) -> bool:
        """Whether batches are left."""
        return bool(self.ctx.pending)

    def run_batches(self) -> ToContext:
        """Start the next batches."""
        level = LevelOfTheoryData.get_or_create(
            labeller_of(self.config.labelling).level_of_theory(self.inputs, frozenset())
        )
        self.ctx.running = self.ctx.pending[: self.config.run.max_concurrent]
        return ToContext(
            **{
                f'batch_{index:04d}': self.submit_once(
                    f'batch_{index:04d}_{self.ctx.tries[index]}',
                    CalculationFactory('traincraft.ase_label'),
                    self.teacher_inputs() | {'structures': self._batch(index), 'level_of_theory': level},
                )
                for index in self.ctx.running
            }
        )

    def inspect_batches(self) -> ExitCode | None:
        """Go on; a batch whose job died is tried once more."""
        codes = AseLabelCalculation.exit_codes
        died = (codes.ERROR_NO_RESULT.status, codes.ERROR_OUT_OF_WALLTIME.status)
        for index in self.ctx.running:
            job = self.ctx[f'batch_{index:04d}']
            if job.exit_status in died and self.ctx.tries[index] < MAX_TRIES:
                self.report(f'batch {index} died and is tried again: {job.exit_message}')
                self.ctx.tries[index] += 1
            elif (reason := self.failed([job])) is not None:
                return self.exit_codes.ERROR_BATCH_FAILED.format(reason=reason)
            else:
                self.ctx.pending.remove(index)
        return None

    def results(self) -> None:
        """Join the batches."""
        jobs = {f'batch_{i:04d}': self.ctx[f'batch_{i:04d}'] for i in range(len(self.ctx.starts))}
        for port, merge in (('manifest', merge_manifests), ('ledger', merge_ledgers)):
            parts = {key: job.outputs[port] for key, job in jobs.items()}
            first = next(iter(parts.values()))
            self.out(port, first if len(parts) == 1 else self.call_once(f'merge_{port}', merge, **parts))

    @property
    def _batch_size(self) -> int:
        section = self.config.labelling
        assert isinstance(section, BatchedLabelling)
        return section.batch_size

    def _batch(self, index: int) -> ManifestData:
        manifest: ManifestData = self.inputs.structures
        if len(self.ctx.starts) == 1:
            return manifest
        part = slice(self.ctx.starts[index], self.ctx.starts[index] + self._batch_size)
        return ManifestData(manifest.uuids[part], manifest.fingerprints[part])
