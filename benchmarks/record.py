"""Write what a benchmark measured as a Markdown table, with the versions of what was measured."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / 'results'


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and in brackets smallest and largest."""
    return f'{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})'


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(str(cell) for cell in line)} |' for line in lines)


def write(
    name: str, title: str, command: str, parts: Sequence[str], packages: Sequence[str], folder: Path = RESULTS
) -> Path:
    """Write ``<folder>/<name>.md`` and print it.

    Parameters
    ----------
    name, title, command
        Of the benchmark; the command is the one that made this record.
    parts
        Paragraphs and tables.
    packages
        Distributions whose versions matter; those not installed are left out.
    """
    found = [f'Python {platform.python_version()}']
    for package in packages:
        try:
            found.append(f'{package} {version(package)}')
        except PackageNotFoundError:
            continue
    text = '\n\n'.join([f'# {title}', f'`{command}`', *parts, f'Versions: {", ".join(found)}.']) + '\n'
    folder.mkdir(exist_ok=True)
    path = folder / f'{name}.md'
    path.write_text(text)
    print(f'\n{text}\nwritten to {path}', flush=True)
    return path
