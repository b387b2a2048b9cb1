"""Frames that are not taken, and why."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_EXCERPT = 120


class FrameError(ValueError):
    """What is wrong with a frame, and which rule says so."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


@dataclass(frozen=True)
class RefusedFrame:
    """A frame that is not taken."""

    file: str
    frame: int
    rule: str
    reason: str

    def __str__(self) -> str:
        return f'{self.file}, frame {self.frame}: {self.reason}'


def excerpt(value: bytes | str) -> str:
    """Show the beginning of what stands in a file, in quotes."""
    text = repr(value[:LONGEST_EXCERPT]).removeprefix('b')
    return text if len(value) <= LONGEST_EXCERPT >= len(text) else f'{text[:LONGEST_EXCERPT]}...'
