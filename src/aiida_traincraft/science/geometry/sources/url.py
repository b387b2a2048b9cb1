"""Source ``url``: a structure file from the network."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field, field_validator

from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.geometry.sources.file import FileSourceConfig, SliceText, read_file
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

SCHEMES = ('http', 'https')
BLOCK = 65536


class UrlConfig(SourceConfig):
    """A file behind http or https, in any format that ASE reads."""

    network: ClassVar[bool] = True
    type: Literal['url'] = 'url'
    url: str = Field(max_length=2000)
    """Address, with http or https."""
    sha256: str | None = Field(default=None, pattern=r'^[0-9a-f]{64}$')
    """Checksum that the file must have (64 hexadecimal digits)."""
    index: int | SliceText = -1
    """Frame of a file with several, or a slice such as ``"::10"``."""
    format: str | None = None
    """ASE's name of the format; by default the file's name and content decide."""
    max_bytes: int = Field(default=50_000_000, ge=1, le=2_000_000_000)
    """Largest file that is taken (bytes)."""
    timeout: float = Field(default=30.0, gt=0, le=3600)
    """Time (s) that the whole transfer may take."""

    @field_validator('url')
    @classmethod
    def _allowed(cls, value: str) -> str:
        check_address(value)
        return value


def check_address(address: str) -> None:
    """Refuse an address that is not of the web.

    Raises
    ------
    ValueError
        If its scheme is neither http nor https, or it names no host.
    """
    try:
        parts = urlsplit(address)
        # The port is checked only when it is asked for.
        host = parts.hostname if parts.port != 0 else None
    except ValueError as error:
        raise ValueError(f'{address!r} is no address: {error}') from None
    if parts.scheme not in SCHEMES or not host or not address.isprintable() or ' ' in address or not address.isascii():
        raise ValueError(
            f'{address!r} is not allowed: an address begins with http:// or https://, names a host, '
            'and has %-codes in place of blanks and letters with accents'
        )


class _OnlyWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Check where it leads."""
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@register('source', 'url', UrlConfig)
def read_url(config: UrlConfig, workspace: Workspace | None, rng: np.random.Generator) -> list[Structure]:
    """Structures of a file behind http or https; fetched when the campaign is launched.

    Raises
    ------
    ValueError
        If the file cannot be fetched, is too large, does not have the checksum, or cannot be read.

    Examples
    --------
    .. code-block:: toml

        [source]
        type = "url"
        url = "https://www.crystallography.net/cod/9008463.cif"
    """
    with tempfile.TemporaryDirectory(dir=None if workspace is None else workspace.root) as name:
        # The last part of the address tells ASE the format; nothing else of it gets into a path.
        path = Path(name) / (Path(urlsplit(config.url).path).name[-100:] or 'structure')
        checksum = _fetch(config, path)
        if config.sha256 is not None and checksum != config.sha256:
            raise ValueError(f'"sha256": the file behind {config.url} has the checksum {checksum}, not {config.sha256}')
        try:
            found = read_file(FileSourceConfig(path=str(path), index=config.index, format=config.format), None, rng)
        except ValueError as error:
            raise ValueError(f'"url": {error}') from error
    for structure in found:
        structure.provenance |= {'url': config.url, 'sha256': checksum}
    return found


def _fetch(config: UrlConfig, path: Path) -> str:
    digest, size, deadline = hashlib.sha256(), 0, time.monotonic() + config.timeout
    opener = urllib.request.build_opener(_OnlyWeb)
    try:
        with opener.open(config.url, timeout=config.timeout) as answer, path.open('wb') as handle:
            # Not read(), which waits for a whole block, however slowly it comes.
            while block := answer.read1(BLOCK):
                size += len(block)
                if size > config.max_bytes:
                    raise ValueError(f'"max_bytes": {config.url} holds more than {config.max_bytes} bytes')
                if time.monotonic() > deadline:
                    raise TimeoutError
                digest.update(block)
                handle.write(block)
            if answer.length:
                raise ValueError(f'"url": {config.url} ended {answer.length} bytes early: try again')
    except urllib.error.HTTPError as error:
        raise ValueError(f'"url": {config.url} answers {error.code} {error.reason}') from None
    except (OSError, http.client.HTTPException) as error:
        # A time-out of the connection itself comes wrapped.
        reason = getattr(error, 'reason', error)
        if isinstance(reason, TimeoutError):
            raise ValueError(f'"timeout": {config.url} took longer than {config.timeout:g} s') from None
        raise ValueError(f'"url": {config.url} cannot be reached: {reason or type(reason).__name__}') from None
    return digest.hexdigest()
