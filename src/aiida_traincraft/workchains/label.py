"""Label a list of structures, whoever labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiida.engine import ExitCode, ToContext

from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.workchains.base import TraincraftWorkChain
from aiida_traincraft.workchains.seams.base import workchain_of
from aiida_traincraft.workchains.seams.labeller import Labeller, define_label_ports

# Reasons that a message tells; the ledger holds all.
MAX_REASONS = 3


class LabelWorkChain(TraincraftWorkChain):
    """Run the labeller that ``[labelling] type`` names and judge how many labels failed."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        define_label_ports(spec)
        spec.outline(cls.run_labeller, cls.inspect_labeller)
        spec.exit_code(400, 'ERROR_LABELLER_FAILED', message='The labeller failed: {reason}')
        spec.exit_code(
            410, 'ERROR_TOO_MANY_FAILED', message='{failed} of {total} labels failed, more than {limit:.0%}: {reasons}'
        )

    def run_labeller(self) -> ToContext:
        """Start the labeller."""
        labeller = workchain_of(Labeller.prefix, self.config.labelling)
        inputs = self.shared_inputs() | {'structures': self.inputs.structures}
        return ToContext(labeller=self.submit_once('labeller', labeller, inputs))

    def inspect_labeller(self) -> ExitCode | None:
        """Pass the labels on; too many failures end the campaign."""
        if (reason := self.failed([self.ctx.labeller])) is not None:
            return self.exit_codes.ERROR_LABELLER_FAILED.format(reason=reason)
        ledger: LedgerData = self.ctx.labeller.outputs.ledger
        self.out('ledger', ledger)
        self.out('manifest', self.ctx.labeller.outputs.manifest)
        counts, limit = ledger.counts, self.config.labelling.max_failed_fraction
        # Those that were skipped because others failed explain nothing.
        causes = Counter(row.reason for row in ledger.rows if row.status == 'failed')
        told = causes.most_common(MAX_REASONS)
        reasons = '; '.join(f'{count} x {reason}' for reason, count in told)
        if len(causes) > len(told):
            reasons += f'; {len(causes) - len(told)} further reasons'
        self.report(f'{counts["labelled"]} of {counts["total"]} structures labelled {reasons}')
        if counts['failed'] > limit * counts['total']:
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(
                failed=counts['failed'], total=counts['total'], limit=limit, reasons=reasons
            )
        return None
