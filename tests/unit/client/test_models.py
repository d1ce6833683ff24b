"""Models of what is sent and answered: tolerant in reading, silent in printing."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_cleanlist.client import endpoints, responses
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.client.messages import Surface
from airflow_provider_cleanlist.client.protocol import Ok
from airflow_provider_cleanlist.client.results import EnrichmentResult, WorkflowStatus

MARA = Contact(first_name="Mara", last_name="Okafor", company_name="Quill", email="mara@quill.example")
ODD: tuple[Any, ...] = (None, True, False, 0, -1.5, "", "x", [], [None], {}, {"a": 1}, float("inf"), 10**400)


def test_nothing_prints_personal_data() -> None:
    lead = {"lead_id": "l1", "first_name": "Mara", "email": "mara@quill.example"}
    page = responses.LeadPage("list-1", [lead], 1, None)
    whoami = responses.Whoami.model_validate({"user_name": "Mara Okafor", "organization_id": "o"})
    result = EnrichmentResult.parse(
        {"primary_email": "mara@quill.example", "prospect": {"first_name": "Mara"}}
    )
    status = WorkflowStatus.parse(
        "w1", {"status": "completed", "results": [{"primary_email": "mara@x.example"}]}
    )
    for value in (MARA, page, whoami, result, status):
        shown = f"{value} {value!r} {[value]}".lower()
        assert "mara" not in shown
        assert "okafor" not in shown
    assert repr(MARA) == "Contact(<first_name, last_name, company_name, email>)"
    assert repr(Contact()) == "Contact(<empty>)"
    assert repr(page) == "LeadPage(list_id='list-1', leads=<1>, total=1)"
    assert repr(whoami) == str(whoami) == "Whoami()"
    assert list(whoami.__rich_repr__()) == []
    assert repr(status) == "WorkflowStatus('w1', 'completed', None/None)"


def test_errors_about_answers_do_not_quote_them() -> None:
    with pytest.raises(ValidationError) as caught:
        responses.CreditBalance.model_validate({"credits": "mara@quill.example"})
    assert "mara" not in str(caught.value)


def test_values_travel_between_processes() -> None:
    whoami = responses.Whoami(organization_id="o", scopes=["a"])
    for value in (MARA, whoami, responses.LeadPage("l", [{"lead_id": "1"}], 1, "c"), WorkflowStatus("w")):
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value


@pytest.mark.parametrize(
    ("given", "expected"),
    [(12, "12"), (1249.5, "1249.5"), ("0.1", "0.1"), (0, "0"), (0.1, "0.1")],
)
def test_a_balance_is_any_number(given: Any, expected: str) -> None:
    assert responses.CreditBalance.model_validate({"credits": given, "usage": None}).credits == Decimal(
        expected
    )


@pytest.mark.parametrize("given", [{}, {"credits": None}, {"credits": "many"}, {"credits": []}])
def test_a_balance_that_is_no_number_is_not_made_up(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        responses.CreditBalance.model_validate(given)


@pytest.mark.parametrize(
    ("valid", "expected"),
    [(True, True), (False, False), (None, False), ("true", False), (1, False), ("yes", False), ([], False)],
)
def test_a_key_is_valid_only_when_the_answer_says_true(valid: Any, expected: bool) -> None:
    assert responses.KeyValidation.model_validate({"valid": valid}).valid is expected


@pytest.mark.parametrize("body", [{}, {"status": "error"}, {"user_id": "u", "organization_id": "o"}])
def test_what_does_not_say_whether_a_key_is_valid_is_no_validation(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        responses.KeyValidation.model_validate(body)


@pytest.mark.parametrize("field", ["user_id", "organization_id"])
@pytest.mark.parametrize("value", ODD)
def test_optional_fields_of_a_validation_may_hold_anything(field: str, value: Any) -> None:
    assert responses.KeyValidation.model_validate({"valid": True, field: value}).valid


@pytest.mark.parametrize("field", ["status", "message", "task_ids", "total_contacts", "new_field"])
@pytest.mark.parametrize("value", ODD)
def test_an_accepted_submission_is_read_whatever_stands_beside_its_workflow_id(
    field: str, value: Any
) -> None:
    answer = responses.BulkEnrichment.model_validate({"workflow_id": "w", "task_ids": ["t"], field: value})
    assert answer.workflow_id == "w"


@pytest.mark.parametrize(
    ("task_ids", "expected"),
    [
        (None, []),
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", None, 7, "", {}], ["a", "7"]),
        ("a", []),
        ({"a": 1}, []),
    ],
)
def test_task_ids_may_be_missing_shorter_or_longer(task_ids: Any, expected: list[str]) -> None:
    assert (
        responses.BulkEnrichment.model_validate({"workflow_id": "w", "task_ids": task_ids}).task_ids
        == expected
    )
    assert responses.BulkEnrichment.model_validate({"workflow_id": "w"}).task_ids == []


@pytest.mark.parametrize("workflow_id", [..., None, "", [], {}, False])
def test_a_submission_without_a_workflow_id_was_not_understood(workflow_id: Any) -> None:
    with pytest.raises(ValidationError):
        responses.BulkEnrichment.model_validate({} if workflow_id is ... else {"workflow_id": workflow_id})


@pytest.mark.parametrize("odd", ["a\x1b[31m", "a\u202eb", "a\nb", "\ud800", "w" * 513])
def test_an_id_that_would_not_be_shown_as_it_is_was_not_understood(odd: str) -> None:
    is_refused_as_an_id(odd)
    assert responses.BulkEnrichment.model_validate({"workflow_id": "w" * 512}).workflow_id == "w" * 512


@pytest.mark.parametrize(
    "odd", ["['wf_of_other_task']", "[x", "{'workflow_ids': ['x']}", "{", "None", "NULL", " x", "x ", " "]
)
def test_an_id_that_would_become_another_one_in_a_template_was_not_understood(odd: str) -> None:
    is_refused_as_an_id(odd)


def is_refused_as_an_id(odd: str) -> None:
    with pytest.raises(ValidationError):
        responses.BulkEnrichment.model_validate({"workflow_id": odd})
    with pytest.raises(ValidationError):
        responses.LeadList.model_validate({"list_id": odd})
    assert (
        responses.BulkEnrichment.model_validate({"workflow_id": "w", "task_ids": ["t", odd]}).task_ids == []
    )


@pytest.mark.parametrize(
    "workflow_id", ["public_bulk_1", "a/b?c", "ü", 17, "x y", "x[1]", "none of these", "0"]
)
def test_ids_are_opaque(workflow_id: Any) -> None:
    assert responses.BulkEnrichment.model_validate({"workflow_id": workflow_id}).workflow_id == str(
        workflow_id
    )


FULL_LIST = {
    "list_id": "8b7f",
    "name": "Nordics",
    "description": "d",
    "lead_count": 3,
    "enriched_count": 1,
    "folder_id": "f",
    "created_at": "2026-06-14T09:20:00Z",
    "reused": True,
    "visibility": "private",
    "owner_name": "o",
}


def test_a_list_is_read_in_full_and_keeps_what_it_does_not_know() -> None:
    read = responses.LeadList.model_validate({**FULL_LIST, "colour": "red", "task_id": None})
    assert {name: getattr(read, name) for name in FULL_LIST} == FULL_LIST
    assert read.model_extra == {"colour": "red", "task_id": None}


@pytest.mark.parametrize("field", sorted(FULL_LIST.keys() - {"list_id"}))
@pytest.mark.parametrize("value", [*ODD, ...])
def test_a_list_needs_nothing_but_its_id(field: str, value: Any) -> None:
    body = {**FULL_LIST, field: value}
    if value is ...:
        del body[field]
    assert responses.LeadList.model_validate(body).list_id == "8b7f"


@pytest.mark.parametrize("created_at", ["2026-06-14T09:20:00Z", "2026-06-14T09:20:00+00:00", "yesterday"])
def test_timestamps_are_kept_as_written(created_at: str) -> None:
    assert responses.LeadList.model_validate({**FULL_LIST, "created_at": created_at}).created_at == created_at


def test_a_list_without_an_id_is_refused() -> None:
    for body in ({}, {"list_id": None}, {"list_id": ""}):
        with pytest.raises(ValidationError):
            responses.LeadList.model_validate(body)


@pytest.mark.parametrize(("cursor", "expected"), [(None, None), ("", None), ("50", "50"), (50, "50")])
def test_the_last_page_has_no_cursor(cursor: Any, expected: str | None) -> None:
    page = responses.LeadListPage.model_validate({"lists": None, "cursor": cursor, "total": "2"})
    assert (page.cursor, page.lists, page.total) == (expected, [], 2)
    assert responses.LeadListPage.model_validate({}).cursor is None


@pytest.mark.parametrize("cursor", [False, True, [], {}, {"next": "a"}, ["a"]])
def test_what_is_no_cursor_does_not_end_the_reading(cursor: Any) -> None:
    with pytest.raises(ValidationError):
        responses.LeadListPage.model_validate({"lists": None, "cursor": cursor})
    call = endpoints.get_leads(Surface.V2, "l", 500, None)
    with pytest.raises(ValueError, match=r"^$"):
        call.parse(Ok({"leads": [{"lead_id": "1"}], "cursor": cursor}, 200))


@pytest.mark.parametrize("field", ["scopes", "features", "tier", "auth_type", "organization_name"])
@pytest.mark.parametrize("value", [*ODD, ...])
def test_whoami_needs_nothing(field: str, value: Any) -> None:
    body = {"scopes": ["new:scope"], "tier": "galactic", "auth_type": "telepathy", field: value}
    if value is ...:
        del body[field]
    read = responses.Whoami.model_validate(body)
    assert isinstance(read.scopes, list)
    assert read.tier is None or isinstance(read.tier, str)


@pytest.mark.parametrize("model", [responses.AddedLeads, responses.RemovedLeads, responses.WebhookDelivery])
@pytest.mark.parametrize("value", ODD)
def test_small_answers_need_nothing(model: type[responses.ApiModel], value: Any) -> None:
    assert model.model_validate({})
    assert model.model_validate(dict.fromkeys(model.model_fields, value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        (7.9, 7),
        ("7", 7),
        ("7.0", 7),
        (0, 0),
        (None, None),
        (True, None),
        ("", None),
        ("many", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        ([], None),
    ],
)
def test_counts(value: Any, expected: int | None) -> None:
    assert responses.count_or_none(value) == expected
