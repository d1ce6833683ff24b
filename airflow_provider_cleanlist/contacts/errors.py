"""What can be wrong with a source of contacts.

Every message says what is wrong, where, and what to do about it. None holds a value of the source: file and
column names, row and line numbers and counts only. Reading the same source again gives the same error, so
callers should not retry a :class:`SourceError`.
"""

from __future__ import annotations


class SourceError(ValueError):
    """A source of contacts cannot be read as it is."""


class UnknownFormatError(SourceError):
    """The file's suffix names no supported format."""


class MissingFileError(SourceError):
    """There is no readable file at the path."""


class EmptyFileError(SourceError):
    """The file holds nothing at all, not even a header."""


class EncodingError(SourceError):
    """The file's bytes are not text in a supported encoding."""


class MalformedFileError(SourceError):
    """The file is not what its suffix says: broken CSV, JSON, Parquet or gzip."""


class ColumnError(SourceError):
    """The columns cannot be used: they identify nobody, or the mapping does not fit them."""


class MissingDependencyError(SourceError):
    """Reading this source needs a package that is not installed."""


class QueryError(SourceError):
    """The query cannot be run, or its data made the database fail; a message that may quote values is left out."""


class SourceUnavailableError(Exception):
    """A source of contacts cannot be read at the moment; reading it again later may succeed."""
