"""Checks of a campaign that need no profile."""

from __future__ import annotations

from aiida_traincraft.science.campaign.geometries import (
    check_baselines,
    check_coverage,
    check_geometries,
    check_neighbours,
    check_sampling,
    check_teacher,
)
from aiida_traincraft.science.campaign.preflight import Check
from aiida_traincraft.science.campaign.shared_sources import check_shared_sources
from aiida_traincraft.science.campaign.validators import check_validators

CHECKS: tuple[Check, ...] = (
    check_shared_sources,
    check_sampling,
    check_geometries,
    check_neighbours,
    check_baselines,
    check_teacher,
    check_coverage,
    check_validators,
)
