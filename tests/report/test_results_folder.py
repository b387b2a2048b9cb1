"""What is written to, what is kept, and where results go instead."""

from __future__ import annotations

import pytest

from aiida_traincraft.report.results_folder import MARKED, SIGN, claim, is_foreign, open_folder, read_mark

FIRST, SECOND = 'a' * 36, 'b' * 36


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_empty_folder_is_taken_and_a_foreign_one_is_not(tmp_path):
    claim(tmp_path / 'new')
    (tmp_path / 'empty').mkdir()
    claim(tmp_path / 'empty')
    claim(tmp_path / 'empty')
    assert names(tmp_path / 'empty') == []
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'dataset.extxyz').write_text('mine')
    assert is_foreign(mine)
    with pytest.raises(FileExistsError, match='no results of traincraft: change "name" or "outdir"'):
        claim(mine)
    assert open_folder(mine, FIRST) == tmp_path / 'mine.1'
    assert open_folder(mine, FIRST) == tmp_path / 'mine.1'
    assert open_folder(mine, SECOND) == tmp_path / 'mine.2'
    assert names(mine) == ['dataset.extxyz']


def test_results_of_another_campaign_are_kept_beside(tmp_path):
    folder = open_folder(tmp_path / 'demo', FIRST)
    (folder / 'potential.yaml').write_text('good')
    assert open_folder(folder, FIRST) == folder
    assert open_folder(folder, SECOND) == folder
    assert (tmp_path / 'demo.1' / 'potential.yaml').read_text() == 'good'
    assert read_mark(tmp_path / 'demo.1').campaign == FIRST
    assert (names(folder), read_mark(folder).campaign) == ([MARKED], SECOND)


def test_a_folder_of_geometries_becomes_that_of_the_campaign(tmp_path):
    claim(tmp_path / 'demo')
    (tmp_path / 'demo' / 'geometry').mkdir()
    open_folder(tmp_path / 'demo', FIRST)
    assert names(tmp_path) == ['demo']
    assert names(tmp_path / 'demo') == [MARKED, 'geometry']


@pytest.mark.parametrize('text', ['', SIGN, f'{SIGN}[]', f'{SIGN}{{"campaign": 1}}', '[run]\nname = "mine"', '\x00'])
def test_a_mark_that_is_none(tmp_path, text):
    (tmp_path / MARKED).write_text(text)
    assert is_foreign(tmp_path)
