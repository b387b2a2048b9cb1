"""Three ways for the sealed test set to get into the training: as itself, turned, and by a frame of a trajectory."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_traincraft.calculations.functions.gathering import gather_dataset
from aiida_traincraft.calculations.functions.selection import select_structures
from aiida_traincraft.data.dataset import DatasetData, DatasetRow
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.reading import read_structures
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.launch.train_builder import train_builder_from_config
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.structure import Structure

TRAJECTORY = {'system': 'sealed run', 'sampler': 'md', 'seed': 11}


def disguised(frame):
    """The frame turned, moved, its atoms in another order, with noise as of rounding."""
    rng = np.random.default_rng(3)
    twin = frame.bare()
    atoms = twin.atoms
    atoms.rotate(70, (1, 2, 3), rotate_cell=True)
    atoms.positions += 0.4 + rng.normal(scale=1e-4, size=atoms.positions.shape)
    twin.atoms = atoms[rng.permutation(len(atoms))]
    return twin


def of_trajectory(frame):
    return Structure(frame.atoms.copy(), {}, dict(TRAJECTORY))


@pytest.fixture(scope='module')
def sealed_frames(copper_frames):
    return [of_trajectory(copper_frames[0]), *(frame.bare() for frame in copper_frames[1:4])]


@pytest.fixture
def attacks(copper_frames, sealed_frames):
    """One structure for each attack."""
    return {
        'in the test set': sealed_frames[1].bare(),
        'near duplicate in the test set': disguised(sealed_frames[2]),
        'of a trajectory of the test set': of_trajectory(copper_frames[10]),
    }


@pytest.fixture
def select(make_campaign_content, store_structures, sealed_frames):
    """Function that runs the funnel over frames; returns what it chose and its report."""

    def run(frames, **parameters):
        content = make_campaign_content()
        # A funnel of the user's own, which compares nothing.
        content['selection'] = {'budget': 10, 'stages': [{'type': 'physicality'}]}
        result, node = run_get_node(
            select_structures,
            config=orm.Dict(parse_campaign(content).model_dump(mode='json')),
            parameters=orm.Dict({'seed': 1} | parameters),
            sealed=store_structures(sealed_frames),
            frames__0=FramesData(frames),
        )
        assert node.is_finished_ok, node.exit_message
        return read_structures(result['manifest'].uuids), result['report'].get_dict()

    return run


@pytest.mark.parametrize(
    'attack', ['in the test set', 'near duplicate in the test set', 'of a trajectory of the test set']
)
def test_no_attack_is_selected(select, attacks, copper_frames, attack):
    chosen, report = select([attacks[attack], copper_frames[20].bare()])
    assert [frame.content_hash() for frame in chosen] == [copper_frames[20].content_hash()]
    assert report['n_selected'] == 1
    assert report['stages'][-1] == {
        'stage': 'sealed', 'entered': 2, 'dropped': 1, 'picked': 0, 'reasons': {attack: 1}
    }  # fmt: skip


def test_supercells_are_near_duplicates_and_isolated_atoms_are_not_refused(select, sealed_frames):
    large = sealed_frames[3].bare()
    large.atoms = large.atoms.repeat((1, 2, 1))
    chosen, report = select([large], isolated_atoms=['Cu'])
    assert [len(frame) for frame in chosen] == [1]
    assert report['stages'][-1]['reasons'] == {'near duplicate in the test set': 1}


@pytest.fixture(scope='module')
def make(aiida_profile, with_emt_labels):
    """Function that stores frames, labelled by EMT, as one split of a dataset."""

    def dataset(frames, split='train', level='emt'):
        rows = []
        for frame in frames:
            labelled = with_emt_labels(frame)
            labelled.provenance['level_of_theory'] = level
            node = LabelData(labelled).store()
            rows.append(DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint, split))
        return DatasetData(rows, [level], {'Cu': 3.51}).store()

    return dataset


@pytest.fixture(scope='module')
def sealed_set(make, sealed_frames):
    return make(sealed_frames, 'test')


@pytest.mark.parametrize('entry', ['pace_linear', 'mace'])
@pytest.mark.parametrize('attack', ['in the test set', 'of a trajectory of the test set'])
def test_no_attack_is_trained_on(
    run_workchain, campaign_content, make, sealed_set, attacks, copper_frames, attack, entry
):
    campaign_content['training'] = {'type': entry}
    dataset = make([copper_frames[21], attacks[attack]])
    node = run_workchain('traincraft.train', campaign_content, dataset=dataset, test_set=sealed_set, seed=orm.Int(1))
    assert node.exit_status == 210
    assert not node.called
    sealed = {'in the test set': sealed_set.rows[1], 'of a trajectory of the test set': sealed_set.rows[0]}[attack]
    assert f'train {dataset.rows[1].label}, test {sealed.label}' in node.exit_message
    assert ("group 'sealed run md 11'" in node.exit_message) == (attack != 'in the test set')


@pytest.mark.parametrize(
    'attack', ['in the test set', 'near duplicate in the test set', 'of a trajectory of the test set']
)
def test_no_attack_is_submitted(
    campaign_file, campaign_content, python_code, make, sealed_set, attacks, copper_frames, attack
):
    path = campaign_file(campaign_content)
    assert train_builder_from_config(path, make([copper_frames[21]]), sealed_set).test_set == sealed_set
    dataset = make([copper_frames[22], attacks[attack]])
    with pytest.raises(ConfigError, match=f'test_set: 1 training structures.*train {dataset.rows[1].label}'):
        train_builder_from_config(path, dataset, sealed_set)


def test_no_attack_is_gathered(make, sealed_set, attacks, copper_frames):
    level = 'level of the attacks'
    frames = [copper_frames[23], attacks['in the test set'], attacks['of a trajectory of the test set']]
    stored = make(frames, level=level)
    assert gather_dataset(orm.Str(level)).count('train') == 3
    gathered = gather_dataset(orm.Str(level), sealed=sealed_set)
    assert [row.label for row in gathered.rows] == [stored.rows[0].label]


def test_a_campaign_whose_first_structures_are_those_of_its_test_set(campaign_content, python_code):
    content = campaign_content
    content['run']['name'] = 'same_twice'
    still = {'type': 'rattle', 'n': 2, 'stdev': 1e-4}
    for system in (*content['systems'], *content['test_set']['systems']):
        system['sampling'] = still
    _, node = run_get_node(builder_from_config(parse_campaign(content)))
    assert node.exit_status == 404
    assert node.exit_message == 'No starting structure passed the physical checks and is unlike the test set.'
    assert not [child for child in node.called if child.process_label == 'LabelWorkChain']
