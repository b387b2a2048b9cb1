"""A campaign's TOML: what is wrong with it, where, and what to do."""

import copy
import tomllib

import pytest

from aiida_traincraft.science.config.loader import load_campaign, parse_campaign
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.sampling.md import MdConfig
from aiida_traincraft.science.sampling.rattle import RattleConfig

TOML = """
[run]
name = "copper"
seed = 7

[[systems]]
name = "bulk"
[systems.geometry.builder]
type = "crystal"
name = "Cu"
a = 3.6
cubic = true
[[systems.geometry.transforms]]
type = "supercell"
repeat = [2, 2, 2]
[systems.sampling]
type = "rattle"
n = 20

[labelling]
type = "ase"
[labelling.calculator]
type = "emt"

[training]
type = "pace_linear"

[exploration]
type = "ase"
[exploration.sampling]
type = "md"
temperature = 900

[[test_set.systems]]
name = "sealed"
[test_set.systems.geometry.builder]
type = "crystal"
name = "Cu"
a = 3.6
[test_set.systems.sampling]
type = "rattle"
"""


@pytest.fixture
def data():
    return tomllib.loads(TOML)


def change(data, path, value):
    """Copy with one value set at a path."""
    changed = copy.deepcopy(data)
    *folders, last = path
    place = changed
    for key in folders:
        place = place[key] if isinstance(key, int) else place.setdefault(key, {})
    place[last] = value
    return changed


def issues(data):
    with pytest.raises(ConfigError) as caught:
        parse_campaign(data)
    return {issue.path: issue.message for issue in caught.value.issues}


def test_good_file(tmp_path):
    path = tmp_path / 'copper.toml'
    path.write_text(TOML)
    config = load_campaign(path)
    assert config.run.name == 'copper'
    assert isinstance(config.systems[0].sampling, RattleConfig)
    assert isinstance(config.exploration.sampling, MdConfig)
    assert config.systems[0].geometry.builder.a == 3.6
    assert config.loop.max_cycles == 10


def test_round_trip(data):
    config = parse_campaign(data)
    again = parse_campaign(config.model_dump(mode='json'))
    assert again == config
    assert isinstance(again.systems[0].sampling, RattleConfig)


def test_values_never_change(data):
    config = parse_campaign(data)
    with pytest.raises(ValueError, match='frozen'):
        config.run.seed = 3


@pytest.mark.parametrize(
    ('path', 'value', 'where', 'message'),
    [
        # Unknown keys, with the nearest and the allowed ones.
        (['run', 'sed'], 1, 'run.sed', "unknown key (given 1); did you mean 'seed'? allowed: max_concurrent, name"),
        (['lop'], {}, 'lop', "did you mean 'loop'? allowed: codes, distillation, exploration, labelling, loop, run"),
        (['run', 'zzz'], 1, 'run.zzz', 'unknown key (given 1); allowed: '),
        (
            ['systems', 0, 'geometry', 'builder', 'crystalstucture'],
            'fcc',
            'systems[0].geometry.builder.crystalstucture',
            "did you mean 'crystalstructure'? allowed: a, alpha, b",
        ),
        (['systems', 0, 'geometri'], 1, 'systems[0].geometri', "did you mean 'geometry'? allowed: explore, geometry"),
        (['codes', 'ase'], {'code': 'x', 'cod': 1}, 'codes.ase.cod', "did you mean 'code'?"),
        # Wrong types and values.
        (
            ['systems', 0, 'geometry', 'builder', 'a'],
            'wide',
            'systems[0].geometry.builder.a',
            "input should be a valid number (given 'wide')",
        ),
        (
            ['systems', 0, 'geometry', 'builder', 'a'],
            -3.6,
            'systems[0].geometry.builder.a',
            'input should be greater than or equal to 0.5 (given -3.6)',
        ),
        (
            ['systems', 0, 'geometry', 'transforms', 0, 'repeat'],
            [2, 0, 2],
            'systems[0].geometry.transforms[0].repeat[1]',
            'greater than or equal to 1 (given 0)',
        ),
        (['run', 'name'], 'no spaces', 'run.name', 'letters, digits, dots'),
        (['run', 'seed'], 1.5, 'run.seed', 'valid integer'),
        (['loop', 'target_force_rmse'], float('nan'), 'loop.target_force_rmse', 'finite number'),
        (['run'], 3, 'run', 'expected a table (given 3)'),
        (['systems'], {}, 'systems', 'valid array'),
        (['loop', 'max_cycles'], '5', 'loop.max_cycles', 'valid integer'),
        (['loop', 'max_cycles'], True, 'loop.max_cycles', 'valid integer'),
        (['systems', 0, 'explore'], 'no', 'systems[0].explore', 'valid boolean'),
        (['systems'], [], 'systems', 'at least 1 item'),
        (['labelling', 'calculator'], 'emt', 'labelling.calculator', 'expected a table with a key "type"'),
        # Plugins.
        (
            ['labelling', 'calculator', 'type'],
            'ent',
            'labelling.calculator.type',
            "no calculator is called 'ent'; did you mean 'emt'? (allowed: custom, emt, ",
        ),
        (['labelling', 'calculator'], {}, 'labelling.calculator', 'the key "type" is missing (allowed: custom'),
        (['labelling', 'calculator', 'type'], 3, 'labelling.calculator.type', 'expected the name of a plugin'),
        (['labelling', 'calculator', 'type'], ['emt'], 'labelling.calculator.type', 'expected the name of a plugin'),
        (['training', 'type'], 'pace_linaer', 'training.type', "did you mean 'pace_linear'?"),
        (['selection', 'stages'], [{'type': 'dedupe'}], 'selection.stages[0].type', "did you mean 'dedup'?"),
        (['selection', 'stages'], [], 'selection', 'nothing would ever be selected'),
        # Impossible combinations.
        (
            ['systems', 0, 'geometry', 'source'],
            {'type': 'file', 'path': 'x'},
            'systems[0].geometry',
            'give exactly one of "source" and "builder"',
        ),
        (['systems', 0, 'geometry', 'builder'], None, 'systems[0].geometry', 'give exactly one of'),
        (['exploration', 'gamma_lo'], 20.0, 'exploration', '"gamma_lo" (20.0) must be below "gamma_hi" (10.0)'),
        (['exploration', 'sampling', 'temperature_end'], 5, 'exploration.sampling', 'give either "temperature"'),
        (['test_set', 'systems', 0, 'name'], 'bulk', '(top level)', 'repeated: bulk'),
        (['test_set', 'systems', 0, 'of'], 'bulks', '(top level)', "test_set.systems[0].of: 'bulks' is no system to"),
        (['systems', 0, 'explore'], False, '(top level)', 'nothing could be explored'),
        (
            ['selection', 'stages'],
            [{'type': 'dedup'}, {'type': 'stratified', 'n': 5, 'quotas': {'bulk': 0.5, 'sealed': 0.2, 'slab': 0.3}}],
            '(top level)',
            'selection.stages[1].quotas: sealed, slab is no system that is explored (bulk)',
        ),
        (
            ['selection', 'stages'],
            [{'type': 'stratified', 'n': 5, 'quotas': {'bulk': 1.5}}],
            'selection.stages[0].quotas.bulk',
            'less than or equal to 1 (given 1.5)',
        ),
        (['loop', 'min_cycles'], 11, '(top level)', 'loop.min_cycles is larger than loop.max_cycles'),
        (['training', 'lmax_by_orders'], [0, 1], 'training', '"nradmax_by_orders" and "lmax_by_orders" go together'),
    ],
)
def test_one_error(data, path, value, where, message):
    found = issues(change(data, path, value))
    assert list(found) == [where]
    assert message in found[where]


@pytest.mark.parametrize(
    ('keys', 'where', 'message'),
    [
        # Members of a union of types.
        (
            {'functions': 3},
            'training.functions',
            "input should be greater than or equal to 5, or input should be 'auto' (given 3)",
        ),
        ({'functions': 'many'}, 'training.functions', "or input should be 'auto' (given 'many')"),
        (
            {'ladder': {'step': 2.5}, 'warm_start': 'none'},
            'training.ladder.step',
            'input should be less than 1 (given 2.5)',
        ),
        ({'ladder': {'stop': 2}}, 'training.ladder.stop', "did you mean 'step'? allowed: step, type"),
        ({'ladder': 3}, 'training.ladder', 'expected a table (given 3)'),
        ({'ridge': [1e-6, -1]}, 'training.ridge[1]', 'greater than or equal to 0 (given -1)'),
        ({'nradmax_by_orders': [4, 'x'], 'lmax_by_orders': [0, 1]}, 'training.nradmax_by_orders[1]', 'valid integer'),
        # A union told apart by its key "type".
        (
            {'weighting': {'type': 'energy'}},
            'training.weighting.type',
            "no such type (given 'energy'); allowed: 'uniform', 'energy_based'; did you mean 'energy_based'?",
        ),
        ({'weighting': {}}, 'training.weighting.type', 'this key is required'),
        ({'weighting': 3}, 'training.weighting', 'expected a table (given 3)'),
        (
            {'weighting': {'type': 'energy_based', 'DElo': 1.0}},
            'training.weighting.DElo',
            "unknown key (given 1.0); did you mean 'DElow'? allowed: DE, DElow, DEup",
        ),
        ({'weighting': {'type': 'uniform', 'DElow': 1.0}}, 'training.weighting.DElow', 'allowed: type'),
        ({'weighting': {'type': 'energy_based', 'wlow': 3}}, 'training.weighting.wlow', 'less than 1 (given 3)'),
        # Combinations.
        ({'ladder': {}}, 'training', 'set warm_start = "none"'),
        ({'fs_parameters': [1.0, 1.0, 1.0]}, 'training', 'two numbers per density'),
        ({'fs_parameters': [1.0, 0.5]}, 'training', 'fs_parameters must begin with 1, 1'),
    ],
)
def test_errors_of_the_training(data, keys, where, message):
    found = issues(change(data, ['training'], {'type': 'pace'} | keys))
    assert list(found) == [where]
    assert message in found[where]


def test_errors_come_together(data):
    wrong = change(data, ['run', 'sed'], 1)
    wrong = change(wrong, ['systems', 0, 'geometry', 'builder', 'a'], 'wide')
    wrong = change(wrong, ['systems', 0, 'geometry', 'builder', 'repeat'], [1, 1])
    wrong = change(wrong, ['labelling', 'calculator', 'type'], 'ent')
    del wrong['training'], wrong['run']['name']
    with pytest.raises(ConfigError) as caught:
        parse_campaign(wrong, origin='wrong.toml')
    assert {issue.path for issue in caught.value.issues} == {
        'run.sed',
        'run.name',
        'systems[0].geometry.builder.a',
        'systems[0].geometry.builder.repeat[2]',
        'labelling.calculator.type',
        'training',
    }
    text = str(caught.value)
    assert text.startswith('wrong.toml: 6 errors\n')
    assert '  run.name: this key is required\n' in text


def test_missing_sections():
    found = issues({})
    assert set(found) == {'run', 'systems', 'labelling', 'training', 'exploration', 'test_set'}
    assert set(found.values()) == {'this key is required'}


def test_error_in_the_second_system(data):
    wrong = copy.deepcopy(data)
    wrong['systems'].append(copy.deepcopy(data['systems'][0]) | {'name': 'more'})
    wrong['systems'][1]['sampling']['stdev'] = -1
    assert list(issues(wrong)) == ['systems[1].sampling.stdev']


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r'absent\.toml: no such file'):
        load_campaign(tmp_path / 'absent.toml')
    with pytest.raises(ConfigError, match='not valid TOML'):
        load_campaign(tmp_path)
    broken = tmp_path / 'broken.toml'
    broken.write_text('[run\nname = 1')
    with pytest.raises(ConfigError, match=r'broken\.toml: not valid TOML: .*line 1'):
        load_campaign(broken)
    broken.write_bytes(b'\xff\xfe')
    with pytest.raises(ConfigError, match='not valid TOML'):
        load_campaign(broken)


@pytest.mark.usefixtures('restored_registry')
@pytest.mark.parametrize(
    ('text', 'told'),
    [
        (f'a = {"[" * 3000}{"]" * 3000}', 'nested too deeply'),
        ('.'.join('a' * 3000) + ' = 1', 'nested too deeply'),
        (TOML.replace('seed = 7', f'seed = {"9" * 5000}'), 'seed: a number of far too many digits'),
        (
            TOML.replace('[[systems]]', '[systems]', 1),
            r'systems: expected a valid array of tables: write \[\[systems\]\]',
        ),
        ('[run]\nsampling = {\n type = "rattle" }', 'a table in braces { } must stand on one line'),
    ],
)
def test_what_toml_makes_of_odd_files_is_said_plainly(tmp_path, text, told):
    (tmp_path / 'odd.toml').write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_campaign(tmp_path / 'odd.toml')


def test_a_byte_order_mark_is_read_over(tmp_path):
    (tmp_path / 'bom.toml').write_bytes(b'\xef\xbb\xbf' + TOML.encode())
    assert load_campaign(tmp_path / 'bom.toml').run.name


def test_a_plugin_that_ends_the_program(tmp_path):
    (tmp_path / 'ends.py').write_text('import sys\n\nsys.exit(0)\n')
    path = tmp_path / 'c.toml'
    path.write_text(TOML.replace('seed = 7', 'plugins = ["ends.py"]'))
    with pytest.raises(ConfigError, match=r'run\.plugins: plugin file .*ends\.py ends the program'):
        load_campaign(path)


@pytest.mark.usefixtures('restored_registry')
def test_plugins_of_the_run(tmp_path):
    path = tmp_path / 'copper.toml'
    path.write_text(TOML.replace('seed = 7', 'plugins = ["own.py"]').replace('type = "emt"', 'type = "own"'))
    with pytest.raises(ConfigError, match=r'run\.plugins: plugin file .*own\.py does not exist'):
        load_campaign(path)
    (tmp_path / 'own.py').write_text('1 / 0')
    with pytest.raises(ConfigError, match=r'run\.plugins: .*division by zero'):
        load_campaign(path)
    (tmp_path / 'own.py').write_text(
        'from ase.calculators.emt import EMT\n'
        'from aiida_traincraft.science.config.kinds import CalculatorConfig\n'
        'from aiida_traincraft.science.registry import register\n'
        'class Own(CalculatorConfig):\n'
        '    type: str = "own"\n'
        '@register("calculator", "own", Own)\n'
        'def make(config):\n'
        '    """Own."""\n'
        '    return EMT()\n'
    )
    assert load_campaign(path).labelling.calculator.type == 'own'
    assert issues({'run': {'name': 'x', 'plugins': 3}}).keys() >= {'run.plugins'}


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('timestep', 1e-15, 'greater than or equal to 0.01'),
        ('timestep', 2000.0, 'less than or equal to 20'),
        ('temperature', 1e7, 'less than or equal to 100000'),
        ('friction', 1e-9, 'greater than or equal to 0.001'),
    ],
)
def test_steps_and_temperatures_of_another_unit_are_refused(data, key, value, words):
    data['exploration']['sampling'][key] = value
    ((path, message),) = issues(data).items()
    assert path == f'exploration.sampling.{key}'
    assert words in message


def test_a_wrong_unit_is_answered_in_words(data):
    data['exploration']['max_force_error'] = '80 kcal/mol'
    ((path, message),) = issues(data).items()
    assert path == 'exploration.max_force_error'
    assert "(given '80 kcal/mol')" in message
    assert 'a number and its unit, meV/Å or eV/Å' in message
    assert r'\d' not in message
