"""The report in a real browser: no console error, no request, nothing wider than a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from aiida_traincraft.report.page import write_page

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason='there is no chromium: make setup-browser')]


@pytest.fixture(scope='module')
def page(tiny_campaign, tmp_path_factory):
    path = tmp_path_factory.mktemp('report') / 'report.html'
    write_page(tiny_campaign, path)
    # Told in the title, where a test without a debugger's protocol can read it.
    probe = '<script>onload=()=>{document.title=document.documentElement.scrollWidth+"/"+innerWidth}</script>'
    probed = path.with_name('probed.html')
    probed.write_text(path.read_text().replace('</body>', f'{probe}</body>'))
    return path


def browse(page, *options):
    command = [CHROMIUM, '--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars']
    # Without these the browser itself asks its makers for updates.
    command += ['--disable-background-networking', '--disable-component-update', '--no-first-run']
    command += [f'--user-data-dir={page.parent / "profile"}', *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


@pytest.mark.parametrize(('name', 'width', 'height'), [('phone', 390, 844), ('desktop', 1280, 900)])
def test_screenshot(page, name, width, height):
    shot, net = page.parent / f'{name}.png', page.parent / f'{name}.json'
    options = [f'--window-size={width},{height}', f'--screenshot={shot}', f'--log-net-log={net}']
    done = browse(page, '--enable-logging=stderr', *options)
    assert 'CONSOLE' not in done.stderr
    picture = Image.open(shot).convert('L')
    assert picture.size == (width, height)
    # Something is drawn, from the top to the bottom.
    assert all(len(set(picture.crop((0, y, width, y + height // 4)).tobytes())) > 20 for y in (0, height // 2))
    log = json.loads(net.read_text())
    asked = {url for event in log['events'] if (url := event.get('params', {}).get('url'))}
    assert not [url for url in asked if re.match(r'https?://', url) and 'google' not in url and 'gvt1' not in url]


def test_nothing_is_wider_than_a_phone(page):
    done = browse(page.with_name('probed.html'), '--window-size=500,844', '--dump-dom')
    needed, given = map(int, re.search(r'<title>(\d+)/(\d+)</title>', done.stdout).groups())
    assert needed <= given
