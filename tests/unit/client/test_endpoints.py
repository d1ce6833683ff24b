"""Every call as a value: method, address, parameters, body, and what repeating it does."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from airflow_provider_cleanlist.client import endpoints, enrichment, errors, protocol
from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.client.messages import Repeat, Surface
from airflow_provider_cleanlist.client.protocol import Call, Ok
from airflow_provider_cleanlist.client.rate_limit.core import Priority

V1, V2 = Surface.V1, Surface.V2
AWKWARD = "a/b?c#d %ü&="
ENCODED = "a%2Fb%3Fc%23d%20%25%C3%BC%26%3D"
MARA = Contact(first_name="Mara", last_name="Okafor", company_name="Quill")


def submit(**changes: Any) -> Call[Any]:
    arguments = {"contacts": [MARA], "enrichment_type": EnrichmentType.FULL, "webhook_url": None, **changes}
    return enrichment.submit_bulk_enrichment(**arguments)


CALLS: dict[str, tuple[Call[Any], str, Surface, str, dict[str, Any], Any]] = {
    "validate_key": (endpoints.validate_key(20.0), "GET", V1, "/auth/validate-key", {}, None),
    "whoami": (endpoints.whoami(V1), "GET", V1, "/whoami", {}, None),
    "get_credit_balance": (endpoints.get_credit_balance(), "GET", V1, "/credits/balance", {}, None),
    "submit_bulk_enrichment": (
        submit(webhook_url="https://h.example"),
        "POST",
        V1,
        "/enrich/bulk",
        {},
        {"enrichment_type": "full", "contacts": [MARA.payload()], "webhook_url": "https://h.example"},
    ),
    "get_workflow_status": (
        enrichment.get_workflow_status(AWKWARD),
        "GET",
        V1,
        "/enrich/status",
        {"workflow_id": AWKWARD},
        None,
    ),
    "get_task_result": (
        enrichment.get_task_result(AWKWARD),
        "GET",
        V1,
        "/enrich/status",
        {"task_id": AWKWARD},
        None,
    ),
    "list_webhook_deliveries": (
        enrichment.list_webhook_deliveries("w"),
        "GET",
        V1,
        "/webhooks/deliveries",
        {"workflow_id": "w"},
        None,
    ),
    "create_lead_list": (
        endpoints.create_lead_list(V2, "n", "d", "f"),
        "POST",
        V2,
        "/lead-lists",
        {},
        {"name": "n", "description": "d", "folder_id": "f"},
    ),
    "list_lead_lists": (
        endpoints.list_lead_lists(V1, "c", "f"),
        "GET",
        V1,
        "/lead-lists",
        {"limit": 100, "cursor": "c", "folder_id": "f"},
        None,
    ),
    "get_lead_list": (endpoints.get_lead_list(V2, AWKWARD), "GET", V2, f"/lead-lists/{ENCODED}", {}, None),
    "update_lead_list": (
        endpoints.update_lead_list(V2, AWKWARD, {"description": None}),
        "PATCH",
        V2,
        f"/lead-lists/{ENCODED}",
        {},
        {"description": None},
    ),
    "delete_lead_list": (
        endpoints.delete_lead_list(V2, AWKWARD),
        "DELETE",
        V2,
        f"/lead-lists/{ENCODED}",
        {},
        None,
    ),
    "get_leads": (
        endpoints.get_leads(V2, AWKWARD, 500, "c&=/"),
        "GET",
        V2,
        f"/lead-lists/{ENCODED}/leads",
        {"limit": 500, "cursor": "c&=/"},
        None,
    ),
    "export_json": (
        endpoints.export_json(V1, "l", ["email", "domain"], 10, None),
        "GET",
        V1,
        "/export/json",
        {"list_id": "l", "limit": 10, "columns": ["email", "domain"]},
        None,
    ),
    "export_csv": (
        endpoints.export_csv(V2, AWKWARD),
        "POST",
        V2,
        "/export/csv/signed-url",
        {},
        {"list_id": AWKWARD},
    ),
    "add_leads": (
        endpoints.add_leads(V2, AWKWARD, ("a", "b"), "key"),
        "POST",
        V2,
        f"/lead-lists/{ENCODED}/leads",
        {},
        {"lead_ids": ["a", "b"], "idempotency_key": "key"},
    ),
    "remove_leads": (
        endpoints.remove_leads(V2, AWKWARD, ["a"]),
        "DELETE",
        V2,
        f"/lead-lists/{ENCODED}/leads",
        {},
        {"lead_ids": ["a"]},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_asked(name: str) -> None:
    call, method, surface, path, params, body = CALLS[name]
    request = call.request
    assert (request.method, request.surface, request.path) == (method, surface, path)
    assert dict(request.params) == params
    assert request.body == body


def test_an_export_can_leave_out_the_columns_of_smart_agents() -> None:
    request = endpoints.export_csv(V1, "l", smart_agents=False).request
    assert request.body == {"list_id": "l", "include_smart_agents": False}


def test_every_endpoint_is_tested() -> None:
    assert CALLS.keys() == {
        name
        for module in (endpoints, enrichment)
        for name, it in inspect.getmembers(module, inspect.isfunction)
        if it.__module__ == module.__name__
        and not name.startswith("_")
        and "Call[" in str(it.__annotations__)
    }


@pytest.mark.parametrize("name", CALLS)
def test_only_the_submission_spends_credits_and_only_deleting_a_list_deletes(name: str) -> None:
    expected = {"submit_bulk_enrichment": Repeat.SPENDS_CREDITS, "delete_lead_list": Repeat.DELETES}
    assert CALLS[name][0].request.repeat is expected.get(name, Repeat.SAFE)


@pytest.mark.parametrize("name", CALLS)
def test_only_polls_are_polls(name: str) -> None:
    request = CALLS[name][0].request
    assert request.priority is (Priority.POLL if name == "get_workflow_status" else Priority.WORK)
    assert request.max_wait == {"get_workflow_status": 600.0, "validate_key": 20.0}.get(name, 900.0)


@pytest.mark.parametrize("ids", [["x"] * 101, [f"{number}" for number in range(101)]])
def test_a_page_of_more_lists_than_were_asked_for_is_refused(ids: list[str]) -> None:
    lists = [{"list_id": list_id} for list_id in ids]
    parse = endpoints.list_lead_lists(V2, None, None).parse
    with pytest.raises(errors.UnexpectedResponseError, match="more lists than the 100 that were asked for"):
        parse(Ok({"lists": lists}, 200))
    assert [item.list_id for item in parse(Ok({"lists": lists[:100]}, 200)).lists] == ids[:100]
    assert parse(Ok({"lists": None}, 200)).lists == []


@pytest.mark.parametrize(
    "call", [endpoints.get_leads(V2, "l", 100, None), endpoints.export_json(V2, "l", None, 100, None)]
)
def test_a_page_of_more_leads_than_the_api_allows_is_refused(call: Any) -> None:
    leads = [{"lead_id": "x"}] * 501
    with pytest.raises(errors.UnexpectedResponseError, match="more leads than the 500 that a page may have"):
        call.parse(Ok({"leads": leads}, 200))
    assert len(call.parse(Ok({"leads": leads[:500]}, 200)).leads) == 500


def test_what_was_not_given_is_not_sent() -> None:
    assert endpoints.create_lead_list(V2, "n", None, None).request.body == {"name": "n"}
    assert endpoints.list_lead_lists(V2, None, None).request.params == {"limit": 100}
    assert "columns" not in endpoints.export_json(V2, "l", None, 1, None).request.params
    assert "webhook_url" not in (submit().request.body or {})


@pytest.mark.parametrize("count", [0, 251])
def test_a_submission_takes_1_to_250_contacts(count: int) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"1 to 250 contacts, not {count}"):
        submit(contacts=[MARA] * count)


@pytest.mark.parametrize("count", [1, 250])
def test_a_submission_takes_so_many(count: int) -> None:
    assert len((submit(contacts=[MARA] * count).request.body or {})["contacts"]) == count


@pytest.mark.parametrize("list_id", ["", " ", ".", "..", " . . "])
def test_an_id_that_would_change_the_address_is_refused(list_id: str) -> None:
    for ask in (
        lambda: endpoints.get_lead_list(V2, list_id),
        lambda: endpoints.delete_lead_list(V2, list_id),
        lambda: endpoints.update_lead_list(V2, list_id, {"name": "n"}),
        lambda: endpoints.get_leads(V2, list_id, 1, None),
        lambda: endpoints.export_json(V2, list_id, None, 1, None),
        lambda: endpoints.add_leads(V2, list_id, ["a"], "k"),
        lambda: endpoints.remove_leads(V2, list_id, ["a"]),
        lambda: enrichment.get_workflow_status(list_id),
        lambda: enrichment.get_task_result(list_id),
        lambda: enrichment.list_webhook_deliveries(list_id),
    ):
        with pytest.raises(errors.ConfigurationError, match="is not a valid id"):
            ask()


@pytest.mark.parametrize("size", [0, -1, 501])
def test_page_sizes_have_limits(size: int) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"page_size must be 1 to 500, not {size}"):
        endpoints.get_leads(V2, "l", size, None)
    with pytest.raises(errors.ConfigurationError, match="page_size"):
        endpoints.export_json(V2, "l", None, size, None)


def test_an_update_without_changes_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="nothing to change"):
        endpoints.update_lead_list(V2, "l", {})


# Answers


@pytest.mark.parametrize(("status", "reused"), [(201, False), (200, True), (202, False)])
@pytest.mark.parametrize("said", [..., None])
def test_a_list_is_reused_when_the_answer_is_200(status: int, reused: bool, said: Any) -> None:
    body = {"list_id": "l"} if said is ... else {"list_id": "l", "reused": said}
    assert endpoints.create_lead_list(V2, "n", None, None).parse(Ok(body, status)).reused is reused


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("said", [True, False])
def test_what_the_answer_says_about_reuse_wins(status: int, said: bool) -> None:
    body = {"list_id": "l", "reused": said}
    assert endpoints.create_lead_list(V2, "n", None, None).parse(Ok(body, status)).reused is said


@pytest.mark.parametrize(
    "body",
    [
        [{"attempt": 1}],
        {"deliveries": [{"attempt": 1}]},
        {"items": [{"attempt": 1}]},
        {"data": [{"attempt": 1}]},
        {"results": [{"attempt": 1}]},
        {"deliveries": None, "items": [{"attempt": "1"}, "odd", None]},
    ],
)
def test_deliveries_are_found_wherever_they_are(body: Any) -> None:
    rows = enrichment.list_webhook_deliveries("w").parse(Ok(body, 200))
    assert [row.attempt for row in rows] == [1]


@pytest.mark.parametrize("body", [{}, [], {"deliveries": {}}, {"other": [1]}])
def test_no_deliveries(body: Any) -> None:
    assert enrichment.list_webhook_deliveries("w").parse(Ok(body, 200)) == []


def test_a_page_of_leads_is_kept_raw() -> None:
    rows = [{"lead_id": "1", "smart": {"a": [1]}}, {"lead_id": 2, "email": None}]
    page = endpoints.get_leads(V2, "l", 2, None).parse(
        Ok({"list_id": "l", "leads": rows, "total": "5", "cursor": 2, "usage": None}, 200)
    )
    assert (page.list_id, page.leads, page.total, page.cursor) == ("l", rows, 5, "2")
    assert page.records is page.leads


UUID = "0b0f9c0e-6a53-4f52-8c8b-3d9a1f0c7a11"
HANDLE = "cl-task_9f2c"
BY_ID: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "get_workflow_status": (enrichment.get_workflow_status, "workflow_id", {"status": "completed"}),
    "get_task_result": (
        enrichment.get_task_result,
        "task_id",
        {"status": "completed", "primary_email": None},
    ),
    "list_webhook_deliveries": (enrichment.list_webhook_deliveries, "workflow_id", {"deliveries": []}),
    "get_lead_list": (lambda it: endpoints.get_lead_list(V2, it), "list_id", {"name": "n"}),
    "update_lead_list": (lambda it: endpoints.update_lead_list(V2, it, {"name": "n"}), "list_id", {}),
    "delete_lead_list": (lambda it: endpoints.delete_lead_list(V2, it), "list_id", {"deleted": True}),
    "get_leads": (lambda it: endpoints.get_leads(V2, it, 1, None), "list_id", {"leads": []}),
    "export_json": (lambda it: endpoints.export_json(V2, it, None, 1, None), "list_id", {"leads": []}),
    "export_csv": (
        lambda it: endpoints.export_csv(V2, it),
        "list_id",
        {"download_url": "https://f.example/a"},
    ),
    "add_leads": (lambda it: endpoints.add_leads(V2, it, ["a"], "key"), "list_id", {"added": 1}),
    "remove_leads": (lambda it: endpoints.remove_leads(V2, it, ["a"]), "list_id", {"removed": 1}),
}
"""Calls by an id, which the API repeats in its responses: the call, the field, and what else a response has."""


def test_every_call_by_an_id_compares_it() -> None:
    assert BY_ID.keys() == {
        name
        for module in (endpoints, enrichment)
        for name, it in inspect.getmembers(module, inspect.isfunction)
        if it.__module__ == module.__name__
        and {"workflow_id", "task_id", "list_id"} & inspect.signature(it).parameters.keys()
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", BY_ID)
@pytest.mark.parametrize(
    ("asked", "named"),
    [("list_B", "list_A"), ("w", "W"), (UUID, UUID[:-1] + "2"), (UUID, "list_A"), ("7", 8)],
)
def test_a_response_about_something_else_is_refused(name: str, asked: str, named: Any) -> None:
    call, field, body = BY_ID[name]
    with pytest.raises(
        errors.UnexpectedResponseError, match="about something else than what was asked"
    ) as error:
        call(asked).parse(Ok({**body, field: named}, 200))
    assert "list_A" not in str(error.value)


@pytest.mark.parametrize("name", BY_ID)
@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("list_B", "list_B"),
        (AWKWARD, AWKWARD),
        ("7", 7),
        (UUID.upper(), UUID),
        (UUID.replace("-", ""), UUID),
        (HANDLE, "public_bulk_7c1f"),
        ("public_bulk_7c1f", HANDLE),
    ],
)
def test_a_response_that_names_the_same_is_read(name: str, asked: str, named: Any) -> None:
    call, field, body = BY_ID[name]
    call(asked).parse(Ok({**body, field: named}, 200))


@pytest.mark.parametrize("name", sorted(BY_ID.keys() - {"get_lead_list", "update_lead_list"}))
@pytest.mark.parametrize("named", [None, "", ..., {"id": "list_A"}, ["list_A"], "null"])
def test_a_response_that_names_nothing_is_read(name: str, named: Any) -> None:
    call, field, body = BY_ID[name]
    call("list_B").parse(Ok(body if named is ... else {**body, field: named}, 200))


def test_a_task_is_named_by_its_result_rather_than_by_what_surrounds_it() -> None:
    """On the other surface ``task_id`` is a handle of the whole response."""
    parse = enrichment.get_task_result("t2").parse
    result = {"task_id": "t2", "workflow_id": "child", "status": "completed", "primary_email": None}
    assert parse(Ok({"task_id": "t1", "result": result}, 200)).task_id == "t2"
    with pytest.raises(errors.UnexpectedResponseError):
        parse(Ok({"task_id": "t2", "result": {**result, "task_id": "t1"}}, 200))
    with pytest.raises(errors.UnexpectedResponseError):
        parse(Ok({"result": {"task_id": "t1"}}, 200))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": "ok"},
        {"status": "ok"},
        {"status": "completed"},
        {"status": "error", "message": "upstream temporarily unavailable"},
        {"error": "busy", "status": "failed"},
        {"success": False, "data": None},
        {"result": {}, "results": [], "status": "completed"},
        {"workflow_id": "w", "status": "failed", "summary": {"total": 3}},
        {"task_id": "t"},
        {"task_id": "t", "error": "busy"},
    ],
)
def test_a_response_that_says_nothing_of_a_task_is_refused(body: dict[str, Any]) -> None:
    call = enrichment.get_task_result("t")
    with pytest.raises(errors.UnexpectedResponseError, match="lacks required fields"):
        protocol._parsed(call, Ok(body, 200))


@pytest.mark.parametrize(
    "body",
    [
        {"task_id": "t", "status": "failed"},
        {"task_id": "t", "status": "processing", "primary_email": None},
        {"task_id": "t", "status": "completed", "result": None},
        {"task_id": "t", "result": {"status": "completed"}},
        {"prospect": None},
        {"result": {"email": None}},
        {"data": [{"personal_phone_numbers": []}]},
    ],
)
def test_a_response_with_little_of_a_task_is_read(body: dict[str, Any]) -> None:
    assert enrichment.get_task_result("t").parse(Ok(body, 200)).raw == body


def test_deliveries_of_another_workflow_are_refused() -> None:
    parse = enrichment.list_webhook_deliveries("w").parse
    mine, other = {"attempt": 1, "workflow_id": "w"}, {"attempt": 2, "workflow_id": "v"}
    assert len(parse(Ok([mine, {"attempt": 2}], 200))) == 2
    for body in ([mine, other], {"deliveries": [other]}):
        with pytest.raises(errors.UnexpectedResponseError):
            parse(Ok(body, 200))


@pytest.mark.parametrize("cursor", [None, "", ...])
def test_the_end_of_a_list(cursor: Any) -> None:
    body = {"leads": []} if cursor is ... else {"leads": [], "cursor": cursor}
    page = endpoints.get_leads(V2, "l", 2, None).parse(Ok(body, 200))
    assert (page.cursor, page.total) == (None, None)


UNREADABLE_PAGES = [
    {},
    {"leads": None},
    {"leads": {}},
    {"leads": [{"email": "x"}]},
    {"leads": [{"lead_id": ""}]},
    {"leads": [None]},
    [],
]


@pytest.mark.parametrize("body", UNREADABLE_PAGES)
def test_a_page_that_could_lose_leads_is_not_read(body: Any) -> None:
    with pytest.raises(ValueError, match=r"no leads|without an id|not a JSON object"):
        endpoints.get_leads(V2, "l", 2, None).parse(Ok(body, 200))


def test_an_export_of_chosen_columns_need_not_have_ids() -> None:
    body = {"leads": [{"email": "x"}]}
    assert endpoints.export_json(V2, "l", ["email"], 1, None).parse(Ok(body, 200)).leads == body["leads"]
    with pytest.raises(ValueError, match="without an id"):
        endpoints.export_json(V2, "l", None, 1, None).parse(Ok(body, 200))


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"delete_lead_list", "list_webhook_deliveries"}))
def test_an_array_is_not_taken_for_an_object(name: str) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        CALLS[name][0].parse(Ok([], 200))


@pytest.mark.parametrize("body", [{}, {"deleted": True}, {"deleted": None}, []])
def test_any_success_of_a_delete_will_do(body: Any) -> None:
    assert CALLS["delete_lead_list"][0].parse(Ok(body, 200)) is None
