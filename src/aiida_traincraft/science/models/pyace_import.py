"""The one door to pyace, which is optional and lives in the compute node's environment."""

from __future__ import annotations

import importlib
import logging
from typing import Any


def import_pyace(module: str = 'pyace') -> Any:
    """Import pyace or one of its submodules and leave the root logger as it was.

    Raises
    ------
    ModuleNotFoundError
        If python-ace is not installed.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        return importlib.import_module(module)
    finally:
        # pyace adds a handler to the root logger and sets its level to INFO.
        root.handlers[:] = handlers
        root.setLevel(level)
