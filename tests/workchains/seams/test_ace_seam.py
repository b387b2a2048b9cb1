"""What is refused of an ACE campaign before anything is stored."""

from __future__ import annotations

import pytest

from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.launch.train_builder import train_builder_from_config
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.workchains.seams.trainer import trainer_of

LJ = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 2.0}}, 'cutoff': 4.0}
OTHER = LJ | {'pairs': {'Cu-Cu': {'epsilon': 0.2, 'sigma': 2.0}}}


@pytest.mark.parametrize(
    ('asked', 'stored', 'fits'),
    [
        (LJ, LJ, True),
        ({'type': 'lj', 'cutoff': 4.0}, LJ, True),
        (OTHER, LJ, False),
        ('zbl', LJ, False),
        (LJ, 'zbl', False),
        ('none', 'zbl', True),
    ],
)
def test_a_start_of_another_baseline(aiida_profile, tmp_path, asked, stored, fits):
    (tmp_path / 'some.yaml').write_text('a potential')
    node = PacePotentialData(tmp_path / 'some.yaml', {'Cu': 3.5}, 5.5, baseline=stored).store()
    section = PaceNonlinearTraining.model_validate({'baseline': asked, 'initial_potential': node.uuid})
    found = trainer_of(section).check_start(frozenset({'Cu'}), tmp_path)
    assert [issue.path for issue in found] == ([] if fits else ['training.baseline'])


def test_a_dataset_with_a_pair_without_parameters(copper_dataset, tmp_path):
    path = tmp_path / 'train.toml'
    path.write_text(
        '[training]\ntype = "pace_linear"\n[training.baseline]\ntype = "lj"\n'
        'pairs = { Au-Au = { epsilon = 0.1, sigma = 2.0 } }\n'
    )
    with pytest.raises(ConfigError, match=r'training\.baseline\.pairs: there is nothing for Cu-Cu'):
        train_builder_from_config(path, copper_dataset, None)
