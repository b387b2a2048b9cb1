"""``traincraft plot``: figures for a paper."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from aiida import orm

from aiida_traincraft.cli.plot import FIGURES
from aiida_traincraft.report import publication
from aiida_traincraft.workchains.validate import ValidateWorkChain

PYTHON = {'code': 'python@localhost'}
HEADS = {'pdf': b'%PDF', 'svg': b'<?xml', 'png': b'\x89PNG'}
PHONONS = {
    'potential': {'type': 'emt'},
    'codes': {'ase': PYTHON, 'pace': PYTHON},
    'validation': {
        'validators': [
            {
                'type': 'phonons',
                'geometry': {'builder': {'type': 'crystal', 'name': 'Cu', 'a': 3.6}},
                'repeat': [2, 2, 2],
                'points': 30,
                'mesh': 4,
            }
        ]
    },
}


def test_all_figures_are_offered():
    assert set(FIGURES) == publication.FIGURES.keys()


@pytest.mark.parametrize('suffix', HEADS)
@pytest.mark.parametrize('figure', ['parity', 'learning'])
def test_figures_of_a_campaign(traincraft, tiny_campaign, figure, suffix):
    path = Path(f'figures/{figure}.{suffix}')
    result = traincraft('plot', figure, tiny_campaign.uuid, '--output', path)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(HEADS[suffix])


def test_phonons_of_a_validation(traincraft, python_code, tmp_path):
    file = tmp_path / 'validators.toml'
    file.write_text(tomli_w.dumps(PHONONS))
    result = traincraft('validate-potential', '--with', file, '--in-process')
    assert result.exit_code == 0, result.output
    (node,) = orm.QueryBuilder().append(ValidateWorkChain).order_by({ValidateWorkChain: {'id': 'desc'}}).first()
    result = traincraft('plot', 'phonons', node.uuid, '--output', 'phonons.pdf')
    assert result.exit_code == 0, result.output
    assert Path('phonons.pdf').read_bytes().startswith(HEADS['pdf'])


@pytest.mark.parametrize(
    ('figure', 'output', 'message'),
    [
        ('learning', 'x.tiff', r'"--output" (x.tiff) must end with one of .pdf, .svg, .png'),
        ('phonons', 'x.pdf', 'type = "phonons": put one into [[validation.validators]]'),
        ('spectra', 'x.pdf', 'type = "infrared" or type = "raman": put one into [[validation.validators]]'),
        ('reliability', 'x.pdf', 'has no calibration'),
    ],
)
def test_what_is_not_there(refused, tiny_campaign, figure, output, message):
    said = refused('plot', figure, tiny_campaign.uuid, '--output', output)
    assert message in ' '.join(said.split())
    assert not Path(output).exists()
