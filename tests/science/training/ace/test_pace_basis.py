from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace_check import check_pair
from aiida_traincraft.science.models.ace_file import load_basis, n_functions, write_potential
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.basis import basis_config, count_atoms, function_count

pyace = pytest.importorskip('pyace')


def test_auto_takes_half_the_atoms_of_the_rarest_element(copper_frames):
    config = PaceLinearTraining(max_functions=300)
    copper = count_atoms(copper_frames)['Cu']
    assert function_count(config, copper_frames) == copper // 2
    aluminium = Structure(bulk('Al', cubic=True).repeat((2, 2, 1)))
    assert function_count(config, [*copper_frames, aluminium]) == 8
    assert function_count(PaceLinearTraining(max_functions=20), copper_frames) == 20
    assert function_count(PaceLinearTraining(functions=77), copper_frames) == 77


def test_too_few_atoms_name_the_element(copper_frames):
    config = PaceLinearTraining()
    with pytest.raises(ValueError, match=r'only 1 atoms of Al.*at least 10'):
        function_count(config, [*copper_frames, Structure(bulk('Al'))])
    with pytest.raises(ValueError, match='no structures'):
        function_count(config, [])


@pytest.mark.parametrize(('elements', 'count'), [(['Cu'], 50), (['Cu', 'Al'], 50)])
def test_template_gives_the_number_asked_for(elements, count):
    basis = pyace.ACEBBasisSet(basis_config(PaceLinearTraining(), elements, count))
    assert n_functions(basis) == dict.fromkeys(sorted(elements), count)
    assert basis.ndensitymax == 1
    assert basis.cutoffmax == 5.5


def test_orders_cutoff_and_radial_basis_reach_pyace():
    config = PaceLinearTraining(
        nradmax_by_orders=[4, 2], lmax_by_orders=[0, 1], cutoff=4.5, functions=200, radial_basis='ChebExpCos'
    )
    block = basis_config(config, ['Cu'], 200).funcspecs_blocks[0]
    assert block.rcutij == 4.5
    assert block.radbase == 'ChebExpCos'
    assert {len(function.ns) for function in block.funcspecs} == {1, 2}
    assert len(block.funcspecs) < 200


def test_nonlinear_config_brings_its_embedding():
    basis = basis_config(PaceNonlinearTraining(), ['Cu'], 10)
    assert basis.funcspecs_blocks[0].ndensityi == 2
    assert list(basis.funcspecs_blocks[0].fs_parameters) == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize('elements', [['Cu', 'O'], ['Al', 'Cu', 'O']])
def test_few_functions_are_of_one_bond_and_are_read_back(tmp_path, elements):
    config = basis_config(PaceLinearTraining(), elements, 5)
    basis = pyace.ACEBBasisSet(config)
    basis.basis_coeffs = list(np.random.default_rng(0).normal(size=len(basis.basis_coeffs)))
    path = tmp_path / 'potential.yaml'
    write_potential(basis.to_BBasisConfiguration(), path, dict.fromkeys(elements, 0.0))
    assert any(block.nradmaxi == 0 for block in config.funcspecs_blocks)
    load_basis(path).to_ACECTildeBasisSet().save_yaml(str(tmp_path / 'potential.yace'))
    check_pair(path, tmp_path / 'potential.yace')


def test_fewer_functions_than_blocks_are_refused():
    with pytest.raises(ValueError, match='5 functions per element are too few for Al, Cu, H, O'):
        basis_config(PaceLinearTraining(), ['Al', 'Cu', 'H', 'O'], 5)
