"""What AiiDA costs on top of pw.x: the same structures one WorkChain each, packed into one job, and without AiiDA.

All three take the same inputs and run pw.x two at a time. Each AiiDA run has a new profile, so nothing is found in its
database; the time counted is that of the labelling WorkChain, from its submission to its labels, in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import record

CONCURRENT = 2
SETTINGS = {
    'coarse': {'ecutwfc': 12.0, 'ecutrho': 48.0, 'kpoints_distance': 0.45, 'degauss': 0.01},
    'usual': {'ecutwfc': 16.0, 'ecutrho': 64.0, 'kpoints_distance': 0.3, 'degauss': 0.01},
}
ROUTES = {'batch': 'one `pw_batch`', 'single': 'one `PwBaseWorkChain` each'}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-n', type=int, default=20, help='structures (Si8)')
    parser.add_argument('--repeat', type=int, default=3, help='turns of all three')
    parser.add_argument('--pseudo', type=Path, default=Path('/usr/share/espresso/pseudo/Si.pz-vbc.UPF'))
    parser.add_argument('--route', choices=ROUTES, help=argparse.SUPPRESS)
    parser.add_argument('--settings', choices=SETTINGS, help=argparse.SUPPRESS)
    parser.add_argument('--inputs', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    if options.route:
        print(json.dumps(run_route(options)))
        return
    write(options, {settings: measure(settings, options) for settings in SETTINGS})


def measure(settings: str, options: argparse.Namespace) -> list[list[Any]]:
    """Rows of the table for one choice of settings."""
    seconds: dict[str, list[float]] = {'bare': [], **{route: [] for route in ROUTES}}
    results: dict[str, Any] = {}
    for turn in range(options.repeat):
        print(f'{settings}, turn {turn + 1} of {options.repeat} ...', flush=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for route in ROUTES:
                results[route] = apart(route, settings, options, folder)
                seconds[route].append(results[route]['seconds'])
            seconds['bare'].append(run_bare(folder / 'inputs', options.pseudo))
            results['bare'] = read_bare(folder / 'inputs')
    return compare(settings, seconds, results)


def apart(route: str, settings: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run a route in a process and profile of its own."""
    home = folder / route
    home.mkdir()
    command = [sys.executable, __file__, '--route', route, '--settings', settings]
    command += ['-n', options.n, '--pseudo', options.pseudo]
    done = subprocess.run(
        [str(part) for part in [*command, '--inputs', folder / 'inputs']],
        env=os.environ | {'AIIDA_PATH': str(home)},
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f'  {route}: {found["seconds"]:.1f} s', flush=True)
    return found


def run_route(options: argparse.Namespace) -> dict[str, Any]:
    """Label the structures through AiiDA; the batch leaves its input files for the bare runs."""
    route, n = options.route, options.n
    tool = [str(Path(sys.executable).with_name('traincraft')), '-p', 'bench']
    subprocess.run([*tool, 'setup', '--create', '--wal'], check=True, stdout=sys.stderr)
    Path('pseudos').mkdir()
    shutil.copy(options.pseudo, 'pseudos')
    subprocess.run([*tool, 'pseudos', 'install', 'pseudos', '--family', 'bench'], check=True, stdout=sys.stderr)

    from aiida import load_profile, orm
    from aiida.engine import run_get_node
    from aiida.plugins import CalculationFactory, WorkflowFactory

    from aiida_traincraft.data.frames.structure import TrainingStructureData
    from aiida_traincraft.data.manifest import ManifestData
    from aiida_traincraft.science.config.fields import parse_plugin

    load_profile('bench')
    nodes = [TrainingStructureData(structure).store() for structure in silicon(n)]
    manifest = ManifestData([node.uuid for node in nodes], [node.fingerprint for node in nodes])
    batch = {'batch_size': n, 'concurrent': CONCURRENT} if route == 'batch' else {}
    labelling = {'type': 'quantumespresso', 'pseudo_family': 'bench', 'protocol': 'fast'}
    labelling |= SETTINGS[options.settings] | batch
    config = {
        'run': {'name': 'bench', 'seed': 1, 'max_concurrent': 1 if route == 'batch' else CONCURRENT},
        'labelling': parse_plugin('labeller', labelling).model_dump(mode='json'),
        'codes': {'pw': {'code': 'traincraft-pw@localhost'}},
    }
    # The version of pw.x is asked once per code, not once per labelling.
    code = orm.load_code('traincraft-pw@localhost')
    run_get_node(CalculationFactory('traincraft.pw_version'), code=code)
    begin = time.monotonic()
    _, node = run_get_node(
        WorkflowFactory('traincraft.label'), config=orm.Dict(config), codes={'pw': code}, structures=manifest
    )
    elapsed = time.monotonic() - begin
    labels = [orm.load_node(uuid).get_structure().properties for uuid in node.outputs.manifest.uuids]
    if route == 'batch':
        for job in node.called_descendants:
            if job.process_type.endswith('pw_batch'):
                source = Path(job.outputs.remote_folder.get_remote_path())
                for folder in sorted(source.glob('structure_*')):
                    target = options.inputs / folder.name
                    target.mkdir(parents=True)
                    shutil.copy(folder / 'aiida.in', target)
    return {
        'seconds': elapsed,
        'energies': [label['energy'] for label in labels],
        'forces': [label['forces'].tolist() for label in labels],
    }


def silicon(n: int) -> list[Any]:
    """Rattled and strained cubic cells of eight atoms."""
    from ase.build import bulk

    from aiida_traincraft.science.config.fields import parse_plugin
    from aiida_traincraft.science.sampling import run_sampling
    from aiida_traincraft.science.structure import Structure

    config = parse_plugin('sampler', {'type': 'rattle', 'n': n, 'stdev': 0.08, 'strain': 0.02})
    start = Structure(bulk('Si', 'diamond', a=5.4, cubic=True), provenance={'system': 'cubic'})
    return run_sampling(start, None, None, config, seed=1)


def run_bare(inputs: Path, pseudo: Path) -> float:
    """The same input files, by xargs."""
    for folder in inputs.iterdir():
        (folder / 'out').mkdir()
        (folder / 'pseudo').mkdir()
        shutil.copy(pseudo, folder / 'pseudo')
    names = '\n'.join(folder.name for folder in sorted(inputs.iterdir()))
    begin = time.monotonic()
    command = ['xargs', '-P', str(CONCURRENT), '-I', '{}', 'sh', '-c', 'cd {} && pw.x -in aiida.in > aiida.out 2>&1']
    subprocess.run(command, input=names, text=True, cwd=inputs, check=True)
    elapsed = time.monotonic() - begin
    print(f'  bare: {elapsed:.1f} s', flush=True)
    return elapsed


def read_bare(inputs: Path) -> dict[str, Any]:
    """Energies and forces as aiida-quantumespresso's parser reads them, for its unit constants."""
    from aiida_quantumespresso.parsers.parse_xml.parse import parse_xml

    energies, forces = [], []
    for folder in sorted(inputs.iterdir()):
        with (folder / 'out' / 'aiida.save' / 'data-file-schema.xml').open() as handle:
            parsed, _ = parse_xml(handle)
        energies.append(parsed['trajectory']['energy'][-1])
        forces.append(parsed['trajectory']['forces'][-1])
    return {'energies': energies, 'forces': forces}


def compare(settings: str, seconds: dict[str, list[float]], results: dict[str, Any]) -> list[list[Any]]:
    """Ratios to the bare runs and largest differences from them."""
    import numpy as np

    rows = []
    for name, title in {'bare': '`xargs -P 2` and pw.x alone', **ROUTES}.items():
        ratios = [mine / bare for mine, bare in zip(seconds[name], seconds['bare'], strict=True)]
        differences = [
            float(np.abs(np.subtract(results[name][key], results['bare'][key])).max()) for key in ('energies', 'forces')
        ]
        figures = [f'{median(seconds[name]):.0f}', record.spread(ratios), *(f'{value:.0e}' for value in differences)]
        rows.append([f'{SETTINGS[settings]["ecutwfc"]:g}, {SETTINGS[settings]["kpoints_distance"]}', title, *figures])
    return rows


def write(options: argparse.Namespace, rows: dict[str, list[list[Any]]]) -> None:
    """Write the record."""
    head = ('cutoff (Ry), k-points (1/Å)', '', 'seconds', 'ratio to the bare runs', 'energy (eV)', 'force (eV/Å)')
    record.write(
        'qe_batch',
        'Labels by pw.x: AiiDA on top of the bare runs',
        f'python benchmarks/qe_batch.py -n {options.n} --repeat {options.repeat}',
        [
            f'{options.n} rattled Si8 cells, two pw.x at a time; the three take turns, {options.repeat} times. Seconds:'
            ' median; ratios: median and range; energy, force: largest difference from the bare runs.',
            record.table(head, [row for found in rows.values() for row in found]),
        ],
        ('aiida-core', 'aiida-quantumespresso'),
    )


if __name__ == '__main__':
    main()
