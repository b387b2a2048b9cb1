"""The structures that validators start from."""

from __future__ import annotations

from aiida_traincraft.science.config.kinds import ValidatorConfig
from aiida_traincraft.science.config.validation import StructureValidatorConfig, ValidationConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import make_validator
from aiida_traincraft.science.workspace import Workspace


def build_starts(config: ValidationConfig, workspace: Workspace | None, seed: int) -> list[Structure | None]:
    """Structure of each validator, None for those that need none.

    Raises
    ------
    ValueError
        If a structure cannot be built, there is not one of it, or its validator cannot use it.
    """
    return [build_start(validator, workspace, seed) for validator in config.validators]


def build_start(config: ValidatorConfig, workspace: Workspace | None, seed: int) -> Structure | None:
    """Structure of one validator; see :func:`build_starts`."""
    if not isinstance(config, StructureValidatorConfig) or config.geometry is None:
        return None
    built = build_geometries(config.geometry, workspace, derive_seed(seed, 'geometry', config.label))
    if len(built) != 1:
        raise ValueError(f'"geometry" gives {len(built)} structures, a validator starts from one')
    make_validator(config).check_start(built[0])
    built[0].provenance['system'] = config.label
    return built[0]
