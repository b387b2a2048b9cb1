"""Pydantic's errors in words: where, what was given, what is allowed."""

from __future__ import annotations

import difflib
import re
from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ValidationError,
)

from aiida_traincraft.science.errors import ConfigIssue

PLAIN_KEY = re.compile(r'[\w-]+')


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
            near = difflib.get_close_matches(repr(context['tag']), context['expected_tags'].split(', '), n=1)
            hint = f'; did you mean {near[0]}?' if near else ''
            message = f'no such type (given {context["tag"]!r}); allowed: {context["expected_tags"]}{hint}'
        elif item['type'] == 'union_tag_not_found':
            keys, message = (*keys, 'type'), 'this key is required'
        elif item['type'] == 'list_type' and isinstance(item['input'], dict):
            message = f'expected a valid array of tables: write [[{_dotted(keys)}]] in place of [{_dotted(keys)}]'
        elif item['type'] in ('model_type', 'model_attributes_type', 'dict_type'):
            message = f'expected a table{given}'
        elif item['type'] == 'string_pattern_mismatch' and (words := _described(model, tuple(item['loc']))):
            message = f'it should match pattern "{words}"{given}'
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
        if isinstance(part, int):
            text += f'[{part}]'
            continue
        # Any text may be a key: one with a dot is not two, and control characters stay out of the terminal.
        text += ('.' if text else '') + (part if PLAIN_KEY.fullmatch(part) else repr(part))
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


def _described(model: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    """What a key is, in the words of its description."""
    current: Any = model
    found = ''
    for part in loc:
        holders = [holder for holder in _models_in(current) if part in holder.model_fields]
        if holders:
            field = holders[0].model_fields[str(part)]
            current, found = field.annotation, field.description or found
    # What follows the first sentence is about its meaning, not about its form.
    return ' '.join(found.split()).partition('. ')[0]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models_in(inner)]


def _has_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_has_mapping(inner) for inner in get_args(annotation))
