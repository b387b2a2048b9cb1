"""The report of a campaign with 10⁴ labelled structures: seconds and bytes; and what validation costs.

The campaign is real, but for its shortness: all its structures but those of the explorations come from the first
sampling. They are copper cells of four atoms with labels of EMT, a tenth of them in the sealed test set; a linear ACE
is trained in every cycle, the last is validated. The report is written by ``traincraft report``, timed from the start
of its interpreter.

The cost of validation is that of examples/cu_demo.toml, run too (``--demo``), or read where it has run
(``--demo-path``). Campaigns run with a daemon, in profiles of their own in temporary folders.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import record
import tomli_w

ROOT = Path(__file__).parents[1]
TRAINCRAFT = Path(sys.executable).with_name('traincraft')
CELL = {'type': 'crystal', 'name': 'Cu', 'crystalstructure': 'fcc', 'a': 3.6, 'cubic': True}
PROFILE = 'traincraft'
MOST_SECONDS, MOST_BYTES = 10, 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--labels', type=int, default=10_000, help='structures of the first sampling and the test set')
    parser.add_argument('--cycles', type=int, default=3)
    parser.add_argument('--repeat', type=int, default=3, help='reports written')
    parser.add_argument('--demo', action='store_true', help='run the demo for the cost of its validation')
    parser.add_argument('--demo-path', type=Path, help='AIIDA_PATH of a demo that has run')
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the record')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / 'large.toml'
        file.write_text(tomli_w.dumps(campaign_content(options.labels, options.cycles)))
        parts = report_parts(run(file, Path(name)), options.repeat)
    if options.demo or options.demo_path is not None:
        with tempfile.TemporaryDirectory() as name:
            parts += demo_parts(options.demo_path or run(ROOT / 'examples' / 'cu_demo.toml', Path(name)))
    packages = ('aiida-core', 'SQLAlchemy', 'matplotlib', 'numpy', 'ase', 'aiida-traincraft')
    title = 'Time and size of a report, and cost of validation'
    command = f'python benchmarks/report_size.py{" --demo" if options.demo else ""}'
    command += ' --demo-path FOLDER' if options.demo_path is not None else ''
    record.write('report_size', title, command, parts, packages, options.results)


def run(file: Path, folder: Path) -> Path:
    """Run a campaign in a profile of its own, in this folder."""
    environment = {**os.environ, 'AIIDA_PATH': str(folder)}
    for command in (['setup', '--create', '--wal'], ['run', file, '--stop-daemon']):
        begin = time.perf_counter()
        subprocess.run([TRAINCRAFT, '-p', PROFILE, *command], check=True, cwd=folder, env=environment)
        print(f'{command[0]}: {time.perf_counter() - begin:.0f} s', flush=True)
    return folder


def campaign_content(labels: int, cycles: int) -> dict[str, Any]:
    """Content of the campaign's file."""
    tested = max(10, labels // 10)
    rattle = {'type': 'rattle', 'stdev': 0.08, 'strain': 0.02}
    eos = {'type': 'eos', 'geometry': {'builder': CELL}, 'reference': True, 'at_most': {'bulk_modulus_error': 20.0}}
    return {
        'run': {'name': 'large', 'seed': 1, 'max_concurrent': 2},
        'systems': [{'name': 'bulk', 'geometry': {'builder': CELL}, 'sampling': rattle | {'n': labels - tested}}],
        'labelling': {'type': 'ase', 'calculator': {'type': 'emt'}, 'batch_size': 1000},
        'training': {'type': 'pace_linear', 'cutoff': 5.0, 'functions': 20},
        'exploration': {
            'type': 'ase',
            'gamma_lo': 1.05,
            'gamma_hi': 50.0,
            'runs_per_system': 2,
            'check_interval': 5,
            'record_interval': 10,
            'sampling': {'type': 'md', 'temperature': 1200.0, 'steps': 100, 'n': 10, 'timestep': 4.0, 'strain': 0.05},
        },
        'selection': {'budget': 10},
        'test_set': {
            'systems': [
                {'name': 'sealed', 'geometry': {'builder': CELL}, 'sampling': rattle | {'n': tested, 'stdev': 0.1}}
            ]
        },
        'loop': {'max_cycles': cycles, 'quiet_explorations': cycles + 1, 'patience': cycles + 1},
        'validation': {'on_failure': 'warn', 'validators': [{'type': 'parity'}, eos]},
    }


def ask(folder: Path, script: str) -> Any:
    """What a script says of a folder's newest campaign, ``campaign``, as JSON in its last line."""
    begin = (
        'import json\nfrom aiida import load_profile\nfrom aiida_traincraft.provenance import campaign as of, costs\n'
    )
    begin += 'from aiida_traincraft.provenance.queries import load_campaign_node\n'
    begin += f'load_profile({PROFILE!r})\ncampaign = load_campaign_node()\n'
    environment = {**os.environ, 'AIIDA_PATH': str(folder)}
    command = [sys.executable, '-W', 'ignore', '-c', f'{begin}print(json.dumps({script}))']
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report_parts(folder: Path, repeat: int) -> list[str]:
    """Write the report some times; the paragraphs of the record."""
    walls, cpus, path = [], [], folder / 'report.html'
    environment = {**os.environ, 'AIIDA_PATH': str(folder)}
    for _ in range(repeat):
        begin, before = time.perf_counter(), os.times()
        subprocess.run([TRAINCRAFT, '-p', PROFILE, 'report', '--output', path], check=True, env=environment)
        after = os.times()
        walls.append(time.perf_counter() - begin)
        cpus.append(after.children_user + after.children_system - before.children_user - before.children_system)
    cycles, jobs, labels = ask(
        folder, '(lambda s: [len(s["cycles"]), s["jobs"], s["labels"]["labelled"]])(of.summarise(campaign))'
    )
    size = path.stat().st_size
    rows = [
        ['seconds of `traincraft report`, median (smallest-largest)', record.spread(walls), MOST_SECONDS],
        ['... of the CPU', record.spread(cpus), ''],
        ['megabytes of the page', f'{size / 1e6:.2f}', MOST_BYTES / 1e6],
    ]
    return [
        f'A campaign of {cycles} cycle(s) and {jobs} jobs with {labels} labelled structures; {repeat} report(s), each '
        'from the start of the interpreter.',
        record.table(['what', 'measured', 'goal: less than'], rows),
    ]


def demo_parts(folder: Path) -> list[str]:
    """Core-seconds of each stage of the demo."""
    found: dict[str, list[float]] = {}
    script = '[[c.stage, c.jobs, 3600 * c.core_hours] for c in costs.costs(costs.find_jobs(campaign))]'
    for stage, jobs, seconds in ask(folder, script):
        before = found.get(stage, [0.0, 0.0])
        found[stage] = [before[0] + jobs, before[1] + seconds]
    total = sum(seconds for _, seconds in found.values())
    rows = [
        [stage, f'{jobs:.0f}', f'{seconds:.1f}', f'{seconds / total:.3f}'] for stage, (jobs, seconds) in found.items()
    ]
    return [
        'What validation costs: core-seconds in codes of `examples/cu_demo.toml`, whose five validators (three of them '
        'with the reference computed too) run once, at the end.',
        record.table(['stage', 'jobs', 'core-seconds', 'share'], rows),
    ]


if __name__ == '__main__':
    main()
