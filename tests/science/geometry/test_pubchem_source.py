"""Source pubchem, against a server on this machine that answers as PubChem does."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry.sources import pubchem
from aiida_traincraft.science.workspace import Workspace

WATER = """962
  -OEChem-01012400003D

  3  2  0     0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
    0.2774    0.8929    0.2544 H   0  0  0  0  0  0  0  0  0  0  0  0
    0.6068   -0.2383   -0.7169 H   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0  0  0  0
  1  3  1  0  0  0  0
M  END
> <PUBCHEM_COMPOUND_CID>
962

$$$$
"""
ASKED = []


class Handler(BaseHTTPRequestHandler):
    """Knows water alone."""

    def do_GET(self):
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        where = [unquote(part) for part in parts.path.split('/')[2:]]
        ASKED.append((where, query))
        names = (['cid', '962'], ['name', 'water'], ['name', 'oxidane / 2'])
        known = where[:2] in names or query.get('smiles') == ['O']
        body = WATER.encode() if known and query['record_type'] == ['3d'] else b'Status: 404'
        self.send_response(200 if known else 404)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture(scope='module')
def service():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/compound'
    server.shutdown()
    server.server_close()


@pytest.fixture
def read(service, monkeypatch, tmp_path):
    monkeypatch.setattr(pubchem, 'SERVICE', service)

    def run(**keys):
        config = parse_plugin('source', {'type': 'pubchem'} | keys)
        return pubchem.read_pubchem(config, Workspace(tmp_path), np.random.default_rng(0))

    yield run
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('keys', [{'cid': 962}, {'name': 'water'}, {'name': 'oxidane / 2'}, {'smiles': 'O'}])
def test_molecule(read, keys):
    structure = read(**keys)
    atoms = structure.atoms
    assert structure.formula == 'H2O'
    assert atoms.get_distances(0, [1, 2]) == pytest.approx([0.97, 0.97], abs=0.01)
    assert atoms.arrays['tc_fragment'].tolist() == [0, 0, 0]
    assert atoms.cell.rank == 0
    assert not atoms.info
    assert structure.provenance['url'].endswith('record_type=3d')


def test_with_vacuum(read):
    atoms = read(name='water', vacuum=4.0).atoms
    assert atoms.positions.min(axis=0) == pytest.approx([4, 4, 4])
    assert not atoms.pbc.any()


@pytest.mark.parametrize(
    'keys', [{'cid': 5}, {'name': '../../../etc/passwd'}, {'name': 'a?b#c&d'}, {'smiles': 'C/C=C\\C#N'}]
)
def test_unknown(read, keys):
    ((key, value),) = keys.items()
    with pytest.raises(ValueError, match=f'"{key}": PubChem gives no .*try source "smiles"'):
        read(**keys)
    where, query = ASKED[-1]
    assert query['smiles'] == [value] if key == 'smiles' else where == [key, str(value), 'SDF']


def test_without_network(monkeypatch, tmp_path):
    monkeypatch.setattr(pubchem, 'SERVICE', 'http://127.0.0.1:9/compound')
    config = parse_plugin('source', {'type': 'pubchem', 'name': 'water', 'timeout': 2.0})
    with pytest.raises(ValueError, match=r'"name": PubChem gives no .water. .*cannot be reached'):
        pubchem.read_pubchem(config, Workspace(tmp_path), np.random.default_rng(0))


@pytest.mark.parametrize('keys', [{}, {'cid': 1, 'name': 'water'}, {'cid': 0}, {'name': ''}, {'smiles': 'C' * 2000}])
def test_configs_that_are_none(keys):
    with pytest.raises(ConfigError, match=next(iter(keys), 'exactly one of "cid", "name" and "smiles"')):
        parse_plugin('source', {'type': 'pubchem'} | keys)
