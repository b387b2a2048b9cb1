"""The folder ``runs/<name>/`` of a finished campaign."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tomli_w
from aiida import orm

from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.report.learning_curve import plot_learning_curve
from aiida_traincraft.report.page import write_page
from aiida_traincraft.science.structure import write_extxyz
from aiida_traincraft.workchains.campaign_products import products

STUDENT_FOLDER = 'student'
RESULT_FILES = (
    'potential.yaml',
    'potential.yace',
    'potential.asi',
    'model_*.model',
    'compiled_*.model',
    'lammps_*.pt',
    'dataset.extxyz',
    'test_set.extxyz',
    'learning_curve.png',
    'report.html',
    'campaign.toml',
    'summary.json',
)


def write_results(campaign: orm.WorkChainNode, folder: Path) -> dict[str, Any]:
    """Write potential, datasets, config, summary and learning curve of a campaign.

    Parameters
    ----------
    campaign
        An ended campaign; what it does not have (no potential, say) is left out.
    folder
        Made if it is not there; files of the same names are replaced.

    Returns
    -------
    dict
        The summary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summary = summarise(campaign)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        # Written aside and renamed: a reader never sees half a file.
        partial = Path(name)
        made = products(campaign)
        if 'potential' in made:
            made['potential'].write_files(partial)
        if 'student' in made:
            (partial / STUDENT_FOLDER).mkdir()
            made['student'].write_files(partial / STUDENT_FOLDER)
        for port, split, file in (('dataset', 'train', 'dataset.extxyz'), ('test_set', 'test', 'test_set.extxyz')):
            if port in made:
                write_extxyz(partial / file, made[port].iterate(split))
        config = _without_none(_with_model_files(campaign))
        (partial / 'campaign.toml').write_text(tomli_w.dumps(config))
        (partial / 'summary.json').write_text(json.dumps(summary, indent=2))
        write_page(campaign, partial / 'report.html', summary)
        if any(cycle['errors'] for cycle in summary['cycles']):
            plot_learning_curve(summary, partial / 'learning_curve.png')
        for namespace, subfolder in (('files', True), ('models', True), ('plugins', False)):
            if namespace not in campaign.inputs:
                continue
            for key, node in campaign.inputs[namespace].items():
                target = partial / key if subfolder else partial
                target.mkdir(exist_ok=True)
                (target / node.filename).write_bytes(node.get_content(mode='rb'))
        shutil.rmtree(folder / STUDENT_FOLDER, ignore_errors=True)
        for name in RESULT_FILES:
            # What an earlier run of this name left must not pass for a result of this one.
            for path in folder.glob(name):
                path.unlink()
        for path in partial.iterdir():
            if (folder / path.name).is_dir():
                shutil.rmtree(folder / path.name)
            path.replace(folder / path.name)
    return summary


def _with_model_files(campaign: orm.WorkChainNode) -> dict[str, Any]:
    """Config of a campaign that names foundation models by their files beside it, so that it runs elsewhere too."""
    config: dict[str, Any] = campaign.inputs.config.get_dict()
    for key, node in campaign.inputs.models.items() if 'models' in campaign.inputs else ():
        section = _trainer(config, key)
        section['foundation'] |= {'file': f'{key}/{node.filename}', 'potential': None}
    return config


def _trainer(config: dict[str, Any], key: str) -> dict[str, Any]:
    outer, _, inner = key.rpartition('_')
    section: dict[str, Any] = config[outer][inner] if outer else config[key]
    return section


def _without_none(value: Any) -> Any:
    """TOML has no null: keys without a value are left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
