"""What contacts cost, at worst and as found."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.client.enrichment import EnrichmentType, worst_case_credits
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.exceptions import CleanlistCreditLimitError
from airflow_provider_cleanlist.submission.credits import check_credits, credits_spent, spending_line

FOUND = {"emails_found": 7, "phones_found": 3}


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
    contacts = {EnrichmentType.PHONE_ONLY: remaining}
    if passes:
        check_credits(contacts, spent=spent, max_credits=max_credits, balance=balance)
    else:
        with pytest.raises(CleanlistCreditLimitError):
            check_credits(contacts, spent=spent, max_credits=max_credits, balance=balance)


def test_a_credit_limit_names_both_sides() -> None:
    with pytest.raises(CleanlistCreditLimitError) as caught:
        check_credits({EnrichmentType.FULL: 9}, spent=11, max_credits=100, balance=None)
    text = str(caught.value)
    assert all(part in text for part in ("9 contacts", "99 credits", "before up to 11", "max_credits=100"))


def test_a_credit_limit_names_every_type() -> None:
    contacts = {EnrichmentType.FULL: 2, EnrichmentType.PHONE_ONLY: 3, EnrichmentType.PARTIAL: 0}
    assert worst_case_credits(contacts) == 52
    with pytest.raises(
        CleanlistCreditLimitError,
        match=r"^Did not submit 5 contacts: .*='full' and 'phone_only' .* 52 credits",
    ):
        check_credits(contacts, spent=0, max_credits=51, balance=None)


@pytest.mark.parametrize(
    ("kinds", "finds", "spent"),
    [
        ((), (), 0),
        (("none",), ((7, 3),), 0),
        (("partial",), ((7, 3),), 7),
        (("phone_only",), ((7, 3),), 30),
        (("full",), ((7, 3),), 37),
        (("partial", "full", "phone_only"), ((7, 3), (1, 1), (5, 2)), 7 + 11 + 20),
        (("partial", "phone_only"), ((7, None), (None, 2)), 7 + 20),
        (("partial", "full"), ((7, 3), (1, None)), None),
        (("none",), ((None, None),), 0),
    ],
)
def test_credits_spent(
    kinds: tuple[str, ...], finds: tuple[tuple[int | None, int | None], ...], spent: int | None
) -> None:
    ends = [WorkflowEnd(f"wf{index}", "completed", *found) for index, found in enumerate(finds)]
    assert credits_spent(kinds, ends) == spent


@pytest.mark.parametrize(
    ("spent", "before", "after", "parts", "absent"),
    [
        (37, 100.0, 63.0, ("37 of at most 154", "from 100 to 63", "others"), ()),
        (37, None, 63.0, ("37 of at most 154",), ("balance",)),
        (37, 100.0, None, ("37 of at most 154",), ("balance",)),
        (None, 100.0, 63.0, ("cannot be determined", "from 100 to 63"), ("None",)),
    ],
)
def test_spending(
    spent: int | None,
    before: float | None,
    after: float | None,
    parts: tuple[str, ...],
    absent: tuple[str, ...],
) -> None:
    result = {"credits_spent": spent, "worst_case_credits": 154}
    line = spending_line(result, balance_before=before, balance_after=after)
    assert all(part in line for part in parts)
    assert not any(part in line for part in absent)
