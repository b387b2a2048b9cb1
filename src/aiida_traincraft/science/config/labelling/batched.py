"""What labellers have that put many structures into a job."""

from __future__ import annotations

from pydantic import Field

from aiida_traincraft.science.config.kinds import LabellerConfig


class BatchedLabelling(LabellerConfig):
    """Many structures per job."""

    batch_size: int = Field(default=200, ge=1)
    """Structures per job."""
