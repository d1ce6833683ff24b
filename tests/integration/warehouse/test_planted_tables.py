"""Tables of ours that somebody else made on PostgreSQL: what they have in triggers or policies never runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.page import queries
from airflow_provider_cleanlist.submission.errors import JournalConfigurationError
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.tables import LEDGER_VERSION, ledger_tables
from airflow_provider_cleanlist.warehouse.dialects.postgresql import POSTGRESQL
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.loader import clean_up, load
from airflow_provider_cleanlist.warehouse.staging import is_resumable
from airflow_provider_cleanlist.warehouse.tables import check_owners

pytestmark = pytest.mark.integration

LEAD = {"lead_id": "1", "email": "found@x.example"}
PLAIN = (
    "(stage varchar(64) PRIMARY KEY, list_id text, target_table text, attempt int, fingerprint varchar(32), "
)
REGISTRY = f"CREATE TABLE staging._cleanlist_loads {PLAIN}updated_at varchar(32), checkpoint text)"
TO_ALL = "GRANT ALL ON ALL TABLES IN SCHEMA staging TO public"
TRAP = """
CREATE FUNCTION staging.trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN GRANT SELECT ON crm.salaries TO mallory; RETURN new; END $$
"""
SPRING = (
    "CREATE TRIGGER spring BEFORE INSERT OR UPDATE ON staging.{} FOR EACH ROW EXECUTE FUNCTION staging.trap()"
)
REFUSED = r"use staging\._cleanlist_loads \({}\) as a table of its own: .* Nothing was written\. Have it dropped; or"


class Warehouse:
    """A database with a loader, who may make tables in a staging schema, as others may."""

    ROLES = ("loader", "mallory", "administrator", "dba", "team")

    def __init__(self, open_postgres: Callable[..., sa.engine.Engine]) -> None:
        self._open = open_postgres
        self.run("postgres", *(f"CREATE ROLE {role} LOGIN" for role in self.ROLES))
        self.run(
            "postgres",
            "ALTER ROLE administrator SUPERUSER",
            "CREATE SCHEMA crm AUTHORIZATION loader",
            "CREATE SCHEMA staging",
            f"GRANT CREATE, USAGE ON SCHEMA staging TO {', '.join(self.ROLES)}",
        )
        self.run("loader", "CREATE TABLE crm.salaries (name text)")

    def engine(self, role: str, driver: str = "psycopg") -> sa.engine.Engine:
        engine = self._open(driver)
        if role == "postgres":
            return engine
        return sa.create_engine(engine.url.set(username=role), poolclass=sa.pool.NullPool)

    def run(self, role: str, *statements: str) -> None:
        with self.engine(role).begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def is_robbed(self) -> bool:
        query = sa.text("SELECT has_table_privilege('mallory', 'crm.salaries', 'SELECT')")
        with self.engine("postgres").connect() as connection:
            return bool(connection.execute(query).scalar())


@pytest.fixture
def warehouse(open_postgres: Callable[..., sa.engine.Engine]) -> Iterator[Warehouse]:
    found = Warehouse(open_postgres)
    yield found
    roles = ", ".join(found.ROLES)
    database = found.engine("postgres").url.database
    found.run("postgres", f"ALTER DATABASE {database} OWNER TO postgres", f"DROP OWNED BY {roles} CASCADE")
    found.run("postgres", f"DROP ROLE {roles}")


@pytest.fixture
def try_load(warehouse, make_spec, paged):
    def attempt(role: str = "loader") -> int:
        spec = make_spec(table="crm.leads", staging_schema="staging")
        return load(warehouse.engine(role), spec, paged([[LEAD]])).rows_written

    return attempt


def test_a_trigger_of_a_planted_registry_does_not_run(warehouse, make_spec, try_load):
    warehouse.run("mallory", REGISTRY, TRAP, SPRING.format("_cleanlist_loads"), TO_ALL)
    with pytest.raises(LoadConfigurationError, match=REFUSED.format("of 'mallory'")):
        try_load()
    spec = make_spec(table="crm.leads", staging_schema="staging")
    for use in (
        lambda: is_resumable(warehouse.engine("loader"), spec, None),
        lambda: clean_up(warehouse.engine("loader"), spec),
    ):
        with pytest.raises(LoadConfigurationError, match="as a table of its own"):
            use()
    assert not warehouse.is_robbed()
    warehouse.run("postgres", "DROP TABLE staging._cleanlist_loads")
    assert try_load() == 1


def test_a_superuser_is_no_member_of_those_who_plant_tables(warehouse, try_load):
    warehouse.run("mallory", REGISTRY, TRAP, SPRING.format("_cleanlist_loads"))
    with pytest.raises(LoadConfigurationError, match=REFUSED.format("of 'mallory'")):
        try_load("administrator")
    assert not warehouse.is_robbed()


def test_a_planted_view_is_not_even_planned(warehouse, try_load):
    function = TRAP.replace("RETURNS trigger", "RETURNS text IMMUTABLE").replace("RETURN new", "RETURN 'x'")
    warehouse.run(
        "mallory", function, "CREATE VIEW staging._cleanlist_loads AS SELECT staging.trap() AS stage", TO_ALL
    )
    with pytest.raises(LoadConfigurationError, match=REFUSED.format("no table")):
        try_load()
    assert not warehouse.is_robbed()


def test_a_stage_that_is_planted_while_the_list_is_read(warehouse, make_spec, paged):
    spec = make_spec(table="crm.leads", staging_schema="staging")
    name = spec.stage.name

    def plant_and_read(cursor):
        columns = "(_page int, _row int, c_lead_id text, c_email text)"
        warehouse.run(
            "mallory",
            f"CREATE TABLE staging.{name} {columns}",
            TRAP,
            SPRING.format(name),
            f"GRANT ALL ON staging.{name} TO public",
        )
        yield from paged([[LEAD]])(cursor)

    with pytest.raises(LoadConfigurationError, match=rf"use staging\.{name} \(of 'mallory'\)"):
        load(warehouse.engine("loader"), spec, plant_and_read)
    assert not warehouse.is_robbed()


OWNERS = [
    ("administrator", (), (), True),
    ("dba", (), (), False),
    ("dba", ("ALTER SCHEMA staging OWNER TO dba",), ("ALTER SCHEMA staging OWNER TO postgres",), True),
    (
        "dba",
        ("ALTER SCHEMA staging OWNER TO team", "GRANT team TO dba"),
        ("ALTER SCHEMA staging OWNER TO postgres", "REVOKE team FROM dba"),
        True,
    ),
    ("dba", ("ALTER DATABASE {} OWNER TO dba",), ("ALTER DATABASE {} OWNER TO postgres",), True),
    ("dba", ("GRANT loader TO dba",), ("REVOKE loader FROM dba",), True),
    ("team", ("GRANT team TO loader",), ("REVOKE team FROM loader",), True),
    (
        "dba",
        ("GRANT team TO loader", "GRANT team TO dba"),
        ("REVOKE team FROM loader", "REVOKE team FROM dba"),
        False,
    ),
]


def test_whose_tables_are_used(warehouse, make_spec):
    spec = make_spec(table="crm.leads", staging_schema="staging")
    engine, database = warehouse.engine("loader"), warehouse.engine("postgres").url.database
    for owner, before, after, trusted in OWNERS:
        warehouse.run("postgres", *(statement.format(database) for statement in before))
        warehouse.run("postgres", f"GRANT CREATE, USAGE ON SCHEMA staging TO {owner}")
        warehouse.run(owner, REGISTRY)
        if trusted:
            check_owners(engine, spec.registry)
        else:
            with pytest.raises(LoadConfigurationError, match=REFUSED.format(f"of '{owner}'")):
                check_owners(engine, spec.registry)
        warehouse.run("postgres", "DROP TABLE staging._cleanlist_loads")
        warehouse.run("postgres", *(statement.format(database) for statement in after))


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_the_question_for_owners_runs_nothing_that_is_planted(warehouse, driver):
    """Nothing runs that fits its arguments better than the functions and operators of the server do."""
    warehouse.run("postgres", "GRANT CREATE ON SCHEMA public TO mallory")
    rob = (
        "LANGUAGE plpgsql AS $$ BEGIN IF current_user = 'loader' THEN "
        "EXECUTE 'GRANT SELECT ON crm.salaries TO mallory'; END IF; RETURN {}; END $$"
    )
    texts, equal = rob.format("$1::text || $2::text"), rob.format("$1::text OPERATOR(pg_catalog.=) $2::text")
    for pair in (
        "text, name",
        "name, text",
        "text, varchar",
        "name, name",
        "name, varchar",
        "varchar, varchar",
    ):
        left, right = pair.split(", ")
        warehouse.run(
            "mallory",
            f"CREATE FUNCTION public.concat({pair}) RETURNS text {texts}",
            f"CREATE FUNCTION public.is_equal({pair}) RETURNS boolean {equal}",
            f"CREATE OPERATOR public.= (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.is_equal)",
            f"CREATE OPERATOR public.|| (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.concat)",
        )
    warehouse.run("mallory", REGISTRY, "CREATE TABLE public.cleanlist_keys (key_hash text)")
    find = POSTGRESQL.foreign_tables
    with warehouse.engine("loader", driver).connect() as connection:
        assert find(connection, "staging", ["_cleanlist_loads", "other"]) == [
            "staging._cleanlist_loads (of 'mallory')"
        ]
        assert find(connection, None, ["cleanlist_keys"]) == ["public.cleanlist_keys (of 'mallory')"]
        assert find(connection, "crm", ["salaries"]) == []
    assert not warehouse.is_robbed()


def test_a_registry_that_an_administrator_made_is_used(warehouse, try_load):
    rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON staging._cleanlist_loads TO loader"
    warehouse.run("administrator", REGISTRY, rights)
    assert try_load() == 1


def test_a_partitioned_registry_is_used(warehouse, try_load):
    partition = "CREATE TABLE staging.loads_1 PARTITION OF staging._cleanlist_loads DEFAULT"
    warehouse.run("loader", f"{REGISTRY} PARTITION BY LIST (stage)", partition)
    assert try_load() == 1


def make_ledger(warehouse: Warehouse, role: str) -> None:
    tables = ledger_tables("staging")
    with warehouse.engine(role).begin() as connection:
        tables.metadata.create_all(connection)
        connection.execute(tables.ledger.insert().values(version=LEDGER_VERSION))


def open_ledger(warehouse: Warehouse) -> LedgerDatabase:
    return LedgerDatabase(warehouse.engine("loader"), "'ledger'", "staging")


def test_a_planted_ledger_is_refused(warehouse):
    warehouse.run("mallory", "CREATE TABLE staging.cleanlist_keys (key_hash text)")
    with pytest.raises(JournalConfigurationError, match=r"use staging\.cleanlist_keys \(of 'mallory'\) as"):
        open_ledger(warehouse)
    warehouse.run("mallory", "DROP TABLE staging.cleanlist_keys")
    make_ledger(warehouse, "mallory")
    warehouse.run("mallory", TRAP, SPRING.format("cleanlist_organisations"), TO_ALL)
    with pytest.raises(JournalConfigurationError) as caught:
        open_ledger(warehouse)
    assert "'ledger' does not use staging.cleanlist_attempts (of 'mallory'), " in str(caught.value)
    assert "drop it only if it never held your ledger" in str(caught.value)
    assert not warehouse.is_robbed()


def test_a_ledger_that_an_administrator_made_is_used(warehouse):
    make_ledger(warehouse, "administrator")
    warehouse.run("administrator", "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA staging TO loader")
    open_ledger(warehouse).introduce("org-1", 0.0)
    open_ledger(warehouse).introduce("org-2", 0.0)


def plant_schema_of_the_loader(warehouse: Warehouse, *statements: str) -> None:
    """Make the schema that the search_path names first, ``"$user"``, with the right to make schemas alone."""
    database = warehouse.engine("postgres").url.database
    warehouse.run("postgres", f"GRANT CREATE ON DATABASE {database} TO mallory")
    warehouse.run(
        "mallory",
        "CREATE SCHEMA loader",
        *statements,
        "GRANT ALL ON SCHEMA loader TO public",
        TO_ALL.replace("staging", "loader"),
    )


def test_the_owner_of_a_schema_that_the_search_path_finds_is_not_trusted(warehouse, make_spec, paged):
    trap = [
        text.replace("staging.", "loader.") for text in (REGISTRY, TRAP, SPRING.format("_cleanlist_loads"))
    ]
    plant_schema_of_the_loader(warehouse, *trap)
    refused = REFUSED.replace("staging", "loader").format("of 'mallory'")
    with pytest.raises(LoadConfigurationError, match=rf"{refused}.* name its schema \(staging_schema\)"):
        load(warehouse.engine("loader"), make_spec(table="leads"), paged([[LEAD]]))
    assert not warehouse.is_robbed()


def test_an_empty_ledger_in_a_schema_that_the_search_path_finds_is_refused(warehouse):
    warehouse.run("postgres", "GRANT CREATE ON SCHEMA public TO loader")
    LedgerDatabase(warehouse.engine("loader"), "'ledger'")
    columns = "(batch_id text, position int, organisation text, person text, api_task_id text)"
    plant_schema_of_the_loader(warehouse, f"CREATE TABLE loader.cleanlist_contacts {columns}")
    refused = (
        r"use loader\.cleanlist_contacts \(of 'mallory'\) as .* name its schema \(\[cleanlist\] ledger_schema"
    )
    with pytest.raises(JournalConfigurationError, match=refused):
        LedgerDatabase(warehouse.engine("loader"), "'ledger'")


def test_the_owner_of_a_schema_that_was_named_is_trusted(warehouse):
    """So whoever is refused can name the schema."""
    database = warehouse.engine("postgres").url.database
    warehouse.run("postgres", f"GRANT CREATE ON DATABASE {database} TO dba")
    warehouse.run("dba", "CREATE SCHEMA loader", REGISTRY.replace("staging.", "loader."))
    warehouse.run("dba", "GRANT USAGE ON SCHEMA loader TO loader")
    find = POSTGRESQL.foreign_tables
    with warehouse.engine("loader").connect() as connection:
        assert find(connection, "loader", ["_cleanlist_loads"]) == []
        assert find(connection, None, ["_cleanlist_loads"]) == ["loader._cleanlist_loads (of 'dba')"]
    for owner in ("loader", "administrator"):
        warehouse.run("administrator", f"ALTER TABLE loader._cleanlist_loads OWNER TO {owner}")
        with warehouse.engine("loader").connect() as connection:
            assert find(connection, None, ["_cleanlist_loads"]) == []


def ask(warehouse: Warehouse, role: str = "loader", schema: str | None = "staging") -> object:
    question = queries.Question(queries.Scope(), 7)
    return queries.ask(warehouse.engine(role), schema, question, "", datetime.now(UTC))


def test_the_page_of_another_user_than_the_loader_needs_the_name_of_the_schema(warehouse, caplog):
    warehouse.run("postgres", "ALTER SCHEMA staging OWNER TO loader")
    make_ledger(warehouse, "loader")
    warehouse.run("loader", "GRANT SELECT ON ALL TABLES IN SCHEMA staging TO team")
    assert isinstance(ask(warehouse, "team"), queries.LedgerFigures)
    warehouse.run("administrator", "ALTER ROLE team SET search_path = staging")
    assert ask(warehouse, "team", None) is queries.LedgerProblem.UNREADABLE
    (record,) = caplog.records
    assert "staging.cleanlist_batches (of 'loader'), " in record.getMessage()
    assert "name its schema in [cleanlist] ledger_schema if that role owns it" in record.getMessage()


def test_the_page_reads_no_planted_view(warehouse, caplog):
    make_ledger(warehouse, "administrator")
    warehouse.run("administrator", TO_ALL)
    assert isinstance(ask(warehouse), queries.LedgerFigures)
    warehouse.run("administrator", "DROP TABLE staging.cleanlist_organisations CASCADE")
    warehouse.run(
        "mallory",
        "CREATE FUNCTION staging.f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_notify('loot', 'row'); RAISE EXCEPTION 'it ran'; END $$",
        "CREATE VIEW staging.cleanlist_organisations AS SELECT staging.f() AS organisation, now() AS first_seen_at",
        "GRANT SELECT ON staging.cleanlist_organisations TO public",
    )
    assert ask(warehouse) is queries.LedgerProblem.UNREADABLE
    (record,) = caplog.records
    assert "does not read staging.cleanlist_organisations (no table): " in record.getMessage()


def test_what_the_page_reads_sends_no_messages(warehouse):
    with warehouse.engine("postgres").connect() as listener:
        listener.exec_driver_sql("LISTEN loot")
        listener.commit()
        with queries._reading(warehouse.engine("loader")) as connection:
            connection.exec_driver_sql("SELECT pg_notify('loot', 'row')")
        driver = listener.connection.driver_connection
        assert list(driver.notifies(timeout=0.3)) == []
