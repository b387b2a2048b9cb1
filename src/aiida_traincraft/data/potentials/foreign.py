"""Potentials that were not trained here, as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.config.kinds import CalculatorConfig


class ForeignPotentialData(PotentialData):
    """The table of a calculator, and the files that it names.

    Parameters
    ----------
    config
        The calculator's config; the keys in ``files`` of its class name files.
    folder
        Folder that relative names refer to.

    Raises
    ------
    ValueError
        If a file is absent, or two files have one name.
    """

    def __init__(self, config: CalculatorConfig, folder: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        table = config.model_dump(mode='json')
        keys = [key for key in config.files if table[key] is not None]
        for key in keys:
            given = table[key]
            names = [given] if isinstance(given, str) else list(given)
            stored = [self._store_file(folder / Path(name).expanduser(), key) for name in names]
            table[key] = stored[0] if isinstance(given, str) else stored
        known = sorted(config.known_elements() or ())
        self.base.attributes.set_many(
            {
                'calculator': table,
                'files': keys,
                'elements': known,
                'e0': {},
                'metrics': {},
            }
        )
        self.keep_digests()

    @property
    def role(self) -> str:
        """Code of ``[codes]`` that evaluates it: that of the calculator's type, or Python with ase."""
        kind = str(self.base.attributes.get('calculator')['type'])
        return kind if kind in ('mace', 'pace') else 'ase'

    @property
    def measure(self) -> str | None:
        """Unknown."""
        return None

    def job_table(self, head: str | None = None) -> dict[str, Any]:
        """Table of ``load_potential``."""
        content = {name: self.base.attributes.get(name) for name in ('calculator', 'files')}
        return {'type': 'calculator', **content, 'digests': self.digests}

    def _store_file(self, path: Path, key: str) -> str:
        if not path.is_file():
            raise ValueError(f'"{key}": there is no file {path}')
        if path.name in self.files:
            raise ValueError(f'"{key}": two files are called {path.name}')
        self.base.repository.put_object_from_file(str(path.resolve()), path.name)
        return path.name

    def __str__(self) -> str:
        return f'potential of calculator {self.base.attributes.get("calculator")["type"]!r}, not trained here'


FILE_KEYS: dict[str, tuple[str, str]] = {'.model': ('mace', 'model'), '.yaml': ('pace', 'potential')}
"""Calculator, and its key, of files that are given alone."""


def table_of_file(path: Path, further: dict[str, Any] | None = None) -> dict[str, Any]:
    """Calculator's table of a single file.

    Raises
    ------
    ValueError
        If its ending belongs to no kind of potential.
    """
    if path.suffix not in FILE_KEYS:
        known: Sequence[str] = sorted(FILE_KEYS)
        raise ValueError(f'{path.name} ends with none of {", ".join(known)}: describe the potential in [potential]')
    kind, key = FILE_KEYS[path.suffix]
    return {'type': kind, **(further or {}), key: str(path.resolve())}
