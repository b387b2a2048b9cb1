"""Errors that a user can act on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConfigIssue:
    """One thing wrong with a config: where, and what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f'{self.path}: {self.message}'


class ConfigError(ValueError):
    """All that is wrong with a config, together."""

    def __init__(self, issues: list[ConfigIssue], origin: str = 'config') -> None:
        self.issues = issues
        count = f'{len(issues)} error{"s" if len(issues) > 1 else ""}'
        super().__init__(f'{origin}: {count}\n' + '\n'.join(f'  {issue}' for issue in issues))


class TaskError(Exception):
    """A task that cannot be done; ``kind`` names the cause for the parser.

    Kinds: ``missing_package``, ``bad_input``, ``walltime``, ``no_result``, ``not_finite``, ``killed``,
    ``out_of_memory``, ``labels_dropped`` (not all labels sent were read), ``checkpoint_ignored`` (a training did not
    continue from its checkpoint).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


LONGEST_REASON = 1000
"""Characters."""


def shortened(reason: str) -> str:
    """Reason as it can be stored and shown: its length told where it is cut, and nothing in it that UTF-8 has not."""
    text = reason if len(reason) <= LONGEST_REASON else f'{reason[:LONGEST_REASON]}... ({len(reason)} characters)'
    return text.encode(errors='replace').decode()
