"""``traincraft validate-potential``: potentials of any origin, with validators of a file."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import tomli_w
from aiida import orm

CELL = {'builder': {'type': 'crystal', 'name': 'Cu', 'a': 3.6}}
PYTHON = {'code': 'python@localhost'}
FILE = {
    'potential': {'type': 'emt'},
    'labelling': {'type': 'ase', 'calculator': {'type': 'emt'}},
    'codes': {'ase': PYTHON, 'pace': PYTHON},
    'validation': {
        'validators': [{'type': 'eos', 'geometry': CELL, 'reference': True, 'at_most': {'lattice_error': 1e-6}}]
    },
}


@pytest.fixture
def write(tmp_path, python_code):
    def write(**sections):
        path = tmp_path / 'validators.toml'
        path.write_text(tomli_w.dumps({k: v for k, v in (copy.deepcopy(FILE) | sections).items() if v is not None}))
        return path

    return write


def test_a_potential_that_was_not_trained_here(traincraft, write):
    result = traincraft('validate-potential', '--with', write(), '--output', 'found.json', '--in-process')
    assert result.exit_code == 0, result.output
    assert 'bulk_modulus' in result.output
    assert 'GPa' in result.output
    (row,) = json.loads(Path('found.json').read_text())
    assert row['passed'] is True
    # EMT against itself.
    assert row['values']['lattice_error'] == pytest.approx(0, abs=1e-9)
    assert row['curves'].keys() >= {'energies', 'energies_reference'}
    assert str(orm.load_node(row['uuid'])) == 'validation eos: passed'


def test_a_file_of_an_ace_potential(traincraft, write, active_set, tmp_path):
    potential = active_set.outputs.potential
    potential.write_files(tmp_path)
    limit = {'type': 'eos', 'geometry': CELL, 'at_most': {'lattice': 1.0}}
    table = {'type': 'pace', 'potential': 'overridden', 'e0': potential.e0}
    path = write(potential=table, labelling=None, validation={'validators': [limit]})
    result = traincraft('validate-potential', 'potential.yaml', '--with', path, '--in-process')
    assert result.exit_code == 1, result.output
    assert 'failed' in result.output
    # The node of the same potential gives the same number.
    again = traincraft('validate-potential', potential.uuid, '--with', path, '--in-process')
    row = next(line for line in result.output.splitlines() if ' lattice ' in line)
    assert row in again.output


@pytest.mark.parametrize(
    ('sections', 'arguments', 'told'),
    [
        ({'potential': None}, (), 'name a potential'),
        ({}, ('nowhere.model',), "no file and no potential 'nowhere.model'"),
        ({'labelling': None}, (), r'validation.validators[0].reference: there is no section [labelling]'),
        ({'validation': {'validators': [{'type': 'parity'}]}}, (), 'needs labels: name a --test-set'),
        ({'validation': {'validators': [{'type': 'eos'}]}}, (), 'exactly one of "system" and "geometry"'),
        ({'validation': {'validators': [{'type': 'eos', 'system': 'bulk'}]}}, (), 'there is no system'),
        (
            {'potential': {'type': 'pace', 'potential': 'x.yaml', 'e0': {'Cu': 0.0}}},
            (),
            '"potential": there is no file',
        ),
        ({'potential': {'type': 'emt', 'weight': 1}}, (), 'potential.weight'),
    ],
)
def test_refused(refused, write, sections, arguments, told):
    assert told in refused('validate-potential', *arguments, '--with', write(**sections), '--in-process')
