"""Fields that hold any registered plugin of a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, overload

from pydantic import (
    BeforeValidator,
    GetJsonSchemaHandler,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import PluginConfig, from_json
from aiida_traincraft.science.config.explain import explain
from aiida_traincraft.science.config.kinds import (
    BaselineConfig,
    BuilderConfig,
    CalculatorConfig,
    ExplorerConfig,
    LabellerConfig,
    SamplerConfig,
    SelectorConfig,
    SourceConfig,
    TrainerConfig,
    TransformConfig,
    ValidatorConfig,
)
from aiida_traincraft.science.errors import ConfigError


@dataclass(frozen=True)
class _Choice:
    """JSON Schema of a plugin field: any one of the plugins registered when the schema is made."""

    kind: str
    short: bool = False
    """Whether the name of a plugin may stand for its table."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        names = registry.names(self.kind)
        configs = [registry.get(self.kind, name).config for name in names]
        # What the default of "type" hides: here it says which of them is meant.
        choices = [{'allOf': [handler(c.__pydantic_core_schema__), {'required': ['type']}]} for c in configs]
        return {'oneOf': [*choices, *([{'enum': names}] if self.short else [])]}


def _validator(kind: str, short: bool = False) -> Any:
    def validate(value: Any) -> Any:
        if isinstance(value, PluginConfig):
            return value
        if short and isinstance(value, str):
            value = {'type': value}
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
            return from_json(model, value)
        except ValidationError as error:
            raise PydanticCustomError('plugin_errors', 'invalid', {'nested': (model, error)}) from None

    return BeforeValidator(validate)


SourceField = Annotated[SerializeAsAny[SourceConfig], _validator('source'), _Choice('source')]


BuilderField = Annotated[SerializeAsAny[BuilderConfig], _validator('builder'), _Choice('builder')]


TransformField = Annotated[SerializeAsAny[TransformConfig], _validator('transform'), _Choice('transform')]


CalculatorField = Annotated[SerializeAsAny[CalculatorConfig], _validator('calculator'), _Choice('calculator')]


SamplerField = Annotated[SerializeAsAny[SamplerConfig], _validator('sampler'), _Choice('sampler')]


SelectorField = Annotated[SerializeAsAny[SelectorConfig], _validator('selector'), _Choice('selector')]


LabellerField = Annotated[SerializeAsAny[LabellerConfig], _validator('labeller'), _Choice('labeller')]


BaselineField = Annotated[
    SerializeAsAny[BaselineConfig], _validator('baseline', short=True), _Choice('baseline', short=True)
]


TrainerField = Annotated[SerializeAsAny[TrainerConfig], _validator('trainer'), _Choice('trainer')]


ExplorerField = Annotated[SerializeAsAny[ExplorerConfig], _validator('explorer'), _Choice('explorer')]


ValidatorField = Annotated[SerializeAsAny[ValidatorConfig], _validator('validator'), _Choice('validator')]


@overload
def parse_plugin(kind: Literal['calculator'], value: Any) -> CalculatorConfig: ...
@overload
def parse_plugin(kind: Literal['baseline'], value: Any) -> BaselineConfig: ...
@overload
def parse_plugin(kind: Literal['sampler'], value: Any) -> SamplerConfig: ...
@overload
def parse_plugin(kind: Literal['selector'], value: Any) -> SelectorConfig: ...
@overload
def parse_plugin(kind: Literal['labeller'], value: Any) -> LabellerConfig: ...
@overload
def parse_plugin(kind: Literal['trainer'], value: Any) -> TrainerConfig: ...
@overload
def parse_plugin(kind: Literal['explorer'], value: Any) -> ExplorerConfig: ...
@overload
def parse_plugin(kind: Literal['validator'], value: Any) -> ValidatorConfig: ...
@overload
def parse_plugin(kind: str, value: Any) -> PluginConfig: ...
def parse_plugin(kind: str, value: Any) -> PluginConfig:
    """Validate one plugin's table outside a campaign, such as the parameters of a task.

    Parameters
    ----------
    kind
        Plugin kind.
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
