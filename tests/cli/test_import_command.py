from __future__ import annotations

import json

import numpy as np
import pytest

from aiida_traincraft.science.structure import write_extxyz


@pytest.fixture
def file(tmp_path, copper_frames, request):
    """Copper frames that no other test stores."""
    rng = np.random.default_rng(sum(request.node.name.encode()))
    frames = [frame.copy() for frame in copper_frames[:6]]
    for frame in frames:
        frame.provenance.pop('level_of_theory')
        frame.atoms.positions += rng.normal(scale=1e-3, size=frame.atoms.positions.shape)
    path = tmp_path / 'cu.extxyz'
    write_extxyz(path, frames)
    return path


def test_import_and_again(traincraft, file):
    result = traincraft('import', file, '--level-of-theory', 'EMT of the command')
    assert result.exit_code == 0, result.output
    assert '6 frames, by the keys REF_energy (6), REF_forces (6), REF_stress (6)' in result.output
    assert 'systems: bulk (6)' in result.output
    assert '6 new, 0 stored before, 0 repeated' in result.output
    assert 'traincraft dataset create --import' in result.output
    again = traincraft('import', file, '--level-of-theory', 'EMT of the command')
    assert again.exit_code == 0
    assert 'was imported before by process' in again.output


def test_dry_run_and_report(traincraft, file, tmp_path):
    report = tmp_path / 'report.json'
    result = traincraft('import', file, '--level-of-theory', 'EMT', '--dry-run', '--report', report)
    assert result.exit_code == 0
    assert 'nothing was stored: this was a dry run' in result.output
    assert json.loads(report.read_text())['accepted'] == 6


def test_refusals_are_named_and_nothing_is_stored(refused, file):
    lines = file.read_text().splitlines()
    number = int(lines[0])
    lines[number + 4] = lines[number + 4].replace('Cu', 'Xx')
    file.write_text('\n'.join(lines) + '\n')
    output = refused('import', file, '--level-of-theory', 'EMT')
    assert 'refused: cu.extxyz, frame 1: ' in output
    assert 'frames refused: 1, by format' in output
    assert 'nothing was stored: --skip-refused stores the others' in output


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--level-of-theory', ' '], 'the level of theory is empty'),
        (['--level-of-theory', 'EMT', '--key', 'energy'], 'give PROPERTY=KEY'),
        (['--level-of-theory', 'EMT', '--key', 'mass=m'], "'mass' is unknown here"),
        (['--level-of-theory', 'EMT', '--allow', 'all'], "'all' is unknown here"),
        (['--level-of-theory', 'EMT', '--near-dedup', '-1'], 'near_dedup: the tolerance must be greater than 0'),
        (['--level-of-theory', 'EMT', '--key', 'energy=nothing'], "has no energy (looked for 'nothing')"),
        (['--level-of-theory', 'none.toml'], 'none.toml'),
        ([], "Missing option '--level-of-theory'"),
    ],
)
def test_bad_options(refused, file, options, message):
    assert message in refused('import', file, *options)


def test_a_file_given_twice(refused, file):
    assert 'a file is given twice' in refused('import', file, file, '--level-of-theory', 'EMT')
