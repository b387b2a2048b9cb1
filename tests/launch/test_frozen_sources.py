"""Sources of the profile: read once, at launch, and kept as files."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk, molecule

from aiida_traincraft.data.dataset import DatasetData, DatasetRow
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.launch.frozen_sources import freeze_sources
from aiida_traincraft.science.atoms.fragments import get_fragments, set_fragments
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def stored() -> list[TrainingStructureData]:
    """Three structures of one system, one of them of two molecules."""
    box = molecule('H2O', vacuum=2.0)
    set_fragments(box, 0)
    frames = [bulk('Cu', cubic=True), bulk('Cu', a=3.7), box]
    return [TrainingStructureData(Structure(atoms, {}, {'system': 'old'})).store() for atoms in frames]


@pytest.fixture
def freeze(campaign_content, tmp_path):
    def run(source) -> list[Structure]:
        campaign_content['systems'][0]['geometry'] = {'source': source, 'transforms': []}
        frozen = freeze_sources(parse_campaign(campaign_content), tmp_path, tmp_path)
        found = frozen.systems[0].geometry
        assert found.source.type == 'frames'
        assert found.source.fetched['type'] == source['type']
        return build_geometries(found)

    return run


def test_by_uuid_with_its_fragments(stored, freeze):
    (structure,) = freeze({'type': 'aiida', 'uuid': stored[2].uuid})
    assert structure.provenance['source_uuid'] == stored[2].uuid
    assert structure.provenance.get('system') is None
    assert get_fragments(structure.atoms).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(structure.atoms.positions, stored[2].get_structure().atoms.positions)


def test_of_a_group_and_drawn_from_it(stored, freeze):
    plain = orm.StructureData(ase=bulk('Al')).store()
    group = orm.Group(label='test_frozen_sources').store()
    group.add_nodes([*stored, plain])
    found = freeze({'type': 'aiida', 'group': group.label})
    assert [item.formula for item in found] == ['Cu4', 'Cu', 'H2O', 'Al']
    assert [item.provenance['variant'] for item in found] == [0, 1, 2, 3]
    few = freeze({'type': 'aiida', 'group': group.label, 'n': 2})
    assert len(few) == 2
    assert [item.content_hash() for item in few] == [
        item.content_hash() for item in freeze({'type': 'aiida', 'group': group.label, 'n': 2})
    ]


def test_by_a_query(stored, freeze):
    fingerprint = stored[1].fingerprint
    found = freeze({'type': 'aiida', 'filters': {'attributes.fingerprint': fingerprint}, 'n': 1})
    assert [item.content_hash() for item in found] == [fingerprint]


def test_of_a_dataset(freeze):
    properties = {'energy': -1.0, 'forces': np.zeros((1, 3))}
    labels = [
        LabelData(Structure(bulk('Cu', a=a), properties, {'system': name, 'level_of_theory': 'f' * 64})).store()
        for a, name in ((3.61, 'a'), (3.62, 'b'))
    ]
    rows = [DatasetRow(label.uuid, label.fingerprint, label.structure_fingerprint) for label in labels]
    dataset = DatasetData(rows, levels=['f' * 64], e0={}).store()
    found = freeze({'type': 'dataset', 'uuid': dataset.uuid, 'system': 'b'})
    assert [item.provenance['source_uuid'] for item in found] == [labels[1].uuid]
    assert not found[0].properties


@pytest.mark.parametrize(
    ('source', 'told'),
    [
        ({'type': 'aiida', 'uuid': '00000000-0000'}, '"uuid": .* is no structure or label of this profile'),
        ({'type': 'aiida', 'group': 'nobody'}, '"group": there is no group'),
        ({'type': 'aiida', 'filters': {'attributes.n_atoms': {'no such operator': 1}}}, '"filters" are none'),
        ({'type': 'aiida', 'filters': {'attributes.formula': 'Xx9'}}, 'no structure fits'),
        ({'type': 'dataset', 'uuid': '00000000-0000'}, '"uuid": .* is no dataset of this profile'),
    ],
)
def test_what_is_not_there_is_named(freeze, source, told):
    with pytest.raises(ConfigError, match=rf'systems\[0\]\.geometry\.source: {told}'):
        freeze(source)
