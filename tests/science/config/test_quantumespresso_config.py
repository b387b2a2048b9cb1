"""Section ``[labelling]`` of pw.x: what is rejected, and what to do instead."""

from __future__ import annotations

import pytest

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.labelling.quantumespresso import TAKEN, QuantumEspressoLabelling
from aiida_traincraft.science.errors import ConfigError

MAGNETIC = {'spin': 'collinear', 'magnetic_moments': {'Fe': 3.0}}


def parse(**keys) -> QuantumEspressoLabelling:
    return parse_plugin('labeller', {'type': 'quantumespresso', 'pseudo_family': 'sssp'} | keys)


def rejected(**keys) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(**keys)
    return {issue.path: issue.message for issue in caught.value.issues}


def test_least_that_is_needed():
    config = parse()
    assert isinstance(config, QuantumEspressoLabelling)
    assert (config.protocol, config.smearing, config.spin) == ('balanced', 'cold', 'none')
    assert config.ecutwfc is config.ecutrho is config.kpoints_distance is config.degauss is None
    assert (config.seam, config.roles) == ('qe', ('pw',))
    assert rejected(pseudo_family=None) == {'labeller.pseudo_family': 'input should be a valid string (given None)'}
    with pytest.raises(ConfigError, match=r'labeller\.pseudo_family: this key is required'):
        parse_plugin('labeller', {'type': 'quantumespresso'})


@pytest.mark.parametrize(
    'keys',
    [
        {'ecutwfc': 30, 'ecutrho': 120},
        {'smearing': 'none'},
        {'smearing': 'gaussian', 'degauss': 0.01},
        MAGNETIC,
        {'batch_size': 20, 'concurrent': 2},
        {'parallelization': {'npool': 2, 'ndiag': 1}},
        {'parameters': {'ELECTRONS': {'mixing_beta': 0.3}, 'SYSTEM': {'hubbard_u': {'Fe': 4.0}}, 'CONTROL': {}}},
    ],
)
def test_good_combinations_survive_storage(keys):
    config = parse(**keys)
    assert parse_plugin('labeller', config.model_dump(mode='json')) == config
    for key, value in keys.items():
        assert getattr(config, key) == value


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'ecutwfc': 30.0}, '"ecutwfc" and "ecutrho" go together'),
        ({'ecutrho': 120.0}, '"ecutwfc" and "ecutrho" go together'),
        (
            {'ecutwfc': 30.0, 'ecutrho': 119.0},
            '"ecutrho" (119.0 Ry) must be at least four times "ecutwfc" (30.0 Ry)',
        ),
        ({'smearing': 'none', 'degauss': 0.01}, '"degauss" has no meaning with smearing = "none"'),
        (
            {'smearing': 'none', **MAGNETIC},
            'spin = "collinear" needs a smearing: fixed occupations would fix the magnetisation too',
        ),
        ({'spin': 'collinear'}, 'spin = "collinear" and "magnetic_moments", one of them not zero, go together'),
        (
            {'magnetic_moments': {'Fe': 3.0}},
            'spin = "collinear" and "magnetic_moments", one of them not zero, go together',
        ),
        ({'concurrent': 2}, '"concurrent" (2) is larger than "batch_size" (1)'),
    ],
)
def test_combinations_that_make_no_sense(keys, message):
    (found,) = rejected(**keys).values()
    assert found.startswith(message)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('ecutwfc', 0.0, 'greater than 0'),
        ('kpoints_distance', -0.1, 'greater than 0'),
        ('degauss', 0.0, 'greater than 0'),
        ('conv_thr_per_atom', 0.0, 'greater than 0'),
        ('max_force', 0.0, 'greater than 0'),
        ('max_pressure', 0.0, 'greater than 0'),
        ('atom_box', 4.9, 'greater than or equal to 5'),
        ('max_iterations', 0, 'greater than or equal to 1'),
        ('batch_size', 0, 'greater than or equal to 1'),
        ('concurrent', 0, 'greater than or equal to 1'),
        ('protocol', 'moderate', "'fast', 'balanced' or 'stringent'"),
        ('smearing', 'marzari', "'cold', 'gaussian', 'methfessel-paxton', 'fermi-dirac' or 'none'"),
        ('spin', 'noncollinear', "'none' or 'collinear'"),
        ('ecutwfc', '30', 'valid number'),
        ('pseudos', 'sssp', "did you mean 'pseudo_family'?"),
    ],
)
def test_values_out_of_range(key, value, message):
    assert message in rejected(**{key: value})[f'labeller.{key}']


@pytest.mark.parametrize(
    ('parallelization', 'message'), [({'npools': 2}, 'npool'), ({'npool': 0}, 'greater than or equal to 1')]
)
def test_parallelization(parallelization, message):
    (found,) = rejected(parallelization=parallelization).values()
    assert message in found


@pytest.mark.parametrize(
    ('namelist', 'keyword', 'advice'),
    [(namelist, keyword, advice) for namelist, keywords in TAKEN.items() for keyword, advice in keywords.items()],
)
def test_keywords_that_are_taken(namelist, keyword, advice):
    message = rejected(parameters={namelist: {keyword: 1}})['labeller.parameters']
    assert message.startswith(f'keyword {namelist}.{keyword} cannot be set here: {advice}')


def test_the_advice_names_keys_that_exist():
    for keywords in TAKEN.values():
        for advice in keywords.values():
            if advice.startswith('use the key '):
                assert advice.removeprefix('use the key ').strip('"') in QuantumEspressoLabelling.model_fields


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        (
            {'SYSTEM': {'starting_magnetization(1)': 0.5}},
            'keyword SYSTEM.starting_magnetization(1) cannot be set here: use the key "magnetic_moments"',
        ),
        ({'SYSTEM': {'celldm(1)': 10.0}}, 'keyword SYSTEM.celldm(1) cannot be set here: follows from the structure'),
        (
            {'SYSTEM': {'hubbard_u(1)': 4.0}},
            'keyword SYSTEM.hubbard_u(1) cannot be set here: write hubbard_u = { ELEMENT = value }',
        ),
        ({'SYSTEM': {'ECUTWFC': 30.0}}, "write keyword 'ECUTWFC' of SYSTEM in lower case"),
        ({'system': {'nosym': True}}, "no namelist 'system' (allowed: CONTROL, SYSTEM, ELECTRONS, in capitals)"),
        ({'IONS': {'ion_dynamics': 'bfgs'}}, "no namelist 'IONS' (allowed: CONTROL, SYSTEM, ELECTRONS, in capitals)"),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    assert rejected(parameters=parameters)['labeller.parameters'].startswith(message)


def test_a_namelist_is_a_table():
    assert 'labeller.parameters.SYSTEM' in rejected(parameters={'SYSTEM': 3})
