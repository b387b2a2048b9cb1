"""What labels cost: measured by the labeller, kept in the ledger, used by the funnel."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm
from ase.build import bulk

from aiida_traincraft.calculations.functions.ledgers import merge_ledgers
from aiida_traincraft.calculations.functions.selection import select_structures
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.selection.cost_aware import predict_costs
from aiida_traincraft.science.structure import Structure

SIZES = (1, 2, 4)


def cells(count: int, shift: float = 0.0) -> list[Structure]:
    """Copper in supercells of several sizes, each a little wider than the one before."""
    frames = []
    for number in range(count):
        for size in SIZES:
            atoms = bulk('Cu', a=3.6 + 0.01 * number + shift, cubic=True).repeat((size, 1, 1))
            frames.append(Structure(atoms, provenance={'system': 'bulk'}))
    return frames


@pytest.fixture(scope='module')
def ledger(run_workchain, make_campaign_content, store_structures) -> LedgerData:
    """Ledger of two batches of labels by EMT, with two threads each."""
    content = make_campaign_content()
    content['labelling'] |= {'batch_size': 3, 'min_distance': 0.5}
    content['codes']['ase'] = content['codes'].get('ase', {}) | {'code': 'python@localhost', 'omp_num_threads': 2}
    node = run_workchain('traincraft.label', content, structures=store_structures(cells(2)))
    assert node.is_finished_ok, node.exit_message
    return node.outputs.ledger


def select(content: dict[str, Any], stages: list[dict[str, Any]], **inputs: orm.Data) -> dict[str, orm.Data]:
    """Select among cells that were not labelled before."""
    content['selection'] = {'budget': 9, 'stages': stages}
    config = orm.Dict(parse_campaign(content).model_dump(mode='json'))
    parameters = orm.Dict({'seed': derive_seed(1, 'select')})
    frames = FramesData(cells(3, shift=0.1)).store()
    result: dict[str, orm.Data] = select_structures(config, parameters, frames__0=frames, **inputs)
    return result


def test_every_label_has_its_cost(ledger):
    rows = ledger.rows
    assert ledger.creator.process_label == 'merge_ledgers'
    assert all(row.core_seconds > 0 for row in rows)
    assert ledger.core_seconds == pytest.approx(sum(row.core_seconds for row in rows))
    assert [formula for formula, _ in ledger.label_costs()] == ['Cu4', 'Cu8', 'Cu16'] * 2
    parts = [link.node for link in ledger.creator.base.links.get_incoming(LedgerData).all()]
    assert [part.creator.get_option('environment_variables')['OMP_NUM_THREADS'] for part in parts] == ['2', '2']
    # Cores times the time in the calculator, which is part of the time of the task.
    for part in parts:
        assert part.core_seconds <= 2 * part.creator.outputs.summary['seconds']


def test_the_cost_of_a_campaign_is_one_query(ledger):
    query = orm.QueryBuilder().append(LedgerData, filters={'uuid': ledger.uuid}, project='attributes.core_seconds')
    assert query.first(flat=True) == ledger.core_seconds > 0


def test_the_funnel_weighs_what_labels_cost(ledger, campaign_content):
    history = ledger.label_costs()
    costs = dict(zip(SIZES, predict_costs(cells(1), history, 3.0), strict=True))
    hours = 1.5 * min(costs.values()) / 3600
    stage = {'type': 'cost_aware', 'fraction': 1.0, 'core_hours': hours}
    blind = select(campaign_content, [stage])
    (row,) = blind['report']['stages']
    assert row['reasons'].keys() <= {'share not filled: cost of as many median frames spent'}
    result = select(campaign_content, [stage], ledger=ledger)
    (row,) = result['report']['stages']
    # One label, of the cheapest kind, is all that so many core-hours pay for.
    assert row['reasons'] == {f'share not filled: {hours:g} core-hours spent': 8}
    (chosen,) = (orm.load_node(uuid) for uuid in result['manifest'].uuids)
    assert len(chosen.sites) == 4 * min(costs, key=costs.__getitem__)
    assert ledger.uuid in {link.node.uuid for link in chosen.creator.base.links.get_incoming(LedgerData).all()}


def test_costs_go_only_to_a_funnel_that_needs_them(ledger, campaign_content, monkeypatch):
    monkeypatch.setattr(LedgerData, 'label_costs', lambda self: pytest.fail('nobody asked'))
    result = select(campaign_content, [{'type': 'stratified', 'n': 4, 'quotas': {'bulk': 0.5}}], ledger=ledger)
    assert len(result['manifest']) == 4


def test_merging_keeps_costs(ledger):
    merged = merge_ledgers(first=ledger, second=ledger)
    assert merged.core_seconds == pytest.approx(2 * ledger.core_seconds)
