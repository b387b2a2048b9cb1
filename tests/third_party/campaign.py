"""Run a campaign of ``traincraft_pairs`` in a profile of its own, and tell as JSON what became of it.

A program of its own: its PYTHONPATH holds the package and its metadata, as if both were installed. Argument: an empty
folder.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import tomli_w
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage import get_manager
from aiida.manage.configuration import create_profile, get_config, load_profile
from aiida.plugins import CalculationFactory
from click.testing import CliRunner

from aiida_traincraft import LevelOfTheoryData, builder_from_config
from aiida_traincraft.cli import main as traincraft
from aiida_traincraft.report.results import write_results

ARGON = {'type': 'crystal', 'name': 'Ar', 'crystalstructure': 'fcc', 'a': 5.3, 'cubic': True}
CAMPAIGN: dict[str, Any] = {
    'run': {'name': 'pairs', 'seed': 3},
    'systems': [
        {
            'name': 'cold',
            'geometry': {'builder': ARGON},
            'sampling': {'type': 'rattle', 'n': 4, 'stdev': 0.1, 'strain': 0.02},
        }
    ],
    'labelling': {'type': 'pairs', 'depth': {'Ar': 0.0123}},
    'training': {'type': 'morse'},
    'exploration': {'type': 'shake'},
    'selection': {'budget': 2},
    'test_set': {
        'systems': [
            {
                'name': 'warm',
                'geometry': {'builder': ARGON | {'a': 5.4}},
                'sampling': {'type': 'rattle', 'n': 2, 'stdev': 0.15},
            }
        ]
    },
    'loop': {'max_cycles': 2},
    'codes': {'ase': {'code': 'python@localhost'}},
}
# A file can register a labeller's section; its WorkChain is a matter of an installed package.
ORPHAN = """
from typing import Literal

from aiida_traincraft import LabellerConfig, register


@register('labeller', 'orphan')
class Orphan(LabellerConfig):
    type: Literal['orphan'] = 'orphan'
"""


def main() -> None:
    folder = Path(sys.argv[1])
    load_site(folder)
    faulty = copy.deepcopy(CAMPAIGN)
    faulty['labelling']['depth']['Xe'] = 0.02
    faulty['exploration']['amplitude'] = 2.0
    faulty['test_set']['systems'][0]['geometry']['builder']['name'] = 'Kr'
    faulty['codes']['ase']['code'] = 'nowhere@localhost'
    (folder / 'orphan.py').write_text(ORPHAN)
    orphan = copy.deepcopy(CAMPAIGN)
    orphan['run']['plugins'] = ['orphan.py']
    orphan['labelling'] = {'type': 'orphan'}
    facts = {
        'plugins': command('plugins'),
        'faulty': command('validate', write(folder, 'faulty', faulty)),
        'orphan': command('run', write(folder, 'orphan', orphan)),
        'stored': orm.QueryBuilder().append(orm.Node).count() - orm.QueryBuilder().append(orm.AbstractCode).count(),
        'good': command('validate', write(folder, 'good', CAMPAIGN)),
    }
    _, node = run_get_node(builder_from_config(folder / 'good.toml'))
    print(json.dumps(facts | described(node, folder)))


def load_site(folder: Path) -> None:
    """Load a new profile in memory, with this interpreter as a code."""
    config, storage = get_config(create=True), {'filepath': str(folder / 'storage')}
    name = 'third_party'
    create_profile(
        config,
        name=name,
        email='a@b.c',
        storage_backend='core.sqlite_temp',
        storage_config=storage,
        is_test_profile=True,
    )
    config.set_default_profile(name)
    load_profile(name)
    get_manager().get_runner(poll_interval=0.1)
    computer = orm.Computer('localhost', 'localhost', '', 'core.local', 'core.direct', str(folder / 'work')).store()
    computer.set_minimum_job_poll_interval(0.0)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0.0, use_login_shell=False)
    orm.InstalledCode(computer, sys.executable, label='python').store()


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    path = folder / f'{name}.toml'
    path.write_text(tomli_w.dumps(content))
    return path


def command(*arguments: object) -> dict[str, Any]:
    """Exit status and output of ``traincraft``."""
    result = CliRunner(env={'COLUMNS': '200'}).invoke(traincraft, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return {'status': result.exit_code, 'output': result.output}


def described(node: orm.WorkChainNode, folder: Path) -> dict[str, Any]:
    """What a campaign came to."""
    outputs = node.outputs
    (name,) = outputs.dataset.levels_of_theory
    level = orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': name}).one()[0]
    fit, scores = outputs.potential.creator, outputs.errors['overall']['forces']
    calls = node.called_descendants
    explored = next(call for call in calls if call.process_type == 'aiida.workflows:traincraft.explore.shake')
    driven = run_sampling(outputs.potential, explored.outputs.frames.shaken)
    summary = write_results(node, folder / 'results')
    return {
        'exit_status': node.exit_status,
        'exit_message': node.exit_message,
        'config': node.inputs.config.get_dict(),
        'level_of_theory': level.content,
        'labels': {split: outputs.dataset.count(split) for split in ('train', 'e0')},
        'called': sorted({str(call.process_type) for call in calls}),
        'fit': [fit.process_label, fit.caller.process_type],
        'potential': outputs.potential.base.attributes.get('calculator'),
        'force_error': scores['rmse'] / scores['std'],
        'driven': {'exit_status': driven.exit_status, 'frames': driven.outputs.frames.n_frames},
        'cycles': len(summary['cycles']),
        'results': sorted(path.name for path in (folder / 'results').iterdir()),
    }


def run_sampling(potential: orm.Data, starts: orm.Data) -> orm.CalcJobNode:
    """Drive our sampler with their potential, in a job."""
    sampler = {'type': 'md', 'temperature': 30.0, 'steps': 20, 'n': 2}
    parameters = {'runs': [{'start': 0, 'sampler': sampler, 'seed': 1}], 'calculator': None, 'watch': None}
    inputs = {'code': orm.load_code('python'), 'parameters': orm.Dict(parameters)}
    _, job = run_get_node(CalculationFactory('traincraft.sample'), potential=potential, starts=starts, **inputs)
    return job


if __name__ == '__main__':
    main()
