"""Sources in memory, in local files, and queries on SQLite."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.contacts import cells, columns, reading, sources
from airflow_provider_cleanlist.contacts.errors import (
    ColumnError,
    EmptyFileError,
    EncodingError,
    MalformedFileError,
    MissingDependencyError,
    MissingFileError,
    QueryError,
    SourceError,
    SourceUnavailableError,
    UnknownFormatError,
)
from airflow_provider_cleanlist.contacts.readers.query import check_reads_only
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.source_ids import SourceIds
from airflow_provider_cleanlist.contacts.sources import (
    FileSource,
    QuerySource,
    RecordsSource,
    SourceRow,
    WantedColumns,
    open_source,
)

ROWS = [
    {"First Name": "Jürgen", "Last Name": "Groß", "Company": 'Müller, "Söhne"\n& Co'},
    {"First Name": "Ольга", "Last Name": "O'Neill", "Company": "株式会社サンプル; 👩🏽‍💻"},
]
CSV = (
    "First Name,Last Name,Company\r\n"
    'Jürgen,Groß,"Müller, ""Söhne""\n& Co"\r\n'
    "Ольга,O'Neill,株式会社サンプル; 👩🏽‍💻\r\n"
)


def values(source: FileSource | RecordsSource | QuerySource) -> list[dict[str, object]]:
    rows = list(source.rows())
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    return [dict(row.values) for row in rows]


# --- files -------------------------------------------------------------------------------------------------------


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def parquet_bytes(folder: Path) -> bytes:
    path = folder / "table"
    parquet.write_table(pa.Table.from_pylist(ROWS), path)
    return path.read_bytes()


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".csv", codecs.BOM_UTF8 + CSV.encode()),
        (".CSV", CSV.encode()),
        (".tsv", CSV.replace(",", "\t").replace("Müller\t", "Müller,").encode("utf-16")),
        (".jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()),
        (".ndjson", "\n".join(map(json.dumps, ROWS)).encode()),
        (".json", json.dumps(ROWS, indent=1).encode()),
        (".parquet", None),
    ],
)
def test_every_format(tmp_path, suffix, data, gz):
    path = write(tmp_path, f"contacts.2026-11{suffix}{gz}", parquet_bytes(tmp_path) if data is None else data)
    source = FileSource(path)
    assert values(source) == ROWS
    assert values(source) == ROWS, "a source can be read again"


def test_paths_may_be_path_objects(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("email,company\na,b\n")
    assert values(FileSource(path)) == [{"email": "a", "company": "b"}]


def test_how_a_table_was_read_is_described(tmp_path):
    source = FileSource(write(tmp_path, "c.csv", "Vorname;Firma\nJürgen;Foo\n".encode("cp1252")))
    assert source.describe() == f"{tmp_path}/c.csv"
    list(source.rows())
    assert source.describe() == f"{tmp_path}/c.csv (cp1252, semicolon-separated)"
    assert source.columns == ("Vorname", "Firma")
    assert source.has_header_line


def test_short_long_and_blank_rows(tmp_path):
    text = "a,b,c\n1\n\n1,2,3,,\n1,2,3,4\n"
    rows = list(FileSource(write(tmp_path, "c.csv", text.encode())).rows())
    assert [(row.number, *row.values.values(), row.is_overlong) for row in rows] == [
        (1, "1", None, None, False),
        (2, None, None, None, False),
        (3, "1", "2", "3", False),
        (4, "1", "2", "3", True),
    ]


def test_a_header_without_rows_is_no_error(tmp_path):
    source = FileSource(write(tmp_path, "c.csv", b"email,company\n"))
    assert list(source.rows()) == []
    assert source.columns == ("email", "company")


@pytest.mark.parametrize("name", ["c.xlsx", "c.txt", "c", "c.gz", "c.csv.zip", "csv", ".csv/c", "c.csv.bz2"])
def test_unknown_suffix(name):
    with pytest.raises(UnknownFormatError, match=r"\.csv, \.tsv, \.jsonl, \.ndjson, \.json, \.parquet.*\.gz"):
        FileSource(f"/data/{name}")


@pytest.mark.parametrize("name", ["absent.csv", "absent/c.csv", "file.csv/c.csv"])
def test_missing_file(tmp_path, name):
    write(tmp_path, "file.csv", b"x")
    with pytest.raises(MissingFileError, match=rf"{name} cannot be read: there is no such file"):
        list(FileSource(tmp_path / name).rows())


def test_directory(tmp_path):
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(MissingFileError, match="it is a directory"):
        list(FileSource(tmp_path / "c.csv").rows())


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("c.csv", b"", EmptyFileError, "0 bytes"),
        ("c.csv.gz", b"", EmptyFileError, "0 bytes"),
        ("c.jsonl", b"", EmptyFileError, "0 bytes"),
        ("c.json", b"", EmptyFileError, "0 bytes"),
        ("c.csv", b"\xef\xbb\xbf\r\n", EmptyFileError, "neither a header nor any row"),
        ("c.csv", "SECRET;Петрова\n".encode("cp1251"), EncodingError, "neither UTF-8"),
        ("c.jsonl", "\xff\n".encode("cp1252") + b"\x81", EncodingError, "encoding"),
        ("c.jsonl", b'{"a": 1}\n{"SECRET": \n', MalformedFileError, "Line 2 is not JSON"),
        ("c.json", b'[{"a": 1},\n{"SECRET": ]', MalformedFileError, "Line 2: not JSON"),
        ("c.csv", b'a,b\nSECRET,"x\n', MalformedFileError, "line 2 is never closed"),
        ("c.parquet", b"SECRET", MalformedFileError, "not a readable Parquet file"),
        ("c.parquet", b"", MalformedFileError, "not a readable Parquet file"),
        ("c.csv", b"PK\x03\x04SECRET", EncodingError, "Excel workbook"),
    ],
)
def test_broken_files(tmp_path, name, data, error, message):
    path = write(tmp_path, name, data)
    with pytest.raises(error, match=message) as caught:
        list(FileSource(path).rows())
    assert str(caught.value).startswith(f"{path}: ")
    assert "SECRET" not in str(caught.value).removeprefix(path)
    assert caught.value.__cause__ is None


def test_an_encoding_that_is_given(tmp_path):
    data = "Vorname;Firma\nŁukasz;Żółw\n".encode("cp1250")
    path = write(tmp_path, "c.csv", data)
    source = FileSource(path, encoding="cp1250")
    assert values(source) == [{"Vorname": "Łukasz", "Firma": "Żółw"}]
    assert source.describe() == f"{path} (cp1250, semicolon-separated)"
    lines = write(tmp_path, "c.jsonl", '{"first_name": "Łukasz"}'.encode("iso8859-2"))
    assert values(FileSource(lines, encoding="latin2")) == [{"first_name": "Łukasz"}]


@pytest.mark.parametrize("encoding", ["utf-42", "", "base64", "rot13", "undefined", "a\x00b", "zlib"])
def test_an_encoding_that_is_none(encoding):
    with pytest.raises(
        EncodingError, match=r"is not an encoding that Python knows\. Examples: utf-8, cp1250"
    ):
        FileSource("c.csv", encoding=encoding)


def test_an_encoding_that_does_not_fit(tmp_path):
    path = write(tmp_path, "c.csv", "a;b\n\nSECRET;Ł\n".encode("cp1250"))
    with pytest.raises(
        EncodingError, match=r"not in the given encoding: .* valid UTF-8 \(near line 3\)"
    ) as caught:
        values(FileSource(path, encoding="UTF-8"))
    assert "SECRET" not in str(caught.value)
    marked = write(tmp_path, "d.csv", codecs.BOM_UTF8 + b"a;b\n")
    assert values(FileSource(marked, encoding="utf8")) == []
    with pytest.raises(EncodingError, match=r"byte order mark of utf-8, but encoding='cp1250' is given"):
        values(FileSource(marked, encoding="cp1250"))


def test_arguments_for_files_of_another_kind():
    with pytest.raises(SourceError, match=r"c\.parquet: a Parquet file has no encoding"):
        FileSource("c.parquet", encoding="utf-8")
    with pytest.raises(SourceError, match=r"c\.json: header_row is for \.csv and \.tsv files only"):
        FileSource("c.json", header_row=2)
    with pytest.raises(SourceError, match=r"header_row=0: rows are counted from 1"):
        FileSource("c.csv", header_row=0)
    with pytest.raises(SourceError, match="encoding and header_row are for contacts_path only"):
        open_source(contacts=[], header_row=1)


@pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a", "\n\x1a\x1a", "\n" + "\x00" * 10, "\x00" * 5000])
@pytest.mark.parametrize("name", ["c.csv", "c.json"])
def test_marks_at_the_end_of_a_file(tmp_path, name, end):
    text = "first_name,company\nMara,x" if name == "c.csv" else '[{"first_name": "Mara", "company": "x"}]'
    assert values(FileSource(write(tmp_path, name, (text + end).encode()))) == [
        {"first_name": "Mara", "company": "x"}
    ]


def test_a_given_header_row(tmp_path):
    source = FileSource(write(tmp_path, "c.csv", b"x,y\n\na,b\n1,2\n"), header_row=3)
    assert [(row.number, dict(row.values)) for row in source.rows()] == [(3, {"a": "1", "b": "2"})]
    assert not source.has_header_line


@pytest.mark.parametrize("name", ["c.csv.gz", "c.parquet.gz"])
def test_a_gz_file_that_is_none(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"email,company\n")
    with pytest.raises(
        MalformedFileError, match=r"c\.\w+\.gz: The file is not gzip-compressed, although its name ends"
    ):
        list(FileSource(path).rows())


def test_a_gz_file_with_a_wrong_checksum_is_damaged(tmp_path):
    path = tmp_path / "c.csv.gz"
    data = bytearray(gzip.compress(b"email,company\na@b.example,c\n"))
    data[-6] ^= 1
    path.write_bytes(data)
    with pytest.raises(MalformedFileError, match=r"The gzip data is damaged or cut off"):
        list(FileSource(path).rows())


def test_a_parquet_file_cut_off(tmp_path):
    path = write(tmp_path, "c.parquet", parquet_bytes(tmp_path)[:-20])
    with pytest.raises(MalformedFileError, match="Parquet"):
        list(FileSource(path).rows())


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "c.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(MissingDependencyError, match=r"airflow-provider-cleanlist\[parquet\]"):
        list(FileSource(path).rows())


# --- memory ------------------------------------------------------------------------------------------------------


def test_mappings_and_contacts():
    contact = Contact(first_name="Mara", email="m@foo.example")
    source = RecordsSource([{"First Name": "Teo", 7: "x"}, contact])
    first, second = values(source)
    assert first == {"First Name": "Teo", "7": "x"}
    assert {name: value for name, value in second.items() if value} == contact.payload()
    assert source.columns is None


def test_an_iterator_can_be_read_again():
    source = RecordsSource({"email": str(number)} for number in range(3))
    assert values(source) == values(source) == [{"email": "0"}, {"email": "1"}, {"email": "2"}]


def test_data_frame():
    frame = pd.DataFrame({"First Name": ["Mara", None], "Zip": [7, None], 3: ["x", "y"]}, index=[40, 41])
    source = RecordsSource(frame)
    first, second = values(source)
    assert first == {"First Name": "Mara", "Zip": 7.0, "3": "x"}
    assert pd.isna(second["First Name"])
    assert source.columns == ("First Name", "Zip", "3")
    assert source.describe() == "contacts (DataFrame)"


def test_data_frame_with_repeated_columns():
    frame = pd.DataFrame([["Acme Ltd", "Wrong Corp", "Mara"]], columns=["company", "company", "first_name"])
    assert values(RecordsSource(frame)) == [
        {"company": "Acme Ltd", "company (2)": "Wrong Corp", "first_name": "Mara"}
    ]


def test_empty_list_and_frame():
    assert values(RecordsSource([])) == []
    assert values(RecordsSource(pd.DataFrame({"email": []}))) == []


@pytest.mark.parametrize("contacts", ["/data/c.csv", b"x", {"email": "x"}, Contact(), 7])
def test_not_contacts(contacts):
    with pytest.raises(SourceError, match=f"contacts is a {type(contacts).__name__}.*contacts_path"):
        RecordsSource(contacts)


@pytest.mark.parametrize("item", ["SECRET", ["SECRET"], None])
def test_an_item_that_is_no_contact(item):
    with pytest.raises(SourceError, match=f"Item 2 of contacts is a {type(item).__name__}") as caught:
        list(RecordsSource([{"email": "x"}, item]).rows())
    assert "SECRET" not in str(caught.value)


def test_rows_do_not_show_values():
    assert repr(SourceRow(7, {"email": "SECRET"})) == "SourceRow(7)"


# --- queries -----------------------------------------------------------------------------------------------------


class SqliteFile:
    """What the Sqlite hook does: a new connection for each reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[sqlite3.Connection] = []

    def get_conn(self) -> sqlite3.Connection:
        self.opened.append(sqlite3.connect(self.path))
        return self.opened[-1]


@pytest.fixture
def database(tmp_path):
    hook = SqliteFile(tmp_path / "crm.db")
    with hook.get_conn() as connection:
        connection.execute("CREATE TABLE people (first_name TEXT, last_name TEXT, company TEXT)")
        rows = [(f"Jürgen {number}", "Groß", "Foo") for number in range(5000)]
        connection.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
    return hook


def is_closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_query_streams_and_closes(database):
    source = QuerySource(database, "SELECT * FROM people ORDER BY rowid")
    rows = values(source)
    assert len(rows) == 5000
    assert rows[4999] == {"first_name": "Jürgen 4999", "last_name": "Groß", "company": "Foo"}
    assert source.columns == ("first_name", "last_name", "company")
    assert is_closed(database.opened[-1])


def test_a_query_left_early_closes_its_connection(database):
    rows = QuerySource(database, "SELECT * FROM people").rows()
    next(rows)
    rows.close()
    assert is_closed(database.opened[-1])


@pytest.mark.parametrize("parameters", [("Jürgen 7",), {"name": "Jürgen 7"}])
def test_query_parameters(database, parameters):
    mark = ":name" if isinstance(parameters, dict) else "?"
    source = QuerySource(database, f"SELECT first_name FROM people WHERE first_name = {mark}", parameters)
    assert values(source) == [{"first_name": "Jürgen 7"}]


def test_query_without_rows_has_columns(database):
    source = QuerySource(database, "SELECT first_name, last_name FROM people WHERE 0")
    assert values(source) == []
    assert source.columns == ("first_name", "last_name")


def test_repeated_column_names_are_numbered(database):
    source = QuerySource(database, "SELECT first_name AS email, last_name AS email FROM people LIMIT 1")
    assert values(source) == [{"email": "Jürgen 0", "email (2)": "Groß"}]


def test_a_statement_that_is_no_query(database):
    with pytest.raises(QueryError, match="not a SELECT"):
        values(QuerySource(database, "DELETE FROM people"))
    assert len(values(QuerySource(database, "SELECT * FROM people"))) == 5000


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        (
            "UPDATE people SET company = 'x' WHERE rowid IN (SELECT rowid FROM people LIMIT 5) RETURNING *",
            "UPDATE",
        ),
        ("/* mark; them */ -- first\n insert into people values (1, 2, 3) returning first_name", "INSERT"),
        ("WITH few AS (SELECT 1) UPDATE people AS p SET company = 'x' RETURNING *", "UPDATE"),
        ("WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone", "DELETE"),
        ('WITH x AS (UPDATE "my crm" SET a = 1 RETURNING *) SELECT * FROM x', "UPDATE"),
        ("WITH x AS (SELECT 1) INSERT OR REPLACE INTO people SELECT 1, 2, 3 RETURNING *", "INSERT"),
        ("CREATE TABLE copy AS SELECT * FROM people", "CREATE"),
        ("COMMIT", "COMMIT"),
    ],
)
def test_a_query_that_writes_is_an_error_before_it_runs(database, sql, word):
    before = len(database.opened)
    with pytest.raises(
        QueryError, match=rf"writes to the database \({word}\): .*, and write in a task of its own"
    ):
        values(QuerySource(database, sql))
    assert len(database.opened) == before


@pytest.mark.parametrize(
    "sql", ["SELECT 1; UPDATE people SET company = ''", "SELECT ';' AS a; COMMIT; SELECT 2"]
)
def test_several_statements_are_an_error(database, sql):
    with pytest.raises(QueryError, match="several statements"):
        values(QuerySource(database, sql))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT first_name FROM people WHERE company <> 'x; UPDATE people SET company = 1' LIMIT 1;\n",
        "-- one; two\n/* DELETE FROM people; */ SELECT first_name FROM people LIMIT 1",
        "SELECT replace(first_name, 'a', 'it''s; b') AS \"set; x\", (replace(company, 'a', 'b')) FROM people LIMIT 1",
        'WITH updated AS (SELECT * FROM people) SELECT updated.company AS "update" FROM updated LIMIT 1',
        "SELECT 'a\\' AS a, '; b' AS b FROM people LIMIT 1",
        "VALUES (1)",
    ],
)
def test_queries_that_only_look_like_writing(database, sql):
    assert len(values(QuerySource(database, sql))) == 1


def test_strings_of_mysql_may_have_backslashes():
    check_reads_only(r"SELECT 'it\'s; x' AS a, `b; c` FROM t WHERE n = 'd'")
    check_reads_only("SELECT $tag$a; b$tag$, E'it\\'s; x' FROM t")


SYNTAX = "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the "


@pytest.mark.parametrize(
    ("sql", "error", "told"),
    [
        (
            "SELECT emial FROM people",
            (1054, "Unknown column 'emial' in 'field list'"),
            "1054: Unknown column 'emial' in",
        ),
        (
            "SELECT 1 FROM peple",
            (1146, "Table 'crm.peple' doesn't exist"),
            "1146: Table '***.peple' doesn't exist.",
        ),
        (
            "SELECT 1 FROM crm.People",
            (1146, "Table 'crm.people' doesn't exist"),
            "Table 'crm.people' doesn't",
        ),
        (
            "SELECT uper(a) FROM people",
            (1305, "FUNCTION crm.uper does not exist"),
            "FUNCTION ***.uper does not exist.",
        ),
        ("SELECT id FROM a, b", (1052, "Column 'id' in SELECT is ambiguous"), "'id' in SELECT is ambiguous."),
        (
            "SELECT a FORM people",
            (1064, SYNTAX + "right syntax to use near 'people' at line 1"),
            "to use near 'people' at line 1.",
        ),
        (
            "SELECT 1 FROM people",
            (1142, "SELECT command denied to user 'r'@'10.0.0.9' for table `crm`.`people`"),
            "SELECT command denied to user '***'@'***.***.***.***' for table `***`.`people`.",
        ),
        (
            "SELECT emial",
            (1054, "1054 (42S22): Unknown column 'emial' in 'field list'", "42S22"),
            "Unknown column 'emial' in 'field list'.",
        ),
        (
            "call p()",
            (1054, "Unknown column 'Zebulon' in 'SELECT'"),
            "1054: Unknown column '***' in 'SELECT'.",
        ),
        ("call p()", (1146, "Table 'crm.Zebulon' doesn't exist"), "1146: Table '***.***' doesn't exist."),
        ("call p()", (1305, "FUNCTION crm.Zebulon does not exist"), "1305: FUNCTION ***.*** does not exist."),
        (
            "call p()",
            (1064, SYNTAX + "right syntax to use near 'Zebulon, zebulon@x.example' at line 491701234567"),
            "near '***, <redacted>' at line ***.",
        ),
        ("SELECT f(a) FROM people", (1064, "Zebulon, ज़ेबुलोन"), "1064 (its message is left out because"),
        (
            "SELECT f(a) FROM people",
            (1062, "Duplicate entry 'Zebulon' for key 'a'"),
            "1062 (its message is left",
        ),
    ],
)
def test_what_mysql_says_is_quoted_in_its_own_words_and_those_of_the_query(sql, error, told):
    class ProgrammingError(Exception):
        """As drivers of MySQL raise it."""

    class Hook:
        def get_conn(self):
            return closing_connection(ProgrammingError(*error))

    with pytest.raises(QueryError) as caught:
        values(QuerySource(Hook(), sql))
    assert f"ProgrammingError {error[0]}" in str(caught.value)
    assert told in str(caught.value)
    assert not any(part in str(caught.value) for part in ("Zebulon", "zebulon", "ज", "ि", "ु"))


def closing_connection(error: Exception):
    """Return a connection whose queries fail."""

    class Connection:
        def cursor(self):
            return self

        def execute(self, *_):
            raise error

        def close(self):
            pass

    return Connection()


def test_what_the_text_does_not_show_the_database_refuses(database):
    def get_conn() -> sqlite3.Connection:
        connection = SqliteFile.get_conn(database)
        connection.create_function("mark", 0, lambda: connection.execute("DELETE FROM people").rowcount)
        return connection

    database.get_conn = get_conn
    with pytest.raises(QueryError):
        values(QuerySource(database, "SELECT mark() AS email"))
    del database.get_conn
    assert len(values(QuerySource(database, "SELECT * FROM people"))) == 5000
    assert database.opened[0].execute("PRAGMA query_only").fetchone() == (0,), (
        "only the source's own connection"
    )


def test_text_that_sqlite_cannot_decode_is_not_quoted(database):
    sql = "SELECT CAST(x'534543524554ff' AS TEXT) AS first_name"
    with pytest.raises(QueryError, match=r"failed on the data it reads \(OperationalError\)") as caught:
        values(QuerySource(database, sql))
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_values_that_a_driver_cannot_convert_are_not_quoted(tmp_path):
    hook = SimpleNamespace(
        get_conn=lambda: sqlite3.connect(tmp_path / "x.db", detect_types=sqlite3.PARSE_COLNAMES)
    )
    sqlite3.register_converter("strange", int)
    with pytest.raises(QueryError, match=r"failed on the data it reads \(ValueError\)") as caught:
        values(QuerySource(hook, "SELECT 'SECRET' AS 'email [strange]'"))
    assert "SECRET" not in str(caught.value)


def test_a_file_that_a_connection_names_as_a_host_does_not_get_better_by_retrying():
    hook = SimpleNamespace(get_conn=lambda: sqlite3.connect("file://data/crm.db", uri=True))
    told = re.escape("The query cannot be run: OperationalError: invalid uri authority. Correct it")
    with pytest.raises(QueryError, match=told):
        values(QuerySource(hook, "SELECT 1"))


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM absent", "OperationalError: no such table: absent"),
        ("SELECT absent FROM people", "OperationalError: no such column: absent"),
        ("SELEC 1", 'OperationalError: near "SELEC": syntax error'),
        ("SELECT ? AS email", "ProgrammingError: Incorrect number of bindings supplied"),
    ],
)
def test_a_query_that_cannot_be_run_is_a_named_error(database, sql, told):
    with pytest.raises(QueryError, match=f"The query cannot be run: {re.escape(told)}") as caught:
        values(QuerySource(database, sql))
    assert caught.value.__suppress_context__
    assert is_closed(database.opened[-1])


SEARCHED = "CREATE VIRTUAL TABLE searched USING fts5(x); INSERT INTO searched VALUES ('a')"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT json_extract('{}', last_name) AS email FROM odd", "OperationalError"),
        ("SELECT o.* FROM odd o, pragma_index_list(o.last_name, o.last_name)", "OperationalError"),
        (
            "SELECT * FROM odd o WHERE EXISTS (SELECT 1 FROM searched s WHERE s.x MATCH o.last_name)",
            "Operational",
        ),
    ],
)
def test_what_sqlite_says_of_a_row_is_left_out(database, sql, kind):
    with closing(database.get_conn()) as connection:
        connection.executescript(f"CREATE TABLE odd AS SELECT 'SECRET-name (' AS last_name; {SEARCHED}")
    with pytest.raises((QueryError, SourceUnavailableError), match=kind) as caught:
        values(QuerySource(database, sql))
    assert not any(part in str(caught.value) for part in ("SECRET", "name ("))


def test_what_sqlite_says_of_the_query_or_the_schema_is_quoted(database):
    with closing(database.get_conn()) as connection:
        connection.executescript("CREATE VIEW stale AS SELECT * FROM dropped")
    for sql, told in (
        ("SELECT * FROM stale", "no such table: main.dropped"),
        ("SELECT odd_word(company) FROM people", "no such function: odd_word"),
        ("SELECT o.x FROM people p", "no such column: o.x"),
        ("SELECT count(first_name, 2) FROM people", r"wrong number of arguments to function count\(\)"),
    ):
        with pytest.raises((QueryError, SourceUnavailableError), match=f"OperationalError: {told}\\."):
            values(QuerySource(database, sql))


def test_a_database_that_is_busy_may_be_read_later(database):
    connection = database.get_conn()
    connection.execute("BEGIN EXCLUSIVE")
    hook = SimpleNamespace(get_conn=lambda: sqlite3.connect(database.path, timeout=0))
    with pytest.raises(
        SourceUnavailableError, match="cannot be read at the moment: OperationalError: database is locked"
    ):
        values(QuerySource(hook, "SELECT * FROM people"))
    connection.rollback()
    assert len(values(QuerySource(hook, "SELECT * FROM people"))) == 5000


def test_a_database_that_cannot_be_reached_may_be_read_later():
    def refuse():
        raise ConnectionRefusedError("secret-host refused")

    with pytest.raises(SourceUnavailableError, match=r"at the moment: ConnectionRefusedError\.$"):
        values(QuerySource(SimpleNamespace(get_conn=refuse), "SELECT 1"))


def test_a_query_of_a_file_with_a_byte_order_mark_runs(database):
    assert len(values(QuerySource(database, "\ufeffSELECT * FROM people"))) == 5000
    with pytest.raises(QueryError, match=r"writes to the database \(DELETE\)"):
        values(QuerySource(database, "\ufeffDELETE FROM people"))


# --- open_source -------------------------------------------------------------------------------------------------


def test_exactly_one_source():
    with pytest.raises(SourceError, match=r"exactly one .* got none"):
        open_source()
    with pytest.raises(SourceError, match="got contacts, sql"):
        open_source(contacts=[], sql="SELECT 1", sql_conn_id="x")
    with pytest.raises(SourceError, match="sql needs sql_conn_id"):
        open_source(sql="SELECT 1")


def test_open_source(tmp_path):
    assert isinstance(open_source(contacts=pd.DataFrame()), RecordsSource)
    assert isinstance(open_source(contacts_path=tmp_path / "c.csv"), FileSource)


# --- how many columns --------------------------------------------------------------------------------------------


def source_of(kind: str, count: int, folder: Path, database) -> FileSource | RecordsSource | QuerySource:
    names = [f"c{number}" for number in range(count)]
    if kind == "query":
        return QuerySource(database, f"SELECT {', '.join(f'1 AS {name}' for name in names)}")
    if kind == "frame":
        return RecordsSource(pd.DataFrame([range(count)], columns=names))
    path = folder / f"contacts.{kind}"
    if kind == "csv":
        path.write_text(",".join(names) + "\n" + ",".join(["1"] * count))
    else:
        parquet.write_table(pa.table({name: [1] for name in names}), path)
    return FileSource(str(path))


@pytest.mark.parametrize("kind", ["csv", "parquet", "query", "frame"])
def test_more_columns_than_are_read_are_refused(tmp_path, database, monkeypatch, kind):
    monkeypatch.setattr(columns, "SOURCE_COLUMNS", 20)
    assert len(values(source_of(kind, 20, tmp_path, database))[0]) == 20
    with pytest.raises(ColumnError, match=r"has 21 columns, 21 of them with a name\. At most 20 with a name"):
        values(source_of(kind, 21, tmp_path, database))


def test_a_sheet_that_was_saved_to_its_last_column_is_read(tmp_path):
    header = "email" + "," * 16_383
    (row,) = values(FileSource(write(tmp_path, "wide.csv", f"{header}\nm@x.example\n".encode())))
    assert (row["email"], len(row)) == ("m@x.example", 16_384)
    with pytest.raises(ColumnError, match="and 16,384 in all"):
        values(FileSource(write(tmp_path, "wider.csv", f"{header},\nm@x.example\n".encode())))


@pytest.mark.parametrize("header", ["a," * 100_000, "(," + "," * 100_000], ids=["repeated", "open bracket"])
def test_a_header_costs_linear_time(tmp_path, header):
    with pytest.raises(ColumnError):
        values(FileSource(write(tmp_path, "wide.csv", f"email,name,{header}\nx,y,z\n".encode())))


def test_a_gzipped_parquet_file_ends_somewhere(tmp_path, monkeypatch):
    path = write(tmp_path, "c.parquet.gz", bytes(3_000_000))
    monkeypatch.setattr(sources, "GZIPPED_PARQUET_BYTES", 1_000_000)
    with pytest.raises(
        MalformedFileError, match=r"c\.parquet\.gz: The file is larger than 0 GB after decompr"
    ):
        list(FileSource(path).rows())


@pytest.mark.parametrize("name", ["a\n2026 ERROR b.csv", "a\x1b[2Jb.csv", "a\u202eb.csv", "a\udcffb.csv"])
def test_the_name_of_a_file_is_one_printable_line(tmp_path, name):
    source = FileSource(write(tmp_path, name, b"email\n"))
    assert source.describe().startswith(f"{tmp_path}/a\N{REPLACEMENT CHARACTER}")
    assert source.describe().isprintable()
    with pytest.raises(MissingFileError) as caught:
        list(FileSource(tmp_path / f"no {name}").rows())
    assert str(caught.value).isprintable()
    assert FileSource("Mara's Köntakte.csv").describe() == "Mara's Köntakte.csv"


def test_an_error_says_that_groups_above_the_header_count(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("Customer,,Coach,\nFull Name,Company,First Name,Last Name\nAda Park,Thistle,Bo,Lind\n")
    source = FileSource(path)
    with pytest.raises(
        ColumnError, match=r"names of groups above the header\): No usable.*'Coach - First Name'"
    ):
        list(read_contacts(source, ReadReport()))
    [row] = read_contacts(FileSource(path, header_row=2), ReadReport())
    assert isinstance(row, UsableRow)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet", "records", "frame"])
@pytest.mark.parametrize("name", ["a" * 4001, "a" + " " * 32_000 + "b"], ids=["letters", "spaces"])
def test_a_name_of_a_column_is_at_most_so_long(tmp_path, kind, name):
    path = tmp_path / f"contacts.{kind}"

    def read(name):
        record = {"first_name": "Mara", "last_name": "Quxley", "company": "Thistle", name: "1"}
        if kind == "csv":
            path.write_text(",".join(record) + "\n" + ",".join(record.values()) + "\n")
        elif kind.startswith("json"):
            path.write_text(json.dumps([record] if kind == "json" else record))
        elif kind == "parquet":
            parquet.write_table(pa.table({key: [value] for key, value in record.items()}), path)
        found = RecordsSource([record] if kind == "records" else pd.DataFrame([record]))
        source = FileSource(path) if kind not in ("records", "frame") else found
        return list(read_contacts(source, ReadReport()))

    with pytest.raises(
        ColumnError, match=rf"column 4 has one of {len(name):,} characters\. At most 4,000 in"
    ):
        read(name)
    assert len(read("I agree" + " that" * 700)) == 1


def test_a_row_of_json_has_no_more_columns_than_a_table(tmp_path):
    row = {"first_name": "Mara", "last_name": "Quxley", "company": "Thistle"}
    lines = [json.dumps(row), json.dumps(row | {f"k{n}": 0 for n in range(1998)})]
    source = FileSource(write(tmp_path, "c.jsonl", "\n".join(lines).encode()))
    with pytest.raises(
        ColumnError, match=r"c\.jsonl.*: Row 2 has 2,001 columns, 2,001 of them with a name\."
    ):
        list(read_contacts(source, ReadReport()))


def test_blank_lines_are_counted_without_being_planned(tmp_path, monkeypatch):
    text = b"first_name,last_name,company\nMara,Quxley,Thistle\n" + b"\n" * 1000 + b" , ,\nTeo,Lind,Foo\n"
    looked = []
    monkeypatch.setattr(
        reading, "cleaned_values", lambda values: looked.append(1) or cells.cleaned_values(values)
    )
    report = ReadReport()
    rows = list(read_contacts(FileSource(write(tmp_path, "c.csv", text)), report))
    assert ([row.number for row in rows], report.blank.count, len(looked)) == ([1, 1003], 1001, 2)


def test_lines_that_end_early_take_no_time_by_the_width_of_the_table(tmp_path):
    header = ["first_name", "last_name", "company", *(f"c{n}" for n in range(1500)), "ID"]
    lines = [",".join(header), "Mara,Quxley,Thistle", "", ",".join("x" for _ in header)]
    source = FileSource(write(tmp_path, "c.csv", "\n".join(lines).encode()))
    person = {"first_name": "Mara", "last_name": "Quxley", "company": "Thistle"}
    assert [row.values for row in source.rows(WantedColumns())] == [person, {}, dict.fromkeys(header, "x")]
    assert [row.values for row in source.rows(WantedColumns(also=("id", "other")))] == [
        {"ID": None, **person},
        {"ID": None},
        dict.fromkeys(header, "x"),
    ]
    missing = dict.fromkeys(header)
    assert [row.values for row in source.rows()] == [missing | person, missing, dict.fromkeys(header, "x")]


class HashedColumns(tuple[str, ...]):
    """Columns that count how many times they are hashed, which takes time by their number."""

    hashed = 0

    def __hash__(self) -> int:
        HashedColumns.hashed += 1
        return super().__hash__()


def test_the_columns_of_a_table_are_not_compared_in_each_row():
    columns = HashedColumns(("first_name", "last_name", "company"))
    plans = reading._Plans(SimpleNamespace(columns=columns, has_header_line=True), {})
    plan = plans.of(columns)
    hashed = HashedColumns.hashed
    assert [plans.of(columns) for _ in range(1000)] == [plan] * 1000
    assert HashedColumns.hashed == hashed
    others = HashedColumns(("linkedin_url",))
    assert plans.of(others).sources == {"linkedin_url": ("linkedin_url",)}
    assert plans.of(columns) == plan


def test_short_rows_have_a_blank_id(tmp_path):
    text = b"first_name,last_name,company,ID\nMara,Quxley,Thistle\nTeo,Lind,Foo,7\n"
    with SourceIds("id") as ids:
        rows = list(read_contacts(FileSource(write(tmp_path, "c.csv", text)), ReadReport(), source_ids=ids))
        assert ids.unusable.lines() == ["1 (row 1) without an id"]
        assert list(ids.rows()) == [("7", rows[1].identity)]


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, prefix):
    os.mkfifo(tmp_path / "c.csv")
    with pytest.raises(MissingFileError, match=r"c\.csv cannot be read: it is not a regular file\.$"):
        list(FileSource(f"{prefix}{tmp_path}/c.csv").rows())
    (tmp_path / "d.csv").symlink_to(write(tmp_path, "e.csv", b"email\nm@x.example\n"))
    assert len(values(FileSource(f"{prefix}{tmp_path}/d.csv"))) == 1
