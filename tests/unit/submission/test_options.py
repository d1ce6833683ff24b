"""Credit decisions, and what the messages say about the money."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.submission.options import (
    CreditLimitError,
    SubmissionOptions,
    check_credits,
    named_rows,
    not_accepted,
    refused_by_api,
    unknown_outcome,
)

INFO = errors.ErrorInfo("submit the bulk enrichment", "Insufficient credits", status=402, hint="Top up.")


@pytest.mark.parametrize(
    ("kind", "credits"),
    [
        (EnrichmentType.NONE, 0),
        (EnrichmentType.PARTIAL, 3),
        (EnrichmentType.PHONE_ONLY, 30),
        (EnrichmentType.FULL, 33),
    ],
)
def test_worst_case(kind: EnrichmentType, credits: int) -> None:
    assert SubmissionOptions(enrichment_type=kind).worst_case(3) == credits


@pytest.mark.parametrize(
    ("remaining", "spent", "max_credits", "balance", "passes"),
    [
        (10, 0, None, None, True),
        (10, 0, 100, None, True),
        (10, 0, 99, None, False),
        (10, 1, 100, None, False),
        (0, 100, 100, 0, True),
        (0, 101, 100, None, False),
        (10, 0, None, 100, True),
        (10, 0, None, 99.5, False),
        (10, 900, None, 100, True),  # the balance has paid for what was submitted before already
        (1, 0, 0, None, False),
    ],
)
def test_credit_limit(
    remaining: int, spent: int, max_credits: int | None, balance: float | None, passes: bool
) -> None:
    plan = SubmissionOptions(enrichment_type=EnrichmentType.PHONE_ONLY, max_credits=max_credits)
    if passes:
        check_credits(plan, remaining=remaining, spent=spent, balance=balance)
    else:
        with pytest.raises(CreditLimitError):
            check_credits(plan, remaining=remaining, spent=spent, balance=balance)


def test_a_credit_limit_names_both_sides() -> None:
    plan = SubmissionOptions(enrichment_type=EnrichmentType.FULL, max_credits=100)
    with pytest.raises(CreditLimitError) as caught:
        check_credits(plan, remaining=9, spent=11, balance=None)
    text = str(caught.value)
    assert all(part in text for part in ("9 contacts", "99 credits", "before up to 11", "max_credits=100"))


def test_an_unknown_outcome_says_what_it_may_cost_and_the_three_ways_on() -> None:
    text = str(unknown_outcome(SubmissionOptions(enrichment_type=EnrichmentType.FULL), 250, INFO))
    assert "250 contacts" in text
    assert "2750 credits" in text
    assert all(word in text for word in ("'skip'", "'resubmit'", "force_resubmit"))


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
    plan = SubmissionOptions(enrichment_type=EnrichmentType.FULL)
    error = not_accepted(plan, errors.InsufficientCreditsError(INFO), batch=10, left=25, balance=balance)
    text = str(error)
    assert isinstance(error, errors.InsufficientCreditsError)
    assert "25 contacts are left" in text
    assert text.endswith("Top up.")
    assert ("balance is 36.5 credits now" in text) is (balance is not None)
    assert ("110" in text and "275" in text) is (balance is not None)


def test_many_rows_are_not_all_named() -> None:
    assert named_rows([1, 2]) == "1, 2"
    assert named_rows(list(range(1, 24))).endswith("19, 20 and 3 more")
