"""Every format is read by who it is made for."""

from __future__ import annotations

import json
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase.build import fcc111, molecule

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.exchange.export import FORMATS, export_dataset
from aiida_traincraft.science.structure import Structure, read_extxyz


@pytest.fixture(scope='module')
def mixed_dataset(aiida_profile, copper_frames, with_emt_labels):
    """Three cells of copper, a slab and a molecule to train on, one test structure, isolated atoms of Cu only."""
    slab = fcc111('Cu', (1, 1, 3), a=3.6, vacuum=None)
    molecules = [Structure(molecule('H2O'), provenance={'system': 'water'}), Structure(slab, provenance={})]
    frames = [*copper_frames[:3], *(with_emt_labels(frame) for frame in molecules)]
    atom = with_emt_labels(Structure(ase.Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'}))
    rows = []
    for index, frame in enumerate([*frames, copper_frames[3], atom]):
        node = LabelData(frame).store()
        split = {5: 'test', 6: 'e0'}.get(index, 'train')
        weight = 3.0 if index == 1 else 1.0
        rows.append(DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint, split, weight))
    return DatasetData(rows, ['emt'], isolated_atom_energies([atom])).store()


@pytest.fixture(scope='module')
def train_frames(mixed_dataset):
    return mixed_dataset.get_structures('train')


def test_extxyz_has_all_splits(mixed_dataset, train_frames, tmp_path):
    told = []
    assert export_dataset(mixed_dataset, tmp_path / 'all.extxyz', 'extxyz', progress=told.append) == 7
    assert sum(told) == 7
    images = ase.io.read(tmp_path / 'all.extxyz', ':')
    assert [image.info['split'] for image in images] == ['train'] * 5 + ['test', 'e0']
    types = [image.info['config_type'] for image in images]
    assert types == ['bulk'] * 3 + ['water', 'Default', 'bulk', 'IsolatedAtom']
    assert [image.info['config_weight'] for image in images] == [1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(images[1].arrays['REF_forces'], train_frames[1].properties['forces'], atol=1e-8)
    assert images[1].info['REF_energy'] == pytest.approx(train_frames[1].properties['energy'])
    ours = read_extxyz(tmp_path / 'all.extxyz')
    assert [frame.content_hash() for frame in ours[:5]] == [frame.content_hash() for frame in train_frames]
    assert ours[1].provenance['weight'] == 3.0
    assert ours[1].provenance['label'] == mixed_dataset.rows[1].label


PANDAS = """
import json, sys
import numpy, pandas
table = pandas.read_pickle(sys.argv[1], compression='gzip')
json.dump({
    'columns': list(table.columns),
    'energy': table['energy'].tolist(),
    'forces': [numpy.asarray(forces).tolist() for forces in table['forces']],
    'w_factor': table['w_factor'].tolist(),
    'dtype': str(table['energy'].dtype),
    'formulas': [atoms.get_chemical_formula() for atoms in table['ase_atoms']],
}, sys.stdout)
"""


def check_table(table, frames):
    assert table['columns'] == ['ase_atoms', 'energy', 'forces', 'w_factor']
    assert table['dtype'] == 'float64'
    assert table['energy'] == [frame.properties['energy'] for frame in frames]
    assert table['w_factor'] == [1.0, 9.0, 1.0, 1.0, 1.0]
    assert table['formulas'] == [frame.formula for frame in frames]
    for forces, frame in zip(table['forces'], frames, strict=True):
        np.testing.assert_array_equal(forces, frame.properties['forces'])


@pytest.mark.parametrize('interpreter', ['ours', 'pacemaker'])
def test_table_is_read_by_either_pandas(mixed_dataset, train_frames, tmp_path, interpreter, request):
    python = sys.executable if interpreter == 'ours' else request.getfixturevalue('pacemaker_python')
    pytest.importorskip('pandas')
    path = tmp_path / 'train.pckl.gzip'
    # Hydrogen and oxygen have no E0: then there is no column energy_corrected.
    assert export_dataset(mixed_dataset, path, 'pckl.gzip') == 5
    done = subprocess.run([python, '-c', PANDAS, path], capture_output=True, text=True, check=True)
    check_table(json.loads(done.stdout), train_frames)


PACEMAKER = """
import json, sys
from pyace.preparedata import ACEDataset
from pyace.linearacefit import LinearACEDataset
from pyace import create_multispecies_basis_config
table = ACEDataset({'filename': sys.argv[1]}, cutoff=5.0, elements=['Cu']).fitting_data
basis = create_multispecies_basis_config({
    'elements': ['Cu'],
    'embeddings': {'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1], 'ndensity': 1}},
    'bonds': {'ALL': {'radbase': 'SBessel', 'rcut': 5.0, 'dcut': 0.01, 'radparameters': [5.25]}},
    'functions': {'number_of_functions_per_element': 5, 'ALL': {'nradmax_by_orders': [5], 'lmax_by_orders': [0]}},
})
target = LinearACEDataset(basis, table).get_target_vector()
print('RESULT', json.dumps([table['energy_corrected'].tolist(), target.tolist()]))
"""


def test_pacemaker_takes_the_table(copper_dataset, tmp_path, pacemaker_python):
    path = tmp_path / 'train.pckl.gzip'
    export_dataset(copper_dataset, path, 'pckl.gzip')
    done = subprocess.run([pacemaker_python, '-c', PACEMAKER, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    energies, target = json.loads(done.stdout.partition('RESULT')[2])
    frames = copper_dataset.get_structures('train')
    expected = [frame.properties['energy'] - len(frame) * copper_dataset.e0['Cu'] for frame in frames]
    np.testing.assert_allclose(energies, expected)
    forces = np.concatenate([frame.properties['forces'].ravel() for frame in frames])
    np.testing.assert_array_equal(target[len(frames) :], forces)


MACE = """
import json, sys
import torch
from mace.data import HDF5Dataset
from mace.tools import AtomicNumberTable
torch.set_default_dtype(torch.float64)
data = HDF5Dataset(sys.argv[1], r_max=4.0, z_table=AtomicNumberTable([1, 8, 29]))
items = [data[index] for index in range(len(data))]
print('RESULT', json.dumps([{
    'energy': float(item.energy),
    'forces': item.forces.tolist(),
    'stress': item.stress[0].tolist(),
    'positions': item.positions.tolist(),
    'pbc': item.pbc[0].tolist(),
    'weight': float(item.weight),
    'stress_weight': float(item.stress_weight),
    'energy_weight': float(item.energy_weight),
} for item in items]))
"""


@pytest.mark.slow
def test_mace_reads_its_own_format(mixed_dataset, train_frames, tmp_path, mace_python):
    path = tmp_path / 'train.h5'
    assert export_dataset(mixed_dataset, path, 'hdf5') == 5
    done = subprocess.run([mace_python, '-c', MACE, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    items = json.loads(done.stdout.partition('RESULT')[2])
    for item, frame in zip(items, train_frames, strict=True):
        assert item['energy'] == frame.properties['energy']
        np.testing.assert_array_equal(item['forces'], frame.properties['forces'])
        np.testing.assert_array_equal(item['positions'], frame.atoms.positions)
        assert item['pbc'] == frame.atoms.pbc.tolist()
        assert item['energy_weight'] == 1.0
        # What has no stress is not trained to have none.
        assert item['stress_weight'] == float('stress' in frame.properties)
    stress = train_frames[0].properties['stress']
    np.testing.assert_array_equal(np.array(items[0]['stress'])[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], stress)
    assert [item['weight'] for item in items] == [1.0, 9.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize('format', FORMATS)
def test_a_split_may_be_chosen(mixed_dataset, tmp_path, format):
    assert export_dataset(mixed_dataset, tmp_path / 'some', format, ['test', 'e0']) == 2
    assert [path.name for path in tmp_path.iterdir()] == ['some']


def test_refusals_leave_nothing_behind(mixed_dataset, copper_dataset, tmp_path, monkeypatch):
    path = tmp_path / 'some'
    for format, splits, message in (
        ('cif', None, "unknown format 'cif'"),
        ('extxyz', ['valid'], "unknown split 'valid'"),
    ):
        with pytest.raises(ValueError, match=message):
            export_dataset(mixed_dataset, path, format, splits)
    empty = DatasetData([], ['emt'], {}).store()
    with pytest.raises(ValueError, match='no structure in train: nothing to export'):
        export_dataset(empty, path, 'hdf5')
    path.write_text('mine')
    with pytest.raises(ValueError, match='some is there already'):
        export_dataset(mixed_dataset, path, 'extxyz')
    assert path.read_text() == 'mine'
    path.unlink()

    def interrupt(_):
        raise KeyboardInterrupt

    for format in FORMATS:
        with pytest.raises(KeyboardInterrupt):
            export_dataset(mixed_dataset, path, format, progress=interrupt)
        assert list(tmp_path.iterdir()) == []
