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

EXPORT, FILE, CONTENTS, DETAILS = "export_csv", "export_download", "lead_list_contents", "lead_list_get"
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
    assert endpoints(sandbox) == [DETAILS, EXPORT, FILE]
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


@pytest.mark.parametrize("labels", [True, False])
def test_smart_agents_named_like_fields_have_columns_of_their_own(
    sandbox, run_load, sqlite_warehouse, labels
):
    names = ["Provider", "Full Name", "provider"] + ["email", "title"] * labels
    sandbox.settings.change(export_labels=labels, smart_columns=names)
    prospects = sandbox.state.add_leads("Prospects", 30)
    run_load(list_id=prospects.list_id)
    before = rows(sqlite_warehouse)
    run_load(list_id=prospects.list_id, read="export", run_id="next")
    after = rows(sqlite_warehouse)
    for lead_id, row in before.items():
        assert fields(row).items() <= fields(after[lead_id]).items()
    agents = {name for name in next(iter(after.values())) if "_smart_agent" in name}
    assert len(agents) == len(names)
    assert "full_name_smart_agent" in agents


@pytest.mark.parametrize(
    ("labels", "names", "column"),
    [
        (True, ["Email", "lead_id", "first_name"], "email_smart_agent"),
        (False, ["company"], "company_smart_agent"),
    ],
)
def test_smart_agents_with_the_very_names_of_columns_displace_none(
    sandbox, run_load, sqlite_warehouse, labels, names, column
):
    sandbox.settings.change(export_labels=labels, smart_columns=names)
    prospects = sandbox.state.add_leads("Prospects", 30)
    run_load(list_id=prospects.list_id)
    before = rows(sqlite_warehouse)
    run_load(list_id=prospects.list_id, read="export", run_id="next")
    after = rows(sqlite_warehouse)
    assert after.keys() == before.keys()
    for lead_id, row in before.items():
        assert fields(row).items() <= fields(after[lead_id]).items()
    assert any(row[column] for row in after.values())


@pytest.mark.parametrize("agent", ["Provider", "Full Name"])
def test_a_smart_agent_named_like_a_field_is_asked_for_by_its_name_here(
    sandbox, run_load, sqlite_warehouse, agent
):
    sandbox.settings.change(export_labels=True, smart_columns=[agent])
    prospects = sandbox.state.add_leads("Prospects", 3)
    with pytest.raises(CleanlistConfigurationError, match=rf"Name '{agent} \(smart agent\)' instead"):
        run_load(list_id=prospects.list_id, read="export", columns=["title", agent])
    run_load(list_id=prospects.list_id, read="export", columns=["title", f"{agent} (smart agent)"])
    column = f"{agent.lower().replace(' ', '_')}_smart_agent"
    assert any(row[column] for row in rows(sqlite_warehouse).values())
    with pytest.raises(CleanlistConfigurationError, match="may have been renamed or removed"):
        run_load(list_id=prospects.list_id, read="export", columns=["title", "ICP Score"])


def test_an_export_has_columns_of_smart_agents_only_where_the_load_may_take_them(
    sandbox, run_load, sqlite_warehouse
):
    prospects = sandbox.state.add_leads("Prospects", 30)
    agents = ["ICP", "ICP"]  # cannot be told apart
    sandbox.settings.change(export_labels=True, smart_columns=agents)
    for arguments in ({"read": "auto", "page_size": 5}, {"read": "export", "columns": ["email", "domain"]}):
        sandbox.ledger.clear()
        result = run_load(list_id=prospects.list_id, **arguments)
        assert result["rows_read"] == 30
        assert endpoints(sandbox) == [DETAILS, EXPORT, FILE]
    with pytest.raises(CleanlistLoadError, match="have the same name"):
        run_load(list_id=prospects.list_id, read="export")


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


@pytest.mark.parametrize("exported", [8, 0])
def test_an_export_that_lacks_leads_deletes_no_row(
    sandbox, run_load, sqlite_warehouse, capsys, caplog, exported
):
    prospects = sandbox.state.add_leads("Prospects", 20)
    arguments = {"list_id": prospects.list_id, "read": "export", "page_size": 5, "on_missing": "delete"}
    run_load(**arguments)
    before = rows(sqlite_warehouse)
    sandbox.settings.export_rows_left_out = 20 - exported
    with pytest.raises(
        CleanlistLoadError, match=rf"has {exported} distinct records .* it has 20: .*not all of it"
    ):
        run_load(**arguments, row_count_check="fail", run_id="next")
    assert rows(sqlite_warehouse) == before
    assert run_load(**arguments, run_id="next")["rows_deleted"] == 0
    assert rows(sqlite_warehouse).keys() == before.keys()
    assert "not all of it" in caplog.text + capsys.readouterr().out


@pytest.mark.parametrize(
    ("mode", "exported", "check"),
    [("replace", 8, "warn"), ("replace", 0, "off"), ("snapshot", 19, "fail"), ("merge", 8, "warn")],
)
def test_auto_reads_pages_where_the_export_lacks_leads(
    sandbox, run_load, sqlite_warehouse, capsys, mode, exported, check
):
    prospects = sandbox.state.add_leads("Prospects", 20)
    sandbox.settings.export_rows_left_out = 20 - exported
    arguments = {"mode": mode, "row_count_check": check, "snapshot_date": "2026-11-30"}
    if mode == "merge":
        arguments["on_missing"] = "delete"
    result = run_load(list_id=prospects.list_id, read="auto", page_size=5, **arguments)
    assert result["rows_written"] == len(rows(sqlite_warehouse)) == 20
    assert endpoints(sandbox) == [DETAILS, EXPORT, FILE, *[CONTENTS] * 4]
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "read by pages" in line]
    assert f"The export has {exported} distinct records" in warning


def test_auto_fails_where_the_export_lacks_leads_and_only_it_has_the_fields(
    sandbox, run_load, sqlite_warehouse
):
    prospects = sandbox.state.add_leads("Prospects", 20)
    arguments = {"list_id": prospects.list_id, "columns": ["email", "domain"], "mode": "replace"}
    run_load(**arguments, read="auto")
    sandbox.settings.export_rows_left_out = 1
    with pytest.raises(
        CleanlistLoadError, match=r"has 19 distinct records .* it has 20: .* asks for a new export"
    ):
        run_load(**arguments, read="auto", run_id="next")
    assert len(rows(sqlite_warehouse)) == 20
    sandbox.settings.export_rows_left_out = 0
    assert run_load(**arguments, read="auto", run_id="next")["rows_written"] == 20


@pytest.mark.parametrize("mode", ["replace", "snapshot", "append"])
def test_an_empty_export_never_replaces_a_list_that_has_leads(sandbox, run_load, sqlite_warehouse, mode):
    prospects = sandbox.state.add_leads("Prospects", 20)
    arguments = {"list_id": prospects.list_id, "mode": mode, "row_count_check": "off"}
    arguments["snapshot_date"] = "2026-11-30"
    run_load(**arguments)
    sandbox.settings.export_rows_left_out = 20
    with pytest.raises(
        CleanlistLoadError, match=r"has 0 distinct records .* it has 20: .* read='pages' reads"
    ):
        run_load(**arguments, read="export", table="leads")
    assert len(rows(sqlite_warehouse)) == 20
    sandbox.settings.export_rows_left_out = 12
    assert run_load(**arguments, read="export")["rows_written"] == 8


@pytest.mark.parametrize("read", ["export", "auto"])
def test_a_whole_export_deletes_what_is_gone(sandbox, run_load, sqlite_warehouse, read):
    prospects = sandbox.state.add_leads("Prospects", 20)
    others = sandbox.state.add_leads("Others", 8)
    arguments = {"page_size": 2, "key": ("lead_id",), "on_missing": "delete", "row_count_check": "fail"}
    run_load(list_id=prospects.list_id, **arguments)
    with sqlite_warehouse.begin() as connection:
        connection.execute(sa.text("UPDATE leads SET _cleanlist_list_id = :id"), {"id": others.list_id})
    assert run_load(list_id=others.list_id, read=read, run_id="next", **arguments)["rows_deleted"] == 20
    assert len(rows(sqlite_warehouse)) == 8


def test_a_key_that_may_only_export_confirms_nothing(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 20)
    arguments = {"list_id": prospects.list_id, "read": "export", "on_missing": "delete"}
    run_load(**arguments)
    sandbox.faults.fail(DETAILS, 403, times=2)
    sandbox.settings.export_rows_left_out = 12
    assert run_load(**arguments, run_id="next")["rows_deleted"] == 0
    with pytest.raises(CleanlistPermissionError):
        run_load(**arguments, row_count_check="fail", run_id="fail")
    assert len(rows(sqlite_warehouse)) == 20


def test_auto_takes_an_export_with_a_key_that_may_only_export(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 20)
    sandbox.faults.fail(DETAILS, 403, times=2)
    assert run_load(list_id=prospects.list_id, read="auto")["rows_written"] == 20
    assert endpoints(sandbox)[-2:] == [EXPORT, FILE]
    for endpoint in (DETAILS, EXPORT, CONTENTS):
        sandbox.faults.fail(endpoint, 403, times=2)
    with pytest.raises(CleanlistPermissionError):
        run_load(list_id=prospects.list_id, read="auto", run_id="next")


def test_a_column_of_a_smart_agent_that_is_gone_keeps_its_values(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 20)
    sandbox.settings.change(smart_columns=["ICP Score", "Fit"])
    arguments = {"list_id": prospects.list_id, "read": "export", "columns": ["email", "ICP Score", "Fit"]}
    run_load(**arguments)
    before = rows(sqlite_warehouse)
    assert any(row["icp_score"] for row in before.values())
    sandbox.settings.change(smart_columns=["Fit"])
    with pytest.raises(CleanlistConfigurationError, match=r"name 'ICP Score', which the export of list"):
        run_load(**arguments, run_id="next")
    run_load(list_id=prospects.list_id, read="export", run_id="all of them")
    assert {key: row["icp_score"] for key, row in before.items()} == {
        key: row["icp_score"] for key, row in rows(sqlite_warehouse).items()
    }


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


def test_a_file_whose_server_fails_for_good_is_asked_for_anew(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    sandbox.faults.truncate(FILE)
    with pytest.raises(CleanlistTransportError):
        run_load(list_id=prospects.list_id, read="export")
    sandbox.faults.fail(FILE, 503)
    assert run_load(list_id=prospects.list_id, read="export")["rows_read"] == LEADS
    assert len(rows(sqlite_warehouse)) == LEADS
    assert len(sandbox.ledger.requests(endpoint=EXPORT)) == 2


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
    assert endpoints(sandbox) == [DETAILS, *how]
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


@pytest.mark.parametrize(
    ("mode", "evolution"), [("merge", "fail"), ("replace", "add"), ("append", "add"), ("snapshot", "ignore")]
)
def test_what_auto_writes_does_not_depend_on_how_it_reads(
    sandbox, run_load, sqlite_warehouse, mode, evolution
):
    prospects = sandbox.state.add_leads("Prospects", 20)
    sandbox.settings.change(smart_columns=["ICP Score"])
    arguments = {"list_id": prospects.list_id, "read": "auto", "mode": mode, "schema_evolution": evolution}
    arguments["snapshot_date"] = "2026-01-01"
    seen = []
    for page_size, refused in ((500, False), (5, False), (5, True)):
        sandbox.ledger.clear()
        if refused:
            sandbox.faults.fail(EXPORT, 403)
        run_load(**arguments, page_size=page_size, run_id="once" if mode == "append" else str(len(seen)))
        how = {EXPORT, FILE, CONTENTS} & {*endpoints(sandbox)}
        seen.append((how, {lead_id: fields(row) for lead_id, row in rows(sqlite_warehouse).items()}))
    assert [how for how, _ in seen] == [{CONTENTS}, {EXPORT, FILE}, {EXPORT, CONTENTS}]
    assert seen[0][1] == seen[1][1] == seen[2][1]
    assert {"email", "title", "linkedin_url"} < {*next(iter(seen[0][1].values()))}


def test_an_empty_text_is_null_however_auto_reads(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 20)
    texts = {"title": "", "phone": " ", "company": " C ", "email": "a@x.example"}
    lead = sandbox.state.lists.lead_of("blank", prospects.owner.organization.organization_id, **texts)
    prospects.members.add(lead.lead_id)
    seen = []
    for number, arguments in enumerate(
        ({}, {"page_size": 5}, {"page_size": 5, "columns": ["full_name", "title"]})
    ):
        run_load(list_id=prospects.list_id, read="auto", run_id=str(number), **arguments)
        seen.append(rows(sqlite_warehouse)[lead.lead_id])
    assert CONTENTS in endpoints(sandbox)
    assert FILE in endpoints(sandbox)
    assert seen[0].items() >= {"title": None, "phone": " ", "company": " C ", "email": "a@x.example"}.items()
    assert seen[0] == seen[1]  # no row is written again
    assert seen[2]["title"] is None
    run_load(list_id=prospects.list_id, read="pages", run_id="pages")
    assert rows(sqlite_warehouse)[lead.lead_id]["title"] == ""


@pytest.mark.parametrize(
    ("arguments", "column", "status"),
    [
        ({"columns": ["email", "domain"]}, "domain", 403),
        ({"columns": {"domain": "website"}}, "website", 500),
        ({"columns": ["email", "ICP Score"]}, "icp_score", 403),
        ({"key": ("lead_id", "domain")}, "domain", 500),
    ],
)
def test_auto_never_overwrites_with_nothing_what_only_an_export_has(
    sandbox, run_load, sqlite_warehouse, capsys, arguments, column, status
):
    prospects = sandbox.state.add_leads("Prospects", 20)
    sandbox.settings.change(smart_columns=["ICP Score"])
    arguments |= {"list_id": prospects.list_id, "read": "auto"}
    run_load(**arguments)
    before = rows(sqlite_warehouse)
    assert any(row[column] for row in before.values())
    sandbox.faults.fail(EXPORT, status)
    with pytest.raises(CleanlistError, match=f"HTTP {status}"):
        run_load(**arguments, run_id="next")
    assert rows(sqlite_warehouse) == before
    assert CONTENTS not in endpoints(sandbox)
    assert "pages do not have" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("read", ["auto", "pages"])
def test_columns_that_no_way_to_read_has_ask_nobody(sandbox, run_load, sqlite_warehouse, read):
    prospects = sandbox.state.add_leads("Prospects", 3)
    columns = ["domain", "provider"] if read == "auto" else {"domain": "website"}
    with pytest.raises(CleanlistConfigurationError, match=r"domain, which pages do not have"):
        run_load(list_id=prospects.list_id, read=read, columns=columns)
    assert endpoints(sandbox) == []


def test_extra_fields_of_an_earlier_load_outlive_auto(sandbox, run_load, sqlite_warehouse):
    prospects = sandbox.state.add_leads("Prospects", 20)
    arguments = {"list_id": prospects.list_id, "schema_evolution": "ignore"}
    run_load(**arguments)
    run_load(**arguments, read="export", run_id="export")
    before = {lead_id: row["_extra"] for lead_id, row in rows(sqlite_warehouse).items()}
    assert all("domain" in extra for extra in before.values())
    for page_size in (5, 500):
        run_load(**arguments, read="auto", page_size=page_size, run_id=str(page_size))
        assert {lead_id: row["_extra"] for lead_id, row in rows(sqlite_warehouse).items()} == before


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
    with pytest.raises(CleanlistConfigurationError, match=r"^read is empty here"):
        run_load(read="None")
    assert endpoints(sandbox) == []
    sandbox.state.add_leads("Prospects", 3)
    run_load(read=None)
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
            ("run", lambda: sandbox.faults.drop(FILE, after=False, times=2)),
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
