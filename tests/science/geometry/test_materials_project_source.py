"""Source materials_project: its real client, asking a server of ours in the place of the real service."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry.sources.materials_project import KEY, read_materials_project
from aiida_traincraft.science.optional import MissingLibraryError

SECRET = 'a-key-that-nobody-may-see-at-all'
SILICON = Structure(Lattice.cubic(5.43), ['Si4+', 'Si4+'], [[0, 0, 0], [0.25, 0.25, 0.25]])
SILICON.add_site_property('magmom', [0.1, 0.2])
MIXED = Structure(Lattice.cubic(3.0), [{'Cu': 0.5, 'Au': 0.5}], [[0, 0, 0]])


class Handler(BaseHTTPRequestHandler):
    """A server that knows a few crystals and speaks as that of the Materials Project does to its client."""

    def do_GET(self):
        parts = urlsplit(self.path)
        name = parse_qs(parts.query).get('material_ids', [''])[0]
        if self.headers.get('x-api-key') not in (SECRET, None) or name == 'mp-500':
            self.send_error(401)
            return
        if parts.path.endswith('heartbeat'):
            content = {'db_version': '2024.1.1', 'version': '0.84.0', 'access_controlled_batch_ids': []}
        else:
            known = {'mp-149': SILICON, 'mp-2': MIXED}
            rows = [{'material_id': name, 'structure': known[name].as_dict()}] if name in known else []
            content = {'data': rows, 'meta': {'total_doc': len(rows)}}
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments):
        pass


def read(*ids):
    config = parse_plugin('source', {'type': 'materials_project', 'ids': list(ids)})
    return read_materials_project(config, None, np.random.default_rng(0))


@pytest.fixture
def service(monkeypatch):
    """The real client, asking a server here."""
    settings = pytest.importorskip('mp_api.client.core.client').MAPI_CLIENT_SETTINGS
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(settings, 'ENDPOINT', f'http://127.0.0.1:{server.server_port}/')
    monkeypatch.setenv(KEY, SECRET)
    yield
    server.shutdown()
    server.server_close()


def test_crystal(service):
    (structure,) = read('mp-149')
    atoms = structure.atoms
    assert structure.formula == 'Si2'
    assert atoms.cell.lengths() == pytest.approx([5.43] * 3)
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(5.43 * np.sqrt(3) / 4)
    assert atoms.pbc.all()
    assert set(atoms.arrays) == {'numbers', 'positions'}
    assert structure.provenance == {'material_id': 'mp-149', 'database_version': '2024.1.1'}


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('mp-7', '"ids": .* has no \'mp-7\''),
        ('mp-2', '"ids": \'mp-2\' has partly occupied sites'),
        ('mp-500', r'"ids": .* gives no answer'),
    ],
)
def test_refused(service, name, told):
    with pytest.raises(ValueError, match=told):
        read('mp-149', name)


def test_key_is_needed_and_never_shown(service, monkeypatch):
    monkeypatch.setenv(KEY, 'wrong-key-of-thirty-two-letters!')
    with pytest.raises(ValueError, match='gives no answer') as caught:
        read('mp-149')
    assert 'wrong-key-of' not in str(caught.value)
    monkeypatch.delenv(KEY)
    with pytest.raises(ValueError, match='set MP_API_KEY'):
        read('mp-149')


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mp_api.client', None)
    monkeypatch.setitem(sys.modules, 'mp_api', None)
    with pytest.raises(MissingLibraryError, match=r'pip install "mp-api>='):
        read('mp-149')


@pytest.mark.parametrize('ids', [[], [''], ['149'], ['mp-'], ['mp-149/../x'], ['mp-1'] * 2000, 'mp-149', [149]])
def test_identifiers_that_are_none(ids):
    with pytest.raises(ConfigError, match='ids'):
        parse_plugin('source', {'type': 'materials_project', 'ids': ids})
    with pytest.raises(ConfigError, match='api_key'):
        parse_plugin('source', {'type': 'materials_project', 'ids': ['mp-149'], 'api_key': SECRET})
