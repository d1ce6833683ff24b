"""The loop around journal and API: what is written when, what is said about the money, and how it is stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.client.responses import BulkEnrichment
from airflow_provider_cleanlist.client.transport import SendObserver
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.contacts.reading import PendingContacts, UsableRow
from airflow_provider_cleanlist.exceptions import CleanlistCreditLimitError, CleanlistStoppedError
from airflow_provider_cleanlist.submission.errors import (
    JournalTakenOverError,
    JournalUnavailableError,
    UndecidedError,
)
from airflow_provider_cleanlist.submission.history import OnUnknown, PersonDecision
from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.options import OnInvalid, SubmissionOptions
from airflow_provider_cleanlist.submission.report import SubmissionReport
from airflow_provider_cleanlist.submission.stored.journal import StoredJournal
from airflow_provider_cleanlist.submission.submit import Submission

UNKNOWN = errors.SubmissionUnknownError(errors.ErrorInfo("submit", "the answer did not come in time"))
NO_CREDITS = errors.InsufficientCreditsError(errors.ErrorInfo("submit", "Insufficient credits", status=402))
UNAVAILABLE = errors.ServerError(errors.ErrorInfo("submit", "Down for maintenance", status=503))


def refusal(*indexes: int | None) -> errors.InvalidRequestError:
    found = tuple(errors.FieldError(("body",), "refused", index) for index in indexes)
    return errors.InvalidRequestError(errors.ErrorInfo("submit", "refused", status=422, field_errors=found))


class Store:
    """A store whose writes can fail by the state they write."""

    others: ClassVar[dict[str, int]] = {}
    sees_all_indexes = True

    def __init__(self) -> None:
        self.parts = ["try1"]
        self.texts: dict[str, str] = {}
        self.failing: dict[str, Exception] = {}

    def read(self, key: str) -> Any:
        text = self.texts.get(key)
        return None if text is None else json.loads(text)

    def write(self, key: str, value: dict[str, Any]) -> None:
        if error := self.failing.get(value.get("state", "header")):
            raise error
        self.texts[key] = json.dumps(value)

    def check_ownership(self) -> None: ...

    def batches(self) -> list[Batch]:
        journal = StoredJournal(self)
        journal.load()
        return list(journal.batches)

    def states(self) -> list[BatchState]:
        return [batch.state for batch in self.batches()]


class Log:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, /, *args: Any) -> None:
        self.lines.append(event % args)

    warning = error = info


class Api:
    """Answers each request by the next step of a script, then accepts; remembers what it was sent."""

    def __init__(self, *steps: Exception | Callable[[SendObserver], None]) -> None:
        self.steps = list(steps)
        self.sent: list[list[str]] = []
        self.accepted: list[list[str]] = []
        self.workflow_id = ""

    def __call__(
        self,
        contacts: Sequence[Contact],
        enrichment_type: EnrichmentType,
        webhook_url: str | None,
        observer: SendObserver,
    ) -> BulkEnrichment:
        observer.sending()
        names = [contact.last_name or "" for contact in contacts]
        self.sent.append(names)
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            step(observer)
        self.accepted.append(names)
        return BulkEnrichment(
            workflow_id=self.workflow_id or f"wf-{names[0]}", task_ids=["t"] * len(contacts)
        )


class Rejected:
    """Takes what is left out."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str]] = []

    def add(self, row: int, reason: str, values: object) -> None:
        self.rows.append((row, reason))


class Bench:
    """A submission with everything around it."""

    def __init__(
        self, api: Api, store: Store | None = None, clock: Callable[[], float] = lambda: 0.0, **plan: Any
    ) -> None:
        self.api = api
        self.store = store or Store()
        self.log = Log()
        self.rejected = Rejected()
        self.balance: float | None = 36.0
        self.balance_reads = 0
        self.plan = SubmissionOptions(**{"batch_size": 2, **plan})
        journal = StoredJournal(self.store, sleep=lambda _: None)
        journal.load()
        self.submission = Submission(
            self.plan,
            journal,
            api,
            self.log,
            balance=self._read_balance,
            rejects=self.rejected,  # type: ignore[arg-type]  # only its add is used
            clock=clock,
        )

    def _read_balance(self) -> float | None:
        self.balance_reads += 1
        return self.balance

    def run(self, contacts: int) -> SubmissionReport:
        with PendingContacts() as pending:
            self.submission._sort_out(iter(people(contacts)), pending)
            return self.submission.submit(pending)


def people(count: int) -> list[UsableRow]:
    return [
        UsableRow(
            row,
            Contact(first_name="Zofia", last_name=f"Q{row}"),
            row.to_bytes(8, "big").ljust(IDENTITY_BYTES),
        )
        for row in range(1, count + 1)
    ]


def test_batches_are_accepted_and_reported() -> None:
    bench = Bench(Api())
    report = bench.run(5)
    assert bench.api.sent == [["Q1", "Q2"], ["Q3", "Q4"], ["Q5"]]
    assert (report.workflow_ids, report.contacts_submitted, report.worst_case_credits) == (
        ["wf-Q1", "wf-Q3", "wf-Q5"],
        5,
        5,
    )
    assert report.submitted_as == {"partial": 5}
    assert bench.store.states() == [BatchState.ACCEPTED] * 3


def test_a_later_try_submits_only_the_rest() -> None:
    store = Store()
    first = Bench(Api(), store)
    first.run(2)
    second = Bench(Api(), store)
    report = second.run(4)
    assert second.api.sent == [["Q3", "Q4"]]
    assert (report.contacts_submitted, report.tallies.submitted_earlier) == (4, 2)


def test_a_response_that_names_the_workflow_of_another_batch_is_not_about_this_one() -> None:
    """A cache or a replay in between gives the answer of an earlier request."""
    bench = Bench(Api(), Store())
    bench.run(2)
    again = Bench(Api(), bench.store)
    again.api.workflow_id = "wf-Q1"
    with pytest.raises(
        errors.SubmissionUnknownError, match="names workflow wf-Q1, which another batch became"
    ):
        again.run(6)
    assert again.api.sent == [["Q3", "Q4"]]
    assert again.store.states() == [BatchState.ACCEPTED, BatchState.UNKNOWN]


class TestRefusals:
    def test_a_refusal_that_ends_the_task_is_recorded_and_says_what_is_left(self) -> None:
        bench = Bench(Api(lambda _: None, UNAVAILABLE))
        with pytest.raises(errors.ServerError, match="remaining 3 contacts"):
            bench.run(5)
        assert bench.store.states() == [BatchState.ACCEPTED, BatchState.REJECTED]
        assert bench.balance_reads == 0

    @pytest.mark.parametrize("balance", [36.0, None])
    def test_missing_credits_are_looked_up_again(self, balance: float | None) -> None:
        bench = Bench(Api(NO_CREDITS), enrichment_type=EnrichmentType.FULL)
        bench.balance = balance
        with pytest.raises(errors.InsufficientCreditsError) as caught:
            bench.run(5)
        assert bench.balance_reads == 1
        assert ("The balance is 36 credits now" in str(caught.value)) is (balance is not None)

    def test_refused_contacts_are_left_out_when_skipping(self) -> None:
        bench = Bench(Api(refusal(1)), batch_size=3, on_invalid=OnInvalid.SKIP)
        report = bench.run(3)
        assert bench.api.sent == [["Q1", "Q2", "Q3"], ["Q1", "Q3"]]
        assert report.tallies.refused_rows == [2]
        assert bench.rejected.rows == [(2, "refused_by_cleanlist")]
        assert bench.store.states() == [BatchState.REJECTED, BatchState.ACCEPTED]

    def test_refused_contacts_stop_the_task_otherwise(self) -> None:
        bench = Bench(Api(refusal(0, 1)))
        with pytest.raises(errors.InvalidRequestError, match="Source rows: 1, 2"):
            bench.run(2)
        assert bench.rejected.rows == [(1, "refused_by_cleanlist"), (2, "refused_by_cleanlist")]

    def test_a_batch_may_be_refused_to_the_last_contact(self) -> None:
        bench = Bench(Api(refusal(0), refusal(0)), on_invalid=OnInvalid.SKIP)
        assert bench.run(3).contacts_submitted == 1

    @pytest.mark.parametrize("indexes", [(), (None,), (7,)])
    def test_a_refusal_that_names_no_contact_fails_clearly(self, indexes: tuple[int | None, ...]) -> None:
        bench = Bench(Api(refusal(*indexes)), on_invalid=OnInvalid.SKIP)
        with pytest.raises(errors.InvalidRequestError, match="names no contact"):
            bench.run(2)
        assert len(bench.api.sent) == 1


class TestUnknownOutcomes:
    def test_stop_the_task(self) -> None:
        bench = Bench(Api(UNKNOWN))
        with pytest.raises(errors.SubmissionUnknownError, match="2 contacts"):
            bench.run(5)
        assert bench.store.states() == [BatchState.UNKNOWN]
        assert bench.rejected.rows == [(1, "unknown_outcome"), (2, "unknown_outcome")]
        with pytest.raises(errors.SubmissionUnknownError, match="an earlier attempt"):
            Bench(Api(), bench.store).submission._check_unknown()

    def test_are_skipped_at_the_users_word_and_stay_part_of_the_worst_case(self) -> None:
        bench = Bench(Api(UNKNOWN), on_unknown=OnUnknown.SKIP)
        report = bench.run(5)
        assert (report.contacts_submitted, report.tallies.unknown, report.worst_case_credits) == (3, 2, 5)
        later = Bench(Api(), bench.store, on_unknown=OnUnknown.SKIP)
        assert later.run(5).tallies.unknown == 2
        assert later.api.sent == []
        assert later.rejected.rows == [(1, "unknown_outcome"), (2, "unknown_outcome")]

    def test_are_submitted_again_at_the_users_word(self) -> None:
        bench = Bench(Api(UNKNOWN), on_unknown=OnUnknown.RESUBMIT)
        report = bench.run(2)
        assert (report.contacts_submitted, report.tallies.unknown, report.worst_case_credits) == (2, 0, 4)
        assert any("may be billed twice" in line for line in bench.log.lines)

    def test_are_not_submitted_again_above_the_credit_limit(self) -> None:
        bench = Bench(Api(UNKNOWN), on_unknown=OnUnknown.RESUBMIT, max_credits=5)
        with pytest.raises(CleanlistCreditLimitError, match=r"Did not submit 4 contacts.*before up to 2"):
            bench.run(4)
        assert len(bench.api.sent) == 1


class TestTheRecordCannotBeWritten:
    @pytest.mark.parametrize("error", [JournalUnavailableError("away"), JournalTakenOverError("taken over")])
    def test_an_intent(self, error: Exception) -> None:
        bench = Bench(Api())
        bench.store.failing["intent"] = error
        with pytest.raises(type(error)):
            bench.run(2)
        assert bench.api.sent == []

    @pytest.mark.parametrize("error", [JournalUnavailableError("away"), JournalTakenOverError("taken over")])
    def test_an_acceptance_is_named_in_error_and_log(self, error: Exception) -> None:
        bench = Bench(Api())
        bench.store.failing["accepted"] = error
        with pytest.raises(type(error), match="accepted 2 contacts as workflow wf-Q1"):
            bench.run(4)
        assert any("accepted 2 contacts as workflow wf-Q1" in line for line in bench.log.lines)
        assert bench.store.states() == [BatchState.INTENT]
        assert len(bench.api.sent) == 1

    def test_a_refusal_is_raised_all_the_same(self) -> None:
        bench = Bench(Api(NO_CREDITS))
        bench.store.failing["rejected"] = JournalUnavailableError("away")
        with pytest.raises(errors.InsufficientCreditsError):
            bench.run(2)
        assert any("did not accept 2 contacts" in line and "safe" in line for line in bench.log.lines)

    def test_an_unknown_outcome_is_raised_all_the_same_and_stays_unknown(self) -> None:
        bench = Bench(Api(UNKNOWN))
        bench.store.failing["unknown"] = JournalUnavailableError("away")
        with pytest.raises(errors.SubmissionUnknownError):
            bench.run(2)
        assert [batch.is_unknown for batch in bench.store.batches()] == [True]


class TestStopping:
    def test_nothing_leaves_after_it(self) -> None:
        api = Api()
        bench = Bench(api)
        api.steps = [lambda _: bench.submission.stop()]
        with pytest.raises(CleanlistStoppedError, match="remaining 3 contacts"):
            bench.run(5)
        assert bench.store.states() == [BatchState.ACCEPTED]
        assert bench.api.sent == [["Q1", "Q2"]]

    def test_a_request_that_waits_for_another_sending_is_given_up(self) -> None:
        def refused_for_now(observer: SendObserver) -> None:
            observer.not_accepted()
            bench.submission.stop()
            observer.sending()

        bench = Bench(Api(refused_for_now))
        with pytest.raises(CleanlistStoppedError):
            bench.run(2)
        assert bench.store.states() == [BatchState.REJECTED]


class Interrupted(BaseException):
    """What Airflow raises at an execution timeout."""


class TestInterrupts:
    @pytest.fixture(autouse=True)
    def _interrupting(self) -> Any:
        def interrupt(*_: object) -> None:
            raise Interrupted

        previous = signal.signal(signal.SIGALRM, interrupt)
        yield
        signal.signal(signal.SIGALRM, previous)

    def test_a_timeout_on_the_way_waits_until_the_answer_is_written(self) -> None:
        bench = Bench(Api(lambda _: signal.raise_signal(signal.SIGALRM)))
        with pytest.raises(Interrupted):
            bench.run(4)
        assert bench.store.states() == [BatchState.ACCEPTED]

    def test_a_timeout_between_two_sendings_is_not_held_back(self) -> None:
        def refused_for_now(observer: SendObserver) -> None:
            observer.not_accepted()
            signal.raise_signal(signal.SIGALRM)

        bench = Bench(Api(refused_for_now))
        with pytest.raises(Interrupted):
            bench.run(2)
        assert bench.store.states() == [BatchState.REJECTED]

    @pytest.mark.parametrize("failure", [UNKNOWN, NO_CREDITS, refusal(0), OSError("disk")])
    def test_signals_arrive_again_after_every_end(self, failure: Exception) -> None:
        with pytest.raises(type(failure)):
            Bench(Api(failure)).run(2)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGALRM)


def test_progress_is_logged_now_and_then() -> None:
    now = iter(range(0, 10_000, 20))
    bench = Bench(Api(), clock=lambda: float(next(now)))
    bench.run(6)
    lines = [line for line in bench.log.lines if line.startswith("Submitted ")]
    assert lines
    assert "of 6 contacts" in lines[0]
    assert "a minute" in lines[0]


def test_a_setting_that_keeps_a_request_from_leaving_leaves_nothing_unknown() -> None:
    def never_left(observer: SendObserver) -> None:
        observer.not_accepted()
        raise errors.ConfigurationError("the environment variable REQUESTS_CA_BUNDLE names nothing")

    store = Store()
    with pytest.raises(errors.ConfigurationError, match="REQUESTS_CA_BUNDLE"):
        Bench(Api(never_left), store).run(2)
    again = Bench(Api(), store)
    assert again.submission._journal.unknown_contacts == 0
    assert len(again.run(2).batches) == 1


class TestAskingAPerson:
    """``on_unknown_submission="ask"``, up to the question and after the answer."""

    def asked(self) -> Store:
        """Return what a task has left that submits six contacts and has to ask about the second batch."""
        bench = Bench(Api(lambda _: None, UNKNOWN), on_unknown=OnUnknown.ASK)
        with pytest.raises(UndecidedError) as caught:
            bench.run(6)
        assert caught.value.contacts == {EnrichmentType.PARTIAL: 2}
        assert isinstance(caught.value.error, errors.SubmissionUnknownError)
        assert [batch.size for batch in bench.submission.undecided_batches] == [2]
        assert bench.rejected.rows == [(3, "unknown_outcome"), (4, "unknown_outcome")]
        return bench.store

    def decided(self, store: Store, decision: PersonDecision) -> Store:
        journal = StoredJournal(store)
        journal.load()
        assert journal.record_decision(decision, "ann", 0.0) == 1
        return store

    def test_without_an_answer_each_attempt_asks_and_sends_nothing(self) -> None:
        bench = Bench(Api(), self.asked(), on_unknown=OnUnknown.ASK)
        with pytest.raises(UndecidedError):
            bench.submission._check_unknown()
        assert bench.api.sent == []

    @pytest.mark.parametrize(
        ("decision", "sent"),
        [
            (PersonDecision.SKIP, [["Q5", "Q6"]]),
            (PersonDecision.RESUBMIT, [["Q3", "Q4"], ["Q5", "Q6"]]),
        ],
    )
    @pytest.mark.parametrize("word", [OnUnknown.ASK, OnUnknown.FAIL])
    def test_an_answer_is_followed_and_not_asked_for_again(
        self, decision: PersonDecision, sent: list[list[str]], word: OnUnknown
    ) -> None:
        bench = Bench(Api(), self.decided(self.asked(), decision), on_unknown=word)
        bench.submission._check_unknown()
        report = bench.run(6)
        bench.submission._check_unknown()
        assert bench.api.sent == sent
        assert report.tallies.unknown == (2 if decision is PersonDecision.SKIP else 0)

    def test_the_answer_stop_fails_the_task_and_says_whose_it_is(self) -> None:
        bench = Bench(Api(), self.decided(self.asked(), PersonDecision.STOP), on_unknown=OnUnknown.ASK)
        with pytest.raises(errors.SubmissionUnknownError, match="ann has decided to stop"):
            bench.submission._check_unknown()

    def test_contacts_that_get_lost_again_are_asked_about_again(self) -> None:
        store = self.decided(self.asked(), PersonDecision.RESUBMIT)
        with pytest.raises(UndecidedError):
            Bench(Api(UNKNOWN), store, on_unknown=OnUnknown.ASK).run(6)
        again = Bench(Api(), store, on_unknown=OnUnknown.ASK)
        with pytest.raises(UndecidedError):
            again.submission._check_unknown()
        assert again.api.sent == []

    def test_the_word_in_the_dag_goes_before_an_answer(self) -> None:
        store = self.decided(self.asked(), PersonDecision.STOP)
        bench = Bench(Api(), store, on_unknown=OnUnknown.SKIP)
        bench.submission._check_unknown()
        bench.run(6)
        assert bench.api.sent == [["Q5", "Q6"]]
