"""Numbers of pw.x: what they become, and which of them are no label."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from ase.units import GPa

from aiida_traincraft.science.labelling import quantumespresso
from aiida_traincraft.science.labelling.quantumespresso import (
    Limits,
    label_properties,
    refusal,
    too_close,
    upf_functional,
)

FORCES = np.array([[0.1, -0.2, 0.3], [-0.1, 0.2, -0.3]])
STRESS = np.array([[5.0, 0.4, 0.2], [0.4, 6.0, 0.1], [0.2, 0.1, 7.0]])
# Two k-points, four bands.
ENERGIES = np.array([[-5.0, 1.0, 5.0, 8.0], [-4.0, 2.0, 4.0, 9.0]])
SMEARED = np.array([[2.0, 2.0, 0.5, 0.0], [2.0, 2.0, 0.6, 0.004]])
FIXED = np.array([[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]])
LIMITS = {'conv_thr': 1e-8, 'n_electrons': 8.0, 'max_force': 100.0, 'max_pressure': 300.0, 'version': '6.7'}
PARAMETERS: dict[str, Any] = {
    'energy': -215.0,
    'energy_units': 'eV',
    'forces_units': 'ev / angstrom',
    'stress_units': 'GPascal',
    'number_of_electrons': 8.0,
    'creator_version': '6.7',
    'occupations': 'smearing',
    'convergence_info': {'scf_conv': {'convergence_achieved': True, 'n_scf_steps': 8, 'scf_error': 4e-9}},
}


@pytest.fixture
def parameters() -> dict[str, Any]:
    """Parsed output of a good run, to be changed at will."""
    return copy.deepcopy(PARAMETERS)


def judge(parameters, forces=FORCES, stress=STRESS, bands=(ENERGIES, SMEARED), **limits):
    found = refusal(parameters, forces, stress, bands, Limits(**(LIMITS | limits)))
    return None if found is None else (found.reason, found.detail)


def test_units_sign_and_order_of_a_label(parameters):
    properties = label_properties(parameters, FORCES.tolist(), STRESS.tolist(), periodic=True)
    assert properties['energy'] == -215.0
    assert np.array_equal(properties['forces'], FORCES)
    # pw.x: positive under compression; ASE: negative. xx, yy, zz, yz, xz, xy.
    assert properties['stress'] == pytest.approx(np.array([-5.0, -6.0, -7.0, -0.1, -0.2, -0.4]) * GPa)
    assert properties['stress'][0] == pytest.approx(-5.0 / 160.21766208)


def test_a_label_is_independent_and_has_no_negative_zeros(parameters):
    forces, stress = FORCES.copy(), np.diag([1.0, 1.0, 1.0])
    properties = label_properties(parameters, forces, stress, periodic=True)
    forces += 1.0
    assert np.array_equal(properties['forces'], FORCES)
    assert not np.signbit(properties['stress'][3:]).any()


def test_no_stress_without_periodicity(parameters):
    assert set(label_properties(parameters, FORCES, STRESS, periodic=False)) == {'energy', 'forces'}
    assert set(label_properties(parameters, FORCES, None, periodic=False)) == {'energy', 'forces'}


def test_a_good_run_is_a_label(parameters):
    assert judge(parameters) is None
    assert judge(parameters | {'occupations': 'fixed'}, bands=(ENERGIES, FIXED)) is None
    polarised = (np.array([ENERGIES, ENERGIES]), np.array([SMEARED, SMEARED]) / 2)
    assert judge(parameters, bands=polarised) is None


def test_incomplete_output(parameters):
    assert judge(parameters | {'energy': None}, forces=None, stress=None) == (
        'incomplete output',
        'no energy and no forces and no stress in the output',
    )
    assert judge(parameters, forces=None) == ('incomplete output', 'no forces in the output')
    assert judge(parameters, stress=None) == ('incomplete output', 'no stress in the output')
    assert judge(parameters, bands=None) == ('incomplete output', 'no bands in the output')
    assert judge({}, forces=None)[0] == 'incomplete output'


def test_an_isolated_atom_needs_no_stress(parameters):
    del parameters['stress_units']
    assert judge(parameters, stress=None, periodic=False) is None
    assert judge(parameters, stress=1e6 * STRESS, periodic=False) is None


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(parameters, bad):
    assert judge(parameters | {'energy': bad})[0] == 'numbers not finite'
    assert judge(parameters, forces=np.where(FORCES > 0.25, bad, FORCES))[0] == 'numbers not finite'
    assert judge(parameters, stress=np.where(STRESS > 6.5, bad, STRESS))[0] == 'numbers not finite'


@pytest.mark.parametrize('key', ['energy_units', 'forces_units', 'stress_units'])
def test_units_that_are_missing_or_others(parameters, key):
    assert judge(parameters | {key: 'Ry'})[0] == 'unexpected units'
    assert f"{key} is 'Ry'" in judge(parameters | {key: 'Ry'})[1]
    del parameters[key]
    # Forces that overflow their columns are not recognised, and lose their unit.
    assert judge(parameters)[0] == ('atoms too close' if key == 'forces_units' else 'unexpected units')


def test_pw_x_says_converged_though_its_error_is_large(parameters):
    scf = parameters['convergence_info']['scf_conv']
    # 2.7e-4 Ha are 5.4e-4 Ry.
    scf['scf_error'] = 2.7e-4
    assert judge(parameters) == ('SCF not converged', 'estimated error 5.4e-04 Ry, threshold 1.0e-08 Ry')
    scf['scf_error'] = 5.1e-9
    assert judge(parameters)[0] == 'SCF not converged'
    scf['scf_error'] = 4.9e-9
    assert judge(parameters) is None


def test_pw_x_says_not_converged_or_nothing(parameters):
    parameters['convergence_info']['scf_conv']['convergence_achieved'] = False
    assert judge(parameters)[0] == 'SCF not converged'
    parameters['convergence_info'] = {'scf_conv': {'convergence_achieved': True}}
    assert judge(parameters) == ('SCF not converged', 'estimated error inf Ry, threshold 1.0e-08 Ry')
    del parameters['convergence_info']
    assert judge(parameters)[0] == 'SCF not converged'


def test_pseudopotentials_of_another_element(parameters):
    assert judge(parameters | {'number_of_electrons': 6.0}) == (
        'wrong pseudopotential',
        '6.0 electrons instead of 8',
    )
    del parameters['number_of_electrons']
    assert judge(parameters)[0] == 'wrong pseudopotential'


def test_a_version_that_the_level_of_theory_does_not_name(parameters):
    reason, detail = judge(parameters | {'creator_version': '7.2'})
    assert reason == 'another version of pw.x'
    assert detail.startswith('the code is version 7.2 now, the level of theory says 6.7: run "traincraft doctor"')


def test_too_few_bands(parameters):
    occupations = SMEARED.copy()
    occupations[1, -1] = 0.006
    assert judge(parameters, bands=(ENERGIES, occupations)) == (
        'too few bands',
        'the highest band holds 0.006 electrons',
    )
    down = np.array([SMEARED, SMEARED]) / 2
    down[1, 0, -1] = 0.1
    assert judge(parameters, bands=(np.array([ENERGIES, ENERGIES]), down))[0] == 'too few bands'


def test_fixed_occupations_need_a_gap(parameters):
    parameters['occupations'] = 'fixed'
    # The empty band of one k-point lies below the filled one of another: every gap is at one k-point, none is left.
    energies = ENERGIES.copy()
    energies[0, 2] = 1.9
    assert judge(parameters, bands=(energies, FIXED)) == (
        'no band gap with fixed occupations',
        'gap -0.100 eV: set a smearing',
    )
    energies[0, 2] = 2.04
    assert judge(parameters, bands=(energies, FIXED))[0] == 'no band gap with fixed occupations'
    energies[0, 2] = 2.06
    assert judge(parameters, bands=(energies, FIXED)) is None
    assert judge(parameters, bands=(ENERGIES[:, :2], FIXED[:, :2])) == (
        'no band gap with fixed occupations',
        'there is no empty band that would show a gap',
    )


def test_forces_and_pressures_out_of_bounds(parameters):
    forces = np.array([[0.0, 0.0, 0.0], [60.0, 0.0, 80.1]])
    assert judge(parameters, forces=forces) == ('force too large', '100.1 eV/Å, allowed 100 eV/Å')
    assert judge(parameters, forces=forces, max_force=101.0) is None
    for sign in (1, -1):
        assert judge(parameters, stress=sign * np.diag([300.0, 301.0, 302.0])) == (
            'pressure too large',
            f'{sign * 301.0} GPa, allowed 300 GPa',
        )
    # A large shear is no pressure.
    assert judge(parameters, stress=np.array([[0.0, 900.0, 0.0], [900.0, 0.0, 0.0], [0.0, 0.0, 0.0]])) is None


def test_the_first_reason_is_the_cause(parameters):
    """What is measured for atoms on top of each other: no units, huge forces, and pw.x content with itself."""
    del parameters['forces_units']
    parameters['convergence_info']['scf_conv']['scf_error'] = 1.0
    assert judge(parameters, forces=1e6 * FORCES, stress=1e6 * STRESS)[0] == 'atoms too close'


def test_too_close():
    assert too_close(0.6, 0.6) is None
    assert too_close(float('inf'), 0.6) is None
    found = too_close(0.59, 0.6)
    assert (found.reason, found.detail) == (
        'atoms too close',
        'the closest pair is at 0.590 of its covalent radii, allowed 0.6',
    )


VERSION_1 = """<PP_INFO>
Generated using Vanderbilt code
</PP_INFO>
<PP_HEADER>
   0                   Version Number
  Si                   Element
   NC                  Norm - Conserving pseudopotential
    F                  Nonlinear Core Correction
 {functional}   Exchange-Correlation functional
    4.00000000000      Z valence
</PP_HEADER>
"""
VERSION_2 = """<UPF version="2.0.1">
  <PP_INFO>
    Exchange-correlation as in the header
  </PP_INFO>
  <PP_HEADER
     generated="Generated by hand"
     element="Si"
     core_correction="false"
     functional{functional}
     z_valence="    4.00"/>
</UPF>
"""


@pytest.mark.parametrize(
    ('words', 'name'),
    [
        ('SLA  PZ   NOGX NOGC   PZ ', 'PZ'),
        ('SLA  PW   NOGX NOGC   PW ', 'PW'),
        ('SLA  PW   PBE  PBE     PBE', 'PBE'),
        ('SLA  PW   PBX  PBC', 'PBE'),
        ('SLA  PW   PSX  PSC', 'PBESOL'),
        ('SLA  LYP  B88  BLYP', 'BLYP'),
        ('SLA  PW   TPSS TPSS', 'SLA PW TPSS TPSS'),
    ],
)
def test_functional_of_a_file_of_version_1(words, name):
    assert upf_functional(VERSION_1.format(functional=words)) == name


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('="PBE"', 'PBE'),
        ('="PBESOL"', 'PBESOL'),
        ('="pz"', 'PZ'),
        ('="LDA"', 'PZ'),
        ('="PW"', 'PW'),
        (' = " SLA PW PBX PBC"', 'PBE'),
        ('="SLA-PW-PBE-PBE"', 'PBE'),
        ('="sla+pw+pbx+pbc"', 'PBE'),
        ('=" SLA PW PSX PSC"', 'PBESOL'),
        ('="SLA PW GGX GGC"', 'PW91'),
        ('="SLA PW RPB PBC"', 'REVPBE'),
        ('="SCAN"', 'SCAN'),
    ],
)
def test_functional_of_a_file_of_version_2(text, name):
    assert upf_functional(VERSION_2.format(functional=text)) == name


@pytest.mark.parametrize('upf', ['', 'no pseudopotential', VERSION_2.format(functional='=""')])
def test_a_file_that_names_no_functional(upf):
    with pytest.raises(ValueError, match='does not name its functional'):
        upf_functional(upf)


def test_short_names_are_those_of_their_own_components():
    for tokens, name in quantumespresso.FUNCTIONALS.items():
        assert upf_functional(f'functional="{" ".join(tokens)}"') == name
        assert upf_functional(f'functional="{name}"') == name


MESSAGE = f' {"%" * 78}\n     task #         3\n     from electrons : error #  1\n     charge is wrong\n {"%" * 78}\n'


@pytest.mark.parametrize(
    ('crash', 'stdout', 'stderr', 'told'),
    [
        (MESSAGE * 2, 'the last line', 'ORTE_ERROR_LOG: Data unpack', 'from electrons : error # 1 charge is wrong'),
        ('', f'before\n{MESSAGE}     stopping ...\n', '', 'from electrons : error # 1 charge is wrong'),
        ('Error in routine readpp', 'the last line', 'STOP 2', 'Error in routine readpp'),
        ('', 'the last line', 'slurmstepd: error: Exceeded job memory\n', 'slurmstepd: error: Exceeded job memory'),
        ('', 'first\nthe last line\n---\n', 'STOP 2\n#0  0x7f7c in ???\n', 'the last line'),
        ('', '   JOB DONE.\n', 'STOP 2\n', ''),
        ('', '', '', ''),
    ],
)
def test_what_pw_x_says_of_its_end(crash, stdout, stderr, told):
    assert quantumespresso.error_message(crash, stdout, stderr) == told
