"""Labels of pairs, made by a calcfunction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process
from ase.calculators.lj import LennardJones

from aiida_traincraft import (
    Completed,
    ConfigIssue,
    LabelData,
    Labeller,
    LedgerData,
    LedgerRow,
    LevelOfTheoryData,
    ManifestData,
    NewFrame,
    Structure,
    TraincraftWorkChain,
    create_frames,
    define_label_ports,
    link_inputs,
    read_structures,
)
from aiida_traincraft.science.labelling.label import LabelError, label
from traincraft_pairs.config import REACH, PairsLabelling, radius


class PairsLabeller(Labeller[PairsLabelling]):
    """Hooks of labels of pairs."""

    def check_geometry(self, structure: Structure) -> str | None:
        """Refuse mixtures."""
        return None if len(structure.elements) == 1 else f'{structure.formula} has pairs of several elements'

    def check_elements(self, elements: frozenset[str], codes: Mapping[str, orm.AbstractCode]) -> list[ConfigIssue]:
        """Hold the depths against the elements of the campaign."""
        known = set(self.section.depth)
        issues = [self.issue(f'depth.{element}', f'no system has {element}') for element in sorted(known - elements)]
        missing = ', '.join(sorted(elements - known))
        return issues + ([self.issue('depth', f'give that of {missing} too')] if missing else [])

    def complete(self, elements: frozenset[str], folder: Path) -> Completed:
        """Fill in the distances."""
        content = self.section.model_dump(mode='json')
        content['distance'] = {element: 2 * radius(element) for element in sorted(elements)} | content['distance']
        return Completed(content)

    def level_of_theory(self, inputs: Mapping[str, Any], elements: frozenset[str]) -> dict[str, Any]:
        """Tell depths and distances."""
        return self.section.model_dump(mode='json', include={'type', 'depth', 'distance'})


@calcfunction
def label_pairs(
    structures: ManifestData, level_of_theory: LevelOfTheoryData, section: orm.Dict
) -> dict[str, ManifestData | LedgerData]:
    """Label structures, here and now."""
    process, options = Process.current().node, section.get_dict()
    link_inputs(process, structures.uuids, 'members')
    labelled: dict[int, Structure] = {}
    reasons: dict[int, str] = {}
    for index, structure in enumerate(read_structures(structures.uuids)):
        try:
            labelled[index] = label(structure, _calculator(structure, options), options['min_distance'])
        except LabelError as error:
            reasons[index] = str(error)
        else:
            labelled[index].provenance['level_of_theory'] = level_of_theory.hash
    frames = (NewFrame(LabelData, frame, f'labels__{index:06d}') for index, frame in labelled.items())
    stored = dict(zip(labelled, create_frames(process, frames), strict=True))
    rows = [
        LedgerRow(uuid, fingerprint, 'ok', label=stored[index].uuid)
        if index in stored
        else LedgerRow(uuid, fingerprint, 'failed', reason=reasons[index])
        for index, (uuid, fingerprint) in enumerate(zip(structures.uuids, structures.fingerprints, strict=True))
    ]
    manifest = ManifestData([item.uuid for item in stored.values()], [item.fingerprint for item in stored.values()])
    return {'manifest': manifest, 'ledger': LedgerData(rows)}


def _calculator(structure: Structure, options: dict[str, Any]) -> LennardJones:
    (element,) = structure.elements
    distance = options['distance'][element]
    return LennardJones(
        sigma=distance / 2 ** (1 / 6),
        epsilon=options['depth'][element],
        rc=REACH * distance,
        ro=1.2 * distance,
        smooth=True,
    )


class LabelPairsWorkChain(TraincraftWorkChain):
    """Label pairs, whoever asks."""

    hooks = PairsLabeller

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports and outline."""
        super().define(spec)
        define_label_ports(spec)
        spec.outline(cls.label)

    def label(self) -> None:
        """Call the calcfunction."""
        section = self.config.labelling
        assert isinstance(section, PairsLabelling)
        level = PairsLabeller(section, 'labelling').level_of_theory(self.inputs, frozenset())
        made = self.call_once(
            'label',
            label_pairs,
            structures=self.inputs.structures,
            level_of_theory=LevelOfTheoryData.get_or_create(level),
            section=orm.Dict(section.model_dump(mode='json')),
        )
        self.out('manifest', made['manifest'])
        self.out('ledger', made['ledger'])
