"""MACE potentials as nodes, without MACE: the models are stand-ins."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_traincraft.calculations.functions.committees import make_committee
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.data.potentials.pace import PacePotentialData

HEADS = [
    {'name': 'pbe', 'e0': {'Cu': 3.0, 'Al': 2.0}, 'level_of_theory': 'level of pbe'},
    {'name': 'Default', 'e0': {'Cu': 4.0, 'Al': 2.5}, 'level_of_theory': 'level of scan'},
]


@pytest.fixture
def stand_in(aiida_profile, tmp_path):
    """Function that makes a potential of files that are no models."""

    def make(*contents, heads=HEADS[1:], **keys):
        paths = []
        for index, content in enumerate(contents):
            paths.append(tmp_path / f'{index}.model')
            paths[-1].write_text(content)
        keys = {
            'architecture': 'ScaleShiftMACE',
            'cutoff': 5.0,
            'elements': ['Cu', 'Al'],
            'dtype': 'float32',
            'heads': heads,
        } | keys
        return MacePotentialData(paths, **keys)

    return make


def test_attributes(stand_in):
    node = orm.load_node(stand_in('a', 'b').store().pk)
    assert (node.elements, node.cutoff, node.dtype, node.n_models) == (['Al', 'Cu'], 5.0, 'float32', 2)
    assert node.e0 == {'Cu': 4.0, 'Al': 2.5}
    assert node.files == ['model_0.model', 'model_1.model']
    assert 'committee of 2' in str(node)
    table = node.job_table()
    assert (table['type'], table['head'], table['models']) == ('mace', 'Default', ['model_0.model', 'model_1.model'])


def test_only_a_committee_with_forces_has_a_spread(stand_in):
    assert stand_in('a', 'b').measure == 'spread'
    assert stand_in('a').measure is None
    assert stand_in('a', 'b', architecture='AtomicDipolesMACE').measure is None


def test_the_head_follows_the_level_of_theory(stand_in):
    potential = stand_in('a', heads=HEADS)
    assert potential.head_for(['level of pbe']) == 'pbe'
    assert potential.job_table('pbe')['e0'] == HEADS[0]['e0']
    with pytest.raises(ValueError, match=r'no head of this potential .* name the head'):
        potential.head_for(['another'])
    with pytest.raises(ValueError, match="no head 'r2scan'"):
        potential.job_table('r2scan')
    # A replay of the campaign's own level: its own head comes before that of the replay.
    twice = [HEADS[1] | {'name': 'pt_head'}, HEADS[1]]
    assert stand_in('a', heads=twice).head_for(['level of scan']) == 'Default'
    # Without a choice there is nothing to be wrong about.
    assert stand_in('a').head_for(['another']) == 'Default'


def test_what_cannot_be_a_potential(stand_in):
    with pytest.raises(ValueError, match='at least one model'):
        stand_in()
    with pytest.raises(ValueError, match='empty'):
        stand_in('a', '')


def test_members_become_a_committee(stand_in, tmp_path):
    (tmp_path / 'lammps').write_text('for LAMMPS')
    members = {
        f'member_{index:02d}': stand_in(f'model {index}', lammps=[tmp_path / 'lammps'], metrics={'lammps': 'mliap'})
        for index in (1, 0)
    }
    node = make_committee(**members)
    assert node.base.repository.get_object_content('model_0.model') == 'model 0'
    assert node.base.repository.get_object_content('model_1.model') == 'model 1'
    assert node.files == ['lammps_0.pt', 'lammps_1.pt', 'model_0.model', 'model_1.model']
    assert node.lammps_lines(['Cu', 'Al']) == 'pair_style mliap unified lammps_0.pt 0\npair_coeff * * Cu Al\n'
    with pytest.raises(ValueError, match='lammps = "libtorch"'):
        stand_in('a').lammps_lines()


def test_one_query_finds_every_potential(stand_in, tmp_path):
    (tmp_path / 'p.yaml').write_text('a potential')
    ours = {stand_in('a').store().pk, PacePotentialData(tmp_path / 'p.yaml', {'Cu': 3.5}, 5.0).store().pk}
    assert ours <= set(orm.QueryBuilder().append(PotentialData, project='id').all(flat=True))
