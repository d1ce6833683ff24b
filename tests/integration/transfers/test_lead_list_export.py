"""LeadListToWarehouseOperator(read="export" and "auto") against the sandbox."""

from __future__ import annotations

import http.server
import json
import logging
import threading

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistError,
    CleanlistLoadError,
    CleanlistPermissionError,
    CleanlistTransportError,
    CleanlistUnexpectedResponseError,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.sandbox.faults import Fault

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]

EXPORT, FILE, CONTENTS = "export_csv", "export_download", "lead_list_contents"
LEADS = 5_000


def rows(engine, table="leads"):
    with engine.connect() as connection:
        query = sa.select(sa.text("*")).select_from(sa.table(table))
        return {row["lead_id"]: dict(row) for row in connection.execute(query).mappings()}


def fields(row):
    return {name: value for name, value in row.items() if not name.startswith("_")}


def endpoints(sandbox):
    return [entry.endpoint for entry in sandbox.ledger.requests()]


@pytest.fixture(params=["sqlite", "postgres"])
def warehouse(request):
    return request.getfixturevalue(f"{request.param}_warehouse")


@pytest.mark.parametrize("labels", [False, True])
def test_an_export_gives_what_pages_give(sandbox, run_load, warehouse, labels):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.settings.change(export_labels=labels, smart_columns=["ICP Score"])
    result = run_load(list_id=prospects.list_id, read="export")
    assert result["rows_read"] == result["rows_written"] == LEADS
    assert endpoints(sandbox) == [EXPORT, FILE]
    run_load(list_id=prospects.list_id, table="by_pages")
    exported, by_pages = rows(warehouse), rows(warehouse, "by_pages")
    assert exported.keys() == by_pages.keys()
    for lead_id, row in by_pages.items():
        theirs = {name: value for name, value in fields(row).items() if name not in ("full_name", "provider")}
        assert theirs.items() <= fields(exported[lead_id]).items()
    assert {row["domain"] for row in exported.values()} == {f"company{n}.example" for n in range(5)}
    assert {row["icp_score"] for row in exported.values()} == {None, *(f"ICP Score {n}" for n in range(5))}


def test_columns_that_an_export_lacks_stay_as_they_are(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 30)
    run_load(list_id=prospects.list_id)
    before = rows(sqlite_warehouse)
    assert any(row["provider"] for row in before.values())
    run_load(list_id=prospects.list_id, read="export", run_id="next")
    after = rows(sqlite_warehouse)
    for lead_id, row in before.items():
        assert (after[lead_id]["provider"], after[lead_id]["full_name"]) == (
            row["provider"],
            row["full_name"],
        )
        assert after[lead_id]["domain"]


def test_full_name_is_composed_when_it_is_asked_for(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 30)
    run_load(list_id=prospects.list_id, read="export", columns=["full_name", "email"])
    expected = {row["lead_id"]: row["full_name"] for row in map(prospects.members.generated.row, range(30))}
    assert {lead_id: row["full_name"] for lead_id, row in rows(sqlite_warehouse).items()} == expected


def test_a_field_that_no_export_has_is_refused_or_read_by_pages(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 30)
    with pytest.raises(CleanlistConfigurationError, match="provider, which an export does not have"):
        run_load(list_id=prospects.list_id, read="export", columns=["provider"])
    assert endpoints(sandbox) == []
    run_load(list_id=prospects.list_id, read="auto", page_size=5, columns=["provider"])
    assert any(row["provider"] for row in rows(sqlite_warehouse).values())


def test_cells_become_the_types_of_the_columns(sandbox, run_load, sqlite_warehouse):
    sandbox.settings.smart_columns = ['{"a": 1}', "plain"]
    prospects = sandbox.state.add_leads("Prospects", 3)
    run_load(list_id=prospects.list_id, read="export", column_types={"plain": "json"})
    assert [row["plain"] for row in rows(sqlite_warehouse).values()] == ['"plain 0"', '"plain 1"', None]


def test_an_empty_list(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 0)
    assert run_load(list_id=prospects.list_id, read="export", mode="replace")["rows_written"] == 0
    assert rows(sqlite_warehouse) == {}


@pytest.mark.parametrize("setting", ["export_row_count_error", "export_file_size_error"])
@pytest.mark.parametrize("error", [1, -1])
def test_a_file_that_is_not_what_the_api_says_is_not_published(
    sandbox, run_load, sqlite_warehouse, setting, error
):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.settings.change(**{setting: error})
    with pytest.raises(CleanlistLoadError, match=r"contradicts itself: .* (instead of|larger than)"):
        run_load(list_id=prospects.list_id, read="export")
    assert "leads" not in sa.inspect(sqlite_warehouse).get_table_names()
    sandbox.settings.change(**{setting: 0})
    assert run_load(list_id=prospects.list_id, read="export")["rows_written"] == LEADS
    assert endpoints(sandbox).count(EXPORT) == 2


# --- cut, resumed, expired -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("etags", [True, False])
def test_a_download_that_is_cut_goes_on_or_begins_again(sandbox, run_load, sqlite_warehouse, ranges, etags):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.settings.change(export_ranges=ranges, export_etags=etags)
    sandbox.faults.truncate(FILE)
    with pytest.raises(CleanlistTransportError, match="lost in the middle") as caught:
        run_load(list_id=prospects.list_id, read="export")
    assert "sig=" not in repr(caught.value)
    assert run_load(list_id=prospects.list_id, read="export")["rows_read"] == LEADS
    assert len(rows(sqlite_warehouse)) == LEADS
    statuses = [entry.status for entry in sandbox.ledger.requests(endpoint=FILE)]
    assert statuses[1:] == ([206] if ranges and etags else [200])
    assert len(sandbox.ledger.requests(endpoint=EXPORT)) == (1 if etags else 2)


def test_an_address_that_has_expired_is_asked_for_anew(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.faults.truncate(FILE)
    with pytest.raises(CleanlistTransportError):
        run_load(list_id=prospects.list_id, read="export")
    sandbox.faults.fail(FILE, 403)
    assert run_load(list_id=prospects.list_id, read="export")["rows_read"] == LEADS
    assert len(sandbox.ledger.requests(endpoint=EXPORT)) == 2
    sandbox.faults.fail(FILE, 403)
    assert run_load(list_id=prospects.list_id, read="export", run_id="b")["rows_read"] == LEADS
    sandbox.settings.export_url_seconds = 0
    with pytest.raises(CleanlistTransportError, match="responded with HTTP 403"):
        run_load(list_id=prospects.list_id, read="export", run_id="c")


def test_pages_and_exports_never_meet_in_a_stage(sandbox, run_load, sqlite_warehouse, caplog):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.faults.truncate(FILE)
    with pytest.raises(CleanlistTransportError):
        run_load(list_id=prospects.list_id, read="export")
    with caplog.at_level(logging.INFO):
        assert run_load(list_id=prospects.list_id)["rows_read"] == LEADS
    assert "from another source than the pages" in caplog.text


# --- auto ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("leads", "how"), [(30, [CONTENTS] * 3), (31, [EXPORT, FILE])])
def test_auto_takes_an_export_beyond_three_pages(sandbox, run_load, sqlite_warehouse, leads, how):
    prospects = sandbox.state.add_leads("Prospects", leads)
    run_load(list_id=prospects.list_id, read="auto", page_size=10)
    assert endpoints(sandbox) == ["lead_list_get", *how]
    sandbox.ledger.clear()
    run_load(list_name="prospects", read="auto", page_size=10, run_id="by name")
    assert endpoints(sandbox) == ["lead_list_index", *how]


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda sandbox: sandbox.faults.fail(EXPORT, 403), "HTTP 403"),
        (lambda sandbox: sandbox.faults.fail(EXPORT, 500), "HTTP 500"),
        (lambda sandbox: sandbox.faults.drop(EXPORT, after=False), "lost"),
        (lambda sandbox: sandbox.faults.fail(FILE, 503), "HTTP 503"),
        (lambda sandbox: sandbox.faults.fail(FILE, 416), "HTTP 416"),
        (lambda sandbox: sandbox.faults.truncate(FILE), "lost in the middle"),
        (lambda sandbox: sandbox.settings.change(export_row_count_error=1), "instead of"),
    ],
)
def test_auto_reads_pages_where_the_export_fails(sandbox, run_load, sqlite_warehouse, capsys, prepare, said):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    prepare(sandbox)
    assert run_load(list_id=prospects.list_id, read="auto")["rows_written"] == LEADS
    assert len(rows(sqlite_warehouse)) == LEADS
    assert endpoints(sandbox).count(CONTENTS) == 10
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "read by pages" in line]
    assert said in warning


def test_auto_goes_on_where_an_earlier_attempt_stopped(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.faults.fail(EXPORT, 403)
    sandbox.faults.fail(CONTENTS, 404, skip=6)
    with pytest.raises(CleanlistError):
        run_load(list_id=prospects.list_id, read="auto")
    sandbox.ledger.clear()
    assert run_load(list_id=prospects.list_id, read="auto")["rows_read"] == LEADS
    assert endpoints(sandbox) == [CONTENTS] * 4


def test_without_the_scope_an_export_is_an_error(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 3)
    sandbox.faults.fail(EXPORT, 403)
    with pytest.raises(CleanlistPermissionError):
        run_load(list_id=prospects.list_id, read="export")


def test_an_unknown_way_to_read_asks_nobody(sandbox, run_load, sqlite_warehouse):
    with pytest.raises(CleanlistConfigurationError, match="read must be pages, export or auto, not 'csv'"):
        run_load(read="csv")
    assert endpoints(sandbox) == []
    sandbox.state.add_leads("Prospects", 3)
    run_load(read="None")
    assert endpoints(sandbox) == ["lead_list_index", CONTENTS]


# --- secrets -------------------------------------------------------------------------------------------------------


def test_the_address_and_the_leads_are_in_no_log_and_not_in_the_checkpoint(
    sandbox, run_load, sqlite_warehouse, caplog
):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    said = []
    with caplog.at_level(logging.DEBUG):
        for run_id, fault in (
            ("run", lambda: sandbox.faults.truncate(FILE)),
            ("run", lambda: sandbox.faults.drop(FILE, after=False)),
            ("next", lambda: sandbox.settings.change(export_row_count_error=1)),
        ):
            fault()
            with pytest.raises(CleanlistError) as caught:
                run_load(list_id=prospects.list_id, read="export", run_id=run_id)
            error = caught.value
            while error is not None:
                said.append(repr(error))
                error = error.__cause__ or error.__context__
            if "_cleanlist_loads" in sa.inspect(sqlite_warehouse).get_table_names():
                with sqlite_warehouse.connect() as connection:
                    said += connection.execute(sa.text("SELECT checkpoint FROM _cleanlist_loads")).scalars()
        sandbox.settings.change(export_row_count_error=0)
        said.append(json.dumps(run_load(list_id=prospects.list_id, read="export")))
    text = caplog.text + "".join(said)
    for export_id in sandbox.state.exports:
        assert export_id not in text
    assert "sig=" not in text
    assert not any(row["email"] and row["email"] in text for row in rows(sqlite_warehouse).values())


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_redirects_are_not_followed_and_the_key_stays_away(
    sandbox, run_load, sqlite_warehouse, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    prospects = sandbox.state.add_leads("Prospects", 3)
    run_load(list_id=prospects.list_id, read="export")  # the sandbox refuses a download with a key
    with http.server.HTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            target = f"http://127.0.0.1:{server.server_port}/stolen"
            sandbox.faults.add(Fault(kind="status", endpoint=FILE, status=302, headers={"Location": target}))
            with pytest.raises(CleanlistTransportError, match="HTTP 302"):
                run_load(list_id=prospects.list_id, read="export", run_id="next")
        finally:
            server.shutdown()
            thread.join()
    assert _Elsewhere.asked == []


# --- the hook ------------------------------------------------------------------------------------------------------


def test_a_data_frame_of_an_export(sandbox):
    prospects = sandbox.state.add_leads("Prospects", 30)
    hook = CleanlistHook()
    frame, by_pages = (
        hook.get_leads_df(prospects.list_id, read="export"),
        hook.get_leads_df(prospects.list_id),
    )
    assert frame["lead_id"].to_list() == by_pages["lead_id"].to_list()
    assert set(frame["domain"]) == {f"company{n}.example" for n in range(5)}
    with pytest.raises(CleanlistConfigurationError, match="read must be pages or export"):
        hook.get_leads_df(prospects.list_id, read="auto")
    sandbox.settings.export_row_count_error = 2
    with pytest.raises(CleanlistUnexpectedResponseError, match="30 rows instead of 32"):
        hook.get_leads_df(prospects.list_id, read="export")
