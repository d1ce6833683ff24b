"""What is said about what was submitted and what it cost."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import RejectionReason
from airflow_provider_cleanlist.contacts.reading import ReadReport, Tally
from airflow_provider_cleanlist.submission.accounting import (
    credits_spent,
    event_extra,
    spending_line,
    submission_line,
    submission_result,
)
from airflow_provider_cleanlist.submission.options import SubmissionOptions
from airflow_provider_cleanlist.submission.submit import SubmissionReport

FOUND = {"emails_found": 7, "phones_found": 3}


def test_the_result_accounts_for_every_row() -> None:
    read = ReadReport(
        rows=20, duplicates=Tally(3, [1, 2, 3]), refused={RejectionReason.EMAIL_ONLY: Tally(2, [4, 5])}
    )
    report = SubmissionReport(["wf"], {}, 12, refused_rows=[9], unknown_contacts=2, worst_case_credits=154)
    result = submission_result(SubmissionOptions(enrichment_type=EnrichmentType.FULL), read, report)
    parts = ("contacts_submitted", "duplicates_dropped", "invalid_contacts", "unknown_contacts")
    assert result["contacts_read"] == sum(result[part] for part in parts) == 20
    assert (result["batches"], result["enrichment_type"], result["worst_case_credits"]) == (1, "full", 154)


@pytest.mark.parametrize(
    ("kinds", "spent"),
    [
        ((), 0),
        (("none",), 0),
        (("partial",), 7),
        (("phone_only",), 30),
        (("full",), 37),
        (("partial", "full"), None),
    ],
)
def test_credits_spent(kinds: tuple[str, ...], spent: int | None) -> None:
    assert credits_spent(frozenset(kinds), FOUND) == spent


@pytest.mark.parametrize(
    ("spent", "before", "after", "parts", "absent"),
    [
        (37, 100.0, 63.0, ("37 of at most 154", "from 100 to 63", "others"), ()),
        (37, None, 63.0, ("37 of at most 154",), ("balance",)),
        (37, 100.0, None, ("37 of at most 154",), ("balance",)),
        (None, 100.0, 63.0, ("cannot be told", "from 100 to 63"), ("None",)),
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


def test_the_line_mentions_earlier_tries_and_unknown_contacts_only_if_there_are_any() -> None:
    result = {"contacts_submitted": 5, "batches": 2, "worst_case_credits": 55}
    plain = submission_line(result, SubmissionReport())
    assert plain == "Submitted: 5 contacts in 2 workflows, at most 55 credits."
    line = submission_line(result, SubmissionReport(submitted_earlier=3, unknown_contacts=4))
    assert "3 of them" in line
    assert "4 more were left out" in line


def test_an_event_carries_the_first_workflow_ids_only() -> None:
    extra = event_extra({"workflow_ids": [str(number) for number in range(500)], "batches": 500})
    assert len(extra["workflow_ids"]) == 100
    assert extra["batches"] == 500
