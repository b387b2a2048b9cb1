"""Campaign files gone wrong: valid ones with a few things changed, as hypothesis draws them."""

from __future__ import annotations

import copy
import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
FILES = [*sorted((ROOT / 'examples').glob('*.toml')), *sorted((ROOT / 'src/aiida_traincraft/templates').glob('*.toml'))]
TEXTS = {path.name: path.read_text(encoding='utf-8') for path in FILES}
TABLES = {name: tomllib.loads(text) for name, text in TEXTS.items()}
DEEP = 3000
"""Levels, more than Python's stack has."""
NUMBERS = [
    0, 1, 2, -1, 10**6, 2**31, 2**63, -(2**63) - 1, 10**30, 0.0, -0.0, 0.5, -1.0, 1e-300, 1e300, -1e300,
    float('nan'), float('inf'), float('-inf'), True, False,
]  # fmt: skip
WORDS = [
    '', ' ', '.', '..', '/', '~', 'Cu', 'cu', 'Qq', 'Cu2O', 'ase', 'emt', 'pace', 'all', 'true', 'nan', '1', '1e3',
    '[]', '::', '80 meV/Å', 'a b', 'Größe', '\u202e', '\x00', '\x1b[31m', '\n', '\\', '"', "'", '${HOME}', '%s', '{0}',
    '[bold]', '💥', 'x' * 5000, '\ufeff', 'a\u0301', '__class__', 'name.other', '../../x', 'ﬁ', '１２',
]  # fmt: skip
OTHERS: list[Any] = [
    [], {}, [[]], [{}], [[[[1]]]], {'type': 'emt'}, {'type': 'nothing'}, {'type': 3}, [1, 'a'], [0.0] * 3, [1] * 3,
    ['Cu', 'Cu'], dt.date(2020, 2, 29), dt.time(1, 2, 3),
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
]  # fmt: skip
MANGLES = (
    '',
    '=',
    '[',
    ']',
    '"',
    "'",
    '{',
    '}',
    '\n',
    '#',
    ',',
    '.',
    '\x00',
    '\x7f',
    '\ufeff',
    '"""',
    '[[',
    '\r',
    '٣',
    '_',
)

Place = tuple[Any, ...]


def places(value: Any, path: Place = ()) -> list[Place]:
    """Paths of all keys and items of nested tables and arrays."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((*path, key), *places(inner, (*path, key)))]


def at(tables: Any, path: Place) -> Any:
    """Value at a path."""
    for part in path:
        tables = tables[part]
    return tables


OCCURRING: dict[str, list[Any]] = {}
"""Values of each key in all files: what is right at one place, and may be wrong at another."""
for _tables in TABLES.values():
    for _place in places(_tables):
        if isinstance(_place[-1], str):
            OCCURRING.setdefault(_place[-1], []).append(at(_tables, _place))
ANYTHING = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.sampled_from(OTHERS),
    st.integers(),
    st.floats(),
    st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.sampled_from(sorted(OCCURRING)).flatmap(lambda key: st.sampled_from(OCCURRING[key])),
)
KEYS = st.one_of(st.sampled_from(sorted(OCCURRING)), st.sampled_from(WORDS), st.text(max_size=8))


@st.composite
def changed(draw: st.DrawFn, tables: dict[str, Any]) -> dict[str, Any]:
    """Tables with one thing changed."""
    result = copy.deepcopy(tables)
    *parents, last = draw(st.sampled_from(places(result) or [()]))
    holder = at(result, tuple(parents))
    how = draw(st.sampled_from(['replace', 'like', 'drop', 'add', 'rename', 'double', 'scale', 'swap']))
    old = holder[last]
    if how == 'drop':
        del holder[last]
    elif how == 'like' and isinstance(last, str):
        holder[last] = copy.deepcopy(draw(st.sampled_from(OCCURRING.get(last, WORDS))))
    elif how == 'add' and isinstance(holder, dict):
        holder[draw(KEYS)] = copy.deepcopy(draw(ANYTHING))
    elif how == 'rename' and isinstance(last, str):
        holder[draw(KEYS)] = holder.pop(last)
    elif how == 'double' and isinstance(old, list):
        old += copy.deepcopy(old)
    elif how == 'scale' and isinstance(old, int | float) and not isinstance(old, bool):
        holder[last] = type(old)(old * draw(st.sampled_from([-1, 2, 10, 1000])))
    elif how == 'swap':
        other = draw(st.sampled_from(places(tables)))
        holder[last] = copy.deepcopy(at(tables, other))
    else:
        holder[last] = copy.deepcopy(draw(ANYTHING))
    return result


@st.composite
def mangled(draw: st.DrawFn, text: str) -> str:
    """Text with something written over a place in it, or cut there, or with far too much of one thing."""
    place = draw(st.integers(0, len(text)))
    how = draw(st.sampled_from(['over', 'cut', 'repeat', 'deep array', 'deep table', 'dotted', 'digits']))
    if how == 'cut':
        return text[:place]
    if how == 'repeat':
        return text + text[place : place + 200]
    deep = {
        'deep array': f'\nlarge = {"[" * DEEP}{"]" * DEEP}\n',
        'deep table': f'\nlarge = {"{a=" * DEEP}1{"}" * DEEP}\n',
        'dotted': f'\n{"a." * DEEP}a = 1\n',
        'digits': f'\nseed = {"9" * 5000}\n',
    }
    if how in deep:
        ends = [index + 1 for index, letter in enumerate(text) if letter == '\n'] or [0]
        end = draw(st.sampled_from(ends))
        return text[:end] + deep[how] + text[end:]
    width = draw(st.integers(0, 3))
    return text[:place] + draw(st.sampled_from(MANGLES)) + text[place + width :]


@st.composite
def campaign_files(draw: st.DrawFn) -> bytes:
    """Content of a campaign file: one of ours with one to three things changed."""
    name = draw(st.sampled_from(sorted(TABLES)))
    if draw(st.integers(0, 9)) == 0:
        return draw(mangled(TEXTS[name])).encode(errors='surrogatepass')
    tables = TABLES[name]
    for _ in range(draw(st.integers(1, 3))):
        tables = draw(changed(tables))
    return tomli_w.dumps(tables).encode(errors='surrogatepass')
