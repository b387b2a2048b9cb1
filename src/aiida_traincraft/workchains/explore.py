"""Explore with a potential, whoever explores, and select what is worth a label."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext

from aiida_traincraft.calculations.functions.selection import select_structures
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.base import workchain_of
from aiida_traincraft.workchains.seams.explorer import Explorer, define_explore_ports, thresholds


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
        spec.exit_code(
            401,
            'ERROR_NOTHING_KNOWN',
            message='Nothing was selected, by an uncertainty that says nothing: the active set is degenerate. Add '
            'rattled and strained structures, or use fewer functions.',
        )

    def run_explorer(self) -> ToContext:
        """Start the explorer."""
        explorer = workchain_of(Explorer.prefix, self.config.exploration)
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

    def select(self) -> ExitCode | None:
        """Run the funnel."""
        parameters = {'seed': self.inputs.seed.value, 'budget': self.inputs.budget.value}
        calibration = self.inputs.get('calibration')
        if (window := thresholds(self.config.exploration, self.inputs.potential, calibration)) is not None:
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
        if report['n_selected'] == 0 and self.inputs.potential.is_degenerate:
            # A campaign would take it for a potential that knows all.
            return self.exit_codes.ERROR_NOTHING_KNOWN
        return None
