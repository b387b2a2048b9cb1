"""Section ``[distillation]``: a second, faster potential taught by the first."""

from __future__ import annotations

from pydantic import Field

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.fields import TrainerField


class DistillationConfig(StrictModel):
    """When the loop has ended, its potential labels many structures, and a student is trained on them.

    The labels are a level of theory of their own (a surrogate) and never enter the campaign's dataset; the student is
    scored on the same sealed test set as its teacher.
    """

    training: TrainerField
    """The student and how it is trained, as in ``[training]``."""
    structures: int = Field(default=200, ge=1)
    """Structures of the exploration that the teacher labels, beside those of its own training set."""
    runs_per_system: int = Field(default=4, ge=1)
    """Runs of the exploration's sampler per system."""
    record_interval: int = Field(default=20, ge=1)
    """Steps between two frames that may be labelled."""
