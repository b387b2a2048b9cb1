from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

RECORDED = Path(__file__).parents[1] / 'recorded' / 'pseudos'
SI_MD5 = '8efea251aa117b2ea1f60855e9e08b0e'


@pytest.fixture
def folder(tmp_path) -> Path:
    """Folder with the pseudopotentials of Si and Al, to be changed at will."""
    path = tmp_path / 'upf'
    path.mkdir()
    for element in ('Si', 'Al'):
        shutil.copy(RECORDED / f'{element}.pz-vbc.UPF', path)
    return path


def test_install_with_cutoffs_and_list(traincraft, folder):
    (folder / 'README').write_text('not a pseudopotential')
    (folder / 'Al.pz-vbc.UPF').rename(folder / 'al.upf')
    result = traincraft('pseudos', 'install', folder, '--family', 'sial', '--ecutwfc', 12, '--ecutrho', 48)
    assert result.exit_code == 0, result.output
    assert '1 of 3 entries' in result.output
    assert '2 pseudopotentials installed' in result.output
    assert f'Si Si.pz-vbc.UPF: PZ, 4 valence electrons, MD5 {SI_MD5}' in result.output
    assert 'Al al.upf: PZ, 3 valence electrons' in result.output
    family = CutoffsPseudoPotentialFamily.collection.get(label='sial')
    assert sorted(family.elements) == ['Al', 'Si']
    assert family.get_recommended_cutoffs(elements='Si', unit='Ry') == (12.0, 48.0)
    listed = traincraft('pseudos', 'list')
    assert listed.exit_code == 0, listed.output
    (line,) = [line for line in listed.output.splitlines() if ' sial ' in line]
    assert re.split(' {2,}', line.strip()) == ['sial', '2', 'PZ', '12 / 48', 'Al Si']


def test_install_twice_and_other_content(traincraft, refused, folder):
    first = traincraft('pseudos', 'install', folder, '--family', 'again')
    assert first.exit_code == 0, first.output
    second = traincraft('pseudos', 'install', folder, '--family', 'again')
    assert second.exit_code == 0
    assert "family 'again': there already" in second.output
    # Cutoffs may follow, but they never change.
    third = traincraft('pseudos', 'install', folder, '--family', 'again', '--ecutwfc', 12, '--ecutrho', 48)
    assert 'recommended cutoffs: 12 / 48 Ry' in third.output
    install = ('pseudos', 'install', folder, '--family', 'again')
    assert 'recommends 12 / 48 Ry already' in refused(*install, '--ecutwfc', 14, '--ecutrho', 56)
    shutil.copy(RECORDED / 'H.pz-vbc.UPF', folder)
    output = refused(*install)
    assert "the family 'again' is there already, with other pseudopotentials for H" in output
    assert 'another name' in output
    assert sorted(CutoffsPseudoPotentialFamily.collection.get(label='again').elements) == ['Al', 'Si']


def test_mixed_functionals_are_warned_of(traincraft, folder):
    upf = (folder / 'Al.pz-vbc.UPF').read_text()
    assert 'SLA  PZ   NOGX NOGC' in upf
    (folder / 'Al.pz-vbc.UPF').write_text(upf.replace('SLA  PZ   NOGX NOGC', 'SLA  PW   PBE  PBE '))
    result = traincraft('pseudos', 'install', folder, '--family', 'mixed')
    assert result.exit_code == 0, result.output
    assert 'warning: the functionals are mixed (PBE, PZ)' in result.output


def test_folders_that_cannot_be_installed(refused, folder, tmp_path):
    def install(path: Path, *options: object) -> str:
        return refused('pseudos', 'install', path, '--family', 'none', *options)

    assert 'is not a folder' in install(tmp_path / 'gone')
    (tmp_path / 'empty').mkdir()
    assert 'holds no file *.UPF' in install(tmp_path / 'empty')
    assert 'go together' in install(folder, '--ecutwfc', 12)
    assert 'at least four times' in install(folder, '--ecutwfc', 12, '--ecutrho', 20)
    shutil.copy(folder / 'Si.pz-vbc.UPF', folder / 'Si.other.UPF')
    output = install(folder)
    assert 'two pseudopotentials of Si: Si.other.UPF and Si.pz-vbc.UPF' in output
    assert 'one file per element' in output
    (folder / 'Si.other.UPF').write_text('nothing of the kind')
    output = install(folder)
    assert 'Si.other.UPF cannot be read as UPF' in output
