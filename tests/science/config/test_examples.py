"""The campaigns that we show to others."""

from pathlib import Path

import pytest

from aiida_traincraft.science.config.loader import load_campaign

EXAMPLES = Path(__file__).parents[3] / 'examples'


@pytest.mark.parametrize('path', sorted(EXAMPLES.glob('*.toml')), ids=lambda path: path.stem)
def test_every_example_is_a_campaign(path):
    assert load_campaign(path).run.name


def test_the_demo_of_mace_has_a_committee_and_more_than_one_cycle():
    config = load_campaign(EXAMPLES / 'cu_mace.toml')
    assert config.training.type == 'mace'
    assert config.training.committee == 4
    assert config.loop.max_cycles >= 2


def test_the_ladder_ends_with_ace():
    config = load_campaign(EXAMPLES / 'ladder.toml')
    assert config.training.type == 'mace'
    assert config.distillation.training.type == 'pace_linear'
