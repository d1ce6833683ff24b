"""Parquet: the columns that are needed, and values that Python cannot have."""

from __future__ import annotations

import datetime as dt
import io
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from airflow_provider_cleanlist.contacts.errors import MalformedFileError
from airflow_provider_cleanlist.contacts.readers import parquet as parquet_module
from airflow_provider_cleanlist.contacts.readers.parquet import ParquetTable
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource

NAMES = {"first_name": pa.array(["Mara", "Teo"]), "last_name": pa.array(["Okafor", "Lindqvist"])}
FAR = pa.array([dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.UTC), None], pa.timestamp("us", tz="Asia/Tokyo"))
UNKNOWN_ZONE = pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 2, pa.timestamp("us", tz="Moon/Tycho"))
NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"S\xffab")]
)
NANOSECONDS = pa.array([1, 2], pa.timestamp("ns"))
BAD = {"far": FAR, "zone": UNKNOWN_ZONE, "text": NOT_UTF8}


def written(table: pa.Table, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    file.seek(0)
    return file


def table_of(**columns: pa.Array) -> pa.Table:
    return pa.table({**NAMES, **columns})


@pytest.mark.parametrize("bad", BAD)
def test_a_column_that_is_not_needed_cannot_stop_anything(tmp_path, bad):
    path = tmp_path / "c.parquet"
    parquet.write_table(table_of(company=pa.array(["x", "y"]), **{bad: BAD[bad]}), path)
    report = ReadReport()
    rows = list(read_contacts(FileSource(path), report))
    assert [row.number for row in rows if isinstance(row, UsableRow)] == [1, 2]
    assert report.unused_columns == (bad,)


@pytest.mark.parametrize(
    ("bad", "error"), [("far", "OverflowError"), ("zone", ""), ("text", "UnicodeDecodeError")]
)
def test_a_needed_value_that_cannot_be_converted_is_named_by_its_column(bad, error):
    table = ParquetTable(written(table_of(**{bad: BAD[bad]})))
    message = (
        rf"^Column '{bad}' holds a value that Python cannot represent \({error}\w*, behind row 0\)\. Write"
    )
    with pytest.raises(MalformedFileError, match=message) as caught:
        list(table.rows())
    assert caught.value.__cause__ is None


def damaged(table: pa.Table, **options: Any) -> io.BytesIO:
    data = bytearray(written(table, **options).getvalue())
    data[4:24] = b"\xff" * 20  # the header of the first page
    return io.BytesIO(data)


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_damaged_bytes_are_not_a_failure_of_the_storage(compression):
    table = ParquetTable(damaged(table_of(), compression=compression))
    with pytest.raises(MalformedFileError, match=r"not a readable Parquet file \(OSError after 0 rows\)"):
        list(table.rows())


def test_a_column_name_that_is_not_utf_8_is_a_damaged_file():
    data = written(table_of(company=pa.array(["x", "y"]))).getvalue()
    with pytest.raises(MalformedFileError, match="not a readable Parquet file"):
        ParquetTable(io.BytesIO(data.replace(b"company", b"\xffompany")))


class FailingStorage(io.BytesIO):
    """A file that can be read no more once it is told so."""

    failure: OSError | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.failure:
            raise self.failure
        return super().read(size)


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), ConnectionResetError("reset")])
def test_a_failure_of_the_storage_stays_one(failure):
    file = FailingStorage(written(table_of()).getvalue())
    table = ParquetTable(file)
    file.failure = failure
    with pytest.raises(type(failure)) as caught:
        list(table.rows())
    assert not isinstance(caught.value, MalformedFileError)


NOTHING = {
    "null": pa.nulls(1, pa.string()),
    "no list": pa.nulls(1, pa.list_(pa.int64())),
    "empty": pa.array([""]),
    "a dictionary's": pa.array([""]).dictionary_encode(),
    "a marker": pa.array(["n/a"]),
    "NaN": pa.array([float("nan")]),
    "an empty list": pa.array([[]], pa.list_(pa.string())),
    "an empty map": pa.array([[]], pa.map_(pa.string(), pa.int64())),
    "no struct": pa.nulls(1, pa.struct([("a", pa.int64())])),
}
if hasattr(pa, "json_"):  # since pyarrow 19
    NOTHING["an empty JSON text"] = pa.ExtensionArray.from_storage(pa.json_(), pa.array([""]))
SOMETHING = {
    "text": pa.array(["x"]),
    "a dictionary's": pa.array(["x"]).dictionary_encode(),
    "not UTF-8": NOT_UTF8[:1],
    "far": FAR[:1],
    "a number": pa.array([0]),
    "a list of nothing": pa.array([[None]], pa.list_(pa.string())),
    "a map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "a struct of nothing": pa.array([{"a": None}], pa.struct([("a", pa.int64())])),
    "a list of two": pa.array([[None, None]], pa.list_(pa.int64(), 2)),
}


def others_of(columns: dict[str, pa.Array], rows: int) -> list[tuple[int, Any]]:
    """What is found in columns that are not needed, of rows without a value in the one that is."""
    table = pa.table({"email": pa.nulls(rows, pa.string()), **columns})
    found = ParquetTable(written(table, row_group_size=450)).rows(lambda names: ["email"])
    return [(number, {name: row[name] for name in row if name != "email"}) for number, row in found]


@pytest.mark.parametrize("nothing", NOTHING)
def test_rows_with_nothing_in_other_columns_are_found_at_once(nothing, monkeypatch):
    looked_at = []
    original = parquet_module._has_value
    monkeypatch.setattr(parquet_module, "_has_value", lambda cell: looked_at.append(cell) or original(cell))
    monkeypatch.setattr(parquet_module, "PARQUET_BATCH_ROWS", 300)
    column = pa.concat_arrays([NOTHING[nothing]] * 600)
    assert others_of({f"c{at}": column for at in range(20)}, 600) == [(at, {}) for at in range(1, 601)]
    assert len(looked_at) < 300


@pytest.mark.parametrize("copied", [parquet_module._COPIED_BYTES, 0])
@pytest.mark.parametrize("something", SOMETHING)
def test_the_first_of_other_columns_with_something_is_named(something, copied, monkeypatch):
    monkeypatch.setattr(parquet_module, "_COPIED_BYTES", copied)
    monkeypatch.setattr(parquet_module, "PARQUET_BATCH_ROWS", 300)
    one = SOMETHING[something]
    columns = {}
    null = pa.nulls(1, one.type)
    for name, every in (("never", 601), ("third", 3), ("tenth", 10)):
        columns[name] = pa.concat_arrays([null if at % every else one for at in range(1, 601)])
    for at, (number, found) in enumerate(others_of(columns, 600), start=1):
        first = "third" if at % 3 == 0 else "tenth" if at % 10 == 0 else None
        assert (number, found) == (at, {first: "not read"} if first else {})


def test_structs_are_columns_joined_by_dots():
    person = pa.array(
        [{"firstname": "Mara", "account": {"name": "Thistle"}, "tags": ["a"]}, {"firstname": "Teo"}],
        pa.struct(
            [
                ("firstname", pa.string()),
                ("account", pa.struct([("name", pa.string())])),
                ("tags", pa.list_(pa.string())),
            ]
        ),
    )
    table = ParquetTable(written(pa.table({"id": pa.array([1, 2]), "properties": person})))
    assert table.columns == ("id", "properties.firstname", "properties.account.name", "properties.tags")
    chosen = table.rows(lambda columns: ["properties.account.name", "id"])
    assert next(chosen) == (1, {"id": 1, "properties.account.name": "Thistle"})
    assert next(chosen)[1]["id"] == 2
    everything = ParquetTable(written(pa.table({"properties": person}))).rows()
    assert next(everything) == (
        1,
        {"properties.firstname": "Mara", "properties.account.name": "Thistle", "properties.tags": ["a"]},
    )


def test_repeated_column_names_are_numbered():
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["company", "company"])
    assert list(ParquetTable(written(table)).rows()) == [(1, {"company": "a", "company (2)": "b"})]


def test_a_row_with_nothing_but_other_columns_is_not_blank(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "PARQUET_BATCH_ROWS", 3)
    count = 20
    columns = {
        "first_name": ["Mara" if row == 1 else None for row in range(count)],
        "last_name": ["Okafor" if row == 1 else "" for row in range(count)],
        "company": ["x" if row == 1 else None for row in range(count)],
        "crm_id": [row if row in (0, 7, 8, 19) else None for row in range(count)],
        "note": ["" for row in range(count)],
    }
    path = tmp_path / "c.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=7)
    report = ReadReport()
    rows = list(read_contacts(FileSource(path), report))
    assert [row.number for row in rows] == [2]
    assert report.without_contact.first_rows == [1, 8, 9, 20]
    assert report.blank.count == count - 5
    assert "crm_id" in report.unused_columns


def test_a_file_without_usable_columns_names_them(tmp_path):
    path = tmp_path / "c.parquet"
    parquet.write_table(pa.table({"colour": ["blue"]}), path)
    with pytest.raises(ValueError, match=r"No usable columns.*'colour'"):
        list(read_contacts(FileSource(path), ReadReport()))


def repeated(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def bomb(column: pa.Array, **options: Any) -> io.BytesIO:
    table = pa.table({"first_name": column, "last_name": pa.array(["x"] * len(column))})
    return written(table, compression="zstd", store_schema=False, **options)


MILLION = "x" * 1_000_000
BOMBS: dict[str, Callable[[], io.BytesIO]] = {
    "a dictionary": lambda: bomb(repeated(MILLION, 100)),
    "a page": lambda: bomb(pa.array([MILLION] * 60), use_dictionary=False, data_page_size=2**30),
    "values that begin as the one before": lambda: bomb(
        pa.array([MILLION] * 60), use_dictionary=False, column_encoding={"first_name": "DELTA_BYTE_ARRAY"}
    ),
    "a list of nothing": lambda: bomb(
        pa.ListArray.from_arrays(pa.array([0, 8_000_000], pa.int32()), pa.nulls(8_000_000))
    ),
    "nested lists": lambda: bomb(pa.array([[[None] * 1_000_000] * 8])),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_small_file_does_not_become_large_in_memory(make, monkeypatch):
    file = make()
    assert len(file.getvalue()) < 20_000
    table = ParquetTable(file)
    monkeypatch.setattr(parquet_module, "PARQUET_MEMORY", 32 * 1024**2)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(MalformedFileError, match=r"^The rows behind row 0 are too large: 2,000 of"):
        list(table.rows())
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_columns_that_are_not_needed_are_limited_too(monkeypatch):
    monkeypatch.setattr(parquet_module, "PARQUET_MEMORY", 32 * 1024**2)
    table = pa.table({"email": pa.nulls(1, pa.string()), "other": pa.array([[[None] * 1_000_000] * 8])})
    with pytest.raises(MalformedFileError, match="too large"):
        list(ParquetTable(written(table, store_schema=False)).rows(lambda columns: ["email"]))


def test_rows_that_are_too_large_to_go_on_with():
    file = bomb(repeated("x" * 40_000, 2000))
    with pytest.raises(MalformedFileError, match="may hold 64 MB"):
        list(ParquetTable(file).rows())
    smaller = bomb(repeated("x" * 30_000, 2000))
    assert sum(1 for _ in ParquetTable(smaller).rows()) == 2000


def test_the_limit_is_for_one_file_beside_what_the_process_holds(monkeypatch):
    monkeypatch.setattr(parquet_module, "PARQUET_MEMORY", 32 * 1024**2)
    held = pa.nulls(20_000_000, pa.int32())
    assert len(list(ParquetTable(written(table_of())).rows())) == 2
    assert len(held) == 20_000_000


PEAK = """
import io, sys
from airflow_provider_cleanlist.contacts.readers import parquet

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))

parquet.PARQUET_MEMORY = 64 * 1024**2
table = parquet.ParquetTable(io.BytesIO(sys.stdin.buffer.read()))
before = peak()
try:
    list(table.rows())
except ValueError:
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_no_more_memory_is_taken_than_the_limit():
    file = bomb(repeated(MILLION, 600))
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=file.getvalue(), capture_output=True, check=True
    )
    assert int(done.stdout) < 100  # 600 without the limit
