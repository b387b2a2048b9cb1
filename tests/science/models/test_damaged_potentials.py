"""Files of a potential that were cut or changed: refused, or the same numbers; pyace itself crashes on some."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models import ace_file
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_check import CHECKSUM, add_checksum, check_fast, check_potential
from aiida_traincraft.science.models.ace_file import (
    add_core_repulsion,
    core_onsets,
    load_basis,
    n_functions,
    probe_cluster,
    write_potential,
)
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.training.ace.basis import basis_config
from damage import LONG, QUICK, damages

pyace = pytest.importorskip('pyace')

E0 = {'Al': -1.5, 'Cu': 3.51}
NAMES = ('potential.yaml', 'potential.yace', 'potential.asi')


@pytest.fixture(scope='module')
def potential(tmp_path_factory):
    """Folder with a potential of two elements in its three forms."""
    folder = tmp_path_factory.mktemp('potential')
    training = PaceLinearTraining(functions=15, cutoff=5.0)
    basis = pyace.ACEBBasisSet(basis_config(training, list(E0), 15))
    basis.basis_coeffs = list(np.random.default_rng(1).normal(size=len(basis.basis_coeffs)))
    config = basis.to_BBasisConfiguration()
    add_core_repulsion(config, core_onsets(list(E0), {}))
    # A coarse table, which is made in a tenth of the time.
    config.deltaSplineBins = 0.01
    write_potential(config, folder / 'potential.yaml', E0)
    load_basis(folder / 'potential.yaml').to_ACECTildeBasisSet().save_yaml(str(folder / 'potential.yace'))
    add_checksum(folder / 'potential.yace')
    with (folder / 'potential.asi').open('wb') as handle:
        np.savez(handle, **{element: np.eye(n) / 10 for element, n in n_functions(basis).items()})
    return folder


def numbers(folder):
    """Energies and γ of a cluster, by all three files."""
    calculator = PaceCalculator(*[folder / NAMES[0], E0, folder / NAMES[2], folder / NAMES[1]])
    atoms = probe_cluster(list(E0), 5.0)
    calculator.calculate(atoms)
    return np.append(calculator.results['energies'], calculator.gamma(atoms))


def foreign(folder, name):
    """Content without the digest, as other programs write it."""
    content = (folder / name).read_bytes()
    head, _, rest = content.partition(b'\n')
    assert head.startswith(CHECKSUM.encode())
    return rest


def try_numbers(folder, name):
    """Numbers, or None where they are refused by the name of the file."""
    try:
        return numbers(folder)
    except ValueError as error:
        if name not in str(error):
            raise
        return None


def check_damaged(potential, tmp_path, data, name):
    shutil.copytree(potential, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(data.draw(damages((potential / name).read_bytes())))
    found = try_numbers(tmp_path, name)
    if found is not None:
        np.testing.assert_allclose(found, numbers(potential), rtol=1e-9)


def check_foreign(potential, tmp_path, data, name):
    """What was cut is found without a digest; a digit that was changed cannot be, but nothing may crash."""
    content = foreign(potential, name)
    damaged = data.draw(damages(content))
    shutil.copytree(potential, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(damaged)
    found = try_numbers(tmp_path, name)
    if found is not None and len(damaged) < len(content) and content.startswith(damaged):
        np.testing.assert_allclose(found, numbers(potential), rtol=1e-6)


@pytest.mark.parametrize('name', NAMES)
@QUICK
@given(st.data())
def test_a_damaged_file_is_refused_or_gives_the_same_numbers(potential, tmp_path, name, data):
    check_damaged(potential, tmp_path, data, name)


@pytest.mark.long
@pytest.mark.parametrize('name', NAMES)
@LONG
@given(st.data())
def test_many_damaged_files(potential, tmp_path, name, data):
    check_damaged(potential, tmp_path, data, name)


@pytest.mark.parametrize('name', NAMES[:2])
@QUICK
@given(st.data())
def test_a_damaged_file_of_others_crashes_nothing(potential, tmp_path, name, data):
    check_foreign(potential, tmp_path, data, name)


@pytest.mark.long
@pytest.mark.parametrize('name', NAMES[:2])
@LONG
@given(st.data())
def test_many_damaged_files_of_others(potential, tmp_path, name, data):
    check_foreign(potential, tmp_path, data, name)


def test_whole_files_are_read_with_and_without_their_digest(potential, tmp_path):
    for name in NAMES[:2]:
        (tmp_path / name).write_bytes(foreign(potential, name))
    check_potential(tmp_path / NAMES[0])
    assert check_fast(potential / NAMES[1]) == check_fast(tmp_path / NAMES[1]) == [0.0, 0.0]


def test_a_fast_form_that_lost_functions_at_the_end_of_a_line_is_refused(potential, tmp_path):
    lines = foreign(potential, NAMES[1]).splitlines(keepends=True)
    (tmp_path / 'cut.yace').write_bytes(b''.join(lines[:-3]))
    with pytest.raises(ValueError, match=r'cut\.yace is damaged, or not of potential\.yaml: its functions are others'):
        PaceCalculator(potential / NAMES[0], E0, fast=tmp_path / 'cut.yace')


def test_a_fast_form_of_a_potential_with_other_coefficients_is_refused(potential, tmp_path):
    basis = _weaker(load_basis(potential / NAMES[0]))
    basis.to_ACECTildeBasisSet().save_yaml(str(tmp_path / 'old.yace'))
    with pytest.raises(ValueError, match=r'old\.yace is damaged, or not the same potential .* for a cluster'):
        PaceCalculator(potential / NAMES[0], E0, fast=tmp_path / 'old.yace')


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('nr: [2], nl: [0]', 'nr: [70], nl: [0]', 'n = 70, l = 0, which is not there'),
        ('nbody:', 'nobody:', 'nbody: Field required'),
        ('nradmaxi: ', 'nradmaxi: 1', 'radcoefficients are no table of 1'),
        ('    radcoefficients: ', '    rad: ', 'lacks keys of its radial functions'),
        ('parameters: [1, 1]', 'parameters: [1]', 'embedding of Al is not there or not whole'),
        ('DeltaSplineBins: 0.01', 'DeltaSplineBins: 0.00', 'DeltaSplineBins'),
        ('rcutij: 5', 'rcutij: .nan', 'rcutij'),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(potential, tmp_path, old, new, words):
    text = foreign(potential, NAMES[0]).decode()
    assert old in text
    (tmp_path / 'changed.yaml').write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=r'changed\.yaml is damaged') as caught:
        check_potential(tmp_path / 'changed.yaml')
    assert words in str(caught.value)


def test_a_potential_changed_by_hand_says_how_it_is_read_again(potential, tmp_path):
    text = (potential / NAMES[0]).read_text()
    (tmp_path / 'changed.yaml').write_text(text.replace('rcutij: 5', 'rcutij: 4'))
    with pytest.raises(ValueError, match='remove its first line'):
        load_basis(tmp_path / 'changed.yaml')
    (tmp_path / 'changed.yaml').write_text(text.replace('rcutij: 5', 'rcutij: 4').partition('\n')[2])
    assert load_basis(tmp_path / 'changed.yaml').cutoffmax == 4.0


def test_what_is_written_is_read_back(potential, tmp_path, monkeypatch):
    config = import_pyace().BBasisConfiguration(str(potential / NAMES[0]))
    monkeypatch.setattr(ace_file, 'load_basis', lambda path: _weaker(load_basis(path)))
    with pytest.raises(ace_file.TaskError, match=r'potential\.yaml gives .* eV for a cluster of 8 atoms, not'):
        write_potential(config, tmp_path / 'potential.yaml', E0)
    assert not (tmp_path / 'potential.yaml').exists()


def _weaker(basis):
    basis.basis_coeffs = list(0.99 * np.array(basis.basis_coeffs))
    return basis
