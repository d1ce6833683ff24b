"""What every journal promises, wherever it is kept: in Airflow's task state store, a directory or a ledger."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.client.errors import ErrorInfo, ServerError, SubmissionUnknownError
from airflow_provider_cleanlist.client.responses import BulkEnrichment
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES, identity
from airflow_provider_cleanlist.contacts.sources import RecordsSource
from airflow_provider_cleanlist.exceptions import (
    CleanlistCreditLimitError,
    CleanlistStateError,
    CleanlistStoppedError,
)
from airflow_provider_cleanlist.submission.errors import (
    JournalCorruptError,
    JournalError,
    JournalOrganisationError,
    JournalTakenOverError,
    WorkflowTakenError,
)
from airflow_provider_cleanlist.submission.history import (
    IN_FLIGHT_SECONDS,
    BatchState,
    ContactHistory,
    ContactStatus,
    OnUnknown,
    PersonDecision,
    decide,
)
from airflow_provider_cleanlist.submission.journal import Batch, Journal
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal
from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask
from airflow_provider_cleanlist.submission.options import SubmissionOptions
from airflow_provider_cleanlist.submission.report import SubmissionOutcome, SubmissionReport, Tallies
from airflow_provider_cleanlist.submission.stored.journal import StoredJournal
from airflow_provider_cleanlist.submission.stored.stores import (
    ObjectStorageJournalStore,
    TaskStateJournalStore,
)
from airflow_provider_cleanlist.submission.submit import Submission

try:
    from airflow.sdk import NEVER_EXPIRE
except ImportError:
    NEVER_EXPIRE = None

A, B, C, D, E = (bytes([n]) * IDENTITY_BYTES for n in range(1, 6))
A_PERSON = identity(Contact(first_name="A", last_name="X", company_name="Acme"))
NOTHING = ContactHistory()
SUBMITTED = ContactHistory(submitted_here=frozenset({EnrichmentType.FULL}))
UNKNOWN = ContactHistory(unknown_here=True)
IN_FLIGHT_AT_0 = ContactHistory(in_flight=frozenset({0}))
START = 1_750_000_000.0


def person(name: str) -> dict[str, str]:
    return {"first_name": name, "last_name": "X", "company_name": "Acme"}


class RefusedError(Exception):
    """What Airflow raises when it refuses a request of an attempt that it has replaced."""

    error = SimpleNamespace(detail={"status_code": 404})


class TaskState:
    """Airflow's store: values of one task instance, which only its latest attempt may write."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.latest: object = None

    def attempt(self) -> Any:
        self.latest = mine = object()

        def write(key: str, value: Any, retention: object) -> None:
            if self.latest is not mine:
                raise RefusedError
            self.values[key] = json.dumps(value)

        def read(key: str) -> Any:
            return json.loads(self.values[key]) if key in self.values else None

        return SimpleNamespace(get=read, set=write)


class Task:
    """A run and task whose attempts open one kind of journal.

    Attributes:
        now: What the clock of its journals says.
    """

    def __init__(self, kind: str, folder: Path, cleanup: ExitStack) -> None:
        self.kind = kind
        self.now = START
        self._folder = folder
        self._states: dict[int, TaskState] = {}
        self._attempts: dict[int, int] = {}
        if kind == "ledger":
            engine = sa.create_engine(f"sqlite:///{folder / 'ledger.db'}")
            cleanup.callback(engine.dispose)
            self._ledger = LedgerDatabase(engine, "'ledger'", sleep=lambda _: None)

    def attempt(self, index: int = -1, token: str = "", organisation: str = "o", **options: Any) -> Any:
        """Open the journal as the next attempt of a map index does."""
        number = self._attempts[index] = self._attempts.get(index, 0) + 1
        if self.kind == "ledger":
            return LedgerJournal(
                self._ledger,
                LedgerTask("d", "r", "t", index),
                try_number=number,
                organisation=organisation,
                token=token,
                clock=lambda: self.now,
                **options,
            )
        if self.kind == "directory":
            store: Any = ObjectStorageJournalStore(
                ObjectStoragePath(f"file://{self._folder}"), ("d", "r", "t"), index
            )
        else:
            state = self._states.setdefault(index, TaskState())
            store = TaskStateJournalStore(state.attempt(), number, is_mapped=index >= 0)
        options = {"sleep": lambda _: None, "clock": lambda: self.now, "organisation": organisation} | options
        journal = StoredJournal(store, token or None, **options)
        journal.load()
        return journal


KINDS = [
    pytest.param(
        "task state", marks=pytest.mark.skipif(NEVER_EXPIRE is None, reason="Airflow has one since 3.3")
    ),
    "directory",
    "ledger",
]


@pytest.fixture(params=KINDS)
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Task]:
    with ExitStack() as cleanup:
        yield Task(request.param, tmp_path, cleanup)


def is_due(history: ContactHistory) -> bool:
    return decide(history, EnrichmentType.FULL, OnUnknown.RESUBMIT).enrichment_type is not None


def begun(journal: Journal, *contacts: bytes, now: float = START, kind: str = "full") -> Batch:
    batch = journal.begin(list(contacts), kind, now, is_due)
    assert batch is not None
    return batch


def reopened(journal: Journal, batch: Batch, now: float) -> Batch:
    again = journal.reopen(batch, now, is_due)
    assert again is not None
    return again


def states(journal: Journal) -> list[tuple[BatchState, bytes]]:
    return [(batch.state, batch.identities) for batch in journal.batches]


def test_a_new_task_has_no_history(task: Task) -> None:
    journal = task.attempt()
    assert list(journal.batches) == []
    assert journal.unknown_contacts == 0
    assert list(journal.histories([A, B])) == [NOTHING, NOTHING]
    assert list(journal.histories([])) == []


def test_an_accepted_batch_comes_back_whole(task: Task) -> None:
    journal = task.attempt()
    journal.accept(begun(journal, B, A), "wf", ["t1", "t2"], START + 1.5)
    (batch,) = task.attempt(keep_task_ids=True).batches
    assert (batch.state, batch.identities, batch.enrichment_type) == (BatchState.ACCEPTED, B + A, "full")
    assert (batch.changed_at, batch.workflow_id, batch.task_ids) == (START + 1.5, "wf", ("t1", "t2"))
    assert [batch.task_ids for batch in task.attempt().batches] == [()]


@pytest.mark.parametrize(
    ("outcome", "state", "history"),
    [
        (lambda journal, batch: batch, BatchState.INTENT, UNKNOWN),
        (lambda journal, batch: journal.lose(batch, "why", START + 1), BatchState.UNKNOWN, UNKNOWN),
        (lambda journal, batch: journal.reject(batch, "why", START + 1), BatchState.REJECTED, NOTHING),
        (lambda journal, batch: journal.accept(batch, "wf", [], START + 1), BatchState.ACCEPTED, SUBMITTED),
    ],
    ids=["nothing", "lose", "reject", "accept"],
)
def test_what_a_later_attempt_finds(
    task: Task, outcome: Callable[[Journal, Batch], Batch], state: BatchState, history: ContactHistory
) -> None:
    journal = task.attempt()
    settled = outcome(journal, begun(journal, A, B))
    assert settled.state is state
    assert states(journal) == [(state, A + B)]
    later = task.attempt()
    assert states(later) == [(state, A + B)]
    assert list(later.histories([C, B, A])) == [NOTHING, history, history]
    assert later.unknown_contacts == (2 if history == UNKNOWN else 0)
    assert [batch.note for batch in later.batches] == [settled.note]


def test_a_rejected_batch_is_sent_again_as_itself(task: Task) -> None:
    journal = task.attempt()
    batch = reopened(journal, journal.reject(begun(journal, A), "429", START + 1), START + 2)
    assert (batch.state, batch.note, batch.number) == (BatchState.INTENT, "", 0)
    assert states(task.attempt()) == [(BatchState.INTENT, A)]


def test_after_a_second_sending_the_answer_counts(task: Task) -> None:
    journal = task.attempt()
    batch = begun(journal, A)
    for moment in range(1, 4):
        batch = reopened(journal, journal.reject(batch, "429", START + moment), START + moment)
    journal.accept(batch, "wf", [], START + 5)
    assert [item.workflow_id for item in task.attempt().batches] == ["wf"]


def test_batches_keep_their_order_over_attempts(task: Task) -> None:
    for number, contact in enumerate((A, B, C)):
        journal = task.attempt()
        journal.accept(begun(journal, contact, now=START + number), f"wf{number}", [], START + number)
    assert [batch.workflow_id for batch in task.attempt().batches] == ["wf0", "wf1", "wf2"]


@pytest.mark.parametrize("number", [0, 1, 3, 40_000])
def test_task_ids_are_kept_only_if_there_is_one_for_each_contact(task: Task, number: int) -> None:
    attempt = task.attempt(keep_task_ids=True)
    kept = attempt.accept(
        attempt.begin([A, B], "full", START, lambda _: True),
        "wf",
        [f"t{n}" for n in range(number)],
        START + 1,
    )
    (batch,) = task.attempt(keep_task_ids=True).batches
    assert (batch.state, batch.workflow_id, batch.task_ids) == (BatchState.ACCEPTED, "wf", ())
    assert kept.task_ids == ()


def test_accepted_once_is_accepted(task: Task) -> None:
    journal = task.attempt()
    journal.lose(begun(journal, A, B), "500", START + 1)
    later = task.attempt()
    later.accept(begun(later, A, now=START + 2), "wf", [], START + 3)
    last = task.attempt()
    assert list(last.histories([A, B])) == [SUBMITTED, UNKNOWN]
    assert last.unknown_contacts == 1


def test_an_earlier_unknown_batch_can_be_settled(task: Task) -> None:
    journal = task.attempt()
    journal.lose(begun(journal, A), "500", START + 1)
    begun(journal, B, now=START + 2)
    later = task.attempt()
    for number, batch in enumerate(list(later.batches)):
        later.settle(batch, f"wf{number}", START + 3)
    last = task.attempt(keep_task_ids=True)
    assert [(batch.workflow_id, batch.task_ids, batch.is_settled) for batch in last.batches] == [
        ("wf0", (), True),
        ("wf1", (), True),
    ]
    assert last.unknown_contacts == 0


def test_each_new_token_starts_over(task: Task) -> None:
    for number, token in enumerate(("", "one", "two")):
        journal = task.attempt(token=token)
        assert list(journal.batches) == []
        assert list(journal.histories([A])) == [NOTHING]
        moment = START + 10 * number
        journal.accept(begun(journal, A, now=moment), f"wf-{token}", [], moment + 1)
    assert [task.attempt(token=token).batches[0].workflow_id for token in ("", "one", "two")] == [
        "wf-",
        "wf-one",
        "wf-two",
    ]


@pytest.mark.parametrize(
    ("outcome", "history"), [("accept", SUBMITTED), ("lose", UNKNOWN), ("reject", NOTHING)]
)
def test_a_token_that_vanishes_allows_nothing(task: Task, outcome: str, history: ContactHistory) -> None:
    for number, token in enumerate(("one", "two")):
        journal = task.attempt(token=token)
        batch = begun(journal, (A, B)[number], now=START + number)
        if outcome == "accept":
            journal.accept(batch, f"wf-{number}", [], START + number)
        else:
            getattr(journal, outcome)(batch, "why", START + number)
    journal = task.attempt()
    assert list(journal.histories([A, B, C])) == [history, history, NOTHING]
    assert journal.unknown_contacts == (2 if history == UNKNOWN else 0)
    assert sorted(batch.identities for batch in journal.batches) == [A, B]


def test_an_unknown_batch_under_a_token_that_vanished_can_be_settled(task: Task) -> None:
    begun(task.attempt(token="again"), A)
    journal = task.attempt()
    journal.settle(journal.batches[0], "wf", START + 1)
    for token in ("", "again"):
        assert [batch.workflow_id for batch in task.attempt(token=token).batches] == ["wf"]


@pytest.mark.parametrize(
    "record",
    [
        lambda journal, batch, workflow_id: journal.accept(batch, workflow_id, [], START + 2),
        lambda journal, batch, workflow_id: journal.settle(batch, workflow_id, START + 2),
    ],
    ids=["accept", "settle"],
)
def test_a_workflow_is_recorded_for_one_batch(
    task: Task, record: Callable[[Journal, Batch, str], Batch]
) -> None:
    journal = task.attempt()
    journal.accept(begun(journal, A), "wf", [], START)
    batch = begun(journal, B, now=START + 1)
    with pytest.raises(WorkflowTakenError, match="another batch became workflow wf"):
        record(journal, batch, "wf")
    assert [item.state for item in journal.batches] == [BatchState.ACCEPTED, BatchState.INTENT]
    record(journal, batch, "another")
    assert [item.workflow_id for item in task.attempt().batches] == ["wf", "another"]


def test_nobody_is_submitted_a_third_time_by_the_same_word(task: Task) -> None:
    for number, persons in enumerate(((A, B), (A,))):
        journal = task.attempt()
        journal.lose(begun(journal, *persons, now=START + number), "504", START + number)
    histories = task.attempt().histories([A, B, C])
    kinds = [decide(history, EnrichmentType.FULL, OnUnknown.RESUBMIT).status for history in histories]
    assert kinds == [ContactStatus.UNKNOWN, ContactStatus.PENDING, ContactStatus.PENDING]
    journal = task.attempt()
    journal.settle(journal.batches[1], "wf", START + 9)
    (history,) = task.attempt().histories([A])
    assert decide(history, EnrichmentType.FULL, OnUnknown.RESUBMIT).status is ContactStatus.SUBMITTED


def test_a_token_that_returns_counts_what_came_after_its_first_use(task: Task) -> None:
    for number, (token, contact) in enumerate((("", A), ("again", B), ("", C), ("other", D))):
        journal = task.attempt(token=token)
        moment = START + 10 * number
        journal.accept(begun(journal, contact, now=moment), f"wf-{number}", [], moment + 1)
    assert list(task.attempt(token="again").histories([A, B, C, D])) == [NOTHING, *[SUBMITTED] * 3]
    assert list(task.attempt(token="new").histories([A, B, C, D])) == [NOTHING] * 4


@pytest.mark.parametrize("outcome", ["settle", "settle under another", "accept", "lose", "decide"])
def test_a_token_counts_from_its_first_intent_whatever_became_of_it(task: Task, outcome: str) -> None:
    """What is recorded about a batch later does not move the moment at which its value was used first."""
    first = task.attempt(token="first")
    batch = begun(first, A, now=START)
    if outcome == "accept":
        first.accept(batch, "wf", [], START + 100)
    elif outcome == "lose":
        first.lose(batch, "502", START + 100)
    second = task.attempt(token="second")
    second.accept(begun(second, B, now=START + 10), "wf-2", [], START + 11)
    again = task.attempt(token="" if outcome == "settle under another" else "first")
    if outcome.startswith("settle"):
        again.settle(again.batches[0], "wf", START + 200)
    elif outcome == "decide":
        again.record_decision(PersonDecision.SKIP, "ann", START + 200)
    assert list(task.attempt(token="first").histories([B, C])) == [SUBMITTED, NOTHING]
    assert list(task.attempt(token="second").histories([A, B])) == [NOTHING, SUBMITTED]


@pytest.mark.parametrize("back", [-1.0, 7_200.0])
def test_a_clock_that_was_set_back_buys_nothing_again(task: Task, back: float) -> None:
    for number, (token, contact) in enumerate((("", A), ("first", B), ("second", C), ("", D))):
        task.now = START - number * back
        journal = task.attempt(token=token)
        journal.accept(begun(journal, contact, now=task.now), f"wf-{number}", [], task.now)
    for now in (START - 4 * back, START):
        task.now = now
        assert list(task.attempt().histories([A, B, C, D])) == [SUBMITTED] * 4
        assert list(task.attempt(token="first").histories([A, B, C, D])) == [NOTHING, *[SUBMITTED] * 3]
        assert list(task.attempt(token="second").histories([A, B, C, D])) == [NOTHING] * 2 + [SUBMITTED] * 2
        assert list(task.attempt(token="new").histories([A, B, C, D])) == [NOTHING] * 4


def test_a_clock_that_was_set_back_does_not_change_the_last_word(task: Task) -> None:
    for number, decision in enumerate((PersonDecision.RESUBMIT, PersonDecision.SKIP)):
        moment = START - 7_200 * number
        journal = task.attempt()
        journal.lose(begun(journal, A, now=moment), "502", moment)
        journal.record_decision(decision, "ann", moment + 60)
    assert task.attempt().histories([A])[0].decision is PersonDecision.SKIP


def test_a_token_that_vanishes_does_not_hide_another_organisation(task: Task) -> None:
    journal = task.attempt(token="again", organisation="first")
    journal.accept(begun(journal, A), "wf", [], START + 1)
    assert list(task.attempt(token="new", organisation="second").histories([A])) == [NOTHING]
    with pytest.raises(JournalOrganisationError, match="for the organisation first"):
        task.attempt(organisation="second")


class TestTwoOrganisations:
    """The connection's key changes between two attempts, and ``force_resubmit`` with it."""

    def test_what_another_one_submitted_under_another_token_does_not_count(self, task: Task) -> None:
        for number, (token, organisation, contacts) in enumerate((("a", "1", [A]), ("b", "2", [A, B]))):
            journal = task.attempt(token=token, organisation=organisation)
            journal.accept(begun(journal, *contacts, now=START + number), f"wf{number}", [], START + number)
        again = task.attempt(token="a", organisation="1")
        assert list(again.histories([A, B])) == [SUBMITTED, NOTHING]
        assert [batch.workflow_id for batch in again.batches] == ["wf0"]
        again.accept(begun(again, B, now=START + 2), "wf2", [], START + 2)
        assert list(task.attempt(token="b", organisation="2").histories([A, B])) == [SUBMITTED] * 2

    @pytest.mark.parametrize("outcome", ["accept", "lose", "nothing"])
    def test_what_may_be_billed_to_another_one_stops_the_task(self, task: Task, outcome: str) -> None:
        journal = task.attempt(token="a", organisation="1")
        batch = begun(journal, A)
        if outcome != "nothing":
            getattr(journal, outcome)(batch, *(("wf", []) if outcome == "accept" else ("502",)), START + 1)
        for token in ("a", ""):
            with pytest.raises(JournalOrganisationError, match="for the organisation 1"):
                task.attempt(token=token, organisation="2")

    @pytest.mark.parametrize("token", ["", "a"])
    def test_what_was_refused_stops_no_key(self, task: Task, token: str) -> None:
        journal = task.attempt(token=token, organisation="1")
        journal.reject(begun(journal, A), "402", START + 1)
        other = task.attempt(token=token, organisation="2")
        assert list(other.histories([A])) == [NOTHING]
        other.accept(begun(other, A, now=START + 2), "wf", [], START + 2)
        assert list(task.attempt(token=token, organisation="2").histories([A])) == [SUBMITTED]

    def test_a_request_that_one_refused_is_the_first_use_for_both(self, task: Task) -> None:
        first = task.attempt(token="a", organisation="1")
        first.reject(begun(first, A), "402", START + 1)
        second = task.attempt(token="b", organisation="2")
        second.accept(begun(second, A, B, now=START + 2), "wf", [], START + 3)
        assert list(task.attempt(token="a", organisation="2").histories([A, B])) == [SUBMITTED] * 2


def test_a_request_that_is_sent_again_was_used_at_its_first_intent(task: Task) -> None:
    """Another map index submits under another value between the refusal and the second sending."""
    if task.kind == "task state":
        pytest.skip("each map index has a store of its own")
    first = task.attempt(0, token="a")
    refused = first.reject(begun(first, A), "503", START + 1)
    other = task.attempt(1, token="b")
    other.accept(begun(other, B, now=START + 10), "wf-b", [], START + 11)
    first.accept(reopened(first, refused, START + 20), "wf-a", [], START + 21)
    for index, token in enumerate("ab"):
        assert list(task.attempt(index, token=token).histories([A, B, C])) == [SUBMITTED] * 2 + [NOTHING]


def test_a_replaced_attempt_sends_no_more_and_spoils_nothing(task: Task) -> None:
    replaced = task.attempt()
    rejected = replaced.reject(begun(replaced, A), "429", START + 1)
    later = task.attempt()
    with pytest.raises(JournalTakenOverError):
        replaced.begin([B], "full", START + 2, is_due)
    with pytest.raises(JournalTakenOverError):
        replaced.reopen(rejected, START + 2, is_due)
    later.accept(begun(later, A, B, now=START + 3), "wf", [], START + 4)
    last = task.attempt()
    assert list(last.histories([A, B])) == [SUBMITTED, SUBMITTED]
    assert last.unknown_contacts == 0


def test_another_organisation_is_noticed(task: Task) -> None:
    journal = task.attempt(organisation="first")
    journal.accept(begun(journal, A), "wf", [], START + 1)
    with pytest.raises(
        JournalOrganisationError, match=r"for the organisation first, .* now belongs to second"
    ):
        task.attempt(organisation="second")
    assert list(task.attempt(organisation="first").histories([A])) == [SUBMITTED]


class TestTheTypeChangesWithinTheRun:
    """``enrichment_type`` was changed, and the task was cleared: only what is missing is submitted."""

    @pytest.mark.parametrize(
        ("bought", "wanted", "sent"),
        [
            (["partial"], "full", {"phone_only": "AB", "full": "C"}),
            (["phone_only"], "full", {"partial": "AB", "full": "C"}),
            (["partial", "full"], "full", {"full": "C"}),
            (["partial", "full"], "phone_only", {"phone_only": "C"}),
            (["partial"], "phone_only", {"phone_only": "ABC"}),
            (["full"], "partial", {"partial": "C"}),
            (["full"], "full", {"full": "C"}),
            (["partial"], "none", {"none": "C"}),
            (["none"], "full", {"full": "ABC"}),
        ],
    )
    def test_only_the_missing_part_is_submitted(
        self, task: Task, bought: list[str], wanted: str, sent: dict[str, str]
    ) -> None:
        left: dict[str, str] = {}
        results = [self.run(task, "AB", kind, {}) for kind in bought]
        results.append(self.run(task, "ABC", wanted, left))
        assert left == sent
        cost = {"none": 0, "partial": 1, "phone_only": 10, "full": 11}
        submitted = results[-1].submitted_as
        assert sum(cost[kind] * count for kind, count in submitted.items()) == results[-1].worst_case_credits
        assert results[-1].worst_case_credits <= 11 * 3
        assert results[-1].contacts_submitted == 3
        assert self.run(task, "CBA", wanted, again := {}).submitted_as == submitted
        assert again == {}

    def test_a_mapped_index_whose_type_changed_has_not_moved(self, task: Task) -> None:
        left: dict[str, str] = {}
        self.run(task, "AB", "partial", {}, index=0)
        self.run(task, "AB", "full", left, index=0)
        assert left == {"phone_only": "AB"}

    @pytest.mark.parametrize(
        ("first", "second", "word", "sent"),
        [
            ("lost", "full", OnUnknown.FAIL, None),
            ("lost", "full", OnUnknown.SKIP, {}),
            ("lost", "full", OnUnknown.RESUBMIT, {"full": "A"}),
            ("accepted, then the rest lost", "full", OnUnknown.FAIL, None),
            ("accepted, then the rest lost", "full", OnUnknown.SKIP, {}),
            ("accepted, then the rest lost", "full", OnUnknown.RESUBMIT, {"phone_only": "A"}),
            ("accepted, then the rest lost", "partial", OnUnknown.SKIP, {}),
        ],
    )
    def test_an_unknown_outcome_stays_with_the_users_word(
        self, task: Task, first: str, second: str, word: OnUnknown, sent: dict[str, str] | None
    ) -> None:
        if first == "lost":
            begun(task.attempt(), A_PERSON, kind="partial")
        else:
            journal = task.attempt()
            journal.accept(begun(journal, A_PERSON, kind="partial"), "wf", [], START)
            begun(task.attempt(), A_PERSON, kind="phone_only", now=START + 1)
        left: dict[str, str] = {}
        stops = pytest.raises(SubmissionUnknownError) if sent is None else nullcontext()
        with stops:
            self.run(task, "A", second, left, on_unknown=word)
        assert left == (sent or {})

    @pytest.mark.parametrize(
        ("lost", "wanted", "credits"),
        [("full", "partial", 11), ("partial", "full", 1), ("partial", "partial", 1)],
    )
    def test_the_stop_names_what_the_lost_request_may_cost(
        self, task: Task, lost: str, wanted: str, credits: int
    ) -> None:
        begun(task.attempt(), A_PERSON, kind=lost)
        with pytest.raises(SubmissionUnknownError, match=rf"the cost is up to {credits} credit"):
            self.run(task, "A", wanted, {})

    def test_only_what_settles_an_unknown_outcome_settles_it(self, task: Task) -> None:
        begun(task.attempt(), A, kind="full")
        journal = task.attempt()
        journal.accept(begun(journal, A, kind="partial", now=START + 1), "wf", [], START + 1)
        later = task.attempt()
        assert list(later.histories([A])) == [ContactHistory(frozenset({EnrichmentType.PARTIAL}), True)]
        assert later.unknown_contacts == 1
        later.accept(begun(later, A, kind="phone_only", now=START + 2), "wf-2", [], START + 2)
        assert task.attempt().unknown_contacts == 0

    def test_a_webhook_settles_what_it_was_asked_for(self, task: Task) -> None:
        begun(task.attempt(), A, B, kind="partial")
        begun(task.attempt(), A, kind="phone_only", now=START + 1)
        journal = task.attempt()
        journal.settle(journal.batches[0], "wf", START + 2)
        assert journal.unknown_contacts == 1
        journal = task.attempt()
        assert journal.unknown_contacts == 1
        journal.settle(journal.batches[1], "wf-2", START + 2)
        assert task.attempt().unknown_contacts == journal.unknown_contacts == 0

    def test_nobody_is_paid_for_twice_whatever_the_order_of_types_and_outcomes(self, task: Task) -> None:
        """Each attempt brings one person more, so that somebody starts at each place of the order."""
        chance, parts = (
            random.Random(14),
            {"full": ("email", "phone"), "partial": ("email",), "phone_only": ("phone",)},
        )
        paid: Counter[tuple[str, str]] = Counter()
        lost: set[str] = set()
        wanted: dict[str, set[str]] = defaultdict(set)

        def send(contacts: Any, kind: Any, url: Any, observer: Any) -> BulkEnrichment:
            observer.sending()
            outcome = chance.choice(["accepted", "accepted", "refused", "lost"])
            names = {contact.first_name for contact in contacts}
            if outcome == "refused":
                raise ServerError(ErrorInfo("send", "HTTP 503", status=503))
            paid.update((name, part) for name in names for part in parts.get(kind.value, ()))
            if outcome == "lost":
                lost.update(names)
                raise SubmissionUnknownError(ErrorInfo("send", "no answer"))
            return BulkEnrichment(workflow_id=f"wf-{uuid4()}", task_ids=[])

        people = [person(first + second) for first in "ABCD" for second in "fghij"]
        for number in range(1, len(people) + 1):
            kind = chance.choice(list(EnrichmentType))
            options = SubmissionOptions(enrichment_type=kind, on_unknown=OnUnknown.SKIP)
            for _ in range(20):
                task.now += IN_FLIGHT_SECONDS + 1
                journal = task.attempt()
                submission = Submission(
                    options, journal, send, logging.getLogger(__name__), clock=lambda: task.now
                )
                with suppress(ServerError):
                    submission.run(RecordsSource(people[:number]))
                    break
            for entry in people[:number]:
                wanted[entry["first_name"]].update(parts.get(kind.value, ()))
        assert set(paid.values()) == {1}
        assert lost
        bought = {name: {part for part in ("email", "phone") if paid[name, part]} for name in wanted}
        assert {name for name in wanted if bought[name] != wanted[name]} <= lost

    @staticmethod
    def run(
        task: Task,
        names: str,
        wanted: str,
        left: dict[str, str],
        on_unknown: OnUnknown = OnUnknown.FAIL,
        index: int = -1,
    ) -> SubmissionReport:
        """Run an attempt, and add to ``left`` who was sent for what."""

        def send(contacts: Any, kind: Any, url: Any, observer: Any) -> BulkEnrichment:
            observer.sending()
            left[kind.value] = left.get(kind.value, "") + "".join(contact.first_name for contact in contacts)
            return BulkEnrichment(workflow_id=f"wf-{uuid4()}", task_ids=[])

        task.now += 100
        options = SubmissionOptions(enrichment_type=EnrichmentType(wanted), on_unknown=on_unknown)
        submission = Submission(
            options, task.attempt(index), send, logging.getLogger(__name__), clock=lambda: task.now
        )
        return submission.run(RecordsSource([person(name) for name in names])).submitted


class Index:
    """An attempt of map index 1, whose steps happen one by one while it waits for others."""

    def __init__(
        self,
        task: Task,
        word: OnUnknown,
        steps: Sequence[Callable[[], object]] = (),
        **options: Any,
    ) -> None:
        self.sent = ""
        self.pauses: list[float] = []
        self._task = task
        self.steps = list(steps)
        self.submission = Submission(
            SubmissionOptions(on_unknown=word, enrichment_type=EnrichmentType.FULL, **options),
            task.attempt(1),
            self._send,
            logging.getLogger(__name__),
            clock=lambda: task.now,
            sleep=self._pause,
        )

    @property
    def tallies(self) -> Tallies:
        return self.submission.report().tallies

    def run(self, names: str) -> SubmissionOutcome:
        return self.submission.run(RecordsSource([person(name) for name in names]))

    def _send(self, contacts: Any, kind: Any, url: Any, observer: Any) -> BulkEnrichment:
        observer.sending()
        self.sent += "".join(contact.first_name for contact in contacts)
        return BulkEnrichment(workflow_id=f"wf-{uuid4()}", task_ids=[])

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._task.now += seconds
        if self.steps:
            self.steps.pop(0)()


class TestMapIndexes:
    @pytest.fixture(autouse=True)
    def _sees_others(self, task: Task) -> None:
        if task.kind == "task state":
            pytest.skip("it sees its own map index only")

    def test_what_another_index_submitted_is_known(self, task: Task) -> None:
        for index, outcome in enumerate(("accept", "reject", "lose")):
            journal = task.attempt(index)
            batch = begun(journal, (A, B, C)[index])
            if outcome == "accept":
                journal.accept(batch, "wf", [], START)
            else:
                getattr(journal, outcome)(batch, "why", START)
        journal = task.attempt(3)
        assert list(journal.batches) == []
        assert list(journal.histories([A, B, C, D])) == [SUBMITTED, NOTHING, UNKNOWN, NOTHING]
        assert journal.unknown_contacts == 0  # those stop their own index, and whoever meets them
        assert journal.contacts_of_index is None

    @pytest.mark.parametrize(
        ("age", "history"),
        [
            (-7_200.0, IN_FLIGHT_AT_0),  # the clock was set back since
            (0.0, IN_FLIGHT_AT_0),
            (IN_FLIGHT_SECONDS - 1, IN_FLIGHT_AT_0),
            (IN_FLIGHT_SECONDS, UNKNOWN),
        ],
    )
    def test_what_another_index_is_sending_is_on_its_way_for_a_while(
        self, task: Task, age: float, history: ContactHistory
    ) -> None:
        begun(task.attempt(0), A)
        task.now = START + age
        assert list(task.attempt(1).histories([A])) == [history]
        assert list(task.attempt(0).histories([A])) == [UNKNOWN]

    @pytest.mark.parametrize(
        ("outcome", "sent", "earlier"), [("accept", "B", 1), ("reject", "BA", 0), ("lose", "B", 0)]
    )
    def test_the_outcome_of_another_index_is_awaited(
        self, task: Task, outcome: str, sent: str, earlier: int
    ) -> None:
        """Whoever was on the way is left out, submitted, or stops the task, once it is known what became of it."""
        other = task.attempt(0)
        batch = begun(other, A_PERSON, now=task.now)

        def answer() -> None:
            if outcome == "accept":
                other.accept(batch, "wf-0", [], task.now)
            else:
                getattr(other, outcome)(batch, "why", task.now)

        index = Index(task, OnUnknown.FAIL, [lambda: None, answer])
        with pytest.raises(SubmissionUnknownError) if outcome == "lose" else nullcontext():
            index.run("AB")
        assert index.sent == sent
        assert index.tallies.submitted_earlier == earlier
        assert len(index.pauses) == 3  # a second, and then two

    @pytest.mark.parametrize(("outcome", "sent"), [("accept", "B"), ("reject", "BA")])
    def test_who_is_awaited_is_counted_once(self, task: Task, outcome: str, sent: str) -> None:
        """Emails were bought here, and another index is submitting the same contact for its phones."""
        own, other = task.attempt(1), task.attempt(0)
        own.accept(begun(own, A_PERSON, now=task.now, kind="partial"), "wf-1", [], task.now)
        batch = begun(other, A_PERSON, now=task.now, kind="phone_only")
        answer = {
            "accept": lambda: other.accept(batch, "wf-0", [], task.now),
            "reject": lambda: other.reject(batch, "402", task.now),
        }[outcome]
        index = Index(task, OnUnknown.FAIL, [lambda: None, lambda: None, answer])
        index.run("AB")
        assert index.sent == sent
        assert index.tallies.submitted_earlier == 1

    @pytest.mark.parametrize("word", OnUnknown)
    def test_an_outcome_that_does_not_come_is_no_success(self, task: Task, word: OnUnknown) -> None:
        """The other index was killed: its contacts are neither submitted nor called submitted until that is decided."""
        begun(task.attempt(0), A_PERSON, now=task.now)
        index = Index(task, word)
        with pytest.raises(
            CleanlistStateError, match=r"^1 contact of this task may be on the way in map index 0 of"
        ):
            index.run("AB")
        assert index.sent == "B"
        assert index.tallies.submitted_earlier == 0
        assert 55 <= sum(index.pauses) <= 65

        task.now += IN_FLIGHT_SECONDS
        later = Index(task, word)
        stops = {
            OnUnknown.FAIL: pytest.raises(SubmissionUnknownError),
            OnUnknown.ASK: pytest.raises(SubmissionUnknownError),
        }
        with stops.get(word, nullcontext()):
            later.run("AB")
        assert later.sent == ("A" if word is OnUnknown.RESUBMIT else "")
        assert later.tallies.unknown == (0 if word is OnUnknown.RESUBMIT else 1)
        assert later.pauses == []

    def test_the_intent_of_an_attempt_that_was_replaced_is_not_awaited(self, task: Task) -> None:
        """A later attempt of the other index has begun, so the outcome is as unknown as it is to that one."""
        begun(task.attempt(0), A_PERSON, now=task.now)
        task.attempt(0)
        index = Index(task, OnUnknown.SKIP)
        index.run("AB")
        assert (index.sent, index.pauses, index.tallies.unknown) == ("B", [], 1)
        assert list(task.attempt(2).histories([A_PERSON])) == [UNKNOWN]

    def test_a_task_that_is_asked_to_stop_waits_for_no_outcome(self, task: Task) -> None:
        begun(task.attempt(0), A_PERSON, now=task.now)
        index = Index(task, OnUnknown.FAIL)
        index.steps.append(index.submission.stop)
        with pytest.raises(CleanlistStoppedError, match="only the remaining 1 contact"):
            index.run("A")
        assert len(index.pauses) == 1

    def test_an_estimate_says_who_is_on_the_way_elsewhere(
        self, task: Task, caplog: pytest.LogCaptureFixture
    ) -> None:
        begun(task.attempt(0), A_PERSON, now=task.now)
        index = Index(task, OnUnknown.FAIL, estimate_only=True)
        with caplog.at_level(logging.INFO):
            outcome = index.run("AB")
        assert outcome.estimate is not None
        assert (outcome.estimate.contacts, index.sent, index.pauses) == (1, "", [])
        assert "1 contact may be on the way in map index 0 of the same run" in caplog.text

    def test_who_is_due_after_all_is_bound_by_max_credits(self, task: Task) -> None:
        other = task.attempt(0)
        batch = begun(other, A_PERSON, now=task.now)
        index = Index(task, OnUnknown.FAIL, [lambda: other.reject(batch, "429", task.now)], max_credits=11)
        with pytest.raises(
            CleanlistCreditLimitError, match="up to 11 credits, and for what was submitted before"
        ):
            index.run("AB")
        assert index.sent == "B"

    def test_a_workflow_of_another_index_is_recorded_for_no_batch_here(self, task: Task) -> None:
        other = task.attempt(0)
        other.accept(begun(other, A), "wf", [], START)
        journal = task.attempt(1)
        batch = begun(journal, B)
        with pytest.raises(WorkflowTakenError):
            journal.accept(batch, "wf", [], START)
        with pytest.raises(WorkflowTakenError):
            journal.settle(batch, "wf", START)
        assert [item.workflow_id for item in task.attempt(1).batches] == [None]

    def test_what_another_index_submitted_since_under_another_token_is_known(self, task: Task) -> None:
        """Whether its clock is right or two hours slow."""
        journal = task.attempt(0, token="first")
        journal.lose(begun(journal, A, now=START), "502", START + 500)
        for index, moment, contact in ((1, START + 10, B), (2, START - 7_200, C)):
            other = task.attempt(index, token="second")
            other.accept(begun(other, contact, now=moment), f"wf-{index}", [], moment)
        assert list(task.attempt(0, token="first").histories([B, C, D])) == [SUBMITTED, SUBMITTED, NOTHING]

    def test_what_another_index_submitted_under_a_token_is_known_without_one(self, task: Task) -> None:
        journal = task.attempt(0, token="again")
        journal.accept(begun(journal, A), "wf", [], START)
        assert list(task.attempt(1).histories([A, B])) == [SUBMITTED, NOTHING]
        assert list(task.attempt(1, token="again").histories([A, B])) == [SUBMITTED, NOTHING]
        assert list(task.attempt(1, token="new").histories([A, B])) == [NOTHING, NOTHING]


def test_the_task_state_store_counts_what_its_index_submitted(tmp_path: Path) -> None:
    if NEVER_EXPIRE is None:
        pytest.skip("Airflow has a task state store since 3.3")
    with ExitStack() as cleanup:
        task = Task("task state", tmp_path, cleanup)
        journal = task.attempt(0)
        journal.accept(begun(journal, A, B), "wf", [], START)
        journal.lose(begun(journal, C), "500", START)
        assert task.attempt(0).contacts_of_index == 2
        assert list(task.attempt(1).histories([A])) == [NOTHING]


@pytest.mark.parametrize("size", [1, 499, 500, 501, 1_250])
def test_histories_come_in_the_order_of_the_question(task: Task, size: int) -> None:
    journal = task.attempt()
    everybody = [
        hashlib.blake2b(bytes([number % 256, number // 256]), digest_size=IDENTITY_BYTES).digest()
        for number in range(size)
    ]
    submitted: Sequence[bytes] = everybody[::3]
    journal.accept(begun(journal, *submitted), "wf", [], START)
    asked = list(reversed(everybody))
    expected = [SUBMITTED if contact in set(submitted) else NOTHING for contact in asked]
    assert list(task.attempt().histories(asked)) == expected


@pytest.mark.parametrize(
    ("before", "after", "sent", "missing"),
    [
        ("AAB", "AABC", ["C"], None),
        ("ABZ", "AABD", [], "1 contact that"),
        ("AB", "ABC", ["C"], None),
        ("ABYZ", "AAD", [], "3 contacts that"),
    ],
    ids=["repeated rows", "a repeated row for one that left", "grown", "several left"],
)
def test_a_moved_index_is_noticed_by_people_not_rows(
    tmp_path: Path, before: str, after: str, sent: list[str], missing: str | None
) -> None:
    if NEVER_EXPIRE is None:
        pytest.skip("Airflow has a task state store since 3.3")
    left: list[str] = []

    def send(contacts: Any, kind: Any, url: Any, observer: Any) -> BulkEnrichment:
        observer.sending()
        left.extend(contact.first_name for contact in contacts)
        return BulkEnrichment(workflow_id=f"wf-{uuid4()}", task_ids=[])

    def run(names: str) -> None:
        source = RecordsSource([person(name) for name in names])
        journal = task.attempt(0)
        Submission(SubmissionOptions(), journal, send, logging.getLogger(__name__)).run(
            source, deduplicate=False
        )

    with ExitStack() as cleanup:
        task = Task("task state", tmp_path, cleanup)
        run(before)
        left.clear()
        stops = (
            pytest.raises(SubmissionUnknownError, match=f"has submitted {missing}")
            if missing
            else nullcontext()
        )
        with stops:
            run(after)
    assert left == sent


@pytest.mark.parametrize("outcome", ["accept", "reject", "lose"])
def test_a_ledger_whose_row_was_deleted_does_not_report_success(tmp_path: Path, outcome: str) -> None:
    with ExitStack() as cleanup:
        task = Task("ledger", tmp_path, cleanup)
        journal = task.attempt()
        batch = begun(journal, A)
        journal.database.run(lambda connection: connection.execute(sa.text("DELETE FROM cleanlist_batches")))
        further = ("wf", []) if outcome == "accept" else ("why",)
        with pytest.raises(JournalError, match="somebody has deleted it"):
            getattr(journal, outcome)(batch, *further, START)


def test_a_ledger_keeps_an_acceptance_that_a_late_answer_contradicts(tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        task = Task("ledger", tmp_path, cleanup)
        journal = task.attempt()
        batch = begun(journal, A)
        journal.accept(batch, "wf", [], START)
        journal.lose(batch, "500", START)
        assert states(task.attempt()) == [(BatchState.ACCEPTED, A)]


class TestDecisions:
    """What a person has decided about a batch of unknown outcome."""

    @pytest.mark.parametrize("decision", PersonDecision)
    def test_it_is_found_by_every_later_attempt(self, task: Task, decision: PersonDecision) -> None:
        journal = task.attempt()
        journal.accept(begun(journal, A), "wf", [], START + 1)
        journal.lose(begun(journal, B, now=START + 2), "502", START + 3)
        begun(journal, C, now=START + 4)

        asked = task.attempt()
        assert (asked.unknown_contacts, dict(asked.decided_contacts)) == (2, {})
        assert asked.record_decision(decision, "ann", START + 60) == 2

        for _ in range(2):
            later = task.attempt()
            decided = ContactHistory(unknown_here=True, decision=decision)
            assert list(later.histories([A, B, C, D])) == [SUBMITTED, decided, decided, NOTHING]
            assert (later.unknown_contacts, dict(later.decided_contacts)) == (2, {decision: 2})
            assert [batch.decision for batch in later.batches] == [None, decision, decision]
            assert {(batch.decided_by, batch.decided_at) for batch in later.batches[1:]} == {
                ("ann", START + 60)
            }
            assert later.record_decision(PersonDecision.RESUBMIT, "ben", START + 90) == 0

    def test_a_later_unknown_batch_is_open_again(self, task: Task) -> None:
        journal = task.attempt()
        journal.lose(begun(journal, A, B), "502", START + 1)
        journal.record_decision(PersonDecision.RESUBMIT, "ann", START + 60)
        again = task.attempt()
        again.lose(begun(again, A, now=START + 70), "502", START + 71)

        later = task.attempt()
        assert list(later.histories([A, B])) == [
            replace(UNKNOWN, is_resubmitted=True),
            ContactHistory(unknown_here=True, decision=PersonDecision.RESUBMIT),
        ]
        assert (later.unknown_contacts, dict(later.decided_contacts)) == (2, {PersonDecision.RESUBMIT: 1})
        assert later.record_decision(PersonDecision.SKIP, "ben", START + 80) == 1
        assert task.attempt().histories([A])[0].decision is PersonDecision.SKIP

    def test_accepted_after_the_decision_is_accepted(self, task: Task) -> None:
        journal = task.attempt()
        journal.lose(begun(journal, A), "502", START + 1)
        journal.record_decision(PersonDecision.RESUBMIT, "ann", START + 60)
        again = task.attempt()
        again.accept(begun(again, A, now=START + 70), "wf", [], START + 71)
        later = task.attempt()
        assert list(later.histories([A])) == [SUBMITTED]
        assert (later.unknown_contacts, dict(later.decided_contacts)) == (0, {})

    def test_a_decided_batch_can_be_settled_by_its_webhook(self, task: Task) -> None:
        journal = task.attempt()
        journal.lose(begun(journal, A), "502", START + 1)
        journal.record_decision(PersonDecision.RESUBMIT, "ann", START + 60)
        later = task.attempt()
        later.settle(later.batches[0], "wf", START + 61)
        assert list(task.attempt().histories([A])) == [SUBMITTED]

    def test_a_replaced_attempt_decides_nothing(self, task: Task) -> None:
        if task.kind == "directory":
            pytest.skip("a directory takes what a person has said from any attempt")
        journal = task.attempt()
        journal.lose(begun(journal, A), "502", START + 1)
        replaced = task.attempt()
        task.attempt()
        with pytest.raises(JournalTakenOverError):
            replaced.record_decision(PersonDecision.RESUBMIT, "ann", START + 60)
        assert task.attempt().histories([A]) == [UNKNOWN]

    def test_nobody_decides_for_another_map_index(self, task: Task) -> None:
        if task.kind == "task state":
            pytest.skip("it sees its own map index only")
        first, second = task.attempt(index=0), task.attempt(index=1)
        first.lose(begun(first, A, now=START - IN_FLIGHT_SECONDS), "502", START + 1)
        second.lose(begun(second, A, B), "502", START + 1)
        second = task.attempt(index=1)
        assert second.record_decision(PersonDecision.RESUBMIT, "ann", START + 60) == 1
        later = task.attempt(index=1)
        assert list(later.histories([A, B])) == [
            replace(UNKNOWN, is_resubmitted=True),
            ContactHistory(unknown_here=True, decision=PersonDecision.RESUBMIT),
        ]
        assert (later.unknown_contacts, dict(later.decided_contacts)) == (2, {PersonDecision.RESUBMIT: 2})


@pytest.mark.skipif(NEVER_EXPIRE is None, reason="Airflow has a task state store since 3.3")
def test_an_attempt_that_resumes_finds_decides_and_settles_what_it_wrote_itself() -> None:
    """Airflow resumes the attempt that has asked: the same number, and so the same part of the task state store."""
    state = TaskState()

    def opened() -> StoredJournal:
        store = TaskStateJournalStore(state.attempt(), 1)
        journal = StoredJournal(store, sleep=lambda _: None, clock=lambda: START, organisation="o")
        journal.load()
        return journal

    journal = opened()
    journal.lose(begun(journal, A), "502", START + 1)
    journal.lose(begun(journal, B), "502", START + 2)
    resumed = opened()
    resumed.settle(resumed.batches[0], "wf", START + 3)
    assert resumed.record_decision(PersonDecision.RESUBMIT, "ann", START + 4) == 1
    again = opened()
    assert list(again.histories([A, B])) == [
        SUBMITTED,
        ContactHistory(unknown_here=True, decision=PersonDecision.RESUBMIT),
    ]
    again.accept(begun(again, B), "wf2", [], START + 5)
    assert states(opened()) == [
        (BatchState.ACCEPTED, A),
        (BatchState.UNKNOWN, B),
        (BatchState.ACCEPTED, B),
    ]


def test_a_record_without_a_decision_is_read() -> None:
    record = Batch(0, BatchState.UNKNOWN, A, "full", START).to_json()
    for name in ("decision", "decided_by", "decided_at"):
        del record[name]
    batch = Batch.from_json(0, record)
    assert (batch.decision, batch.decided_by, batch.decided_at) == (None, "", None)
    with pytest.raises(JournalCorruptError):
        Batch.from_json(0, record | {"decision": "perhaps"})
