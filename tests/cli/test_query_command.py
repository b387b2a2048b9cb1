from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.cli.query import _harmless
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.structure import Structure


@pytest.fixture(scope='module')
def level(aiida_profile):
    """Three labels of a system and a level of their own, at -2, -1 and 0 eV/atom."""
    node = LevelOfTheoryData.get_or_create({'name': 'of the query command'})
    for index in range(3):
        atoms = Atoms('PdH', positions=[[0, 0, 0], [0, 0, 1.5 + index]], cell=[9, 9, 12], pbc=True)
        forces = np.array([[0.0, 0.0, index], [0.0, 0.0, -index]])
        facts = {'system': '[queried]', 'level_of_theory': node.hash}
        LabelData(Structure(atoms, {'energy': 2.0 * index - 4.0, 'forces': forces}, facts)).store()
        TrainingStructureData(Structure(atoms, {}, facts)).store()
    return node


def records(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_labels_by_everything(traincraft, level):
    base = ('query', 'labels', '--system', '[queried]', '--format', 'json')
    found = records(traincraft(*base))
    assert [row['energy per atom (eV)'] for row in found] == [-2.0, -1.0, 0.0]
    assert {row['formula'] for row in found} == {'HPd'}
    assert [row['max force (eV/Å)'] for row in records(traincraft(*base, '--max-force', '1:'))] == [1.0, 2.0]
    assert len(records(traincraft(*base, '--energy-per-atom', '-2:-1', '--max-force', ':0.5'))) == 1
    assert len(records(traincraft(*base, '--formula', 'PdH', '--element', 'H', '--level', level.hash[:12]))) == 3
    assert len(records(traincraft(*base, '--limit', '2'))) == 2
    assert records(traincraft(*base, '--element', 'U')) == []


def test_structures_as_csv(traincraft, level):
    result = traincraft('query', 'structures', '--system', '[queried]', '--format', 'csv')
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert [row['atoms'] for row in rows] == ['2', '2', '2']
    assert [row['group'] for row in rows] == ['', '', '']


def test_a_table_says_what_it_leaves_out(traincraft, level):
    output = traincraft('query', 'labels', '--system', '[queried]', '--limit', '2').output
    assert 'max force (eV/Å)' in output
    assert output.count('[queried]') == 2
    assert '... and 1 more' in output
    assert 'nothing found' in traincraft('query', 'labels', '--system', 'of nobody').output


def test_potentials_with_their_errors(traincraft, tiny_campaign):
    found = records(traincraft('query', 'potentials', '--campaign', tiny_campaign.pk, '--format', 'json'))
    outputs = tiny_campaign.outputs
    (scored,) = [row for row in found if row['uuid'] == outputs.potential.uuid]
    assert scored['force RMSE (eV/Å)'] == outputs.errors['overall']['forces']['rmse']
    assert scored['scored on'] == outputs.test_set.uuid
    assert sum(row['scored on'] is None for row in found) == 2
    assert 'PacePotentialData' in traincraft('query', 'potentials', '--element', 'Cu').output


def test_datasets_and_structures_of_a_campaign(traincraft, tiny_campaign):
    found = records(traincraft('query', 'datasets', '--campaign', tiny_campaign.pk, '--format', 'json'))
    assert tiny_campaign.outputs.dataset.uuid in {row['uuid'] for row in found}
    options = ('--campaign', tiny_campaign.pk, '--cycle', 1, '--format', 'json')
    assert len(records(traincraft('query', 'structures', *options))) == 3


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('labels', '--max-force', '3'), "'3' is not MIN:MAX"),
        (('labels', '--max-force', 'a:b'), "'a:b' is not MIN:MAX"),
        (('labels', '--max-force', '2:1'), 'larger than the second'),
        (('labels', '--level', 'zzz'), "begin with 'zzz'"),
        (('structures', '--formula', 'Cu('), "'Cu(' is no chemical formula"),
        (('labels', '--formula', 'Xx7'), "'Xx7' is no chemical formula"),
        (('structures', '--cycle', '1'), 'give the campaign too'),
        (('datasets', '--campaign', 'of nobody'), "no campaign 'of nobody'"),
    ],
)
def test_bad_questions(refused, arguments, words):
    assert words in refused('query', *arguments)


@pytest.mark.parametrize(
    ('text', 'written'),
    [('=HYPERLINK("x")', '\'=HYPERLINK("x")'), ('@SUM(1)', "'@SUM(1)"), ('-1.5', '-1.5'), ('+2', '+2'), ('Cu4', 'Cu4')],
)
def test_no_text_of_a_file_is_a_formula_in_a_spreadsheet(text, written):
    assert _harmless(text) == written
