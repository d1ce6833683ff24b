from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.connect import open_engine
from airflow_provider_cleanlist.warehouse.dialects import DATABASES, database_of

from ...loads import make_spec, paged  # noqa: F401


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(
    request: pytest.FixtureRequest, open_postgres: Callable[..., sa.engine.Engine]
) -> sa.engine.Engine:
    return open_postgres(request.param)


@pytest.fixture
def execute(engine: sa.engine.Engine) -> Callable[..., list[Any]]:
    """Run a statement and return its rows."""

    def run(statement: str, **parameters: Any) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement), parameters)
            return list(result) if result.returns_rows else []

    return run


@pytest.fixture
def change_database(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change what is known about a database, by the name of its dialect."""

    def change(name: str, **parts: Any) -> None:
        monkeypatch.setitem(DATABASES, name, replace(DATABASES[name], **parts))

    return change


# --- every database ----------------------------------------------------------------------------------------------


class Database:
    """A database of one test's own, reached as the operators reach it.

    Attributes:
        engine: An engine on it.
        dialect: The name of its SQLAlchemy dialect.
        many: So many leads are a lot for it.
        not_imitated: Characters of names that the imitation of the database cannot take.
        is_imitated: Whether something else stands in for it.
        has_many_writers: Whether several connections may write at the same time.
    """

    many = 2_000
    not_imitated = ""
    is_imitated = False
    has_many_writers = True

    def __init__(self, connect: Callable[[], sa.engine.Engine]) -> None:
        self._connect = connect
        self._engines: list[sa.engine.Engine] = []
        self.engine = self.open()
        self.dialect = self.engine.dialect.name

    def open(self) -> sa.engine.Engine:
        """Open a further engine, as another task would."""
        self._engines.append(self._connect())
        return self._engines[-1]

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in one transaction and return the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with self.engine.begin() as connection:
            for statement in statements:
                result = connection.execute(sa.text(statement))
                rows = [tuple(row) for row in result] if result.returns_rows else []
        return rows

    def rows(
        self,
        table: str = "leads",
        *,
        schema: str | None = None,
        without: Sequence[str] = ("_cleanlist_synced_at",),
    ) -> list[dict[str, Any]]:
        """Rows of a table as dicts, NULLs left out, ordered by their text."""
        query = sa.select(sa.text("*")).select_from(sa.table(table, schema=schema))
        with self.engine.connect() as connection:
            fresh = connection.execution_options(compiled_cache=None)
            result = fresh.execute(query).mappings().all()
        dicts = [{k: v for k, v in row.items() if v is not None and k not in without} for row in result]
        return sorted(dicts, key=repr)

    def name(self, text: str) -> str:
        """Return an odd name without what is refused."""
        odd = {*self.unquotable, *self.not_imitated}
        return "".join(character for character in text if character not in odd)

    @property
    def unquotable(self) -> str:
        """Characters that names cannot hold."""
        return database_of(self.engine).unquotable.get(self.engine.dialect.driver, "")

    def json(self, value: Any) -> Any:
        """Read a JSON value as the driver returns it."""
        return json.loads(value) if isinstance(value, str) else value

    def stages(self) -> list[str]:
        """Names of the staging tables there are."""
        names = self.execute("SELECT table_name FROM information_schema.tables")
        return [name.lower() for (name,) in names if name.lower().startswith("_cleanlist_stage")]


class DuckDB(Database):
    has_many_writers = False


class Snowflake(Database):
    many = 60
    not_imitated = "'"
    is_imitated = True
    has_many_writers = False


def through_hook(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> Callable[[], sa.engine.Engine]:
    """Return what opens an engine through the real hook of an Airflow connection."""
    from airflow.providers.common.compat.sdk import BaseHook

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    return lambda: open_engine(BaseHook.get_connection("warehouse").get_hook(), "warehouse")


_NUMBERS = itertools.count(1)


def _mariadb(request: pytest.FixtureRequest, **extra: Any) -> Iterator[Database]:
    request.getfixturevalue("need")("MySQLdb")
    server = request.getfixturevalue("mariadb_server")
    name = f"test_{next(_NUMBERS)}"
    connection = {**server, "conn_type": "mysql", "extra": extra}
    monkeypatch = request.getfixturevalue("monkeypatch")
    administration = Database(through_hook(monkeypatch, **connection))
    administration.execute(f"CREATE DATABASE {name}")
    database = Database(through_hook(monkeypatch, **connection, schema=name))
    yield database
    database.close()
    administration.execute(f"DROP DATABASE {name}")
    administration.close()


def mariadb(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from _mariadb(request)


def duckdb(request: pytest.FixtureRequest) -> Iterator[Database]:
    request.getfixturevalue("need")("duckdb_provider", "duckdb_engine")
    path = request.getfixturevalue("tmp_path") / "warehouse.duckdb"
    connect = through_hook(request.getfixturevalue("monkeypatch"), conn_type="duckdb", host=str(path))
    database = DuckDB(connect)
    yield database
    database.close()


def duckdb_by_merge(request: pytest.FixtureRequest) -> Iterator[Database]:
    """DuckDB, published to by the one statement that Databricks and Trino get."""
    request.getfixturevalue("change_database")("duckdb", publishes_by_merge=True)
    yield from duckdb(request)


def snowflake(request: pytest.FixtureRequest) -> Iterator[Database]:
    request.getfixturevalue("need")("fakesnow", "airflow.providers.snowflake")
    import fakesnow

    monkeypatch = request.getfixturevalue("monkeypatch")
    extra = {"account": "account", "database": "DB", "warehouse": "W"}
    connect = through_hook(
        monkeypatch, conn_type="snowflake", login="user", password="password", schema="PUBLIC", extra=extra
    )
    with fakesnow.patch():
        database = Snowflake(connect)
        yield database
        database.close()


def psycopg(request: pytest.FixtureRequest) -> Iterator[Database]:
    open_postgres = request.getfixturevalue("open_postgres")
    yield Database(lambda: open_postgres("psycopg"))


_IN_DEV = (psycopg,)
_IN_WAREHOUSES = (mariadb, duckdb, duckdb_by_merge, snowflake)


@pytest.fixture(
    params=[
        *(pytest.param(make, id=make.__name__) for make in _IN_DEV),
        *(pytest.param(make, id=make.__name__, marks=pytest.mark.warehouse) for make in _IN_WAREHOUSES),
    ]
)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database, one after the other of every kind that the tests can run for real."""
    yield from request.param(request)


@pytest.fixture
def mariadb_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database of MariaDB."""
    yield from mariadb(request)


@pytest.fixture
def connector_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database of MariaDB, through the hook's other driver."""
    yield from _mariadb(request, client="mysql-connector-python")


@pytest.fixture
def duckdb_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty file of DuckDB."""
    yield from duckdb(request)


@pytest.fixture
def merge_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty file of DuckDB that is published to by one statement."""
    yield from duckdb_by_merge(request)


@pytest.fixture
def snowflake_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty schema of what imitates Snowflake."""
    yield from snowflake(request)
