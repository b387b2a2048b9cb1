"""``traincraft health``."""

from __future__ import annotations

import json
from pathlib import Path


def test_health_of_a_dataset(traincraft, store_dataset, copper_frames, with_emt_labels):
    spoilt = with_emt_labels(copper_frames[2])
    spoilt.atoms.positions *= 1.0001
    spoilt.properties['energy'] += 77.0
    dataset = store_dataset([*copper_frames[:20], spoilt], copper_frames[20:24])
    result = traincraft('health', dataset.uuid)
    assert result.exit_code == 0, result.output
    label = next(row.label for row in dataset.rows if row.structure == spoilt.content_hash())
    assert f'label {label}: cohesive energy of Cu' in result.output
    assert '21 train, 4 test, 1 e0' in result.output
    folder = Path(f'health-{dataset.uuid[:8]}')
    assert {path.name for path in folder.iterdir()} == {'health.txt', 'health.json', 'health.png'}
    assert json.loads((folder / 'health.json').read_text())['outliers'][0]['label'] == label


def test_health_of_a_campaign_looks_at_its_sealed_set(traincraft, tiny_campaign):
    result = traincraft('health', tiny_campaign.uuid, '--output', 'page', '--tolerance', 0.01, '--max-described', 5)
    assert result.exit_code == 0, result.output
    content = json.loads(Path('page/health.json').read_text())
    assert content['counts']['test'] == tiny_campaign.outputs.test_set.count('test')
    assert content['redundancy']['tolerance'] == 0.01
    assert content['redundancy']['n_described'] == 5


def test_what_is_no_dataset(refused):
    assert "no dataset 'nowhere'" in refused('health', 'nowhere')
    assert '--tolerance' in refused('health', 'nowhere', '--tolerance', '0')
