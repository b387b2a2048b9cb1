"""What all config models share: strictness, plugin fields, and errors a user can act on."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError


class StrictModel(BaseModel):
    """A section: unknown keys and non-finite numbers are errors, and values never change after validation."""

    model_config = ConfigDict(
        extra='forbid', strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class PluginConfig(StrictModel):
    """Base of every plugin's config model; ``type`` names the plugin."""

    type: str


@dataclass(frozen=True)
class _Choice:
    """JSON Schema of a plugin field: any one of the plugins registered when the schema is made."""

    kind: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # Imported here: the registry needs PluginConfig from this module.
        from aiida_traincraft.science import registry

        registry.load_plugins()
        configs = [registry.get(self.kind, name).config for name in registry.names(self.kind)]
        # What the default of "type" hides: here it says which of them is meant.
        return {'oneOf': [{'allOf': [handler(c.__pydantic_core_schema__), {'required': ['type']}]} for c in configs]}


def _validator(kind: str) -> Any:
    def validate(value: Any) -> Any:
        # Imported here: the registry needs PluginConfig from this module.
        from aiida_traincraft.science import registry

        if isinstance(value, PluginConfig):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError('plugin', 'expected a table with a key "type"')
        name = value.get('type')
        if name is not None and not isinstance(name, str):
            raise PydanticCustomError('plugin', 'expected the name of a plugin', {'loc': 'type'})
        if name is None:
            raise PydanticCustomError(
                'plugin', 'the key "type" is missing (allowed: {names})', {'names': ', '.join(registry.names(kind))}
            )
        try:
            model = registry.get(kind, name).config
        except registry.UnknownPluginError as error:
            raise PydanticCustomError('plugin', '{message}', {'message': str(error), 'loc': 'type'}) from None
        try:
            # JSON's types: an array is a tuple where one is wanted, but "5" is no number.
            return model.model_validate_json(json.dumps(value, default=str))
        except ValidationError as error:
            raise PydanticCustomError('plugin_errors', 'invalid', {'nested': (model, error)}) from None

    return BeforeValidator(validate)


SourceField = Annotated[SerializeAsAny[PluginConfig], _validator('source'), _Choice('source')]
BuilderField = Annotated[SerializeAsAny[PluginConfig], _validator('builder'), _Choice('builder')]
TransformField = Annotated[SerializeAsAny[PluginConfig], _validator('transform'), _Choice('transform')]
CalculatorField = Annotated[SerializeAsAny[PluginConfig], _validator('calculator'), _Choice('calculator')]
SamplerField = Annotated[SerializeAsAny[PluginConfig], _validator('sampler'), _Choice('sampler')]
SelectorField = Annotated[SerializeAsAny[PluginConfig], _validator('selector'), _Choice('selector')]
LabellerField = Annotated[SerializeAsAny[PluginConfig], _validator('labeller'), _Choice('labeller')]
TrainerField = Annotated[SerializeAsAny[PluginConfig], _validator('trainer'), _Choice('trainer')]
ExplorerField = Annotated[SerializeAsAny[PluginConfig], _validator('explorer'), _Choice('explorer')]
ValidatorField = Annotated[SerializeAsAny[PluginConfig], _validator('validator'), _Choice('validator')]


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


def parse_plugin(kind: str, value: Any) -> PluginConfig:
    """Validate one plugin's table outside a campaign, such as the parameters of a task.

    Parameters
    ----------
    kind
        Plugin kind; its plugins are loaded already.
    value
        Table with a key ``type``.

    Raises
    ------
    ConfigError
        With every error found, each with its key.
    """
    adapter: TypeAdapter[PluginConfig] = TypeAdapter(Annotated[PluginConfig, _validator(kind)])
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ConfigError(explain(error, PluginConfig, (kind,)), f'cannot use this {kind}') from None


def explain(error: ValidationError, model: type[BaseModel], prefix: tuple[str | int, ...] = ()) -> list[ConfigIssue]:
    """Turn pydantic's errors into issues with the key's path, what was given, and what is allowed."""
    issues: list[ConfigIssue] = []
    for item in error.errors(include_url=False):
        keys, allowed = _resolve(model, tuple(item['loc']))
        keys, context = prefix + keys, item.get('ctx', {})
        if item['type'] == 'plugin_errors':
            nested_model, nested = context['nested']
            issues += explain(nested, nested_model, keys)
            continue
        given = '' if isinstance(item['input'], dict) else f' (given {item["input"]!r})'
        if 'loc' in context:
            keys = (*keys, context['loc'])
        if item['type'] == 'extra_forbidden':
            near = difflib.get_close_matches(str(keys[-1]), allowed, n=1)
            hint = f'did you mean {near[0]!r}? ' if near else ''
            message = f'unknown key (given {item["input"]!r}); {hint}allowed: {", ".join(allowed)}'
        elif item['type'] == 'missing':
            message = 'this key is required'
        elif item['type'] == 'plugin':
            message = item['msg']
        elif item['type'] == 'union_tag_invalid':
            keys = (*keys, 'type')
            message = f'no such type (given {context["tag"]!r}); allowed: {context["expected_tags"]}'
        elif item['type'] == 'union_tag_not_found':
            keys, message = (*keys, 'type'), 'this key is required'
        elif item['type'] in ('model_type', 'model_attributes_type', 'dict_type'):
            message = f'expected a table{given}'
        else:
            text = item['msg'].removeprefix('Value error, ')
            message = text[:1].lower() + text[1:] + given
        path = _dotted(keys)
        if issues and issues[-1].path == path:
            # One value that fits no member of a union: pydantic reports every member.
            message = f'{issues.pop().message.removesuffix(given)}, or {message}'
        issues.append(ConfigIssue(path, message))
    return issues


def _dotted(loc: tuple[str | int, ...]) -> str:
    text = ''
    for part in loc:
        text += f'[{part}]' if isinstance(part, int) else (f'.{part}' if text else str(part))
    return text or '(top level)'


def _resolve(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], list[str]]:
    """Keys of a place as the user wrote them (pydantic adds names of union members), and what the table may hold."""
    keys: list[str | int] = []
    current: Any = model
    allowed: list[str] = []
    for part in loc:
        models = _models_in(current)
        tagged = [
            found for found in models if 'type' in found.model_fields and found.model_fields['type'].default == part
        ]
        holders = [found for found in models if part in found.model_fields]
        if isinstance(part, int):
            keys.append(part)
        elif len(models) > 1 and tagged:
            current = tagged[0]
        elif holders:
            keys.append(part)
            current = holders[0].model_fields[part].annotation
        elif models or _has_mapping(current):
            keys.append(part)
        allowed = sorted({name for found in models for name in found.model_fields})
    return tuple(keys), allowed


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models_in(inner)]


def _has_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_has_mapping(inner) for inner in get_args(annotation))
