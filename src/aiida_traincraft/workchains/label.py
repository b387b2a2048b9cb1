"""Label a list of structures, whoever labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.plugins import WorkflowFactory

from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import ConfigIssue
from aiida_traincraft.science.config.labelling import LabellingConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.base import TraincraftWorkChain

# Reasons that a message tells; the ledger holds all.
MAX_REASONS = 3


def define_label_ports(spec: Any) -> None:
    """Define the ports of the labeller seam ``traincraft.label.<type>``."""
    spec.input('structures', valid_type=ManifestData, help='Structures to label.')
    spec.output('manifest', valid_type=ManifestData, help='Labels of the structures that could be labelled.')
    spec.output('ledger', valid_type=LedgerData, help='What became of every structure.')


def labeller_of(type_name: str) -> type[Labeller]:
    """WorkChain that a ``[labelling] type`` stands for."""
    registry.load_plugins()
    seam = registry.get('labeller', type_name).config.seam  # type: ignore[attr-defined]
    found: type[Labeller] = WorkflowFactory(f'traincraft.label.{seam}')
    return found


class Labeller:
    """What a labeller's WorkChain is asked before a campaign is stored."""

    @classmethod
    def roles(cls, section: LabellingConfig) -> tuple[str, ...]:
        """Codes of ``[codes]`` that the section needs."""
        return section.roles

    @classmethod
    def check_section(
        cls, section: LabellingConfig, elements: Collection[str], codes: dict[str, orm.AbstractCode]
    ) -> list[ConfigIssue]:
        """Find out what would make every label fail.

        Parameters
        ----------
        section
            The section ``[labelling]``.
        elements
            Elements of the whole campaign.
        codes
            Codes by role, as far as they were found.
        """
        return []

    @classmethod
    def complete_section(cls, section: LabellingConfig, elements: Collection[str]) -> LabellingConfig:
        """Fill in what depends on the elements of the whole campaign; called for a section without fault."""
        return section

    @classmethod
    def check_geometry(cls, section: LabellingConfig, structure: Structure) -> str | None:
        """Find out why nothing that is made from a geometry could be labelled; None if nothing speaks against it."""
        return None

    @classmethod
    def level_content(cls, inputs: Mapping[str, Any], elements: Collection[str]) -> dict[str, Any]:
        """Tell what of the level of theory is known before a label is made.

        Parameters
        ----------
        inputs
            Inputs ``config``, ``codes`` and ``plugins`` of a campaign.
        elements
            Elements that are labelled.
        """
        return {'type': inputs['config']['labelling']['type']}


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
        labeller = labeller_of(self.section('labelling')['type'])
        inputs = self.shared_inputs() | {'structures': self.inputs.structures}
        return ToContext(labeller=self.submit_once('labeller', labeller, inputs))

    def inspect_labeller(self) -> ExitCode | None:
        """Pass the labels on; too many failures end the campaign."""
        if (reason := self.failed([self.ctx.labeller])) is not None:
            return self.exit_codes.ERROR_LABELLER_FAILED.format(reason=reason)
        ledger: LedgerData = self.ctx.labeller.outputs.ledger
        self.out('ledger', ledger)
        self.out('manifest', self.ctx.labeller.outputs.manifest)
        counts, limit = ledger.counts, self.section('labelling')['max_failed_fraction']
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
