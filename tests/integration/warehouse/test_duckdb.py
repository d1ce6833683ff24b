"""What is DuckDB's own: one process at a time, names that are Python variables."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_provider_cleanlist.warehouse.errors import LoadError
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = [pytest.mark.integration, pytest.mark.warehouse]

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_file_that_another_process_writes_to_is_left_alone_until_it_ends(duckdb_database, make_spec, paged):
    path = duckdb_database.engine.url.database
    duckdb_database.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LoadError, match=r"Cannot connect to warehouse 'warehouse': .*lock"):
            duckdb_database.open()
    load(duckdb_database.open(), make_spec(), paged([[{"lead_id": "1"}]]))
    assert len(duckdb_database.rows()) == 1


def test_a_table_of_the_name_of_a_variable_is_a_table(duckdb_database, make_spec, paged):
    for name in ("select", "statement", "parameters", "cursor", "pool"):
        load(duckdb_database.engine, make_spec(table=f'"{name}"'), paged([[{"lead_id": name}]]))
        assert [row["lead_id"] for row in duckdb_database.rows(name)] == [name]


def test_the_key_is_enforced(duckdb_database, make_spec, paged):
    load(duckdb_database.engine, make_spec(), paged([[{"lead_id": "1"}]]))
    where = "constraint_type = 'PRIMARY KEY' AND table_name = 'leads'"
    keys = f"SELECT constraint_column_names FROM duckdb_constraints() WHERE {where}"
    assert duckdb_database.execute(keys) == [(["_cleanlist_list_id", "lead_id"],)]
