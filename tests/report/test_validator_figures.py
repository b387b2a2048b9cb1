"""Figures of validators, drawn from what the validators themselves find."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

from aiida_traincraft.report.figures import to_svg
from aiida_traincraft.report.validators import draw_findings, special_points
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.calculators.tblite import TbliteConfig
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.validation import Subject, compare, examine

COPPER = {'builder': {'type': 'crystal', 'name': 'Cu', 'a': 3.6}}
CUBIC = {'builder': {'type': 'crystal', 'name': 'Cu', 'a': 3.6, 'cubic': True}}
WATER = {'builder': {'type': 'molecule', 'name': 'H2O'}}


def find(calculator, with_reference=True, **keys):
    """Curves of a validator, as a campaign stores them: with the calculator itself as the reference."""
    config = parse_plugin('validator', keys)
    findings, frames = examine(config, Subject(calculator, next(iter(build_geometries(config.geometry, None, 0)))))
    assert findings.broken is None
    return (compare(config, findings, frames, frames) if with_reference else findings).curves


def texts(name, drawing):
    """All texts of a figure; it must be well-formed."""
    return {''.join(part.itertext()).strip() for part in ET.fromstring(to_svg(name, drawing)).iter() if part.text}


def test_phonons_are_bands_with_their_density():
    curves = find(EMT(), type='phonons', geometry=COPPER, repeat=[2, 2, 2], points=60, mesh=5)
    (figure,), rest = draw_findings('phonons', curves)
    assert figure.tables.keys() == {'bands', 'bands_reference', 'density', 'density_reference'}
    assert rest.keys() == {'special_points', 'special_points_reference'}
    shown = texts('phonons', figure.drawing)
    assert {'Γ', 'X', 'L', 'frequency (THz)', '(1/THz)', 'potential', 'reference'} <= shown
    # The path of fcc, Γ X W K Γ L U W L K | U X, jumps once.
    names = list(special_points(curves['bands']).values())
    assert names == ['Γ', 'X', 'W', 'K', 'Γ', 'L', 'U', 'W', 'L', 'K\nU', 'X']


@pytest.mark.parametrize(('structure', 'below'), [('fcc', False), ('bcc', True)])
def test_imaginary_modes_are_below_zero(structure, below):
    geometry = {'builder': {'type': 'crystal', 'name': 'Cu', 'crystalstructure': structure, 'a': 2.9}}
    curves = find(EMT(), type='phonons', geometry=geometry, repeat=[2, 2, 2], points=60, mesh=5)
    axes = Figure().add_subplot()
    draw_findings('phonons', curves)[0][0].drawing.draws[0](axes)
    assert bool(axes.get_ylim()[0] < -0.1) is below


@pytest.mark.parametrize(
    ('keys', 'figures', 'tables', 'words'),
    [
        (
            {'type': 'eos', 'geometry': COPPER},
            {'scan': 4},
            set(),
            {'volume (Å³/atom)', 'energy (eV/atom)', 'potential', 'reference'},
        ),
        (
            {'type': 'dimer', 'geometry': COPPER},
            {'energy': 2},
            {'pairs', 'pairs_reference'},
            {'distance (Å)', 'Cu-Cu', 'Cu-Cu, reference'},
        ),
        ({'type': 'elastic', 'geometry': CUBIC}, {}, {'matrix', 'matrix_reference'}, set()),
    ],
)
def test_figures_and_tables(keys, figures, tables, words):
    drawn, rest = draw_findings(keys['type'], find(EMT(), **keys))
    assert {figure.name: len(figure.tables) for figure in drawn} == figures
    assert rest.keys() == tables
    assert words <= {text for figure in drawn for text in texts(figure.name, figure.drawing)}


def test_every_run_of_dynamics_is_drawn():
    keys = {'temperature': 300.0, 'runs': 2, 'length': 0.1, 'equilibration': 0.02, 'nve_length': 0.1, 'timestep': 5.0}
    curves = find(EMT(), with_reference=False, type='md_stability', geometry=CUBIC, **keys)
    drawn, rest = draw_findings('md_stability', curves)
    assert [figure.name for figure in drawn] == ['temperature', 'total_energy', 'minimum_distance']
    assert not rest
    assert {'run 1', 'run 2', 'thermostat off', 'time (ps)', 'temperature (K)'} <= texts('md', drawn[0].drawing)
    assert drawn[1].tables['run_2']['total energy (eV/atom)'] == curves['run_2']['total energy (eV/atom)']


@pytest.mark.parametrize(('kind', 'unit'), [('infrared', 'intensity (km/mol)'), ('raman', 'activity (Å⁴/u)')])
def test_spectra_have_sticks_and_a_line(kind, unit):
    pytest.importorskip('tblite')
    water = make_calculator(TbliteConfig(accuracy=0.1, polarizability=kind == 'raman'))
    keys = {'temperature': 60.0, 'runs': 1, 'length': 0.02, 'equilibration': 0.0, 'window': 0.02}
    (figure,), rest = draw_findings(kind, find(water, type=kind, geometry=WATER, **keys))
    assert figure.tables.keys() == {'spectrum', 'harmonic', 'harmonic_reference'}
    assert not rest
    assert {unit, 'dynamics', 'harmonic', 'reference', 'wavenumber (cm⁻¹)'} <= texts(kind, figure.drawing)
