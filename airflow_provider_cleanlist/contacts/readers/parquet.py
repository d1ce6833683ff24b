"""Parquet files, through pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.contacts.cells import is_nothing, source_columns
from airflow_provider_cleanlist.contacts.errors import MalformedFileError, MissingDependencyError
from airflow_provider_cleanlist.contacts.readers.json_text import flattened
from airflow_provider_cleanlist.wording import counted, unique_names

if TYPE_CHECKING:
    from airflow_provider_cleanlist.contacts.readers.text import BinaryFile

_BATCH_ROWS = 2_000
_BUFFER_BYTES = 1024 * 1024
_CONVERSION_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError)
"""What converting a value raises: out of Python's range, of an unknown time zone, not UTF-8."""


class ParquetTable:
    """A Parquet file, of which only the columns that are needed are read.

    Args:
        file: A seekable file opened in binary mode.

    Attributes:
        columns: Names of all columns; those inside a struct are joined to its name by dots, and repeated names get a
            number.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
        MalformedFileError: If the file is not a whole Parquet file.
    """

    def __init__(self, file: BinaryFile) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingDependencyError(
                "Reading Parquet needs pyarrow: pip install 'airflow-provider-cleanlist[parquet]'."
            ) from None
        self._errors = (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, EOFError)
        self._number = 0
        try:
            # Without both options pyarrow loads a whole row group, often the whole file.
            self._file = parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            self._paths = [path for field in self._file.schema_arrow for path in _leaf_paths(field, pyarrow)]
        except (*self._errors, OSError) as error:
            raise self._unreadable(error) from None
        self.columns = source_columns(self._paths)

    def rows(
        self, choose: Callable[[Sequence[str]], Sequence[str]] = lambda columns: columns
    ) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Yield the rows with their positions, counted from 1.

        A row without a value in the chosen columns has one more column if the others hold something.

        Args:
            choose: Returns those of the columns that are needed.

        Raises:
            MalformedFileError: If the file is damaged, or a value cannot be converted.
        """
        chosen = set(choose(self.columns))
        needed = [path for path, name in zip(self._paths, self.columns, strict=True) if name in chosen]
        others = [path for path in dict.fromkeys(self._paths) if path not in needed]
        if not needed:
            return
        rest = _OtherColumns(self._batches(others)) if others else None
        try:
            for batch in self._batches(needed):
                names = unique_names(batch.schema.names)
                columns = [
                    self._converted(name, column) for name, column in zip(names, batch.columns, strict=True)
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
        return iter(
            self._file.iter_batches(
                batch_size=_BATCH_ROWS, columns=list(dict.fromkeys(paths)), use_threads=False
            )
        )

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
        read = f"{type(error).__name__} after {counted(self._number, 'row')}"
        return MalformedFileError(f"The file is not a readable Parquet file ({read}).")


class _OtherColumns:
    """The columns that are not needed, read only as far as it must be known whether a row has anything in them."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._batch: Any = None
        self._before = 0

    def value_in(self, number: int) -> dict[str, object]:
        """Return a column with something in this row, not earlier than the row asked for last; at most one."""
        while self._batch is None or number > self._before + self._batch.num_rows:
            self._before += self._batch.num_rows if self._batch is not None else 0
            self._batch = next(self._batches)
        index = number - self._before - 1
        for name, column in zip(self._batch.schema.names, self._batch.columns, strict=True):
            if _has_value(column[index]):
                return {name: "not read"}
        return {}


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
