from __future__ import annotations

import json

from aiida_traincraft.provenance.queries import find_potentials


def test_diff_as_text_and_json(traincraft, tiny_campaign):
    pair = find_potentials(campaign=tiny_campaign, has_active_set=True).all(flat=True)
    result = traincraft('diff', *(node.uuid for node in pair))
    assert result.exit_code == 0, result.output
    for words in (
        'only A: 0',
        'only B: ',
        ' of bulk)',
        'settings: the same',
        'RMSE on split test',
        'forces on Cu',
        ' %)',
    ):
        assert words in result.output
    found = json.loads(traincraft('diff', pair[0].pk, pair[1].pk, '--format', 'json').output)
    assert found['only'][1]['first'][0] in result.output


def test_not_scored_on_one_set(traincraft, tiny_campaign, linear_fit):
    output = traincraft('diff', tiny_campaign.outputs.potential.uuid, linear_fit.outputs.potential.uuid).output
    assert 'campaign.run.name: "tiny" -> absent' in output
    assert 'not scored on the same test set' in output


def test_no_potential(refused, tiny_campaign):
    assert 'there is no potential' in refused(
        'diff', tiny_campaign.outputs.potential.uuid, tiny_campaign.outputs.dataset.uuid
    )
