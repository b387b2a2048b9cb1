"""Validator ``dimer``."""

import tomllib

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine
from aiida_traincraft.science.validation.dimer import DimerConfig

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}
COPPER = Structure(Atoms('Cu'))


class Buckingham(Calculator):
    """A exp(-r / 0.3 Å) - C / r⁶, which falls without end inside its barrier."""

    implemented_properties = ('energy', 'forces')

    def __init__(self, repulsion=2000.0, dispersion=10.0):
        super().__init__()
        self.repulsion, self.dispersion = repulsion, dispersion

    def energy(self, r):
        return self.repulsion * np.exp(-r / 0.3) - self.dispersion / r**6

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        vector = atoms.positions[1] - atoms.positions[0]
        r = np.linalg.norm(vector)
        slope = -self.repulsion / 0.3 * np.exp(-r / 0.3) + 6 * self.dispersion / r**7
        self.results = {'energy': self.energy(r), 'forces': slope * np.array([vector, -vector]) / r}


def configure(**keys):
    return DimerConfig(geometry=GEOMETRY, **keys)


def test_every_pair_of_elements_repels_in_emt():
    start = Structure(Atoms('AuCuCu', [[0, 0, 0], [3, 0, 0], [6, 0, 0]]))
    findings, frames = examine(configure(), Subject(EMT(), start))
    assert findings.broken is None
    assert findings.curves['pairs']['pair'] == ['Au-Au', 'Au-Cu', 'Cu-Cu']
    assert findings.values['hole_depth'] == 0
    assert findings.values['wall_height'] == min(findings.curves['pairs']['wall (eV)']) > 10
    assert findings.notes == []
    assert not any(frame.atoms.pbc.any() for frame in frames)
    # 0.5 and 6 Å, of the sum of the covalent radii of copper (1.32 Å each).
    copper = [frame.atoms.get_distance(0, 1) for frame in frames if frame.provenance['pair'] == 'Cu-Cu']
    assert (min(copper), max(copper)) == pytest.approx((1.32, 6.0))
    assert np.diff(copper) == pytest.approx(np.diff(copper)[0])
    assert abs(np.diff(copper)[0]) <= 0.05


def test_bond_of_a_morse_pair():
    morse = MorsePotential(epsilon=1.5, r0=2.2, rho0=5.0, rcut1=8.0, rcut2=9.0)
    findings, _ = examine(configure(farthest=7.5, step=0.01), Subject(morse, COPPER))
    curve = findings.curves['pairs']
    assert curve['minimum (Å)'] == pytest.approx([2.2], abs=0.01)
    assert curve['well (eV)'] == pytest.approx([1.5], abs=0.01)
    assert findings.values['hole_depth'] == 0
    height = 1.5 * (np.exp(5.0 * (1 - 1.32 / 2.2)) - 1) ** 2
    assert findings.values['wall_height'] == pytest.approx(height, abs=0.01)
    assert findings.curves['energy']['energy (eV)'][0] == 0


def test_a_hole_is_found_and_measured():
    config = configure(closest=0.2, step=0.01, at_most={'hole_depth': 0.05})
    potential = Buckingham()
    findings, _ = examine(config, Subject(potential, COPPER))
    grid = np.linspace(0.2 * 2.64, 2.5, 5000)
    barrier = potential.energy(grid).max()
    assert findings.values['hole_depth'] == pytest.approx(barrier - potential.energy(0.2 * 2.64), rel=1e-3)
    assert findings.values['wall_height'] == 0
    [note] = findings.notes
    assert note.startswith('Cu-Cu falls into a hole of ')
    assert note.endswith(' eV at 0.53 Å')
    assert not check(config, findings)[0].passed


def test_a_pair_that_collapses_has_no_wall():
    findings, _ = examine(configure(), Subject(Buckingham(repulsion=0.0), COPPER))
    assert findings.values == {'hole_depth': 0, 'wall_height': 0}


class Drawn(Calculator):
    """Any energy of the distance."""

    implemented_properties = ('energy', 'forces')

    def __init__(self, *wells):
        super().__init__()
        self.wells = wells

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        r = atoms.get_distance(0, 1)
        wells = sum(depth * np.exp(-(((r - centre) / width) ** 2)) for depth, centre, width in self.wells)
        self.results = {'energy': 3 * np.exp(-(r - 1.3) / 0.15) - wells, 'forces': np.zeros((2, 3))}


def test_a_short_bond_is_no_hole():
    findings, _ = examine(configure(), Subject(Drawn((4, 1.85, 0.4)), COPPER))
    assert findings.values['hole_depth'] == 0
    assert findings.values['wall_height'] > 2


def test_a_hole_that_is_deeper_than_the_bond():
    findings, _ = examine(configure(step=0.01), Subject(Drawn((2, 2.7, 0.2), (8, 2.2, 0.12)), COPPER))
    assert 5 < findings.values['hole_depth'] < 8
    assert findings.notes[0].endswith('eV at 2.20 Å')


def test_a_number_that_is_not_finite_is_broken():
    findings, _ = examine(configure(), Subject(Buckingham(repulsion=np.nan), COPPER))
    assert findings.broken == 'energy of Cu2 is not finite'
    assert findings.values == {}


def test_a_periodic_box_changes_nothing_where_the_images_are_out_of_reach():
    alone, _ = examine(configure(), Subject(EMT(), COPPER))
    boxed, frames = examine(configure(box=20.0), Subject(EMT(), COPPER))
    assert boxed.values == pytest.approx(alone.values)
    assert all(frame.atoms.pbc.all() and frame.atoms.get_volume() == pytest.approx(8000) for frame in frames)


def test_errors_against_a_reference():
    config = configure(reference=True, closest=0.2, at_most={'hole_depth_error': 0.1})
    findings, frames = examine(config, Subject(Buckingham(), COPPER))
    own = findings.values['hole_depth']
    assert own > 0.1
    compared = compare(
        config, findings, frames, [compute(frame.bare(), Buckingham(dispersion=0.0)) for frame in frames]
    )
    assert compared.values['hole_depth_reference'] == 0
    assert compared.values['hole_depth_error'] == own
    assert not check(config, compared)[0].passed


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'box': 8.0}, r'"box" \(8.0 Å\) must be at least twice "farthest" \(6.0 Å\)'),
        ({'box': float('nan')}, r'box'),
        ({'closest': 0.9}, r'validator\.closest: .*less than 0.8'),
        ({'step': 0.0}, r'validator\.step: .*greater than or equal to 0.005'),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'dimer', 'geometry': GEOMETRY} | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'dimer').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    findings, _ = examine(config, Subject(EMT(), start))
    assert findings.broken is None
    assert set(findings.values) == set(config.quantities)
    assert all(item.passed for item in check(config, findings))
