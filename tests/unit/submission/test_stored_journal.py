"""The journal: every transition, every kind of damage, tries that do not spoil each other, failing writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.submission.errors import (
    JournalCorruptError,
    JournalTakenOverError,
    JournalUnavailableError,
)
from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.stored.journal import WRITE_PAUSES, StoredJournal

A, B = (bytes([n]) * IDENTITY_BYTES for n in (1, 2))
HEADER = "cleanlist_journal.try1"
FIRST = "cleanlist_journal.try1.000000"
SECOND = "cleanlist_journal.try1.000001"


class JsonStore:
    """Keeps values as JSON text, as every real store does; all tries share the texts."""

    others: ClassVar[dict[str, int]] = {}
    sees_all_indexes = True

    def __init__(self, parts: Sequence[str] = ("try1",), texts: dict[str, str] | None = None) -> None:
        self.parts = parts
        self.texts: dict[str, str] = {} if texts is None else texts
        self.writes: list[str] = []

    def next_try(self) -> JsonStore:
        return type(self)([*self.parts, f"try{len(self.parts) + 1}"], self.texts)

    def read(self, key: str) -> Any:
        text = self.texts.get(key)
        return None if text is None else json.loads(text)

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.writes.append(key)
        self.texts[key] = json.dumps(value)

    def check_ownership(self) -> None: ...


def begun(journal: StoredJournal, identities: Iterable[bytes], kind: str, now: float) -> Batch:
    batch = journal.begin(list(identities), kind, now, lambda _: True)
    assert batch is not None
    return batch


def reopened(journal: StoredJournal, batch: Batch, now: float) -> Batch:
    again = journal.reopen(batch, now, lambda _: True)
    assert again is not None
    return again


def opened(store: JsonStore, token: str | None = None, **options: Any) -> StoredJournal:
    journal = StoredJournal(store, token, **options)
    journal.load()
    return journal


def test_an_empty_store_is_an_empty_journal() -> None:
    assert opened(JsonStore()).batches == []


def test_an_accepted_batch_comes_back_whole() -> None:
    store = JsonStore()
    journal = opened(store)
    batch = journal.accept(begun(journal, [A, B], "full", 10.0), "wf", ["t1", "t2"], 11.0)

    assert opened(store.next_try(), keep_task_ids=True).batches == [batch]
    assert batch == Batch(0, BatchState.ACCEPTED, A + B, "full", 11.0, "wf", ("t1", "t2"), submitted_at=10.0)
    assert list(batch.contacts()) == [A, B]
    assert batch.size == 2


def test_task_ids_stay_out_of_memory_unless_wanted_but_are_stored() -> None:
    store = JsonStore()
    journal = opened(store)
    journal.accept(begun(journal, [A], "full", 10.0), "wf", ["t1"], 11.0)

    assert [batch.task_ids for batch in journal.batches] == [()]
    assert [batch.task_ids for batch in opened(store.next_try()).batches] == [()]
    assert [batch.task_ids for batch in opened(store.next_try(), keep_task_ids=True).batches] == [("t1",)]


@pytest.mark.parametrize(
    ("settle", "state", "may_be_billed", "is_unknown"),
    [
        (lambda journal, batch: batch, BatchState.INTENT, True, True),
        (lambda journal, batch: journal.lose(batch, "why", 2.0), BatchState.UNKNOWN, True, True),
        (lambda journal, batch: journal.reject(batch, "why", 2.0), BatchState.REJECTED, False, False),
        (lambda journal, batch: journal.accept(batch, "wf", [], 2.0), BatchState.ACCEPTED, True, False),
    ],
    ids=["nothing", "lose", "reject", "accept"],
)
def test_what_a_later_try_reads(
    settle: Callable[[StoredJournal, Batch], Batch], state: BatchState, may_be_billed: bool, is_unknown: bool
) -> None:
    store = JsonStore()
    journal = opened(store)
    settled = settle(journal, begun(journal, [A], "partial", 1.0))

    (batch,) = opened(store.next_try()).batches
    assert batch == settled
    assert (batch.state, batch.may_be_billed, batch.is_unknown) == (state, may_be_billed, is_unknown)


def test_a_rejected_batch_can_be_sent_again_under_its_number() -> None:
    store = JsonStore()
    journal = opened(store)
    batch = reopened(journal, journal.reject(begun(journal, [A], "partial", 1.0), "429", 2.0), 3.0)

    assert [(item.state, item.note) for item in opened(store.next_try()).batches] == [(BatchState.INTENT, "")]
    journal.accept(batch, "wf", [], 4.0)
    assert [item.workflow_id for item in opened(store.next_try()).batches] == ["wf"]


def test_the_intent_is_written_before_the_header_counts_it() -> None:
    store = JsonStore()
    begun(opened(store), [A], "partial", 1.0)
    assert store.writes == [FIRST, HEADER]


def test_a_record_that_the_header_does_not_count_was_never_sent() -> None:
    store = JsonStore()
    begun(opened(store), [A], "partial", 1.0)
    del store.texts[HEADER]

    assert opened(store.next_try()).batches == []


def test_each_token_has_a_journal_of_its_own() -> None:
    store = JsonStore()
    for token in (None, "one", "two"):
        journal = opened(store, token)
        assert journal.batches == []
        journal.accept(begun(journal, [A], "partial", 1.0), f"wf-{token}", [], 2.0)
    workflows = [opened(store.next_try(), token).batches[0].workflow_id for token in (None, "one", "two")]
    assert workflows == ["wf-None", "wf-one", "wf-two"]


def test_the_largest_possible_record_stays_below_the_limit_of_the_task_state_store() -> None:
    store = JsonStore()
    journal = opened(store)
    identities = [number.to_bytes(8, "big") for number in range(250)]
    task_ids = [f"0b0f9c0e-6a53-4f52-8c8b-{number:012d}" for number in range(250)]
    journal.accept(begun(journal, identities, "partial", 1.0), "public_bulk_" + "0" * 36, task_ids, 2.0)
    assert max(map(len, store.texts.values())) < 65_535 / 3


class TestDamage:
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
    def test_is_never_taken_for_absence(self, key: str, change: Callable[[Any], Any]) -> None:
        store = JsonStore()
        journal = opened(store)
        journal.accept(begun(journal, [A, B], "partial", 1.0), "wf", [], 2.0)
        store.texts[key] = json.dumps(change(store.read(key)))
        with pytest.raises(JournalCorruptError):
            opened(store.next_try())

    def test_a_lost_record_is_damage(self) -> None:
        store = JsonStore()
        journal = opened(store)
        for number in range(3):
            journal.accept(begun(journal, [A], "partial", 1.0), f"wf-{number}", [], 2.0)
        del store.texts[SECOND]
        with pytest.raises(JournalCorruptError, match="batch record 1 of 3 is missing"):
            opened(store.next_try())


class TestTries:
    def test_a_later_try_reads_all_and_writes_a_part_of_its_own(self) -> None:
        first = JsonStore()
        journal = opened(first)
        journal.accept(begun(journal, [A], "partial", 1.0), "wf-1", [], 2.0)
        second = first.next_try()
        journal = opened(second)
        journal.accept(begun(journal, [B], "partial", 3.0), "wf-2", [], 4.0)

        assert [batch.workflow_id for batch in journal.batches] == ["wf-1", "wf-2"]
        assert [batch.workflow_id for batch in opened(second.next_try()).batches] == ["wf-1", "wf-2"]
        assert not set(first.writes) & set(second.writes)

    def test_an_older_try_that_still_writes_spoils_nothing(self) -> None:
        first = JsonStore()
        older = opened(first)
        newer = opened(first.next_try())
        newer.accept(begun(newer, [A], "partial", 1.0), "wf-new", [], 2.0)
        older.accept(begun(older, [B], "partial", 3.0), "wf-old", [], 4.0)

        batches = opened(first.next_try().next_try()).batches
        assert {batch.workflow_id for batch in batches} == {"wf-new", "wf-old"}

    @pytest.mark.parametrize("again", [False, True])
    def test_an_intent_of_a_try_that_was_taken_over_is_not_left_unknown(self, again: bool) -> None:
        class TakenOver(JsonStore):
            is_owner = True

            def check_ownership(self) -> None:
                if not self.is_owner:
                    raise JournalTakenOverError("taken over")

        store = TakenOver()
        journal = opened(store)
        begin = partial(begun, journal, [A], "partial", 1.0)
        send = partial(reopened, journal, journal.reject(begin(), "429", 2.0), 3.0) if again else begin
        store.is_owner = False
        with pytest.raises(JournalTakenOverError):
            send()
        assert [item.state for item in opened(store.next_try()).batches] == [BatchState.REJECTED]


class FailingStore(JsonStore):
    """Fails a number of writes."""

    def __init__(self, failures: int, error: Exception) -> None:
        super().__init__()
        self.failures = failures
        self.error = error
        self.attempts = 0

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.attempts += 1
        if self.failures:
            self.failures -= 1
            raise self.error
        super().write(key, value)


class TestFailingWrites:
    @pytest.mark.parametrize("failures", [1, len(WRITE_PAUSES)])
    def test_are_repeated(self, failures: int) -> None:
        slept: list[float] = []
        store = FailingStore(0, JournalUnavailableError("away"))
        journal = opened(store, sleep=slept.append)
        batch = begun(journal, [A], "partial", 1.0)
        store.failures = failures
        journal.accept(batch, "wf", [], 2.0)

        assert slept == list(WRITE_PAUSES[:failures])
        store.parts = ["try1", "try2"]
        assert [item.workflow_id for item in opened(store).batches] == ["wf"]

    def test_end_with_the_error(self) -> None:
        store = FailingStore(99, JournalUnavailableError("away"))
        with pytest.raises(JournalUnavailableError, match="away"):
            begun(opened(store, sleep=lambda _: None), [A], "partial", 1.0)
        assert store.attempts == len(WRITE_PAUSES) + 1

    def test_are_not_repeated_once_taken_over(self) -> None:
        store = FailingStore(99, JournalTakenOverError("another try"))
        with pytest.raises(JournalTakenOverError):
            begun(opened(store), [A], "partial", 1.0)
        assert store.attempts == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(BatchState),
            st.lists(st.binary(min_size=IDENTITY_BYTES, max_size=IDENTITY_BYTES), max_size=5, unique=True),
        ),
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_a_journal_survives_any_history(
    history: list[tuple[BatchState, list[bytes]]], batches_per_try: int
) -> None:
    store = JsonStore()
    journal = opened(store)
    for number, (state, identities) in enumerate(history):
        if number and number % batches_per_try == 0:
            store = store.next_try()
            journal = opened(store)
        batch = begun(journal, identities, "partial", 1.0)
        if state is BatchState.ACCEPTED:
            journal.accept(batch, f"wf-{number}", ["t"], 2.0)
        elif state is BatchState.REJECTED:
            journal.reject(batch, "note", 2.0)
        elif state is BatchState.UNKNOWN:
            journal.lose(batch, "note", 2.0)
    assert opened(store.next_try()).batches == journal.batches
    assert [(batch.state, list(batch.contacts())) for batch in journal.batches] == history


RECORD = Batch(0, BatchState.ACCEPTED, A, "full", 1.0, "w", ("t1", "t2")).to_json()


@pytest.mark.parametrize(
    "damage",
    [
        {"changed_at": 10**400},
        {"changed_at": float("nan")},
        {"decided_at": 10**400},
        {"decided_at": float("inf")},
        {"workflow_id": {"a": 1}},
        {"workflow_id": 5},
        {"workflow_id": "w\nforged line"},
        {"workflow_id": "w" * 513},
        {"task_ids": "abc"},
        {"task_ids": {"a": 1}},
        {"task_ids": ["t1", {}]},
        {"task_ids": ["t1\x1b[31m"]},
    ],
)
def test_a_damaged_value_of_a_record_is_named(damage: dict[str, Any]) -> None:
    with pytest.raises(JournalCorruptError, match=r"^batch record 0 is not readable$"):
        Batch.from_json(0, RECORD | damage)


def test_a_whole_record_is_read() -> None:
    batch = Batch.from_json(0, RECORD)
    assert (batch.workflow_id, batch.task_ids, batch.changed_at) == ("w", ("t1", "t2"), 1.0)
    assert Batch.from_json(0, RECORD | {"state": "unknown", "workflow_id": None}).workflow_id is None


@pytest.mark.parametrize(
    ("version", "named"),
    [(2, "2"), ("1\n2026 forged" + "x" * 5000, "of another kind"), ({}, "of another kind")],
)
def test_a_foreign_version_is_not_quoted_whole(version: object, named: str) -> None:
    with pytest.raises(
        JournalCorruptError, match=rf"^batch record 0 has version {named}, this release knows 1$"
    ):
        Batch.from_json(0, RECORD | {"version": version})


@pytest.mark.parametrize("batches", [float("inf"), float("nan"), -1, None])
def test_a_count_that_is_none_is_named(batches: object) -> None:
    store = JsonStore()
    store.texts[HEADER] = json.dumps({"version": 1, "batches": batches, "organisation": ""})
    with pytest.raises(JournalCorruptError, match="a header is not readable"):
        StoredJournal(store).load()
