"""Plugins found by kind and name: one new file with ``@register`` adds one, no dispatcher to edit.

A built-in plugin lies in the module of its name in the package of its kind, so that one that is asked for is imported
alone; all are imported only to be listed. Kinds and what their functions take and give:

=============  ============================================================  =========================
kind           arguments                                                     returns
=============  ============================================================  =========================
source         ``(config, workspace, rng)``                                  ``Structure`` or list
builder        ``(config, rng)``                                             ``Structure`` or list
transform      ``(structure, config, rng)``                                  ``Structure``
calculator     ``(config)``                                                  ASE calculator
sampler        ``(structure, calculator, workspace, config, rng, watch)``    ``SamplingRun``
selector       ``(pool, config)``                                            ``StageResult``
labeller       (configuration only; a WorkChain does the work)               -
baseline       ``(config)``                                                  ASE calculator
trainer        (configuration only; a WorkChain does the work)               -
explorer       (configuration only; a WorkChain does the work)               -
validator      ``(config)``                                                  ``Validator``
=============  ============================================================  =========================
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.config.kinds import BASES

KINDS = tuple(BASES)
ENTRY_POINT_GROUP = 'aiida_traincraft.plugins'
FILE_MODULE = 'traincraft_plugin_'
_PACKAGES = {
    'source': 'geometry.sources',
    'builder': 'geometry.builders',
    'transform': 'geometry.transforms',
    'calculator': 'calculators',
    'sampler': 'sampling',
    'selector': 'selection',
    'labeller': 'config.labelling',
    'baseline': 'baselines',
    'trainer': 'config.training',
    'explorer': 'config.exploration',
    'validator': 'validation',
}
"""Package of the science floor that holds the built-in plugins of each kind."""

T = TypeVar('T')


@dataclass(frozen=True)
class Plugin:
    """One registered implementation."""

    kind: str
    name: str
    config: type[PluginConfig]
    function: Callable[..., Any]
    summary: str

    @property
    def is_builtin(self) -> bool:
        """Whether it belongs to this package."""
        return _is_ours(self.function)

    @property
    def example(self) -> str | None:
        """TOML of the first ``code-block:: toml`` in the docstring, None without."""
        found = re.search(
            r'\.\. code-block:: toml\n\n((?:[ \t]+\S.*\n|\n)+)', inspect.cleandoc(self.function.__doc__ or '') + '\n'
        )
        return textwrap.dedent(found.group(1)).strip() + '\n' if found else None


class UnknownPluginError(ValueError):
    """A kind has no plugin of that name; the message suggests the nearest and lists the valid names."""


_plugins: dict[tuple[str, str], Plugin] = {}
_loaded: set[str] = set()


def register(kind: str, name: str, config: type[PluginConfig] | None = None) -> Callable[[T], T]:
    """Register a function (or, for kinds that are only configuration, a config class) under ``kind`` and ``name``.

    Raises
    ------
    ValueError
        If the kind is unknown or the name is taken by another object.
    """

    def decorator(target: T) -> T:
        if kind not in KINDS:
            raise ValueError(f'unknown plugin kind {kind!r}; kinds are {", ".join(KINDS)}')
        model, base = config if config is not None else target, BASES[kind]
        if not (isinstance(model, type) and issubclass(model, PluginConfig)):
            raise TypeError(f'{kind} {name!r}: a config model derived from {base.__name__} is needed')
        if not issubclass(model, tuple(BASES.values())):
            # Derived from what all kinds share: it gets the traits of its kind.
            model = type(model.__name__, (model, base), {'__module__': model.__module__, '__doc__': model.__doc__})
        if not issubclass(model, base):
            raise TypeError(f'{kind} {name!r}: {model.__name__} is no {base.__name__}, but of another kind')
        if not callable(target):
            raise TypeError(f'{kind} {name!r} is not callable')
        if not _is_ours(target):
            # A name that a built-in plugin has is taken, whether or not that one was asked for before.
            _import_builtin(kind, name)
        taken = _plugins.get((kind, name))
        if taken is not None and _origin(taken.function) != _origin(target):
            raise ValueError(f'{kind} {name!r} is already registered by {taken.function.__module__}')
        summary = (target.__doc__ or '').strip().split('\n')[0]
        _plugins[kind, name] = Plugin(kind, name, model, target, summary)
        return target

    return decorator


def _origin(target: Any) -> tuple[str, str]:
    """Home and name of a plugin; a plugin file may be loaded again from another place, under another name."""
    module = str(getattr(target, '__module__', ''))
    return FILE_MODULE if module.startswith(FILE_MODULE) else module, str(getattr(target, '__qualname__', ''))


def _is_ours(target: Any) -> bool:
    return str(getattr(target, '__module__', '')).startswith(f'{__package__}.')


def _import_builtin(kind: str, name: str) -> None:
    """Import the module that a built-in plugin of this name would lie in, if there is one."""
    module = f'{__package__}.{_PACKAGES[kind]}.{name}'
    if name.isidentifier() and importlib.util.find_spec(module) is not None:
        importlib.import_module(module)


def load_plugins(files: Iterable[Path]) -> None:
    """Import the plugins of files; repeating is harmless.

    Raises
    ------
    FileNotFoundError
        If a file is absent.
    ImportError
        If it is no Python module, or ends the program.
    """
    for path in files:
        location = str(Path(path).resolve())
        if location in _loaded:
            continue
        if not Path(location).is_file():
            raise FileNotFoundError(f'plugin file {path} does not exist')
        spec = importlib.util.spec_from_file_location(f'{FILE_MODULE}{Path(path).stem}', location)
        if spec is None or spec.loader is None:
            raise ImportError(f'plugin file {path} is not a Python module (.py)')
        module = importlib.util.module_from_spec(spec)
        # Pydantic looks up postponed annotations in the module by its name.
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except SystemExit as error:
            raise ImportError(f'plugin file {path} ends the program (sys.exit)') from error
        _loaded.add(location)


def _load_installed() -> None:
    """Import the plugins of installed packages."""
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.value not in _loaded:
            point.load()
            _loaded.add(point.value)


def _load_all(kind: str) -> None:
    module = importlib.import_module(f'{__package__}.{_PACKAGES[kind]}')
    for info in pkgutil.iter_modules(module.__path__, module.__name__ + '.'):
        importlib.import_module(info.name)
    _load_installed()


def names(kind: str) -> list[str]:
    """Names of all plugins of a kind, alphabetical; imports them all."""
    _load_all(kind)
    return sorted(name for found, name in _plugins if found == kind)


def plugins() -> list[Plugin]:
    """All plugins, by kind (in pipeline order) and name; imports them all."""
    for kind in KINDS:
        _load_all(kind)
    return sorted(_plugins.values(), key=lambda plugin: (KINDS.index(plugin.kind), plugin.name))


def get(kind: str, name: str) -> Plugin:
    """Find a plugin: one that is registered, else a built-in one, else one of an installed package.

    Raises
    ------
    UnknownPluginError
        If there is none; names the nearest and the allowed ones.
    """
    if (kind, name) not in _plugins:
        _import_builtin(kind, name)
    if (kind, name) not in _plugins:
        _load_installed()
    try:
        return _plugins[kind, name]
    except KeyError:
        raise UnknownPluginError(_unknown(kind, str(name))) from None


def _unknown(kind: str, name: str) -> str:
    """What to say of a name that no plugin of a kind has."""
    found = plugins()
    allowed = [plugin.name for plugin in found if plugin.kind == kind]
    known = {alias.lower(): plugin.name for plugin in found if plugin.kind == kind for alias in plugin.config.aliases}
    known |= {own.lower(): own for own in allowed}
    near = difflib.get_close_matches(name.lower(), known, n=1)
    others = sorted(plugin.kind for plugin in found if plugin.name.lower() == name.lower())
    hint = f'; did you mean {known[near[0]]!r}?' if near else ''
    hint += f'; it is of kind {" and ".join(others)}' if others else ''
    return f'no {kind} is called {name!r}{hint} (allowed: {", ".join(allowed)})'
