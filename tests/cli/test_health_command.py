"""``traincraft health``."""

from __future__ import annotations

import json
from pathlib import Path

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.provenance import queries


def test_health_of_a_dataset(traincraft, store_dataset, copper_frames, with_emt_labels):
    spoilt = with_emt_labels(copper_frames[2])
    spoilt.atoms.positions *= 1.0001
    spoilt.properties['energy'] += 77.0
    dataset = store_dataset([*copper_frames[:20], spoilt], copper_frames[20:24])
    result = traincraft('health', dataset.uuid)
    assert result.exit_code == 0, result.output
    label = next(row.label for row in dataset.rows if row.structure == spoilt.content_hash())
    assert f'label {label}: ' in result.output
    assert 'cohesive energy of Cu, median' in result.output
    assert '21 train, 4 test, 1 e0' in result.output
    folder = Path(f'health-{dataset.uuid[:8]}')
    assert {path.name for path in folder.iterdir()} == {'health.txt', 'health.json', 'health.png'}
    assert json.loads((folder / 'health.json').read_text())['outliers'][0]['label'] == label


def test_health_of_a_campaign_looks_at_its_sealed_set(traincraft, store_dataset, copper_frames, monkeypatch):
    # A real campaign takes a minute; this is all that is asked of one.
    campaign = orm.WorkChainNode().store()
    outputs = {'dataset': store_dataset(copper_frames[:9]), 'test_set': store_dataset([], copper_frames[9:12])}
    for label, node in outputs.items():
        node.base.links.add_incoming(campaign, LinkType.RETURN, label)
    monkeypatch.setattr(queries, 'find_campaigns', lambda identifier=None: [campaign])
    result = traincraft('health', 'copper', '--output', 'page', '--tolerance', 0.01, '--max-described', 5)
    assert result.exit_code == 0, result.output
    content = json.loads(Path('page/health.json').read_text())
    assert content['counts'] == {'train': 9, 'test': 3, 'e0': 1}
    assert content['redundancy']['tolerance'] == 0.01
    assert content['redundancy']['n_described'] == 5


def test_what_is_no_dataset(refused):
    assert "no dataset 'nowhere'" in refused('health', 'nowhere')
    assert '--tolerance' in refused('health', 'nowhere', '--tolerance', '0')
