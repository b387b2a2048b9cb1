"""Source ``optimade``: crystals of the databases that speak OPTIMADE."""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import AfterValidator, Field

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.sources.file import check_numbers
from aiida_traincraft.science.geometry.sources.url import check_address
from aiida_traincraft.science.optional import LIBRARIES, MissingLibraryError, pip_install, require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

WANTED_BY = 'source "optimade"'


def _checked(address: str) -> str:
    check_address(address)
    return address


class OptimadeConfig(SourceConfig):
    """Structures that fit a filter, of one provider or several; needs the client of OPTIMADE."""

    network: ClassVar[bool] = True
    type: Literal['optimade'] = 'optimade'
    base_urls: tuple[Annotated[str, Field(max_length=2000), AfterValidator(_checked)], ...] = Field(
        min_length=1, max_length=20
    )
    """Addresses of the providers, without ``/v1``, such as ``https://optimade.materialsproject.org``."""
    filter: str = Field(min_length=1, max_length=2000)
    """What is searched for, in the filter language of OPTIMADE."""
    max_results: int = Field(default=10, ge=1, le=1000)
    """Structures taken of each provider, in its own order."""
    timeout: float = Field(default=60.0, gt=0, le=3600)
    """Time (s) that the search of one provider may take."""


@register('source', 'optimade', OptimadeConfig)
def search_optimade(config: OptimadeConfig, workspace: Workspace | None, rng: np.random.Generator) -> list[Structure]:
    """Structures of databases that speak OPTIMADE (Evans et al., Digital Discovery 3, 1509 (2024)).

    Fetched when the campaign is launched; the provenance names the provider and the entry's identifier.

    Raises
    ------
    ValueError
        If the filter cannot be read, a provider does not answer, nothing fits, or an entry is not an ordered structure.
    MissingLibraryError
        Without OPTIMADE's client.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "optimade"
        base_urls = ["https://optimade.materialsproject.org"]
        filter = 'elements HAS ALL "Ga", "N" AND nelements = 2 AND nsites <= 4'
        max_results = 5
    """
    _check_filter(config.filter)
    structures = []
    for address in config.base_urls:
        for entry in _entries(address, config)[: config.max_results]:
            atoms = _atoms(entry, address)
            structures.append(Structure(atoms, {}, {'provider': address, 'id': str(entry['id'])}))
    if not structures:
        raise ValueError(f'"filter": {config.filter!r} fits no structure of {", ".join(config.base_urls)}')
    return structures


def _check_filter(text: str) -> None:
    # Not left to the client: where that finds a fault, it silences every later traceback of the process.
    parser, errors = require('optimade.filterparser', WANTED_BY), require('optimade.exceptions', WANTED_BY)
    try:
        parser.LarkParser().parse(text)
    except errors.BadRequest as error:
        raise ValueError(f'"filter": {text!r} is no filter of OPTIMADE: {_one_line(error)}') from None


def _entries(address: str, config: OptimadeConfig) -> list[dict[str, Any]]:
    try:
        library = require('optimade.client.client', WANTED_BY)
    except MissingLibraryError:
        raise
    except ImportError:
        message = f'{WANTED_BY} needs the client of optimade: {pip_install(LIBRARIES["optimade"])}'
        raise MissingLibraryError(message, name='optimade') from None
    session, deadline = library.requests.Session, time.monotonic() + config.timeout

    def get(self: Any, url: str, **keys: Any) -> Any:
        # The client repeats a request that was refused for being one too many without end.
        if time.monotonic() > deadline:
            raise TimeoutError(f'it took longer than "timeout" = {config.timeout:g} s')
        return session.get(self, url, **keys)

    client = library.OptimadeClient(
        base_urls=[address],
        max_results_per_provider=config.max_results,
        http_timeout=config.timeout,
        http_client=type('TimedSession', (session,), {'get': get}),
        silent=True,
    )
    found = client.get(config.filter, endpoint='structures')['structures'][config.filter][address]
    if found['errors']:
        raise ValueError(f'"base_urls": {address} gives no answer: {_one_line(found["errors"][0])}')
    if not isinstance(found['data'], list):
        raise ValueError(f'"base_urls": {address} does not answer with a list of structures')
    entries: list[dict[str, Any]] = found['data']
    return entries


def _atoms(entry: Any, address: str) -> Atoms:
    adapters = require('optimade.adapters', WANTED_BY)
    try:
        check_size(len(entry['attributes']['species_at_sites']), 'it')
        made = adapters.Structure(entry).as_ase
        # Without the masses and all else that a provider adds to the geometry.
        atoms = Atoms(made.numbers, made.positions, cell=made.cell, pbc=made.pbc)
        check_numbers(atoms, 'it')
    # The models of the client and its conversion refuse in many ways.
    except Exception as error:
        name = entry.get('id') if isinstance(entry, dict) else entry
        raise ValueError(
            f'"filter": entry {name!r} of {address} is no structure that can be used; a narrower filter leaves it out '
            f'({_one_line(error)})'
        ) from None
    return atoms


def _one_line(reason: object) -> str:
    return ' '.join(''.join(c if c.isprintable() else ' ' for c in str(reason)).split())[:300]
