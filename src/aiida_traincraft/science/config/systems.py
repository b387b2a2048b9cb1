"""Section ``[[systems]]``: where structures come from."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import BuilderField, SamplerField, SourceField, StrictModel, TransformField


class GeometryConfig(StrictModel):
    """One starting geometry: a source or a builder, then transforms in order."""

    source: SourceField | None = None
    """Reads a structure that exists already."""
    builder: BuilderField | None = None
    """Makes a structure from a description."""
    transforms: list[TransformField] = []
    """Applied in the order given."""

    @model_validator(mode='after')
    def _one_origin(self) -> GeometryConfig:
        if (self.source is None) == (self.builder is None):
            raise ValueError('give exactly one of "source" and "builder"')
        return self


class SystemConfig(StrictModel):
    """A named geometry and the initial sampling around it."""

    name: str = Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9._-]*$')
    """Name that follows every structure of this system."""
    geometry: GeometryConfig
    """The starting geometry."""
    sampling: SamplerField
    """How the first structures are drawn around it."""
    explore: bool = True
    """Whether explorations start from this system."""
