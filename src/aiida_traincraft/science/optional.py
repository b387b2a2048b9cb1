"""How to get what is not installed: this package, what the interpreter of a role imports, libraries of single plugins.

This package is on no index, and only the interpreter of the command line needs it: every remedy names what works there.
"""

from __future__ import annotations

import importlib
from types import ModuleType

THIS_PACKAGE = '"pip install ." in a clone of its repository, or "pip install FILE" of its wheel'
"""How to get this package."""
LIBRARIES = {
    'rdkit': 'rdkit>=2024.3',
    'packmol': 'packmol>=21',
    'hiphive': 'hiphive>=1.4',
    'sqsgenerator': 'sqsgenerator>=0.5',
    'pyxtal': 'pyxtal>=1.1',
    'optimade': 'optimade[http-client]>=1.2',
    'mp_api': 'mp-api>=0.45',
    'tblite': 'tblite>=0.8',
    'gpaw': 'gpaw>=24',
    'phonopy': 'phonopy>=4',
}
"""What installs each library that only some plugins need."""
ROLES = {
    'ase': ('ase>=3.27', 'numpy>=1.26', 'pydantic>=2.7,<3'),
    'pace': ('ase>=3.27', 'numpy>=1.26', 'pydantic>=2.7,<3', 'python-ace>=0.4.0rc1,<0.5'),
}
"""What installs all that a bare interpreter needs for jobs of a role."""


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
        remedy = pip_install(LIBRARIES[library])
        raise MissingLibraryError(
            f'{wanted_by} needs {library}, which is not installed: {remedy}', name=library
        ) from None


def pip_install(*requirements: str) -> str:
    """Command that installs something from the package index."""
    return 'pip install ' + ' '.join(f'"{requirement}"' for requirement in requirements)
