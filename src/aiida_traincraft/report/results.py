"""The folder ``runs/<name>/`` of a finished campaign."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from aiida import orm

from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.report.learning_curve import plot_learning_curve
from aiida_traincraft.report.page import write_page
from aiida_traincraft.report.results_folder import MARKED, open_folder, read_mark, set_aside, write_mark
from aiida_traincraft.science.structure import write_extxyz
from aiida_traincraft.workchains.campaign_products import products

STUDENT_FOLDER = 'student'


def write_results(campaign: orm.WorkChainNode, folder: Path) -> dict[str, Any]:
    """Write potential, datasets, config, summary and learning curve of a campaign.

    Parameters
    ----------
    campaign
        An ended campaign; what it does not have (no potential, say) is left out.
    folder
        Made if it is not there. What is in it that is not of this campaign stays, moved aside where it is in the way:
        :mod:`~aiida_traincraft.report.results_folder` has the rules.

    Returns
    -------
    dict
        The summary.
    """
    folder = open_folder(folder, campaign.uuid)
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
        (partial / 'campaign.toml').write_text(tomli_w.dumps(config), encoding='utf-8')
        (partial / 'summary.json').write_text(json.dumps(summary, indent=2), encoding='utf-8')
        write_page(campaign, partial / 'report.html', summary)
        if any(cycle['errors'] for cycle in summary['cycles']):
            plot_learning_curve(summary, partial / 'learning_curve.png')
        for namespace, subfolder in (('files', True), ('models', True), ('plugins', False)):
            if namespace not in campaign.inputs:
                continue
            for key, node in campaign.inputs[namespace].items():
                target = partial / key if subfolder else partial
                target.mkdir(exist_ok=True)
                # A node may be as foreign as any file.
                (target / Path(node.filename).name).write_bytes(node.get_content(mode='rb'))
        _replace(folder, partial)
    return summary


def _replace(folder: Path, partial: Path) -> None:
    """Put new results in the place of those that were written before; what is not ours is moved aside."""
    mark = read_mark(folder)
    assert mark is not None
    new = sorted(path.name for path in partial.iterdir())
    # Where a kill comes between, all of it is ours.
    write_mark(folder, replace(mark, files=tuple({*mark.files, *new})))
    for name in {*mark.files, *new} - {MARKED}:
        path = folder / Path(name).name
        if name not in mark.files and path.exists():
            set_aside(path)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    write_mark(partial, replace(mark, files=tuple(new)))
    for name in sorted(new, key=lambda name: name == MARKED):
        (partial / name).replace(folder / name)


def _with_model_files(campaign: orm.WorkChainNode) -> dict[str, Any]:
    """Config of a campaign that names foundation models by their files beside it, so that it runs elsewhere too."""
    config: dict[str, Any] = campaign.inputs.config.get_dict()
    for key, node in campaign.inputs.models.items() if 'models' in campaign.inputs else ():
        section = _trainer(config, key)
        section['foundation'] |= {'file': f'{key}/{Path(node.filename).name}', 'potential': None}
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
