"""What all config models share: strictness, and how they are read."""

from __future__ import annotations

import json
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
)

Model = TypeVar('Model', bound=BaseModel)


class StrictModel(BaseModel):
    """A section: unknown keys and non-finite numbers are errors, and values never change after validation."""

    model_config = ConfigDict(
        extra='forbid', strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def from_json(model: type[Model], value: Any) -> Model:
    """Validate with JSON's types: an array is a tuple where one is wanted, but "5" is no number and "no" no boolean.

    Raises
    ------
    pydantic.ValidationError
        With every error found.
    """
    return model.model_validate_json(json.dumps(value, default=str))


class PluginConfig(StrictModel):
    """Base of every plugin's config model; ``type`` names the plugin."""

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that users know it by: suggested where one is given, never taken."""
    type: str
