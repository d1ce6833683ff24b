"""The ledger: what batches mean for a person, whoever submitted them, and what its tables hold. On SQLite."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql

from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.client.errors import SubmissionUnknownError
from airflow_provider_cleanlist.client.responses import BulkEnrichment
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES, identity, normalise
from airflow_provider_cleanlist.contacts.sources import RecordsSource
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistCreditLimitError
from airflow_provider_cleanlist.submission.errors import (
    JournalConfigurationError,
    JournalCorruptError,
    JournalUnavailableError,
    submission_errors,
)
from airflow_provider_cleanlist.submission.history import (
    IN_FLIGHT_SECONDS,
    BatchState,
    ContactHistory,
    EarlierBatch,
    OnUnknown,
    decide,
    history_of,
    missing_type,
)
from airflow_provider_cleanlist.submission.journal import Batch, BatchRecorder, ContactsNotDueError
from airflow_provider_cleanlist.submission.ledger import person
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal
from airflow_provider_cleanlist.submission.ledger.tables import database_errors, ledger_tables
from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask
from airflow_provider_cleanlist.submission.options import SubmissionOptions
from airflow_provider_cleanlist.submission.submit import Submission

A, B, C = (bytes([n]) * IDENTITY_BYTES for n in range(1, 4))
START = 1_750_000_000.0
NOW = datetime.fromtimestamp(START, UTC)
DAY = 86_400.0
NONE, PARTIAL, PHONE_ONLY, FULL = EnrichmentType


@st.composite
def batches(draw: st.DrawFn) -> EarlierBatch:
    """Any batch that a person may be in; the whose of it is one of five."""
    whose = draw(st.sampled_from(["own", "index", "token", "run", "run"]))
    age = draw(st.floats(-60, 2 * IN_FLIGHT_SECONDS) | st.floats(0, 40 * DAY))
    return EarlierBatch(
        is_here=whose in ("own", "index"),
        is_own=whose == "own",
        map_index=0 if whose == "own" else 1,
        state=draw(st.sampled_from(BatchState)),
        enrichment_type=draw(st.sampled_from(EnrichmentType)),
        submitted_at=NOW - timedelta(seconds=age),
        changed_at=NOW - timedelta(seconds=age),
        has_failed=draw(st.booleans()),
        is_of_other_token=whose == "token",
    )


WINDOWS = st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=60))
SEVERAL = st.lists(batches(), max_size=6)


class TestWhatBatchesMean:
    @given(SEVERAL, WINDOWS, st.randoms())
    def test_order_does_not_matter(
        self, found: list[EarlierBatch], window: timedelta | None, chance: Any
    ) -> None:
        shuffled = list(found)
        chance.shuffle(shuffled)
        assert history_of(shuffled, NOW, window) == history_of(found, NOW, window)

    @given(SEVERAL, WINDOWS)
    def test_a_rejected_batch_means_nothing(
        self, found: list[EarlierBatch], window: timedelta | None
    ) -> None:
        others = [batch for batch in found if batch.state is not BatchState.REJECTED]
        assert history_of(found, NOW, window) == history_of(others, NOW, window)

    @given(SEVERAL, WINDOWS)
    def test_what_this_run_did_under_another_token_means_nothing(
        self, found: list[EarlierBatch], window: timedelta | None
    ) -> None:
        others = [batch for batch in found if not batch.is_of_other_token]
        assert history_of(found, NOW, window) == history_of(others, NOW, window)

    @given(SEVERAL, WINDOWS)
    def test_what_this_run_did_is_told_by_its_own_batches_alone(
        self, found: list[EarlierBatch], window: timedelta | None
    ) -> None:
        here = history_of([batch for batch in found if batch.is_here], NOW, window)
        others = history_of([batch for batch in found if not batch.is_here], NOW, window)
        assert history_of(found, NOW, window) == replace(here, bought=others.bought, accepted=others.accepted)
        assert here.bought == here.accepted == frozenset()
        assert (others.submitted_here, others.unknown_here) == (frozenset(), False)

    @given(SEVERAL, WINDOWS, batches())
    def test_accepted_once_is_submitted(
        self, found: list[EarlierBatch], window: timedelta | None, batch: EarlierBatch
    ) -> None:
        accepted = replace(batch, is_here=True, is_of_other_token=False, state=BatchState.ACCEPTED)
        same = [replace(batch, enrichment_type=accepted.enrichment_type) for batch in found]
        history = history_of([*same, accepted], NOW, window)
        assert (history.submitted_here, history.unknown_here) == ({accepted.enrichment_type}, False)
        full = replace(accepted, enrichment_type=FULL)
        history = history_of([*found, full], NOW, window)
        assert (FULL in history.submitted_here, history.unknown_here) == (True, False)

    @given(SEVERAL)
    def test_without_a_window_others_do_not_matter(self, found: list[EarlierBatch]) -> None:
        history = history_of(found, NOW, None)
        assert history.bought == history.accepted == frozenset()

    @given(SEVERAL, st.timedeltas(timedelta(seconds=1), timedelta(days=60)))
    def test_what_others_bought_within_the_window(self, found: list[EarlierBatch], window: timedelta) -> None:
        expected = set()
        for batch in found:
            is_of_another_run = not batch.is_here and not batch.is_of_other_token
            may_be_billed = batch.state in (BatchState.INTENT, BatchState.ACCEPTED, BatchState.UNKNOWN)
            if (
                is_of_another_run
                and may_be_billed
                and not batch.has_failed
                and NOW - batch.submitted_at <= window
            ):
                expected.add(batch.enrichment_type)
        history = history_of(found, NOW, window)
        assert history.bought == expected
        assert history.accepted <= history.bought
        answered = [batch for batch in found if batch.state is BatchState.ACCEPTED]
        assert history.accepted == history_of(answered, NOW, window).bought

    @given(
        SEVERAL, WINDOWS, st.sampled_from(EnrichmentType), st.sampled_from([OnUnknown.FAIL, OnUnknown.SKIP])
    )
    def test_nobody_is_submitted_whom_this_run_may_have_submitted(
        self, found: list[EarlierBatch], window: timedelta | None, wanted: EnrichmentType, word: OnUnknown
    ) -> None:
        may_be_billed = [
            batch.enrichment_type
            for batch in found
            if batch.is_here and batch.state is not BatchState.REJECTED
        ]
        sent = decide(history_of(found, NOW, window), wanted, word).enrichment_type
        assert sent is None or missing_type(sent, may_be_billed) is sent

    @pytest.mark.parametrize("is_own", [True, False])
    @pytest.mark.parametrize("age", [0, IN_FLIGHT_SECONDS - 1, IN_FLIGHT_SECONDS, 40 * DAY])
    @pytest.mark.parametrize("state", [BatchState.INTENT, BatchState.UNKNOWN])
    def test_only_another_index_is_on_its_way(self, is_own: bool, age: float, state: BatchState) -> None:
        intent = NOW - timedelta(seconds=age)
        batch = EarlierBatch(True, is_own, 7, state, FULL, intent, intent, False, False)
        is_on_its_way = state is BatchState.INTENT and not is_own and age < IN_FLIGHT_SECONDS
        history = history_of([batch], NOW, None)
        assert (history.in_flight == {7}, history.unknown_here) == (is_on_its_way, not is_on_its_way)
        assert history.submitted_here == frozenset()
        decision = decide(history, FULL, OnUnknown.RESUBMIT)
        assert (decision.enrichment_type is None) == is_on_its_way


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


class Ledger:
    """A ledger on SQLite, and tasks that open their journals in it."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.paused: list[float] = []
        self.engine = sa.create_engine(f"sqlite:///{path}")
        self.database = LedgerDatabase(self.engine, "'ledger'", sleep=self.paused.append)

    def journal(
        self, run: str = "r", index: int = -1, organisation: str = "o", **options: Any
    ) -> LedgerJournal:
        task = LedgerTask("d", run, "t", index)
        options = {"try_number": 1, "clock": self.clock} | options
        return LedgerJournal(self.database, task, organisation=organisation, **options)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(text))]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.engine.dispose()


def due_for(wanted: EnrichmentType, kind: EnrichmentType | None = None) -> Callable[[ContactHistory], bool]:
    def is_due(history: ContactHistory) -> bool:
        return decide(history, wanted, OnUnknown.FAIL).enrichment_type is (kind or wanted)

    return is_due


def begun(
    journal: LedgerJournal, contacts: Sequence[bytes], kind: EnrichmentType = FULL, now: float = START
) -> Batch:
    batch = journal.begin(contacts, kind.value, now, lambda _: True)
    assert batch is not None
    return batch


def bought(ledger: Ledger, contacts: Sequence[bytes], days: float | None) -> list[set[EnrichmentType]]:
    window = None if days is None else timedelta(days=days)
    return [set(history.bought) for history in ledger.journal("asks", window=window).histories(contacts)]


class TestIntents:
    def test_who_is_not_due_is_named_and_nothing_is_recorded(self, ledger: Ledger) -> None:
        first, second = ledger.journal("one"), ledger.journal("two", window=timedelta(days=1))
        first.accept(begun(first, [A, C]), "wf", [], START)
        with pytest.raises(ContactsNotDueError) as caught:
            second.begin([C, B, A], "full", START, due_for(FULL))
        assert caught.value.positions == {0, 2}
        assert list(second.batches) == []
        assert ledger.query("SELECT COUNT(*) FROM cleanlist_batches") == [(1,)]
        second.begin([B], "full", START, due_for(FULL))

    def test_who_was_bought_for_a_part_meanwhile_is_due_for_the_rest(self, ledger: Ledger) -> None:
        first, second = ledger.journal("one"), ledger.journal("two", window=timedelta(days=1))
        begun(first, [A], PARTIAL)
        with pytest.raises(ContactsNotDueError) as caught:
            second.begin([A, B], "full", START, due_for(FULL))
        assert caught.value.positions == {0}
        second.begin([A], "phone_only", START, due_for(FULL, PHONE_ONLY))

    def test_a_rejected_batch_meets_who_submitted_its_contacts_meanwhile(self, ledger: Ledger) -> None:
        first, second = (ledger.journal(run, window=timedelta(days=1)) for run in ("one", "two"))
        rejected = first.reject(begun(first, [A, B]), "429", START)
        second.accept(begun(second, [B]), "wf", [], START)
        with pytest.raises(ContactsNotDueError) as caught:
            first.reopen(rejected, START, due_for(FULL))
        assert caught.value.positions == {1}
        assert [batch.state for batch in first.batches] == [BatchState.REJECTED]

    def test_a_batch_sent_again_counts_from_then(self, ledger: Ledger) -> None:
        journal = ledger.journal("one", index=0)
        rejected = journal.reject(begun(journal, [A]), "429", START)
        ledger.clock.now = START + 2 * IN_FLIGHT_SECONDS
        journal.reopen(rejected, ledger.clock.now, lambda _: True)
        assert ledger.journal("one", index=1).histories([A]) == [ContactHistory(in_flight=frozenset({0}))]

    def test_what_it_records(self, ledger: Ledger) -> None:
        journal = ledger.journal("r", index=3, try_number=2, token="again")
        begun(journal, [A, B])
        columns = (
            "organisation, dag_id, run_id, task_id, map_index, try_number, state, enrichment_type, contacts"
        )
        assert ledger.query(
            f"SELECT {columns}, worst_case_credits, LENGTH(token) FROM cleanlist_batches"
        ) == [("o", "d", "r", "t", 3, 2, "intent", "full", 2, 22, 12)]
        assert ledger.query("SELECT position, organisation, person, api_task_id FROM cleanlist_contacts") == [
            (0, "o", A.hex(), None),
            (1, "o", B.hex(), None),
        ]

    @pytest.mark.parametrize(
        "task_ids",
        [[], ["one"], ["one", "two", "three"], ["one", "x" * 201], ["one", "t\0"], ["one", "\ud800"]],
    )
    def test_task_ids_that_do_not_fit_are_not_kept(self, ledger: Ledger, task_ids: list[str]) -> None:
        journal = ledger.journal()
        journal.accept(begun(journal, [A, B]), "wf", task_ids, START)
        assert ledger.query("SELECT DISTINCT api_task_id FROM cleanlist_contacts") == [(None,)]

    @pytest.mark.parametrize("outcome", ["lose", "reject"])
    def test_what_was_accepted_stays_accepted(self, ledger: Ledger, outcome: str) -> None:
        """An attempt that hangs does not know that its successor learned the answer from a webhook."""
        first = ledger.journal()
        batch = begun(first, [A])
        second = ledger.journal(try_number=2)
        second.settle(second.batches[0], "wf", START)
        getattr(first, outcome)(batch, "no answer", START + 1)
        assert ledger.query("SELECT state, workflow_id FROM cleanlist_batches") == [("accepted", "wf")]

    def test_an_answer_counts_more_than_the_webhook(self, ledger: Ledger) -> None:
        first = ledger.journal()
        batch = begun(first, [A])
        second = ledger.journal(try_number=2)
        second.settle(second.batches[0], "wf of a webhook", START)
        assert ledger.journal(try_number=3).batches[0].is_settled
        first.accept(batch, "wf", [], START + 1)
        (last,) = ledger.journal(try_number=4).batches
        assert (last.workflow_id, last.is_settled) == ("wf", False)

    def test_a_lock_row_that_was_deleted_lets_nothing_through(self, ledger: Ledger) -> None:
        journal = ledger.journal()
        with ledger.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM cleanlist_organisations"))
        with pytest.raises(
            JournalUnavailableError, match="the row of o is missing in cleanlist_organisations"
        ):
            begun(journal, [A])
        assert ledger.query("SELECT COUNT(*) FROM cleanlist_batches") == [(0,)]
        begun(ledger.journal(), [A])


class TestWindow:
    def test_it_ends_after_its_length(self, ledger: Ledger) -> None:
        journal = ledger.journal()
        journal.accept(begun(journal, [A], PARTIAL), "wf", [], START)
        for days, found in ((30, {PARTIAL}), (29.999, set()), (None, set())):
            ledger.clock.now = START + 30 * DAY
            assert bought(ledger, [A], days) == [found]

    @pytest.mark.parametrize("outcome", ["accept", "reject", "lose", "none"])
    def test_all_that_may_be_billed_counts(self, ledger: Ledger, outcome: str) -> None:
        journal = ledger.journal()
        batch = begun(journal, [A])
        if outcome == "accept":
            journal.accept(batch, "wf", [], START)
        elif outcome != "none":
            getattr(journal, outcome)(batch, "why", START)
        assert bought(ledger, [A, B], 1) == [set() if outcome == "reject" else {FULL}, set()]

    def test_several_purchases_add_up(self, ledger: Ledger) -> None:
        for run, kind in (("one", PARTIAL), ("two", PHONE_ONLY), ("three", PARTIAL)):
            begun(ledger.journal(run), [A], kind)
        assert bought(ledger, [A], 1) == [{PARTIAL, PHONE_ONLY}]

    @pytest.mark.parametrize("status", ["failed", "FAILED", "error"])
    def test_a_workflow_that_failed_counts_as_nothing(self, ledger: Ledger, status: str) -> None:
        journal = ledger.journal()
        journal.accept(begun(journal, [A]), "wf", [], START)
        ledger.database.record_ends([WorkflowEnd("wf", status, 0, 0)], START)
        assert bought(ledger, [A], 1) == [set()]
        assert ledger.journal().histories([A]) == [ContactHistory(submitted_here=frozenset({FULL}))]

    def test_a_failure_without_counts_may_be_the_error_of_a_gateway(self, ledger: Ledger) -> None:
        """``{"status": "error", "message": "upstream temporarily unavailable"}``: what was submitted stays bought."""
        journal = ledger.journal()
        journal.accept(begun(journal, [A]), "wf", [], START)
        ledger.database.record_ends([WorkflowEnd("wf", "failed", None, None)], START)
        assert bought(ledger, [A], 1) == [{FULL}]
        ledger.database.record_ends([WorkflowEnd("wf", "failed", 0, 0)], START)
        assert bought(ledger, [A], 1) == [set()]

    def test_another_organisation_is_another_world(self, ledger: Ledger) -> None:
        begun(ledger.journal("one", organisation="other"), [A])
        assert bought(ledger, [A], 1) == [set()]

    def test_another_token_of_the_same_run_does_not_count(self, ledger: Ledger) -> None:
        begun(ledger.journal(), [A])
        again = ledger.journal(token="again", window=timedelta(days=1))
        assert again.histories([A]) == [ContactHistory()]


class TestEnds:
    @pytest.mark.parametrize(
        ("kind", "emails", "phones", "cost"),
        [
            (FULL, 1, 1, 11),
            (PARTIAL, 2, None, 2),
            (PHONE_ONLY, None, 1, 10),
            (FULL, None, 1, None),
            (NONE, 2, 2, 0),
        ],
    )
    def test_what_it_cost_is_told_where_it_is_known(
        self, ledger: Ledger, kind: EnrichmentType, emails: int | None, phones: int | None, cost: int | None
    ) -> None:
        journal = ledger.journal()
        journal.accept(begun(journal, [A, B], kind), "wf", [], START)
        ends = [WorkflowEnd("wf", "completed", emails, phones), WorkflowEnd("nobody's", "completed", 1, 1)]
        assert ledger.database.record_ends(ends, START) == 1
        assert ledger.database.record_ends([WorkflowEnd("wf", "failed", 0, 0)], START + 9) == 0
        row = "SELECT workflow_status, emails_found, phones_found, credits_spent FROM cleanlist_batches"
        assert ledger.query(row) == [("completed", emails, phones, cost)]

    @pytest.mark.parametrize(
        ("kind", "first", "later", "expected"),
        [
            (FULL, (None, None), (2, 1), (2, 1, 12)),
            (FULL, (1, None), (2, 1), (1, 1, 11)),
            (FULL, (None, 0), (2, None), (2, 0, 2)),
            (PARTIAL, (None, None), (2, None), (2, None, 2)),
            (FULL, (None, 1), (None, 2), (None, 1, None)),
        ],
    )
    def test_counts_that_were_not_told_are_added_later(
        self,
        ledger: Ledger,
        kind: EnrichmentType,
        first: tuple[int | None, int | None],
        later: tuple[int | None, int | None],
        expected: tuple[int | None, ...],
    ) -> None:
        journal = ledger.journal()
        journal.accept(begun(journal, [A, B], kind), "wf", [], START)
        record = ledger.database.record_ends
        assert record([WorkflowEnd("wf", "completed", *first)], START) == 1
        (before,) = ledger.query("SELECT ended_at FROM cleanlist_batches")
        assert record([WorkflowEnd("wf", "failed", *later)], START + 5) == 0
        assert record([WorkflowEnd("wf", "completed", *later)], START + 9) == (expected[:2] != first)
        assert record([WorkflowEnd("wf", "completed", *later)], START + 9) == 0
        row = "SELECT emails_found, phones_found, credits_spent FROM cleanlist_batches"
        assert ledger.query(row) == [expected]
        assert ledger.query("SELECT ended_at FROM cleanlist_batches") == [before]

    @pytest.mark.parametrize("impossible", [-1, 3, 300_000_000, 2**31 - 1])
    def test_more_than_a_batch_has_is_not_known_and_costs_no_other_end(
        self, ledger: Ledger, impossible: int
    ) -> None:
        """A count comes from a response or a delivery, which may say anything."""
        journal = ledger.journal()
        journal.accept(begun(journal, [A, B], FULL), "wf", [], START)
        journal.accept(begun(journal, [C], FULL), "other", [], START)
        ends = [WorkflowEnd("wf", "completed", 2, impossible), WorkflowEnd("other", "completed", 1, 1)]
        assert ledger.database.record_ends(ends, START) == 2
        row = "SELECT emails_found, phones_found, credits_spent FROM cleanlist_batches ORDER BY workflow_id"
        assert ledger.query(row) == [(1, 1, 11), (2, None, None)]

    @pytest.mark.parametrize("counts", [(None, None), (0, 0), (1, None)])
    def test_a_failure_is_corrected_by_a_later_completion_and_never_the_other_way(
        self, ledger: Ledger, counts: tuple[int | None, int | None]
    ) -> None:
        query = "SELECT workflow_status, emails_found, phones_found, credits_spent FROM cleanlist_batches"
        journal = ledger.journal()
        journal.accept(begun(journal, [A, B]), "wf", [], START)
        assert ledger.database.record_ends([WorkflowEnd("wf", "failed", *counts)], START) == 1
        completed = WorkflowEnd("wf", "completed", 2, 1)
        assert ledger.database.record_ends([completed], START + 60) == 1
        assert ledger.query(query) == [("completed", 2, 1, 12)]
        for end in (WorkflowEnd("wf", "failed", 0, 0), completed):
            assert ledger.database.record_ends([end], START + 120) == 0
        assert ledger.query(query) == [("completed", 2, 1, 12)]
        assert bought(ledger, [A], 1) == [{FULL}]

    def test_there_may_be_none(self, ledger: Ledger) -> None:
        assert ledger.database.record_ends([], START) == 0


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_failure_counts_if_cleanlist_itself_named_the_workflow(ledger: Ledger, is_settled: bool) -> None:
    """Whoever has the address of a batch of unknown outcome can name any workflow that has failed."""
    first = ledger.journal("one")
    batch = begun(first, [A])
    if is_settled:
        first.settle(first.lose(batch, "504", START), "wf", START)
    else:
        first.accept(batch, "wf", [], START)
    ledger.database.record_ends([WorkflowEnd("wf", "failed", 0, 0)], START)
    (history,) = ledger.journal("two", window=timedelta(days=1)).histories([A])
    assert history.bought == ({FULL} if is_settled else frozenset())


def test_settling_leaves_alone_what_a_response_has_told_meanwhile(ledger: Ledger) -> None:
    first = ledger.journal("one")
    batch = begun(first, [A])
    second = ledger.journal("one", try_number=2)
    first.accept(batch, "genuine", [], START)
    second.settle(second.batches[0], "forged", START)
    assert ledger.query("SELECT workflow_id FROM cleanlist_batches") == [("genuine",)]


class TestResults:
    def test_who_was_submitted_and_whose_rows_these_are(self, ledger: Ledger) -> None:
        journal = ledger.journal()
        journal.accept(begun(journal, [B, A]), "wf", ["tb", "ta"], START)
        begun(journal, [C])
        journal.keep_source_rows([("2", B), ("1", A), ("3", C)])
        contacts = [
            (item.position, item.person, item.api_task_id) for item in ledger.database.contacts_of(["wf"])
        ]
        assert contacts == [(0, B.hex(), "tb"), (1, A.hex(), "ta")]
        at = datetime.fromtimestamp(START, UTC)
        rows = [("d/t", "1", A.hex(), at), ("d/t", "2", B.hex(), at)]
        assert list(ledger.database.source_rows_of(["wf"])) == rows

    def test_a_row_that_becomes_somebody_else(self, ledger: Ledger) -> None:
        for identity_now, moment in ((A, START), (B, START + 60)):
            ledger.clock.now = moment
            ledger.journal().keep_source_rows([("1", identity_now)])
        assert [person for (person,) in ledger.query("SELECT person FROM cleanlist_source_rows")] == [B.hex()]

    def test_a_row_that_names_nobody_any_more_has_nobody(self, ledger: Ledger) -> None:
        ledger.journal().keep_source_rows([("1", A), ("2", B)])
        ledger.clock.now = START + 60
        ledger.journal().keep_source_rows([("1", b""), ("Bob Stone", b"")])
        rows = "SELECT source_id, person FROM cleanlist_source_rows ORDER BY source_id"
        assert ledger.query(rows) == [("1", ""), ("2", B.hex())]
        later = "SELECT source_id FROM cleanlist_source_rows WHERE seen_at > '2025-06-15 15:07'"
        assert ledger.query(later) == [("1",)]
        ledger.journal().keep_source_rows([("1", C)])
        assert ledger.query(rows) == [("1", C.hex()), ("2", B.hex())]

    def test_a_row_has_one_person_in_each_organisation(self, ledger: Ledger) -> None:
        ledger.journal("r1", organisation="org-1").keep_source_rows([("1", A)])
        ledger.journal("r2", organisation="org-2").keep_source_rows([("1", B)])
        rows = "SELECT organisation, person FROM cleanlist_source_rows ORDER BY 1"
        assert ledger.query(rows) == [("org-1", A.hex()), ("org-2", B.hex())]
        ledger.journal("r3", organisation="org-1").keep_source_rows([("1", b"")])
        assert ledger.query(rows) == [("org-1", ""), ("org-2", B.hex())]
        assert [row[:3] for row in ledger.database.source_rows_read([], "d", "r2")] == [("d/t", "1", B.hex())]

    def test_what_tasks_have_read(self, ledger: Ledger) -> None:
        def read(workflow_ids: list[str], run: str) -> list[tuple[str, ...]]:
            return sorted(row[:3] for row in ledger.database.source_rows_read(workflow_ids, "d", run))

        first = ledger.journal("r1")
        first.accept(begun(first, [A]), "wf", ["ta"], START)
        first.keep_source_rows([("1", A), ("2", B), ("3", C)])
        ledger.clock.now = START + 60
        ledger.journal("r2").keep_source_rows([("1", B), ("3", b"")])
        later = [("d/t", "1", B.hex()), ("d/t", "3", "")]
        assert read([], "r2") == later
        assert read([], "r1") == read(["wf"], "elsewhere") == [later[0], ("d/t", "2", B.hex()), later[1]]
        assert read([], "elsewhere") == read(["other"], "elsewhere") == []

    def test_what_an_earlier_attempt_of_a_run_has_read_is_the_runs(self, ledger: Ledger) -> None:
        ledger.journal("r0").keep_source_rows([("0", A)])
        ledger.clock.now = START + 60
        ledger.journal("r0", try_number=2).keep_source_rows([("2", B)])
        ledger.clock.now = START + 90
        ledger.journal("r1", try_number=1).keep_source_rows([("1", A), ("2", b""), ("3", A)])
        ledger.clock.now = START + 120
        ledger.journal("r1", try_number=2).keep_source_rows([("3", C)])
        found = sorted(row[:3] for row in ledger.database.source_rows_read([], "d", "r1"))
        assert found == [("d/t", "1", A.hex()), ("d/t", "2", ""), ("d/t", "3", C.hex())]

    @pytest.mark.parametrize("count", [0, 1, 500, 1_001])
    def test_any_number_of_rows(self, ledger: Ledger, count: int) -> None:
        ledger.journal().keep_source_rows((str(number), A) for number in range(count))
        assert ledger.query("SELECT COUNT(*) FROM cleanlist_source_rows") == [(count,)]
        found = {row.source_id for row in ledger.database.source_rows_read([], "d", "r")}
        assert found == set(map(str, range(count)))


def test_a_person_has_one_hash_however_the_fields_are_given() -> None:
    fields = {"first_name": " zofia ", "last_name": "QUXLEY", "company_domain": "Harborlight.example"}
    contact = Contact(first_name="Zofia", last_name="Quxley", company_domain="harborlight.example")
    assert person(fields) == person(contact) == identity(normalise(fields)).hex()
    assert len(person(contact)) == 24


def test_a_person_has_the_hash_under_which_a_source_submits_them() -> None:
    fields = {"first_name": '="Zofia"', "last_name": "'Quxley", "company_name": "Harbor;Side Co"}
    assert person(fields) == person({"first_name": "Zofia", "last_name": "Quxley", "company_name": "Harbor"})


@pytest.mark.parametrize(
    ("contact", "told"),
    [
        ({"company": "Harbor", "first_name": "Zofia", "last_name": "Quxley"}, r"unknown fields: company\. "),
        ({"firstname": "Zofia", "lastname": "Quxley"}, r"unknown fields: firstname, lastname\. "),
        (
            {"linkedin": None, "first_name": "Zofia", "last_name": "Quxley", "company_name": "Harbor"},
            "unknown fields: linkedin",
        ),
        ({}, "nobody's in the ledger: no LinkedIn URL, no name and no company"),
        (Contact(), "nobody's in the ledger"),
        ({"email": "zofia@harborlight.example"}, "nobody's in the ledger: only an e-mail address"),
        (
            {"first_name": "Zofia", "last_name": "Quxley"},
            "nobody's .*: company_name and company_domain are missing",
        ),
        (
            {"first_name": "N/A", "last_name": "Quxley", "company_name": "Harbor"},
            "first_name or last_name is missing",
        ),
        ({"linkedin_url": "https://www.linkedin.com/company/harbor"}, "not a person's LinkedIn URL"),
    ],
)
def test_a_hash_that_would_be_nobodys_is_refused(contact: Contact | dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        person(contact)
    assert not any(value in str(refusal.value) for value in ("Zofia", "Quxley", "Harbor", "zofia@"))


def test_what_plays_no_part_does_not_change_a_hash() -> None:
    named = {"first_name": "Zofia", "last_name": "Quxley", "company_domain": "harborlight.example"}
    more = {"email": "zofia@harborlight.example", "linkedin_url": None, "company_name": ""}
    assert person(named | more) == person(named)
    profile = "https://www.linkedin.com/in/zofia-quxley"
    assert person(named | {"linkedin_url": profile}) == person({"linkedin_url": profile})


def test_a_database_without_row_locks_is_refused_by_name() -> None:
    engine = sa.create_mock_engine("mssql://", lambda *_: None)
    with pytest.raises(JournalConfigurationError, match="is a database of type 'mssql', which lacks"):
        LedgerDatabase(engine, "'dwh'")  # type: ignore[arg-type]


@pytest.mark.parametrize("schema", [None, "ledger"])
def test_every_table_has_a_primary_key_on_mysql_and_mariadb(schema: str | None) -> None:
    tables = ledger_tables(schema).metadata.tables
    assert len(tables) == 7
    for table in tables.values():
        ddl = str(sa.schema.CreateTable(table).compile(dialect=mysql.dialect()))
        assert "PRIMARY KEY (" in ddl
        assert "ENGINE=InnoDB" in ddl


def test_an_unknown_error_of_a_database_is_named_without_its_text() -> None:
    class DriverError(Exception): ...

    with (
        pytest.raises(JournalUnavailableError, match=r"the ledger 'crm': DriverError 1105$"),
        database_errors("'crm'"),
    ):
        raise sa.exc.DBAPIError("SELECT 1", {}, DriverError(1105, "unknown error near 'Zofia'"))


@pytest.mark.parametrize(("limit", "is_bound"), [(20, True), (21, True), (22, False), (None, False)])
def test_max_credits_bounds_what_is_really_sent(ledger: Ledger, limit: int | None, is_bound: bool) -> None:
    """Phones alone were due when the cost was checked; then the other run's request for the emails was refused."""
    people = [{"first_name": name, "last_name": "X", "company_name": "Acme"} for name in "AB"]
    persons = [bytes.fromhex(person(one)) for one in people]
    other = ledger.journal("other")
    lost = begun(other, persons, PARTIAL)
    sent: list[tuple[str, int]] = []

    def balance() -> None:
        other.reject(lost, "503", START)

    def send(contacts: Any, kind: EnrichmentType, url: Any, observer: Any) -> BulkEnrichment:
        observer.sending()
        sent.append((kind.value, len(contacts)))
        return BulkEnrichment(workflow_id="wf", task_ids=[])

    submission = Submission(
        SubmissionOptions(enrichment_type=FULL, max_credits=limit),
        ledger.journal("mine", window=timedelta(days=30)),
        send,
        logging.getLogger(__name__),
        balance=balance,
        clock=ledger.clock,
    )
    with pytest.raises(CleanlistCreditLimitError) if is_bound else nullcontext():
        submission.run(RecordsSource(people))
    assert sent == ([] if is_bound else [("full", 2)])


def test_the_answer_to_a_batch_of_another_task_is_not_about_this_one(ledger: Ledger) -> None:
    first, second = ledger.journal("one"), ledger.journal("two")
    first.accept(begun(first, [A]), "wf", [], START)
    log = logging.getLogger(__name__)
    recorder = BatchRecorder(
        second, FULL, [B], log=log, clock=ledger.clock, may_send=lambda: None, is_due=lambda _: True
    )
    recorder.sending()
    with pytest.raises(SubmissionUnknownError, match="names workflow wf, which another batch became"):
        recorder.accepted(BulkEnrichment(workflow_id="wf", task_ids=[]))
    recorder.lost("SubmissionUnknownError")
    recorder.end()
    assert [(batch.state, batch.workflow_id) for batch in ledger.journal("two", try_number=2).batches] == [
        (BatchState.UNKNOWN, None)
    ]
    assert [batch.state for batch in ledger.journal("one", try_number=2).batches] == [BatchState.ACCEPTED]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("batches", "state", "weird"),
        ("batches", "state", "ACCEPTED"),
        ("batches", "decision", "perhaps"),
        ("batches", "submitted_at", "garbage"),
        ("batches", "changed_at", "yesterday"),
        ("batches", "changed_at", 7),
        ("contacts", "person", "zz"),
        ("contacts", "person", "0123456789abcdef0123456x"),
        ("contacts", "person", "0123"),
    ],
)
def test_a_cell_that_somebody_has_changed_is_named_without_its_value(
    ledger: Ledger, table: str, column: str, value: object
) -> None:
    begun(ledger.journal(), [A])
    ledger.database.run(
        lambda connection: connection.execute(
            sa.text(f"UPDATE cleanlist_{table} SET {column} = :value"), {"value": value}
        )
    )
    with pytest.raises(JournalCorruptError) as caught:
        ledger.journal()
    assert str(caught.value).startswith(f"cleanlist_{table}.{column} of the ledger holds a value")
    assert str(value) not in str(caught.value).replace(f"{table}.{column}", "")
    if table == "batches":
        with pytest.raises(JournalCorruptError, match=f"^cleanlist_{table}.{column} "):
            ledger.journal("other", window=timedelta(days=1)).histories([A])


def test_a_cell_that_somebody_has_changed_within_what_may_stand_there_is_read(ledger: Ledger) -> None:
    begun(ledger.journal(), [A])
    for change in (
        "enrichment_type = 'everything'",
        "submitted_at = '2025-06-15 00:00:00'",
        "state = 'unknown'",
        "note = 'by hand'",
    ):
        ledger.database.run(
            lambda connection, change=change: connection.execute(
                sa.text(f"UPDATE cleanlist_batches SET {change}")
            )
        )
    assert ledger.journal().histories([A]) == [ContactHistory(unknown_here=True)]


@pytest.mark.parametrize("window", [timedelta(days=999_999), timedelta.max, timedelta(days=20_000)])
def test_a_window_may_be_longer_than_there_were_years(ledger: Ledger, window: timedelta) -> None:
    begun(ledger.journal("one"), [A])
    assert ledger.journal("two", window=window).histories([A, B]) == [
        ContactHistory(bought=frozenset({FULL})),
        ContactHistory(),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        ["DROP TABLE cleanlist_ledger"],
        ["DELETE FROM cleanlist_ledger"],
        ["ALTER TABLE cleanlist_batches DROP COLUMN decision", "DELETE FROM cleanlist_ledger"],
        ["UPDATE cleanlist_ledger SET version = 1"],
        [
            "DROP TABLE cleanlist_keys",
            *(f"DELETE FROM cleanlist_{name}" for name in ("contacts", "batches", "attempts", "ledger")),
        ],
    ],
)
def test_a_set_up_is_completed(tmp_path: Path, changes: list[str]) -> None:
    """Whether it was interrupted, is an older release's, or somebody has deleted what says that it is done."""
    ledger = Ledger(tmp_path / "ledger.db")
    begun(ledger.journal(), [A])
    with ledger.engine.begin() as connection:
        for change in changes:
            connection.execute(sa.text(change))
    again = Ledger(tmp_path / "ledger.db")
    is_kept = "DELETE FROM cleanlist_batches" not in changes
    assert again.journal().histories([A]) == [ContactHistory(unknown_here=is_kept)]
    assert again.query("SELECT version FROM cleanlist_ledger") == [(2,)]
    for opened in (ledger, again):
        opened.engine.dispose()


@pytest.mark.parametrize("table", ["batches", "contacts", "attempts"])
@pytest.mark.parametrize(
    "version", ["DROP TABLE cleanlist_ledger", "UPDATE cleanlist_ledger SET version = 1"]
)
def test_a_table_that_was_dropped_is_not_made_anew(tmp_path: Path, table: str, version: str) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    begun(ledger.journal(), [A])
    with ledger.engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE cleanlist_{table}"))
        connection.execute(sa.text(version))
    with pytest.raises(JournalConfigurationError, match="a table of the ledger 'ledger' is missing"):
        Ledger(tmp_path / "ledger.db")
    ledger.engine.dispose()


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ("x" * 251, "the id of the run has 251 characters, and the ledger keeps at most 250"),
        ("\u00e9" * 300, "the id of the run has 300 characters"),
        ("a\0b", "the id of the run holds a character that databases cannot keep"),
        ("a\udc80", "the id of the run holds a character that databases cannot keep"),
    ],
)
def test_an_id_that_no_column_takes_is_named(ledger: Ledger, run: str, why: str) -> None:
    with pytest.raises(JournalConfigurationError, match=why):
        ledger.journal(run)
    with pytest.raises(JournalConfigurationError, match="the id of the organisation has 201"):
        ledger.journal(organisation="o" * 201)
    assert list(ledger.journal("\u00e9" * 250).batches) == []


def test_a_ledger_is_the_same_under_every_path_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "ledger.db")
    paths = [tmp_path / "ledger.db", tmp_path / "link.db", f"{tmp_path}//ledger.db", tmp_path / "other.db"]
    ledgers = [Ledger(Path(path)) for path in paths]
    assert len({one.database.location for one in ledgers[:3]}) == 1
    assert ledgers[3].database.location != ledgers[0].database.location
    for one in ledgers:
        one.engine.dispose()


def test_who_has_submitted_for_two_organisations_is_told_how_to_go_on(ledger: Ledger) -> None:
    begun(ledger.journal(organisation="one"), [A])
    begun(ledger.journal(organisation="two", token="again"), [A], now=START + 1)
    for organisation, token in (("two", ""), ("one", ""), ("one", "again")):
        with (
            pytest.raises(
                CleanlistConfigurationError,
                match="keep giving that value",
            ),
            submission_errors(),
        ):
            ledger.journal(organisation=organisation, token=token)
    assert ledger.journal(organisation="two", token="again").unknown_contacts == 1
    assert ledger.journal("new", organisation="one").unknown_contacts == 0
