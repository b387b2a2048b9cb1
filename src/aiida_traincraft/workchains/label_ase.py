"""Labels by an ASE calculator, in batches."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, while_
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.extend_dataset import merge_ledgers, merge_manifests
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.label import define_label_ports


class LabelAseWorkChain(TraincraftWorkChain):
    """Split the structures into batches and run ``traincraft.ase_label``, at most ``max_concurrent`` at a time."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_label_ports(spec)
        spec.outline(cls.split, while_(cls.has_batches)(cls.run_batches, cls.inspect_batches), cls.results)
        spec.exit_code(400, 'ERROR_BATCH_FAILED', message='A batch of labels failed: {reason}')

    def split(self) -> None:
        """Find the bounds of the batches."""
        size = self.section('labelling')['batch_size']
        self.ctx.starts = list(range(0, max(len(self.inputs.structures), 1), size))
        self.ctx.done = 0

    def has_batches(self) -> bool:
        """Whether batches are left."""
        return self.ctx.done < len(self.ctx.starts)

    def run_batches(self) -> ToContext:
        """Start the next batches."""
        labelling = self.section('labelling')
        level = LevelOfTheoryData.get_or_create({'type': labelling['type'], 'calculator': labelling['calculator']})
        parameters = {key: labelling[key] for key in ('calculator', 'min_distance')}
        self.ctx.running = list(range(self.ctx.done, len(self.ctx.starts)))[: self.section('run')['max_concurrent']]
        return ToContext(
            **{
                f'batch_{index:04d}': self.submit_once(
                    f'batch_{index:04d}',
                    CalculationFactory('traincraft.ase_label'),
                    self.job_inputs('ase')
                    | {
                        'structures': self._batch(index),
                        'level_of_theory': level,
                        'parameters': orm.Dict(parameters),
                    },
                )
                for index in self.ctx.running
            }
        )

    def inspect_batches(self) -> ExitCode | None:
        """Go on, unless a batch failed as a whole."""
        if (reason := self.failed(self.ctx[f'batch_{index:04d}'] for index in self.ctx.running)) is not None:
            return self.exit_codes.ERROR_BATCH_FAILED.format(reason=reason)
        self.ctx.done += len(self.ctx.running)
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
