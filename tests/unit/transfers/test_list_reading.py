"""How a list is read: what ``auto`` chooses, and what an export can fulfil."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_cleanlist.client.errors import ExportNotResumableError
from airflow_provider_cleanlist.client.export.csv_file import EXPORT_FIELDS
from airflow_provider_cleanlist.client.responses import LeadPage
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.input_limits import CURSOR_CHARACTERS
from airflow_provider_cleanlist.transfers.list_reading import (
    auto_spec,
    choose,
    export_of,
    export_spec,
    may_have_smart_agents,
    needed_fields,
    pages_of,
    with_full_name,
)
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LoadSpec


def spec(**arguments):
    return LoadSpec(list_id="L7", load_id="l", run_id="r", table=TableName("t"), **arguments)


@pytest.mark.parametrize(
    ("leads", "staged", "columns", "source", "reason"),
    [
        (0, None, None, "pages", "it has 0 leads"),
        (1_500, None, None, "pages", "no more than 3 requests"),
        (1_501, None, None, "export", "would need 4 requests"),
        (1_000_000, None, None, "export", "would need 2,000 requests"),
        (1_000_000, "pages", None, "pages", "an earlier attempt staged"),
        (1, "export", None, "export", "an earlier attempt staged"),
        (None, None, None, "pages", "its size is not known"),
        (1_000_000, None, {"provider": None}, "pages", "an export does not have provider"),
        (1_000_000, None, {"full_name": None}, "pages", "an export does not have full_name"),
        (1, None, {"full_name": None, "domain": None}, "export", "pages do not have domain"),
        (1, None, {"email": None, "domain": "site"}, "export", "pages do not have domain"),
        (None, "pages", {"ICP": None}, "export", "pages do not have ICP"),
    ],
)
def test_auto(leads, staged, columns, source, reason):
    choice = choose(leads, 500, spec(columns=columns), staged=staged)
    assert choice.source == source
    assert reason in choice.reason


@pytest.mark.parametrize(("columns", "source"), [(None, "export"), ({"provider": None}, "pages")])
def test_auto_with_a_key_that_may_only_export(columns, source):
    choice = choose(None, 500, spec(columns=columns), staged=None, may_read_lists=False)
    assert choice.source == source


def test_a_load_by_export_has_a_stage_of_its_own_kind():
    pages = spec()
    exported = export_spec(pages)
    assert (exported.source, exported.known_fields) == ("export", EXPORT_FIELDS)
    assert exported.fingerprint != pages.fingerprint
    assert exported.stage == pages.stage
    for arguments in ({"columns": {"provider": None}}, {"key": ("lead_id", "provider")}):
        with pytest.raises(CleanlistConfigurationError, match="provider, which an export does not have"):
            export_spec(spec(**arguments))
    assert export_spec(spec(exclude_columns=["provider"])).source == "export"


def test_fields_that_an_export_must_have():
    assert needed_fields(export_spec(spec())) == EXPORT_FIELDS
    assert needed_fields(export_spec(spec(columns={"email": None, "ICP": None}))) == ("lead_id", "email")
    assert needed_fields(export_spec(spec(columns={"full_name": None}))) == (
        "lead_id",
        "first_name",
        "last_name",
    )


@pytest.mark.parametrize(
    ("columns", "key", "asked_for"),
    [
        (None, None, True),
        (["email", "domain", "full_name"], None, False),
        (["email", "ICP Score"], None, True),
        (["Provider (smart agent)"], None, True),
        (["email"], ("lead_id", "ICP Score"), True),
        (["email"], ("lead_id",), False),
    ],
)
def test_columns_of_smart_agents_are_asked_for_where_the_load_may_take_them(columns, key, asked_for):
    given = {} if columns is None else {"columns": dict.fromkeys(columns)}
    assert may_have_smart_agents(export_spec(spec(**given, **({"key": key} if key else {})))) is asked_for


def test_what_auto_loads_by_default_has_no_smart_agents():
    assert not may_have_smart_agents(export_spec(auto_spec(spec())))


@pytest.mark.parametrize(
    ("lead", "name"),
    [
        ({"first_name": "Ines ", "last_name": "Vogel"}, "Ines Vogel"),
        ({"first_name": None, "last_name": "Vogel"}, "Vogel"),
        ({"first_name": None, "last_name": None}, None),
        ({"first_name": "Ines", "last_name": "Vogel", "full_name": "Dr. Ines Vogel"}, "Dr. Ines Vogel"),
    ],
)
def test_full_names(lead, name):
    assert with_full_name(lead)["full_name"] == name


@pytest.mark.parametrize(
    ("cursor", "on_missing", "total"),
    [(None, "keep", 2_001), (None, "delete", 2_001), ("part", "delete", 2_001), ("part", "keep", None)],
)
def test_the_size_of_a_list_is_asked_for_again_where_rows_could_be_deleted(
    monkeypatch, cursor, on_missing, total
):
    monkeypatch.setattr("airflow_provider_cleanlist.transfers.list_reading.record_list_read", lambda *_: None)
    hook = SimpleNamespace(
        get_conn=lambda: SimpleNamespace(
            iter_export_file=lambda *_, **__: [LeadPage("L7", [{"lead_id": "1"}], total=2_000, cursor=None)]
        ),
        get_lead_list=lambda _: SimpleNamespace(lead_count=2_001),
    )
    (page,) = export_of(hook, export_spec(spec(on_missing=on_missing)))(cursor)
    assert page.total == total


def test_an_export_that_cannot_be_read_on_says_which_and_what_to_do(monkeypatch):
    def changed(*_, **__):
        raise ExportNotResumableError("the file has changed")
        yield

    monkeypatch.setattr("airflow_provider_cleanlist.transfers.list_reading.record_list_read", lambda *_: None)
    hook = SimpleNamespace(get_conn=lambda: SimpleNamespace(iter_export_file=changed))
    with pytest.raises(CursorRefusedError) as caught:
        list(export_of(hook, export_spec(spec()))("a cursor"))
    for said in ("export of list L7", "the file has changed", "next attempt asks", "read='pages'"):
        assert said in str(caught.value)


def test_a_stored_cursor_that_no_page_can_have_had_is_not_sent():
    asked = []

    def iter_lead_pages(*arguments):
        asked.append(arguments)
        return iter([LeadPage("L", [], 0, None)])

    read = pages_of(SimpleNamespace(iter_lead_pages=iter_lead_pages), "L", 500)
    longest = "c" * CURSOR_CHARACTERS
    assert len(list(read(longest))) == 1
    with pytest.raises(CursorRefusedError):
        next(read(longest + "c"))
    assert asked == [("L", 500, longest)]
