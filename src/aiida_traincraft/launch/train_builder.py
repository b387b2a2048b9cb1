"""From a campaign file to a builder of ``traincraft.train`` for a stored dataset."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory

from aiida_traincraft.data.dataset import DatasetData, without_e0
from aiida_traincraft.data.leakage import find_leaks, tell
from aiida_traincraft.launch.checks import find_codes
from aiida_traincraft.launch.inputs import plugin_files
from aiida_traincraft.launch.interpreters import check_interpreters
from aiida_traincraft.science.baselines import baseline_issues
from aiida_traincraft.science.config.training_run import load_training_run
from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE
from aiida_traincraft.science.errors import ConfigError, ConfigIssue
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.workchains.seams.trainer import trainer_of


def train_builder_from_config(path: Path, dataset: DatasetData, test_set: DatasetData | None) -> ProcessBuilder:
    """Make a builder that trains what ``[training]`` of a file says on a stored dataset.

    Parameters
    ----------
    path
        The file; of a campaign, or with the sections that a training needs.
    dataset
        Labels to train on (split "train").
    test_set
        Labels to score on (split "test"); those of the dataset itself without.

    Raises
    ------
    ConfigError
        If the file is not valid, a code is missing, the trainer cannot do what it says, or training structures are
        in the test set, of a trajectory of it, or near duplicates of its structures.
    """
    config, folder = load_training_run(path), path.resolve().parent
    trainer, elements = trainer_of(config.training), frozenset(dataset.e0)
    codes, issues = find_codes(config.codes, trainer.roles)
    issues += check_interpreters(codes)
    issues += trainer.check_start(elements, folder)
    issues += baseline_issues(config.training, elements, 'training')
    issues += trainer.check_dataset(dataset)
    if not dataset.count('train'):
        issues.append(ConfigIssue('dataset', f'{dataset} has nothing to train on'))
    if missing := without_e0(dataset):
        issues.append(
            ConfigIssue(
                'dataset',
                f'{dataset} has no energy of an isolated atom (E0) of {", ".join(missing)}: import a frame of one atom '
                f'with config_type=IsolatedAtom, or: traincraft dataset e0 {dataset.pk} {missing[0]}=ENERGY (eV)',
            )
        )
    if test_set is None and dataset.count('test'):
        test_set = dataset
    elif test_set is not None and (leaks := find_leaks(dataset, DEFAULT_TOLERANCE, test_set)):
        issues.append(ConfigIssue('test_set', f'{tell(leaks)}. Split by group: traincraft dataset split'))
    if issues:
        raise ConfigError(issues, path.name)
    completed = trainer.complete(elements, folder)
    if completed.model is not None:
        completed.model.store()
    content = config.model_dump(mode='json') | {'training': completed.section}
    builder = WorkflowFactory('traincraft.train').get_builder()
    builder.config = orm.Dict(content)
    builder.codes = codes
    builder.plugins = plugin_files(config.run, folder)
    builder.dataset, builder.seed = dataset, orm.Int(derive_seed(config.run.seed, 'train'))
    if test_set is not None:
        builder.test_set = test_set
    builder.metadata.label = config.run.name
    return builder
