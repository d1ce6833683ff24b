"""What is Snowflake's own, through the real hook, connector and dialect; fakesnow stands in for the service."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects import snowflake
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = [pytest.mark.integration, pytest.mark.warehouse]

TYPES = {"score": "float", "staff": "integer", "vip": "boolean", "hired": "date", "tags": "json"}


def test_many_rows_travel_as_a_file(snowflake_database, make_spec, paged, monkeypatch):
    from snowflake.connector import pandas_tools

    written = []
    write_pandas = pandas_tools.write_pandas

    def note(*arguments, **options):
        written.append(len(arguments[1]))
        return write_pandas(*arguments, **options)

    monkeypatch.setattr(pandas_tools, "write_pandas", note)
    monkeypatch.setattr(snowflake, "MIN_FILE_ROWS", 3)
    odd = "汉 '\\ \" %s \n\t"
    leads = [
        {
            "lead_id": "1",
            "email": odd,
            "score": "1.5",
            "staff": 2**53 + 1,
            "vip": "yes",
            "hired": "2026-01-02",
        },
        {"lead_id": "2", "tags": {"a": [odd]}, "title": ""},
        {"lead_id": "3"},
    ]
    statements = []
    sa.event.listen(
        snowflake_database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    load(snowflake_database.engine, make_spec(column_types=TYPES), paged([leads]))
    assert written == [3]
    assert not any(text.startswith("INSERT INTO _cleanlist_stage") for text in statements)
    first, second, third = snowflake_database.rows()
    assert (first["email"], first["score"], first["staff"], first["vip"]) == (odd, 1.5, 2**53 + 1, True)
    assert str(first["hired"]) == "2026-01-02"
    assert snowflake_database.json(second["tags"]) == {"a": [odd]}
    assert second["title"] == ""
    assert set(third) == {"lead_id", "_cleanlist_list_id", "_cleanlist_run_id"}


def test_statements_of_a_load_are_one_transaction(snowflake_database, make_spec, paged):
    """The connector's connections commit by themselves unless they are told not to."""
    with snowflake_database.engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(sa.text("CREATE TABLE t (x INTEGER)"))
        transaction.commit()
        transaction = connection.begin()
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        transaction.rollback()
        assert connection.execute(sa.text("SELECT count(*) FROM t")).scalar() == 0
