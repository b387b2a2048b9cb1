from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.provenance.lineage import ancestors
from aiida_traincraft.provenance.queries import (
    find_campaigns,
    find_datasets,
    find_labels,
    find_potentials,
    find_structures,
    load_campaign_node,
)
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.campaign_keys import number_of


@pytest.fixture(scope='module')
def window(aiida_profile):
    """Labels of a system of their own: energies per atom around -10 eV, largest forces around 1 eV/Å."""
    values = [(-10.5, 0.8), (-9.5, 1.2), (-9.0, 1.9), (-0.5, 2.0)]
    for index, (energy, force) in enumerate(values):
        atoms = Atoms('AuAg', positions=[[0, 0, 0], [0, 0, 2.5 + index]], cell=[9, 9, 12], pbc=True)
        forces = np.array([[0.0, 0.0, force], [0.0, 0.0, -force]])
        facts = {'system': 'window', 'level_of_theory': 'level-a' if index < 2 else 'level-b'}
        LabelData(Structure(atoms, {'energy': 2 * energy, 'forces': forces}, facts)).store()
        TrainingStructureData(Structure(atoms, {}, facts)).store()
    return values


def energies(**filters):
    query = find_labels(system='window', **filters)
    return sorted(label.base.attributes.get('energy_per_atom') for label in query.all(flat=True))


# Integers: SQLite truncates the stored numbers when a bound is one.
@pytest.mark.parametrize(
    ('bounds', 'expected'),
    [
        ((-11, -10), [-10.5]),
        ((None, -10), [-10.5]),
        ((-10, None), [-9.5, -9.0, -0.5]),
        ((-9, 0), [-9.0, -0.5]),
        ((-9.6, -9.4), [-9.5]),
        ((None, None), [-10.5, -9.5, -9.0, -0.5]),
    ],
)
def test_energy_window(window, bounds, expected):
    assert energies(energy_per_atom=bounds) == expected


@pytest.mark.parametrize(
    ('bounds', 'expected'),
    [((1, None), [-9.5, -9.0, -0.5]), ((None, 1), [-10.5]), ((1, 2), [-9.5, -9.0, -0.5]), ((2, None), [-0.5])],
)
def test_force_window(window, bounds, expected):
    assert energies(max_force=bounds) == expected


def test_windows_and_level_together(window):
    assert energies(level_of_theory='level-a') == [-10.5, -9.5]
    assert energies(level_of_theory='level-b', energy_per_atom=(-9, None), max_force=(None, 1.95)) == [-9.0]
    assert energies(level_of_theory='level-c') == []


def test_formula_and_elements(window):
    assert find_structures(formula='AgAu').count() == find_structures(formula='AgAu', system='window').count() == 4
    assert find_structures(formula='AuAg').count() == 0
    assert find_labels(elements=['Au']).count() == find_labels(elements=['Ag', 'Au']).count() == 4
    assert find_labels(elements=['Au', 'Cu']).count() == 0
    assert all(isinstance(node, TrainingStructureData) for node in find_structures(elements=['Ag']).all(flat=True))


def test_everything_that_a_campaign_labelled(tiny_campaign):
    ledger = tiny_campaign.outputs.ledger
    structures = find_structures(campaign=tiny_campaign).all(flat=True)
    assert {node.uuid for node in structures} == {row.structure for row in ledger.rows}
    labels = find_labels(campaign=tiny_campaign).all(flat=True)
    assert {node.uuid for node in labels} == {row.label for row in ledger.rows if row.label}


def test_structures_by_cycle(tiny_campaign):
    first, later = (find_structures(campaign=tiny_campaign, cycle=cycle).all(flat=True) for cycle in (0, 1))
    assert len(first) == 4 + 10 + 1
    assert len(later) == 3
    assert {node.get_structure().provenance['sampler'] for node in later} == {'md'}
    assert find_structures(campaign=tiny_campaign, cycle=2).count() == 0
    labelled = find_labels(campaign=tiny_campaign, cycle=1).all(flat=True)
    assert {label.structure_fingerprint for label in labelled} <= {node.fingerprint for node in later}


def test_campaign_and_properties_together(tiny_campaign):
    labels = find_labels(campaign=tiny_campaign, formula='Cu4', max_force=(0, None)).all(flat=True)
    hot = find_labels(campaign=tiny_campaign, system='hot').all(flat=True)
    assert {label.system for label in labels} == {'bulk', 'hot'}
    assert len(hot) == 4
    (level,) = {label.level_of_theory for label in labels}
    assert find_labels(campaign=tiny_campaign, level_of_theory=level).count() == len(labels) + 1


def test_datasets_of_a_campaign(tiny_campaign):
    found = find_datasets(campaign=tiny_campaign).all(flat=True)
    assert [node.count('train') > 0 for node in found].count(True) == 2
    assert {tiny_campaign.outputs.dataset.uuid, tiny_campaign.outputs.test_set.uuid} <= {node.uuid for node in found}
    by_digest = find_datasets(digest=tiny_campaign.outputs.dataset.digest).all(flat=True)
    assert tiny_campaign.outputs.dataset.uuid in {node.uuid for node in by_digest}
    assert all(isinstance(node, DatasetData) for node in found)


def test_potentials_of_a_campaign(tiny_campaign):
    complete = find_potentials(elements=['Cu'], campaign=tiny_campaign, has_active_set=True).all(flat=True)
    assert len(complete) == 2
    assert complete[-1].uuid == tiny_campaign.outputs.potential.uuid
    assert find_potentials(campaign=tiny_campaign).count() == 4
    assert find_potentials(elements=['Cu', 'Al'], campaign=tiny_campaign).count() == 0


def test_from_the_last_potential_to_every_structure(tiny_campaign):
    above = ancestors(tiny_campaign.outputs.potential)
    query = orm.QueryBuilder().append(orm.Node, filters={'id': {'in': sorted(above)}}, project='uuid')
    uuids = set(query.all(flat=True))
    assert tiny_campaign.inputs.config.uuid in uuids
    for row in tiny_campaign.outputs.dataset.rows:
        label = orm.load_node(row.label)
        assert {label.uuid, label.creator.uuid} <= uuids
        structures = label.creator.base.links.get_incoming(TrainingStructureData).all()
        (structure,) = [link.node for link in structures if link.node.fingerprint == row.structure]
        assert structure.uuid in uuids


def test_campaigns_by_name_pk_and_uuid(tiny_campaign):
    assert tiny_campaign.uuid in {node.uuid for node in find_campaigns('tiny')}
    newest = find_campaigns()[0]
    assert load_campaign_node().pk == newest.pk
    assert load_campaign_node('tiny').label == 'tiny'
    for identifier in (str(tiny_campaign.pk), tiny_campaign.uuid):
        assert load_campaign_node(identifier).pk == tiny_campaign.pk


def test_no_such_campaign(tiny_campaign):
    with pytest.raises(ValueError, match=r"no campaign 'tini' \(campaigns here: .*tiny"):
        load_campaign_node('tini')
    with pytest.raises(ValueError, match="no campaign '99999999'"):
        load_campaign_node('99999999')
    with pytest.raises(ValueError, match='is no campaign but'):
        load_campaign_node(str(tiny_campaign.called[0].pk))


def test_a_cycle_needs_its_campaign():
    with pytest.raises(ValueError, match='give the campaign too'):
        find_structures(cycle=1)


@pytest.mark.parametrize(
    ('key', 'cycle'), [('label_test', 0), ('build_structures', 0), ('label_003', 3), ('explore_012', 12)]
)
def test_cycle_of_a_key(key, cycle):
    assert number_of(key) == cycle
