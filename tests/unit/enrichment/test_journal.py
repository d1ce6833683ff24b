"""The journal: every transition, every kind of damage, and what a later try concludes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.enrichment.journal import (
    Batch,
    BatchState,
    Journal,
    JournalCorruptError,
    Ledger,
    OnUnknown,
    Proceed,
    Stop,
    decide,
    ledger,
)

A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))
HEADER = "cleanlist_journal"
FIRST = "cleanlist_journal.batch.000000"


class JsonStore:
    """Keeps values as JSON text, as every real store does."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.largest = 0

    def read(self, key: str) -> Any:
        text = self.texts.get(key)
        return None if text is None else json.loads(text)

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.texts[key] = json.dumps(value)
        self.largest = max(self.largest, len(self.texts[key]))


def reopened(store: JsonStore, token: str | None = None) -> Journal:
    journal = Journal(store, token)
    journal.load()
    return journal


def test_an_empty_store_is_an_empty_journal() -> None:
    assert list(reopened(JsonStore()).batches) == []


def test_an_accepted_batch_comes_back_whole() -> None:
    store = JsonStore()
    journal = reopened(store)
    batch = journal.accept(journal.begin([A, B], "full", 10.0), "wf", ["t1", "t2"], 11.0)

    assert list(reopened(store).batches) == [batch]
    assert batch == Batch(0, BatchState.ACCEPTED, (A, B), "full", 11.0, "wf", ("t1", "t2"))


@pytest.mark.parametrize("settle", ["reject", "lose"])
def test_other_outcomes_come_back_with_their_note(settle: str) -> None:
    store = JsonStore()
    journal = reopened(store)
    getattr(journal, settle)(journal.begin([A], "partial", 1.0), "HTTP 500", 2.0)

    (batch,) = reopened(store).batches
    assert batch.note == "HTTP 500"
    assert batch.state is {"reject": BatchState.REJECTED, "lose": BatchState.UNKNOWN}[settle]


def test_a_rejected_batch_can_be_sent_again_under_its_number() -> None:
    store = JsonStore()
    journal = reopened(store)
    batch = journal.reopen(journal.reject(journal.begin([A], "partial", 1.0), "429", 2.0), 3.0)

    assert [item.state for item in reopened(store).batches] == [BatchState.INTENT]
    journal.accept(batch, "wf", [], 4.0)
    assert [item.workflow_id for item in reopened(store).batches] == ["wf"]


def test_the_intent_is_written_before_the_header_counts_it() -> None:
    order: list[str] = []

    class Recording(JsonStore):
        def write(self, key: str, value: dict[str, Any]) -> None:
            order.append(key)
            super().write(key, value)

    reopened(Recording()).begin([A], "partial", 1.0)
    assert order == [FIRST, HEADER]


def test_a_record_that_the_header_does_not_count_was_never_sent() -> None:
    store = JsonStore()
    reopened(store).begin([A], "partial", 1.0)
    del store.texts[HEADER]

    assert ledger(reopened(store).batches) == Ledger(frozenset(), frozenset())


def test_each_token_has_a_journal_of_its_own() -> None:
    store = JsonStore()
    for token in (None, "one", "two"):
        journal = reopened(store, token)
        assert not journal.batches
        journal.accept(journal.begin([A], "partial", 1.0), f"wf-{token}", [], 2.0)
    assert [reopened(store, token).batches[0].workflow_id for token in (None, "one", "two")] == [
        "wf-None",
        "wf-one",
        "wf-two",
    ]


def test_the_largest_possible_record_stays_below_the_limit_of_the_task_state_store() -> None:
    store = JsonStore()
    journal = reopened(store)
    identities = [number.to_bytes(8, "big") for number in range(250)]
    task_ids = [f"0b0f9c0e-6a53-4f52-8c8b-{number:012d}" for number in range(250)]
    journal.accept(journal.begin(identities, "partial", 1.0), "public_bulk_" + "0" * 36, task_ids, 2.0)
    assert store.largest < 65_535 / 3


def _damaged(key: str, change: Any) -> JsonStore:
    store = JsonStore()
    journal = reopened(store)
    journal.accept(journal.begin([A, B], "partial", 1.0), "wf", [], 2.0)
    value = store.read(key)
    store.texts[key] = json.dumps(change(value))
    return store


@pytest.mark.parametrize(
    ("key", "change"),
    [
        (HEADER, lambda value: {**value, "batches": 2}),
        (HEADER, lambda value: {**value, "batches": 0}),
        (HEADER, lambda value: {**value, "batches": -1}),
        (HEADER, lambda value: {**value, "version": 99}),
        (HEADER, lambda value: "text"),
        (HEADER, lambda value: {}),
        (HEADER, lambda value: []),
        (FIRST, lambda value: {**value, "version": 99}),
        (FIRST, lambda value: {**value, "state": "paid"}),
        (FIRST, lambda value: {**value, "contacts": "***"}),
        (FIRST, lambda value: {**value, "contacts": "AAAA"}),
        (FIRST, lambda value: {**value, "contacts": None}),
        (FIRST, lambda value: {**value, "count": 1}),
        (FIRST, lambda value: {**value, "workflow_id": None}),
        (FIRST, lambda value: {**value, "changed_at": "yesterday"}),
        (FIRST, lambda value: {key: value[key] for key in value if key != "task_ids"}),
        (FIRST, lambda value: []),
        (FIRST, lambda value: 7),
    ],
)
def test_damage_is_never_taken_for_absence(key: str, change: Any) -> None:
    with pytest.raises(JournalCorruptError):
        reopened(_damaged(key, change))


def test_a_lost_record_is_damage() -> None:
    store = JsonStore()
    journal = reopened(store)
    for _ in range(3):
        journal.accept(journal.begin([A], "partial", 1.0), "wf", [], 2.0)
    del store.texts["cleanlist_journal.batch.000001"]
    with pytest.raises(JournalCorruptError, match="batch record 1 of 3 is missing"):
        reopened(store)


def _batch(number: int, state: BatchState, *identities: bytes) -> Batch:
    return Batch(number, state, identities, "partial", 0.0, "wf" if state is BatchState.ACCEPTED else None)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(BatchState, repeat=2)))
def test_what_two_batches_say_about_a_contact(first: BatchState, second: BatchState) -> None:
    known = ledger([_batch(0, first, A), _batch(1, second, A)])
    states = {first, second}
    accepted = BatchState.ACCEPTED in states
    unknown = not accepted and bool(states & {BatchState.INTENT, BatchState.UNKNOWN})
    assert known == Ledger(frozenset({A} if accepted else ()), frozenset({A} if unknown else ()))


@pytest.mark.parametrize(
    ("unknown", "word", "decision"),
    [
        ((), OnUnknown.FAIL, Proceed(frozenset({A}))),
        ((), OnUnknown.SKIP, Proceed(frozenset({A}))),
        ((), OnUnknown.RESUBMIT, Proceed(frozenset({A}))),
        ((B, C), OnUnknown.FAIL, Stop(2)),
        ((B, C), OnUnknown.SKIP, Proceed(frozenset({A, B, C}))),
        ((B, C), OnUnknown.RESUBMIT, Proceed(frozenset({A}))),
    ],
)
def test_decisions(unknown: tuple[bytes, ...], word: OnUnknown, decision: Proceed | Stop) -> None:
    assert decide(Ledger(frozenset({A}), frozenset(unknown)), word) == decision


@given(
    st.lists(
        st.tuples(
            st.sampled_from(BatchState), st.lists(st.binary(min_size=8, max_size=8), max_size=5, unique=True)
        ),
        max_size=8,
    )
)
def test_a_journal_survives_any_history(history: list[tuple[BatchState, list[bytes]]]) -> None:
    store = JsonStore()
    journal = reopened(store)
    for state, identities in history:
        batch = journal.begin(identities, "partial", 1.0)
        if state is BatchState.ACCEPTED:
            journal.accept(batch, "wf", ["t"], 2.0)
        elif state is BatchState.REJECTED:
            journal.reject(batch, "note", 2.0)
        elif state is BatchState.UNKNOWN:
            journal.lose(batch, "note", 2.0)
    assert list(reopened(store).batches) == list(journal.batches)
    known = ledger(journal.batches)
    assert not known.accepted & known.unknown
