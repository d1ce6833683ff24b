"""What the messages say about the money."""

from __future__ import annotations

import errno

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistStateError
from airflow_provider_cleanlist.submission.errors import (
    JournalConfigurationError,
    moved_contacts,
    named_rows,
    not_accepted,
    refused_by_api,
    submission_errors,
    unknown_elsewhere,
    unknown_outcome,
)

INFO = errors.ErrorInfo("submit the bulk enrichment", "Insufficient credits", status=402, hint="Top up.")


def test_an_unknown_outcome_says_what_it_may_cost_and_the_three_ways_on() -> None:
    text = str(unknown_outcome({EnrichmentType.FULL: 250}, INFO))
    assert "250 contacts" in text
    assert "2,750 credits" in text
    assert all(word in text for word in ("'skip'", "'resubmit'", "force_resubmit"))
    assert "minutes later, so an unchanged balance does not show that nothing was accepted." in text


def test_an_unknown_outcome_puts_the_decision_into_a_short_first_line() -> None:
    first, rest = str(unknown_outcome({EnrichmentType.PARTIAL: 1_000_000}, INFO)).split("\n")
    assert first == (
        "1,000,000 contacts may be billed: clear with on_unknown_submission='skip' or 'resubmit'."
    )
    assert len(first) <= 100
    assert rest.startswith(
        "It is not known whether Cleanlist accepted the request to submit the bulk enrichment"
    )


def test_what_asks_for_no_decision_is_one_line() -> None:
    assert str(errors.InvalidRequestError(INFO)).startswith("Cleanlist could not submit")
    assert "\n" not in str(errors.InvalidRequestError(INFO))


def test_contacts_that_may_have_moved_put_the_decision_into_a_short_first_line() -> None:
    first, rest = str(moved_contacts(1, {EnrichmentType.PARTIAL: 1_000_000})).split("\n")
    assert first == (
        "1,000,000 contacts may be submitted twice: map over the list as it was, in the same order, then clear."
    )
    assert "on_unknown_submission='resubmit'" in rest


@pytest.mark.parametrize(("is_asked", "words"), [(True, "Browse > Required Actions"), (False, "'resubmit'")])
def test_another_map_indexs_contacts_are_decided_about_there(is_asked: bool, words: str) -> None:
    first, rest = str(unknown_elsewhere({EnrichmentType.FULL: 3}, is_asked=is_asked)).split("\n")
    assert first.startswith("3 contacts may be billed: ")
    assert len(first) <= 100
    assert "another map index has submitted contacts of this input" in rest
    assert "an earlier attempt of this task" not in rest
    assert words in rest
    assert ("on_unknown_submission" in first + rest) is not is_asked


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("on_unknown_submission='ask' needs a record", "on_unknown_submission='ask' needs a record."),
        ("skip_submitted_within needs a ledger.", "skip_submitted_within needs a ledger."),
        ("[cleanlist] journal_path is missing", "[cleanlist] journal_path is missing."),
        ("the ledger is full", "The ledger is full."),
    ],
)
def test_the_name_of_an_argument_stays_as_it_is_written(text: str, sentence: str) -> None:
    with pytest.raises(CleanlistConfigurationError) as caught, submission_errors():
        raise JournalConfigurationError(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_retried(number: int) -> None:
    with (
        pytest.raises(CleanlistStateError, match=r"temporary directory .* is full.*set TMPDIR") as caught,
        submission_errors(),
    ):
        raise OSError(number, "No space left on device")
    assert not isinstance(caught.value, AirflowFailException)


def test_other_errors_of_the_system_stay_what_they_are() -> None:
    with pytest.raises(ConnectionRefusedError), submission_errors():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")


def test_a_refusal_of_contacts_names_rows() -> None:
    error = refused_by_api(errors.InvalidRequestError(INFO), [3, 8])
    assert isinstance(error, errors.InvalidRequestError)
    assert "2 contacts" in str(error)
    assert "Source rows: 3, 8." in str(error)
    assert "on_invalid_contact='skip'" in str(error)


def test_a_refusal_without_contacts_says_that_skipping_would_not_help() -> None:
    text = str(refused_by_api(errors.InvalidRequestError(INFO), []))
    assert "names no contact" in text
    assert "webhook_url" in text
    assert "on_invalid_contact" not in text


@pytest.mark.parametrize("balance", [None, 36.5])
def test_a_refusal_says_what_is_left(balance: float | None) -> None:
    refusal = errors.InsufficientCreditsError(INFO)
    full = EnrichmentType.FULL
    error = not_accepted(refusal, batch={full: 10}, left={full: 25}, balance=balance)
    text = str(error)
    assert isinstance(error, errors.InsufficientCreditsError)
    assert "remaining 25 contacts" in text
    assert text.endswith("Top up.")
    assert ("balance is 36.5 credits now" in text) is (balance is not None)
    assert ("110" in text and "275" in text) is (balance is not None)


def test_many_rows_are_not_all_named() -> None:
    assert named_rows([1, 2]) == "1, 2"
    assert named_rows(list(range(1, 24))).endswith("19, 20 and 3 more")
