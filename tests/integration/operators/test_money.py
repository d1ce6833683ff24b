"""BulkEnrichOperator against the sandbox: what is paid, refused, unknown and left out, and what is said about it."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, TaskDeferred

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistCreditLimitError,
    CleanlistDataError,
    CleanlistInsufficientCreditsError,
    CleanlistInvalidRequestError,
    CleanlistPermissionError,
    CleanlistRejectsFileError,
    CleanlistServerError,
    CleanlistSubmissionUnknownError,
    CleanlistWorkflowFailedError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.submission.journal import BatchRecorder
from airflow_provider_cleanlist.submission.submit import Submission

pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=1_000, seconds_to_complete=0),
]

SUBMIT = "enrich_bulk"
WAIT = {"wait_for_completion": True, "poll_interval": 1}


def people(count: int) -> list[dict[str, str]]:
    return [
        {"first_name": "Zofia", "last_name": f"Quxley{number}", "company_domain": "harborlight.example"}
        for number in range(count)
    ]


class TestMoney:
    def test_above_max_credits_nothing_is_sent(self, enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
        with pytest.raises(CleanlistCreditLimitError, match=r"10 contacts.*110 credits.*max_credits=100"):
            enrich(contacts=people(10), enrichment_type="full", max_credits=100)
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []

    def test_above_the_balance_nothing_is_sent(self, enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
        with pytest.raises(CleanlistCreditLimitError, match=r"1,100 credits.*balance is 1,000"):
            enrich(contacts=people(100), enrichment_type="full")
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []

    def test_a_changed_type_buys_the_missing_part_only(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        enrich(contacts=people(3), enrichment_type="partial")
        result = enrich(try_number=2, contacts=people(4), enrichment_type="full")
        assert result["submitted_as"] == {"partial": 3, "phone_only": 3, "full": 1}
        assert (result["contacts_submitted"], result["worst_case_credits"]) == (4, 44)
        assert len(result["workflow_ids"]) == 3
        for attempt, kind in enumerate(("full", "partial", "phone_only", "none"), start=3):
            again = enrich(try_number=attempt, contacts=people(4), enrichment_type=kind)
            assert again["submitted_as"] == result["submitted_as"]

    def test_max_credits_counts_earlier_tries(self, enrich: Any) -> None:
        enrich(contacts=people(5))
        with pytest.raises(CleanlistCreditLimitError, match=r"3 contacts.*what was submitted before up to 5"):
            enrich(try_number=2, contacts=people(8), max_credits=7)

    def test_credits_that_run_out_midway_keep_what_was_accepted(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        cleanlist_sandbox.faults.fail(SUBMIT, 402, skip=2)
        with pytest.raises(CleanlistInsufficientCreditsError, match="remaining 1 contact\\."):
            enrich(contacts=people(5), batch_size=2)
        result = enrich(try_number=2, contacts=people(5), batch_size=2)
        assert result["contacts_submitted"] == 5
        assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}

    @pytest.mark.parametrize("status", [500, 502, 504])
    def test_an_unknown_outcome_stops_and_says_so(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, status: int
    ) -> None:
        cleanlist_sandbox.faults.fail(SUBMIT, status, after=True)
        with pytest.raises(CleanlistSubmissionUnknownError) as caught:
            enrich(contacts=people(3), enrichment_type="full")
        text = str(caught.value)
        assert "3 contacts" in text
        assert "33 credits" in text
        assert all(word in text for word in ("'skip'", "'resubmit'", "force_resubmit"))
        with pytest.raises(CleanlistSubmissionUnknownError, match="an earlier attempt"):
            enrich(try_number=2, contacts=people(3), enrichment_type="full")
        assert len(cleanlist_sandbox.ledger.requests(endpoint=SUBMIT)) == 1

    def test_skip_leaves_unknown_contacts_out_and_goes_on(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        cleanlist_sandbox.faults.drop(SUBMIT, after=True)
        result = enrich(contacts=people(5), batch_size=2, on_unknown_submission="skip")
        assert result["contacts_submitted"] == 3
        assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}

    def test_resubmit_is_the_users_word_to_pay_twice(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        cleanlist_sandbox.faults.drop(SUBMIT, after=True)
        result = enrich(contacts=people(2), on_unknown_submission="resubmit")
        assert result["contacts_submitted"] == 2
        assert set(cleanlist_sandbox.ledger.times_submitted().values()) == {2}

    def test_resubmitting_ends(self, enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
        cleanlist_sandbox.faults.drop(SUBMIT, after=False, times=None)
        told = r"for the second time, .* if both requests were accepted, the cost is up to 4 credits\."
        with pytest.raises(CleanlistSubmissionUnknownError, match=told):
            enrich(contacts=people(2), on_unknown_submission="resubmit")
        assert len(cleanlist_sandbox.ledger.requests(endpoint=SUBMIT)) == 2

    def test_a_refused_contact_sinks_only_itself_when_skipping(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _accept_email_only(monkeypatch)
        rows = [*people(2), {"email": "x@harborlight.example"}, *people(4)[2:]]
        result = enrich(contacts=rows, on_invalid_contact="skip")
        assert result["contacts_submitted"] == 4
        assert result["invalid_contacts"] == 1

    def test_a_refused_contact_is_named_by_row(self, enrich: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        _accept_email_only(monkeypatch)
        with pytest.raises(CleanlistInvalidRequestError, match="Source rows: 3"):
            enrich(contacts=[*people(2), {"email": "x@harborlight.example"}])

    def test_a_refusal_that_names_no_contact_fails_clearly(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        cleanlist_sandbox.faults.fail(SUBMIT, 422)
        with pytest.raises(CleanlistInvalidRequestError, match="names no contact"):
            enrich(contacts=people(3), on_invalid_contact="skip")
        assert len(cleanlist_sandbox.ledger.requests(endpoint=SUBMIT)) == 1

    def test_missing_credits_say_what_the_balance_is_now(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Others spend what this task has seen in the balance."""
        organization = cleanlist_sandbox.state.accounts.organization
        real = Submission.submit

        def submit(self: Submission, pending: Any) -> Any:
            organization.credits = 4
            return real(self, pending)

        monkeypatch.setattr(Submission, "submit", submit)
        with pytest.raises(CleanlistInsufficientCreditsError, match="The balance is 4 credits now") as caught:
            enrich(contacts=people(9), batch_size=4, enrichment_type="full")
        assert "4 contacts costs up to 44, all that are left up to 99" in str(caught.value)

    @pytest.mark.parametrize(
        ("count", "warning"),
        [(2, "counts 2 contacts in workflow "), (5, ""), (None, ""), (7, "counts 7 contacts")],
    )
    def test_a_count_that_differs_from_what_was_sent_is_told(
        self,
        enrich: Any,
        logged: Callable[[], str],
        monkeypatch: pytest.MonkeyPatch,
        count: int | None,
        warning: str,
    ) -> None:
        real = BatchRecorder.accepted

        def accepted(self: BatchRecorder, answer: Any) -> None:
            real(self, answer.model_copy(update={"total_contacts": count}))

        monkeypatch.setattr(BatchRecorder, "accepted", accepted)
        assert enrich(contacts=people(5))["contacts_submitted"] == 5
        log = logged()
        assert (warning in log and "of 5 sent" in log) if warning else "Cleanlist counts" not in log

    def test_an_outage_is_retried_by_airflow_and_loses_nothing(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        cleanlist_sandbox.faults.fail(SUBMIT, 503, skip=1)
        with pytest.raises(CleanlistServerError, match="remaining 3 contacts") as caught:
            enrich(contacts=people(5), batch_size=2)
        assert not isinstance(caught.value, AirflowFailException)
        assert enrich(try_number=2, contacts=people(5), batch_size=2)["contacts_submitted"] == 5
        assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}

    @pytest.mark.parametrize(
        ("status", "body"), [(503, "html"), (503, "empty"), (408, "html"), (403, "html"), (307, "empty")]
    )
    def test_who_is_not_the_api_cannot_say_that_nothing_was_accepted(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, status: int, body: Any
    ) -> None:
        cleanlist_sandbox.faults.fail(SUBMIT, status, after=True, body=body, times=None)
        for attempt in (1, 2):
            with pytest.raises(CleanlistSubmissionUnknownError, match="not known"):
                enrich(try_number=attempt, contacts=people(3))
        assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}
        assert sum(cleanlist_sandbox.ledger.times_submitted().values()) == 3

    @pytest.mark.parametrize("empty", [None, "None", "", "  "])
    @pytest.mark.parametrize(
        "argument", ["max_credits", "enrichment_type", "ledger_conn_id", "cleanlist_conn_id"]
    )
    def test_what_decides_about_money_may_not_render_as_nothing(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, task_instance: Any, argument: str, empty: Any
    ) -> None:
        operator = BulkEnrichOperator(task_id="t", contacts=people(3), **{argument: "{{ params.nothing }}"})
        setattr(operator, argument, empty)  # as rendering does
        with pytest.raises(CleanlistConfigurationError, match=f"^{argument} is empty here: "):
            operator.execute(task_instance.context())
        assert cleanlist_sandbox.ledger.times_submitted() == {}
        assert enrich(contacts=people(3), max_credits=None)["contacts_submitted"] == 3

    @pytest.mark.parametrize(
        "item",
        [
            *(
                {name: None}
                for name in ("max_credits", "skip_submitted_within", "deduplicate", "estimate_only")
            ),
            *({"estimate_only": word} for word in ("False ?", "")),
        ],
    )
    def test_nothing_among_the_items_of_a_mapping_pays_nothing(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, task_instance: Any, item: dict[str, Any]
    ) -> None:
        with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
            mapped = BulkEnrichOperator.partial(task_id="t", sql="x").expand_kwargs([item])
        with pytest.raises(CleanlistConfigurationError, match=f"^{next(iter(item))} (is empty here|must be)"):
            mapped.unmap(item).execute(task_instance.context())
        assert cleanlist_sandbox.ledger.summary()["requests"] == 0

    @pytest.mark.parametrize("timeout", [1e12, 1e15, timedelta(days=4000)])
    def test_a_wait_that_never_ends_is_refused_before_anything_is_sent(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, timeout: Any
    ) -> None:
        with pytest.raises(CleanlistConfigurationError, match="timeout must be 0 seconds to 10 years"):
            enrich(contacts=people(3), timeout=timeout, wait_for_completion=True)
        assert cleanlist_sandbox.ledger.times_submitted() == {}

    def test_a_limit_that_a_cluster_policy_sets_counts(
        self, cleanlist_sandbox: SandboxServer, enrich: Any, task_instance: Any
    ) -> None:
        operator = BulkEnrichOperator(task_id="t", contacts=people(30))
        operator.max_credits = 10
        with pytest.raises(CleanlistCreditLimitError):
            operator.execute(task_instance.context())
        assert cleanlist_sandbox.ledger.times_submitted() == {}


class TestSpending:
    """What was found, and what it cost."""

    @pytest.mark.parametrize("kind", ["none", "partial", "phone_only", "full"])
    def test_the_credits_of_the_finds_are_those_of_the_ledger(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, kind: str
    ) -> None:
        result = enrich(contacts=people(30), batch_size=7, enrichment_type=kind, **WAIT)
        assert result["credits_spent"] == cleanlist_sandbox.ledger.credits_charged
        assert result["credits_spent"] <= result["worst_case_credits"]
        assert result["summary"]["workflows"] == result["batches"] == 5

    def test_outlets_and_log_learn_them(
        self,
        enrich: Any,
        task_instance: Any,
        logged: Callable[[], str],
        cleanlist_sandbox: SandboxServer,
    ) -> None:
        asset = Asset("contacts")
        task_instance.outlet_events[asset] = SimpleNamespace(extra={})
        result = enrich(contacts=people(30), outlets=[asset], **WAIT)
        spent = cleanlist_sandbox.ledger.credits_charged
        assert task_instance.outlet_events[asset].extra["cleanlist"]["credits_spent"] == spent > 0
        log = logged()
        assert f"{spent} of at most 30" in log
        assert f"balance went from 1,000 to {1000 - spent}" in log
        assert result["credits_spent"] == spent

    def test_a_later_try_counts_all_tries(self, enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
        enrich(contacts=people(10))
        result = enrich(try_number=2, contacts=people(20), **WAIT)
        assert result["credits_spent"] == cleanlist_sandbox.ledger.credits_charged

    def test_tries_that_asked_for_different_things_are_summed_up_by_what_each_costs(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        enrich(contacts=people(10))
        result = enrich(try_number=2, contacts=people(20), enrichment_type="full", **WAIT)
        assert result["credits_spent"] == cleanlist_sandbox.ledger.credits_charged > 0
        assert result["worst_case_credits"] == 10 + 100 + 110

    @pytest.mark.parametrize(("policy", "failing"), [("never", 2), ("all", 1)])
    def test_failed_workflows_need_not_fail_the_task(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, policy: str, failing: int
    ) -> None:
        cleanlist_sandbox.faults.end_workflows("failed", processed=0.5, times=failing)
        result = enrich(contacts=people(8), batch_size=4, failure_policy=policy, **WAIT)
        assert len(result["summary"]["failed_workflow_ids"]) == failing
        assert (len(result["workflow_ids"]), result["contacts_submitted"]) == (2, 8)

    @pytest.mark.parametrize(("policy", "failing"), [("any", 1), ("all", 2)])
    def test_failed_workflows_fail_the_task_as_it_says(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, policy: str, failing: int
    ) -> None:
        cleanlist_sandbox.faults.end_workflows("failed", times=failing)
        with pytest.raises(CleanlistWorkflowFailedError, match=f"{failing} of 2 workflows failed"):
            enrich(contacts=people(8), batch_size=4, failure_policy=policy, **WAIT)

    def test_an_invalid_policy_is_refused_before_anything_is_sent(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        with pytest.raises(
            CleanlistConfigurationError, match="failure_policy must be one of any, all, never"
        ):
            enrich(contacts=people(1), failure_policy="some", **WAIT)
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []

    def test_nothing_to_wait_for(self, enrich: Any) -> None:
        result = enrich(contacts=[], **WAIT)
        assert (result["credits_spent"], result["summary"]["workflows"]) == (0, 0)

    @pytest.mark.parametrize("deferrable", [True, False])
    def test_a_key_that_may_not_read_the_balance(
        self,
        enrich: Any,
        cleanlist_sandbox: SandboxServer,
        monkeypatch: pytest.MonkeyPatch,
        deferrable: bool,
    ) -> None:
        key = cleanlist_sandbox.state.accounts.add_key(scopes=("enrich:read", "enrich:write"))
        connection = json.loads(cleanlist_sandbox.connection_json()) | {"password": key.secret}
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
        arguments = {"contacts": people(3), "deferrable": deferrable, **WAIT}
        if not deferrable:
            assert enrich(**arguments)["credits_spent"] == cleanlist_sandbox.ledger.credits_charged
            return
        with pytest.raises(TaskDeferred) as caught:
            enrich(**arguments)
        assert caught.value.trigger.passthrough["balance_before"] is None

    def test_a_page_in_between_does_not_mean_that_the_balance_may_not_be_read(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        cleanlist_sandbox.faults.fail("credits_balance", 403, body="html")
        with pytest.raises(CleanlistPermissionError):
            enrich(contacts=people(3), **WAIT)
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []

    def test_a_deferred_task_accounts_for_it_when_it_resumes(
        self, enrich: Any, task_instance: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        with pytest.raises(TaskDeferred) as caught:
            enrich(contacts=people(30), batch_size=20, deferrable=True, **WAIT)
        event = asyncio.run(anext(caught.value.trigger.run())).payload
        operator = BulkEnrichOperator(task_id="t")
        result = operator.execute_complete(task_instance.context(), json.loads(json.dumps(event)))
        assert result["credits_spent"] == cleanlist_sandbox.ledger.credits_charged > 0
        assert (result["contacts_submitted"], result["summary"]["workflows"]) == (30, 2)


class TestRejects:
    def test_refused_here_and_by_cleanlist(
        self, enrich: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "rejects.csv"
        rows = [*people(2), {"email": "x@harborlight.example"}, {"first_name": "Ines"}]
        with monkeypatch.context() as patch:
            _accept_email_only(patch)
            enrich(contacts=rows[:3], on_invalid_contact="skip", rejects_path=str(path))
        assert [(row["row"], row["reason"], row["email"]) for row in rejected(path)] == [
            ("3", "refused_by_cleanlist", "x@harborlight.example")
        ]
        enrich(try_number=2, contacts=rows, on_invalid_contact="skip", rejects_path=str(path))
        assert [(row["row"], row["reason"]) for row in rejected(path)] == [
            ("3", "email_only"),
            ("4", "missing_name"),
        ]

    def test_unknown_contacts_when_the_task_stops_and_at_every_later_try(
        self, enrich: Any, tmp_path: Path, cleanlist_sandbox: SandboxServer
    ) -> None:
        path = tmp_path / "rejects.csv"
        cleanlist_sandbox.faults.drop(SUBMIT, after=True, skip=1)
        arguments = {"contacts": people(6), "batch_size": 2, "rejects_path": f"file://{path}"}
        for try_number in (1, 2):
            with pytest.raises(CleanlistSubmissionUnknownError):
                enrich(try_number=try_number, **arguments)
            assert [(row["last_name"], row["reason"]) for row in rejected(path)] == [
                ("Quxley2", "unknown_outcome"),
                ("Quxley3", "unknown_outcome"),
            ]
            path.unlink()
        result = enrich(try_number=3, on_unknown_submission="skip", **arguments)
        assert (result["unknown_contacts"], result["contacts_submitted"]) == (2, 4)
        assert [row["row"] for row in rejected(path)] == ["3", "4"]

    def test_rows_that_stop_the_task(
        self, enrich: Any, tmp_path: Path, cleanlist_sandbox: SandboxServer
    ) -> None:
        path = tmp_path / "rejects.csv"
        with pytest.raises(CleanlistDataError, match="1 of 2 rows"):
            enrich(contacts=[*people(1), {"email": "x@harborlight.example"}], rejects_path=str(path))
        assert [row["reason"] for row in rejected(path)] == ["email_only"]
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []

    def test_a_path_that_cannot_be_written_stops_before_the_first_request(
        self, enrich: Any, tmp_path: Path, cleanlist_sandbox: SandboxServer
    ) -> None:
        with pytest.raises(CleanlistRejectsFileError) as caught:
            enrich(contacts=people(1), rejects_path=str(tmp_path))
        assert not isinstance(caught.value, AirflowFailException)
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []

    def test_nothing_is_written_unless_asked_for(self, enrich: Any, tmp_path: Path) -> None:
        enrich(contacts=[*people(1), {"email": "x@y.example"}], on_invalid_contact="skip", rejects_path=None)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("argument", "source"),
        [("rejects_path", {"contacts": people(1)}), ("contacts_path", {}), ("sql", {"sql_conn_id": "x"})],
    )
    def test_a_path_or_query_that_rendered_as_nothing_is_named(
        self, enrich: Any, cleanlist_sandbox: SandboxServer, argument: str, source: dict[str, Any]
    ) -> None:
        with pytest.raises(CleanlistConfigurationError, match=f"^{argument} is empty here"):
            enrich(**source, **{argument: ""})
        assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []


def rejected(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _accept_email_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the local check pass what the API refuses, as if the API had become stricter."""
    monkeypatch.setattr("airflow_provider_cleanlist.contacts.reading.validate", lambda contact: None)
