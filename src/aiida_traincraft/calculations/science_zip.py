"""The science floor as a zip: same source, same bytes, so that the graph knows which source ran."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import aiida_traincraft

_MAIN = 'import sys\n\nfrom aiida_traincraft.science.worker.main import main\n\nsys.exit(main())\n'
# The oldest date that a zip can hold: a build time would change the bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


@cache
def science_zip() -> bytes:
    """Bytes of a zip that ``python`` runs; imports nothing but the standard library, numpy, ase and pydantic."""
    root = Path(aiida_traincraft.__file__).parent
    sources = {'__main__.py': _MAIN}
    for path in (root / '__init__.py', *(root / 'science').rglob('*.py')):
        sources[f'aiida_traincraft/{path.relative_to(root).as_posix()}'] = path.read_text(encoding='utf-8')
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            archive.writestr(zipfile.ZipInfo(name, _DATE), sources[name])
    return buffer.getvalue()
