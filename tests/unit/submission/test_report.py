"""What is said about what was submitted and what it cost."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES, RejectionReason
from airflow_provider_cleanlist.contacts.report import ReadReport, Tally
from airflow_provider_cleanlist.submission.credits import credits_spent
from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.options import SubmissionOptions
from airflow_provider_cleanlist.submission.report import (
    SubmissionReport,
    Tallies,
    event_extra,
    submission_line,
    submission_result,
)


def batch(contacts: int, kind: str = "full", state: BatchState = BatchState.ACCEPTED) -> Batch:
    return Batch(0, state, bytes(contacts * IDENTITY_BYTES), kind, 1.0, "wf")


def test_the_result_accounts_for_every_row() -> None:
    read = ReadReport(
        rows=20, duplicates=Tally(3, [1, 2, 3]), refused={RejectionReason.EMAIL_ONLY: Tally(2, [4, 5])}
    )
    batches = [batch(12), batch(2, state=BatchState.UNKNOWN), batch(5, state=BatchState.REJECTED)]
    report = SubmissionReport.of(batches, Tallies(refused_rows=[9], unknown=2))
    result = submission_result(SubmissionOptions(enrichment_type=EnrichmentType.FULL), read, report)
    parts = ("contacts_submitted", "duplicates_dropped", "invalid_contacts", "unknown_contacts")
    assert result["contacts_read"] == sum(result[part] for part in parts) == 20
    assert (result["batches"], result["enrichment_type"], result["worst_case_credits"]) == (1, "full", 154)


def test_the_line_mentions_earlier_attempts_and_unknown_contacts_only_if_there_are_any() -> None:
    result = {"contacts_submitted": 5, "batches": 2, "worst_case_credits": 55}
    plain = submission_line(result, SubmissionReport.of([], Tallies()))
    assert plain == "Submitted: 5 contacts in 2 workflows, at most 55 credits."
    single = {"contacts_submitted": 1, "batches": 1, "worst_case_credits": 1}
    line = submission_line(single, SubmissionReport.of([], Tallies()))
    assert line == "Submitted: 1 contact in 1 workflow, at most 1 credit."
    line = submission_line(result, SubmissionReport.of([], Tallies(submitted_earlier=3, unknown=4)))
    assert "This run had already submitted 3 contacts of the input" in line
    assert "Left out 4 contacts of unknown outcome" in line


def test_an_event_carries_the_first_workflow_ids_only() -> None:
    extra = event_extra({"workflow_ids": [str(number) for number in range(500)], "batches": 500})
    assert len(extra["workflow_ids"]) == 100
    assert extra["batches"] == 500


def test_a_contact_that_was_submitted_in_two_parts_counts_once() -> None:
    a, b, c = (bytes([n]) * IDENTITY_BYTES for n in range(1, 4))
    parts = [("partial", a + b), ("phone_only", b + a), ("full", c), ("partial", c)]
    batches = [Batch(0, BatchState.ACCEPTED, contacts, kind, 1.0, "wf") for kind, contacts in parts]
    report = SubmissionReport.of(batches, Tallies())
    assert report.submitted_as == {"partial": 3, "phone_only": 2, "full": 1}
    assert (report.contacts_submitted, report.worst_case_credits) == (3, 34)
    result = submission_result(SubmissionOptions(enrichment_type=EnrichmentType.FULL), ReadReport(), report)
    assert "By enrichment type: 3 for 'partial', 2 for 'phone_only', 1 for 'full'." in submission_line(
        result, report
    )


def test_batches_that_cleanlist_names_alike_are_one_workflow_with_one_type() -> None:
    kinds = [("full", "wf-1"), ("partial", "wf-2"), ("full", "wf-1")]
    batches = [Batch(0, BatchState.ACCEPTED, bytes(IDENTITY_BYTES), kind, 1.0, wf) for kind, wf in kinds]
    report = SubmissionReport.of(batches, Tallies())
    ends = [WorkflowEnd("wf-1", "completed", 1, 1), WorkflowEnd("wf-2", "completed", 1, 0)]
    assert report.enrichment_types == ["full", "partial"]
    assert credits_spent(report.enrichment_types, ends) == 11 + 1


def test_erased_contacts_are_still_submitted_and_billed() -> None:
    erased = replace(batch(6, "partial"), erased=4)
    report = SubmissionReport.of([erased], Tallies())
    assert (report.contacts_submitted, report.worst_case_credits) == (10, 10)
    assert report.submitted_as == {"partial": 10}


def test_the_line_does_not_repeat_the_type_that_was_asked_for() -> None:
    report = SubmissionReport.of([batch(3)], Tallies())
    result = submission_result(SubmissionOptions(enrichment_type=EnrichmentType.FULL), ReadReport(), report)
    assert submission_line(result, report) == "Submitted: 3 contacts in 1 workflow, at most 33 credits."
