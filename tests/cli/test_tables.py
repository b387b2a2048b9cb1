"""Tables on a terminal of 80 columns, and the line that tells where a campaign stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from rich.console import Console

from aiida_traincraft.cli.layout import rounded, short
from aiida_traincraft.cli.tables import campaigns_table, learning_table, progress_line
from aiida_traincraft.provenance.campaign import Progress, _seconds_left

COUNTS = {'total': 42, 'labelled': 40, 'ok': 40, 'recovered': 0, 'reused': 0, 'failed': 2, 'skipped': 0}
NAME = 'copper_gold_surface_vacancies'


def stand(**changes: object) -> Progress:
    errors = {'energy': {'rmse': 0.0123456}, 'forces': {'rmse': 0.123456}}
    facts: dict = {'state': 'running', 'cycle': 2, 'stage': 'explore', 'jobs_running': 1, 'jobs_done': 57}
    facts |= {'labels': COUNTS, 'reasons': {}, 'errors': errors, 'scored': 2, 'message': ''}
    facts |= {'max_cycles': 4, 'max_labels': 60, 'seconds_left': 754.0}
    return Progress(**(facts | changes))


def text_of(table: object) -> str:
    console = Console(width=80, markup=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


@pytest.mark.parametrize(
    ('value', 'text'),
    [(None, '-'), (0.0, '0.000'), (3.61549, '3.615'), (-1234.56, '-1235'), (123456.7, '123457'),
     (0.00123412, '0.001234'), (2.5e-9, '2.500e-09'), (float('nan'), 'nan')],
)  # fmt: skip
def test_four_digits(value, text):
    assert rounded(value) == text


def test_uuids_and_hashes_are_cut_where_they_are_whole():
    assert short('8f31c2d0-1111-4222-8333-444455556666') == '8f31c2d0'
    assert short('f' * 40) == 'f' * 8
    assert short('copper-surface-of-8f31c2d0') == 'copper-surface-of-8f31c2d0'


def test_campaigns_fit_with_their_names():
    ended = stand(state='finished', message='the test error reached its target', stage='-')
    text = text_of(campaigns_table([(12345, NAME, stand()), (67, 'x' * 70, ended)]))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert '…' not in text
    (line,) = [line for line in lines if NAME in line]
    assert line.split()[:6] == ['12345', NAME, '2/4', '40', '12.35', '123.5']
    # A longer one goes on in the next line.
    assert text.count('x') == 70 + 1
    for words in ('running,', 'explore', 'failed', 'reached', 'target'):
        assert words in text


def test_learning_fits_with_large_numbers():
    cycle = {'cycle': 10, 'labels': {'total': 12345, 'failed': 123}, 'errors': stand().errors, 'candidates': 12345}
    cycle |= {'uncertain': 1234, 'selected': 100, 'max_uncertainty': 123.456, 'seconds': 86400.0, 'measure': 'gamma'}
    text = text_of(learning_table({'name': NAME, 'cycles': [cycle | {'seconds_in_codes': 123456.0}]}))
    assert max(map(len, text.splitlines())) <= 80
    assert '…' not in text
    for number in ('12345', '123.5', '12.35', '86400', '123456'):
        assert number in text


def test_the_line_of_a_campaign():
    line = progress_line(stand())
    assert line.startswith('cycle 2 of 4 | explore | jobs 57 done, 1 running | labels 40 ok, 2 failed, 42 of 60 spent')
    assert line.endswith(' | about 13 min more if all cycles are needed')
    assert progress_line(stand(seconds_left=4 * 3600.0)).endswith(' | about 4.0 h more if all cycles are needed')
    assert 'more' not in progress_line(stand(seconds_left=None))
    assert 'spent' not in progress_line(stand(max_labels=None))


def test_the_rest_is_told_from_cycles_that_are_done():
    def training(minutes_ago: float, minutes: float | None) -> SimpleNamespace:
        begun = datetime.now(tz=UTC) - timedelta(minutes=minutes_ago)
        return SimpleNamespace(
            ctime=begun, mtime=begun + timedelta(minutes=minutes or 0), is_terminated=minutes is not None
        )

    assert _seconds_left([], 4) is None
    assert _seconds_left([training(10, 2)], 4) is None
    # Cycles of ten minutes, the third begun four ago, and two for the last training.
    rest = _seconds_left([training(24, 2), training(14, 2), training(4, 2)], 4)
    assert rest == pytest.approx(8 * 60, abs=5)
    assert _seconds_left([training(14, 2), training(4, 2)], 2) is None
    assert _seconds_left([training(14, 2), training(1, None)], 2) == pytest.approx(60, abs=5)
    assert _seconds_left([training(50, 2), training(40, None)], 2) == 0.0
