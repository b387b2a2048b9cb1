"""Names keep step: entry points, modules and classes; and none of ours hides one of AiiDA's."""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib.metadata import EntryPoint, entry_points

import pytest
from aiida import orm
from aiida.engine import CalcJob, WorkChain
from aiida.parsers import Parser

from aiida_traincraft.calculations.ase_label import AseLabelCalculation
from aiida_traincraft.science.registry import get, names
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain
from aiida_traincraft.workchains.seams.base import Seam, workchain_of

GROUPS = ('aiida.calculations', 'aiida.data', 'aiida.parsers', 'aiida.workflows')
# What AiiDA asks its subclasses to write, and what the sliding window, a child that died and a second writer to the
# database need.
OVERRIDES = {
    'aiida.workflows': (
        WorkChain,
        {'define', '_action_awaitables', '_on_awaitable_finished', 'callback_excepted', 'init'},
    ),
    'aiida.calculations': (CalcJob, {'define', 'prepare_for_submission', 'init'}),
    'aiida.parsers': (Parser, {'parse'}),
}


def points(group: str) -> list[EntryPoint]:
    return [point for point in entry_points(group=group) if point.name.startswith('traincraft.')]


def all_points() -> list[EntryPoint]:
    return [point for group in GROUPS for point in points(group)]


def class_name(name: str, suffix: str) -> str:
    words = name.removeprefix('traincraft.').replace('.', '_').split('_')
    return ''.join(word.capitalize() for word in words) + suffix


def written_names(cls: type) -> set[str]:
    """Names in the body of a class as it is written: the engine adds its own attributes to classes later."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    names = set()
    for statement in definition.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return names


def test_written_names_are_found():
    assert {'explore', 'goes_on', '_decide', 'define'} <= written_names(ActiveLearningWorkChain)
    assert {'TASK', 'RETRIEVE_TEMPORARY', 'write_inputs'} <= written_names(AseLabelCalculation)


@pytest.mark.parametrize('point', all_points(), ids=lambda point: f'{point.group}:{point.name}')
def test_entry_points_load(point):
    base = {**{group: cls for group, (cls, _) in OVERRIDES.items()}, 'aiida.data': orm.Data}[point.group]
    assert issubclass(point.load(), base)


@pytest.mark.parametrize('point', points('aiida.calculations'), ids=lambda point: point.name)
def test_calculation_and_parser_keep_step(point):
    path = point.name.removeprefix('traincraft.')
    assert point.value == f'aiida_traincraft.calculations.{path}:{class_name(point.name, "Calculation")}'
    (parser,) = (parser for parser in points('aiida.parsers') if parser.name == point.name)
    assert parser.value == f'aiida_traincraft.parsers.{path}:{class_name(point.name, "Parser")}'
    options = point.load().spec().inputs['metadata']['options']
    assert options['parser_name'].default == point.name


def test_every_parser_has_its_calculation():
    assert {point.name for point in points('aiida.parsers')} == {point.name for point in points('aiida.calculations')}


@pytest.mark.parametrize('point', points('aiida.workflows'), ids=lambda point: point.name)
def test_workchain_path_and_class_keep_step(point):
    path = point.name.removeprefix('traincraft.').replace('.', '_')
    assert point.value == f'aiida_traincraft.workchains.{path}:{class_name(point.name, "WorkChain")}'


@pytest.mark.parametrize(('kind', 'prefix'), [('labeller', 'label'), ('trainer', 'train'), ('explorer', 'explore')])
def test_every_type_of_the_config_has_its_workchain_and_hooks(kind, prefix):
    # Other tests may have registered some.
    found = [name for name in names(kind) if get(kind, name).is_builtin]
    assert len(found) == {'labeller': 3, 'trainer': 3, 'explorer': 1}[kind]
    for name in found:
        hooks = workchain_of(prefix, get(kind, name).config.model_construct(type=name)).hooks
        assert issubclass(hooks, Seam)
        assert hooks.prefix == prefix


@pytest.mark.parametrize(
    'point', [point for group in OVERRIDES for point in points(group)], ids=lambda point: f'{point.group}:{point.name}'
)
def test_nothing_of_aiida_is_hidden(point):
    base, allowed = OVERRIDES[point.group]
    ours = [cls for cls in point.load().__mro__ if cls.__module__.startswith('aiida_traincraft')]
    for cls in ours:
        hidden = (written_names(cls) & set(dir(base))) - allowed
        assert not hidden, f'{cls.__name__} hides {", ".join(sorted(hidden))} of {base.__name__}'


@pytest.mark.parametrize('point', [*points('aiida.calculations'), *points('aiida.workflows')], ids=lambda p: p.name)
def test_ports_and_exit_codes_are_documented(point):
    spec = point.load().spec()
    ports = {**spec.inputs, **spec.outputs}
    undocumented = [name for name, port in ports.items() if not port.help and name not in ('metadata', 'monitors')]
    assert not undocumented
    assert all(code.message for code in point.load().exit_codes.values())
