"""The house: no circle of imports, short modules, and rooms with nothing loose beside them."""

from __future__ import annotations

import graphlib
import statistics
from pathlib import Path

import grimp

import aiida_traincraft

ROOT = Path(aiida_traincraft.__file__).parent
LOOSE = {'__init__.py', 'errors.py', 'optional.py', 'registry.py', 'seeds.py', 'structure.py', 'workspace.py'}
"""All that lies in no room of the science floor."""


def test_no_circle_of_imports_not_even_in_functions_or_for_type_checkers():
    graph = grimp.build_graph('aiida_traincraft', exclude_type_checking_imports=False)
    assert len(graph.modules) > 300
    # Raises CycleError with the circle.
    graphlib.TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    ).prepare()


def test_modules_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.rglob('*.py')}
    assert not {path.name: length for path, length in lengths.items() if length > 400}
    assert statistics.median(lengths.values()) <= 110


def test_the_science_floor_has_rooms():
    assert {path.name for path in (ROOT / 'science').glob('*.py')} == LOOSE
