"""Asking a person by Airflow: what is written where, and what is refused before anything is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.notifier import BaseNotifier
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.client.errors import ErrorInfo, SubmissionUnknownError
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistStateError,
    CleanlistSubmissionUnknownError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.operators.required_action import DecisionRequest, check_can_ask
from airflow_provider_cleanlist.submission.decision import BODY, OPTIONS, SUBJECT
from airflow_provider_cleanlist.submission.errors import UndecidedError

HITL = "airflow.sdk.execution_time.hitl"
TI_ID = "0199ba10-0000-7000-8000-000000000001"
UNDECIDED = UndecidedError(
    SubmissionUnknownError(
        ErrorInfo("submit", "HTTP 502", hint="Look.", decision="2 contacts may be billed.")
    ),
    {EnrichmentType.FULL: 2},
)
CONTEXT: Any = {"ti": SimpleNamespace(id=TI_ID)}


class Supervisor:
    """What Airflow's task runner talks to: it keeps the requests, or refuses them."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.error: Exception | None = None

    def send(self, msg: Any) -> None:
        if self.error is not None:
            raise self.error
        self.requests.append(msg)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    pytest.importorskip(HITL, reason="Airflow asks people since 3.1")
    supervisor = Supervisor()
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def ask(timeout: Any = None, notifiers: Any = (), users: Any = None) -> None:
    request = DecisionRequest.of(timeout, notifiers, users)
    operator = BulkEnrichOperator(task_id="t", contacts=[])
    request.ask(operator, CONTEXT, UNDECIDED, batches=(), balance=36.0)


def parked(timeout: timedelta | None = None, **arguments: Any) -> BaseException:
    """Return what parks the task."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # no Exception, so that nothing catches it
        ask(timeout, **arguments)
    return caught.value


class TestAsking:
    def test_the_question_is_always_the_same_and_holds_no_number(self, supervisor: Supervisor) -> None:
        parked()
        (question,) = supervisor.requests
        assert type(question).__name__ == "CreateHITLDetailPayload"
        assert (str(question.ti_id), question.subject, question.body) == (TI_ID, SUBJECT, BODY)
        assert (question.options, question.defaults, question.multiple, question.params) == (
            list(OPTIONS),
            None,
            False,
            {},
        )
        assert question.assigned_users == []

    def test_on_airflow_3_3_the_task_waits_without_a_triggerer(self, supervisor: Supervisor) -> None:
        exceptions = pytest.importorskip("airflow.sdk.exceptions")
        if not hasattr(exceptions, "TaskAwaitingInput"):
            pytest.skip("since Airflow 3.3")
        waiting = parked(timedelta(hours=8))
        assert isinstance(waiting, exceptions.TaskAwaitingInput)
        assert waiting.method_name == "execute_decided"
        assert waiting.timeout == timedelta(hours=8)
        assert parked().timeout is None  # type: ignore[attr-defined]

    def test_on_airflow_3_1_the_standard_provider_waits_and_answers_no_sooner_than_schedulers_bear(
        self, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("airflow.providers.standard.triggers.hitl")
        monkeypatch.delattr("airflow.sdk.exceptions.TaskAwaitingInput", raising=False)
        started = datetime.now(UTC)
        deferred = parked(timedelta(hours=8))
        assert isinstance(deferred, TaskDeferred)
        assert (deferred.method_name, deferred.timeout) == ("execute_decided", None)
        path, arguments = deferred.trigger.serialize()
        assert path == "airflow.providers.standard.triggers.hitl.HITLTrigger"
        assert (str(arguments["ti_id"]), arguments["options"], arguments["params"]) == (
            TI_ID,
            list(OPTIONS),
            {},
        )
        assert arguments["poke_interval"] == 10.0
        assert (
            timedelta(0)
            <= arguments["timeout_datetime"] - started - timedelta(hours=8)
            < timedelta(minutes=1)
        )

    @pytest.mark.parametrize(
        "users", ["7", ["7"], {"id": "7", "name": "7"}, [{"id": 7, "name": "7", "mail": "x"}]]
    )
    def test_who_may_answer(self, supervisor: Supervisor, users: Any) -> None:
        parked(users=users)
        (user,) = supervisor.requests[0].assigned_users
        assert (user.id, user.name) == ("7", "7")

    def test_a_question_that_airflow_refuses_is_asked_by_the_next_attempt(
        self, supervisor: Supervisor
    ) -> None:
        supervisor.error = RuntimeError("the API server is down")
        with pytest.raises(
            CleanlistStateError, match=r"\(RuntimeError\)\. Nothing was submitted again"
        ) as caught:
            ask()
        assert isinstance(caught.value, AirflowException)
        assert not isinstance(caught.value, AirflowFailException)

    @pytest.mark.parametrize("has_comms", [True, False])
    def test_dag_test_fails_by_name_and_leaves_no_question(
        self, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, has_comms: bool
    ) -> None:
        class InProcessSupervisorComms(Supervisor): ...

        comms = InProcessSupervisorComms()
        runner = "airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS"
        if has_comms:
            monkeypatch.setattr(runner, comms)
        else:
            monkeypatch.delattr(runner)
        with pytest.raises(CleanlistSubmissionUnknownError, match=r"dag\.test\(\).*Look\.") as caught:
            ask()
        assert str(caught.value).startswith("2 contacts may be billed.\n")
        assert comms.requests == supervisor.requests == []

    def test_airflows_own_in_process_supervisor_is_called_that(self) -> None:
        supervisor = pytest.importorskip("airflow.sdk.execution_time.supervisor")
        assert supervisor.InProcessSupervisorComms.__name__ == "InProcessSupervisorComms"


class TestNotifiers:
    def test_each_gets_the_error_before_the_question_is_open(self, supervisor: Supervisor) -> None:
        told: list[Any] = []

        def tell(context: Any) -> None:
            told.append((context["ti"].id, context["exception"], len(supervisor.requests)))

        parked(notifiers=[tell, tell])
        assert [(ti_id, open_questions) for ti_id, _, open_questions in told] == [(TI_ID, 0)] * 2
        error = told[0][1]
        assert isinstance(error, CleanlistSubmissionUnknownError)
        first, rest = str(error).split("\n")
        assert first == "2 contacts may be billed: decide in Airflow, Browse > Required Actions."
        assert "up to 22 credits" in rest
        assert "on_unknown_submission" not in rest
        parked(notifiers=tell)
        assert len(told) == 3
        assert "exception" not in CONTEXT

    def test_one_that_keeps_what_it_has_rendered_does_not_render_it_again(
        self, supervisor: Supervisor
    ) -> None:
        told: list[str] = []

        class Chat(BaseNotifier):
            template_fields = ("message",)

            def __init__(self) -> None:
                super().__init__()
                self.message = "{{ reason }}"

            def notify(self, context: Any) -> None:
                told.append(self.message)

        chat = Chat()
        context = {**CONTEXT, "reason": "{{ 7 * 191 }}"}
        for _ in range(2):
            request = DecisionRequest.of(None, chat, None)
            with pytest.raises(BaseException):  # noqa: B017, PT011  # what parks the task
                request.ask(BulkEnrichOperator(task_id="t"), context, UNDECIDED, batches=(), balance=None)
        assert told == ["{{ 7 * 191 }}"] * 2

    def test_one_that_fails_is_logged_and_the_question_is_asked(
        self, supervisor: Supervisor, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[Any] = []

        def fail(context: Any) -> None:
            raise OSError("no route to the mail server")

        parked(notifiers=(fail, told.append))
        assert len(told) == len(supervisor.requests) == 1
        printed = capsys.readouterr()
        assert "OSError: no route to the mail server" in printed.out + printed.err + caplog.text


class TestRefusedBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        "timeout", [timedelta(seconds=9), 600, "1h", timedelta(hours=-1), timedelta.max, timedelta(days=3651)]
    )
    def test_a_timeout_that_is_none(self, supervisor: Supervisor, timeout: Any) -> None:
        with pytest.raises(CleanlistConfigurationError, match="decision_timeout must be a timedelta"):
            DecisionRequest.of(timeout, (), None)

    @pytest.mark.parametrize(
        "notifiers", [["#alerts"], "#alerts", 5, True, {"a": 1}, [None], iter([print]), (print for _ in "a")]
    )
    def test_notifiers_that_cannot_be_called(self, supervisor: Supervisor, notifiers: Any) -> None:
        with pytest.raises(CleanlistConfigurationError, match="decision_notifiers must be a notifier"):
            DecisionRequest.of(None, notifiers, None)

    def test_notifiers_that_a_call_would_only_make(self, supervisor: Supervisor) -> None:
        class Mail:
            def __call__(self, context: Any) -> None: ...

        class Chat:
            async def __call__(self, context: Any) -> None: ...

        async def tell(context: Any) -> None: ...

        for notifiers, said in ((Mail, "class Mail"), ([tell], "function tell"), ([Chat()], "function Chat")):
            with pytest.raises(CleanlistConfigurationError, match=f"{said}.*: give"):
                DecisionRequest.of(None, notifiers, None)
        assert len(DecisionRequest.of(None, {Mail(), print}, None).notifiers) == 2
        assert DecisionRequest.of(None, None, None).notifiers == ()

    @pytest.mark.parametrize(
        "users",
        [
            *(
                [7],
                [{"id": "7"}],
                [{"name": "ann"}],
                [""],
                5,
                True,
                False,
                b"ann",
                {"id": "7"},
                iter(["ann"]),
            ),
            *("", (), [], {}, set()),
        ],
    )
    def test_users_that_are_none(self, supervisor: Supervisor, users: Any) -> None:
        with pytest.raises(CleanlistConfigurationError, match="decision_users"):
            DecisionRequest.of(None, (), users)

    def test_without_users_everybody_may_answer(self, supervisor: Supervisor) -> None:
        assert DecisionRequest.of(None, (), None).user_ids is None
        assert DecisionRequest.of(None, (), {"ann", "ben"}).user_ids == {"ann", "ben"}

    def test_below_airflow_3_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, HITL, None)
        with pytest.raises(CleanlistConfigurationError, match=r"Airflow 3\.1 or later.*'fail' instead"):
            check_can_ask()

    @pytest.mark.parametrize("is_installed", [True, False])
    def test_on_airflow_3_1_without_the_standard_providers_trigger(
        self, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, is_installed: bool
    ) -> None:
        monkeypatch.delattr("airflow.sdk.exceptions.TaskAwaitingInput", raising=False)
        too_old = ModuleType("hitl") if is_installed else None
        monkeypatch.setitem(sys.modules, "airflow.providers.standard.triggers.hitl", too_old)
        with pytest.raises(
            CleanlistConfigurationError, match=r"apache-airflow-providers-standard 1\.8\.0 or later"
        ):
            check_can_ask()

    def test_airflow_3_3_needs_no_trigger(
        self, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exceptions: Any = pytest.importorskip("airflow.sdk.exceptions")
        monkeypatch.setattr(exceptions, "TaskAwaitingInput", RuntimeError, raising=False)
        monkeypatch.setitem(sys.modules, "airflow.providers.standard.triggers.hitl", None)
        check_can_ask()

    def test_the_operator_checks_it_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def submit(*_: object) -> None:
            raise AssertionError("submitted")

        monkeypatch.setitem(sys.modules, HITL, None)
        monkeypatch.setattr(BulkEnrichOperator, "_submit", submit)
        operator = BulkEnrichOperator(task_id="t", contacts=[], on_unknown_submission="ask")
        execute: Callable[..., Any] = operator.execute
        with pytest.raises(CleanlistConfigurationError, match=r"3\.1 or later"):
            execute(CONTEXT)
