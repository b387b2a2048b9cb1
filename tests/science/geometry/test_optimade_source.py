"""Source optimade: its own client, against a server on this machine."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry.sources.optimade import search_optimade

pytest.importorskip('optimade.client')

CRYSTALS = [bulk('GaN', 'zincblende', a=4.5), bulk('NaCl', 'rocksalt', a=5.6, cubic=True), bulk('Cu', a=3.6)]


def entry(name, atoms, **changes):
    """What a provider tells of a structure."""
    symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
    counts = {symbol: atoms.get_chemical_symbols().count(symbol) for symbol in sorted(symbols)}
    least = np.gcd.reduce(list(counts.values()))
    reduced = ''.join(f'{symbol}{n // least if n > least else ""}' for symbol, n in counts.items())
    letters = sorted((n // least for n in counts.values()), reverse=True)
    attributes = {
        'elements': sorted(symbols),
        'nelements': len(symbols),
        'elements_ratios': [n / len(atoms) for n in counts.values()],
        'chemical_formula_descriptive': reduced,
        'chemical_formula_reduced': reduced,
        'chemical_formula_anonymous': ''.join(
            f'{"ABCD"[place]}{n if n > 1 else ""}' for place, n in enumerate(letters)
        ),
        'dimension_types': [int(value) for value in atoms.pbc],
        'nperiodic_dimensions': int(atoms.pbc.sum()),
        'lattice_vectors': atoms.cell.tolist() if atoms.cell.rank else None,
        'cartesian_site_positions': atoms.positions.tolist(),
        'nsites': len(atoms),
        'species': [
            {'name': symbol, 'chemical_symbols': [symbol], 'concentration': [1.0], 'mass': [50.0]} for symbol in symbols
        ],
        'species_at_sites': atoms.get_chemical_symbols(),
        'structure_features': [],
        'last_modified': '2024-01-01T00:00:00Z',
        'immutable_id': name,
        '_here_hull': 0.1,
    }
    return {'id': name, 'type': 'structures', 'attributes': attributes | changes}


def disordered():
    half = [{'name': 'CuAu', 'chemical_symbols': ['Cu', 'Au'], 'concentration': [0.5, 0.5]}]
    changes = {'species': half, 'species_at_sites': ['CuAu'], 'structure_features': ['disorder']}
    formula = {'elements': ['Au', 'Cu'], 'nelements': 2, 'elements_ratios': [0.5, 0.5]}
    names = {'chemical_formula_reduced': 'AuCu', 'chemical_formula_anonymous': 'AB', 'chemical_formula_descriptive': ''}
    return entry('half', CRYSTALS[2], **changes, **formula, **names)


POOLS = {
    'good': [entry(f'x-{number}', atoms) for number, atoms in enumerate(CRYSTALS)],
    'molecule': [entry('water', molecule('H2O'))],
    'disorder': [disordered()],
    'flat': [entry('flat', CRYSTALS[2], lattice_vectors=[[1, 0, 0], [1, 0, 0], [0, 0, 1]])],
    'infinite': [entry('infinite', CRYSTALS[2], cartesian_site_positions=[[float('inf'), 0, 0]])],
    'half': [{'id': 'half', 'type': 'structures', 'attributes': {'nsites': 3}}],
    'text': ['no entry'],
    'empty': [],
}


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path; two entries a page."""

    def do_GET(self):
        parts = urlsplit(self.path)
        name = parts.path.split('/')[1]
        if name == 'busy':
            self.answer(429, {})
        elif name == 'broken':
            self.answer(500, {'errors': [{'title': 'Internal', 'detail': 'the\ndisk \x1b[31mis full'}]})
        elif name == 'garbage':
            self.answer(200, None)
        elif name == 'lists':
            self.answer(200, [1, 2])
        elif name == 'slow':
            time.sleep(2)
        elif name == 'away':
            self.answer(302, {}, Location='file:///etc/passwd')
        elif name == 'elsewhere':
            self.answer(200, {'data': POOLS['good'][:1], 'meta': {}, 'links': {'next': 'file:///etc/passwd'}})
        else:
            first, pool = int(parse_qs(parts.query).get('page_offset', ['0'])[0]), POOLS[name]
            here = f'http://{self.headers["Host"]}{parts.path}?page_offset={first + 2}'
            links = {'next': here if first + 2 < len(pool) else None}
            meta = {'data_available': len(pool), 'data_returned': len(pool)}
            self.answer(200, {'data': pool[first : first + 2], 'meta': meta, 'links': links})

    def answer(self, code, content, **headers):
        body = b'<html>' if content is None else json.dumps(content).encode()
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture(scope='module')
def address():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def search(*addresses, **keys):
    table = {'type': 'optimade', 'base_urls': list(addresses), 'filter': 'nelements >= 1'} | keys
    return search_optimade(parse_plugin('source', table), None, np.random.default_rng(0))


def test_structures_of_all_pages(address, capfd):
    found = search(f'{address}/good')
    assert [item.provenance for item in found] == [{'provider': f'{address}/good', 'id': f'x-{n}'} for n in range(3)]
    for structure, crystal in zip(found, CRYSTALS, strict=True):
        assert structure.atoms.symbols.formula == crystal.symbols.formula
        assert structure.atoms.positions == pytest.approx(crystal.positions)
        assert structure.atoms.cell.array == pytest.approx(crystal.cell.array)
        assert structure.atoms.pbc.all()
        assert not structure.atoms.info
        assert set(structure.atoms.arrays) == {'numbers', 'positions'}
    assert capfd.readouterr() == ('', '')


def test_no_more_than_asked_of_each_provider(address):
    found = search(f'{address}/good', f'{address}/molecule', max_results=1)
    assert [item.provenance['id'] for item in found] == ['x-0', 'water']
    assert not found[1].atoms.pbc.any()
    assert found[1].atoms.cell.rank == 0
    assert isinstance(found[1].atoms, Atoms)


@pytest.mark.parametrize(
    ('name', 'keys', 'told'),
    [
        ('empty', {}, '"filter": .* fits no structure'),
        ('disorder', {}, '"filter": entry \'half\' .*partial occupancies'),
        ('flat', {}, "entry 'flat' .*without a cell vector of its own"),
        ('infinite', {}, "entry 'infinite' .*not finite"),
        ('half', {}, "entry 'half'"),
        ('text', {}, "entry 'no entry'"),
        ('broken', {}, '"base_urls": .*disk .*is full'),
        ('garbage', {}, '"base_urls": .* gives no answer'),
        ('lists', {}, '"base_urls": '),
        ('busy', {'timeout': 0.5}, '"base_urls": .*longer than "timeout" = 0.5 s'),
        ('slow', {'timeout': 0.5}, '"base_urls": .*[Tt]imed? ?out'),
        ('away', {}, '"base_urls": .*file:'),
        ('elsewhere', {'max_results': 5}, '"base_urls": .*file:'),
        ('good', {'filter': 'nelements >>'}, '"filter": .* is no filter'),
    ],
)
def test_refused(address, name, keys, told):
    before = sys.excepthook, getattr(sys, 'tracebacklimit', None)
    started = time.monotonic()
    with pytest.raises(ValueError, match=told) as caught:
        search(f'{address}/{name}', **keys)
    assert str(caught.value).isprintable()
    assert time.monotonic() - started < 3
    assert (sys.excepthook, getattr(sys, 'tracebacklimit', None)) == before


def test_without_network():
    with pytest.raises(ValueError, match=r'"base_urls": http://127.0.0.1:9 gives no answer'):
        search('http://127.0.0.1:9', timeout=2.0)


@pytest.mark.parametrize(
    'keys',
    [
        {'base_urls': []},
        {'base_urls': ['file:///etc/passwd']},
        {'base_urls': ['example.org']},
        {'filter': ''},
        {'max_results': 0},
        {'max_results': 10**6},
        {'timeout': -1.0},
    ],
)
def test_configs_that_are_none(keys):
    table = {'type': 'optimade', 'base_urls': ['https://example.org'], 'filter': 'nsites < 5'} | keys
    with pytest.raises(ConfigError, match=next(iter(keys))):
        parse_plugin('source', table)
