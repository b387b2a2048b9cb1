"""Exploration by an ASE sampler with the potential, on compute nodes."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.functions.starts import choose_starts
from aiida_traincraft.science.config.exploration.ase import AseExploration
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.explorer import Explorer, define_explore_ports, thresholds


class AseExplorer(Explorer[AseExploration]):
    """Hooks of explorations through ASE: the potential's own code runs them."""


class ExploreAseWorkChain(TraincraftWorkChain):
    """Share the runs out to at most ``max_concurrent`` ``traincraft.sample`` jobs."""

    hooks = AseExplorer

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_explore_ports(spec)
        spec.outline(cls.run_jobs, cls.results)
        spec.exit_code(210, 'ERROR_NO_STARTS', message='The dataset holds no structure of the systems to explore.')
        spec.exit_code(400, 'ERROR_EVERY_JOB_FAILED', message='Every exploration job failed: {reason}')

    def run_jobs(self) -> ToContext | ExitCode:
        """Start all runs."""
        exploration, seed = self.config.exploration, self.inputs.seed.value
        assert isinstance(exploration, AseExploration)
        parameters = {
            'systems': [system.name for system in self.config.systems if system.explore],
            'runs_per_system': exploration.runs_per_system,
            'seed': seed,
        }
        starts = self.call_once(
            'choose_starts', choose_starts, dataset=self.inputs.dataset, parameters=orm.Dict(parameters)
        )
        if starts.n_frames == 0:
            return self.exit_codes.ERROR_NO_STARTS
        window = thresholds(exploration, self.inputs.potential, self.inputs.get('calibration'))
        # A potential that cannot say what it does not know gives evenly spaced frames.
        watch = window and {
            'lo': window[0],
            'hi': window[1],
            'check_interval': exploration.check_interval,
            'record_interval': exploration.record_interval,
        }
        sampler = exploration.sampling.model_dump(mode='json')
        runs = [
            {'start': index, 'sampler': sampler, 'seed': derive_seed(seed, 'run', index)}
            for index in range(starts.n_frames)
        ]
        count = min(self.config.run.max_concurrent, len(runs))
        self.ctx.jobs = [f'job_{index}' for index in range(count)]
        process = CalculationFactory('traincraft.sample')
        return ToContext(
            **{
                key: self.submit_once(
                    key,
                    process,
                    self.potential_inputs(
                        self.inputs.potential,
                        # Every count-th run: systems of different size are spread evenly.
                        {'runs': runs[index::count], 'calculator': None, 'watch': watch},
                    )
                    | {'starts': starts},
                )
                for index, key in enumerate(self.ctx.jobs)
            }
        )

    def results(self) -> ExitCode | None:
        """Pass on the frames; a failed job costs its own runs only."""
        good = {key: self.ctx[key] for key in self.ctx.jobs if self.ctx[key].is_finished_ok}
        if (reason := self.failed(self.ctx[key] for key in self.ctx.jobs)) is not None:
            self.report(f'an exploration job failed: {reason}')
        if not good:
            return self.exit_codes.ERROR_EVERY_JOB_FAILED.format(reason=reason)
        self.out('frames', {key: job.outputs.frames for key, job in good.items()})
        self.out('summaries', {key: job.outputs.summary for key, job in good.items()})
        return None
