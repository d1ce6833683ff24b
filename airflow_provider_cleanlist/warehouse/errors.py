"""What can go wrong while loading, by what heals it."""

from __future__ import annotations


class LoadError(Exception):
    """A load failed and left the target as it was; running it again may succeed."""


class LoadConfigurationError(LoadError):
    """The arguments, the connection, privileges or the target table must be changed before it can succeed."""


class LoadDataError(LoadError):
    """The records do not fit the target; the message names columns, pages and rows, never values."""


class CursorRefusedError(LoadError):
    """The list cannot be read on from where an earlier try stopped; raised by whoever reads the pages."""
