"""Cuts and flips of files, for tests that read what was damaged."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

QUICK = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""A seeded few, in the suite."""
LONG = settings(QUICK, max_examples=int(os.environ.get('TRAINCRAFT_DAMAGES', '1000')), derandomize=False)
"""Many, other ones each time."""


@st.composite
def damages(draw, content: bytes) -> bytes:
    """The content cut, with a byte or bit changed, with a piece removed, or with a piece there twice."""
    place = draw(st.integers(0, len(content) - 1))
    end = min(len(content), place + draw(st.integers(1, 200)))
    return draw(
        st.sampled_from(
            [
                content[:place],
                content[:place] + bytes([draw(st.sampled_from(b'0123456789-.[]{},: \nax'))]) + content[place + 1 :],
                content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :],
                content[:place] + content[end:],
                content[:end] + content[place:],
            ]
        )
    )
