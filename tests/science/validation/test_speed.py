"""Validator ``speed``."""

import time
import tomllib

import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, examine, make_validator
from aiida_traincraft.science.validation.speed import SpeedConfig

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


def configure(**keys):
    return SpeedConfig(geometry=GEOMETRY, **{'duration': 0.1} | keys)


class Slow(EMT):
    """A hundredth of a second more per step."""

    def calculate(self, *arguments, **keys):
        super().calculate(*arguments, **keys)
        time.sleep(0.01)


def test_sizes_are_timed_in_order():
    lines = []
    subject = Subject(EMT(), Structure(bulk('Cu', cubic=True)), report=lines.append)
    findings, frames = examine(configure(sizes=[2, 1]), subject)
    assert findings.broken is None
    assert frames == []
    curve = findings.curves['speed']
    assert curve['atoms'] == [4, 32]
    assert len(lines) == 2
    assert findings.values['atom_steps_per_second'] == curve['atom_steps_per_second (1/s)'][1] > 100
    assert all(steps >= 1 for steps in curve['steps'])
    assert 'another gives other numbers' in findings.notes[0]
    assert len(subject.start) == 4


def test_the_time_of_the_potential_counts():
    findings, _ = examine(configure(sizes=[1], duration=0.3), Subject(Slow(), Structure(bulk('Cu', cubic=True))))
    assert 100 < findings.values['atom_steps_per_second'] < 4 / 0.01
    assert findings.curves['speed']['time per step (s)'][0] > 0.01


def test_one_step_is_done_at_least():
    findings, _ = examine(configure(sizes=[1], duration=0.001), Subject(Slow(), Structure(bulk('Cu', cubic=True))))
    assert findings.curves['speed']['steps'] == [1]


def test_dynamics_that_explode_are_not_timed():
    findings, _ = examine(
        configure(sizes=[2], timestep=10.0, temperature=50000.0, duration=5.0),
        Subject(EMT(), Structure(bulk('Cu', cubic=True))),
    )
    assert findings.broken.startswith('dynamics of 32 atoms: ')
    assert findings.values == {}


def test_only_what_is_periodic_is_repeated():
    validator = make_validator(configure(sizes=[1, 2]))
    with pytest.raises(ValueError, match=r'"sizes" has 2, but "geometry" is not periodic: use sizes = \[1\]'):
        validator.check_start(Structure(molecule('H2O')))
    slab = Structure(bulk('Cu', cubic=True))
    slab.atoms.pbc = (True, True, False)
    findings, _ = examine(configure(sizes=[2]), Subject(EMT(), slab))
    assert findings.curves['speed']['atoms'] == [16]


def test_a_cell_that_becomes_too_large_is_refused():
    with pytest.raises(ValueError, match='"sizes" asks for 4e\\+06 atoms'):
        make_validator(configure(sizes=[1, 100])).check_start(Structure(bulk('Cu', cubic=True)))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'sizes': []}, r'validator\.sizes: '),
        ({'sizes': [0]}, r'validator\.sizes.*: .*greater than or equal to 1'),
        ({'reference': True}, r'validator\.reference: '),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'speed', 'geometry': GEOMETRY} | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'speed').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    make_validator(config).check_start(start)
    findings, _ = examine(config, Subject(EMT(), start))
    assert set(findings.values) <= set(config.quantities)
    assert findings.values['atom_steps_per_second'] > 0
