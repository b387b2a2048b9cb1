"""Section ``[loop]``: when to stop."""

from __future__ import annotations

from pydantic import Field

from aiida_traincraft.science.config.base import StrictModel


class LoopConfig(StrictModel):
    """Stop criteria; the first that holds ends the campaign."""

    max_cycles: int = Field(default=10, ge=1)
    """Most trainings."""
    min_cycles: int = Field(default=1, ge=1)
    """Trainings before a target or a plateau may stop the loop."""
    target_force_rmse: float | None = Field(default=None, gt=0)
    """Stop when the force RMSE on the sealed test set (eV/Å) is at or below this."""
    target_energy_rmse: float | None = Field(default=None, gt=0)
    """Stop when the energy RMSE on the sealed test set (eV/atom) is at or below this (and the forces' target too)."""
    max_labels: int | None = Field(default=None, ge=1)
    """Most labels asked for in the whole campaign, failed ones and the test set included."""
    patience: int = Field(default=3, ge=1)
    """Stop after so many cycles without gain."""
    min_gain: float = Field(default=0.02, ge=0, lt=1)
    """Relative fall of the test force RMSE that counts as gain."""
    quiet_explorations: int = Field(default=2, ge=1)
    """Stop after so many explorations in a row that found nothing uncertain."""
