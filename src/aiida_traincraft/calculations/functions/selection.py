"""The funnel from frames to structures worth a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process
from ase import Atoms

from aiida_traincraft.calculations.stored_config import read_campaign
from aiida_traincraft.data.bulk import NewFrame, create_frames
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import QUERY_CHUNK, read_structures
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.datasets.sealed import SealedSet, composition
from aiida_traincraft.science.selection import FunnelContext, StageResult, apply_funnel
from aiida_traincraft.science.structure import ISOLATED_ATOM, Structure

FRAMES_PREFIX = 'frames__'


@calcfunction
def select_structures(
    config: orm.Dict,
    parameters: orm.Dict,
    ledger: LedgerData | None = None,
    descriptors: orm.ArrayData | None = None,
    sealed: ManifestData | None = None,
    **nodes: FramesData,
) -> dict[str, orm.Data]:
    """Choose what is worth a label and store each choice as a structure node.

    Parameters
    ----------
    config
        The validated campaign.
    parameters
        ``seed``; ``stages`` (overrides the funnel's; the first structures pass ``physicality`` and ``dedup`` only);
        ``lo``, ``hi``: thresholds of the uncertainty; ``isolated_atoms``: elements whose isolated atom is added;
        ``budget``.
    ledger
        Structures that were sent to a labeller before: not chosen again, whether their label succeeded or not. What
        their labels cost is told to a funnel that needs it (``needs_costs`` of a stage).
    descriptors
        Descriptors of the training set by the current potential.
    sealed
        Structures of the test set: neither they nor their near duplicates nor frames of their trajectories are chosen.
    **nodes
        ``frames__*``: the candidates; ``plugins__*``: files with plugins.

    Returns
    -------
    dict
        ``manifest`` of the structures and ``report`` of the funnel, whose last stage is ``sealed`` if there is a test
        set; structures as ``structures__000000``, ....
    """
    campaign = read_campaign(config, nodes)
    options = parameters.get_dict()
    overrides = {key: options[key] for key in ('stages', 'budget') if key in options}
    selection = SelectionConfig.model_validate(campaign.selection.model_dump(mode='json') | overrides)
    frames = [
        frame for key, node in sorted(nodes.items()) if key.startswith(FRAMES_PREFIX) for frame in node.get_frames()
    ]
    isolated = [
        Structure(Atoms(element, pbc=False), provenance={'system': ISOLATED_ATOM})
        for element in options.get('isolated_atoms', [])
    ]
    known = frozenset(row.fingerprint for row in ledger.rows) if ledger else frozenset()
    known |= {*(sealed.fingerprints if sealed else ()), *(atom.content_hash() for atom in isolated)}
    needs_costs = any(stage.needs_costs for stage in selection.stages)
    context = FunnelContext(
        known_hashes=known,
        training_descriptors=descriptors.get_array('descriptors') if descriptors else None,
        lo=options.get('lo'),
        hi=options.get('hi'),
        budget=selection.budget,
        seed=options['seed'],
        costs=ledger.label_costs() if ledger and needs_costs else (),
    )
    result = apply_funnel(frames, selection, context)
    kept, stages = result.selected, result.report
    if sealed is not None:
        verdicts = _sealed_set(sealed, kept).refuse(kept)
        stages = [*stages, _sealed_stage(len(kept), verdicts)]
        if verdicts:
            Process.current().report(f'left out for the sake of the test set: {stages[-1]["reasons"]}')
        kept = [structure for index, structure in enumerate(kept) if index not in verdicts]
    chosen = [structure.bare() for structure in kept]
    chosen += isolated
    stored = create_frames(
        Process.current().node,
        (NewFrame(TrainingStructureData, item, f'structures__{index:06d}') for index, item in enumerate(chosen)),
    )
    return {
        'manifest': ManifestData([item.uuid for item in stored], [item.fingerprint for item in stored]),
        'report': orm.Dict(
            {
                'n_candidates': len(frames),
                'n_uncertain': result.n_uncertain,
                'n_selected': len(kept),
                'stages': stages,
            }
        ),
    }


def _sealed_set(sealed: ManifestData, frames: Sequence[Structure]) -> SealedSet:
    """Read what these frames are held against."""
    wanted = {composition(frame.formula) for frame in frames}
    groups: set[str] = set()
    alike: list[str] = []
    uuids = sealed.uuids
    for start in range(0, len(uuids), QUERY_CHUNK):
        query = orm.QueryBuilder().append(
            TrainingStructureData,
            filters={'uuid': {'in': uuids[start : start + QUERY_CHUNK]}},
            project=['uuid', 'attributes.formula', 'attributes.group'],
        )
        for uuid, formula, group in query.iterall():
            groups.update([] if group is None else [group])
            alike += [uuid] if composition(formula) in wanted else []
    return SealedSet(frozenset(sealed.fingerprints), groups, read_structures(alike))


def _sealed_stage(entered: int, verdicts: dict[int, str]) -> dict[str, Any]:
    """Row of the report, as those of the funnel's own stages."""
    reasons = dict(Counter(verdicts.values()))
    return {'stage': 'sealed'} | asdict(StageResult(entered, dropped=len(verdicts), reasons=reasons))
