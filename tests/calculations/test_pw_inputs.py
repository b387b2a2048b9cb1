"""Keywords of pw.x for one structure, from those of all."""

from __future__ import annotations

import pytest
from aiida import orm
from ase.build import bulk

from aiida_traincraft.calculations.pw_inputs import kpoints_mesh, structure_parameters

PER_ATOM = {'conv_thr': 1e-10, 'etot_conv_thr': 1e-5}


@pytest.fixture
def pseudos(pseudo_family):
    return {element: pseudo_family.get_pseudo(element) for element in ('Al', 'Si')}


def parameters(structure, pseudos, **system):
    common = {'SYSTEM': {'occupations': 'smearing', **system}}
    return structure_parameters(common, PER_ATOM, orm.StructureData(ase=structure), pseudos)


def test_thresholds_grow_with_the_number_of_atoms(pseudos):
    found = parameters(bulk('Si', cubic=True), pseudos)
    assert found['ELECTRONS']['conv_thr'] == pytest.approx(8e-10)
    assert found['CONTROL']['etot_conv_thr'] == pytest.approx(8e-5)


def test_keywords_of_elements_that_a_structure_lacks_are_left_out(pseudos):
    system = {'starting_magnetization': {'Al': 0.5, 'Si': 0.1}, 'hubbard_u': {'Al': 4.0}}
    silicon = parameters(bulk('Si'), pseudos, **system)['SYSTEM']
    assert silicon == {'occupations': 'smearing', 'starting_magnetization': {'Si': 0.1}}
    aluminium = parameters(bulk('Al'), pseudos, **system)['SYSTEM']
    assert aluminium['hubbard_u'] == {'Al': 4.0}


def test_fixed_occupations_get_empty_bands_that_show_a_gap(pseudos):
    # Sixteen filled bands of Si8, four of Si2.
    assert parameters(bulk('Si', cubic=True), pseudos, occupations='fixed')['SYSTEM']['nbnd'] == 20
    assert parameters(bulk('Si'), pseudos, occupations='fixed')['SYSTEM']['nbnd'] == 8


def test_the_common_keywords_stay_as_they_are(pseudos):
    common = {'SYSTEM': {'occupations': 'fixed', 'hubbard_u': {'Al': 4.0}}}
    structure_parameters(common, PER_ATOM, orm.StructureData(ase=bulk('Si')), pseudos)
    assert common == {'SYSTEM': {'occupations': 'fixed', 'hubbard_u': {'Al': 4.0}}}


@pytest.mark.parametrize(('distance', 'mesh'), [(0.3, [4, 4, 4]), (0.45, [3, 3, 3])])
def test_mesh_of_a_cubic_cell(aiida_profile, distance, mesh):
    structure = orm.StructureData(ase=bulk('Si', 'diamond', a=5.4, cubic=True))
    assert kpoints_mesh(structure, distance).get_kpoints_mesh()[0] == mesh
