import logging

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.d_optimal import DOptimalConfig, d_optimal
from aiida_traincraft.science.structure import Structure


def pool_of(frames, budget=100):
    return Pool(frames, FunnelContext(budget=budget), np.random.default_rng(0))


def with_rows(*rows, element='Cu'):
    matrix = np.array(rows, float)
    return Structure(bulk('Cu'), {f'active.{element}': matrix, 'uncertainty': np.abs(matrix).max(axis=1)})


def test_takes_the_largest_grade_first_and_counts_what_it_teaches():
    frames = [with_rows([3.0, 0.0]), with_rows([4.0, 0.0]), with_rows([0.0, 1.5]), with_rows([0.5, 0.9])]
    pool = pool_of(frames)
    result = d_optimal(pool, DOptimalConfig(n=4))
    # With (4, 0) in the active set, (3, 0) has grade 0.75: nothing new.
    assert pool.chosen == [1, 2]
    assert result.reasons == {'share not filled: no frame left with γ above 1.01': 2}


def test_frames_chosen_before_are_part_of_the_active_set():
    pool = pool_of([with_rows([4.0, 0.0]), with_rows([3.0, 0.0]), with_rows([0.0, 1.5])])
    pool.pick([0], 1)
    d_optimal(pool, DOptimalConfig(n=2))
    assert pool.chosen == [0, 2]


def test_coordinates_follow_the_active_set():
    """After any number of swaps, coordinates equal the rows times the inverse of the swapped active set."""
    rng = np.random.default_rng(0)
    active = rng.normal(size=(6, 6))
    blocks = [2 * rng.normal(size=(5, 6)) for _ in range(12)]
    frames = [with_rows(*(block @ np.linalg.inv(active))) for block in blocks]
    pool = pool_of(frames)
    d_optimal(pool, DOptimalConfig(n=12))
    # Reference: the same greedy choice with the inverse computed anew each time.
    expected, left = [], list(range(12))
    while left:
        gamma = {k: np.abs(blocks[k] @ np.linalg.inv(active)).max() for k in left}
        best = max(left, key=gamma.__getitem__)
        if gamma[best] <= 1.01:
            break
        expected.append(best)
        left.remove(best)
        while (grade := np.abs(blocks[best] @ np.linalg.inv(active))).max() > 1.01:
            atom, j = np.unravel_index(grade.argmax(), grade.shape)
            active[j] = blocks[best][atom]
    assert pool.chosen == expected
    assert len(expected) > 2


def test_elements_have_active_sets_of_their_own():
    frames = [with_rows([2.0, 0.0]), with_rows([3.0, 0.0, 0.0], element='Al'), with_rows([2.5, 0.0], element='Cu')]
    pool = pool_of(frames)
    d_optimal(pool, DOptimalConfig(n=3))
    assert pool.chosen == [1, 2]


def test_a_pool_in_which_all_is_known_needs_no_coordinates():
    frames = [Structure(bulk('Cu'), {'uncertainty': np.array([0.9])}) for _ in range(3)]
    assert d_optimal(pool_of(frames), DOptimalConfig(n=2)).picked == 0
    assert d_optimal(pool_of([]), DOptimalConfig(n=2)).picked == 0


@pytest.mark.parametrize('properties', [{}, {'uncertainty': np.array([3.0])}])
def test_missing_coordinates_are_an_error(properties):
    with pytest.raises(ValueError, match='diversity'):
        d_optimal(pool_of([Structure(bulk('Cu'), properties)]), DOptimalConfig(n=1))


def test_coordinates_of_two_potentials_are_an_error():
    with pytest.raises(ValueError, match='2, 3 functions'):
        d_optimal(pool_of([with_rows([2.0, 0.0]), with_rows([2.0, 0.0, 0.0])]), DOptimalConfig(n=1))


# ---- with real ACE projections ----


@pytest.fixture(scope='module')
def ace():
    handlers, level = logging.root.handlers[:], logging.root.level
    pyace = pytest.importorskip('pyace')
    pytest.importorskip('pyace.activelearning')
    # Importing pyace takes over the root logger.
    logging.root.handlers[:], logging.root.level = handlers, level
    return pyace


def basis(pyace, elements, n_functions):
    return pyace.ACEBBasisSet(
        pyace.create_multispecies_basis_config(
            {
                'deltaSplineBins': 0.001,
                'elements': elements,
                'embeddings': {'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1], 'ndensity': 1}},
                'bonds': {
                    'ALL': {
                        'radbase': 'SBessel',
                        'radparameters': [5.25],
                        'rcut': 4.5,
                        'dcut': 0.01,
                        'NameOfCutoffFunction': 'cos',
                    }
                },
                'functions': {
                    'number_of_functions_per_element': n_functions,
                    'ALL': {'nradmax_by_orders': [6, 3, 2], 'lmax_by_orders': [0, 2, 1]},
                },
            }
        )
    )


def rattled(rng, elements, strain, displacement):
    atoms = bulk('Cu', cubic=True, a=3.7).repeat((2, 1, 1))
    atoms.set_chemical_symbols(rng.permutation(np.resize(elements, len(atoms))))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-strain, strain, size=(3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(scale=displacement, size=(len(atoms), 3))
    return atoms


@pytest.mark.parametrize('elements', [['Cu'], ['Al', 'Cu']])
def test_selection_lowers_the_grades_that_pyace_finds(ace, elements):
    learn = ace.activelearning
    rng = np.random.default_rng(4)
    functions = basis(ace, elements, 20)
    train = [rattled(rng, elements, 0.02, 0.05) for _ in range(40)]
    pool_atoms = [rattled(rng, elements, 0.08, rng.uniform(0.02, 0.35)) for _ in range(60)]
    species = dict(enumerate(elements))

    def active_set(atoms):
        return learn.compute_active_set(learn.compute_B_projections(functions, atoms), tol=1.001, max_iters=300)

    def inverse(chosen):
        return learn.compute_A_active_inverse(chosen)

    def log_det(chosen):
        return sum(np.linalg.slogdet(matrix)[1] for matrix in chosen.values())

    def grades(atoms, chosen):
        per_frame = [learn.compute_B_projections(functions, [one]) for one in atoms]
        found = [learn.compute_extrapolation_grade(projections, inverse(chosen)) for projections in per_frame]
        return np.array([max(gamma.max() for gamma in one.values()) for one in found])

    before = active_set(train)
    inverses = inverse(before)
    frames = []
    for atoms in pool_atoms:
        rows = {k: p @ inverses[k] for k, p in learn.compute_B_projections(functions, [atoms]).items()}
        gamma = np.concatenate([np.abs(block).max(axis=1) for block in rows.values()])
        properties = {
            f'active.{species[k]}': block[np.abs(block).max(axis=1) > 1] for k, block in rows.items() if gamma.max() > 1
        }
        frames.append(Structure(atoms, properties | {'uncertainty': gamma}))

    old = grades(pool_atoms, before)
    np.testing.assert_allclose([frame.properties['uncertainty'].max() for frame in frames], old)
    assert np.sum(old > 2) > 30

    # Unlimited: what is left is known to the new active set.
    unlimited = pool_of(frames)
    d_optimal(unlimited, DOptimalConfig(n=60))
    assert len(unlimited.chosen) < 40
    new = grades(pool_atoms, active_set(train + [pool_atoms[k] for k in unlimited.chosen]))
    assert np.all(new[old > 1.1] < old[old > 1.1])
    assert new.max() < 1.3

    # Ten frames: grades fall, and the volume of the active set grows by more than ten random frames give.
    ten = pool_of(frames)
    d_optimal(ten, DOptimalConfig(n=10))
    after = active_set(train + [pool_atoms[k] for k in ten.chosen])
    assert grades(pool_atoms, after).max() < 0.5 * old.max()
    by_chance = [
        log_det(active_set(train + [pool_atoms[k] for k in rng.choice(60, 10, replace=False)])) for _ in range(5)
    ]
    assert log_det(after) > max(by_chance) > log_det(before)
