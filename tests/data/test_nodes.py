from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.science.structure import Structure

pytestmark = pytest.mark.usefixtures('aiida_profile')


def test_structure_node_serves_as_structure_data(copper_frames):
    frame = copper_frames[0].copy()
    frame.atoms.set_array('tc_fragment', np.arange(len(frame)))
    frame.atoms.set_initial_magnetic_moments([1.0] * len(frame))
    node = orm.load_node(TrainingStructureData(frame).store().pk)
    assert isinstance(node, orm.StructureData)
    assert np.allclose(node.get_ase().positions, frame.atoms.positions)
    assert np.allclose(node.cell, frame.atoms.cell.array)
    assert node.pbc == (True, True, True)
    assert node.get_kind_names() == ['Cu']
    assert node.get_cell_volume() == pytest.approx(frame.atoms.get_volume())
    back = node.get_structure()
    assert back.atoms.arrays['tc_fragment'].tolist() == list(range(len(frame)))
    assert back.atoms.get_initial_magnetic_moments().tolist() == [1.0] * len(frame)
    assert back.provenance['system'] == node.system == 'bulk'
    assert node.label == frame.content_hash()
    assert 'Cu8' in str(node)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.atoms.positions.__setitem__((0, 0), np.nan), 'not finite'),
        (lambda s: s.atoms.set_cell(np.zeros((3, 3))), 'linearly dependent'),
        (lambda s: s.atoms.__delitem__(slice(None)), 'at least one atom'),
        (lambda s: s.atoms.numbers.__setitem__(0, 0), 'between 1 and 118'),
    ],
)
def test_invalid_geometry_is_refused(copper_frames, change, message):
    frame = copper_frames[0].copy()
    change(frame)
    with pytest.raises(ValueError, match=message):
        TrainingStructureData(frame)


def test_label_scalars(copper_frames):
    frame = copper_frames[0]
    node = LabelData(frame).store()
    assert node.energy == pytest.approx(frame.properties['energy'])
    assert node.max_force == pytest.approx(np.linalg.norm(frame.properties['forces'], axis=1).max())
    assert node.pressure == pytest.approx(-frame.properties['stress'][:3].mean())
    assert node.structure_fingerprint == frame.content_hash()
    assert np.array_equal(node.forces, frame.properties['forces'])


@pytest.mark.parametrize(
    ('properties', 'message'),
    [
        ({'energy': 1.0}, 'needs forces'),
        ({'energy': np.inf, 'forces': np.zeros((8, 3))}, 'cannot be stored'),
        ({'energy': 1.0, 'forces': np.zeros((3, 8))}, 'expected'),
        ({'energy': 1.0, 'forces': np.zeros((8, 3)), 'stress': np.zeros((3, 3))}, 'stress has shape'),
    ],
)
def test_invalid_labels_are_refused(copper_frames, properties, message):
    frame = Structure(copper_frames[0].atoms, properties, {'level_of_theory': 'emt'})
    with pytest.raises(ValueError, match=message):
        LabelData(frame)


def test_a_label_needs_its_level(copper_frames):
    with pytest.raises(ValueError, match='level of theory'):
        LabelData(Structure(copper_frames[0].atoms, copper_frames[0].properties))


def test_level_of_theory_is_found_again():
    one = LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': {'type': 'emt'}})
    two = LevelOfTheoryData.get_or_create({'calculator': {'type': 'emt'}, 'type': 'ase'})
    other = LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': {'type': 'lj'}})
    assert one.pk == two.pk != other.pk


def test_frames_node(copper_frames):
    frames = [frame.bare() for frame in copper_frames[:3]]
    frames[1].properties['uncertainty'] = np.linspace(0, 3, len(frames[1]))
    node = orm.load_node(FramesData(frames).store().pk)
    assert node.n_frames == 3
    assert node.max_uncertainty == 3.0
    assert np.isnan(node.uncertainty[[0, 2]]).all()
    assert [frame.content_hash() for frame in node.get_frames()] == [frame.content_hash() for frame in frames]


def test_dataset_digest_ignores_uuids_and_order(copper_frames):
    def make(frames):
        labels = [LabelData(frame).store() for frame in frames]
        rows = [DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint) for node in labels]
        return DatasetData(rows, ['emt'], {'Cu': 3.5}).store()

    one, two = make(copper_frames[:4]), make(copper_frames[:4][::-1])
    assert one.digest == two.digest != make(copper_frames[:3]).digest
    assert one.count('train') == 4
    structures = one.get_structures('train')
    assert [s.properties['energy'] for s in structures] == [f.properties['energy'] for f in copper_frames[:4]]
    assert structures[0].provenance['split'] == 'train'


def test_dataset_refuses_leaks_and_mixed_levels():
    with pytest.raises(ValueError, match='occurs twice, in splits train and test'):
        DatasetData([DatasetRow('a', 'a', 's'), DatasetRow('b', 'b', 's', 'test')], ['emt'], {})
    with pytest.raises(ValueError, match='2 levels of theory'):
        DatasetData([], ['emt', 'pbe'], {})


def test_isolated_atoms_give_e0(copper_frames):
    atom = Structure(Atoms('Cu', pbc=False), {'energy': 3.51})
    assert isolated_atom_energies([atom]) == {'Cu': 3.51}
    with pytest.raises(ValueError, match='not an isolated atom'):
        isolated_atom_energies(copper_frames[:1])


def test_one_element_has_one_e0(aiida_profile):
    atoms = [Structure(Atoms('Cu', pbc=False), {'energy': energy}) for energy in (3.51, 3.5105, 3.52)]
    assert isolated_atom_energies(atoms[:2]) == {'Cu': 3.51}
    words = r'isolated Cu has two energies, 3\.510000 eV and 3\.520000 eV.*leave one of the two labels out'
    with pytest.raises(ValueError, match=words):
        isolated_atom_energies(atoms)
    parent = DatasetData([], ['one e0'], {'Cu': 3.51}).store()
    assert DatasetData([], ['one e0'], {'Cu': 3.51, 'Ni': 1.0}, parent=parent).e0 == {'Cu': 3.51, 'Ni': 1.0}
    with pytest.raises(ValueError, match=words):
        DatasetData([], ['one e0'], {'Cu': 3.52}, parent=parent)


def test_ledger_counts_and_reasons():
    rows = [LedgerRow('a', 'f', 'ok', label='x'), LedgerRow('b', 'g', 'failed', reason='overlap')]
    node = orm.load_node(LedgerData(rows).store().pk)
    assert node.counts['total'] == 2
    assert node.counts['labelled'] == node.counts['failed'] == 1
    assert node.reasons == {'overlap': 1}
    assert node.rows == rows
    with pytest.raises(ValueError, match='either a label or a reason'):
        LedgerData([LedgerRow('a', 'f', 'ok')])


def test_ledger_costs_are_summed_and_no_part_of_the_content(copper_frames):
    first, second = (TrainingStructureData(frame).store() for frame in copper_frames[:2])
    rows = [
        LedgerRow(first.uuid, first.fingerprint, 'ok', label='x', core_seconds=1.5),
        LedgerRow(second.uuid, second.fingerprint, 'recovered', label='y', tries=2, core_seconds=4.0),
        LedgerRow(second.uuid, second.fingerprint, 'failed', reason='overlap', core_seconds=2.0),
        LedgerRow(first.uuid, first.fingerprint, 'reused', label='x', tries=0),
    ]
    node = orm.load_node(LedgerData(rows).store().pk)
    assert node.rows == rows
    assert node.core_seconds == node.base.attributes.get('core_seconds') == 7.5
    # What failed is no label, what was there already cost nothing.
    assert node.label_costs() == [(copper_frames[0].formula, 1.5), (copper_frames[1].formula, 4.0)]
    slower = LedgerData([replace(row, core_seconds=100.0) for row in rows]).store()
    assert slower.digest == node.digest
    assert slower.base.caching.compute_hash() == node.base.caching.compute_hash()


def test_a_ledger_from_before_costs_were_measured():
    node = LedgerData([LedgerRow('a', 'f', 'ok', label='x')])
    row = {'structure': 'a', 'fingerprint': 'f', 'status': 'ok', 'label': 'x', 'reason': None, 'tries': 1}
    node.base.repository.put_object_from_bytes(json.dumps([row]).encode(), 'manifest.json')
    node.base.attributes.delete('core_seconds')
    old = orm.load_node(node.store().pk)
    assert old.rows == [LedgerRow('a', 'f', 'ok', label='x')]
    assert (old.core_seconds, old.label_costs()) == (0.0, [])


def test_manifest_keeps_order():
    node = ManifestData(['b', 'a'], ['2', '1']).store()
    assert orm.load_node(node.pk).uuids == ['b', 'a']
    assert len(node) == 2


def test_elements_of_a_potential_are_those_of_its_functions(aiida_profile, tmp_path):
    path = tmp_path / 'potential.yaml'
    path.write_text('species:\n  - speciesblock: Cu\n    nradmaxi: 3\n  - speciesblock: Cu Ni\n    nradmaxi: 2\n')
    potential = PacePotentialData(path, e0={'Cu': 3.5, 'Ni': 5.8, 'Au': 3.8}, cutoff=5.0)
    assert potential.elements == ['Cu', 'Ni']
    assert set(potential.e0) == {'Cu', 'Ni', 'Au'}
