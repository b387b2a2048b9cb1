"""Source url, against a server on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry.sources.url import read_url
from aiida_traincraft.science.workspace import Workspace

TEXT = StringIO()
write(TEXT, [bulk('Cu', cubic=True), bulk('Al')], format='extxyz')
CONTENT = TEXT.getvalue().encode()


class Handler(BaseHTTPRequestHandler):
    """Answers by the path."""

    def do_GET(self):
        if self.path.startswith('/to-file'):
            self.answer(302, b'', Location='file:///etc/passwd')
        elif self.path.startswith('/to-good'):
            self.answer(302, b'', Location='/good.extxyz')
        elif self.path.startswith('/slow'):
            self.send_response(200)
            self.end_headers()
            for _ in range(60):
                self.wfile.write(b'#')
                time.sleep(0.1)
        elif self.path.startswith('/silent'):
            time.sleep(3)
        elif self.path.startswith('/short'):
            self.send_response(200)
            self.send_header('Content-Length', str(len(CONTENT) + 100))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path.startswith('/no-http'):
            self.wfile.write(b'SSH-2.0\r\n')
        elif self.path.startswith('/gone'):
            self.answer(404, b'')
        else:
            self.answer(200, b'\0\1\2 no structure' if 'garbage' in self.path else CONTENT)

    def answer(self, code, content, **headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Say nothing."""

    def handle(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().handle()


@pytest.fixture(scope='module')
def address():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(address, tmp_path):
    def run(path, **keys):
        config = parse_plugin('source', {'type': 'url', 'url': address + path} | keys)
        try:
            return read_url(config, Workspace(tmp_path / 'workspace'), np.random.default_rng(0))
        finally:
            assert not list((tmp_path / 'workspace').iterdir())

    return run


@pytest.mark.parametrize('path', ['/good.extxyz', '/to-good.extxyz'])
def test_fetched(fetch, path):
    checksum = hashlib.sha256(CONTENT).hexdigest()
    (structure,) = fetch(path, index=0, format='extxyz', sha256=checksum)
    assert structure.formula == 'Cu4'
    assert structure.provenance['sha256'] == checksum
    assert structure.provenance['url'].endswith(path)


def test_several_frames(fetch):
    assert [item.formula for item in fetch('/good.extxyz', index=':')] == ['Cu4', 'Al']


@pytest.mark.parametrize(
    ('path', 'keys', 'told'),
    [
        ('/to-file', {}, 'file:///etc/passwd.* is not allowed'),
        ('/gone', {}, '"url": .* answers 404'),
        ('/slow', {'timeout': 0.5}, '"timeout": .* took longer than 0.5 s'),
        ('/silent', {'timeout': 0.5}, '"timeout": .* took longer than 0.5 s'),
        ('/short.extxyz', {}, '"url": .* ended 100 bytes early'),
        ('/no-http', {}, '"url": .* cannot be reached'),
        ('/good.extxyz', {'max_bytes': 100}, '"max_bytes": .* more than 100 bytes'),
        ('/good.extxyz', {'sha256': '0' * 64}, '"sha256": .* has the checksum'),
        ('/garbage.extxyz', {}, '"url": .*cannot be read'),
        ('/good.extxyz', {'index': 7}, '"url": .*no frame 7'),
        ('/..%2f..%2fgood.extxyz', {'index': 9}, 'no frame 9'),
    ],
)
def test_refused(fetch, path, keys, told):
    started = time.monotonic()
    with pytest.raises(ValueError, match=told):
        fetch(path, **keys)
    assert time.monotonic() - started < 2


def test_nobody_answers(tmp_path):
    config = parse_plugin('source', {'type': 'url', 'url': 'http://127.0.0.1:9/x.cif', 'timeout': 2.0})
    with pytest.raises(ValueError, match='cannot be reached'):
        read_url(config, Workspace(tmp_path), np.random.default_rng(0))


@pytest.mark.parametrize(
    'address',
    [
        'file:///etc/passwd',
        'ftp://example.org/a',
        'https://',
        'example.org/a.cif',
        'http://[',
        'http://a\nb/',
        'HTTPX://a/b',
        'http://a/é',
        'http://a:99999/',
        'http://a:0/',
        'http://a:port/',
    ],
)
def test_addresses_that_are_not_allowed(address):
    with pytest.raises(ConfigError, match='url'):
        parse_plugin('source', {'type': 'url', 'url': address})
