"""Models of dipoles and polarizabilities, trained for real on molecules labelled by GFN2-xTB and scored on others."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.build import molecule

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.labelling.label import label
from aiida_traincraft.science.structure import Structure

pytestmark = pytest.mark.long

MOLECULES = ('H2O', 'CH3OH', 'H2CO')
PER_MOLECULE = {'train': 16, 'test': 8}


@pytest.fixture(scope='module')
def molecules(aiida_profile):
    """Distorted and turned molecules with GFN2-xTB labels, polarizabilities included."""
    pytest.importorskip('tblite')
    rng = np.random.default_rng(5)
    calculator = make_calculator(parse_plugin('calculator', {'type': 'tblite', 'polarizability': True}))
    rows, atoms_labelled = [], []

    def store(structure, split):
        structure.provenance['level_of_theory'] = 'gfn2'
        node = LabelData(structure).store()
        rows.append(DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint, split))

    for split, count in PER_MOLECULE.items():
        for name in MOLECULES:
            for _ in range(count):
                atoms = molecule(name)
                atoms.rotate(rng.uniform(0, 360), rng.normal(size=3))
                atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
                store(label(Structure(atoms, provenance={'system': name}), calculator, 0.5), split)
    for element in ('C', 'H', 'O'):
        atom = Structure(Atoms(element, pbc=False), provenance={'system': 'isolated_atom'})
        atoms_labelled.append(label(atom, calculator, 0.5))
        store(atoms_labelled[-1], 'e0')
    return DatasetData(rows, ['gfn2'], isolated_atom_energies(atoms_labelled)).store()


@pytest.mark.parametrize(
    ('model', 'order', 'compared'),
    [('AtomicDipolesMACE', 1, ('dipole',)), ('AtomicDielectricMACE', 2, ('dipole', 'polarizability'))],
)
def test_a_model_beats_the_mean_predictor(
    run_workchain, make_campaign_content, mace_training, mace_code, molecules, model, order, compared
):
    content = make_campaign_content()
    content['training'] = mace_training | {
        'model': model,
        'max_L': order,
        'max_ell': order,
        'num_channels': 16,
        'committee': 1,
        'max_num_epochs': 30,
        'batch_size': 8,
    }
    content['codes'] |= {role: {'code': 'mace@localhost'} for role in ('mace', 'mace_train')}
    codes = {'mace': mace_code, 'mace_train': mace_code}
    node = run_workchain(
        'traincraft.train', content, dataset=molecules, test_set=molecules, seed=orm.Int(1), codes=codes
    )
    assert node.is_finished_ok, node.exit_message
    overall = node.outputs.errors['overall']
    n_test = PER_MOLECULE['test'] * len(MOLECULES)
    sizes = {'dipole': 3 * n_test, 'polarizability': 9 * n_test}
    assert {name: found['n'] for name, found in overall.items() if found['n']} == {
        name: sizes[name] for name in compared
    }
    for name in compared:
        print(f'{model} {name}: RMSE {overall[name]["rmse"]:.4f}, mean predictor {overall[name]["std"]:.4f}')
        assert 3 * overall[name]['rmse'] < overall[name]['std']
