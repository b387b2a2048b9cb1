from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType
from ase.io import read

from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.potentials.pace import YAML, PacePotentialData
from aiida_traincraft.provenance.lineage import ancestors

IMPORT = """
import json, sys
from aiida.manage.configuration import create_profile, get_config, load_profile
config = get_config(create=True)
create_profile(config, name='fresh', email='a@b', storage_backend='core.sqlite_dos', storage_config={})
config.set_default_profile('fresh').store()
load_profile('fresh')
from aiida import orm
from aiida.common.links import LinkType
from aiida.tools.archive import import_archive
from ase.io import read
import_archive(sys.argv[1] + '/lineage.aiida')
uuids = json.load(open(sys.argv[2]))
nodes = {uuid: orm.load_node(uuid) for uuid in uuids}
atoms = read(sys.argv[1] + '/dataset.extxyz', index='0')
atoms.calc = nodes[sys.argv[3]].get_calculator()
print(json.dumps({
    'hashes': {uuid: node.base.caching.compute_hash() for uuid, node in nodes.items()},
    'energy': atoms.get_potential_energy(),
    'forces': atoms.get_forces().tolist(),
}))
"""


def python(folder: Path, *arguments: object) -> str:
    """Run this interpreter with an AiiDA configuration of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False,
        env=os.environ | {'AIIDA_PATH': str(folder), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def bundle(tiny_campaign, tmp_path_factory):
    from click.testing import CliRunner

    from aiida_traincraft.cli import main

    folder = tmp_path_factory.mktemp('bundle') / 'copper'
    arguments = ['bundle', tiny_campaign.outputs.potential.uuid, '--output', str(folder), '--licence', 'CC-BY-4.0']
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return folder


def test_files(bundle, tiny_campaign):
    outputs = tiny_campaign.outputs
    assert {path.name for path in bundle.iterdir()} == {
        *outputs.potential.files,
        'dataset.extxyz',
        'README.md',
        'CITATION.cff',
        'lineage.aiida',
    }
    assert len(read(bundle / 'dataset.extxyz', index=':')) == len(outputs.dataset.rows)
    card = (bundle / 'README.md').read_text()
    for words in (
        'Licence: CC-BY-4.0',
        outputs.potential.uuid,
        '"calculator"',
        f'| train | bulk | Cu | {outputs.dataset.count("train")} |',
        f'{1000 * outputs.errors["overall"]["forces"]["rmse"]:.4g}',
        'aiida-core ',
        'verdi -p NAME archive import lineage.aiida',
    ):
        assert words in card
    citation = yaml.safe_load((bundle / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors'} <= citation.keys()
    assert citation['cff-version'] == '1.2.0'
    assert [len(item['authors']) > 0 for item in citation['references']] == [True, True]


@pytest.mark.slow
def test_round_trip_in_a_fresh_profile(bundle, tiny_campaign, tmp_path):
    potential = tiny_campaign.outputs.potential
    nodes = [potential, *(orm.load_node(pk) for pk in sorted(ancestors(potential)))]
    assert any(isinstance(node, LabelData) for node in nodes)
    (tmp_path / 'uuids.json').write_text(json.dumps([node.uuid for node in nodes]))
    (tmp_path / 'import.py').write_text(IMPORT)
    out = python(tmp_path, tmp_path / 'import.py', bundle, tmp_path / 'uuids.json', potential.uuid)
    found = json.loads(out.splitlines()[-1])
    # Computed: AiiDA leaves the stored hashes out when it imports.
    assert found['hashes'] == {node.uuid: node.base.caching.compute_hash() for node in nodes}
    stored = {node.uuid: node.base.caching.get_hash() for node in nodes if isinstance(node, orm.Data)}
    assert stored.items() <= found['hashes'].items()
    atoms = read(bundle / 'dataset.extxyz', index='0')
    atoms.calc = potential.get_calculator()
    np.testing.assert_allclose(found['energy'], atoms.get_potential_energy(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found['forces'], atoms.get_forces(), rtol=0, atol=1e-10)
    text = python(tmp_path, '-c', 'from aiida_traincraft.cli import main; main()', 'why', potential.uuid)
    assert "campaign config 'tiny', seed 3" in text
    assert 'AseLabelCalculation' in text


def test_a_folder_is_not_overwritten(bundle, refused, tiny_campaign):
    assert 'is there already' in refused('bundle', tiny_campaign.outputs.potential.uuid, '--output', bundle)


def test_a_process_that_has_not_ended(refused, linear_fit, tmp_path):
    process = orm.CalculationNode()
    process.set_process_label('half_an_import')
    for label in ('dataset', 'potential'):
        link = linear_fit.inputs.dataset if label == 'dataset' else linear_fit.outputs.potential
        process.base.links.add_incoming(link, LinkType.INPUT_CALC, label)
    process.store()
    linear_fit.outputs.potential.write_files(tmp_path)
    potential = PacePotentialData(tmp_path / YAML, e0={'Cu': 0.0}, cutoff=5.0)
    potential.base.links.add_incoming(process, LinkType.CREATE, 'potential')
    potential.store()
    output = refused('bundle', potential.uuid, '--output', tmp_path / 'no')
    assert f'half_an_import<{process.pk}> has not ended' in output
    assert f'verdi process show {process.pk}' in output
    assert not (tmp_path / 'no').exists()
    process.seal()


def test_a_potential_from_nowhere(refused, tiny_campaign, tmp_path):
    tiny_campaign.outputs.potential.write_files(tmp_path)
    node = PacePotentialData(tmp_path / YAML, e0={'Cu': 0.0}, cutoff=5.0).store()
    assert 'no dataset above it' in refused('bundle', node.uuid, '--output', tmp_path / 'no')
