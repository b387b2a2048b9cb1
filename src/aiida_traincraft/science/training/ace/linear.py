"""Linear ACE: regression on energies, forces and stresses, Bayesian or with a ridge chosen on a hold-out set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.training.base import PaceTraining
from aiida_traincraft.science.models.ace_file import (
    Pair,
    add_core_repulsion,
    core_onsets,
    shortest_distances,
    write_potential,
)
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.scoring.constant import NOISE
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.basis import basis_config, function_count, radial_bases, roughness
from aiida_traincraft.science.training.ace.design import RowBuilder
from aiida_traincraft.science.training.ace.evidence import Kind, Posterior, condition, fit_evidence, triangular
from aiida_traincraft.science.training.ace.repulsion import bound_fit, most_probable
from aiida_traincraft.science.training.labels import check_labels, cohesive_energy

MIN_STRUCTURES_FOR_HOLDOUT = 5
MIN_HELD_FOR_VERDICT = 3
"""Structures of a hold-out set that say whether a constant is better: one or two may by chance."""
RIDGE_WEIGHTS = {'energy': 20.0, 'stress': 1.0}
"""What "auto" is with a ridge: of an energy per atom and of a virial per atom, relative to a force component."""
LEAST_GAIN = 0.1
"""Logarithm of the evidence for each label by which another radial basis must be better: noise that is a tenth smaller.
At the distances of neighbours in a metal the functions of the other are so alike that γ loses its digits."""
WEIGHT_BOUNDS = {'energy': (10.0, 1000.0), 'stress': (0.5, 100.0)}
"""Between which the evidence finds them."""


@dataclass(frozen=True)
class FitErrors:
    """Root mean square errors: eV/atom, eV/Å (component), eV/Å³ (component; None without stress labels)."""

    energy_rmse: float
    force_rmse: float
    stress_rmse: float | None


@dataclass(frozen=True)
class ScanRow:
    """One ridge strength tried: the weighted mean square residual and the errors on the hold-out set."""

    ridge: float
    loss: float
    errors: FitErrors


@dataclass(frozen=True)
class LinearFit:
    """A linear ACE potential on the cohesive scale (E0 subtracted), still without core repulsion.

    Attributes
    ----------
    basis
        pyace's ``BBasisConfiguration`` with the fitted coefficients.
    coefficients
        (n,), elements alphabetical.
    n_functions
        Functions per element.
    radial_basis
        That of the larger evidence, where it was to be chosen.
    ridge
        Strength used with all data; None for a Bayesian fit.
    posterior
        What data and prior say of the coefficients; None with a ridge.
    scan
        What the hold-out set said of each ridge.
    train
        Errors on all structures.
    holdout
        Errors on the hold-out set of the fit without it, but with the same noise and prior; None with fewer than five
        structures.
    constant
        Errors on the hold-out set of the others' mean energy, of no forces and of their mean stress; None with fewer
        than three structures in it.
    shortest
        Shortest distance (Å) of each pair of elements within the cutoff.
    onsets
        Distance (Å) of each pair of elements below which a core repulsion takes over.
    """

    basis: Any
    coefficients: FloatArray
    n_functions: dict[str, int]
    radial_basis: str
    ridge: float | None
    posterior: Posterior | None
    scan: list[ScanRow]
    train: FitErrors
    holdout: FitErrors | None
    constant: FitErrors | None
    shortest: dict[Pair, float]
    onsets: dict[Pair, float]

    def worse_than_constant(self) -> list[str]:
        """Where a constant errs less on the hold-out set, in words; empty where too few were held out to tell."""
        if self.holdout is None or self.constant is None:
            return []
        told = []
        for name, unit in (('energy', 'meV/atom'), ('force', 'meV/Å'), ('stress', 'meV/Å³')):
            found, simple = (getattr(errors, f'{name}_rmse') for errors in (self.holdout, self.constant))
            if found is not None and simple is not None and found > simple + NOISE:
                told.append(f'{name} {1e3 * found:.3g} {unit}, where a constant errs by {1e3 * simple:.3g}')
        return told


@dataclass
class _Block:
    """Rows and labels of one structure: the energy, forces, stress.

    ``weights`` multiply both in the fit, besides those of energies and stresses as such.
    """

    matrix: FloatArray
    target: FloatArray
    weights: FloatArray
    n_forces: int

    @property
    def parts(self) -> dict[str, slice]:
        """Rows of each kind of labels."""
        return {'energy': slice(1), 'forces': slice(1, 1 + self.n_forces), 'stress': slice(1 + self.n_forces, None)}


def fit_linear(
    structures: Sequence[Structure],
    config: PaceTraining,
    e0: Mapping[str, float],
    seed: int,
    report: Callable[[str], None] = print,
) -> LinearFit:
    """Fit a linear ACE potential.

    Minimises ``Σ w² (y − A c)² + Σ r c²`` over energies per atom (weight ``energy_weight``), force components
    (weight 1) and stress components (weight ``stress_weight`` × volume per atom, so that the virial per atom counts,
    whatever the cell). A structure's ``provenance["weight"]`` multiplies all its weights.

    ``regression = "bayesian"``: the ``r`` of each function follow from its smoothness and from all structures, and so
    do weights that are "auto", see :func:`~aiida_traincraft.science.training.ace.evidence.fit_evidence`. ``"ridge"``:
    one ``r``, that of the smallest weighted residual on a random hold-out set; with fewer than five structures the
    middle one of those given.

    Parameters
    ----------
    structures
        Labelled with ``energy`` (eV), ``forces`` (eV/Å) and, if known, ``stress`` (eV/Å³), which is used for
        structures that are periodic in three directions.
    config
        Basis, weights and ridge strengths; an embedding is ignored.
    e0
        Energy of the isolated atom (eV) of each element; subtracted from the labels.
    seed
        Of the hold-out split.
    report
        Takes one line of progress at a time.

    Raises
    ------
    ValueError
        If labels or E0s are missing or not finite, there are too few atoms, or pyace cannot take a structure.
    """
    check_labels(structures, e0)
    elements = sorted({element for structure in structures for element in structure.elements})
    linear = PaceTraining.model_validate(config.model_dump(include=set(PaceTraining.model_fields)))
    weights, count = _weights(linear), function_count(linear, structures)
    designs = []
    for radials in radial_bases(linear):
        chosen = linear.model_copy(update={'radial_basis': radials})
        builder = RowBuilder(import_pyace().ACEBBasisSet(basis_config(chosen, elements, count)))
        report(f'{len(structures)} structures, functions per element: {builder.counts}, radial basis {radials}')
        blocks = [_block(builder, structure, linear, e0) for structure in structures]
        posterior = None
        if linear.regression == 'bayesian':
            posterior = fit_evidence(_kinds(blocks, weights), *roughness(builder.basis))
            told = ', '.join(f'{name} {1e3 * noise:.3g}' for name, noise in posterior.noise.items())
            report(f'noise (meV, meV/Å): {told}; logarithm of the evidence {posterior.log_evidence:.1f}')
        designs.append((radials, builder, blocks, posterior))
    radials, builder, blocks, posterior = designs[0]
    for other in designs[1:]:
        gain = other[3].log_evidence - posterior.log_evidence if other[3] and posterior else 0.0
        if gain > LEAST_GAIN * sum(len(block.target) for block in blocks):
            radials, builder, blocks, posterior = other
    held, kept = _split(blocks, linear.holdout_fraction, np.random.default_rng(seed))
    ridge, scan, holdout = None, [], None
    frames = [structure.atoms for structure in structures]
    shortest = shortest_distances(frames, linear.cutoff)
    onsets = core_onsets(elements, shortest)
    if posterior is not None:
        bounds = None
        if linear.baseline.core_repulsion:
            n_labels = sum(len(block.target) for block in blocks)
            bounds, onsets = bound_fit(builder, posterior, frames, shortest, n_labels)
        coefficients, _ = most_probable(posterior, bounds)
        if held:
            without = condition(_kinds(kept, weights), posterior.noise, posterior.precision)
            holdout = _errors(held, most_probable(without, bounds)[0])
            report(f'without the hold-out set, on it: {_describe(holdout)}')
    else:
        ridges = sorted(linear.ridge)
        scan = _scan(held, kept, weights, ridges) if held else []
        for row in scan:
            report(f'ridge {row.ridge:.0e}: hold-out loss {row.loss:.3e}, {_describe(row.errors)}')
        best = min(scan, key=lambda row: row.loss) if scan else None
        ridge, holdout = (ridges[len(ridges) // 2], None) if best is None else (best.ridge, best.errors)
        report(f'ridge {ridge:.0e}')
        coefficients = _solve(blocks, weights, [ridge])[0]
    train = _errors(blocks, coefficients)
    report(f'on all structures: {_describe(train)}')
    return LinearFit(
        basis=_with_coefficients(builder.basis, coefficients),
        coefficients=coefficients,
        n_functions=builder.counts,
        radial_basis=radials,
        ridge=ridge,
        posterior=posterior,
        scan=scan,
        train=train,
        holdout=holdout,
        constant=_constant(held, kept) if len(held) >= MIN_HELD_FOR_VERDICT else None,
        shortest=shortest,
        onsets=onsets,
    )


def save_potential(fit: LinearFit, path: Path, config: PaceTraining, e0: Mapping[str, float]) -> None:
    """Write the potential (``.yaml``) with the core repulsion that the config asks for, and E0 as metadata."""
    basis = fit.basis.copy()
    if config.baseline.core_repulsion:
        add_core_repulsion(basis, fit.onsets)
    write_potential(basis, path, e0)


def _block(builder: RowBuilder, structure: Structure, config: PaceTraining, e0: Mapping[str, float]) -> _Block:
    atoms, properties = structure.atoms, structure.properties
    with_stress = config.stress_weight != 0 and 'stress' in properties and bool(atoms.pbc.all())
    rows = builder.rows(atoms, stress=with_stress)
    count = len(atoms)
    matrices = [rows.energy[None, :], rows.forces]
    targets = [np.array([cohesive_energy(structure, e0) / count]), np.ravel(properties['forces'])]
    weights = np.ones(1 + 3 * count)
    if rows.stress is not None:
        matrices.append(rows.stress)
        targets.append(np.ravel(properties['stress']))
        weights = np.append(weights, np.full(6, atoms.get_volume() / count))
    factor = float(structure.provenance.get('weight', 1.0))
    return _Block(np.concatenate(matrices), np.concatenate(targets), factor * weights, 3 * count)


def _split(blocks: Sequence[_Block], fraction: float, rng: np.random.Generator) -> tuple[list[_Block], list[_Block]]:
    """Hold-out set, empty where there are too few structures, and the others."""
    if len(blocks) < MIN_STRUCTURES_FOR_HOLDOUT:
        return [], list(blocks)
    order = rng.permutation(len(blocks))
    n_out = max(1, round(fraction * len(blocks)))
    return [blocks[i] for i in order[:n_out]], [blocks[i] for i in order[n_out:]]


def _scan(
    held: Sequence[_Block],
    kept: Sequence[_Block],
    weights: Mapping[str, tuple[float, float]],
    ridges: Sequence[float],
) -> list[ScanRow]:
    rows = []
    for ridge, coefficients in zip(ridges, _solve(kept, weights, ridges), strict=True):
        parts = []
        for block in held:
            residual = block.weights * (block.target - block.matrix @ coefficients)
            parts += [weights[name][0] * residual[part] for name, part in block.parts.items()]
        residuals = np.concatenate(parts)
        rows.append(ScanRow(ridge, float(np.mean(residuals**2)), _errors(held, coefficients)))
    return rows


def _weights(config: PaceTraining) -> dict[str, tuple[float, float]]:
    """Smallest and largest weight of each kind of labels, forces first: equal where it is not found by the evidence."""
    found = {'forces': (1.0, 1.0)}
    for name, given in (('energy', config.energy_weight), ('stress', config.stress_weight)):
        if given != 'auto':
            found[name] = (given, given)
        elif config.regression == 'ridge':
            found[name] = (RIDGE_WEIGHTS[name], RIDGE_WEIGHTS[name])
        else:
            found[name] = WEIGHT_BOUNDS[name]
    return found


def _kinds(blocks: Sequence[_Block], weights: Mapping[str, tuple[float, float]]) -> dict[str, Kind]:
    """Labels by kind, of those that there are any of."""
    groups: dict[str, list[FloatArray]] = {name: [] for name in weights}
    for block in blocks:
        rows = np.column_stack([block.matrix, block.target]) * block.weights[:, None]
        for name, part in block.parts.items():
            groups[name].append(rows[part])
    kinds = {}
    for name, parts in groups.items():
        if len(rows := np.concatenate(parts)):
            kinds[name] = Kind(triangular(rows), len(rows), weights[name])
    return kinds


def _solve(
    blocks: Sequence[_Block], weights: Mapping[str, tuple[float, float]], ridges: Iterable[float]
) -> list[FloatArray]:
    """Ridge solutions for all strengths from one SVD: c = V s/(s² + ridge) Uᵀ y."""
    reduced = np.concatenate([kind.reduced * kind.weight[0] for kind in _kinds(blocks, weights).values()])
    left, singular, right = np.linalg.svd(reduced[:, :-1], full_matrices=False)
    projected = left.T @ reduced[:, -1]
    # A ridge of zero leaves out what double precision cannot resolve.
    usable = singular > singular.max() * np.finfo(float).eps * max(reduced.shape)
    solutions = []
    for ridge in ridges:
        filtered = np.zeros_like(singular)
        filtered[usable] = singular[usable] / (singular[usable] ** 2 + ridge)
        solutions.append(right.T @ (filtered * projected))
    return solutions


def _errors(blocks: Sequence[_Block], coefficients: FloatArray) -> FitErrors:
    energies, forces, stresses = [], [], []
    for block in blocks:
        difference = block.matrix @ coefficients - block.target
        energies.append(difference[:1])
        forces.append(difference[1 : 1 + block.n_forces])
        stresses.append(difference[1 + block.n_forces :])
    stress = np.concatenate(stresses)
    return FitErrors(
        energy_rmse=_rms(np.concatenate(energies)),
        force_rmse=_rms(np.concatenate(forces)),
        stress_rmse=_rms(stress) if len(stress) else None,
    )


def _constant(held: Sequence[_Block], kept: Sequence[_Block]) -> FitErrors:
    def labels(blocks: Sequence[_Block], name: str) -> FloatArray:
        return np.concatenate([block.target[block.parts[name]] for block in blocks])

    stress, known = (labels(blocks, 'stress').reshape(-1, 6) for blocks in (held, kept))
    return FitErrors(
        energy_rmse=_rms(labels(held, 'energy') - labels(kept, 'energy').mean()),
        force_rmse=_rms(labels(held, 'forces')),
        stress_rmse=_rms(stress - known.mean(axis=0)) if len(stress) and len(known) else None,
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _describe(errors: FitErrors) -> str:
    text = f'{1e3 * errors.energy_rmse:.2f} meV/atom, {1e3 * errors.force_rmse:.2f} meV/Å'
    return text if errors.stress_rmse is None else f'{text}, {1e3 * errors.stress_rmse:.3f} meV/Å³'


def _with_coefficients(basis: Any, coefficients: FloatArray) -> Any:
    # pyace takes a longer list without complaint.
    if len(coefficients) != len(basis.basis_coeffs):
        raise RuntimeError(f'{len(coefficients)} coefficients for {len(basis.basis_coeffs)} functions')
    basis.basis_coeffs = list(coefficients)
    return basis.to_BBasisConfiguration()
