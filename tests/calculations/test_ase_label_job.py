from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.structure import Structure

EMT = {'type': 'emt'}

MOODY = """
from typing import Literal

import numpy as np
from ase.calculators.emt import EMT

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register


class MoodyConfig(CalculatorConfig):
    type: Literal['moody'] = 'moody'


class Moody(EMT):
    def calculate(self, atoms=None, properties=('energy',), system_changes=()):
        if len(atoms) == 4:
            raise RuntimeError('not in the mood for four atoms')
        super().calculate(atoms, properties, system_changes)
        if atoms.cell.array[0, 0] > 7.3:
            self.results['forces'] = np.full((len(atoms), 3), np.nan)


@register('calculator', 'moody', config=MoodyConfig)
def moody(config):
    \"\"\"EMT that fails for some structures.\"\"\"
    return Moody()
"""


@pytest.fixture(scope='module')
def label(run_job, store_structures) -> Callable[..., orm.CalcJobNode]:
    def run(frames: list[Structure], calculator: dict[str, Any], **inputs: Any) -> orm.CalcJobNode:
        parameters = {'calculator': calculator, 'min_distance': 0.5}
        level = LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': calculator})
        manifest = store_structures(frames)
        return run_job('traincraft.ase_label', parameters, structures=manifest, level_of_theory=level, **inputs)

    return run


@pytest.fixture(scope='module')
def mixed(label, copper_frames) -> orm.CalcJobNode:
    """A batch of which the third structure has overlapping atoms and the fifth an element that EMT does not know."""
    frames = [frame.bare() for frame in copper_frames[:5]]
    frames[2].atoms.positions[1] = frames[2].atoms.positions[0] + [0.0, 0.0, 0.3]
    frames[4].atoms.symbols[0] = 'Fe'
    return label(frames, EMT)


def test_failures_are_rows_not_the_end(mixed):
    assert mixed.is_finished_ok
    ledger = mixed.outputs.ledger
    assert {key: ledger.counts[key] for key in ('total', 'labelled', 'failed')} == {
        'total': 5,
        'labelled': 3,
        'failed': 2,
    }
    assert [row.status for row in ledger.rows] == ['ok', 'ok', 'failed', 'ok', 'failed']
    assert 'overlap' in ledger.rows[2].reason
    assert 'Fe' in ledger.rows[4].reason
    assert sum(ledger.reasons.values()) == 2


def test_one_label_node_per_labelled_structure(mixed, copper_frames):
    labels = {node.structure_fingerprint: node for node in _labels(mixed)}
    assert len(labels) == len(_labels(mixed)) == 3
    assert mixed.outputs.manifest.uuids == [row.label for row in mixed.outputs.ledger.rows if row.label]
    for index in (0, 1, 3):
        frame = copper_frames[index]
        node = labels[frame.content_hash()]
        assert node.creator.pk == mixed.pk
        assert node.system == 'bulk'
        assert node.level_of_theory == mixed.inputs.level_of_theory.hash
        assert node.energy == pytest.approx(frame.properties['energy'], abs=1e-9)
        properties = node.get_structure().properties
        np.testing.assert_allclose(properties['forces'], frame.properties['forces'], atol=1e-9)
        np.testing.assert_allclose(properties['stress'], frame.properties['stress'], atol=1e-9)


def test_structures_are_linked_as_inputs(mixed):
    links = mixed.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    members = {link.link_label: link.node.uuid for link in links if link.link_label.startswith('members__')}
    assert [members[f'members__{index:06d}'] for index in range(5)] == mixed.inputs.structures.uuids


def test_what_can_be_made_again_is_not_stored(mixed):
    assert set(mixed.base.repository.list_object_names()).isdisjoint({'structures.frames'})
    assert {'task.json', 'traincraft.zip'} <= set(mixed.base.repository.list_object_names())
    assert 'labels.frames' not in mixed.outputs.retrieved.list_object_names()
    assert not mixed.base.caching.is_valid_cache


def test_the_job_says_which_versions_made_the_numbers(mixed):
    summary = mixed.outputs.summary.get_dict()
    assert {'python', 'ase', 'numpy'} <= summary['versions'].keys()
    assert summary['seconds'] > 0
    assert 'rows' not in summary


def test_a_teacher_from_a_plugin_file_that_raises_and_gives_nan(label, copper_frames):
    frames = [copper_frames[0].bare(), copper_frames[1].bare(), copper_frames[3].bare()]
    for frame, length in zip((frames[0], frames[2]), (7.2, 7.4), strict=True):
        frame.atoms.set_cell([length, 3.6, 3.6], scale_atoms=True)
    plugins = {'moody': orm.SinglefileData(io.BytesIO(MOODY.encode()), filename='moody.py')}
    node = label(frames, {'type': 'moody'}, plugins=plugins)
    assert node.is_finished_ok, node.exit_message
    reasons = [row.reason for row in node.outputs.ledger.rows]
    assert reasons[0] is None
    assert 'not in the mood' in reasons[1]
    assert 'forces is not finite' in reasons[2]


def test_nothing_labelled_is_an_empty_manifest(label, copper_frames):
    frame = copper_frames[0].bare()
    frame.atoms.symbols[:] = 'Fe'
    node = label([frame], EMT)
    assert node.is_finished_ok
    assert len(node.outputs.manifest) == 0
    assert node.outputs.ledger.counts['failed'] == 1


def test_a_teacher_that_does_not_exist(label, copper_frames):
    node = label(copper_frames[:1], {'type': 'emtt'})
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert "'emt'" in node.exit_message
    assert not _labels(node)


def _labels(node: orm.CalcJobNode) -> list[LabelData]:
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': node.pk}, tag='job')
    return query.append(LabelData, with_incoming='job').all(flat=True)
