"""Targets that a load refuses before it reads: those whose rows it would double, or delete below other tables."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = pytest.mark.integration

COLUMNS = "lead_id TEXT, _cleanlist_list_id TEXT, _cleanlist_run_id TEXT, _cleanlist_synced_at TIMESTAMPTZ"
BASE = f"CREATE TABLE base ({COLUMNS}, PRIMARY KEY (lead_id))"


@pytest.fixture
def try_load(make_spec, paged) -> Callable[..., str]:
    """Load two leads; return what is refused, which must be before anything is read, or nothing."""
    calls = iter(range(1000))

    def run(engine, **arguments) -> str:
        spec = make_spec(known_fields=(), **{"load_id": f"load {next(calls)}", **arguments})
        pages = paged([[{"lead_id": "1"}, {"lead_id": "2"}]])
        try:
            load(engine, spec, pages)
        except LoadConfigurationError as error:
            assert pages.reads == []
            return str(error)
        return ""

    return run


@pytest.fixture
def run(open_postgres):
    engine = open_postgres("psycopg")

    def execute(*statements: str) -> list[tuple]:
        with engine.begin() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    execute.engine = engine
    return execute


@pytest.mark.parametrize(
    ("tables", "refers_to"),
    [
        ((BASE, "CREATE VIEW leads AS SELECT * FROM base"), "base"),
        (
            (
                BASE,
                "CREATE VIEW inner_view AS SELECT * FROM base",
                "CREATE VIEW leads AS SELECT * FROM inner_view",
            ),
            "base",
        ),
        (
            (
                f"CREATE TABLE leads ({COLUMNS}) PARTITION BY HASH (lead_id)",
                "CREATE TABLE part PARTITION OF leads (PRIMARY KEY (lead_id)) FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            ),
            "part",
        ),
        (
            (
                f"CREATE TABLE whole ({COLUMNS}, PRIMARY KEY (lead_id)) PARTITION BY HASH (lead_id)",
                "CREATE TABLE leads PARTITION OF whole FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            ),
            "whole",
        ),
        (
            (
                f"CREATE TABLE leads ({COLUMNS}, PRIMARY KEY (lead_id)) PARTITION BY HASH (lead_id)",
                "CREATE TABLE part PARTITION OF leads FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            ),
            "leads",
        ),
        (
            (
                f"CREATE TABLE leads ({COLUMNS})",
                "CREATE TABLE child (PRIMARY KEY (lead_id)) INHERITS (leads)",
            ),
            "child",
        ),
    ],
    ids=["view", "view of a view", "partition", "whole", "partitioned", "inheritance"],
)
def test_a_key_that_refers_to_rows_of_the_target_by_another_name(run, try_load, tables, refers_to):
    run(*tables)
    assert try_load(run.engine, mode="append") == ""
    if refers_to == "child":
        run("INSERT INTO child SELECT * FROM leads", "DELETE FROM ONLY leads")
    run(
        f"CREATE TABLE notes (lead_id TEXT CONSTRAINT of_lead REFERENCES {refers_to} ON DELETE CASCADE)",
        "INSERT INTO notes VALUES ('1')",
    )
    for mode in ("replace", "append"):
        refused = try_load(run.engine, mode=mode)
        assert refused.startswith(f"mode='{mode}' would delete rows of leads")
        assert ": notes (of_lead). Nothing" in refused
    assert run("SELECT count(*) FROM notes") == [(1,)]


def test_keys_that_refer_to_neighbours_do_not_matter(run, try_load):
    run(
        f"CREATE TABLE whole ({COLUMNS}) PARTITION BY LIST (_cleanlist_list_id)",
        "CREATE TABLE leads PARTITION OF whole FOR VALUES IN ('L')",
        "CREATE TABLE other PARTITION OF whole (PRIMARY KEY (lead_id)) FOR VALUES IN ('M')",
        "CREATE TABLE notes (lead_id TEXT REFERENCES other ON DELETE CASCADE)",
        "CREATE VIEW reader AS SELECT * FROM leads JOIN notes USING (lead_id)",
    )
    for mode in ("replace", "append", "append"):
        assert try_load(run.engine, mode=mode, run_id="same") == ""
    assert run("SELECT count(*) FROM leads") == [(2,)]


@pytest.mark.warehouse
def test_a_view_over_a_table_to_which_others_refer_on_mariadb(mariadb_database, try_load):
    mariadb_database.execute(
        BASE.replace("TEXT", "VARCHAR(50)").replace("TIMESTAMPTZ", "DATETIME(6)"),
        "CREATE TABLE notes (lead_id VARCHAR(50), CONSTRAINT of_lead FOREIGN KEY (lead_id) REFERENCES base (lead_id))",
        "CREATE VIEW leads AS SELECT * FROM base",
        "CREATE TABLE apart LIKE base",
        "CREATE VIEW free AS SELECT * FROM apart",
    )
    assert "notes (of_lead)" in try_load(mariadb_database.engine, mode="replace")
    assert try_load(mariadb_database.engine, mode="replace", table="free") == ""
    assert try_load(mariadb_database.engine, key=("lead_id",)) == ""


@pytest.fixture
def tenant(run, open_postgres):
    """An engine whose sessions have another role than the owner of all tables."""
    run("CREATE ROLE tenant", "GRANT CREATE ON SCHEMA public TO tenant")
    engine = open_postgres("psycopg")
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("SET ROLE tenant") and None)
    sa.event.listen(engine, "connect", lambda connection, _: connection.commit())
    yield engine
    engine.dispose()
    run("DROP OWNED BY tenant", "DROP ROLE tenant")


def test_row_level_security_that_applies_to_the_role(run, tenant, try_load):
    for mode in ("merge", "replace"):
        assert try_load(run.engine, mode=mode, table=mode) == ""
        run(
            f"ALTER TABLE {mode} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY own ON {mode} USING (lead_id = '1') WITH CHECK (true)",
        )
        assert try_load(run.engine, mode=mode, table=mode) == ""  # its owner sees all rows
        run("GRANT ALL ON ALL TABLES IN SCHEMA public TO tenant")
        refused = try_load(tenant, mode=mode, table=mode)
        assert refused.startswith(f"Row-level security of {mode} applies to the role of this connection")
    run("ALTER ROLE tenant BYPASSRLS")
    assert try_load(tenant, table="merge") == ""
    run("ALTER ROLE tenant NOBYPASSRLS", "ALTER TABLE merge DISABLE ROW LEVEL SECURITY")
    assert try_load(tenant, table="merge") == ""
    assert run("SELECT count(*) FROM merge") == [(2,)]


@pytest.fixture
def sqlite(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'warehouse.db'}")
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = off"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("columns", "arguments", "lacks"),
    [
        ("lead_id VARCHAR(50), email VARCHAR(50)", {}, "_cleanlist_list_id"),
        ("email VARCHAR(50)", {"key": ("lead_id",)}, "lead_id"),
        ("email VARCHAR(50)", {}, "_cleanlist_list_id and lead_id"),
        ("lead_id VARCHAR(50), email VARCHAR(50)", {"mode": "replace"}, "_cleanlist_list_id"),
        ("email VARCHAR(50)", {"mode": "replace", "key": ("lead_id",)}, "lead_id"),
        ("lead_id VARCHAR(50), email VARCHAR(50)", {"key": ("lead_id",)}, ""),
        ("_cleanlist_list_id VARCHAR(50), email VARCHAR(50)", {"mode": "replace"}, ""),
        ("email VARCHAR(50)", {"mode": "replace", "replace_scope": "table"}, ""),
        ("email VARCHAR(50)", {"mode": "append"}, ""),
    ],
)
def test_rows_without_a_column_of_the_key(sqlite, try_load, columns, arguments, lacks):
    with sqlite.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE leads ({columns})")
        connection.exec_driver_sql("CREATE TABLE empty (note VARCHAR(50))")
        connection.exec_driver_sql("INSERT INTO leads (email) VALUES ('a@x.example')")
    refused = try_load(sqlite, **arguments)
    assert refused.startswith(f"leads has rows, but no column {lacks}, by which mode=") == bool(lacks), (
        refused
    )
    with sqlite.connect() as connection:
        found = [*connection.exec_driver_sql("SELECT * FROM leads").mappings()]
    assert (len(found) == 1 and [*found[0]] == re.findall(r"\w+(?= VARCHAR)", columns)) == bool(lacks)
    assert try_load(sqlite, table="empty", **arguments) == ""
