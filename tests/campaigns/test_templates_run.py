"""Every template of "traincraft new", run to its end: it learns, and its test set asks all its systems."""

from __future__ import annotations

import re
import shutil
import tomllib

import pytest

from aiida_traincraft.cli.new import templates
from aiida_traincraft.science.structure import read_extxyz
from quantumespresso import PSEUDOS

pytestmark = [pytest.mark.campaign, pytest.mark.long]

FAMILIES = {
    'nanotube': ('PBE', ['C.pbe-rrkjus.UPF']),
    'oxide': ('PZ', ['Mg.pz-n-vbc.UPF', 'O.pz-rrkjus.UPF']),
    'two_dimensional': ('PBE', ['B.pbe-n-rrkjus_psl.1.0.0.UPF', 'N.pbe-n-rrkjus_psl.1.0.0.UPF']),
}
"""Functional and soft pseudopotentials of Debian's, in the place of the user's own."""
CHEAP = 'kpoints_distance = 0.76\necutwfc = 20.0\necutrho = 120.0\nbatch_size = 6'


@pytest.fixture(scope='module')
def site(make_site):
    return make_site('templates')


def in_minutes(site, name: str, text: str) -> str:
    """A template with DFT, with pseudopotentials that are here, lower cutoffs and fewer k-points."""
    functional, files = FAMILIES[name]
    folder = site.folder / f'pseudos_{name}'
    folder.mkdir()
    for file in files:
        shutil.copy(PSEUDOS / file, folder / file)
    site.traincraft('pseudos', 'install', str(folder), '--family', name)
    text = re.sub(r'(?m)^pseudo_family = .*$', f'pseudo_family = "{name}"', text)
    text = re.sub(r'(?m)^functional = .*$', f'functional = "{functional}"', text)
    return re.sub(r'(?m)^kpoints_distance = .*$', CHEAP, text)


@pytest.mark.parametrize('name', templates())
def test_template_shows_what_it_promises(site, name, request):
    path = site.folder / f'{name}.toml'
    site.traincraft('new', path.name, '--template', name)
    if name in FAMILIES:
        request.getfixturevalue('pw_executable')
        path.write_text(in_minutes(site, name, path.read_text()))
    site.traincraft('run', path.name)
    summary = site.summary(name)
    cycles, verdict = summary['cycles'], summary['verdict']
    errors = [cycle['errors']['forces']['rmse'] for cycle in cycles]
    assert len(errors) >= 2
    assert errors[-1] < errors[0]
    assert not verdict['red'], verdict['worse_than_constant']
    assert verdict['best']['potential'] in [cycle['uuids']['potential'] for cycle in cycles]
    trained = {system['name'] for system in tomllib.loads(path.read_text())['systems']}
    frames = read_extxyz(site.folder / 'runs' / name / 'test_set.extxyz')
    assert {f'test_{system}' for system in trained} == {frame.provenance['system'] for frame in frames}
    assert verdict['untested_systems'] == []
