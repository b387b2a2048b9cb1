"""Provenance platform on AiiDA for machine-learned interatomic potentials.

Everything that is public is a name of this module, imported when it is first asked for: the file travels with every
job, where nothing of the package is but its science floor. ``docs/python.md`` says what each name is.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = '0.1.0'

# Type checkers read the names in __init__.pyi: an import of them here would draw every floor under every other.
_HOMES = {
    'science.atoms.sizes': ('check_size',),
    'science.baselines': ('make_baseline',),
    'science.calculators': ('make_calculator',),
    'science.campaign.preflight': ('Preflight',),
    'science.config.kinds': (
        'BaselineConfig',
        'BuilderConfig',
        'CalculatorConfig',
        'ExplorerConfig',
        'LabellerConfig',
        'SamplerConfig',
        'SelectorConfig',
        'SourceConfig',
        'TrainerConfig',
        'TransformConfig',
        'ValidatorConfig',
    ),
    'science.config.loader': ('load_campaign',),
    'science.errors': ('ConfigError', 'ConfigIssue'),
    'science.geometry': ('build_geometries', 'build_geometry'),
    'science.models.pair': ('PairCalculator', 'PairCurve'),
    'science.registry': ('register',),
    'science.sampling': ('SamplingRun', 'Watch', 'run_sampling'),
    'science.selection': ('PickConfig', 'Pool', 'StageResult', 'run_funnel'),
    'science.structure': ('Structure',),
    'science.validation': ('Findings', 'Subject', 'Validator'),
    'science.workspace': ('Workspace',),
    'data.bulk': ('NewFrame', 'create_frames', 'link_inputs'),
    'data.calibration': ('CalibrationData',),
    'data.dataset': ('DatasetData',),
    'data.frames.label': ('LabelData',),
    'data.frames.pool': ('FramesData',),
    'data.frames.structure': ('TrainingStructureData',),
    'data.ledger': ('LedgerData', 'LedgerRow'),
    'data.level_of_theory': ('LevelOfTheoryData',),
    'data.manifest': ('ManifestData',),
    'data.potentials.base': ('PotentialData',),
    'data.potentials.mace': ('MacePotentialData',),
    'data.potentials.pace': ('PacePotentialData',),
    'data.reading': ('read_structures',),
    'data.validation': ('ValidationData',),
    'calculations.evaluate': ('EvaluateCalculation',),
    'calculations.functions.dataset_edits': (
        'filter_dataset',
        'merge_datasets',
        'reduce_dataset',
        'split_dataset',
        'weight_dataset',
    ),
    'calculations.functions.datasets': ('extend_dataset',),
    'calculations.functions.gathering': ('gather_dataset',),
    'workchains.base': ('TraincraftWorkChain',),
    'workchains.throttled': ('ThrottledWorkChain',),
    'workchains.seams.base': ('Completed',),
    'workchains.seams.explorer': ('Explorer', 'define_explore_ports', 'thresholds'),
    'workchains.seams.labeller': ('Labeller', 'define_label_ports'),
    'workchains.seams.trainer': ('Trainer', 'define_train_ports'),
    'provenance.dft': ('calculation_of',),
    'provenance.error_bars': ('potential_error_bars',),
    'provenance.lineage': ('ancestors', 'calculations_above', 'label_makers', 'lineage', 'training_sets'),
    'provenance.queries': (
        'find_campaigns',
        'find_datasets',
        'find_labels',
        'find_potentials',
        'find_structures',
        'load_campaign_node',
    ),
    'launch.campaign_builder': ('builder_from_config',),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ['__version__', *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    home = f'{__name__}.{_HOME_OF[name]}'
    try:
        value = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        raise ImportError(f'{__name__}.{name} needs {home}, which cannot be imported here: {error}') from error
    # The next time it is found without this function.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
