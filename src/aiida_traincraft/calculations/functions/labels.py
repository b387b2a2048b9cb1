"""From the output of pw.x to label nodes."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.data.bulk import NewFrame, create_frames, link_inputs
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science.labelling.quantumespresso import label_properties


@calcfunction
def make_label(
    structure: TrainingStructureData,
    level_of_theory: LevelOfTheoryData,
    parameters: orm.Dict,
    trajectory: orm.TrajectoryData,
    kpoints: orm.KpointsData,
) -> LabelData:
    """Turn the output of one PwCalculation into a label.

    Parameters
    ----------
    structure
        What was labelled.
    level_of_theory
        What it was labelled with.
    parameters, trajectory
        Outputs of the PwCalculation: energy (eV), forces (eV/Å), stress (GPa, pw.x's sign).
    kpoints
        Its mesh.
    """
    frame = structure.get_structure()
    periodic = bool(frame.atoms.pbc.all())
    forces = trajectory.get_array('forces')[-1]
    stress = trajectory.get_array('stress')[-1] if periodic else None
    frame.properties |= label_properties(parameters.get_dict(), forces, stress, periodic)
    frame.provenance |= {
        'level_of_theory': level_of_theory.hash,
        'kpoints': kpoints.get_kpoints_mesh()[0],
        'scf_iterations': parameters.get('scf_iterations', None),
        'total_magnetization': parameters.get('total_magnetization', None),
    }
    return LabelData(frame)


@calcfunction
def make_labels(level_of_theory: LevelOfTheoryData, frames: FramesData) -> ManifestData:
    """Turn the good structures of a ``traincraft.pw_batch`` into labels, in bulk.

    Parameters
    ----------
    level_of_theory
        What they were labelled with.
    frames
        Structures with their properties.
    """
    labelled = frames.get_frames()
    for frame in labelled:
        # Its place in the batch, which the CalcJob knows; a label looks the same whatever made it.
        del frame.provenance['index']
        frame.provenance['level_of_theory'] = level_of_theory.hash
    stored = create_frames(
        Process.current().node,
        (NewFrame(LabelData, frame, f'labels__{index:06d}') for index, frame in enumerate(labelled)),
    )
    return ManifestData([item.uuid for item in stored], [item.fingerprint for item in stored])


@calcfunction
def collect_labels(structures: ManifestData, rows: orm.Dict) -> dict[str, ManifestData | LedgerData]:
    """Put the labels of a list of structures together, made now or found, with what became of each.

    Parameters
    ----------
    structures
        What was to be labelled.
    rows
        ``rows``: a ledger row for each structure, in order.

    Returns
    -------
    dict
        ``manifest`` of the labels and ``ledger``.
    """
    ledger = [LedgerRow(**row) for row in rows['rows']]
    if [row.structure for row in ledger] != structures.uuids:
        raise ValueError('the rows are not those of the structures')
    uuids = [row.label for row in ledger if row.label is not None]
    link_inputs(Process.current().node, uuids, 'members')
    query = orm.QueryBuilder().append(LabelData, filters={'uuid': {'in': uuids or ['-']}}, project=['uuid', 'label'])
    fingerprints = dict(query.all())
    return {'manifest': ManifestData(uuids, [fingerprints[uuid] for uuid in uuids]), 'ledger': LedgerData(ledger)}
