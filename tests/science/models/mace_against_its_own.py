"""Compare ``MaceCalculator`` with MACE's own calculator: ``python mace_against_its_own.py MODELS``; prints JSON."""

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111

from aiida_traincraft.science.models.mace import MaceCalculator

# isort: split
from mace.calculators import MACECalculator

FOLDER = Path(sys.argv[1])
TRAINED = Path(__file__).parents[2] / 'recorded' / 'mace_train' / 'good' / 'potential.model'
COMMITTEE = ['model_0', 'model_1', 'model_2']
CASES = {
    'single': (['model_0'], None, 'MACE', 'float64'),
    'committee': (COMMITTEE, None, 'MACE', 'float64'),
    'no_shift': (['plain'], None, 'MACE', 'float64'),
    'low': (['heads'], 'low', 'MACE', 'float64'),
    'high': (['heads'], 'high', 'MACE', 'float64'),
    'float32': (['float32'], None, 'MACE', 'float32'),
    'dipoles': (['dipoles'], 'forgotten', 'DipoleMACE', 'float64'),
    'dielectric': (['dielectric'], None, 'DipolePolarizabilityMACE', 'float64'),
    'energy_dipoles': (['energy_dipoles'], None, 'EnergyDipoleMACE', 'float64'),
}


def paths(names):
    return [FOLDER / f'{name}.model' for name in names]


def structures():
    alloy = bulk('Cu', cubic=True)
    alloy.symbols[0] = 'Al'
    alloy.rattle(0.1, seed=1)
    left_handed = alloy.copy()
    left_handed.set_cell(alloy.cell.array[[1, 0, 2]])
    slab = fcc111('Al', (1, 2, 3), vacuum=6)
    slab.rattle(0.1, seed=2)
    molecule = Atoms('CuAlCu', positions=[[0, 0, 0], [2.3, 0.2, 0], [0.4, 2.6, 0.3]])
    return [alloy, left_handed, bulk('Al') * (2, 1, 1), slab, molecule, Atoms('Cu', cell=[9, 9, 9], pbc=True)]


def largest_differences(ours, theirs):
    """By property: the largest difference, and the largest of MACE's own numbers."""
    found = {}
    for atoms in structures():
        ours.calculate(atoms)
        theirs.calculate(atoms)
        note_differences(found, ours.results, theirs.results)
    return found


def note_differences(found, ours, theirs):
    for name, value in ours.items():
        reference = np.asarray(theirs[name])
        difference, size = found.get(name, (0.0, 0.0))
        found[name] = (
            max(difference, float(np.abs(value - reference).max())),
            max(size, float(np.abs(reference).max())),
        )


def case(names, head, model_type, dtype):
    settings = {'model_type': model_type, 'default_dtype': dtype, 'device': 'cpu'}
    if model_type == 'MACE' and head:
        settings['head'] = head
    theirs = MACECalculator(model_paths=[str(path) for path in paths(names)], **settings)
    ours = MaceCalculator(paths(names), head)
    alloy = structures()[0]
    facts = {
        'differences': largest_differences(ours, theirs),
        'implemented': ours.implemented_properties,
        'uncertainty': ours.uncertainty,
        'elements': ours.elements,
    }
    if model_type == 'MACE':
        own = MACECalculator(model_paths=[str(paths(names)[0])], **settings).get_descriptors(alloy)
        means = np.concatenate([own[alloy.numbers == number].mean(axis=0) for number in (13, 29)])
        facts['descriptor'] = float(np.abs(means - ours.descriptor(alloy)).max())
    return facts


def committee():
    """What a committee adds, and what it costs."""
    alloy = structures()[0]
    theirs = MACECalculator(model_paths=[str(path) for path in paths(COMMITTEE)], default_dtype='float64')
    theirs.calculate(alloy)
    ours = MaceCalculator(paths(COMMITTEE), driver='first')
    calls = []
    for number, model in enumerate(ours._models):
        model.register_forward_hook(lambda *_, number=number: calls.append(number))
    alloy.calc = ours
    alloy.get_forces()
    first = ours.results
    cost = {'plain': list(calls)}
    calls.clear()
    ours.with_uncertainty = True
    alloy.get_forces()
    cost['watching'] = list(calls)
    watched = ours.results
    pair = Atoms('Cu3', positions=[[0, 0, 0], [0, 0, 2.5], [0, 0, 30]])
    ours.calculate(pair)
    return {
        'cost': cost,
        'plain_keys': sorted(first),
        'first_member': {
            name: float(np.abs(np.asarray(theirs.results[f'{name}_comm'][0]) - first[name]).max())
            for name in ('energy', 'forces')
        },
        'watching_changes': {name: float(np.abs(first[name] - watched[name]).max()) for name in first},
        'uncertainty': watched['uncertainty'].tolist(),
        'forces_comm': theirs.results['forces_comm'].tolist(),
        'energy_spread': watched['energy_spread'],
        'energy_comm': theirs.results['energy_comm'].tolist(),
        'pair': np.isinf(ours.results['uncertainty']).tolist(),
    }


def many():
    """Structures evaluated together, one of them of a foreign element and one far larger than a batch."""
    calculator = MaceCalculator(paths(COMMITTEE))
    calculator.with_uncertainty = True
    frames = [*structures(), bulk('Fe'), bulk('Cu', cubic=True) * (4, 3, 3), Atoms(), *structures()]
    differences, errors = [], {}
    for index, (atoms, found) in enumerate(zip(frames, calculator.calculate_many(frames), strict=True)):
        if isinstance(found, Exception):
            errors[index] = str(found)
            continue
        calculator.calculate(atoms)
        assert found.keys() == calculator.results.keys()
        for name, value in calculator.results.items():
            finite = np.isfinite(value)
            assert np.array_equal(finite, np.isfinite(found[name]))
            differences.append(float(np.abs(np.where(finite, found[name], 0) - np.where(finite, value, 0)).max()))
    return {'differences': max(differences), 'errors': errors}


def many_in_float32():
    """By property, of a trained model: structures together by us, one by one by MACE, as in largest_differences."""
    theirs = MACECalculator(model_paths=[str(TRAINED)], default_dtype='float32')
    frames = [bulk('Cu', cubic=True) * (1, 1, 1 + index % 3) for index in range(20)]
    for index, atoms in enumerate(frames):
        atoms.rattle(0.05 + 0.05 * (index % 3), seed=index)
    many = MaceCalculator([TRAINED]).calculate_many(frames)
    found = {}
    for atoms, results in zip(frames, many, strict=True):
        theirs.calculate(atoms)
        note_differences(found, results, theirs.results)
    return found


def lying_slab():
    """A slab that MACE's neighbour list cannot do, and the same slab upright."""
    calculator = MaceCalculator(paths(['model_0']))
    energies = []
    for order in ([0, 1, 2], [2, 0, 1]):
        cell = np.array([[5.0, 0, 0], [0, 5.0, 0], [0, 0, 9.0]])[order]
        atoms = Atoms('Cu2', positions=[[0, 0, 0], [0, 2.5, 0.3]], cell=cell, pbc=[axis < 2 for axis in order])
        calculator.calculate(atoms)
        energies.append(calculator.results['energy'])
    return energies


def refused():
    messages = {}
    of_the_head = MaceCalculator(paths(['heads']), 'high', elements=['Al'])
    try:
        of_the_head.calculate(structures()[0])
    except ValueError as error:
        messages['element_of_another_head'] = str(error)
    wrong = {
        'absent': (['nowhere'], None),
        'damaged': (['damaged'], None),
        'weights': (['weights'], None),
        'cutoff': (['model_0', 'longer'], None),
        'dtype': (['model_0', 'float32'], None),
        'no_head': (['heads'], None),
        'unknown_head': (['heads'], 'middle'),
    }
    for name, (models, head) in wrong.items():
        try:
            MaceCalculator(paths(models), head)
        except ValueError as error:
            messages[name] = str(error)
    try:
        MaceCalculator(paths(['model_0'])).with_uncertainty = True
    except ValueError as error:
        messages['no_committee'] = str(error)
    return messages


facts = {
    'cases': {name: case(*settings) for name, settings in CASES.items()},
    'committee': committee(),
    'many': many(),
    'many_in_float32': many_in_float32(),
    'lying_slab': lying_slab(),
    'absent_element': MaceCalculator(paths(['model_0'])).descriptor(bulk('Cu')).tolist(),
    'refused': refused(),
}
print(json.dumps(facts))
