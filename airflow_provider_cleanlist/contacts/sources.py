"""Where contacts come from: values in memory, files, queries. All of them stream rows in bounded memory.

A source can be read more than once; every reading starts anew. Rows are numbered from 1 as a user finds them: in
a table the data rows below the header (a spreadsheet shows row 1 as its row 2), in JSON lines the line, in a JSON
array, Parquet file, query or list the position. A source raises :class:`.errors.SourceError` for what reading
again cannot fix, and lets errors of networks and databases pass, which it may.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS, Contact
from airflow_provider_cleanlist.contacts.columns import find_column, plan_columns, source_columns
from airflow_provider_cleanlist.contacts.errors import (
    MalformedFileError,
    MissingFileError,
    SourceError,
    SourceUnavailableError,
    UnknownFormatError,
)
from airflow_provider_cleanlist.contacts.readers.delimited import DELIMITERS, DelimitedFile
from airflow_provider_cleanlist.contacts.readers.json_text import read_json_array, read_json_lines
from airflow_provider_cleanlist.contacts.readers.parquet import ParquetTable
from airflow_provider_cleanlist.contacts.readers.query import read_query
from airflow_provider_cleanlist.contacts.readers.text import (
    BinaryFile,
    Decoder,
    check_encoding,
    read_chunks,
    split_lines,
    without_end_marks,
)
from airflow_provider_cleanlist.contacts.recognition import count_recognised
from airflow_provider_cleanlist.input_limits import GZIPPED_PARQUET_BYTES
from airflow_provider_cleanlist.storage import NotARegularFileError, open_file

if TYPE_CHECKING:
    from airflow_provider_cleanlist.contacts.readers.query import ConnectionHook

Parameters = Sequence[object] | Mapping[str, object]


class SourceRow(NamedTuple):
    """One row of a source.

    Attributes:
        number: Where the user finds it, from 1.
        values: Its values by column.
        is_overlong: Whether it had more cells than the header, so that its values may be shifted.
    """

    number: int
    values: Mapping[str, object]
    is_overlong: bool = False

    def __repr__(self) -> str:
        """Show the number only: the values are personal data."""
        return f"SourceRow({self.number})"


@dataclass(frozen=True, slots=True)
class WantedColumns:
    """What is to be read of a source, so that it can find its header and leave other columns out.

    Attributes:
        mapping: A checked ``column_mapping``.
        also: Further columns to read, for instance one with ids.
        is_all: Whether all columns are to be read, whatever they are.
    """

    mapping: Mapping[str, str | None] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    is_all: bool = False

    def count_known(self, names: Iterable[str]) -> int:
        """Return how many of these names are recognised or mapped."""
        names = tuple(names)
        mapped = set(filter(None, (find_column(names, name) for name in self.mapping)))
        return len(mapped) + count_recognised([name for name in names if name not in mapped])

    def is_usable(self, columns: Sequence[str]) -> bool:
        """Return whether columns can identify a person."""
        return self.is_all or plan_columns(columns, self.mapping).is_usable

    def of(self, columns: Sequence[str]) -> list[str]:
        """Return those of a source's columns that are needed."""
        if self.is_all:
            return list(columns)
        needed = set(chain.from_iterable(plan_columns(columns, self.mapping).sources.values()))
        needed.update(self.of_each_row(columns))
        return [column for column in columns if column in needed]

    def of_each_row(self, columns: Sequence[str]) -> list[str]:
        """Return those of a source's columns that a row has even if it ends before them, as a short line does."""
        if self.is_all:
            return list(columns)
        return [column for name in self.also if (column := find_column(columns, name)) is not None]


class Source(Protocol):
    """A source of rows.

    Attributes:
        columns: The columns of all rows; None while they are not known, or when each row has its own.
    """

    columns: tuple[str, ...] | None

    @property
    def has_header_line(self) -> bool:
        """Whether the columns come from a text's first line, which may be missing."""

    def rows(self, wanted: WantedColumns | None = None, /) -> Iterator[SourceRow]:
        """Read the source from its start: what is wanted of it, or everything."""

    def describe(self) -> str:
        """Name the source, and how it was read, for a log: without values and credentials."""

    def skipped_lines(self) -> Sequence[str]:
        """Return log lines about lines of a text that are no rows."""


class RecordsSource:
    """Contacts in memory.

    Args:
        records: Mappings, :class:`Contact` objects, or a pandas DataFrame.

    Raises:
        SourceError: If the records are of any other type.
    """

    has_header_line = False

    def __init__(self, records: object) -> None:
        self.columns: tuple[str, ...] | None = None
        if isinstance(records, str | bytes | Mapping | Contact) or not isinstance(records, Iterable):
            raise SourceError(
                f"contacts is a {type(records).__name__}. Give a list of mappings or Contact objects, or a "
                "DataFrame; for a file, use contacts_path."
            )
        self._frame: Any = records if hasattr(records, "itertuples") else None
        one_pass = self._frame is None and iter(records) is records
        self._records: Iterable[object] = list(records) if one_pass else records

    def describe(self) -> str:
        """Name the source."""
        return "contacts" if self._frame is None else "contacts (DataFrame)"

    def skipped_lines(self) -> Sequence[str]:
        """Return nothing: every record is a row."""
        return ()

    def rows(self, wanted: WantedColumns | None = None, /) -> Iterator[SourceRow]:
        """Read the contacts from the first."""
        if self._frame is not None:
            self.columns = source_columns([str(column) for column in self._frame.columns])
            for number, cells in enumerate(self._frame.itertuples(index=False, name=None), start=1):
                yield SourceRow(number, dict(zip(self.columns, cells, strict=True)))
            return
        for number, record in enumerate(self._records, start=1):
            if isinstance(record, Contact):
                yield SourceRow(number, {name: getattr(record, name) for name in CONTACT_FIELDS})
            elif isinstance(record, Mapping):
                yield SourceRow(number, {str(key): value for key, value in record.items()})
            else:
                raise SourceError(
                    f"Item {number} of contacts is a {type(record).__name__}. Give mappings or Contact objects."
                )


class QuerySource:
    """The rows of an SQL query.

    Args:
        hook: A ``DbApiHook``.
        sql: One query.
        parameters: Values for its placeholders, in the driver's style.
    """

    has_header_line = False

    def __init__(self, hook: ConnectionHook, sql: str, parameters: Parameters | None = None) -> None:
        self.columns: tuple[str, ...] | None = None
        self._hook = hook
        self._sql = sql
        self._parameters = parameters

    def describe(self) -> str:
        """Name the source."""
        return "the SQL query"

    def skipped_lines(self) -> Sequence[str]:
        """Return nothing: every record is a row."""
        return ()

    def rows(self, wanted: WantedColumns | None = None, /) -> Iterator[SourceRow]:
        """Run the query.

        Raises:
            QueryError: If it writes, cannot be run as it is, or its data made it fail.
            SourceUnavailableError: If the database cannot be reached or fails.
        """
        number = 0
        with closing(read_query(self._hook, self._sql, self._parameters)) as results:
            for columns, row in results:
                self.columns = columns
                if row:
                    number += 1
                    yield SourceRow(number, dict(zip(columns, row, strict=True)))


class FileSource:
    """A file of contacts on a local disk or in any object storage.

    Its suffix names its format: ``.csv`` or ``.tsv`` (delimiter, quoting and encoding are detected), ``.jsonl`` or
    ``.ndjson``, ``.json`` (an array of objects, or an object that holds one), ``.parquet``; each may be followed by
    ``.gz``.

    Args:
        path: A local path, or a URI that Airflow's ``ObjectStoragePath`` takes (``s3://connection@bucket/key``).
        encoding: Name of the text codec of Python in which the file is written; by default it is detected.
        header_row: Which row of a delimited text is the header, as a spreadsheet counts them, from 1; by default it is
            searched for.

    Raises:
        UnknownFormatError: If the suffix names no supported format.
        EncodingError: If Python does not know ``encoding``.
        SourceError: If ``encoding`` or ``header_row`` is given for a format that has none, or ``header_row`` is not
            positive.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, encoding: str | None = None, header_row: int | None = None
    ) -> None:
        self.columns: tuple[str, ...] | None = None
        self._path = path
        self._encoding = encoding
        self._header_row = header_row
        self._name = _public_name(str(path))
        suffixes = [suffix.lower() for suffix in Path(self._name).suffixes]
        self._is_gzip = suffixes[-1:] == [".gz"]
        self._format = (suffixes[:-1] if self._is_gzip else suffixes)[-1:]
        self._has_groups = False
        self._details: list[str] = []
        self._skipped_lines: list[str] = []
        if not self._format or self._format[0] not in _FORMATS:
            raise UnknownFormatError(
                f"{self._name}: the format is not supported. Supported suffixes: {', '.join(_FORMATS)}, each also "
                "with .gz. Export a workbook's sheet as CSV (UTF-8)."
            )
        if encoding is not None:
            check_encoding(encoding)
            if self._format[0] == ".parquet":
                raise SourceError(f"{self._name}: a Parquet file has no encoding; leave encoding out.")
        if header_row is not None and self._format[0] not in _DELIMITED:
            raise SourceError(
                f"{self._name}: header_row is for {' and '.join(_DELIMITED)} files only; leave it out."
            )
        if header_row is not None and header_row < 1:
            raise SourceError(f"header_row={header_row}: rows are counted from 1.")

    @property
    def has_header_line(self) -> bool:
        """Whether the columns come from a line that nobody has named."""
        return self._format[0] in _DELIMITED and self._header_row is None and not self._has_groups

    def describe(self) -> str:
        """Name the file, without credentials, and say how it was read."""
        details = (
            [*self._details, "with the names of groups above the header"]
            if self._has_groups
            else self._details
        )
        return f"{self._name} ({', '.join(details)})" if details else self._name

    def skipped_lines(self) -> Sequence[str]:
        """Return log lines about the lines above the header, repeated headers and the footer."""
        return self._skipped_lines

    def rows(self, wanted: WantedColumns | None = None, /) -> Iterator[SourceRow]:
        """Open the file and read it from its start.

        Args:
            wanted: What is to be read; by default everything.

        Raises:
            MissingFileError: If there is no file, or it may not be read.
            SourceError: If it cannot be read as what its suffix says; the message starts with its name.
            SourceUnavailableError: If the storage fails.
        """
        try:
            with ExitStack() as stack:
                file: BinaryFile = stack.enter_context(self._open())
                if self._is_gzip:
                    file = stack.enter_context(gzip.GzipFile(fileobj=cast("IO[bytes]", file)))
                yield from _FORMATS[self._format[0]](self, file, wanted or WantedColumns(is_all=True))
        except tuple(_PROBLEMS) as error:
            raise MissingFileError(f"{self._name} cannot be read: {_PROBLEMS[type(error)]}.") from None
        except OSError as error:
            raise SourceUnavailableError(f"{self._name} cannot be read ({type(error).__name__}).") from None
        except SourceError as error:
            raise type(error)(f"{self._name}: {error}") from None

    def _open(self) -> IO[bytes]:
        location = str(self._path)
        try:
            return open_file(location)
        except (ImportError, ValueError):
            if "://" not in location:
                raise  # an impossible local path
            scheme = location.partition("://")[0]
            raise SourceError(
                f"no file system for {scheme}:// is installed. Install the Airflow provider that brings it, such as "
                "apache-airflow-providers-amazon[s3fs] for s3://."
            ) from None
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__.startswith("airflow."):
                raise
            # a client of object storage: refused credentials, a network that fails
            raise SourceUnavailableError(f"{self._name} cannot be opened ({type(error).__name__}).") from None

    def _texts(self, file: BinaryFile) -> Iterator[str]:
        decoder = Decoder(self._encoding)
        for text in without_end_marks(decoder.decode(read_chunks(file))):
            self._details = [decoder.encoding]
            yield text

    def _delimited(self, file: BinaryFile, wanted: WantedColumns) -> Iterator[SourceRow]:
        lines = split_lines(self._texts(file))
        table = DelimitedFile(lines, header_row=self._header_row, count_known=wanted.count_known)
        self.columns = table.columns
        self._has_groups = table.has_groups
        width = len(table.columns)
        missing = dict.fromkeys(wanted.of_each_row(table.columns))
        for number, cells in table.records():
            if len(cells) == width:  # fast: nearly all rows
                yield SourceRow(number, dict(zip(table.columns, cells, strict=True)))
                continue
            if not cells:  # fast: a blank line
                yield SourceRow(number, missing)
                continue
            is_overlong = any(map(str.strip, cells[width:]))
            values = dict(
                zip(table.columns, cells, strict=False)
            )  # a short row takes no more time in a wide table
            yield SourceRow(number, {**missing, **values}, is_overlong)
        self._details.append(f"{DELIMITERS.get(table.delimiter, 'custom')}-separated")
        self._skipped_lines = table.skipped_lines()

    def _json_lines(self, file: BinaryFile, wanted: WantedColumns) -> Iterator[SourceRow]:
        return (SourceRow(*row) for row in read_json_lines(split_lines(self._texts(file))))

    def _json_array(self, file: BinaryFile, wanted: WantedColumns) -> Iterator[SourceRow]:
        return (SourceRow(*row) for row in read_json_array(self._texts(file), wanted.is_usable))

    def _parquet(self, file: BinaryFile, wanted: WantedColumns) -> Iterator[SourceRow]:
        if not self._is_gzip:
            yield from self._parquet_rows(file, wanted)
            return
        with tempfile.TemporaryFile() as plain:  # Parquet is read from its end, gzip only from its start
            for chunk in read_chunks(file):
                if plain.tell() > GZIPPED_PARQUET_BYTES:
                    raise MalformedFileError(
                        f"The file is larger than {GZIPPED_PARQUET_BYTES // 1024**3} GB after decompression. Leave out "
                        ".gz: Parquet is compressed already."
                    )
                plain.write(chunk)
            plain.seek(0)
            yield from self._parquet_rows(plain, wanted)

    def _parquet_rows(self, file: BinaryFile, wanted: WantedColumns) -> Iterator[SourceRow]:
        table = ParquetTable(file)
        self.columns = table.columns
        return (SourceRow(*row) for row in table.rows(wanted.of))


_DELIMITED = (".csv", ".tsv")
_FORMATS: Mapping[str, Callable[[FileSource, BinaryFile, WantedColumns], Iterator[SourceRow]]] = {
    ".csv": FileSource._delimited,
    ".tsv": FileSource._delimited,
    ".jsonl": FileSource._json_lines,
    ".ndjson": FileSource._json_lines,
    ".json": FileSource._json_array,
    ".parquet": FileSource._parquet,
}
_PROBLEMS: Mapping[type[OSError], str] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a directory",
    NotADirectoryError: "there is no such file",
    PermissionError: "permission denied",
    NotARegularFileError: "it is not a regular file",
}


def _public_name(location: str) -> str:
    """Return a path or URI without credentials, query, and what writes no character: others may have named the file."""
    if "://" in location:
        location = re.sub(r"(?<=://)[^/]*@", "", location).partition("?")[0]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in location)


def open_source(
    *,
    contacts: object = None,
    contacts_path: str | os.PathLike[str] | None = None,
    encoding: str | None = None,
    header_row: int | None = None,
    sql: str | None = None,
    sql_conn_id: str | None = None,
    parameters: Parameters | None = None,
) -> Source:
    """Return the one source that is given. Nothing is read yet.

    Args:
        contacts: Mappings, :class:`Contact` objects or a DataFrame.
        contacts_path: A file, see :class:`FileSource`.
        encoding: The file's encoding, see :class:`FileSource`.
        header_row: The file's header, see :class:`FileSource`.
        sql: A query on ``sql_conn_id``.
        sql_conn_id: An Airflow connection whose hook is a ``DbApiHook``.
        parameters: Values for the query's placeholders.

    Raises:
        SourceError: If not exactly one source is given, or it is not what it should be.
        CleanlistConfigurationError: If ``sql_conn_id`` is not the connection of a SQL database.
    """
    given = [
        name
        for name, value in (("contacts", contacts), ("contacts_path", contacts_path), ("sql", sql))
        if value is not None
    ]
    if len(given) != 1:
        raise SourceError(
            f"Give exactly one of contacts, contacts_path and sql; got {', '.join(given) or 'none'}."
        )
    if contacts_path is not None:
        return FileSource(contacts_path, encoding=encoding, header_row=header_row)
    if encoding is not None or header_row is not None:
        raise SourceError("encoding and header_row are for contacts_path only; leave them out.")
    if contacts is not None:
        return RecordsSource(contacts)
    if not sql_conn_id:
        raise SourceError("sql needs sql_conn_id, the connection to run it on.")
    from airflow_provider_cleanlist.hooks.sql import sql_hook

    return QuerySource(sql_hook(sql_conn_id, "sql_conn_id"), cast("str", sql), parameters)
