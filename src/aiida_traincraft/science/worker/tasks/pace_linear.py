"""Fit a linear ACE potential: seconds, and no TensorFlow."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import read_frames
from aiida_traincraft.science.training.ace.error_bars import save_posterior
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.training.ace.reduction import divide
from aiida_traincraft.science.training.labels import check_labels, subtract


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit a potential to ``dataset.frames`` and write ``potential.yaml``, and ``posterior.npz`` of a Bayesian fit.

    Parameters
    ----------
    parameters
        ``training`` (the config), ``e0`` (eV of each isolated atom), ``seed`` (of the hold-out split).
    folder
        Job folder.

    Returns
    -------
    dict
        ``elements``, ``cutoff`` (Å), ``n_functions`` per element, ``radial_basis``, ``n_structures`` trained on,
        ``left_out`` (indices of the other structures), ``ridge`` and ``scan`` (the ridges tried), or ``noise`` (eV,
        eV/Å) and ``log_evidence`` of a Bayesian fit, ``train`` and ``holdout`` errors (eV/atom, eV/Å, eV/Å³),
        ``worse_than_constant`` (where, in words, see
        :meth:`~aiida_traincraft.science.training.ace.linear.LinearFit.worse_than_constant`), ``shortest`` distances and
        ``onsets`` of the core repulsion (Å) per pair, ``baseline`` with all its parameters, and
        ``fit_seconds``.

    Raises
    ------
    ValueError
        If the training set cannot be used.
    """
    begin = time.monotonic()
    config = PaceLinearTraining.model_validate(parameters['training'])
    structures, left_out = divide(read_frames(folder / 'dataset.frames'), config)
    check_labels(structures, parameters['e0'])
    baseline = config.baseline.fitted(structures)
    fit = fit_linear(
        subtract(structures, baseline),
        config,
        parameters['e0'],
        int(parameters['seed']),
        report=lambda line: print(line, flush=True),
    )
    save_potential(fit, folder / 'potential.yaml', config, parameters['e0'])
    if fit.posterior is not None:
        save_posterior(fit.posterior, folder / 'posterior.npz')
    return {
        'elements': list(fit.n_functions),
        'cutoff': config.cutoff,
        'n_functions': fit.n_functions,
        'radial_basis': fit.radial_basis,
        'n_structures': len(structures),
        'left_out': left_out,
        'ridge': fit.ridge,
        'noise': None if fit.posterior is None else fit.posterior.noise,
        'log_evidence': None if fit.posterior is None else fit.posterior.log_evidence,
        'scan': [{'ridge': row.ridge, 'loss': row.loss, **asdict(row.errors)} for row in fit.scan],
        'train': asdict(fit.train),
        'holdout': None if fit.holdout is None else asdict(fit.holdout),
        'worse_than_constant': fit.worse_than_constant(),
        'shortest': {'-'.join(pair): distance for pair, distance in sorted(fit.shortest.items())},
        'onsets': {'-'.join(pair): distance for pair, distance in sorted(fit.onsets.items())},
        'baseline': baseline.model_dump(mode='json'),
        'fit_seconds': round(time.monotonic() - begin, 3),
    }
