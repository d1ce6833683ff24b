"""Parquet files, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.contacts.errors import MalformedFileError, MissingDependencyError
from airflow_provider_cleanlist.wording import counted

if TYPE_CHECKING:
    from airflow_provider_cleanlist.contacts.readers.text import BinaryFile

_BATCH_ROWS = 2_000
_BUFFER_BYTES = 1024 * 1024


def read_parquet(file: BinaryFile) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield a Parquet file's rows with their positions, counted from 1.

    Args:
        file: A seekable file opened in binary mode.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
        MalformedFileError: If the file is not a whole Parquet file.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingDependencyError(
            "Reading Parquet needs pyarrow: pip install 'airflow-provider-cleanlist[parquet]'."
        ) from None
    number = 0
    try:
        # Without both options pyarrow loads a whole row group, often the whole file.
        table = parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, EOFError) as error:
        raise MalformedFileError(
            f"The file is not a readable Parquet file ({type(error).__name__} after {counted(number, 'row')})."
        ) from None
