from __future__ import annotations

from aiida import orm

from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.provenance.dft import calculation_of, describe_calculation
from aiida_traincraft.provenance.lineage import origins


def test_a_label_of_a_teacher_has_no_dft_behind_it(tiny_campaign):
    label = orm.load_node(tiny_campaign.outputs.dataset.rows[0].label)
    assert isinstance(label, LabelData)
    assert calculation_of(label.uuid).all() == []
    assert describe_calculation(label) == []
    assert 'calculation' not in origins(label)


def test_what_is_no_label(copper_dataset):
    assert calculation_of(copper_dataset.uuid).all() == []
