"""``on_unknown_submission="ask"`` against the sandbox: asked once, answered, resumed in the same attempt, paid once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistCreditLimitError,
    CleanlistStateError,
    CleanlistSubmissionUnknownError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytest.importorskip("airflow.sdk.execution_time.hitl", reason="Airflow asks people since 3.1")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=1_000, seconds_to_complete=0),
]

SUBMIT = "enrich_bulk"
SKIP, RESUBMIT, STOP = "Skip these contacts", "Submit them again (may be billed twice)", "Stop"
LATE = {"error": "The response timeout has passed.", "error_type": "timeout"}


def people(count: int) -> list[dict[str, str]]:
    return [
        {"first_name": "Zofia", "last_name": f"Quxley{number}", "company_domain": "harborlight.example"}
        for number in range(count)
    ]


def answer(option: str, **changes: Any) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_by_user": {"id": "7", "name": "ann"},
        "responded_at": datetime.now(UTC),
        "timedout": False,
    } | changes


class Supervisor:
    """What Airflow's task runner talks to: it takes questions."""

    def __init__(self) -> None:
        self.questions = 0

    def send(self, msg: Any) -> None:
        assert type(msg).__name__ == "CreateHITLDetailPayload"
        self.questions += 1


class Run:
    """A task that submits six contacts in three batches and gets no answer for the second."""

    def __init__(self, task: Any, supervisor: Supervisor, **arguments: Any) -> None:
        self.task = task
        self.supervisor = supervisor
        self.arguments: dict[str, Any] = {
            "contacts": people(6),
            "batch_size": 2,
            "on_unknown_submission": "ask",
            **arguments,
        }
        self.context: dict[str, Any] = {}
        self.map_index = -1

    def operator(self, **arguments: Any) -> BulkEnrichOperator:
        return BulkEnrichOperator(task_id="t", **self.arguments | arguments)

    def start(self, try_number: int = 1, **arguments: Any) -> Any:
        self.context = self.task.context(try_number=try_number)
        self.context["ti"].id = "0199ba10-0000-7000-8000-000000000001"
        self.context["ti"].map_index = self.map_index
        return self.operator(**arguments).execute(self.context)  # type: ignore[arg-type]

    def resume(self, event: Any, **arguments: Any) -> Any:
        return self.operator(**arguments).execute_decided(self.context, event)  # type: ignore[arg-type]

    def asks(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Take a step that ends with the question."""
        before = self.supervisor.questions
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # no Exception, so that nothing catches it
            step(*arguments, **options)
        assert type(caught.value).__name__ in ("TaskAwaitingInput", "TaskDeferred"), caught.value
        assert self.supervisor.questions == before + 1


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture(params=["task state", "directory", "ledger"])
def run(
    request: pytest.FixtureRequest,
    cleanlist_sandbox: SandboxServer,
    connect: Callable[..., None],
    task_instance: Any,
    supervisor: Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Run:
    connect(cleanlist_sandbox)
    if request.param == "directory":
        monkeypatch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", str(tmp_path))
    if request.param == "ledger":
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
        monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "ledger")
    cleanlist_sandbox.faults.drop(SUBMIT, after=True, skip=1)
    return Run(task_instance, supervisor)


def times_submitted(sandbox: SandboxServer) -> list[int]:
    return sorted(sandbox.ledger.times_submitted().values())


class TestAnswers:
    def test_skip(self, run: Run, cleanlist_sandbox: SandboxServer, logged: Callable[[], str]) -> None:
        run.asks(run.start)
        assert "the cost is up to 2 credits" in logged()
        result = run.resume(answer(SKIP))
        assert (result["contacts_submitted"], result["unknown_contacts"]) == (4, 2)
        assert times_submitted(cleanlist_sandbox) == [1] * 6
        assert "ann has decided at" in logged()

    def test_resubmit_is_somebodys_word_to_pay_twice(
        self, run: Run, cleanlist_sandbox: SandboxServer
    ) -> None:
        run.asks(run.start)
        result = run.resume(answer(RESUBMIT))
        assert (result["contacts_submitted"], result["unknown_contacts"]) == (6, 0)
        assert times_submitted(cleanlist_sandbox) == [1, 1, 1, 1, 2, 2]

    def test_stop_fails_at_once_and_after_a_clear(self, run: Run, cleanlist_sandbox: SandboxServer) -> None:
        run.asks(run.start)
        for step in (lambda: run.resume(answer(STOP)), lambda: run.start(2)):
            with pytest.raises(CleanlistSubmissionUnknownError, match="ann has decided to stop"):
                step()
        assert run.supervisor.questions == 1
        assert len(cleanlist_sandbox.ledger.requests(endpoint=SUBMIT)) == 2

    def test_nobody_in_time_fails_and_a_clear_asks_again(
        self, run: Run, cleanlist_sandbox: SandboxServer
    ) -> None:
        run.asks(run.start)
        with pytest.raises(CleanlistSubmissionUnknownError, match="2 contacts may be billed") as caught:
            run.resume(LATE)
        assert "clear the task as it is to be asked again" in str(caught.value)
        run.asks(run.start, 2)
        assert run.resume(answer(SKIP))["contacts_submitted"] == 4
        assert times_submitted(cleanlist_sandbox) == [1] * 6

    @pytest.mark.parametrize(
        "event",
        [answer("Pay for everybody"), answer(SKIP, params_input={"credits": 1}), None, {"status": "x"}],
    )
    def test_an_event_that_is_no_answer_asks_again(
        self, run: Run, cleanlist_sandbox: SandboxServer, event: Any
    ) -> None:
        run.asks(run.start)
        run.asks(run.resume, event)
        assert len(cleanlist_sandbox.ledger.requests(endpoint=SUBMIT)) == 2


class TestLaterAttempts:
    def test_a_retry_after_the_answer_does_not_ask(self, run: Run, cleanlist_sandbox: SandboxServer) -> None:
        run.asks(run.start)
        cleanlist_sandbox.faults.fail(SUBMIT, 503, times=None)
        with pytest.raises(Exception, match="remaining 2 contacts"):
            run.resume(answer(SKIP))
        cleanlist_sandbox.faults.clear()
        result = run.start(2)
        assert (result["contacts_submitted"], result["unknown_contacts"]) == (4, 2)
        assert run.supervisor.questions == 1
        assert times_submitted(cleanlist_sandbox) == [1] * 6

    def test_cleared_while_waiting_it_asks_again(self, run: Run, cleanlist_sandbox: SandboxServer) -> None:
        run.asks(run.start)
        run.asks(run.start, 2)
        assert run.resume(answer(SKIP))["contacts_submitted"] == 4
        assert times_submitted(cleanlist_sandbox) == [1] * 6

    def test_a_second_unknown_batch_asks_anew(self, run: Run, cleanlist_sandbox: SandboxServer) -> None:
        run.asks(run.start)
        cleanlist_sandbox.faults.drop(SUBMIT, after=True)
        run.asks(run.resume, answer(SKIP))
        result = run.resume(answer(RESUBMIT))
        assert (result["contacts_submitted"], result["unknown_contacts"]) == (4, 2)
        assert times_submitted(cleanlist_sandbox) == [1, 1, 1, 1, 2, 2]

    def test_the_dag_may_decide_while_the_question_is_open(
        self, run: Run, cleanlist_sandbox: SandboxServer
    ) -> None:
        run.asks(run.start)
        result = run.start(2, on_unknown_submission="skip")
        assert (result["contacts_submitted"], result["unknown_contacts"]) == (4, 2)
        assert times_submitted(cleanlist_sandbox) == [1] * 6


class TestWaiting:
    def test_it_waits_for_workflows_after_the_answer(self, run: Run) -> None:
        arguments = {"wait_for_completion": True, "poll_interval": 1}
        run.asks(run.start, **arguments)
        assert run.resume(answer(SKIP), **arguments)["summary"]["completed"] == 2

    def test_an_answer_that_arrives_while_it_waits_for_workflows_is_no_result(self, run: Run) -> None:
        operator = run.operator(wait_for_completion=True, deferrable=True)
        with pytest.raises(CleanlistStateError, match="A person's answer came while"):
            operator.execute_complete({}, answer(SKIP))  # type: ignore[arg-type]
        with pytest.raises(CleanlistStateError, match="cannot be read"):
            operator.execute_complete({}, {"status": "finished"})  # type: ignore[arg-type]


def test_a_journal_that_vanished_during_the_wait_buys_nothing(
    enrich: Any, task_instance: Any, supervisor: Supervisor, cleanlist_sandbox: SandboxServer
) -> None:
    cleanlist_sandbox.faults.drop(SUBMIT, after=True, skip=1)
    run = Run(task_instance, supervisor)
    run.asks(run.start)
    task_instance.state.values.clear()
    for event in (answer(SKIP), LATE, None):
        with pytest.raises(CleanlistConfigurationError, match="has asked a person"):
            run.resume(event)
    assert len(cleanlist_sandbox.ledger.requests(endpoint=SUBMIT)) == 2


def test_an_answer_of_somebody_whom_the_dag_does_not_name_decides_nothing(
    run: Run, cleanlist_sandbox: SandboxServer, logged: Callable[[], str]
) -> None:
    """Airflow keeps the users of a question that is there, whatever the DAG has come to say."""
    run.asks(run.start)
    run.asks(run.resume, answer(RESUBMIT), decision_users=["ben"])
    assert "the id '7', whom decision_users does not name" in logged()
    assert times_submitted(cleanlist_sandbox) == [1] * 4
    run.resume(answer(RESUBMIT), decision_users=["7"])
    assert times_submitted(cleanlist_sandbox) == [1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("run", ["directory", "ledger"], indirect=True)
@pytest.mark.parametrize(("option", "left_out"), [(SKIP, 2), (RESUBMIT, 0)])
def test_a_map_index_that_meets_another_ones_open_question_says_where_to_answer(
    run: Run, option: str, left_out: int, cleanlist_sandbox: SandboxServer
) -> None:
    run.map_index = 0
    other = Run(type(run.task)(), run.supervisor, contacts=people(8)[2:4] + people(8)[6:])
    other.map_index = 1
    run.asks(run.start)
    with pytest.raises(CleanlistSubmissionUnknownError) as caught:
        other.start()
    first, rest = str(caught.value).split("\n")
    assert (
        first == "2 contacts may be billed: answer the question of the other map index, then clear this one."
    )
    assert "an earlier attempt of this task" not in rest
    assert len(times_submitted(cleanlist_sandbox)) == 4
    run.resume(answer(option))
    result = other.start(2)
    assert (result["contacts_submitted"], result["unknown_contacts"]) == (2, left_out)
    assert times_submitted(cleanlist_sandbox) == ([1] * 8 if left_out else [1] * 6 + [2] * 2)


def test_a_limit_without_room_for_submitting_again_is_named_before_the_question_and_keeps_the_answer(
    run: Run, cleanlist_sandbox: SandboxServer, logged: Callable[[], str]
) -> None:
    run.asks(run.start, max_credits=6)
    assert "max_credits must be at least 8" in logged()
    with pytest.raises(CleanlistCreditLimitError, match="Raise max_credits to 8 and clear the task"):
        run.resume(answer(RESUBMIT), max_credits=6)
    assert times_submitted(cleanlist_sandbox) == [1] * 4
    assert run.start(try_number=2, max_credits=8)["contacts_submitted"] == 6
    assert times_submitted(cleanlist_sandbox) == [1, 1, 1, 1, 2, 2]


def test_a_limit_with_room_is_not_mentioned(run: Run, logged: Callable[[], str]) -> None:
    run.asks(run.start, max_credits=8)
    assert "max_credits" not in logged()
    assert run.resume(answer(RESUBMIT), max_credits=8)["contacts_submitted"] == 6


def test_without_a_lasting_journal_it_is_refused(enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
    with pytest.raises(CleanlistConfigurationError, match=r"ledger_conn_id.*journal_path"):
        enrich(contacts=people(2), on_unknown_submission="ask", has_state_store=False)
    assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []


def test_nothing_unknown_nothing_asked(enrich: Any, supervisor: Supervisor) -> None:
    result = enrich(
        contacts=people(2),
        on_unknown_submission="ask",
        decision_timeout=timedelta(hours=8),
        decision_users=["ann"],
    )
    assert (result["contacts_submitted"], supervisor.questions) == (2, 0)
