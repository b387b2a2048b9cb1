"""Two workers, and other commands beside the campaign that they run: all write to one SQLite database, and all wait."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

pytestmark = [pytest.mark.campaign, pytest.mark.long]

CONFIG = Path(__file__).with_name('small.toml')
ENDED = """
import json
from aiida_traincraft.provenance.queries import load_campaign_node
node = load_campaign_node()
print(json.dumps([node.is_terminated, node.exit_status]))
"""
FRAMES = 250


def frames():
    for index in range(FRAMES):
        atoms = bulk('Cu', a=3.6, cubic=True)
        atoms.rattle(0.05, seed=index)
        atoms.calc = EMT()
        atoms.info['REF_energy'] = atoms.get_potential_energy()
        atoms.arrays['REF_forces'] = atoms.get_forces()
        atoms.calc = None
        yield atoms


def test_nobody_is_locked_out(make_site):
    site = make_site('beside', wal=False)
    ase.io.write(site.folder / 'labels.xyz', list(frames()), format='extxyz')
    site.start_daemon(workers=2)
    site.traincraft('run', str(CONFIG), '--detach')
    rounds, ended = 0, False
    while not ended:
        rounds += 1
        site.traincraft('import', 'labels.xyz', '--level-of-theory', f'level {rounds}')
        assert 'locked' not in site.traincraft('doctor', check=False).stderr
        site.traincraft('status')
        resumed = site.traincraft('resume', '--detach').stdout
        ended, _ = site.python(ENDED)
        assert 'it runs already' in resumed or ended
    # It ends by the number of its cycles.
    assert site.python(ENDED) == [True, 503]
    logs = (site.folder / '.aiida' / 'daemon' / 'log').glob('*.log')
    assert not [path.name for path in logs if 'database is locked' in path.read_text()]
