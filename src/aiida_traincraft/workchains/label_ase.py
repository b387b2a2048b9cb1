"""Labels by an ASE calculator, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.ase_label import AseLabelCalculation
from aiida_traincraft.calculations.extend_dataset import merge_ledgers, merge_manifests
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators.level import level_table
from aiida_traincraft.science.config.base import parse_plugin
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.label import Labeller, define_label_ports

MAX_TRIES = 2


class LabelAseWorkChain(Labeller, TraincraftWorkChain):
    """Split the structures into batches and run ``traincraft.ase_label``, at most ``max_concurrent`` at a time."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_label_ports(spec)
        spec.outline(cls.split, while_(cls.has_batches)(cls.run_batches, cls.inspect_batches), cls.results)
        spec.exit_code(400, 'ERROR_BATCH_FAILED', message='A batch of labels failed: {reason}')

    @classmethod
    def level_content(cls, inputs: Mapping[str, Any], elements: Collection[str]) -> dict[str, Any]:
        """Tell the whole level: the teacher, its parameters, and what its files and those of its plugin hold.

        Files of a teacher on another machine cannot be read from here: there the level names their paths.
        """
        section = inputs['config']['labelling']
        content = {'type': section['type'], 'calculator': section['calculator']}
        registry.load_plugins()
        own = {
            plugin.name for plugin in registry.plugins() if plugin.function.__module__.startswith(registry.__package__)
        }
        # A calculator of a dotted path may come from a plugin file too.
        if section['calculator']['type'] not in own - {'custom'}:
            files = dict(inputs['plugins']).values() if 'plugins' in inputs else ()
            content['plugins'] = sorted(hashlib.sha1(node.get_content(mode='rb')).hexdigest() for node in files)
        elif inputs['codes']['ase'].computer.transport_type == 'core.local':
            content['calculator'] = level_table(parse_plugin('calculator', section['calculator']))
        return content

    def teacher_inputs(self) -> dict[str, Any]:
        """Code, options and parameters of a job: who labels."""
        parameters = {key: self.section('labelling')[key] for key in ('calculator', 'min_distance')}
        return self.job_inputs('ase') | {'parameters': orm.Dict(parameters)}

    def split(self) -> None:
        """Find the bounds of the batches."""
        size = self.section('labelling')['batch_size']
        self.ctx.starts = list(range(0, max(len(self.inputs.structures), 1), size))
        self.ctx.pending = list(range(len(self.ctx.starts)))
        self.ctx.tries = [1] * len(self.ctx.starts)

    def has_batches(self) -> bool:
        """Whether batches are left."""
        return bool(self.ctx.pending)

    def run_batches(self) -> ToContext:
        """Start the next batches."""
        level = LevelOfTheoryData.get_or_create(self.level_content(self.inputs, ()))
        self.ctx.running = self.ctx.pending[: self.section('run')['max_concurrent']]
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

    def _batch(self, index: int) -> ManifestData:
        manifest = self.inputs.structures
        if len(self.ctx.starts) == 1:
            return manifest
        part = slice(self.ctx.starts[index], self.ctx.starts[index] + self.section('labelling')['batch_size'])
        return ManifestData(manifest.uuids[part], manifest.fingerprints[part])
