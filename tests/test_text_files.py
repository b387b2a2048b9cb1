"""Text is UTF-8 wherever a file of it is opened, whatever the locale of the machine."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aiida_traincraft

SOURCE = Path(aiida_traincraft.__file__).parent


def opened_as_the_locale_says(tree: ast.AST) -> list[int]:
    """Lines that open a text file without an encoding."""
    found = []
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or any(keyword.arg == 'encoding' for keyword in call.keywords):
            continue
        name = getattr(call.func, 'attr', getattr(call.func, 'id', ''))
        if name in ('read_text', 'write_text'):
            found.append(call.lineno)
        elif name == 'open' and 'transport' not in ast.unparse(call.func):
            arguments = call.args if isinstance(call.func, ast.Attribute) else call.args[1:]
            mode = arguments[0].value if arguments and isinstance(arguments[0], ast.Constant) else None
            if not arguments or (isinstance(mode, str) and set(mode) <= set('rwax+')):
                found.append(call.lineno)
    return found


@pytest.mark.parametrize(
    ('code', 'lines'),
    [
        ('path.read_text()', [1]),
        ("path.write_text('x', encoding='utf-8')", []),
        ("path.open('rb')", []),
        ("path.open('w')", [1]),
        ("open(name, 'x')", [1]),
        ("repository.open('frames', 'rb')", []),
    ],
)
def test_what_is_found(code, lines):
    assert opened_as_the_locale_says(ast.parse(code)) == lines


def test_no_text_depends_on_the_locale():
    found = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob('*.py')
        if (lines := opened_as_the_locale_says(ast.parse(path.read_text(encoding='utf-8'))))
    }
    assert not found
