"""The one error type pvload shows to a person: what is wrong, where, and what was expected instead."""

from __future__ import annotations

USAGE_EXIT_CODE = 2


class PvloadError(Exception):
    """A failure with a message for a person, a hint what to do, and the exit code it ends the program with."""

    exit_code: int = USAGE_EXIT_CODE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(PvloadError):
    """A profile, an option or an address cannot be used as given."""


class FormatError(PvloadError):
    """Bytes that claim to be one of pvload's formats and are not, or are of another version."""


class RunDirectoryError(PvloadError):
    """A run directory lacks what the command needs from it."""
