"""The campaign of "make demo": what it learns, what it leaves, and what the graph knows of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.eos import EquationOfState
from ase.io import read
from ase.optimize import BFGS
from ase.units import GPa, J, m
from PIL import Image

from aiida_traincraft.science.config.loader import load_campaign
from aiida_traincraft.science.models.ace import PaceCalculator

pytestmark = pytest.mark.campaign

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
CONFIG = Path(__file__).parents[2] / 'examples' / 'cu_demo.toml'


@pytest.fixture(scope='module')
def demo(make_site):
    site = make_site('demo')
    site.output = site.traincraft('run', str(CONFIG), '--stop-daemon').stdout
    return site


@pytest.fixture(scope='module')
def calculator(demo):
    folder = demo.folder / 'runs' / 'demo'
    return PaceCalculator(folder / 'potential.yaml', read_e0(folder / 'potential.yace'), folder / 'potential.asi')


def read_e0(yace: Path) -> dict[str, float]:
    """Isolated-atom energies (eV) that the LAMMPS file carries."""
    text = yace.read_text()
    elements = re.search(r'^elements: \[(.*)\]', text, re.MULTILINE).group(1).replace(' ', '').split(',')
    energies = re.search(r'^E0: \[(.*)\]', text, re.MULTILINE).group(1).split(',')
    return {element: float(energy) for element, energy in zip(elements, energies, strict=True)}


def equation_of_state(calculator) -> tuple[float, float]:
    """Lattice constant (Å) and bulk modulus (GPa) of fcc Cu."""
    volumes, energies = [], []
    for a in np.linspace(3.5, 3.7, 9):
        atoms = bulk('Cu', 'fcc', a=a)
        atoms.calc = calculator
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    volume, _, modulus = EquationOfState(volumes, energies, eos='birchmurnaghan').fit()
    return (4 * volume) ** (1 / 3), modulus / GPa


def vacancy_energy(calculator, a: float) -> float:
    """Formation energy (eV) of a relaxed vacancy in 3 x 3 x 3 cubic cells."""
    perfect = bulk('Cu', 'fcc', a=a, cubic=True).repeat(3)
    perfect.calc = calculator
    energy = perfect.get_potential_energy()
    defect = perfect.copy()
    del defect[0]
    defect.calc = calculator
    BFGS(defect, logfile=None).run(fmax=0.005)
    return defect.get_potential_energy() - energy * len(defect) / len(perfect)


def surface_energy(calculator, a: float) -> float:
    """Energy (J/m²) of the relaxed (111) surface."""
    primitive = bulk('Cu', 'fcc', a=a)
    primitive.calc = calculator
    slab = fcc111('Cu', (1, 1, 9), a=a, vacuum=8.0, periodic=True)
    slab.calc = calculator
    BFGS(slab, logfile=None).run(fmax=0.005)
    area = np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    excess = slab.get_potential_energy() - len(slab) * primitive.get_potential_energy()
    return excess / (2 * area) / (J / m**2)


def test_the_potential_learns_copper(demo, calculator):
    cycles = demo.summary('demo')['cycles']
    errors = [cycle['errors']['forces']['rmse'] for cycle in cycles]
    assert len(errors) >= 3
    assert errors[-1] < errors[0]
    assert errors[-1] < 0.015
    # The hand-made set that this was measured against had 146 frames.
    assert cycles[-1]['labels']['total'] < 146

    (a, modulus), (a_emt, modulus_emt) = equation_of_state(calculator), equation_of_state(EMT())
    assert a == pytest.approx(a_emt, rel=0.002)
    assert modulus == pytest.approx(modulus_emt, rel=0.03)
    assert vacancy_energy(calculator, a_emt) == pytest.approx(vacancy_energy(EMT(), a_emt), abs=0.05)
    assert surface_energy(calculator, a_emt) == pytest.approx(surface_energy(EMT(), a_emt), abs=0.05)


def test_results_folder(demo):
    folder = demo.folder / 'runs' / 'demo'
    names = {path.name for path in folder.iterdir()}
    assert names == {
        'potential.yaml',
        'potential.yace',
        'potential.asi',
        'dataset.extxyz',
        'test_set.extxyz',
        'learning_curve.png',
        'report.html',
        'campaign.toml',
        'summary.json',
    }
    summary = demo.summary('demo')
    assert load_campaign(folder / 'campaign.toml') == load_campaign(CONFIG)
    frames = read(folder / 'dataset.extxyz', index=':')
    assert len(frames) == summary['cycles'][-1]['training_set']
    assert all('REF_energy' in frame.info and 'REF_forces' in frame.arrays for frame in frames)
    assert 'results are in' in demo.output
    assert summary['stop_reason'] in demo.output.replace('\n', ' ')


WALK = """
import json
from aiida import orm
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.provenance.lineage import ancestors
from aiida_traincraft.provenance.queries import load_campaign_node
campaign = load_campaign_node('demo')
above = ancestors(campaign.outputs.potential)
dataset = campaign.outputs.dataset
labels = {row.label for row in dataset.rows}
query = orm.QueryBuilder()
query.append(TrainingStructureData, tag='structure', project=['id', 'label'])
query.append(orm.CalcJobNode, with_incoming='structure', tag='job', project=['id', 'process_type'])
query.append(LabelData, with_incoming='job', project=['uuid', 'attributes.structure', 'id'])
pairs = [row for row in query.iterall() if row[1] == row[5]]
mine = [row for row in pairs if row[4] in labels]
print(json.dumps({
    'labels': len(labels),
    'walked': len(mine),
    'structures': len({row[0] for row in mine}),
    'label_nodes': len({row[4] for row in mine}),
    'processes': sorted({row[3] for row in mine}),
    'reached': all({row[0], row[2], row[6]} <= above for row in mine),
    'config': campaign.inputs.config.pk in above,
    'test_labels_above': sum(row[6] in above for row in pairs if row[4] not in labels),
    'duplicates': len(pairs) - len({row[1] for row in pairs}),
}))
"""


def test_the_graph_reaches_everything_from_the_potential(demo):
    facts = demo.python(WALK)
    assert facts['labels'] == facts['walked'] == facts['structures'] == facts['label_nodes'] > 20
    assert facts['processes'] == ['aiida.calculations:traincraft.ase_label']
    assert facts['reached']
    assert facts['config']
    assert facts['test_labels_above'] == 0
    assert facts['duplicates'] == 0


def test_why_and_status(demo):
    uuid = demo.summary('demo')['uuids']['potential']
    text = demo.traincraft('why', uuid).stdout
    for piece in ("campaign config 'demo', seed 1", 'traincraft-ase@localhost', 'by AseLabelCalculation', '"emt"'):
        assert piece in text
    assert 'hot_strained_surface' not in text.split('the tree above it')[0]
    assert 'demo' in demo.traincraft('status').stdout
    assert json.loads((demo.folder / 'runs' / 'demo' / 'summary.json').read_text())['labels']['failed'] == 0


FACTS = """
import json
from aiida import orm
from aiida_traincraft.provenance.queries import load_campaign_node
campaign = load_campaign_node('demo')
jobs = [node for node in campaign.called_descendants if isinstance(node, orm.CalcJobNode)]
ledgers = [node.outputs.ledger for node in campaign.called if 'ledger' in node.outputs]
(validation,) = [node for node in campaign.called if node.process_label == 'ValidateWorkChain']
found = campaign.outputs.validation
print(json.dumps({
    'uuids': [campaign.uuid, campaign.outputs.potential.uuid, *[found[name].uuid for name in found]],
    'errors': campaign.outputs.errors['overall'],
    'validation': {name: found[name].values for name in found},
    'core_hours': sum(job.outputs.summary['seconds'] for job in jobs) / 3600,
    'references': validation.outputs.ledger.counts['labelled'],
    'labelled': sum(ledger.counts['labelled'] for ledger in ledgers) - validation.outputs.ledger.counts['labelled'],
}))
"""


@pytest.fixture(scope='module')
def page(demo):
    return demo.folder / 'runs' / 'demo' / 'report.html'


def test_numbers_of_the_report_are_those_of_the_nodes(demo, page):
    facts, text = demo.python(FACTS), page.read_text()
    assert all(uuid in text for uuid in facts['uuids'])
    for name, unit in (('forces', 'meV/Å'), ('energy', 'meV/atom')):
        assert f'{1000 * facts["errors"][name]["rmse"]:.2f} {unit}' in text
    assert len(facts['validation']) == 5
    for values in facts['validation'].values():
        for name, value in values.items():
            if not name.endswith(('_reference', '_error')):
                assert f'<td>{name}</td><td class="n">{value:.4g}</td>' in text
    assert f'{facts["core_hours"]:.3g} core-hours in codes' in text
    row = f'<td>labelled</td><td class="n">{facts["labelled"]}</td><td class="n">{facts["references"]}</td>'
    assert row in text


def test_the_report_draws_what_validators_found(page):
    drawn = set(re.findall(r'<figure id="figure-([^"]*)"', page.read_text()))
    assert drawn == {
        'learning',
        'parity_energy',
        'parity_forces',
        'reliability',
        'eos_scan',
        'md_stability_temperature',
        'md_stability_total_energy',
        'md_stability_minimum_distance',
        'parity_stress',
        'phonons_dispersion',
    }


def browse(page, *options):
    """Open a page in Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip('there is no chromium: make setup-browser')
    command = [CHROMIUM, '--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars']
    # Without these the browser itself asks its makers for updates.
    command += ['--disable-background-networking', '--disable-component-update', '--no-first-run']
    command += [f'--user-data-dir={page.parent.parent / "chromium"}', *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    ('width', 'height', 'dark'), [(390, 844, False), (390, 844, True), (1280, 900, False), (1280, 900, True)]
)
def test_the_report_in_a_browser(page, tmp_path, width, height, dark):
    shot, net = tmp_path / 'shot.png', tmp_path / 'net.json'
    options = [f'--window-size={width},{height}', f'--screenshot={shot}', f'--log-net-log={net}']
    options += [f'--blink-settings=preferredColorScheme={0 if dark else 1}', '--enable-logging=stderr']
    done = browse(page, *options)
    assert 'CONSOLE' not in done.stderr
    picture = Image.open(shot).convert('L')
    assert picture.size == (width, height)
    assert (picture.getpixel((1, 1)) < 64) is dark
    # Something is drawn, from the top to the bottom.
    assert all(len(set(picture.crop((0, y, width, y + height // 4)).tobytes())) > 20 for y in (0, height // 2))
    events = json.loads(net.read_text())['events']
    asked = {url for event in events if (url := event.get('params', {}).get('url'))}
    assert not [url for url in asked if re.match(r'https?://', url) and 'google' not in url and 'gvt1' not in url]


def test_nothing_in_the_report_is_wider_than_a_phone(page, tmp_path):
    # Told in the title, where a test without a debugger's protocol can read it.
    probe = '<script>onload=()=>{document.title=document.documentElement.scrollWidth+"/"+innerWidth}</script>'
    probed = tmp_path / 'pages' / 'probed.html'
    probed.parent.mkdir()
    probed.write_text(page.read_text().replace('</body>', f'{probe}</body>'))
    done = browse(probed, '--window-size=500,844', '--dump-dom')
    needed, given = map(int, re.search(r'<title>(\d+)/(\d+)</title>', done.stdout).groups())
    assert needed <= given
