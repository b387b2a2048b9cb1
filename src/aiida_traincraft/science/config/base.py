"""What all config models share: strictness, plugin fields, and errors a user can act on."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, ValidationError
from pydantic_core import PydanticCustomError


class StrictModel(BaseModel):
    """A section: unknown keys and non-finite numbers are errors, and values never change after validation."""

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class PluginConfig(StrictModel):
    """Base of every plugin's config model; ``type`` names the plugin."""

    type: str


def _validator(kind: str) -> Any:
    def validate(value: Any) -> Any:
        # Imported here: the registry needs PluginConfig from this module.
        from aiida_traincraft.science import registry

        if isinstance(value, PluginConfig):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError('plugin', 'expected a table with a key "type"')
        name = value.get('type')
        if name is None:
            raise PydanticCustomError(
                'plugin', 'the key "type" is missing (allowed: {names})', {'names': ', '.join(registry.names(kind))}
            )
        try:
            model = registry.get(kind, name).config
        except registry.UnknownPluginError as error:
            raise PydanticCustomError('plugin', '{message}', {'message': str(error), 'loc': 'type'}) from None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise PydanticCustomError('plugin_errors', 'invalid', {'nested': (model, error)}) from None

    return BeforeValidator(validate)


SourceField = Annotated[SerializeAsAny[PluginConfig], _validator('source')]
BuilderField = Annotated[SerializeAsAny[PluginConfig], _validator('builder')]
TransformField = Annotated[SerializeAsAny[PluginConfig], _validator('transform')]
CalculatorField = Annotated[SerializeAsAny[PluginConfig], _validator('calculator')]
SamplerField = Annotated[SerializeAsAny[PluginConfig], _validator('sampler')]
SelectorField = Annotated[SerializeAsAny[PluginConfig], _validator('selector')]
LabellerField = Annotated[SerializeAsAny[PluginConfig], _validator('labeller')]
TrainerField = Annotated[SerializeAsAny[PluginConfig], _validator('trainer')]
ExplorerField = Annotated[SerializeAsAny[PluginConfig], _validator('explorer')]


@dataclass(frozen=True)
class ConfigIssue:
    """One thing wrong with a config: where, and what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f'{self.path}: {self.message}'


class ConfigError(ValueError):
    """All that is wrong with a config, together."""

    def __init__(self, issues: list[ConfigIssue], origin: str = 'config') -> None:
        self.issues = issues
        count = f'{len(issues)} error{"s" if len(issues) > 1 else ""}'
        super().__init__(f'{origin}: {count}\n' + '\n'.join(f'  {issue}' for issue in issues))


def explain(error: ValidationError, model: type[BaseModel], prefix: tuple[str | int, ...] = ()) -> list[ConfigIssue]:
    """Turn pydantic's errors into issues with the key's path, what was given, and what is allowed."""
    issues = []
    for item in error.errors(include_url=False):
        loc = prefix + tuple(item['loc'])
        context = item.get('ctx', {})
        if item['type'] == 'plugin_errors':
            nested_model, nested = context['nested']
            issues += explain(nested, nested_model, loc)
            continue
        if 'loc' in context:
            loc = (*loc, context['loc'])
        if item['type'] == 'extra_forbidden':
            allowed = _fields_at(model, tuple(item['loc'])[:-1])
            near = difflib.get_close_matches(str(loc[-1]), allowed, n=1)
            hint = f'did you mean {near[0]!r}? ' if near else ''
            message = f'unknown key (given {item["input"]!r}); {hint}allowed: {", ".join(allowed)}'
        elif item['type'] == 'missing':
            message = 'this key is required'
        elif item['type'] == 'plugin':
            message = item['msg']
        else:
            text = item['msg'].removeprefix('Value error, ')
            given = '' if isinstance(item['input'], dict) else f' (given {item["input"]!r})'
            message = text[:1].lower() + text[1:] + given
        issues.append(ConfigIssue(_dotted(loc), message))
    return issues


def _dotted(loc: tuple[str | int, ...]) -> str:
    text = ''
    for part in loc:
        text += f'[{part}]' if isinstance(part, int) else (f'.{part}' if text else str(part))
    return text or '(top level)'


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Names that are valid at a place in the model."""
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation if part in getattr(current, 'model_fields', {}) else None
        current = _model_in(annotation)
        if current is None:
            return []
    return sorted(current.model_fields)


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, '__args__', ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None
