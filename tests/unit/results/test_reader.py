"""Which way results are read by, what that costs, and how reading goes on after a stop."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cleanlist.client.errors import ErrorInfo, NotFoundError
from airflow_provider_cleanlist.client.results import EnrichmentResult, WorkflowStatus
from airflow_provider_cleanlist.results.reader import (
    Access,
    CursorOfOtherResultsError,
    FailureUnconfirmedError,
    ResultReader,
    ResultsNotReadyError,
    ResultsUnavailableError,
)
from airflow_provider_cleanlist.results.rows import RESULT_FIELDS, result_in, result_row

log = logging.getLogger(__name__)
TEO: dict[str, Any] = {
    "task_id": "t1",
    "status": "completed",
    "primary_email": "teo@harborlight.example",
    "primary_email_status": "verified",
    "other_emails": [{"email": "t@harborlight.example"}],
    "personal_phone_numbers": ["+12025550143"],
    "prospect": {"first_name": "Teo", "skills": ["boats"]},
    "company": {"name": "Harborlight", "headcount": 140},
}


class Cleanlist:
    """Workflows of three tasks each that answer as told, and count how often they were asked."""

    def __init__(self, *workflow_ids: str) -> None:
        self.tasks = {workflow_id: [f"{workflow_id}-{n}" for n in range(3)] for workflow_id in workflow_ids}
        self.status: dict[str, dict[str, Any]] = {}
        self.delivered: dict[str, dict[str, Any]] = {}
        self.task_status: dict[str, str] = {}
        self.asked: list[str] = []
        self.fails_at: str | None = None

    def results(self, workflow_id: str, count: int = 3) -> list[dict[str, Any]]:
        return [{**TEO, "task_id": task_id} for task_id in self.tasks[workflow_id][:count]]

    def access(self) -> Access:
        return Access(delivered=self.delivered.get, workflow=self._workflow, task=self._task)

    def _workflow(self, workflow_id: str) -> WorkflowStatus:
        self.asked.append(workflow_id)
        body = {"status": "completed", "summary": {"total": 3}, **self.status.get(workflow_id, {})}
        return WorkflowStatus.parse(workflow_id, body)

    def _task(self, task_id: str) -> EnrichmentResult:
        if task_id == self.fails_at:
            raise ConnectionError
        self.asked.append(task_id)
        if not any(task_id in tasks for tasks in self.tasks.values()):
            raise NotFoundError(ErrorInfo("read a task", "unknown", status=404))
        return EnrichmentResult.parse(
            {**TEO, "task_id": task_id, "status": self.task_status.get(task_id, "completed")}
        )

    def reader(self, task_ids: dict[str, list[str]] | None = None, **options: Any) -> ResultReader:
        return ResultReader(list(self.tasks), task_ids or {}, self.access(), log, **options)


def ids(reader: ResultReader, cursor: str | None = None) -> list[str]:
    return [row["task_id"] for page in reader.read(cursor) for row in page.records]


def test_a_row() -> None:
    assert result_in(TEO, "w") == {
        "task_id": "t1",
        "workflow_id": "w",
        "status": "completed",
        "primary_email": "teo@harborlight.example",
        "primary_email_status": "verified",
        "other_emails": ["t@harborlight.example"],
        "phones": ["+12025550143"],
        "prospect_first_name": "Teo",
        "prospect_skills": ["boats"],
        "company_name": "Harborlight",
        "company_headcount": 140,
        "raw": TEO,
    }


@pytest.mark.parametrize("body", [{"result": TEO}, {"results": [TEO]}, {"data": TEO, "workflow_id": "w"}])
def test_nested_rows(body: dict[str, Any]) -> None:
    row = result_in(body, "w")
    assert row is not None
    assert {**row, "raw": TEO} == result_in(TEO, "w")
    assert set(row) - set(RESULT_FIELDS) == {"prospect_skills"}


def test_a_row_without_a_task() -> None:
    nameless = {**TEO, "task_id": None}
    assert result_in(nameless, "w") is None
    assert result_row(EnrichmentResult.parse(nameless), "w", "t9")["task_id"] == "t9"


# --- which way -------------------------------------------------------------------------------------------------


def test_a_delivered_webhook_costs_nothing() -> None:
    api = Cleanlist("a")
    api.delivered["a"] = {"status": "completed", "results": api.results("a"), "results_truncated": 0}
    assert ids(reader := api.reader(api.tasks)) == api.tasks["a"]
    assert api.asked == []
    assert reader.counts.from_webhooks == 3


def test_results_in_the_answer_cost_one_request() -> None:
    api = Cleanlist("a")
    api.status["a"] = {"results": api.results("a")}
    assert ids(reader := api.reader(api.tasks)) == api.tasks["a"]
    assert api.asked == ["a"]
    assert (reader.counts.from_webhooks, reader.counts.from_workflows) == (0, 3)


def test_one_by_one_asks_only_one_workflow_in_vain() -> None:
    api = Cleanlist("a", "b")
    assert ids(reader := api.reader(api.tasks)) == [*api.tasks["a"], *api.tasks["b"]]
    assert api.asked == ["a", *api.tasks["a"], *api.tasks["b"]]
    assert reader.counts.from_tasks == 6


@pytest.mark.parametrize("counts", [{}, {"summary": {"total": 3}}])
def test_a_truncated_webhook_is_completed_one_by_one(counts: dict[str, Any]) -> None:
    api = Cleanlist("a")
    api.delivered["a"] = {"results": api.results("a", 2), "results_truncated": 1, **counts}
    assert sorted(ids(reader := api.reader(api.tasks))) == api.tasks["a"]
    assert api.asked == ["a", "a-2"]
    assert (reader.counts.from_webhooks, reader.counts.from_tasks) == (2, 1)


def test_a_truncated_webhook_is_completed_by_the_answer() -> None:
    api = Cleanlist("a")
    api.delivered["a"] = {"results": api.results("a", 2), "results_truncated": 1}
    api.status["a"] = {"results": api.results("a")}
    assert ids(api.reader()) == api.tasks["a"]
    assert api.asked == ["a"]


def test_results_that_name_no_task_are_not_taken() -> None:
    api = Cleanlist("a")
    api.delivered["a"] = {"results": [{**TEO, "task_id": None}] * 3}
    assert ids(api.reader(api.tasks)) == api.tasks["a"]
    assert api.asked == ["a", *api.tasks["a"]]


@pytest.mark.parametrize("way", ["delivered", "status", "tasks"])
def test_more_task_ids_than_contacts_do_not_matter(way: str, caplog: pytest.LogCaptureFixture) -> None:
    api = Cleanlist("a", "b")
    for name in api.tasks if way != "tasks" else ():
        {"delivered": api.delivered, "status": api.status}[way][name] = {
            "results": api.results(name),
            "summary": {"total": 3},
        }
    long = {name: [*tasks, f"{name}-too-many"] for name, tasks in api.tasks.items()}
    assert ids(api.reader(long)) == [*api.tasks["a"], *api.tasks["b"]]
    assert caplog.text.count("Cleanlist does not know 1 task id, and has results for all its contacts") == 2


def test_an_unknown_task_is_an_error_unless_there_is_a_result_for_each_contact() -> None:
    for total in (None, 0, 4):
        api = Cleanlist("a")
        api.status["a"] = {"summary": {"total": total}}
        pages = api.reader({"a": [*api.tasks["a"], "unknown"]}, tasks_per_page=100).read(None)
        assert len(next(pages).records) == 3
        with pytest.raises(NotFoundError):
            next(pages)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
@pytest.mark.parametrize("tasks_per_page", [1, 100])
def test_an_unknown_task_is_passed_over_wherever_it_stands(
    at: int, tasks_per_page: int, caplog: pytest.LogCaptureFixture
) -> None:
    api = Cleanlist("a")
    known = {"a": [*api.tasks["a"][:at], "unknown", *api.tasks["a"][at:]]}
    pages = list(api.reader(known, tasks_per_page=tasks_per_page).read(None))
    assert [row["task_id"] for page in pages for row in page.records] == api.tasks["a"]
    assert "does not know 1 task id" in caplog.text


def test_what_earlier_attempts_did_not_find_still_counts() -> None:
    api = Cleanlist("a")
    known = {"a": ["unknown", *api.tasks["a"]]}
    api.fails_at = "a-1"
    pages = api.reader(known).read(None)
    page = next(pages)
    assert [row["task_id"] for row in page.records] == ["a-0"]
    with pytest.raises(ConnectionError):
        next(pages)
    api.fails_at = None
    assert ids(api.reader(known), page.cursor) == ["a-1", "a-2"]
    api.tasks["a"].remove("a-1")
    with pytest.raises(NotFoundError):
        ids(api.reader(known), page.cursor)


def test_a_delivery_does_not_say_which_tasks_may_be_unknown() -> None:
    api = Cleanlist("a", "b")
    api.delivered["b"] = {"summary": {"total": 1}, "results": api.results("b", 1)}
    known = {"a": api.tasks["a"], "b": [*api.tasks["b"][:2], "unknown"]}
    with pytest.raises(NotFoundError):
        ids(api.reader(known))


@pytest.mark.parametrize("way", ["delivered", "status"])
@pytest.mark.parametrize("counts", [{"successful": 2, "failed": 1}, {"processed": 3}])
def test_without_a_total_there_are_as_many_results_as_contacts_were_processed(
    way: str, counts: dict[str, int]
) -> None:
    api = Cleanlist("a")
    body = {"summary": {"total": None, **counts}, "results": api.results("a", 2)}
    api.status["a"] = {"summary": body["summary"]}
    {"delivered": api.delivered, "status": api.status}[way]["a"] = body
    with pytest.raises(ResultsUnavailableError) as caught:
        ids(api.reader())
    assert (caught.value.found, caught.value.expected) == (2, 3)
    body["results"] = api.results("a")
    assert ids(api.reader()) == api.tasks["a"]


@pytest.mark.parametrize("way", ["delivered", "status"])
def test_without_a_total_there_are_as_many_results_as_contacts_were_submitted(way: str) -> None:
    api = Cleanlist("a")
    body = {"summary": {}, "results": api.results("a", 2)}
    api.status["a"] = {"summary": {}}
    {"delivered": api.delivered, "status": api.status}[way]["a"] = body
    access = replace(api.access(), submitted={"a": 3}.__getitem__)
    with pytest.raises(ResultsUnavailableError):
        ids(ResultReader(["a"], {}, access, log))
    assert ids(api.reader()) == ["a-0", "a-1"]
    body["summary"]["total"] = 2
    api.status["a"]["summary"] = {"total": 2}
    assert ids(ResultReader(["a"], {}, access, log)) == ["a-0", "a-1"]


def test_a_status_that_leaves_results_out_is_not_complete() -> None:
    api = Cleanlist("a")
    api.status["a"] = {"summary": {}, "results": api.results("a", 2), "results_truncated": 1}
    with pytest.raises(ResultsUnavailableError) as caught:
        ids(api.reader())
    assert (caught.value.found, caught.value.expected) == (2, 3)


@pytest.mark.parametrize("way", ["delivered", "status"])
def test_an_item_that_says_nothing_of_its_task_is_no_row(way: str) -> None:
    api = Cleanlist("a")
    first, *others = api.results("a")
    body = {"results": [{"task_id": "a-0", "error": "busy"}, *others]}
    {"delivered": api.delivered, "status": api.status}[way]["a"] = body
    rows = [row for page in api.reader(api.tasks).read(None) for row in page.records]
    assert {row["task_id"]: row["primary_email"] for row in rows} == dict.fromkeys(
        api.tasks["a"], first["primary_email"]
    )
    assert "a-0" in api.asked


@pytest.mark.parametrize("way", ["delivered", "status"])
@pytest.mark.parametrize("total", [None, 1, 2])
def test_each_known_task_is_asked_for_whatever_the_total_is(way: str, total: int | None) -> None:
    api = Cleanlist("a")
    body = {"status": "completed", "summary": {"total": total}, "results": api.results("a", 1)}
    {"delivered": api.delivered, "status": api.status}[way]["a"] = body
    assert sorted(ids(api.reader(api.tasks))) == api.tasks["a"]
    assert api.asked == ["a", "a-1", "a-2"]


def test_a_result_of_another_task_does_not_stand_for_one_that_is_known() -> None:
    api = Cleanlist("a")
    results = [*api.results("a", 2), {**TEO, "task_id": "new"}]
    api.status["a"] = {"summary": {"total": 3}, "results": results}
    assert sorted(ids(api.reader(api.tasks))) == [*api.tasks["a"], "new"]
    assert api.asked == ["a", "a-2"]


@pytest.mark.parametrize("total", [None, 2])
@pytest.mark.parametrize("truncated", [1, True])
def test_a_truncated_webhook_is_not_complete_whatever_its_total_is(total: int | None, truncated: Any) -> None:
    api = Cleanlist("a")
    delivered = {"summary": {"total": total}, "results": api.results("a", 2), "results_truncated": truncated}
    api.delivered["a"], api.status["a"] = delivered, {"summary": {"total": total}}
    with pytest.raises(ResultsUnavailableError):
        ids(api.reader())
    api.status["a"] = {"summary": {"total": None}, "results": api.results("a")}
    assert ids(api.reader()) == api.tasks["a"]


@pytest.mark.parametrize(("delivered", "found"), [(None, 0), (2, 2)])
def test_no_way_at_all(delivered: int | None, found: int) -> None:
    api = Cleanlist("a")
    if delivered:
        api.delivered["a"] = {"results": api.results("a", delivered), "results_truncated": 1}
    with pytest.raises(ResultsUnavailableError) as caught:
        ids(api.reader({"another": ["t"]}))
    assert (caught.value.workflow_id, caught.value.found, caught.value.expected) == ("a", found, 3)


def test_a_failed_workflow_gives_what_it_has() -> None:
    api = Cleanlist("a", "b")
    api.status["a"] = {"status": "cancelled", "results": api.results("a", 1)}
    api.status["b"] = {"results": api.results("b")}
    assert ids(api.reader()) == ["a-0", *api.tasks["b"]]


def test_a_page_of_long_results_ends_early() -> None:
    api = Cleanlist("a")
    long = EnrichmentResult.parse({**TEO, "note": "x" * 3_000_000})
    reader = ResultReader(
        ["a"], api.tasks, replace(api.access(), task=lambda _: long), log, tasks_per_page=500
    )
    assert [len(page.records) for page in reader.read(None)] == [2, 1]


@pytest.mark.parametrize("word", ["error", "failed"])
def test_a_failure_without_a_count_deletes_nothing(word: str) -> None:
    api = Cleanlist("a")
    api.status["a"] = {"status": word, "summary": {}}
    assert ids(api.reader()) == []
    with pytest.raises(FailureUnconfirmedError):
        ids(api.reader(deletes_unread=True))
    with pytest.raises(FailureUnconfirmedError):  # what was submitted says nothing of the failure
        ids(ResultReader(["a"], {}, replace(api.access(), submitted=lambda _: 3), log, deletes_unread=True))
    api.status["a"] = {"status": word}  # with a total
    assert ids(api.reader(deletes_unread=True)) == []
    api.status["a"] = {"status": word, "summary": {}, "results": api.results("a", 1)}
    assert ids(api.reader(deletes_unread=True)) == ["a-0"]


def test_results_without_a_known_task_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    api = Cleanlist("a")
    api.status["a"] = {"results": api.results("a", 1)}
    assert ids(api.reader({"a": api.tasks["a"][:2]})) == ["a-0", "a-1"]
    assert "1 result cannot be read, because only 2 task ids of its 3 contacts are known" in caplog.text
    caplog.clear()
    api = Cleanlist("a")
    assert len(ids(api.reader(api.tasks))) == 3
    assert not caplog.text


# --- unfinished workflows --------------------------------------------------------------------------------------


def test_a_running_workflow_stops_before_any_task_is_asked() -> None:
    api = Cleanlist("a")
    api.status["a"] = {"status": "processing"}
    with pytest.raises(ResultsNotReadyError):
        ids(api.reader(api.tasks))
    assert api.asked == ["a"]


def test_an_unknown_status_is_final_once_all_contacts_are_processed() -> None:
    api = Cleanlist("a")
    counts = {"total": 3, "successful": 2, "failed": 0}
    api.status["a"] = {"status": "wrapping_up", "summary": counts}
    with pytest.raises(ResultsNotReadyError):
        ids(api.reader(api.tasks))
    api.status["a"] = {"status": "wrapping_up", "summary": counts | {"failed": 1}}
    assert ids(api.reader(api.tasks)) == api.tasks["a"]
    api.status["a"] = {"status": "processing", "summary": counts | {"failed": 1}}
    with pytest.raises(ResultsNotReadyError):
        ids(api.reader(api.tasks))


@pytest.mark.parametrize("word", ["completed_with_errors", "done"])
def test_results_in_an_answer_that_says_an_end_in_other_words_are_read(word: str) -> None:
    api = Cleanlist("a")
    api.status["a"] = {"status": word, "results": api.results("a")}
    assert ids(api.reader(api.tasks)) == api.tasks["a"]
    assert api.asked == ["a"]


def test_a_running_task_of_a_running_workflow_stops() -> None:
    api = Cleanlist("a", "b")
    api.status["b"], api.task_status["b-1"] = {"status": "processing"}, "processing"
    with pytest.raises(ResultsNotReadyError):
        ids(api.reader(api.tasks))
    assert api.asked[-2:] == ["b-1", "b"]


def test_running_tasks_are_left_out_and_counted() -> None:
    api = Cleanlist("a")
    api.status["a"] = {"status": "processing"}
    api.task_status = {"a-0": "processing", "a-2": "queued"}
    assert ids(reader := api.reader(api.tasks, skip_unfinished=True)) == ["a-1"]
    assert reader.counts.unfinished == 2
    assert api.asked == ["a", *api.tasks["a"]]


def test_running_results_in_an_answer_are_left_out_and_counted() -> None:
    api = Cleanlist("a")
    done, running, _ = api.results("a")
    api.status["a"] = {"status": "processing", "results": [done, {**running, "status": "processing"}]}
    assert ids(reader := api.reader(skip_unfinished=True)) == ["a-0"]
    assert reader.counts.unfinished == 2


@pytest.mark.parametrize("way", ["delivered", "status", "tasks"])
def test_a_task_that_still_runs_in_a_completed_workflow_is_no_row(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = Cleanlist("a", "b")
    api.task_status["a-1"] = "Processing"
    done, running, last = api.results("a")
    body = {"status": "completed", "results": [done, {**running, "status": "in-progress"}, last]}
    if way != "tasks":
        {"delivered": api.delivered, "status": api.status}[way]["a"] = body
    pages = api.reader(api.tasks, tasks_per_page=100).read(None)
    seen: list[str] = []
    with pytest.raises(ResultsNotReadyError) as caught:
        seen.extend(row["task_id"] for page in pages for row in page.records)
    assert caught.value.is_completed
    assert "a-1" not in seen
    assert ids(reader := api.reader(api.tasks, skip_unfinished=True)) == ["a-0", "a-2", *api.tasks["b"]]
    assert reader.counts.unfinished == 1
    assert "Workflow a has ended, but 1 task of it had not: left out." in caplog.text
    api.task_status.clear()
    assert sorted(ids(api.reader(api.tasks))) == [*api.tasks["a"], *api.tasks["b"]]


def test_what_was_read_before_a_task_that_still_runs_is_a_page() -> None:
    api = Cleanlist("a")
    api.task_status["a-1"] = "processing"
    pages = api.reader(api.tasks, tasks_per_page=100).read(None)
    page = next(pages)
    assert [row["task_id"] for row in page.records] == ["a-0"]
    with pytest.raises(ResultsNotReadyError):
        next(pages)
    api.task_status.clear()
    assert ids(api.reader(api.tasks), page.cursor) == ["a-1", "a-2"]


def test_running_results_of_a_completed_workflow_whose_tasks_are_not_known() -> None:
    api = Cleanlist("a")
    done, running, last = api.results("a")
    api.status["a"] = {"results": [done, {**running, "status": "processing"}, last]}
    with pytest.raises(ResultsNotReadyError):
        ids(api.reader())
    assert ids(reader := api.reader(skip_unfinished=True)) == ["a-0", "a-2"]
    assert reader.counts.unfinished == 1
    api.status["a"]["summary"] = {"total": 4}
    with pytest.raises(ResultsUnavailableError):
        ids(api.reader(skip_unfinished=True))


@pytest.mark.parametrize("word", ["", "not_found", "enriched"])
def test_a_task_of_a_completed_workflow_whose_word_is_unknown_has_ended(word: str) -> None:
    api = Cleanlist("a")
    api.task_status["a-1"] = word
    assert ids(api.reader(api.tasks)) == api.tasks["a"]


@pytest.mark.parametrize("skip_unfinished", [True, False])
def test_nobody_waits_for_tasks_that_a_failed_workflow_left_behind(
    skip_unfinished: bool, caplog: pytest.LogCaptureFixture
) -> None:
    api = Cleanlist("a")
    api.status["a"] = {"status": "failed"}
    api.task_status["a-1"] = "processing"
    assert ids(reader := api.reader(api.tasks, skip_unfinished=skip_unfinished)) == ["a-0", "a-2"]
    assert reader.counts.unfinished == 1
    assert "Workflow a has ended, but 1 task of it had not: left out." in caplog.text


# --- going on --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks_per_page", [1, 2, 500])
def test_every_cursor_leads_to_the_rest(tasks_per_page: int) -> None:
    api = Cleanlist("a", "b", "c")
    api.delivered["b"] = {"results": api.results("b")}
    everything = [task_id for tasks in api.tasks.values() for task_id in tasks]
    pages = list(api.reader(api.tasks, tasks_per_page=tasks_per_page).read(None))
    seen: list[str] = []
    for page in pages:
        seen += [row["task_id"] for row in page.records]
        assert (page.cursor is None) == (page is pages[-1])
        if page.cursor is not None:
            api.asked.clear()
            rest = ids(api.reader(api.tasks, tasks_per_page=tasks_per_page), page.cursor)
            assert seen + rest == everything
            assert not set(api.asked) & set(seen)
    assert seen == everything


@pytest.mark.parametrize("delivered", [2, 3])
def test_a_webhook_that_comes_between_two_tries_loses_nothing(delivered: int) -> None:
    api = Cleanlist("a")
    first = next(api.reader(api.tasks).read(None))
    api.delivered["a"] = {"results": api.results("a", delivered), "results_truncated": 3 - delivered}
    api.asked.clear()
    assert sorted(ids(api.reader(api.tasks), first.cursor)) == ["a-1", "a-2"]
    assert api.asked == (["a-2"] if delivered == 2 else [])


def test_what_was_read_before_an_error_is_a_page() -> None:
    api = Cleanlist("a")
    api.fails_at = "a-2"
    pages = api.reader(api.tasks, tasks_per_page=100).read(None)
    page = next(pages)
    assert [row["task_id"] for row in page.records] == ["a-0", "a-1"]
    with pytest.raises(ConnectionError):
        next(pages)
    api.fails_at = None
    assert ids(api.reader(api.tasks), page.cursor) == ["a-2"]


@pytest.mark.parametrize("other", [{"a": ["a-0"]}, {"a": ["a-0", "a-1", "a-3"]}, {}])
def test_a_cursor_of_other_tasks_is_refused(other: dict[str, list[str]]) -> None:
    api = Cleanlist("a")
    cursor = next(api.reader(api.tasks).read(None)).cursor
    with pytest.raises(CursorOfOtherResultsError):
        ids(api.reader(other), cursor)


def test_no_workflows() -> None:
    (page,) = Cleanlist().reader().read(None)
    assert (list(page.records), page.cursor) == ([], None)


def test_a_delivery_brings_no_results_of_another_workflow() -> None:
    """Who has the address of one batch sends a result of another one's task, under either workflow's name."""
    cleanlist = Cleanlist("w1", "w2")
    forged = {**TEO, "primary_email": "forged@evil.example"}
    cleanlist.delivered = {
        "w1": {
            "status": "completed",
            "results": [
                {**forged, "task_id": "w2-0", "workflow_id": "w2"},
                {**forged, "task_id": "w2-1"},
                *({**TEO, "task_id": task_id, "workflow_id": "w1"} for task_id in cleanlist.tasks["w1"]),
            ],
        },
        "w2": {"status": "completed", "results": cleanlist.results("w2")},
    }
    rows = [row for page in cleanlist.reader(cleanlist.tasks).read(None) for row in page.records]
    assert [(row["task_id"], row["workflow_id"]) for row in rows] == [
        (task_id, workflow_id) for workflow_id, tasks in cleanlist.tasks.items() for task_id in tasks
    ]
    assert "forged" not in str(rows)
    assert cleanlist.asked == ["w1"]


def test_a_delivered_result_whose_task_was_not_known_comes_from_the_api() -> None:
    cleanlist = Cleanlist("w1")
    cleanlist.delivered["w1"] = {"status": "completed", "results": cleanlist.results("w1")}
    cleanlist.status["w1"] = {"results": cleanlist.results("w1")}
    assert ids(cleanlist.reader({"w1": ["w1-0", "w1-1"]})) == cleanlist.tasks["w1"]
    assert cleanlist.asked == ["w1"]


def test_a_delivery_of_nothing_but_foreign_results_counts_as_none() -> None:
    cleanlist = Cleanlist("w1")
    cleanlist.delivered["w1"] = {
        "status": "completed",
        "results": [{**TEO, "task_id": "x", "workflow_id": "w2"}],
    }
    cleanlist.status["w1"] = {"results": cleanlist.results("w1")}
    assert ids(cleanlist.reader()) == cleanlist.tasks["w1"]
    assert cleanlist.asked == ["w1"]


def test_a_result_that_was_requested_by_its_task_is_kept_whatever_workflow_it_names() -> None:
    row = result_row(EnrichmentResult.parse({**TEO, "workflow_id": "child"}), "w", "t1")
    assert (row["task_id"], row["workflow_id"]) == ("t1", "w")
