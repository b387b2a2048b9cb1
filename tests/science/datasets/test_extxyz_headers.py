"""Headers of extended XYZ however they are spelled: what is read is what was meant, or the frame is refused."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ase.data import atomic_numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiida_traincraft.science.datasets.extxyz import read_labelled
from aiida_traincraft.science.datasets.label_keys import LabelKeys
from aiida_traincraft.science.datasets.refusals import RefusedFrame

FAMILIES = {
    'REF': ('REF_energy', 'REF_forces', 'REF_stress', 'REF_virials'),
    'dft': ('dft_energy', 'dft_forces', 'dft_stress', 'dft_virial'),
    'plain': ('energy', 'forces', 'stress', 'virial'),
}
"""In the order in which they are looked for."""
YES, NO = ('T', 'True', 'true', '.true.', '1', 'yes'), ('F', 'False', 'false', '.FALSE.', '0', 'no')
ODD_PBC = (
    'maybe',
    'T T',
    'T F T F',
    'T F F',
    'f t t',
    '.true. .false. .true.',
    '1 0 0',
    '2 2 2',
    '""',
    'x',
    'T F maybe',
    '-1 0 1',
)
NOISE = (
    'config_type=bulk', 'name="a b"', 'comment="Lattice=\\"9 0 0 0 9 0 0 0 9\\" energy=7"', "remark='pbc=F'", 'flag',
    'n=3', 'old_energy=-99.0', 'energy_per_atom=-99.0',
    'note="forces = 3"', 'lattice_constant=4.0', 'a={energy=1}', 'time=1.0',
    'empty=""', 'unit="eV/Å"', 'mixed=[1, "energy=5"]', 'quote="it\'s"', 'E=-99.0',
)  # fmt: skip
BROKEN = (
    "it's",
    'open="a b',
    'open={1 2',
    'key=',
    '=',
    'a==b',
    '"quoted key"=1',
    '"energy=5"',
    'escaped=\\"',
    'x=[[1,2],[3,4]]',
    '\\',
)
"""What parsers stumble over."""
SYNONYMS = {'species': 'symbols', 'pos': 'positions', 'Z': 'numbers'}
finite = st.floats(-50, 50).map(lambda value: round(value, 5))


@dataclass
class Meant:
    """What the writer of a frame meant."""

    numbers: list[int]
    positions: np.ndarray
    cell: np.ndarray | None
    pbc: list[bool]
    labels: dict[str, np.ndarray] | None
    text: str
    ordinary: bool
    """Whether every program would have read it, so that it must be read."""


def spelled(draw, word):
    """A word in any case."""
    return draw(st.sampled_from([word, word.lower(), word.upper(), word.capitalize(), word.swapcase()]))


def number(draw, value):
    """A number as Fortran, C and Python write it."""
    return draw(st.sampled_from([f'{value:.5f}', f'{value:+.5f}', f'{value:.9e}', f'{value:.9E}', repr(float(value))]))


def quoted(draw, words):
    """Several words as one value."""
    joined = ' '.join(words)
    forms = [
        f'"{joined}"',
        f'"{joined}"',
        f"'{joined}'",
        f'{{{joined}}}',
        f'" {"  ".join(words)} "',
        f'[{", ".join(words)}]',
    ]
    return draw(st.sampled_from(forms))


def nested(words):
    """Nine words as a matrix, which few programs write so."""
    rows = [', '.join(words[row : row + 3]) for row in (0, 3, 6)]
    return f'[[{"], [".join(rows)}]]'


def periodicity(draw, pbc):
    """Spelling of three yes or no."""
    words = [draw(st.sampled_from(YES if direction else NO)) for direction in pbc]
    letters = ['T' if direction else 'F' for direction in pbc]
    forms = [
        quoted(draw, words),
        quoted(draw, letters),
        quoted(draw, letters),
        ''.join(letters),
        f'"{",".join(letters)}"',
    ]
    if len(set(pbc)) == 1:
        forms.append(words[0])
    return draw(st.sampled_from(forms))


class Writer:
    """Writes one frame in any spelling, and knows what it means."""

    def __init__(self, draw):
        self.draw = draw
        self.n_atoms = draw(st.integers(1, 3))
        self.header, self.columns = [], []
        self.ordinary = True
        self.readable = True
        self.cell, self.pbc = None, [False] * 3

    def rarely(self, times):
        """Once in so many frames."""
        return self.draw(st.integers(1, times)) == times

    def one_of(self, *choices):
        return self.draw(st.sampled_from(choices))

    def vectors(self):
        """Three numbers for each atom."""
        size = 3 * self.n_atoms
        return np.array(self.draw(st.lists(finite, min_size=size, max_size=size))).reshape(-1, 3)

    def rows(self, values):
        return [[number(self.draw, value) for value in row] for row in values]

    def write_cell(self):
        if not self.rarely(4):
            # No two components alike: neither a transposed nor a permuted cell is this one.
            self.cell = np.diag(self.draw(st.lists(st.floats(3, 9), min_size=3, max_size=3))).round(3)
            self.cell[np.triu_indices(3, 1)] = [0.11, 0.12, 0.13]
            self.cell[np.tril_indices(3, -1)] = [0.21, 0.22, 0.23]
            words = [number(self.draw, value) for value in self.cell.ravel()]
            self.header.append((spelled(self.draw, 'Lattice'), quoted(self.draw, words)))
            self.pbc = [True] * 3
        if self.rarely(12):
            self.header.append((spelled(self.draw, 'pbc'), self.one_of(*ODD_PBC)))
            self.readable = False
        elif not self.rarely(3):
            if self.cell is not None:
                self.pbc = self.draw(st.lists(st.booleans(), min_size=3, max_size=3))
            self.header.append((spelled(self.draw, 'pbc'), periodicity(self.draw, self.pbc)))

    def write_atoms(self):
        self.symbols = [self.one_of('Cu', 'H', 'O', 'Cl') for _ in range(self.n_atoms)]
        self.positions = self.vectors()
        numbers = [[str(atomic_numbers[symbol])] for symbol in self.symbols]
        species, z = (
            self.one_of('species', 'species', 'Species', 'SPECIES', 'symbols'),
            self.one_of('Z', 'z', 'numbers'),
        )
        how = self.one_of('species', 'species', 'numbers', 'both', 'contradiction')
        if how != 'numbers':
            self.columns.append((f'{species}:S:1', [[symbol] for symbol in self.symbols]))
        if how == 'contradiction':
            numbers[0] = ['79']
            self.readable = False
        if how != 'species':
            self.columns.append((f'{z}:I:1', numbers))
        self.columns.append((f'{self.one_of("pos", "pos", "Pos", "POS", "positions")}:R:3', self.rows(self.positions)))
        if self.rarely(2):
            self.columns.append(('tags:I:1', [[str(index)] for index in range(self.n_atoms)]))

    def write_stress(self, family, what, key):
        """Write a stress or a virial; its stress, where it has one."""
        six = np.array(self.draw(st.lists(finite, min_size=6, max_size=6)))
        xx, yy, zz, yz, xz, xy = six
        if what == 'stress' and self.rarely(2):
            # ASE wants nine of what is called so.
            self.ordinary &= family != 'plain'
            value = quoted(self.draw, [number(self.draw, item) for item in six])
        else:
            words = [number(self.draw, item) for item in (xx, xy, xz, xy, yy, yz, xz, yz, zz)]
            is_nested = self.rarely(4)
            self.ordinary &= not is_nested
            value = nested(words) if is_nested else quoted(self.draw, words)
        self.header.append((spelled(self.draw, key), value))
        if what == 'stress':
            return {'stress': six}
        # Where there is no volume, a virial has no stress.
        return {'stress': -six / abs(np.linalg.det(self.cell))} if all(self.pbc) else {}

    def write_labels(self):
        """Write labels of any families; those that are meant, the first family's that has energy or forces."""
        present = []
        for family, (energy, forces, *stresses) in FAMILIES.items():
            chosen, values = self.one_of('', '', 'e', 'ef', 'ef', 'efs', 'efv', 's'), {}
            if 'e' in chosen:
                values['energy'] = self.draw(finite)
                self.header.append((spelled(self.draw, energy), number(self.draw, values['energy'])))
            if 'f' in chosen:
                values['forces'] = self.vectors()
                self.columns.append((f'{spelled(self.draw, forces)}:R:3', self.rows(values['forces'])))
            for what, key in zip(('stress', 'virial'), stresses, strict=True):
                if what[0] in chosen:
                    values |= self.write_stress(family, what, key)
            if 'e' in chosen:
                present.append(values)
        first = next(iter(present), {})
        return first if 'forces' in first else None

    def damage(self):
        """Write something twice, with other values or the same."""
        if self.rarely(10):
            name, table = self.one_of(*self.columns)
            word, kind = name.split(':', 1)
            again = self.one_of(word, SYNONYMS.get(word, word), spelled(self.draw, word))
            self.columns.append((f'{again}:{kind}', table[::-1]))
            values = table if kind.startswith('S') else [[float(entry) for entry in row] for row in table]
            # Other arrays may have any name, so those that differ in case are two.
            self.readable &= values[::-1] == values or word == 'tags'
            self.ordinary = False
        if self.rarely(10):
            key, value = self.one_of(*self.header, ('pbc', 'T'))
            self.header += [(key, value), (key.swapcase(), value)]
            self.readable = False

    def text(self):
        columns = self.draw(st.permutations(self.columns))
        self.header.append((spelled(self.draw, 'Properties'), ':'.join(name for name, _ in columns)))
        equals = self.one_of('=', '=', '=', ' = ', '= ', ' =')
        parts = [f'{key}{equals}{value}' for key, value in self.header]
        parts += self.draw(st.lists(st.sampled_from(NOISE), max_size=3, unique=True))
        if self.rarely(10):
            parts.append(self.one_of(*BROKEN))
            self.ordinary = False
        if self.rarely(20):
            exponent = self.one_of('D+', 'd+', '+')
            parts = [part.replace('e+', exponent) for part in parts]
            self.ordinary = False
        line = self.one_of(' ', '  ', '\t').join(self.draw(st.permutations(parts)))
        rows = [' '.join(word for _, table in columns for word in table[atom]) for atom in range(self.n_atoms)]
        return '\n'.join([str(self.n_atoms), line, *rows, ''])


@st.composite
def frames(draw):
    """One frame, and what is meant by it."""
    writer = Writer(draw)
    writer.write_cell()
    writer.write_atoms()
    labels = writer.write_labels()
    writer.damage()
    text = writer.text()
    numbers = [atomic_numbers[symbol] for symbol in writer.symbols]
    labels = labels if writer.readable else None
    return Meant(numbers, writer.positions, writer.cell, writer.pbc, labels, text, writer.ordinary)


def check(meant):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'one.xyz'
        path.write_text(meant.text, encoding='utf-8')
        ((found, size),) = read_labelled(path, LabelKeys())
    assert size == len(meant.text.encode())
    if isinstance(found, RefusedFrame):
        assert found.reason
        assert not (meant.ordinary and meant.labels), f'{found}\n{meant.text}'
        return
    assert meant.labels is not None, meant.text
    assert found.atoms.numbers.tolist() == meant.numbers
    assert np.allclose(found.atoms.positions, meant.positions)
    assert np.allclose(found.atoms.cell.array, 0 if meant.cell is None else meant.cell)
    assert found.atoms.pbc.tolist() == meant.pbc
    assert set(found.properties) == set(meant.labels)
    for name, value in meant.labels.items():
        assert np.allclose(found.properties[name], value), name
    if 'tags' in found.atoms.arrays:
        assert found.atoms.arrays['tags'].tolist() == list(range(len(found.atoms)))


EVERYTHING = {'deadline': None, 'suppress_health_check': list(HealthCheck)}


@pytest.mark.parametrize(
    'opened',
    ['open={1 2 lattice={3 0 0 0 3 0 0 0 3}', 'open=[1 2 Lattice="3 0 0 0 3 0 0 0 3" n=[1]', 'a={b={1} energy=2}'],
)
def test_a_brace_that_does_not_close_hides_no_key(tmp_path, opened):
    found = read(tmp_path, f'pbc="F F F" energy=1.0 {opened} {COLUMNS}')
    assert isinstance(found, RefusedFrame)
    assert 'as one value: a brace that does not close?' in found.reason


@settings(max_examples=100, derandomize=True, **EVERYTHING)
@given(frames())
def test_what_is_read_is_what_was_meant(meant):
    check(meant)


@pytest.mark.long
@settings(max_examples=10_000, **EVERYTHING)
@given(frames())
def test_what_is_read_is_what_was_meant_in_many_frames(meant):
    check(meant)


LATTICE = 'Lattice="3 0 0 0 3 0 0 0 3"'
COLUMNS = 'Properties=species:S:1:pos:R:3:forces:R:3'


def read(tmp_path, header, row='Cu 0 0 0 4 5 6'):
    path = tmp_path / 'one.xyz'
    path.write_text(f'1\n{header}\n{row}\n', encoding='utf-8')
    ((found, _),) = read_labelled(path, LabelKeys())
    return found


@pytest.mark.parametrize(
    ('header', 'energy'),
    [
        (f'note="" energy=2.0 {LATTICE} {COLUMNS} pbc="F F F"', 2.0),
        (f'note="" REF_energy=2.0 energy=1.0 {LATTICE} {COLUMNS}:REF_forces:R:3 pbc="F F F"', 2.0),
        (f'note=\\" energy=2.0 pbc="F F F" lattice="3 0 0 0 3 0 0 0 3" {COLUMNS}', 2.0),
        (f'"a key"=1 "energy"=2.0 pbc="F F F" {LATTICE} {COLUMNS}', 2.0),
        (f't=1.5 n=2 y=3 energy=2.0 pbc=F {LATTICE} {COLUMNS}', 2.0),
    ],
)
def test_empty_values_and_escapes_swallow_no_key(tmp_path, header, energy):
    found = read(tmp_path, header, 'Cu 0 0 0 4 5 6 7 8 9' if 'REF' in header else 'Cu 0 0 0 4 5 6')
    assert found.properties['energy'] == energy
    assert found.atoms.pbc.tolist() == [False] * 3
    assert found.atoms.cell.lengths().tolist() == [3.0] * 3


@pytest.mark.parametrize(
    ('header', 'row', 'reason'),
    [
        (f'energy=1.0 pbc=T F F {LATTICE} {COLUMNS}', 'Cu 0 0 0 4 5 6', "'F' without a key: does it belong to pbc"),
        (f'energy=1.0 pbc=F F T {LATTICE} {COLUMNS}', 'Cu 0 0 0 4 5 6', "'F' without a key: does it belong to pbc"),
        (
            f'energy=1.0 {LATTICE} {COLUMNS} note=it\'s pbc="F F F"',
            'Cu 0 0 0 4 5 6',
            "'pbc' inside the value of another",
        ),
        (f'energy=1.0 "Energy"=2.0 {COLUMNS}', 'Cu 0 0 0 4 5 6', "the key 'energy' twice"),
        (f'energy=1.0 "lattice"="3 0 0 0 3 0 0 0 3" {COLUMNS}', 'Cu 0 0 0 4 5 6', "key 'Lattice' inside"),
        (f'energy=1.0 {COLUMNS}:positions:R:3', 'Cu 0 0 0 4 5 6 1 1 1', 'several columns of positions that differ'),
        (f'energy=1.0 {COLUMNS}:symbols:S:1', 'Cu 0 0 0 4 5 6 Au', 'several columns of symbols that differ'),
        (f'energy=1.0 {COLUMNS}:z:I:1', 'Cu 0 0 0 4 5 6 79', "species 'Cu' stands beside the atomic number 79"),
    ],
)
def test_what_could_mean_two_things_is_refused(tmp_path, header, row, reason):
    assert reason in read(tmp_path, header, row).reason
