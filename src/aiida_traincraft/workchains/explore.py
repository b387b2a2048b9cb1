"""Explore with a potential, whoever explores, and select what is worth a label."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import WorkflowFactory

from aiida_traincraft.calculations.select_structures import select_structures
from aiida_traincraft.data.calibration import CalibrationData
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames import FramesData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.potential import PotentialData
from aiida_traincraft.workchains.base import TraincraftWorkChain

# A degenerate active set gives γ of 1e5 and more in any crystal: the physical guards end such runs, not γ.
NO_HALT = 1e300


def thresholds(
    exploration: dict[str, Any], potential: PotentialData, calibration: CalibrationData | None = None
) -> tuple[float, float] | None:
    """Uncertainty above which a frame is a candidate, and above which a run halts; None if the potential has none.

    Those of a calibration that found some, else those of the config.
    """
    if potential.measure is None:
        return None
    if potential.is_degenerate:
        # γ of a degenerate active set says nothing: every frame passes, diversity decides.
        return 0.0, NO_HALT
    if calibration is not None and calibration.thresholds is not None:
        return calibration.thresholds
    return exploration[f'{potential.measure}_lo'], exploration[f'{potential.measure}_hi']


def define_explore_ports(spec: Any) -> None:
    """Define the ports of the explorer seam ``traincraft.explore.<type>``."""
    spec.input('potential', valid_type=PotentialData, help='Potential that drives the exploration.')
    spec.input('dataset', valid_type=DatasetData, help='What it was trained on: starting structures come from here.')
    spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the exploration.')
    spec.input(
        'calibration', valid_type=CalibrationData, required=False, help='What its uncertainty says of force errors.'
    )
    spec.output_namespace('frames', valid_type=FramesData, dynamic=True, help='Candidates, one node per job.')
    spec.output_namespace('summaries', valid_type=orm.Dict, dynamic=True, help='How the runs of each job ended.')


class ExploreWorkChain(TraincraftWorkChain):
    """Run the explorer that ``[exploration] type`` names, then the funnel."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_explore_ports(spec)
        spec.input('ledger', valid_type=LedgerData, help='Structures that were sent to a labeller before.')
        spec.input('sealed', valid_type=ManifestData, required=False, help='Structures of the test set.')
        spec.input('descriptors', valid_type=orm.ArrayData, required=False, help='Descriptors of the training set.')
        spec.input('budget', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Most structures to select.')
        spec.output('manifest', valid_type=ManifestData, help='Structures worth a label.')
        spec.output('report', valid_type=orm.Dict, help='What each stage of the funnel dropped, and why.')
        spec.outline(cls.run_explorer, cls.inspect_explorer, cls.select)
        spec.exit_code(400, 'ERROR_EXPLORER_FAILED', message='The exploration failed: {reason}')

    def run_explorer(self) -> ToContext:
        """Start the explorer."""
        explorer = WorkflowFactory(f'traincraft.explore.{self.section("exploration")["type"]}')
        ports = [port for port in ('potential', 'dataset', 'seed', 'calibration') if port in self.inputs]
        inputs = self.shared_inputs() | {port: self.inputs[port] for port in ports}
        return ToContext(explorer=self.submit_once('explorer', explorer, inputs))

    def inspect_explorer(self) -> ExitCode | None:
        """Pass on the candidates."""
        if (reason := self.failed([self.ctx.explorer])) is not None:
            return self.exit_codes.ERROR_EXPLORER_FAILED.format(reason=reason)
        for namespace in ('frames', 'summaries'):
            self.out(namespace, dict(self.ctx.explorer.outputs[namespace]))
        return None

    def select(self) -> None:
        """Run the funnel."""
        parameters = {'seed': self.inputs.seed.value, 'budget': self.inputs.budget.value}
        calibration = self.inputs.get('calibration')
        if (window := thresholds(self.section('exploration'), self.inputs.potential, calibration)) is not None:
            parameters |= dict(zip(('lo', 'hi'), window, strict=True))
        frames = {f'frames__{key}': node for key, node in self.ctx.explorer.outputs.frames.items()}
        optional = {port: self.inputs[port] for port in ('descriptors', 'sealed') if port in self.inputs}
        result = self.call_once(
            'select',
            select_structures,
            config=self.inputs.config,
            parameters=orm.Dict(parameters),
            ledger=self.inputs.ledger,
            **optional,
            **frames,
            **self.plugin_nodes(),
        )
        self.out('manifest', result['manifest'])
        self.out('report', result['report'])
        report = result['report'].get_dict()
        self.report(
            f'{report["n_candidates"]} candidates, {report["n_uncertain"]} uncertain, {report["n_selected"]} selected'
        )
