"""Progress and results in every shape that the contract knows or tolerates (sections 5.2 to 5.5)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cleanlist.client.results import (
    EnrichmentResult,
    WorkflowState,
    WorkflowStatus,
    workflow_state,
)

RUNNING_WORDS = ["processing", "Pending", "running", "queued", "in_progress", "In progress", "started"]
UNKNOWN_WORDS = ["", None, "paused", "wrapping_up", "not completed", "completed_soon", "successful?"]
COMPLETED_WORDS = [
    "completed",
    "complete",
    "completed_with_errors",
    "Completed with errors",
    "completed-with-errors",
    "partially_completed",
    "completed_partially",
    "success",
    "succeeded",
    "done",
    "finished",
]
FAILED_WORDS = ["failed", "cancelled", "canceled", "error", "errored", "terminated", "timed_out"]


@pytest.mark.parametrize("word", RUNNING_WORDS + UNKNOWN_WORDS)
def test_unknown_words_mean_running(word: str | None) -> None:
    assert workflow_state(word) is WorkflowState.RUNNING
    assert WorkflowStatus("w", word or "").is_unknown == (word in UNKNOWN_WORDS)


@pytest.mark.parametrize("word", COMPLETED_WORDS + FAILED_WORDS)
def test_words_that_say_an_end_are_known(word: str) -> None:
    assert not WorkflowStatus("w", word).is_unknown


@pytest.mark.parametrize("word", COMPLETED_WORDS + FAILED_WORDS)
def test_a_word_alone_that_anybody_may_say_is_bare(word: str) -> None:
    own = word in ("completed", "failed", "cancelled", "canceled")
    assert WorkflowStatus.parse("w", {"status": word}).is_bare != own
    assert WorkflowStatus.parse("w", {"status": word, "error": "x", "summary": {}}).is_bare != own


@pytest.mark.parametrize(
    "more",
    [
        {"workflow_id": "w"},
        {"total": 0},
        {"summary": {"emails_found": 0}},
        {"failed": 3},
        {"lead_list_id": "l"},
        {"results": [{}]},
    ],
)
def test_a_word_with_something_of_the_workflow_is_not_bare(more: dict[str, Any]) -> None:
    assert not WorkflowStatus.parse("w", {"status": "error", **more}).is_bare


@pytest.mark.parametrize("word", RUNNING_WORDS + UNKNOWN_WORDS)
def test_a_word_that_says_no_end_is_not_bare(word: str | None) -> None:
    assert not WorkflowStatus.parse("w", {"status": word}).is_bare


@pytest.mark.parametrize("change", [str, str.upper, str.title, lambda word: f" {word}\n"])
def test_known_words_mean_the_same_in_any_case(change: Any) -> None:
    for word in COMPLETED_WORDS:
        assert workflow_state(change(word)) is WorkflowState.COMPLETED
    for word in FAILED_WORDS:
        assert workflow_state(change(word)) is WorkflowState.FAILED


COUNTS = {"total": 3, "successful": 2, "failed": 1, "emails_found": 2, "phones_found": 0}
BASE = {"workflow_id": "w", "status": "completed", "lead_list_id": "l", "enrichment_type": "partial"}
SUMMARY = {**BASE, "summary": COUNTS}
FLAT = {
    **BASE,
    "progress": 100,
    "total": 3,
    "processed": 3,
    "completed": 2,
    "failed": 1,
    "summary": {"emails_found": 2, "phones_found": 0},
}
RESULTS = {**SUMMARY, "results": [{"task_id": "t", "primary_email": None}, "odd", None]}
TOP = {**BASE, **COUNTS}
SYNONYMS = {**BASE, "summary": {**COUNTS, "succeeded": 2, "total_contacts": 3}}
del SYNONYMS["summary"]["successful"], SYNONYMS["summary"]["total"]  # type: ignore[attr-defined]
AS_TEXT = {**BASE, "summary": {name: str(value) for name, value in COUNTS.items()}}
AS_FLOAT = {**BASE, "summary": {name: float(value) for name, value in COUNTS.items()}}


@pytest.mark.parametrize("body", [SUMMARY, FLAT, RESULTS, TOP, SYNONYMS, AS_TEXT, AS_FLOAT], ids=range(7))
def test_every_shape_of_a_status_reads_the_same(body: dict[str, Any]) -> None:
    status = WorkflowStatus.parse("w", {**body, "agent_instructions": None, "usage": {}})
    assert status.state is WorkflowState.COMPLETED
    assert (status.total, status.successful, status.failed) == (3, 2, 1)
    assert (status.emails_found, status.phones_found, status.processed) == (2, 0, 3)
    assert status.progress == 1.0
    assert status.lead_list_id == "l"
    assert status.results == (({"task_id": "t", "primary_email": None},) if body is RESULTS else ())


@pytest.mark.parametrize("name", ["total", "total_contacts", "total_leads"])
def test_synonyms_of_the_total(name: str) -> None:
    assert WorkflowStatus.parse("w", {"status": "x", name: 9}).total == 9


@pytest.mark.parametrize(
    "body", [{}, {"status": "processing"}, {"status": None, "summary": None}, {"summary": []}]
)
def test_a_sparse_status_knows_no_progress(body: dict[str, Any]) -> None:
    status = WorkflowStatus.parse("w", body)
    assert status.state is WorkflowState.RUNNING
    assert status.progress is None
    assert (status.total, status.processed, status.emails_found) == (None, None, None)


@pytest.mark.parametrize(("found", "expected"), [(0, 0), (3, 3), (-1, None), ("-100000", None)])
def test_less_than_nothing_was_not_found(found: Any, expected: int | None) -> None:
    body = {"total": 1, "summary": {"emails_found": found, "phones_found": found}}
    status = WorkflowStatus.parse("w", body)
    assert (status.emails_found, status.phones_found) == (expected, expected)


@pytest.mark.parametrize(
    ("body", "progress"),
    [
        ({"total": 200, "progress": 50}, 0.5),
        ({"total": 200, "progress": 12.5}, 0.12),
        ({"total": 200, "processed": 50}, 0.25),
        ({"total": 4, "failed": 1}, 0.25),
        ({"total": 4, "successful": 2, "failed": 1}, 0.75),
        ({"total": 4, "processed": 9}, 1.0),
        ({"total": 4, "processed": -9}, 0.0),
        ({"total": 0, "processed": 0}, None),
        ({"total": None, "progress": 50}, None),
        ({"total": 4, "completed": True}, None),
    ],
)
def test_progress(body: dict[str, Any], progress: float | None) -> None:
    assert WorkflowStatus.parse("w", body).progress == progress


@pytest.mark.parametrize(
    "body",
    [
        {"total": -4, "successful": -3, "failed": -2, "processed": -1},
        {"total": "-4", "successful": -3, "failed": -2, "progress": -50},
        {"summary": {"total": -4, "successful": -3, "failed": -2}},
    ],
)
def test_no_count_is_less_than_nothing(body: dict[str, Any]) -> None:
    status = WorkflowStatus.parse("w", body)
    assert (status.total, status.successful, status.failed) == (None, None, None)
    assert status.processed in (None, 0)
    assert WorkflowStatus.parse("w", {"total": 4, "progress": -50}).processed == 0
    assert WorkflowStatus.parse("w", {"total": 4, "successful": 2, "failed": -1}).processed == 2


@pytest.mark.parametrize("value", [None, True, "x", [], {}, float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize(
    "name", [*COUNTS, "processed", "progress", "status", "results", "lead_list_id", "summary"]
)
def test_a_status_may_hold_anything(name: str, value: Any) -> None:
    assert WorkflowStatus.parse("w", {**SUMMARY, name: value}).workflow_id == "w"


# Per contact

RESULT = {
    "task_id": "t",
    "workflow_id": "w",
    "status": "completed",
    "primary_email": "teo@harborlight.example",
    "primary_email_status": "verified",
    "other_emails": ["t@harborlight.example"],
    "personal_phone_numbers": ["+12025550143"],
    "prospect": {"first_name": "Teo", "headline": "Head of Operations"},
    "company": {"name": "Harborlight", "domain": "harborlight.example"},
}
NESTINGS = [
    RESULT,
    {"result": RESULT},
    {"task_id": "t", "workflow_id": "w", "status": "completed", "result": RESULT},
    {"results": [RESULT, {}]},
    {"data": RESULT},
    {"data": [RESULT]},
    {"results": [], "data": RESULT},
    {"result": None, "results": None, "data": [RESULT]},
]


@pytest.mark.parametrize("body", NESTINGS, ids=range(len(NESTINGS)))
def test_every_nesting_of_a_result_reads_the_same(body: dict[str, Any]) -> None:
    result = EnrichmentResult.parse(body)
    assert (result.task_id, result.workflow_id, result.state) == ("t", "w", WorkflowState.COMPLETED)
    assert (result.email, result.email_status) == ("teo@harborlight.example", "verified")
    assert result.other_emails == ["t@harborlight.example"]
    assert result.phones == ["+12025550143"]
    assert result.prospect == RESULT["prospect"]
    assert result.company == RESULT["company"]
    assert result.raw == body


def test_the_names_of_the_single_person_result_are_read_too() -> None:
    result = EnrichmentResult.parse(
        {
            "lead_id": "",
            "status": "completed",
            "email": "teo@harborlight.example",
            "email_status": "valid",
            "phone": "+12025550143",
            "company": "Harborlight",
        }
    )
    assert (result.email, result.email_status) == ("teo@harborlight.example", "valid")
    assert result.phones == ["+12025550143"]
    assert result.company == {"name": "Harborlight"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ([], []),
        ("+1", ["+1"]),
        ({"number": "+1"}, ["+1"]),
        (
            [{"number": "+1"}, {"phone": "+2"}, {"value": "+3"}, {"other": 1}, "+4", None, 5],
            ["+1", "+2", "+3", "+4", "5"],
        ),
    ],
)
def test_phones_are_texts_or_objects(given: Any, expected: list[str]) -> None:
    assert EnrichmentResult.parse({"primary_email": None, "personal_phone_numbers": given}).phones == expected


def test_other_emails_are_texts_or_objects() -> None:
    body = {
        "primary_email": {"email": "a@x.example"},
        "other_emails": [{"email": "b@x.example"}, "c@x.example"],
    }
    result = EnrichmentResult.parse(body)
    assert result.email == "a@x.example"
    assert result.other_emails == ["b@x.example", "c@x.example"]


@pytest.mark.parametrize(
    "status", ["verified", "likely_valid", "risky", "invalid", "unknown", "reliable", "brand_new"]
)
def test_email_statuses_are_an_open_set(status: str) -> None:
    assert EnrichmentResult.parse({**RESULT, "primary_email_status": status}).email_status == status


@pytest.mark.parametrize("value", [None, True, 7, "", "x", [], [None], {}, {"a": 1}, ...])
@pytest.mark.parametrize("name", sorted(RESULT))
def test_a_result_may_hold_anything(name: str, value: Any) -> None:
    body = {**RESULT, name: value}
    if value is ...:
        del body[name]
    assert EnrichmentResult.parse(body).raw == body


@pytest.mark.parametrize(
    ("said", "truncated"),
    [(None, 0), (0, 0), (False, 0), (-3, 0), ("x", 0), ([], 0), (True, 1), (1, 1), (7, 7), ("7", 7)],
)
def test_how_many_results_a_status_leaves_out(said: Any, truncated: int) -> None:
    assert WorkflowStatus.parse("w", {"results_truncated": said}).truncated == truncated


@pytest.mark.parametrize("body", [{}, {"status": "processing"}, {"data": [], "results": [], "result": []}])
def test_a_result_not_ready_is_empty_and_running(body: dict[str, Any]) -> None:
    result = EnrichmentResult.parse(body)
    assert result.state is WorkflowState.RUNNING
    assert (result.email, result.phones, result.prospect) == (None, [], {})
