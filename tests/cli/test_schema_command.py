"""``traincraft schema``: JSON Schema of campaign files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_traincraft.cli import main
from aiida_traincraft.science import registry

jsonschema = pytest.importorskip('jsonschema')

EXAMPLES = sorted((Path(__file__).parents[2] / 'examples').glob('*.toml'))


def call(*arguments):
    return CliRunner().invoke(main, ['schema', *map(str, arguments)])


@pytest.fixture(scope='module')
def schema():
    found = json.loads(call().output)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


@pytest.fixture(scope='module')
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path, validator):
    validator.validate(tomllib.loads(path.read_text()))


@pytest.mark.parametrize(
    ('place', 'value'),
    [
        (('run', 'nam'), 'x'),
        (('run', 'seed'), -1),
        (('systems', 0, 'geometry', 'builder', 'type'), 'crystl'),
        (('systems', 0, 'geometry', 'builder', 'a'), 'ten'),
        (('systems', 0, 'sampling', 'stdef'), 0.1),
        (('labelling',), {}),
    ],
    ids=str,
)
def test_what_we_refuse_the_schema_refuses(place, value, validator):
    campaign = tomllib.loads(next(path for path in EXAMPLES if path.stem == 'cu_demo').read_text())
    *parents, last = place
    table = campaign
    for key in parents:
        table = table[key]
    table[last] = value
    assert not validator.is_valid(campaign)


def test_every_plugin_of_a_kind_is_a_choice_by_its_type(schema):
    builders = schema['$defs']['GeometryConfig']['properties']['builder']
    choices = next(choice['oneOf'] for choice in builders['anyOf'] if 'oneOf' in choice)
    # What another plugin uses too stands in a place of its own.
    parts = [choice['allOf'][0] for choice in choices]
    models = [schema['$defs'][part['$ref'].split('/')[-1]] if '$ref' in part else part for part in parts]
    assert sorted(model['properties']['type']['const'] for model in models) == registry.names('builder')
    assert all(choice['allOf'][1] == {'required': ['type']} for choice in choices)


def test_descriptions_have_units():
    found = json.loads(call('--kind', 'sampler', '--name', 'md').output)
    assert '(K)' in found['properties']['temperature']['description']
    assert found['$schema'].endswith('2020-12/schema')


def test_file_and_refusals(tmp_path):
    path = tmp_path / 'schema.json'
    assert call('-o', path).output == ''
    assert json.loads(path.read_text())['title'] == 'CampaignConfig'
    for arguments, text in (
        (('--kind', 'builder'), 'go together'),
        (('--kind', 'bilder', '--name', 'crystal'), "no kind 'bilder'"),
        (('--kind', 'builder', '--name', 'crystl'), "did you mean 'crystal'?"),
    ):
        result = call(*arguments)
        assert result.exit_code == 1
        assert text in result.output
