"""LeadListToWarehouseOperator against the sandbox and real databases."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import socket
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, Asset

from airflow_provider_cleanlist.exceptions import (
    CleanlistAuthenticationError,
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistLoadError,
    CleanlistNotFoundError,
    CleanlistPermissionError,
    CleanlistServerError,
    CleanlistUnexpectedResponseError,
)
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]

CONTENTS = "lead_list_contents"


def rows(engine: sa.engine.Engine, table: str = "leads") -> list[dict]:
    with engine.connect() as connection:
        query = sa.select(sa.text("*")).select_from(sa.table(table))
        return [dict(row) for row in connection.execute(query).mappings()]


def test_a_list_by_name(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 25)
    asset = Asset("leads")
    events = {asset: SimpleNamespace(extra=None)}
    result = run_load(events, list_name=" prospects ", page_size=10, outlets=[asset])
    assert result.pop("duration_seconds") > 0
    assert result == {
        "list_id": prospects.list_id,
        "list_name": "Prospects",
        "table": "leads",
        "mode": "merge",
        "rows_read": 25,
        "rows_written": 25,
        "rows_deleted": 0,
        "pages": 3,
        "columns_added": [],
    }
    assert json.loads(json.dumps(events[asset].extra))["cleanlist"]["rows_written"] == 25
    loaded = rows(sqlite_warehouse)
    assert len({row["lead_id"] for row in loaded}) == 25
    assert {row["_cleanlist_list_id"] for row in loaded} == {prospects.list_id}
    assert {row["_cleanlist_run_id"] for row in loaded} == {"dag/run"}
    expected = {row["lead_id"]: row for row in map(prospects.members.generated.row, range(25))}
    for row in loaded:
        assert {k: v for k, v in row.items() if not k.startswith("_")}.items() <= expected[
            row["lead_id"]
        ].items()


@pytest.mark.usefixtures("sqlite_warehouse")
def test_the_log_says_how_many_leads_the_table_holds_changed_or_not(sandbox, run_load, capsys, caplog):
    prospects = sandbox.state.add_leads("Prospects", 1_250)
    for run_id in ("first", "second"):
        with caplog.at_level(logging.INFO):
            run_load(list_id=prospects.list_id, run_id=run_id, page_size=500)
    said = caplog.text + capsys.readouterr().out
    assert said.count("1,250 rows read in 3 pages, 1,250 now in the table, 0 deleted.") == 2


def test_a_list_by_id_costs_no_request_but_its_pages(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 25)
    result = run_load(list_id=prospects.list_id, page_size=10)
    assert result["list_name"] is None
    assert [entry.endpoint for entry in sandbox.ledger.requests()] == [CONTENTS] * 3


@pytest.mark.parametrize("mode", ["merge", "replace", "append", "snapshot"])
def test_a_rerun_of_the_same_dag_run_adds_nothing(sandbox, run_load, sqlite_warehouse, mode):
    sandbox.state.add_leads("Prospects", 12)
    for _ in range(2):
        result = run_load(mode=mode, snapshot_date="2026-01-31", table=f"{mode}_table")
        assert (result["rows_written"], result["mode"]) == (12, mode)
        assert len(rows(sqlite_warehouse, f"{mode}_table")) == 12


def test_rows_that_pages_repeat_are_there_once(sandbox, run_load, sqlite_warehouse):
    sandbox.settings.duplicate_rows = 3
    sandbox.state.add_leads("Prospects", 25)
    result = run_load(page_size=10)
    assert result["rows_read"] > result["rows_written"] == len(rows(sqlite_warehouse)) == 25


def test_unknown_fields_become_columns(sandbox, run_load, sqlite_warehouse):
    sandbox.state.add_leads("Prospects", 3)
    run_load()
    sandbox.settings.answers = "noisy"
    added = run_load()["columns_added"]
    assert added
    assert run_load(table="narrow", columns={"lead_id": "id", "email": None})["columns_added"] == []
    assert set(rows(sqlite_warehouse, "narrow")[0]) == {
        "id",
        "email",
        "_cleanlist_list_id",
        "_cleanlist_synced_at",
        "_cleanlist_run_id",
    }


def test_hashed_columns_use_the_secret_of_the_connection(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 1)
    run_load(hash_columns=["email"], exclude_columns=["phone"])
    (row,) = rows(sqlite_warehouse)
    email = prospects.members.generated.row(0)["email"]
    assert row["email"] == hmac.new(b"pepper", email.encode(), hashlib.sha256).hexdigest()
    assert "phone" not in row


@pytest.mark.usefixtures("postgres_warehouse")
def test_lineage_leads_from_the_list_to_the_table(sandbox, postgres_database):
    prospects = sandbox.state.add_leads("Prospects", 7)
    operator = LeadListToWarehouseOperator(
        task_id="load", list_id=prospects.list_id, warehouse_conn_id="warehouse", table="leads"
    )
    ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=-1)
    operator.execute({"ti": ti, "run_id": "run", "outlet_events": {}})
    lineage = operator.get_openlineage_facets_on_complete(None)
    assert [item.name for item in lineage.inputs] == [f"lists/{prospects.list_id}"]
    (table,) = lineage.outputs
    assert table.name == f"{postgres_database.database}.public.leads"
    assert table.outputFacets["outputStatistics"].rowCount == 7


# --- tries -----------------------------------------------------------------------------------------------------


def test_the_next_try_goes_on_after_the_last_page_that_was_staged(sandbox, run_load, sqlite_warehouse):
    sandbox.state.add_leads("Prospects", 50)
    sandbox.faults.fail(CONTENTS, 500, skip=3)
    with pytest.raises(CleanlistServerError) as caught:
        run_load(page_size=10)
    assert isinstance(caught.value, AirflowException)
    assert not isinstance(caught.value, AirflowFailException)
    assert run_load(page_size=10)["pages"] == 5
    assert len(sandbox.ledger.requests(endpoint=CONTENTS, status=200)) == 5
    assert len(rows(sqlite_warehouse)) == 50


def test_a_cursor_that_is_refused_on_the_next_try_starts_over(sandbox, run_load, sqlite_warehouse):
    sandbox.state.add_leads("Prospects", 50)
    sandbox.faults.fail(CONTENTS, 500, skip=3)
    with pytest.raises(CleanlistServerError):
        run_load(page_size=10)
    sandbox.faults.fail(CONTENTS, 400)
    assert run_load(page_size=10)["pages"] == 5
    assert len(rows(sqlite_warehouse)) == 50


def test_a_list_that_is_deleted_midway(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 50)
    run_load(list_id=prospects.list_id)
    sandbox.faults.fail(CONTENTS, 404, skip=2)
    with pytest.raises(CleanlistNotFoundError):
        run_load(list_id=prospects.list_id, page_size=10, mode="replace")
    assert len(rows(sqlite_warehouse)) == 50


def test_a_cursor_that_repeats_stops_the_load_and_leaves_the_table_as_it_was(
    sandbox, run_load, sqlite_warehouse
):
    sandbox.state.add_leads("Prospects", 25)
    run_load()
    sandbox.settings.repeat_cursor = True
    with pytest.raises(CleanlistUnexpectedResponseError):
        run_load(page_size=10, mode="replace", run_id="next")
    assert len(rows(sqlite_warehouse)) == 25
    sandbox.settings.repeat_cursor = False
    assert run_load(page_size=10, mode="replace", run_id="next")["rows_written"] == 25


def test_a_list_whose_name_and_leads_are_sql(sandbox, run_load, sqlite_warehouse):
    name = "x'); DROP TABLE victim; -- %s :x {{ 1 }}"
    with sqlite_warehouse.begin() as connection:
        connection.execute(sa.text("CREATE TABLE victim (x TEXT)"))
    prospects = sandbox.state.add_leads(name, 3)
    result = run_load(list_name=name, run_id=name)
    assert (result["list_id"], result["list_name"]) == (prospects.list_id, name)
    assert {row["_cleanlist_run_id"] for row in rows(sqlite_warehouse)} == {f"dag/{name}"}
    assert rows(sqlite_warehouse, "victim") == []


# --- bad input -------------------------------------------------------------------------------------------------


def test_an_unknown_list_name(sandbox, run_load, sqlite_warehouse):
    with pytest.raises(CleanlistConfigurationError, match=r"no lead list named 'Nowhere' .* or give list_id"):
        run_load(list_name="Nowhere")


def test_an_unknown_list_name_with_lists_of_similar_names(sandbox, run_load, sqlite_warehouse):
    for name in ("Prospects EMEA", "Prospects APAC", "Customers"):
        sandbox.state.add_leads(name, 1)
    with pytest.raises(CleanlistConfigurationError) as refused:
        run_load(list_name="prospect emea")
    assert "Similar names: 'Prospects EMEA', 'Prospects APAC'." in str(refused.value)


def test_an_unknown_list_name_unlike_any_other(sandbox, run_load, sqlite_warehouse):
    sandbox.state.add_leads("Customers", 1)
    with pytest.raises(CleanlistConfigurationError, match=r"It may see \d other lists?\."):
        run_load(list_name="2026-11")


def test_an_unknown_list_id(sandbox, run_load, sqlite_warehouse):
    with pytest.raises(CleanlistNotFoundError):
        run_load(list_id="nowhere")
    assert "leads" not in sa.inspect(sqlite_warehouse).get_table_names()


def test_a_wrong_key(sandbox, run_load, sqlite_warehouse, set_connection):
    set_connection("cleanlist_default", conn_type="cleanlist", host=sandbox.url, password="clapi_wrong")
    with pytest.raises(CleanlistAuthenticationError):
        run_load()


def test_a_missing_scope(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 1)
    sandbox.faults.fail(CONTENTS, 403)
    with pytest.raises(CleanlistPermissionError):
        run_load(list_id=prospects.list_id)


def test_no_warehouse_connection(sandbox, run_load):
    with pytest.raises(CleanlistConfigurationError, match="There is no connection 'nowhere'"):
        run_load(warehouse_conn_id="nowhere")
    assert sandbox.ledger.requests() == []


@pytest.mark.parametrize(
    "several", [{"list_id": ["a"]}, {"list_name": ("Prospects",)}, {"list_id": {"id": "a"}}]
)
def test_several_lists_are_no_list(sandbox, run_load, several):
    with pytest.raises(
        CleanlistConfigurationError, match="must be the text of one list, not a value of type"
    ):
        run_load(**{"list_name": None, **several})
    assert sandbox.ledger.requests() == []


@pytest.mark.parametrize(
    ("conn_type", "message"),
    [
        ("cleanlist", "CleanlistHook is not a DbApiHook"),
        ("no_such_type", "has no usable hook .* install the Airflow provider"),
    ],
)
def test_a_connection_that_is_no_database(sandbox, run_load, set_connection, conn_type, message):
    set_connection("warehouse", conn_type=conn_type, host="x", password="hunter2hunter2")
    with pytest.raises(CleanlistConfigurationError, match=message) as caught:
        run_load()
    assert "hunter2" not in str(caught.value)
    assert sandbox.ledger.requests() == []


def test_a_warehouse_that_is_down(sandbox, run_load, set_connection):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    set_connection(
        "warehouse", conn_type="postgres", host="127.0.0.1", port=port, login="u", password="hunter2hunter2"
    )
    with pytest.raises(CleanlistLoadError, match="Cannot connect to warehouse 'warehouse'") as caught:
        run_load()
    assert not isinstance(caught.value, AirflowFailException)
    assert "hunter2" not in str(caught.value)
    assert sandbox.ledger.requests() == []


def test_an_unknown_mode_asks_nobody(sandbox, run_load):
    with pytest.raises(CleanlistConfigurationError, match="mode='upsert' is not one of"):
        run_load(mode="upsert")
    assert sandbox.ledger.requests() == []


@pytest.mark.parametrize("table", ['le"ads', "leads; DROP TABLE victim", "a b", '"x.y"'])
def test_odd_table_names(sandbox, run_load, sqlite_warehouse, table):
    sandbox.state.add_leads("Prospects", 3)
    run_load(table=table)
    assert len(rows(sqlite_warehouse, table.strip('"'))) == 3


def test_nothing_personal_is_said(sandbox, run_load, sqlite_warehouse, caplog):
    """Not when all goes well, and not when values do not fit."""
    prospects = sandbox.state.add_leads("Prospects", 30)
    with sqlite_warehouse.begin() as connection:
        connection.execute(sa.text("CREATE TABLE strict (lead_id TEXT, email TEXT CHECK (email = 'none'))"))
    said = []
    with caplog.at_level(logging.DEBUG):
        said.append(json.dumps(run_load(page_size=10), ensure_ascii=False))
        for arguments in ({"table": "strict"}, {"column_types": {"email": "integer"}}):
            with pytest.raises(CleanlistDataError) as caught:
                run_load(run_id=f"again {arguments}", **arguments)
            said.append(str(caught.value))
    text = caplog.text + "".join(said)
    assert "30 rows" in text
    for lead in map(prospects.members.generated.row, range(30)):
        for value in (lead["email"], lead["phone"], lead["linkedin_url"], lead["full_name"]):
            assert value is None or value not in text


# --- PostgreSQL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"cursor": "dictcursor", "application_name": "seen by the server"},
        {"sqlalchemy_scheme": "postgresql+psycopg2"},
    ],
)
def test_postgres_through_its_hook(
    sandbox, run_load, set_connection, postgres_database, open_postgres, extra
):
    folder = postgres_database.query["host"]
    set_connection(
        "warehouse",
        conn_type="postgres",
        host=folder,
        login=postgres_database.username,
        schema=postgres_database.database,
        extra=extra,
    )
    sandbox.state.add_leads("Prospects", 25)
    engine = open_postgres()
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE seen (name text)"))
        connection.execute(sa.text("CREATE TABLE leads (lead_id text)"))
        connection.execute(
            sa.text(
                "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN INSERT INTO seen VALUES (current_setting('application_name')); RETURN NEW; END$$"
            )
        )
        connection.execute(
            sa.text("CREATE TRIGGER note AFTER INSERT ON leads FOR EACH ROW EXECUTE FUNCTION note()")
        )
    for _ in range(2):
        assert run_load(page_size=10)["rows_written"] == 25
    assert len(rows(engine)) == 25
    expected = extra.get("application_name")
    if expected:
        assert {row["name"] for row in rows(engine, "seen")} == {expected}


def test_missing_privileges_in_postgres(sandbox, run_load, set_connection, postgres_database, open_postgres):
    engine = open_postgres()
    role = re.sub(r"\W", "_", f"reader_{postgres_database.database}")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(sa.text("CREATE TABLE leads (lead_id text)"))
        connection.execute(sa.text(f"GRANT SELECT ON leads TO {role}"))
    set_connection(
        "warehouse",
        conn_type="postgres",
        host=postgres_database.query["host"],
        login=role,
        schema=postgres_database.database,
    )
    sandbox.state.add_leads("Prospects", 3)
    with pytest.raises(CleanlistConfigurationError, match="permission denied for table leads"):
        run_load()
    with pytest.raises(CleanlistConfigurationError, match="permission denied for schema public"):
        run_load(table="fresh")
    assert sandbox.ledger.requests(endpoint=CONTENTS) == []
