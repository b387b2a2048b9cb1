"""Validator ``surface``."""

import tomllib

import numpy as np
import pytest
from ase import units
from ase.build import bulk, fcc100, fcc110, fcc111, molecule
from ase.calculators.emt import EMT
from ase.spacegroup import crystal

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, make_validator
from aiida_traincraft.science.validation.surface import SurfaceEnergyConfig

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


def configure(miller=(1, 1, 1), **keys):
    return SurfaceEnergyConfig(geometry=GEOMETRY, miller=miller, **keys)


def look(atoms, **keys):
    return examine(configure(**keys), Subject(EMT(), Structure(atoms), report=lambda line: None))


def energy(atoms):
    atoms.calc = EMT()
    return atoms.get_potential_energy()


@pytest.mark.parametrize(
    ('miller', 'known', 'facet'),
    [((1, 1, 1), 1.044, fcc111), ((1, 0, 0), 1.134, fcc100), ((1, 1, 0), 1.229, fcc110)],
)
def test_copper(miller, known, facet):
    findings, _ = look(bulk('Cu'), miller=miller)
    assert findings.values['surface_energy'] == pytest.approx(known, abs=0.001)
    rigid, frames = look(bulk('Cu', cubic=True), miller=miller, relax=False)
    slab = facet('Cu', (1, 1, len(frames[1])), a=3.5898, vacuum=8.0)
    area = np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    excess = energy(slab) - len(slab) * energy(bulk('Cu', a=3.5898))
    assert rigid.values['surface_energy'] == pytest.approx(excess / (2 * area) / (units.J / units.m**2), abs=5e-4)
    assert rigid.values['surface_energy'] >= findings.values['surface_energy']


def test_the_slab_is_as_thick_and_as_far_from_its_image_as_asked():
    keys = {'relax': False, 'vacuum': 6.0}
    (thin, (_, slab)), (thick, (_, thicker)) = (look(bulk('Cu'), thickness=value, **keys) for value in (8.0, 20.0))
    spacing = 3.5898 / 3**0.5
    assert len(slab) == np.ceil(8.0 / spacing)
    assert len(thicker) == np.ceil(20.0 / spacing)
    assert slab.atoms.cell.lengths()[2] == pytest.approx((len(slab) - 1) * spacing + 12.0, abs=0.01)
    assert slab.atoms.pbc.all()
    # Nothing is left of the other side at this thickness.
    assert thick.values['surface_energy'] == pytest.approx(thin.values['surface_energy'], abs=0.002)


def test_the_indices_are_those_of_the_conventional_cell():
    atoms = bulk('Cu', cubic=True)
    large = atoms.repeat((2, 1, 1))
    results = [look(start, miller=(2, 0, 0))[0].values['surface_energy'] for start in (bulk('Cu'), atoms, large)]
    assert results == pytest.approx([1.134] * 3, abs=0.001)


def test_a_compound_of_stoichiometric_planes():
    mixed = bulk('CuPd', 'cesiumchloride', a=3.0)
    findings, frames = look(mixed, miller=(1, 1, 0), relax=False)
    assert findings.broken is None
    counts = np.bincount(frames[1].atoms.numbers)
    assert counts[29] == counts[46]
    assert 0.5 < findings.values['surface_energy'] < 3
    curve = findings.curves['terminations']
    assert min(curve['surface energy (J/m²)']) == findings.values['surface_energy']


def test_a_reference_of_half_the_energies():
    config = configure(reference=True, thickness=8.0, at_most={'surface_energy_error': 0.1})
    findings, frames = examine(config, Subject(EMT(), Structure(bulk('Cu')), report=lambda line: None))
    reference = [compute(frame.bare(), EMT()) for frame in frames]
    for frame in reference:
        frame.properties['energy'] /= 2
    found = compare(config, findings, frames, reference)
    assert found.values['surface_energy_error'] == pytest.approx(findings.values['surface_energy'] / 2)
    assert not check(config, found)[0].passed


def refuse(start, message, **keys):
    with pytest.raises(ValueError, match=message):
        make_validator(configure(**keys)).check_start(Structure(start))


def test_polar_and_unsymmetric_slabs_are_refused():
    perovskite = crystal(
        ['Sr', 'Ti', 'O'], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.9] * 3 + [90] * 3
    )
    refuse(perovskite, r'"miller": no slab \[1, 0, 0\] of O3SrTi has both equivalent sides', miller=(1, 0, 0))
    rocksalt = bulk('MgO', 'rocksalt', a=4.2)
    refuse(rocksalt, r'"miller": no slab \[1, 1, 1\] of MgO', miller=(1, 1, 1))
    make_validator(configure(miller=(1, 0, 0))).check_start(Structure(rocksalt))


def test_unusable_starts_are_refused():
    refuse(molecule('H2O'), '"geometry": validator \'surface\' starts from a crystal')
    wide = bulk('Cu', cubic=True).repeat(5)
    wide.rattle(0.3, seed=0)
    refuse(wide, '"thickness" asks for', thickness=1000.0, miller=(20, 19, 17))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({}, r'validator\.miller: .*'),
        ({'miller': [0, 0, 0]}, r'\[0, 0, 0\] is no plane'),
        ({'miller': [1, 0, 0], 'vacuum': 0.0}, r'validator\.vacuum'),
        ({'miller': [1, 0, 0], 'thickness': 1e6}, r'validator\.thickness'),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'surface', 'geometry': GEOMETRY} | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'surface').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    findings, _ = examine(config, Subject(EMT(), start, report=lambda line: None))
    assert findings.broken is None
    assert set(findings.values) == set(config.quantities)
    assert all(item.passed for item in check(config, findings))
