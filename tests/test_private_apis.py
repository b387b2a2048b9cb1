"""Every private API of other packages that we lean on: what an upgrade may take away without a word.

AiiDA promises what its second-level packages export (``aiida.orm``, ``aiida.engine``), its plugins promise what has an
entry point, MACE and python-ace promise nothing. A leading underscore is private everywhere.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import subprocess
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import pytest
from aiida import orm
from aiida.brokers.zeromq.service import ZeromqBrokerService
from aiida.manage import get_manager
from aiida.storage.psql_dos.orm.nodes import SqlaNode

import aiida_traincraft
from aiida_traincraft.science.models.pyace_import import import_pyace

SOURCE = Path(aiida_traincraft.__file__).parent
AIIDA_PLUGINS = ('aiida_pseudo', 'aiida_quantumespresso')
PROMISES_NOTHING = ('mace', 'pyace')


class Private(NamedTuple):
    """An object of another package, ``module:name``, that its authors may change."""

    name: str
    why: str
    used: tuple[str, ...]
    """Files below ``src/aiida_traincraft``."""
    takes: tuple[str, ...] | None = None
    """Parameters that it is called with or that we override, the first ones of its signature."""


TABLE = (
    # AiiDA: children of a WorkChain, one by one.
    Private(
        'aiida.engine.processes.workchains.workchain:WorkChain._awaitables',
        'the children that a step waits for',
        ('workchains/base.py', 'workchains/throttled.py'),
    ),
    Private(
        'aiida.engine.processes.workchains.workchain:WorkChain._action_awaitables',
        'overridden: wake up when the first child ends, not the last',
        ('workchains/throttled.py',),
        ('self',),
    ),
    Private(
        'aiida.engine.processes.workchains.workchain:WorkChain._insert_awaitable',
        'puts another job in the place of one that died',
        ('workchains/base.py',),
        ('self', 'awaitable'),
    ),
    Private(
        'aiida.engine.processes.workchains.workchain:WorkChain._on_awaitable_finished',
        'overridden: wake up when the first child ends, not the last; send a job again that died',
        ('workchains/base.py', 'workchains/throttled.py'),
        ('self', 'awaitable'),
    ),
    Private(
        'plumpy.base.state_machine:StateMachine._state',
        'a WorkChain that waits is ended by interrupting its state',
        ('workchains/base.py',),
    ),
    # AiiDA: nodes written in bulk, as its own classes would write them.
    Private('aiida.common.constants:AIIDA_FLOAT_PRECISION', 'digits that a stored float keeps', ('data/bulk.py',)),
    Private(
        'aiida.common.hashing:make_hash', 'hash by which caching finds a node', ('data/bulk.py',), ('object_to_hash',)
    ),
    Private('aiida.common.timezone:now', 'time of creation', ('data/bulk.py',), ()),
    Private('aiida.orm.implementation.utils:clean_value', 'what a stored value becomes', ('data/bulk.py',), ('value',)),
    Private(
        'aiida.storage.psql_dos.backend:PsqlDosBackend.get_session',
        'rows are inserted without reading them back; one transaction holds a node',
        ('data/bulk.py', 'data/locks.py'),
        ('self',),
    ),
    Private(
        'aiida.storage.psql_dos.orm.nodes:SqlaNodeCollection.ENTITY_CLASS',
        'class of the rows',
        ('data/bulk.py', 'data/locks.py'),
    ),
    Private(
        'aiida.storage.psql_dos.orm.nodes:SqlaNode.MODEL_CLASS', 'table of the nodes', ('data/bulk.py', 'data/locks.py')
    ),
    Private('aiida.storage.psql_dos.orm.nodes:SqlaNode.LINK_CLASS', 'table of the links', ('data/bulk.py',)),
    Private(
        'aiida.storage.psql_dos.backend:PsqlDosBackend.bulk_insert',
        'links to inputs',
        ('data/bulk.py',),
        ('self', 'entity_type', 'rows'),
    ),
    Private(
        'aiida.storage.psql_dos.backend:PsqlDosBackend.get_repository',
        'batch objects are read and written once',
        ('data/bulk.py', 'data/reading.py'),
        ('self',),
    ),
    Private(
        'aiida.storage.sqlite_dos.backend:SqliteDosStorage.filepath_database',
        'WAL is set in the file',
        ('cli/setup.py',),
    ),
    # AiiDA: caching by content.
    Private('aiida.orm.nodes.caching:NodeCaching', 'base of what decides a hash', ('data/frames/base.py',)),
    Private('aiida.orm.nodes.caching:NodeCaching._node', 'the node whose hash is wanted', ('data/frames/base.py',)),
    Private(
        'aiida.orm.nodes.caching:NodeCaching.get_objects_to_hash',
        'overridden: equal content is equal, wherever it lies',
        ('data/frames/base.py',),
        ('self',),
    ),
    Private(
        'aiida.orm.nodes.node:Node._CLS_NODE_CACHING',
        'overridden: the class above',
        ('data/frames/base.py', 'data/level_of_theory.py', 'data/manifest.py'),
    ),
    # AiiDA: jobs, processes and the daemon.
    Private(
        'aiida.common.folders:Folder',
        'where a job is prepared',
        tuple(f'calculations/{name}.py' for name in ('base', 'mace_train', 'pw_batch', 'pw_version')),
    ),
    Private(
        'aiida.common.escaping:escape_for_bash',
        'words of a job script',
        ('calculations/pw_batch.py',),
        ('str_to_escape',),
    ),
    Private(
        'aiida.engine.processes.calcjobs.calcjob:validate_calc_job',
        'validator that ours add to',
        ('calculations/evaluate.py', 'calculations/mace_train.py'),
        ('inputs', 'ctx'),
    ),
    Private(
        'aiida.engine.processes.builder:ProcessBuilder._inputs',
        'inputs of a protocol, without empty namespaces',
        ('calculations/pw_setup.py',),
        ('self', 'prune'),
    ),
    Private(
        'aiida.engine.daemon.execmanager:kill_calculation',
        'ends a trial job on its computer',
        ('launch/trial_job.py',),
        ('calculation', 'transport'),
    ),
    Private('aiida.orm.utils.log:DBLogHandler', 'told apart from handlers that print', ('launch/trial_job.py',)),
    Private(
        'plumpy.greenback_bridge:run_until_complete',
        'runs a job with a time limit',
        ('launch/trial_job.py',),
        ('loop', 'awaitable'),
    ),
    Private(
        'aiida.engine.processes.control:play_processes',
        'lets go on what was paused',
        ('cli/profile.py',),
        ('processes',),
    ),
    Private(
        'aiida.engine.daemon.client:DaemonClient._zmq_broker_service_dir',
        'files that a killed broker leaves behind',
        ('cli/profile.py',),
    ),
    Private(
        'aiida.manage.configuration:create_profile', 'as "verdi profile setup" does', ('cli/setup.py',), ('config',)
    ),
    Private(
        'aiida.tools.graph.graph_traversers:get_nodes_export',
        'what an archive would hold',
        ('exchange/bundle.py',),
        ('starting_pks',),
    ),
    # Quantum ESPRESSO: labels must not depend on whether a job was shared.
    Private(
        'aiida_quantumespresso.calculations.pw:PwCalculation._generate_pwcp_inputdata',
        'the input file that a job of its own would have',
        ('calculations/pw_batch.py',),
        ('parameters', 'settings', 'pseudos', 'structure', 'kpoints'),
    ),
    Private(
        'aiida_quantumespresso.parsers.parse_raw.pw:parse_stdout',
        'the numbers that PwParser reads',
        ('parsers/pw_batch.py',),
        ('stdout', 'input_parameters', 'parser_options', 'parsed_xml', 'crash_file'),
    ),
    Private(
        'aiida_quantumespresso.parsers.parse_xml.parse:parse_xml',
        'the numbers that PwParser reads',
        ('parsers/pw_batch.py',),
        ('xml_file',),
    ),
    Private(
        'aiida_quantumespresso.parsers.pw:PwParser.backwards_compatibility_parameters',
        'the numbers that PwParser gives',
        ('parsers/pw_batch.py',),
        ('parsed_parameters', 'parsed_stdout'),
    ),
    Private(
        'aiida_quantumespresso.parsers.pw:PwParser.final_trajectory_frame_to_parameters',
        'the numbers that PwParser gives',
        ('parsers/pw_batch.py',),
        ('parameters', 'parsed_trajectory'),
    ),
    Private(
        'aiida_quantumespresso.common.types:ElectronicType', 'occupations of a protocol', ('calculations/pw_setup.py',)
    ),
    Private(
        'aiida_pseudo.groups.mixins:RecommendedCutoffMixin',
        'families that recommend cutoffs',
        ('calculations/pw_setup.py', 'cli/pseudos.py', 'launch/doctor.py'),
    ),
    # ASE: what its manual does not name.
    Private('ase.units:_amu', 'atomic mass unit (kg)', ('science/datasets/health.py', 'science/validation/spectra.py')),
    Private('ase.units:_c', 'speed of light (m/s)', ('science/validation/spectra.py',)),
    Private('ase.units:_e', 'elementary charge (C)', ('science/validation/spectra.py',)),
    Private('ase.units:_eps0', 'vacuum permittivity (F/m)', ('science/validation/spectra.py',)),
    Private('ase.units:_hbar', 'reduced Planck constant (J s)', ('science/sampling/normal_modes.py',)),
    Private('ase.units:_Nav', "Avogadro's number", ('science/validation/spectra.py',)),
    Private('ase.build.molecule:extra', 'molecules beyond the G2 set', ('science/geometry/species.py',)),
    Private('ase.calculators.emt:parameters', 'elements that EMT knows', ('science/calculators/emt.py',)),
    Private(
        'ase.io.extxyz:key_val_str_to_dict',
        'a comment line, judged by us',
        ('science/datasets/frame_text.py',),
        ('string',),
    ),
    Private(
        'ase.io.extxyz:parse_properties',
        'its columns, judged by us',
        ('science/datasets/frame_text.py',),
        ('prop_str',),
    ),
    Private(
        'ase.io.formats:open_with_compression',
        'only the head of a file is read',
        ('science/geometry/declared_sizes.py',),
    ),
    Private('ase.io.formats:filetype', 'only the head of a file is read', ('science/geometry/declared_sizes.py',)),
    # tblite: the field of a polarizability.
    Private(
        'tblite.ase:_create_api_calculator',
        'a calculation in an electric field',
        ('science/calculators/tblite.py',),
        ('atoms', 'parameters'),
    ),
    Private(
        'tblite.library:ffi', 'the field as the pointer that the library needs', ('science/calculators/tblite.py',)
    ),
    # MACE: a model without its calculator, its flags without running it.
    Private(
        'argparse:ArgumentParser._option_string_actions', 'the flags there are', ('science/worker/tasks/mace_data.py',)
    ),
    Private('mace.tools:build_default_arg_parser', 'the flags there are', ('science/worker/tasks/mace_data.py',), ()),
    Private(
        'mace.tools.scripts_utils:remove_pt_head',
        'one head of a foundation model',
        ('science/models/mace_file.py',),
        ('model', 'head_to_keep'),
    ),
    Private(
        'mace.data:AtomicData.from_config',
        'the graph of a structure',
        ('science/models/mace.py',),
        ('config', 'z_table', 'cutoff', 'heads'),
    ),
    Private('mace.data:AtomicData', 'the graph of a structure', ('science/models/mace.py',)),
    Private('mace.data:config_from_atoms', 'the graph of a structure', ('science/models/mace.py',), ('atoms',)),
    Private('mace.tools.torch_geometric:Batch', 'one graph of many structures', ('science/models/mace.py',)),
    Private(
        'mace.tools.torch_geometric:Batch.from_data_list',
        'one graph of many structures',
        ('science/models/mace.py',),
        ('data_list',),
    ),
    Private('mace.tools.torch_tools:default_dtype', 'precision of the model', ('science/models/mace.py',), ('dtype',)),
    Private('mace.tools.torch_tools:init_device', 'CPU or GPU', ('science/models/mace.py',), ('device_str',)),
    Private('mace.tools.utils:AtomicNumberTable', 'order of the elements', ('science/models/mace.py',), ('zs',)),
    Private('mace.cli.run_train:main', 'run with -m', ('science/worker/tasks/mace_train.py',)),
    Private('mace.cli.create_lammps_model:main', 'run with -m', ('science/worker/tasks/mace_train.py',)),
    # python-ace.
    Private(
        'pyace:ACEBBasisSet',
        'a potential or an empty basis',
        (
            'science/models/ace_file.py',
            'science/training/ace/linear.py',
            'science/training/ace/reduction.py',
            'science/worker/tasks/pace_train.py',
        ),
    ),
    Private('pyace:ACEBEvaluator', 'projections of each atom', ('science/training/ace/design.py',)),
    Private('pyace:ACECalculator', 'projections of each atom', ('science/training/ace/design.py',)),
    Private('pyace:BBasisConfiguration', 'a potential as a file', ('science/worker/tasks/pace_train.py',)),
    Private('pyace:BBasisFunctionsSpecificationBlock', 'values of an empty block', ('science/models/ace_file.py',)),
    Private(
        'pyace:PyACECalculator',
        'energy, forces and extrapolation grades',
        (
            'science/models/ace.py',
            'science/models/ace_file.py',
            'science/training/ace/approaches.py',
            'science/training/ace/repulsion.py',
        ),
    ),
    Private(
        'pyace:aseatoms_to_atomicenvironment', 'neighbours', ('science/training/ace/design.py',), ('atoms', 'cutoff')
    ),
    Private(
        'pyace:create_multispecies_basis_config',
        'an empty basis',
        ('science/training/ace/basis.py',),
        ('potential_config',),
    ),
    Private(
        'pyace.activelearning:compute_active_set',
        'MaxVol, and whose atoms it takes',
        ('science/training/ace/reduction.py',),
        ('A0_projections_dict', 'structure_ind_dict', 'tol', 'max_iters'),
    ),
    Private(
        'pyace.activelearning:compute_A_active_inverse',
        'extrapolation grades',
        ('science/training/ace/reduction.py',),
        ('A_active_set_dict',),
    ),
)
IN_THE_TABLE = {(row.name.rpartition(':')[2].rpartition('.')[2], file) for row in TABLE for file in row.used}


def problem(name: str, takes: list[str] | None) -> str | None:
    """What is wrong with an object of another package, None if it is as we know it."""
    module, _, path = name.partition(':')
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        return f'{name}: {error}'
    for part in path.split('.'):
        if not hasattr(found, part):
            # An attribute that instances are given by a method.
            methods = [m for c in getattr(found, '__mro__', ()) for m in vars(c).values() if inspect.isfunction(m)]
            return None if any(part in method.__code__.co_names for method in methods) else f'{name} is gone'
        found = getattr(found, part)
    if takes is None:
        return None
    parameters = list(inspect.signature(found).parameters.values())
    needed = [p.name for p in parameters[len(takes) :] if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if [p.name for p in parameters[: len(takes)]] != list(takes) or needed:
        return f'{name} takes {[p.name for p in parameters]}'
    return None


def is_private(name: str) -> bool:
    return name.startswith('_') and not name.endswith('__') and name != '_'


def is_promised(module: str, name: str) -> bool:
    """Whether a name that is imported from a module of others is for everybody."""
    package = module.partition('.')[0]
    if is_private(name) or any(map(is_private, module.split('.'))) or package in PROMISES_NOTHING:
        return False
    if package == 'aiida' and module.count('.') > 1:
        second = importlib.import_module('.'.join(module.split('.')[:2]))
        return getattr(second, name, None) is getattr(importlib.import_module(module), name)
    if package in AIIDA_PLUGINS:
        found = getattr(importlib.import_module(module), name)
        return f'{found.__module__}:{found.__qualname__}' in PLUGINS
    return True


GROUPS = ('aiida.calculations', 'aiida.data', 'aiida.groups', 'aiida.parsers', 'aiida.workflows')
PLUGINS = {entry_point.value for group in GROUPS for entry_point in entry_points(group=group)}
TREES = {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob('*.py'))}


def own_names() -> set[str]:
    """Whatever our classes define, and the attributes that they give themselves."""
    found = set()
    for node in (node for tree in TREES.values() for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


OWN = own_names()


def is_own(value: ast.expr) -> bool:
    """Whether an attribute is looked up in one of our objects: ``self``, ``cls``, ``super()``."""
    name = value.func if isinstance(value, ast.Call) else value
    return isinstance(name, ast.Name) and name.id in ('self', 'cls', 'super')


def is_pyace(value: ast.expr) -> bool:
    name = value.func if isinstance(value, ast.Call) else value
    return isinstance(name, ast.Name) and name.id in ('pyace', 'import_pyace')


def private_uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that a module takes from others without a promise, and the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            theirs = is_private(node.attr) and not (is_own(node.value) and node.attr in OWN)
            if theirs or is_pyace(node.value):
                yield node.attr, node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('getattr', 'hasattr', 'setattr'):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value) and name.value not in OWN:
                yield name.value, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith('aiida_traincraft'):
            for alias in node.names:
                if not is_promised(node.module, alias.name):
                    yield alias.name, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if any(map(is_private, alias.name.split('.'))):
                    yield alias.name, node.lineno


def overridden(path: Path, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Private names of foreign base classes that our classes define anew."""
    module = '.'.join(('aiida_traincraft', *path.relative_to(SOURCE).with_suffix('').parts)).removesuffix('.__init__')
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        defined = {item.name: item.lineno for item in node.body if isinstance(item, ast.FunctionDef)}
        for item in node.body:
            for target in item.targets if isinstance(item, ast.Assign) else ():
                defined[ast.unparse(target)] = item.lineno
        names = [name for name in defined if is_private(name)]
        if names:
            bases = getattr(importlib.import_module(module), node.name).__mro__
            theirs = [base for base in bases if not base.__module__.startswith('aiida_traincraft')]
            yield from ((name, defined[name]) for name in names if any(name in vars(base) for base in theirs))


def found_in_the_source() -> Iterator[tuple[str, str, int]]:
    """Name, file and line of every use of a private API that can be seen in the source."""
    for path, tree in TREES.items():
        for name, line in (*private_uses(tree), *overridden(path, tree)):
            yield name, path.relative_to(SOURCE).as_posix(), line


@pytest.mark.parametrize('row', [row for row in TABLE if not row.name.startswith('mace.')], ids=lambda row: row.name)
def test_is_as_we_know_it(row):
    package = row.name.partition(':')[0].partition('.')[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f'{package} is not installed')
    if package == 'pyace':
        import_pyace()
    assert problem(row.name, row.takes) is None


@pytest.mark.slow
def test_mace_is_as_we_know_it(mace_python):
    rows = [(row.name, row.takes) for row in TABLE if row.name.startswith('mace.')]
    script = (
        f'import importlib, inspect, json, sys\n{inspect.getsource(problem)}\n'
        'print(json.dumps([problem(name, takes) for name, takes in json.loads(sys.argv[1])]))'
    ).replace('str | None', '"str | None"')
    command = [mace_python, '-W', 'ignore', '-c', script, json.dumps(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [None] * len(rows)


@pytest.mark.parametrize(
    ('name', 'takes', 'told'),
    [
        ('aiida.engine:no_such_thing', None, 'aiida.engine:no_such_thing is gone'),
        ('aiida.engine:WorkChain._no_such_thing', None, 'aiida.engine:WorkChain._no_such_thing is gone'),
        ('aiida.no_such_module:thing', None, "aiida.no_such_module:thing: No module named 'aiida.no_such_module'"),
        ('aiida.common.timezone:now', ('zone',), 'aiida.common.timezone:now takes []'),
        ('ase.units:create_units', (), "ase.units:create_units takes ['codata_version']"),
    ],
)
def test_a_change_is_told(name, takes, told):
    assert problem(name, takes) == told


@pytest.mark.parametrize(
    ('code', 'names'),
    [
        ('node._hash()', ['_hash']),
        ('self._awaitables', ['_awaitables']),
        ('self._children', []),
        ('getattr(node, "_hash")', ['_hash']),
        ('node.__dict__', []),
        ('from aiida.engine import WorkChain', []),
        ('from aiida.common.links import LinkType', []),
        ('from aiida.common.hashing import make_hash', ['make_hash']),
        ('from aiida_pseudo.data.pseudo import UpfData', []),
        ('from ase.units import _amu, kB', ['_amu']),
        ('import ase._4', ['ase._4']),
        ('from mace.tools import utils', ['utils']),
        ('import_pyace().ACEBBasisSet', ['ACEBBasisSet']),
    ],
)
def test_a_private_use_is_seen(code, names):
    assert [name for name, _ in private_uses(ast.parse(code))] == names


def test_a_stored_node_looks_as_we_write_and_read_it(aiida_profile):
    node = orm.SinglefileData.from_string('text', filename='frames').store()
    key = node.base.repository.metadata['o']['frames']['k']
    with get_manager().get_profile_storage().get_repository().open(key) as handle:
        assert handle.read() == b'text'
    assert node.base.extras.get('_aiida_hash') == node.base.caching.get_hash()
    assert (SqlaNode.MODEL_CLASS.__tablename__, SqlaNode.LINK_CLASS.__tablename__) == ('db_dbnode', 'db_dblink')
    columns = {'id', 'uuid', 'node_type', 'process_type', 'label', 'description', 'ctime', 'mtime', 'user_id'}
    assert columns | {'attributes', 'extras', 'repository_metadata'} <= set(
        SqlaNode.MODEL_CLASS.__table__.columns.keys()
    )
    assert {'input_id', 'output_id', 'type', 'label'} <= set(SqlaNode.LINK_CLASS.__table__.columns.keys())


def test_a_broker_leaves_the_files_that_we_remove():
    layout = ZeromqBrokerService.FilepathLayout('broker')
    left = [layout.sockets_file, layout.pid_file, layout.status_file]
    assert [path.name for path in left] == ['broker.sockets', 'broker.pid', 'broker.status']


def test_the_source_uses_no_other():
    seen = set(found_in_the_source())
    assert {('_generate_pwcp_inputdata', 'calculations/pw_batch.py'), ('make_hash', 'data/bulk.py')} <= {
        (name, file) for name, file, _ in seen
    }
    not_in_the_table = [f'{file}:{line}: {name}' for name, file, line in seen if (name, file) not in IN_THE_TABLE]
    assert sorted(not_in_the_table) == []


@pytest.mark.parametrize('row', TABLE, ids=lambda row: row.name)
def test_is_still_used(row):
    name = row.name.rpartition(':')[2].rpartition('.')[2]
    if name == 'main':
        name = row.name.partition(':')[0]
    assert [file for file in row.used if name not in (SOURCE / file).read_text()] == []
