"""Libraries that only some plugins need: extras of the package."""

from __future__ import annotations

import importlib
from types import ModuleType

EXTRAS = {
    'rdkit': 'molecules',
    'packmol': 'liquids',
    'hiphive': 'rattle',
    'sqsgenerator': 'alloys',
    'pyxtal': 'random',
    'optimade': 'optimade',
    'mp_api': 'materials_project',
    'tblite': 'xtb',
    'gpaw': 'gpaw',
    'phonopy': 'phonons',
}
"""Extra that installs each library."""


class MissingLibraryError(ModuleNotFoundError):
    """A library is not installed; the message says how to get it."""


def require(module: str, wanted_by: str) -> ModuleType:
    """Import a module of an optional library.

    Parameters
    ----------
    module
        Dotted name, such as ``rdkit.Chem``.
    wanted_by
        Kind and name of what needs it, such as ``source "smiles"``.

    Raises
    ------
    MissingLibraryError
        If the library is not installed: with the command that installs it.
    """
    library = module.partition('.')[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] != library:
            raise
        extra = EXTRAS[library]
        raise MissingLibraryError(
            f'{wanted_by} needs {library}, which is not installed: pip install "aiida-traincraft[{extra}]"',
            name=library,
        ) from None
