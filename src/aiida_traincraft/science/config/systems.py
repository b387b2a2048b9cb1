"""Section ``[[systems]]``: where structures come from."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.fields import BuilderField, SamplerField, SourceField, TransformField


class GeometryConfig(StrictModel):
    """One starting geometry: a source or a builder, then transforms in order."""

    source: SourceField | None = None
    """Reads a structure that exists already."""
    builder: BuilderField | None = None
    """Makes a structure from a description."""
    transforms: list[TransformField] = []
    """Applied in the order given."""

    @property
    def is_fetched(self) -> bool:
        """Whether it is read from a server or a profile when a campaign is launched."""
        return self.source is not None and self.source.at_launch

    @model_validator(mode='after')
    def _one_origin(self) -> GeometryConfig:
        if (self.source is None) == (self.builder is None):
            raise ValueError('give exactly one of "source" and "builder"')
        return self


class SystemConfig(StrictModel):
    """A named geometry and the initial sampling around it."""

    name: str = Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9._-]*$')
    """Name that follows every structure of this system, of letters, digits, dots, hyphens and underscores."""
    geometry: GeometryConfig
    """The starting geometry."""
    sampling: SamplerField
    """How the first structures are drawn around it."""
    explore: bool = True
    """Whether explorations start from this system."""
