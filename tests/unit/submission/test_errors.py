"""What the messages say about the money."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.submission.errors import (
    moved_contacts,
    named_rows,
    not_accepted,
    refused_by_api,
    unknown_outcome,
)

INFO = errors.ErrorInfo("submit the bulk enrichment", "Insufficient credits", status=402, hint="Top up.")


def test_an_unknown_outcome_says_what_it_may_cost_and_the_three_ways_on() -> None:
    text = str(unknown_outcome({EnrichmentType.FULL: 250}, INFO))
    assert "250 contacts" in text
    assert "2,750 credits" in text
    assert all(word in text for word in ("'skip'", "'resubmit'", "force_resubmit"))


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
    assert "\n" not in str(moved_contacts(1, {EnrichmentType.PARTIAL: 3}))


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
    error = not_accepted(refusal, batch=10, cost=110, left=25, cost_left=275, balance=balance)
    text = str(error)
    assert isinstance(error, errors.InsufficientCreditsError)
    assert "remaining 25 contacts" in text
    assert text.endswith("Top up.")
    assert ("balance is 36.5 credits now" in text) is (balance is not None)
    assert ("110" in text and "275" in text) is (balance is not None)


def test_many_rows_are_not_all_named() -> None:
    assert named_rows([1, 2]) == "1, 2"
    assert named_rows(list(range(1, 24))).endswith("19, 20 and 3 more")
