"""Task ``label``: good labels, counted failures."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.worker.tasks.label import run

PLUGIN = '''
import numpy as np
from ase.calculators.emt import EMT
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register


class OddEmt(EMT):
    """EMT with a free energy, a response, and bad moods that depend on the number of atoms."""

    implemented_properties = [*EMT.implemented_properties, 'dipole', 'polarizability', 'magmom']

    def calculate(self, *args):
        super().calculate(*args)
        self.results['energy'] += 5.0
        self.results['dipole'] = np.array([0.0, 0.0, 0.5])
        self.results['polarizability'] = np.eye(3)
        match len(self.atoms):
            case 2:
                raise RuntimeError('no convergence')
            case 3:
                self.results['forces'][0, 0] = np.nan
            case 4:
                self.results['forces'] = self.results['forces'][:2]
            case 5:
                self.results['energy'] = self.results['free_energy'] = float('inf')


class Config(CalculatorConfig):
    type: str = 'odd_emt'


@register('calculator', 'odd_emt', Config)
def make(config):
    """Calculator of a test."""
    return OddEmt()
'''


def chain(number):
    return Structure(Atoms(f'Cu{number}', positions=[[0, 0, 2.5 * k] for k in range(number)]))


@pytest.fixture
def label(tmp_path, restored_registry):
    (tmp_path / 'odd.py').write_text(PLUGIN)

    def call(structures, calculator='emt', min_distance=0.5):
        write_frames(tmp_path / 'structures.frames', structures)
        parameters = {'calculator': {'type': calculator}, 'min_distance': min_distance, 'plugins': ['odd.py']}
        return run(parameters, tmp_path)['rows'], read_frames(tmp_path / 'labels.frames')

    return call


def test_labels_are_those_of_the_calculator(label):
    crystal = bulk('Cu', cubic=True)
    crystal.rattle(0.1, seed=1)
    crystal.set_array('tc_fragment', np.arange(4))
    structures = [
        Structure(crystal, {'uncertainty': np.ones(4)}, {'system': 'bulk'}),
        Structure(fcc111('Au', (1, 1, 3), vacuum=6)),
        Structure(molecule('H2O')),
        Structure(bulk('Pt')),
    ]
    rows, labels = label(structures)
    assert all(0 < row.pop('seconds') < 60 for row in rows)
    assert rows == [{'index': i, 'status': 'ok', 'reason': None} for i in range(4)]
    for structure, labelled in zip(structures, labels, strict=True):
        atoms = structure.atoms.copy()
        atoms.calc = EMT()
        assert labelled.content_hash() == structure.content_hash()
        assert labelled.properties['energy'] == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
        assert isinstance(labelled.properties['energy'], float)
        assert labelled.properties['forces'] == pytest.approx(atoms.get_forces(), abs=1e-10)
        assert ('stress' in labelled.properties) == atoms.pbc.all()
    assert labels[0].properties['stress'].shape == (6,)
    assert labels[0].properties['uncertainty'].tolist() == [1] * 4
    assert labels[0].provenance == {'system': 'bulk'}
    assert labels[0].atoms.arrays['tc_fragment'].tolist() == [0, 1, 2, 3]


def test_stress_has_the_sign_of_ase(label):
    _, labels = label([Structure(bulk('Cu', a=3.4)), Structure(bulk('Cu', a=3.8))])
    # Compressed: negative stress, positive pressure.
    assert labels[0].properties['stress'][0] < 0 < labels[1].properties['stress'][0]


def test_failures_are_rows_and_stop_nothing(label, capsys):
    overlapping = chain(6)
    overlapping.atoms.positions[1] = overlapping.atoms.positions[0] + 0.1
    structures = [chain(1), chain(2), chain(3), chain(4), chain(5), overlapping, Structure(Atoms()), chain(7)]
    rows, labels = label(structures, 'odd_emt')
    assert [row['index'] for row in rows] == list(range(8))
    assert [row['status'] for row in rows] == ['ok', *['failed'] * 6, 'ok']
    reasons = [row['reason'] for row in rows]
    assert reasons[1] == 'RuntimeError: no convergence'
    assert reasons[2] == 'forces is not finite'
    assert reasons[3] == 'forces has shape (2, 3) instead of (4, 3)'
    assert reasons[4] == 'energy is not finite'
    assert reasons[5] == 'atoms overlap: closest pair at 0.066 of its covalent radii, allowed 0.5'
    assert reasons[6] == 'the structure has no atoms'
    assert [len(labelled) for labelled in labels] == [1, 7]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '1/8 Cu ok'
    assert lines[1] == '2/8 Cu2 failed: RuntimeError: no convergence'
    assert len(lines) == 8


def test_a_failure_leaves_nothing_behind(label):
    _, alone = label([chain(7)], 'odd_emt')
    _, after = label([chain(2), chain(3), chain(7)], 'odd_emt')
    assert after[0].properties['energy'] == alone[0].properties['energy']
    assert np.array_equal(after[0].properties['forces'], alone[0].properties['forces'])


def test_element_that_the_teacher_does_not_know(label):
    rows, labels = label([Structure(bulk('Fe')), Structure(bulk('Cu'))])
    assert rows[0]['status'] == 'failed'
    assert 'Fe' in rows[0]['reason']
    assert len(labels) == 1


def test_energy_consistent_with_forces_and_response(label):
    _, labels = label([chain(7)], 'odd_emt')
    _, plain = label([chain(7)], 'emt')
    # The plugin shifts "energy" but not "free_energy".
    assert labels[0].properties['energy'] == pytest.approx(plain[0].properties['energy'])
    assert labels[0].properties['dipole'].tolist() == [0.0, 0.0, 0.5]
    assert labels[0].properties['polarizability'].tolist() == np.eye(3).tolist()


def test_positions_that_are_not_finite(label):
    broken = chain(3)
    broken.atoms.positions[0, 0] = np.nan
    rows, _ = label([broken])
    assert 'not finite' in rows[0]['reason']


def test_constraints_hide_no_forces():
    from aiida_traincraft.science.labelling.label import label as label_one

    atoms = bulk('Cu', cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.set_constraint(FixAtoms(range(4)))
    assert np.abs(label_one(Structure(atoms), EMT(), 0.5).properties['forces']).min() > 0


def test_an_isolated_atom_gets_the_e0_of_a_potential(tmp_path, copper_frames):
    pytest.importorskip('pyace', reason='python-ace is not installed')
    from aiida_traincraft.science.calculators.potential import load_potential
    from aiida_traincraft.science.worker.tasks import pace_linear

    write_frames(tmp_path / 'dataset.frames', copper_frames)
    training = {'type': 'pace_linear', 'cutoff': 4.5, 'functions': 12}
    pace_linear.run({'training': training, 'e0': {'Cu': 0.5}, 'seed': 0}, tmp_path)
    # The atom's energy is not what the fit took for it.
    table = {'type': 'pace', 'e0': {'Cu': 0.75}, 'active_set': False}
    structures = [Structure(Atoms('Cu')), Structure(bulk('Al')), Structure(Atoms('Al')), Structure(bulk('Cu'))]
    write_frames(tmp_path / 'structures.frames', structures)
    rows = run({'potential': table, 'min_distance': 0.5}, tmp_path)['rows']
    assert [row['reason'] for row in rows] == [
        None,
        'ValueError: the potential has no Al; it knows Cu',
        'no isolated-atom energy (e0, eV) is given for Al',
        None,
    ]
    atom, crystal = read_frames(tmp_path / 'labels.frames')
    assert atom.properties['energy'] == 0.75
    assert atom.properties['forces'].tolist() == [[0, 0, 0]]
    atoms = bulk('Cu')
    atoms.calc = load_potential(table, tmp_path)
    assert crystal.properties['energy'] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    assert crystal.properties['stress'] == pytest.approx(atoms.get_stress(), abs=1e-9)


def test_nothing_to_label(label):
    assert label([]) == ([], [])


def test_unknown_calculator(label):
    with pytest.raises(ConfigError, match="did you mean 'emt'"):
        label([chain(1)], 'etm')
