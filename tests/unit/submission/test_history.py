"""What the journal says about a contact, and what a new try does about it."""

from __future__ import annotations

import itertools

import pytest

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.submission.history import (
    ContactHistory,
    ContactStatus,
    OnUnknown,
    PersonDecision,
    decide,
    decision_of,
    missing_type,
    on_unknown_of,
)
from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.stored.journal import JournalIndex

A, B, C, D = (bytes([n]) * IDENTITY_BYTES for n in (1, 2, 3, 4))
UNKNOWN = {BatchState.INTENT, BatchState.UNKNOWN}


def batch(state: BatchState, *identities: bytes) -> Batch:
    return Batch(0, state, b"".join(identities), "partial", 0.0, "wf")


def status(known: JournalIndex, contact: bytes, word: OnUnknown) -> ContactStatus:
    return decide(known.history(contact), EnrichmentType.PARTIAL, word).status


@pytest.mark.parametrize("states", list(itertools.product(BatchState, repeat=3)))
@pytest.mark.parametrize("word", OnUnknown)
def test_what_three_batches_say_about_a_contact(states: tuple[BatchState, ...], word: OnUnknown) -> None:
    known = JournalIndex([batch(state, A) for state in states])
    is_unknown = BatchState.ACCEPTED not in states and bool(UNKNOWN & set(states))

    assert known.unknown == is_unknown
    if BatchState.ACCEPTED in states:
        expected = ContactStatus.SUBMITTED
    elif is_unknown and (word is not OnUnknown.RESUBMIT or sum(state in UNKNOWN for state in states) > 1):
        expected = ContactStatus.UNKNOWN  # also who was submitted again before
    else:
        expected = ContactStatus.PENDING
    assert status(known, A, word) is expected
    assert status(known, B, word) is ContactStatus.PENDING


def test_contacts_of_a_batch_are_told_apart() -> None:
    known = JournalIndex(
        [
            batch(BatchState.UNKNOWN, A, B),
            batch(BatchState.ACCEPTED, B, C),
            batch(BatchState.REJECTED, D),
        ]
    )
    assert known.unknown == 1
    standings = [status(known, contact, OnUnknown.SKIP) for contact in (A, B, C, D)]
    assert standings == [
        ContactStatus.UNKNOWN,
        ContactStatus.SUBMITTED,
        ContactStatus.SUBMITTED,
        ContactStatus.PENDING,
    ]


def test_nothing_known() -> None:
    assert JournalIndex([]).unknown == 0


NONE, PARTIAL, PHONE_ONLY, FULL = EnrichmentType


@pytest.mark.parametrize(
    ("wanted", "bought", "missing"),
    [
        (FULL, (), FULL),
        (NONE, (), NONE),
        (FULL, (FULL,), None),
        (FULL, (PARTIAL,), PHONE_ONLY),
        (FULL, (PHONE_ONLY,), PARTIAL),
        (FULL, (PARTIAL, PHONE_ONLY), None),
        (FULL, (NONE,), FULL),
        (PARTIAL, (FULL,), None),
        (PARTIAL, (PHONE_ONLY,), PARTIAL),
        (PARTIAL, (NONE,), PARTIAL),
        (PHONE_ONLY, (PARTIAL,), PHONE_ONLY),
        (NONE, (PARTIAL,), None),
        (NONE, (NONE,), None),
    ],
)
def test_only_what_is_missing_is_bought(
    wanted: EnrichmentType, bought: tuple[EnrichmentType, ...], missing: EnrichmentType | None
) -> None:
    assert missing_type(wanted, bought) is missing
    decision = decide(ContactHistory(bought=frozenset(bought)), wanted, OnUnknown.FAIL)
    assert decision.enrichment_type is missing
    assert decision.status is (ContactStatus.KNOWN if missing is None else ContactStatus.PENDING)


@pytest.mark.parametrize("word", OnUnknown)
def test_what_this_run_did_goes_before_what_others_bought(word: OnUnknown) -> None:
    others = frozenset({EnrichmentType.FULL})
    submitted = ContactHistory(frozenset({PARTIAL}), unknown_here=True, bought=others)
    assert decide(submitted, PARTIAL, word).status is ContactStatus.SUBMITTED
    lost = decide(ContactHistory(unknown_here=True, bought=others), PARTIAL, word).status
    assert lost is (ContactStatus.KNOWN if word is OnUnknown.RESUBMIT else ContactStatus.UNKNOWN)


SKIP, RESUBMIT, STOP = PersonDecision


@pytest.mark.parametrize(
    ("word", "decision", "done"),
    [
        (OnUnknown.ASK, None, OnUnknown.ASK),
        (OnUnknown.ASK, SKIP, OnUnknown.SKIP),
        (OnUnknown.ASK, RESUBMIT, OnUnknown.RESUBMIT),
        (OnUnknown.ASK, STOP, OnUnknown.FAIL),
        (OnUnknown.FAIL, None, OnUnknown.FAIL),
        (OnUnknown.FAIL, SKIP, OnUnknown.SKIP),
        (OnUnknown.FAIL, RESUBMIT, OnUnknown.RESUBMIT),
        (OnUnknown.SKIP, RESUBMIT, OnUnknown.SKIP),
        (OnUnknown.RESUBMIT, STOP, OnUnknown.RESUBMIT),
    ],
)
def test_a_person_decides_where_the_argument_does_not(
    word: OnUnknown, decision: PersonDecision | None, done: OnUnknown
) -> None:
    assert on_unknown_of(word, decision) is done
    history = ContactHistory(unknown_here=True, decision=decision)
    is_resubmitted = decide(history, EnrichmentType.PARTIAL, word).status is ContactStatus.PENDING
    assert is_resubmitted == (done is OnUnknown.RESUBMIT)


@pytest.mark.parametrize(
    ("decisions", "last"),
    [
        ([], None),
        ([None], None),
        ([SKIP], SKIP),
        ([RESUBMIT, SKIP], SKIP),
        ([RESUBMIT, None], None),
        ([None, SKIP], None),
    ],
)
def test_the_last_word_counts_once_every_batch_has_one(
    decisions: list[PersonDecision | None], last: PersonDecision | None
) -> None:
    assert decision_of(decisions) is last


@pytest.mark.parametrize("word", OnUnknown)
@pytest.mark.parametrize("here", [frozenset(), *map(frozenset, itertools.combinations(EnrichmentType, 1))])
@pytest.mark.parametrize("others", [frozenset(), *map(frozenset, itertools.combinations(EnrichmentType, 1))])
@pytest.mark.parametrize("wanted", EnrichmentType)
def test_what_this_run_bought_and_what_others_bought_add_up(
    wanted: EnrichmentType,
    here: frozenset[EnrichmentType],
    others: frozenset[EnrichmentType],
    word: OnUnknown,
) -> None:
    decision = decide(ContactHistory(here, bought=others), wanted, word)
    assert decision.enrichment_type is missing_type(wanted, here | others)
    assert (decision.status is ContactStatus.SUBMITTED) == (missing_type(wanted, here) is None)
    lost = decide(ContactHistory(here, unknown_here=True, bought=others), wanted, word)
    if word is OnUnknown.RESUBMIT:
        assert lost == decision
    else:
        assert lost.enrichment_type is None


@pytest.mark.parametrize("recorded", ["", "platinum", None, 7, [], "FULL"])
def test_a_record_that_does_not_say_what_was_bought_counts_as_everything(recorded: object) -> None:
    value = batch(BatchState.ACCEPTED, A).to_json() | {"enrichment_type": recorded}
    if recorded is None:
        del value["enrichment_type"]
    read = Batch.from_json(0, value)
    assert read.kind is EnrichmentType.FULL
    for wanted in EnrichmentType:
        assert decide(JournalIndex([read]).history(A), wanted, OnUnknown.FAIL).enrichment_type is None
