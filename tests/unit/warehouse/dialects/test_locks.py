"""Locks by name rest on a secret that only who may read the table of loads in flight knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.dialects.locks import Lock, NamedLock
from airflow_provider_cleanlist.warehouse.errors import LoadError

TARGET = sa.Table("leads", sa.MetaData(), sa.Column("lead_id", sa.Text))
NAMED = {name: found.lock for name, found in DATABASES.items() if isinstance(found.lock, NamedLock)}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.engine.Engine]:
    found = sa.create_engine(f"sqlite:///{tmp_path}/w.db")
    yield found
    found.dispose()


@pytest.fixture
def registry(engine: sa.engine.Engine) -> sa.Table:
    columns = (sa.Column("stage", sa.String(64), primary_key=True), sa.Column("fingerprint", sa.String(32)))
    found = sa.Table("_cleanlist_loads", sa.MetaData(), *columns)
    found.create(engine)
    return found


def lock_that_notes(secrets: list[str], answer: int = 1) -> NamedLock:
    def statement(default: str | None, target: sa.Table, secret: str, seconds: int) -> Any:
        secrets.append(secret)
        return sa.select(sa.literal(answer))

    return NamedLock(statement=statement, is_granted=lambda given: given == 1)


def taken(lock: NamedLock, engine: sa.engine.Engine, registry: sa.Table) -> None:
    lock.prepare(engine, registry)
    with engine.begin() as connection:
        lock.take(connection, TARGET, registry)


def test_every_load_finds_the_same_secret(engine, registry):
    secrets: list[str] = []
    for _ in range(2):
        taken(lock_that_notes(secrets), engine, registry)
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) == 32
    with engine.connect() as connection:
        assert connection.execute(sa.select(registry)).all() == [("lock", secrets[0])]


def test_another_staging_schema_has_a_secret_of_its_own(engine, registry):
    secrets: list[str] = []
    taken(lock_that_notes(secrets), engine, registry)
    with engine.begin() as connection:
        connection.execute(registry.delete())
    taken(lock_that_notes(secrets), engine, registry)
    assert secrets[0] != secrets[1]


def test_of_two_loads_that_make_it_at_the_same_moment_one_does(engine, registry):
    secrets: list[str] = []
    others = registry.insert().values(stage="lock", fingerprint="theirs")
    meanwhile: list[str] = []

    def interfere(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT") and not meanwhile:
            meanwhile.append(statement)
            with engine.begin() as other:
                other.execute(others)

    sa.event.listen(engine, "before_cursor_execute", interfere)
    taken(lock_that_notes(secrets), engine, registry)
    assert secrets == ["theirs"]


@pytest.mark.parametrize("change", ["DELETE FROM", "UPDATE {} SET fingerprint = NULL"])
def test_without_the_secret_nothing_is_published(engine, registry, change):
    secrets: list[str] = []
    lock = lock_that_notes(secrets)
    lock.prepare(engine, registry)
    change = change.format("_cleanlist_loads") if "{}" in change else f"{change} _cleanlist_loads"
    with engine.begin() as connection:
        connection.execute(sa.text(change))
        with pytest.raises(
            LoadError, match="The row 'lock' of _cleanlist_loads, by which loads wait for each"
        ):
            lock.take(connection, TARGET, registry)
    assert secrets == []


def test_a_lock_that_others_hold_for_too_long(engine, registry):
    with pytest.raises(LoadError, match="Other loads into leads did not end within 600 s"):
        taken(lock_that_notes([], answer=0), engine, registry)


@pytest.mark.parametrize("name", NAMED)
def test_a_name_cannot_be_told_without_the_secret(name):
    """Nor by its length; whoever knows the secret tells tables apart."""
    other = sa.Table("people", sa.MetaData(), sa.Column("lead_id", sa.Text))
    lock = NAMED[name]
    said = [
        lock.statement("dbo", table, secret, 1).compile().params
        for table, secret in ((TARGET, "one"), (TARGET, "two"), (other, "one"), (TARGET, "one"))
    ]
    assert said[0] == said[3]
    assert said[0] not in (said[1], said[2])
    assert said[1] != said[2]


@pytest.mark.parametrize("name", ["mssql", "snowflake"])
def test_a_table_is_the_same_with_and_without_its_default_schema(name, registry):
    """MySQL asks the server for it; the others lock the table itself."""
    others = ("one", 1) if name in NAMED else (_with_columns(registry),)

    def said(table: sa.Table) -> Any:
        return DATABASES[name].lock.statement("dbo", table, *others).compile().params

    named, elsewhere = (
        sa.Table("leads", sa.MetaData(), sa.Column("lead_id", sa.Text), schema=schema)
        for schema in ("dbo", "other")
    )
    assert said(TARGET) == said(named) != said(elsewhere)


def test_which_databases_have_locks_by_name():
    assert sorted(NAMED) == ["mariadb", "mssql", "mysql"]


@pytest.mark.parametrize(
    "name", [name for name, database in DATABASES.items() if isinstance(database.lock, Lock)]
)
def test_the_others_lock_a_table_or_a_row_which_takes_rights(name, registry):
    statement = DATABASES[name].lock.statement("public", TARGET, _with_columns(registry))
    text = str(statement.compile())
    assert "leads" in text or "_cleanlist_loads" in text
    assert "(" not in text  # calls no function


def _with_columns(registry: sa.Table) -> sa.Table:
    for name in ("target_table", "attempt"):
        registry.append_column(sa.Column(name, sa.Text))
    return registry
