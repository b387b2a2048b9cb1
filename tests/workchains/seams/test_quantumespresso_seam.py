"""What is found out before a campaign with labels of pw.x is stored; no pw.x is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiida import orm
from aiida_pseudo.data.pseudo import UpfData
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily, PseudoPotentialFamily
from ase import Atoms

from aiida_traincraft.data.level_of_theory import differences
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.errors import ConfigError, ConfigIssue
from aiida_traincraft.workchains.seams.labeller import labeller_of

UPF = '<UPF version="2.0.1"><PP_HEADER element="{}" z_valence="{}" functional="{}"/></UPF>\n'
VALENCE = {'H': 1, 'C': 4, 'Si': 4, 'Fe': 16}


@pytest.fixture(scope='module')
def make_family(aiida_profile, tmp_path_factory) -> Callable[..., PseudoPotentialFamily]:
    """Function that installs a family of headers of pseudopotentials, by element and functional."""

    def make(label: str, functionals: dict[str, str], cutoffs: Sequence[str] | None = None) -> PseudoPotentialFamily:
        folder = tmp_path_factory.mktemp(label)
        for element, functional in functionals.items():
            (folder / f'{element}.upf').write_text(UPF.format(element, VALENCE[element], functional))
        cls = PseudoPotentialFamily if cutoffs is None else CutoffsPseudoPotentialFamily
        family = cls.create_from_folder(folder, label, pseudo_type=UpfData)
        if cutoffs:
            numbers = {
                element: {'cutoff_wfc': 10.0 * VALENCE[element], 'cutoff_rho': 80.0 * VALENCE[element]}
                for element in cutoffs
            }
            family.set_cutoffs(numbers, 'normal', unit='Ry')
        return family

    return make


@pytest.fixture(scope='module')
def stub_family(make_family) -> PseudoPotentialFamily:
    """Carbon, silicon and iron of one functional, with recommended cutoffs of 40, 40 and 160 Ry."""
    elements = ('C', 'Si', 'Fe')
    return make_family('stubs', dict.fromkeys(elements, 'SLA+PW+PBX+PBC'), elements)


@pytest.fixture
def issues(stub_family) -> Callable[..., list[ConfigIssue]]:
    """Function that checks a section; nothing may be stored."""

    def check(elements: Sequence[str] = ('Si',), pw: Any = None, **keys: Any) -> list[ConfigIssue]:
        section = QuantumEspressoLabelling.model_validate({'pseudo_family': stub_family.label} | keys)
        before = count()
        found = labeller_of(section).check_elements(frozenset(elements), {} if pw is None else {'pw': pw})
        assert count() == before
        return found

    return check


def count() -> tuple[int, int, int]:
    """Nodes, groups and computers in the database."""
    n_nodes, n_groups, n_computers = (
        orm.QueryBuilder().append(entity).count() for entity in (orm.Node, orm.Group, orm.Computer)
    )
    return n_nodes, n_groups, n_computers


def only(found: list[ConfigIssue]) -> ConfigIssue:
    (issue,) = found
    return issue


def test_a_section_without_fault(issues, localhost):
    code = orm.InstalledCode(localhost, '/bin/sh', default_calc_job_plugin='quantumespresso.pw')
    assert issues(('Si', 'C'), code, functional='PBE') == []
    assert issues(('Fe',), spin='collinear', magnetic_moments={'Fe': 5.0}) == []


def test_an_element_without_pseudopotential(issues):
    issue = only(issues(('Si', 'Xe', 'Ar')))
    assert issue.path == 'labelling.pseudo_family'
    assert issue.message == "the family 'stubs' has no pseudopotential for Ar, Xe (it has C, Fe, Si)"


def test_an_unknown_family(issues):
    issue = only(issues(pseudo_family='SSSP/1.3/PBE/efficiency'))
    assert issue.path == 'labelling.pseudo_family'
    assert "no family of pseudopotentials 'SSSP/1.3/PBE/efficiency'" in issue.message
    assert 'stubs' in issue.message.partition('installed: ')[2]
    assert 'traincraft pseudos install FOLDER --family SSSP/1.3/PBE/efficiency' in issue.message


def test_another_functional(issues):
    issue = only(issues(functional='PBEsol'))
    assert issue.path == 'labelling.functional'
    assert "'PBEsol' was asked for" in issue.message
    assert 'Si: PBE' in issue.message
    assert issues(functional='pbe') == []


def test_mixed_functionals(issues, make_family):
    family = make_family('two-functionals', {'Si': 'PBE', 'C': 'SLA PZ NOGX NOGC'}, ('Si', 'C'))
    issue = only(issues(('Si', 'C'), pseudo_family=family.label))
    assert issue.path == 'labelling.pseudo_family'
    assert 'different functionals' in issue.message
    assert 'C: PZ' in issue.message
    # Only what the campaign needs counts.
    assert issues(('C',), pseudo_family=family.label) == []


def test_a_file_that_names_no_functional(issues, make_family):
    family = make_family('unnamed', {'Si': ''}, ('Si',))
    issue = only(issues(pseudo_family=family.label))
    assert issue.message.startswith('Si.upf: ')
    assert 'does not name its functional' in issue.message


@pytest.mark.parametrize('cutoffs', [None, ()])
def test_a_family_without_cutoffs(issues, make_family, cutoffs):
    label = f'no-cutoffs-{cutoffs is None}'
    make_family(label, {'Si': 'PBE'}, cutoffs)
    issue = only(issues(pseudo_family=label))
    assert issue.path == 'labelling.ecutwfc'
    assert f"the family '{label}' recommends no cutoffs" in issue.message
    assert 'set "ecutwfc" and "ecutrho"' in issue.message
    assert issues(pseudo_family=label, ecutwfc=30.0, ecutrho=240.0) == []


def test_moments_that_no_atom_can_have(issues):
    found = issues(('Si', 'Fe'), spin='collinear', magnetic_moments={'Fe': -17.0, 'Si': 4.0, 'Co': 2.0})
    assert {issue.path: issue.message for issue in found} == {
        'labelling.magnetic_moments.Fe': '-17 is more than its 16 electrons',
        'labelling.magnetic_moments.Co': 'no system has Co',
    }


def test_a_code_of_another_program(issues, localhost):
    code = orm.InstalledCode(localhost, '/bin/sh', label='ph', default_calc_job_plugin='quantumespresso.ph')
    issue = only(issues(pw=code))
    assert issue.path == 'codes.pw.code'
    assert issue.message == "ph@localhost is a code of 'quantumespresso.ph', not of pw.x"


def test_an_executable_that_is_not_there(issues, localhost, tmp_path):
    code = orm.InstalledCode(localhost, str(tmp_path / 'pw.x'), label='gone-pw')
    issue = only(issues(pw=code))
    assert issue.path == 'codes.pw.code'
    assert 'gone-pw@localhost cannot be used' in issue.message
    assert str(tmp_path / 'pw.x') in issue.message


def test_a_computer_that_is_not_configured(issues, aiida_profile):
    computer = orm.Computer('cluster', 'cluster.example', '', 'core.ssh', 'core.slurm', '/scratch').store()
    issue = only(issues(pw=orm.InstalledCode(computer, '/opt/pw.x', label='pw')))
    assert issue.path == 'codes.pw.code'
    assert issue.message == ("computer 'cluster' is not configured: verdi computer configure core.ssh cluster")


def test_a_computer_that_does_not_answer(issues, aiida_profile):
    computer = orm.Computer('far', 'nowhere.invalid', '', 'core.ssh', 'core.slurm', '/scratch').store()
    computer.configure(username='nobody', timeout=1, look_for_keys=False, key_filename='')
    issue = only(issues(pw=orm.InstalledCode(computer, '/opt/pw.x', label='pw')))
    assert issue.message.startswith('pw@far cannot be used: Could not connect to the configured computer')
    # And why.
    assert 'nowhere.invalid' in issue.message or 'gaierror' in issue.message


def test_a_code_that_is_uploaded(issues, aiida_profile, tmp_path):
    (tmp_path / 'pw.x').write_text('')
    issue = only(issues(pw=orm.PortableCode('pw.x', tmp_path, label='uploaded')))
    assert issue.path == 'codes.pw.code'
    assert issue.message == 'uploaded cannot be used: pw.x must be an installed or containerized code'


@pytest.fixture
def in_container() -> Callable[[orm.Computer], orm.ContainerizedCode]:
    """Function that makes a code whose path exists in its container only."""
    settings = {'label': 'contained', 'image_name': 'qe.sif', 'engine_command': 'apptainer exec {image_name}'}
    return lambda computer: orm.ContainerizedCode(
        computer=computer, filepath_executable='/only/inside/pw.x', **settings
    )


def test_a_code_in_a_container(issues, in_container, localhost):
    assert issues(pw=in_container(localhost)) == []
    issue = only(issues(pw=in_container(localhost), batch_size=4))
    assert issue.path == 'labelling.batch_size'
    assert 'contained@localhost runs in a container: set it to 1' in issue.message


def test_a_container_on_a_computer_that_does_not_answer(issues, in_container, aiida_profile):
    computer = orm.Computer('farther', 'nowhere.invalid', '', 'core.ssh', 'core.slurm', '/scratch').store()
    assert 'not configured' in only(issues(pw=in_container(computer))).message
    computer.configure(username='nobody', timeout=1, look_for_keys=False, key_filename='')
    assert only(issues(pw=in_container(computer))).message.startswith('contained@farther cannot be used: ')


def test_all_faults_at_once(issues, localhost):
    code = orm.InstalledCode(localhost, '/bin/sh', label='ph', default_calc_job_plugin='quantumespresso.ph')
    found = issues(('Si',), code, functional='LDA', spin='collinear', magnetic_moments={'Fe': 2.0})
    assert [issue.path for issue in found] == [
        'labelling.functional',
        'labelling.magnetic_moments.Fe',
        'codes.pw.code',
    ]


@pytest.fixture
def content(silicon_content, python_code, localhost) -> dict[str, Any]:
    """A campaign on silicon; a shell stands in for pw.x, which nothing starts."""
    label = 'pw-of-the-checks'
    found = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': label}).first(flat=True)
    if found is None:
        orm.InstalledCode(localhost, '/bin/sh', label=label, default_calc_job_plugin='quantumespresso.pw').store()
    made: dict[str, Any] = silicon_content()
    made['labelling'] = {'type': 'quantumespresso', 'pseudo_family': 'stubs', 'protocol': 'fast'}
    made['codes']['pw'] = {'code': f'{label}@localhost'}
    return made


def test_a_campaign_stores_what_the_protocol_decides(content, stub_family, campaign_file):
    content['systems'][0]['geometry']['builder'] |= {'name': 'SiC', 'crystalstructure': 'zincblende', 'a': 4.36}
    before = count()
    builder = builder_from_config(campaign_file(content))
    labelling = builder.config['labelling']
    assert (labelling['ecutwfc'], labelling['ecutrho']) == (40.0, 320.0)
    assert labelling['kpoints_distance'] == 0.3
    assert labelling['degauss'] == pytest.approx(0.0275)
    assert labelling['conv_thr_per_atom'] == pytest.approx(4e-10)
    assert builder.codes['pw'].label == 'pw-of-the-checks'
    assert count() == before


def test_what_a_campaign_gives_itself_stays(content, stub_family, campaign_file):
    content['labelling'] |= {'ecutwfc': 20.0, 'ecutrho': 90.0, 'kpoints_distance': 0.45, 'smearing': 'none'}
    labelling = builder_from_config(campaign_file(content)).config['labelling']
    assert (labelling['ecutwfc'], labelling['ecutrho'], labelling['kpoints_distance']) == (20.0, 90.0, 0.45)
    assert labelling['degauss'] is None


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'pseudo_family': 'nobodys'}, ('labelling.pseudo_family', "'nobodys'", 'traincraft pseudos install')),
        ({'functional': 'LDA'}, ('labelling.functional', 'Si: PBE')),
    ],
)
def test_a_campaign_with_a_fault_is_not_stored(content, stub_family, campaign_file, change, told):
    content['labelling'] |= change
    before = count()
    with pytest.raises(ConfigError) as error:
        builder_from_config(campaign_file(content))
    for words in told:
        assert words in str(error.value)
    assert count() == before


def test_a_campaign_without_the_code(content, stub_family, campaign_file):
    content['codes']['pw']['code'] = 'no-such-pw@localhost'
    before = count()
    with pytest.raises(ConfigError, match=r'codes\.pw\.code.*no-such-pw@localhost'):
        builder_from_config(campaign_file(content))
    assert count() == before


@pytest.mark.parametrize(
    ('cell', 'pbc', 'moment', 'told'),
    [
        (None, False, 0.0, 'no cell: pw.x needs three cell vectors'),
        ([8.0, 5.0, 5.0], [False, True, True], 0.0, 'a slab must be periodic along the first two'),
        ([5.0, 5.0, 5.0], True, 1.0, 'moments come by element from'),
    ],
)
def test_a_geometry_that_pw_x_cannot_label(content, stub_family, campaign_file, tmp_path, cell, pbc, moment, told):
    atoms = Atoms('Si2', [[0.0, 0.0, 0.0], [0.0, 0.0, 2.3]], cell=cell, pbc=pbc)
    if moment:
        atoms.set_initial_magnetic_moments([moment, 0.0])
    atoms.write(tmp_path / 'given.extxyz')
    content['systems'][0] |= {'geometry': {'source': {'type': 'file', 'path': 'given.extxyz'}}}
    before = count()
    with pytest.raises(ConfigError) as error:
        builder_from_config(campaign_file(content))
    # No system has carbon any more, which the test set asks for: told in one list.
    assert [issue.path for issue in error.value.issues] == ['test_set', 'systems[0].geometry']
    assert told in str(error.value)
    assert count() == before


def test_the_level_of_a_campaign_is_known_beforehand(content, stub_family, campaign_file):
    def level(**changes: Any) -> dict[str, Any]:
        changed = content | {'labelling': content['labelling'] | changes}
        inputs = builder_from_config(campaign_file(changed))
        section = parse_plugin('labeller', inputs.config['labelling'])
        return labeller_of(section).level_of_theory(inputs, frozenset({'Si'}))

    one = level()
    assert one['pseudopotentials'].keys() == {'C', 'Si', 'Fe'}
    helps = {'max_iterations': 5, 'parameters': {'ELECTRONS': {'electron_maxstep': 300, 'mixing_beta': 0.2}}}
    assert level(**helps) == one
    assert (
        differences({'one': one, 'two': level(ecutwfc=50.0, ecutrho=320.0)})
        == 'ecutwfc_ry is 40.0 (one) and 50.0 (two)'
    )
