"""Parquet files, through pyarrow.

A few hundred bytes of Parquet can stand for terabytes, in many ways: one long value that a dictionary repeats, pages
that compress ten-thousandfold, a list of a billion nothings. What the file says of its sizes may be wrong, so the
operating system limits the memory that pyarrow takes.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.contacts.cells import is_nothing
from airflow_provider_cleanlist.contacts.columns import checked_names
from airflow_provider_cleanlist.contacts.errors import MalformedFileError, MissingDependencyError
from airflow_provider_cleanlist.contacts.readers.json_text import flattened
from airflow_provider_cleanlist.input_limits import (
    MB,
    PARQUET_BATCH_BYTES,
    PARQUET_BATCH_ROWS,
    PARQUET_MEMORY,
)
from airflow_provider_cleanlist.wording import counted, unique_names

if TYPE_CHECKING:
    from airflow_provider_cleanlist.contacts.readers.text import BinaryFile

_BUFFER_BYTES = 1024 * 1024
_CONVERSION_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError)
"""What converting a value raises: out of Python's range, of an unknown time zone, not UTF-8."""
_COPIED_BYTES = 16 * MB  # of a column whose equal values are found, which takes memory
_MORE_AHEAD = 8
_MEMORY = Path("/proc/self/statm")
_memory_lock = threading.Lock()


class ParquetTable:
    """A Parquet file, of which only the columns that are needed are read.

    Args:
        file: A seekable file opened in binary mode.

    Attributes:
        columns: Names of all columns; those inside a struct are joined to its name by dots, and repeated names get a
            number.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
        MalformedFileError: If the file is not a whole Parquet file, or its description takes too much memory.
    """

    def __init__(self, file: BinaryFile) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingDependencyError(
                "Reading Parquet needs pyarrow: pip install 'airflow-provider-cleanlist[parquet]'."
            ) from None
        self._errors = (pyarrow.ArrowException, EOFError, MemoryError, UnicodeError)
        self._number = 0
        self._memory = _Memory(pyarrow.total_allocated_bytes)
        try:
            with self._memory.limited():
                # Without both options pyarrow loads a whole row group, often the whole file.
                self._file = parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
                fields = self._file.schema_arrow
                paths = (path for field in fields for path in _leaf_paths(field, pyarrow))
                self._paths = checked_names(paths, "The source")
        except (*self._errors, OSError) as error:
            raise self._unreadable(error) from None
        self.columns = unique_names(self._paths)

    def rows(
        self, choose: Callable[[Sequence[str]], Sequence[str]] = lambda columns: columns
    ) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Yield the rows with their positions, counted from 1.

        A row without a value in the chosen columns has one more column if the others hold something.

        Args:
            choose: Returns those of the columns that are needed.

        Raises:
            MalformedFileError: If the file is damaged, its values are too large, or one cannot be converted.
        """
        chosen = set(choose(self.columns))
        needed = [path for path, name in zip(self._paths, self.columns, strict=True) if name in chosen]
        others = [path for path in dict.fromkeys(self._paths) if path not in needed]
        if not needed:
            return
        rest = _OtherColumns(self._batches(others), self._memory) if others else None
        try:
            for batch in self._batches(needed):
                if batch.nbytes > PARQUET_BATCH_BYTES:
                    raise MemoryError
                names = unique_names(batch.schema.names)
                with self._memory.limited():
                    columns = [
                        self._converted(name, column)
                        for name, column in zip(names, batch.columns, strict=True)
                    ]
                for cells in zip(*columns, strict=True):
                    self._number += 1
                    row = flattened(dict(zip(names, cells, strict=True)))
                    if rest is not None and all(map(is_nothing, row.values())):
                        row = {**row, **rest.value_in(self._number)}
                    yield self._number, row
        except (*self._errors, OSError) as error:
            raise self._unreadable(error) from None

    def _batches(self, paths: Sequence[str]) -> Iterator[Any]:
        batches = self._file.iter_batches(
            batch_size=PARQUET_BATCH_ROWS, columns=list(dict.fromkeys(paths)), use_threads=False
        )
        while True:
            with self._memory.limited():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _converted(self, name: str, column: Any) -> list[object]:
        try:
            values: list[object] = column.to_pylist()
        except _CONVERSION_ERRORS as error:
            raise MalformedFileError(
                f"Column {name!r} holds a value that Python cannot represent ({type(error).__name__}, behind row "
                f"{self._number:,}). Write the column as text."
            ) from None
        return values

    def _unreadable(self, error: Exception) -> Exception:
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            return error  # of the storage; pyarrow raises a plain one, without a number, for damaged bytes
        if isinstance(error, MemoryError):
            return MalformedFileError(
                f"The rows behind row {self._number:,} are too large: {PARQUET_BATCH_ROWS:,} of them may hold "
                f"{PARQUET_BATCH_BYTES // MB} MB, and take {PARQUET_MEMORY // MB} MB to be read. Leave large values "
                "out, or write the file with smaller pages."
            )
        read = f"{type(error).__name__} after {counted(self._number, 'row')}"
        return MalformedFileError(f"The file is not a readable Parquet file ({read}).")


class _Memory:
    """The memory that reading one file may take.

    Args:
        allocated: Returns how many bytes pyarrow holds.
    """

    def __init__(self, allocated: Callable[[], int]) -> None:
        self._allocated = allocated
        self._before = allocated()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Let allocations fail that would take more, while the context lasts; one thread at a time.

        The limit is the process's, and Linux's: where there is no ``/proc``, as on macOS, nothing is limited.

        Raises:
            MemoryError: What is done in the context takes more.
        """
        if not _MEMORY.exists():
            yield
            return
        with _memory_lock:
            held = max(0, self._allocated() - self._before)  # of earlier batches
            data = int(_MEMORY.read_text(encoding="ascii").split()[5]) * resource.getpagesize()
            soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            limit = data + PARQUET_MEMORY - held
            resource.setrlimit(resource.RLIMIT_DATA, (limit if soft < 0 else min(soft, limit), hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class _OtherColumns:
    """The columns that are not needed, read only as far as it must be known whether a row has anything in them.

    The first row that is asked for in a batch is looked at alone, later ones with ever more of those behind them.
    """

    def __init__(self, batches: Iterator[Any], memory: _Memory) -> None:
        self._batches = batches
        self._memory = memory
        self._batch: Any = None
        self._before = 0
        self._begin = 0
        self._found: list[str | None] = []
        self._ahead = 1

    def value_in(self, number: int) -> dict[str, object]:
        """Return a column with something in this row, not earlier than the row asked for last; at most one."""
        while self._batch is None or number > self._before + self._batch.num_rows:
            self._before += self._batch.num_rows if self._batch is not None else 0
            self._batch = next(self._batches)
            self._ahead = 1
        if number >= self._begin + len(self._found):
            with self._memory.limited():
                self._found = _columns_with_value(self._batch.slice(number - self._before - 1, self._ahead))
            self._begin = number
            self._ahead *= _MORE_AHEAD
        name = self._found[number - self._begin]
        return {} if name is None else {name: "not read"}


def _columns_with_value(batch: Any) -> list[str | None]:
    """Return for each row the first column with something in it."""
    found: list[str | None] = [None] * batch.num_rows
    left = list(range(batch.num_rows))
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count == len(column):
            continue
        keys = _keys(column)
        known: dict[object, bool] = {}
        for row in left:
            key = keys[row]
            if key not in known:
                known[key] = _has_value(column[row])
            if known[key]:
                found[row] = name
        left = [row for row in left if found[row] is None]
        if not left:
            break
    return found


def _keys(column: Any) -> Sequence[object]:
    """Return something for each cell that is the same only in cells of which all or none have a value."""
    column = getattr(column, "storage", column)  # of an extension type
    if hasattr(column, "offsets"):  # a list or a map
        lengths = (end - begin for begin, end in pairwise(column.offsets.to_pylist()))
        return list(zip(column.is_valid().to_pylist(), lengths, strict=True))
    if hasattr(column, "flatten"):  # a struct, or a list that has always the same length
        valid: list[object] = column.is_valid().to_pylist()
        return valid
    if column.nbytes > _COPIED_BYTES:
        return range(len(column))
    codes: list[object] = column.dictionary_encode().indices.to_pylist()
    return codes


def _has_value(scalar: Any) -> bool:
    try:
        return not is_nothing(scalar.as_py())
    except _CONVERSION_ERRORS:
        return True


def _leaf_paths(field: Any, pyarrow: Any) -> Iterator[str]:
    """Yield the names of a field's columns, as the columns of a file are chosen by."""
    if not pyarrow.types.is_struct(field.type):
        yield field.name
        return
    for inner in field.type:
        for path in _leaf_paths(inner, pyarrow):
            yield f"{field.name}.{path}"
