"""What the journal says about a contact, and what a new try does about it."""

from __future__ import annotations

import itertools

import pytest

from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.journal_index import ContactStatus, JournalIndex, OnUnknown

A, B, C, D = (bytes([n]) * 8 for n in (1, 2, 3, 4))
UNKNOWN = {BatchState.INTENT, BatchState.UNKNOWN}


def batch(state: BatchState, *identities: bytes) -> Batch:
    return Batch(0, state, b"".join(identities), "partial", 0.0, "wf")


@pytest.mark.parametrize("states", list(itertools.product(BatchState, repeat=3)))
@pytest.mark.parametrize("word", OnUnknown)
def test_what_three_batches_say_about_a_contact(states: tuple[BatchState, ...], word: OnUnknown) -> None:
    known = JournalIndex([batch(state, A) for state in states])
    is_unknown = BatchState.ACCEPTED not in states and bool(UNKNOWN & set(states))

    assert known.unknown == is_unknown
    if BatchState.ACCEPTED in states:
        expected = ContactStatus.SUBMITTED
    elif is_unknown and word is not OnUnknown.RESUBMIT:
        expected = ContactStatus.UNKNOWN
    else:
        expected = ContactStatus.PENDING
    assert known.standing(A, word) is expected
    assert known.standing(B, word) is ContactStatus.PENDING


def test_contacts_of_a_batch_are_told_apart() -> None:
    known = JournalIndex(
        [
            batch(BatchState.UNKNOWN, A, B),
            batch(BatchState.ACCEPTED, B, C),
            batch(BatchState.REJECTED, D),
        ]
    )
    assert known.unknown == 1
    standings = [known.standing(contact, OnUnknown.SKIP) for contact in (A, B, C, D)]
    assert standings == [
        ContactStatus.UNKNOWN,
        ContactStatus.SUBMITTED,
        ContactStatus.SUBMITTED,
        ContactStatus.PENDING,
    ]


def test_nothing_known() -> None:
    assert JournalIndex([]).unknown == 0
