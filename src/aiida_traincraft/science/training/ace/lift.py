"""A linear potential lifted to a nonlinear embedding: where a nonlinear fit starts."""

from __future__ import annotations

from typing import Any

from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining

HIGHER_DENSITY = 1e-3
"""Coefficients of the further densities relative to those of the first: small, and not zero, where they could not
grow."""


def lift(linear: Any, config: PaceNonlinearTraining) -> Any:
    """Copy of a linear ``BBasisConfiguration`` with the config's embedding and the same functions.

    The first density takes the linear coefficients; it must be linear (prefactor 1, exponent 1), which the config
    checks for a warm start. The energies differ from the linear ones only by what the small further densities add.

    Raises
    ------
    ValueError
        If the potential given has more than one density.
    """
    lifted = linear.copy()
    factors = [1.0] + [HIGHER_DENSITY] * (config.ndensity - 1)
    # pyace hands out copies: a block must be assigned back.
    blocks = lifted.funcspecs_blocks
    for block in blocks:
        if block.ndensityi > 1:
            raise ValueError(f'only a linear potential can be lifted; this one has {block.ndensityi} densities')
        block.ndensityi = config.ndensity
        # Blocks of several elements have no embedding of their own.
        if block.npoti:
            block.npoti = config.embedding
            block.fs_parameters = list(config.fs_parameters)
        functions = block.funcspecs
        for function in functions:
            function.coeffs = [factor * function.coeffs[0] for factor in factors]
        block.funcspecs = functions
    lifted.funcspecs_blocks = blocks
    lifted.validate(True)
    return lifted
