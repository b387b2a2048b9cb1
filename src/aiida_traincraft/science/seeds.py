"""Seeds of the parts of a campaign, derived from its one seed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: str | int) -> int:
    """Seed (32 bits) for one part of a campaign, such as ``derive_seed(seed, 'explore', cycle)``.

    Independent for different paths, the same on every machine.
    """
    text = '/'.join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.sha1(text.encode(), usedforsecurity=False).digest()[:4], 'little')
