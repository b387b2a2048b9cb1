"""The pages of a dataset's health: text, JSON, picture."""

from __future__ import annotations

import json

import pytest
from ase import Atoms
from ase.build import molecule

from aiida_traincraft.report.health import write_health
from aiida_traincraft.science.datasets.health import dataset_health
from aiida_traincraft.science.structure import Structure


def written(folder, train, test=(), **options):
    items = [(f'label-{row}', 'train', structure) for row, structure in enumerate(train)]
    items += [(f'sealed-{row}', 'test', structure) for row, structure in enumerate(test)]
    counts = {'train': len(train), 'test': len(test), 'e0': 0}
    write_health(dataset_health(items, counts, {}, **options), 'dataset of a test', folder / 'health')
    files = {path.name: path for path in (folder / 'health').iterdir()}
    assert set(files) == {'health.txt', 'health.json', 'health.png'}
    assert files['health.png'].read_bytes().startswith(b'\x89PNG')
    return files['health.txt'].read_text(), json.loads(files['health.json'].read_text())


def test_a_labelled_dataset(tmp_path, copper_frames):
    spoilt = [frame.copy() for frame in copper_frames]
    spoilt[3].properties['energy'] += 100.0
    text, content = written(tmp_path, spoilt[:24], spoilt[24:], max_described=20)
    assert 'structures: 24 train, 6 test, 0 e0' in text
    assert 'energy of Cu, median ' in text
    assert '    label label-3: ' in text
    assert 'Å³/atom' in text
    assert 'of a sample of 20 of 24 training frames have a near duplicate among them' in text
    words = ' '.join(text.split())
    assert 'of the 6 test frames are farther from a sample of 20 of 24 training frames than ' in words
    assert 'of the 6 test frames have a near duplicate among a sample of 20 of 24 training frames' in words
    assert '"traincraft dataset check" compares all' in words
    assert max(map(len, text.splitlines())) <= 120
    assert content['dataset'] == 'dataset of a test'
    assert content['outliers'][0]['label'] == 'label-3'
    assert content['coverage']['n_described'] == 6


@pytest.mark.parametrize('kind', ['nothing', 'one frame', 'molecules', 'other elements'])
def test_sparse_datasets(tmp_path, copper_frames, kind):
    water, atom = Structure(molecule('H2O')), Structure(Atoms('H'))
    cases = {
        'nothing': ([], [], 'elements: none', 'there are no training frames'),
        'one frame': (copper_frames[:1], [], 'outliers: none', 'no training frames or no test frames'),
        'molecules': ([water, atom], [water], 'H2O 2', '1 (100.0 %) of the 1 test frames have a near duplicate'),
        'other elements': (copper_frames[:3], [water], 'of new elements', 'elements that training lacks: H, O'),
    }
    train, test, *expected = cases[kind]
    text, _ = written(tmp_path, train, test)
    assert 'sample' not in text
    for line in expected:
        assert line in ' '.join(text.split())
