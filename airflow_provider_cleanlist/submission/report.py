"""What a task submitted, for logs, XCom and asset events. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cleanlist.client.enrichment import EnrichmentType, worst_case_credits
from airflow_provider_cleanlist.contacts.identity import Deduplicator
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.submission.credits import may_have_cost
from airflow_provider_cleanlist.submission.history import BatchState, OnUnknown
from airflow_provider_cleanlist.submission.journal import Batch
from airflow_provider_cleanlist.submission.options import SubmissionOptions
from airflow_provider_cleanlist.wording import counted

MAX_IDS_IN_EVENT = 100


@dataclass(slots=True)
class Tallies:
    """What became of the contacts in this attempt's input that it did not submit.

    Attributes:
        submitted_earlier: Contacts that this run and task had submitted before, for all or a part of what is asked for.
        known: Contacts that somebody in the organisation had submitted within ``skip_submitted_within``.
        known_credits: Credits that these would have cost at most.
        known_unanswered: Those of them whose request nobody knows the outcome of, so far.
        rest_unanswered: Contacts that were submitted for the part that such a request did not ask for.
        unknown: Contacts that were left out because their outcome is unknown.
        refused_rows: Rows that Cleanlist itself refused and that were left out.
    """

    submitted_earlier: int = 0
    known: int = 0
    known_credits: int = 0
    known_unanswered: int = 0
    rest_unanswered: int = 0
    unknown: int = 0
    refused_rows: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a submission would cost.

    Attributes:
        contacts: Contacts that would be submitted.
        batches: Requests that would carry them.
        worst_case_credits: What they cost when everything asked for is found.
        balance: The organisation's credits; None if the key may not read them.
    """

    contacts: int
    batches: int
    worst_case_credits: int
    balance: float | None

    @classmethod
    def of(cls, contacts: Mapping[EnrichmentType, int], batch_size: int, balance: float | None) -> Estimate:
        """Return what contacts would cost.

        Args:
            contacts: Their number by what is asked for.
            batch_size: Contacts in a batch at most.
            balance: The organisation's credits; None if the key may not read them.
        """
        batches = sum(-(-count // batch_size) for count in contacts.values())
        return cls(sum(contacts.values()), batches, worst_case_credits(contacts), balance)


@dataclass(frozen=True, slots=True)
class SubmissionReport:
    """What became of the contacts of one task, over all its attempts.

    Attributes:
        batches: Accepted batches, oldest first.
        tallies: What was not submitted in this attempt.
        worst_case_credits: What everything accepted, and everything of unknown outcome, costs when all is found.
    """

    batches: tuple[Batch, ...]
    tallies: Tallies
    worst_case_credits: int

    @classmethod
    def of(cls, batches: Sequence[Batch], tallies: Tallies) -> SubmissionReport:
        """Sum up a journal.

        Args:
            batches: All its batches.
            tallies: What was not submitted in this attempt.
        """
        accepted = tuple(batch for batch in batches if batch.state is BatchState.ACCEPTED)
        return cls(accepted, tallies, may_have_cost(batches))

    @property
    def workflow_ids(self) -> list[str]:
        """Workflows of accepted batches, oldest first."""
        return [batch.workflow_id for batch in self.batches if batch.workflow_id]

    @property
    def enrichment_types(self) -> list[str]:
        """What was asked for in each workflow, in the order of ``workflow_ids`` without repetitions."""
        types = {batch.workflow_id: batch.enrichment_type for batch in self.batches if batch.workflow_id}
        return list(types.values())

    @property
    def task_ids(self) -> dict[str, list[str]]:
        """Task ids by workflow, if the journal keeps them."""
        return {batch.workflow_id: list(batch.task_ids) for batch in self.batches if batch.workflow_id}

    @property
    def contacts_submitted(self) -> int:
        """Contacts in accepted batches; one submitted for emails first and for phones later counts once."""
        if len(self.submitted_as) < 2:
            return sum(batch.size for batch in self.batches)
        counted_before, count = Deduplicator(), 0
        for kind in self.submitted_as:
            batches = [batch for batch in self.batches if batch.enrichment_type == kind]
            count += sum(contact not in counted_before for batch in batches for contact in batch.contacts())
            count += sum(batch.erased for batch in batches)
            for batch in batches:
                counted_before.update(batch.contacts())
        return count

    @property
    def submitted_as(self) -> dict[str, int]:
        """Contacts in accepted batches by what was asked for."""
        contacts = Counter[str]()
        for batch in self.batches:
            contacts[batch.enrichment_type] += batch.size
        return dict(contacts)

    @property
    def first_submitted_at(self) -> float:
        """Seconds since the epoch of the first accepted batch; 0 if there is none."""
        return min((batch.changed_at for batch in self.batches), default=0.0)

    @property
    def last_submitted_at(self) -> float:
        """Seconds since the epoch of the last accepted batch; 0 if there is none."""
        return max((batch.changed_at for batch in self.batches), default=0.0)


@dataclass(frozen=True, slots=True)
class SubmissionOutcome:
    """What a submission did.

    Attributes:
        read: What became of the rows of the source.
        submitted: What became of the contacts.
        balance_before: The organisation's credits before the first request; None if unknown, or nothing was to be
            paid.
        estimate: What it would cost; only with ``estimate_only``.
    """

    read: ReadReport
    submitted: SubmissionReport
    balance_before: float | None
    estimate: Estimate | None = None


def submission_result(
    options: SubmissionOptions, read: ReadReport, report: SubmissionReport
) -> dict[str, Any]:
    """Return what goes to XCom: ids and counts.

    Args:
        options: What the user asked for.
        read: What became of the rows of the source.
        report: What became of the contacts.
    """
    tallies = report.tallies
    return {
        "workflow_ids": report.workflow_ids,
        "enrichment_type": options.enrichment_type.value,
        "contacts_read": read.rows,
        "contacts_submitted": report.contacts_submitted,
        "duplicates_dropped": read.duplicates.count,
        "invalid_contacts": read.refused_rows + len(tallies.refused_rows),
        "unknown_contacts": tallies.unknown,
        "known_contacts": tallies.known,
        "submitted_as": report.submitted_as,
        "batches": len(report.batches),
        "worst_case_credits": report.worst_case_credits,
    }


def submission_line(result: Mapping[str, Any], report: SubmissionReport) -> str:
    """Return the log line on what was submitted.

    Args:
        result: From :func:`submission_result`.
        report: What became of the contacts.
    """
    tallies = report.tallies
    parts = [
        f"Submitted: {counted(result['contacts_submitted'], 'contact')} in {counted(result['batches'], 'workflow')}, "
        f"at most {counted(result['worst_case_credits'], 'credit')}."
    ]
    if any(kind != result["enrichment_type"] for kind in report.submitted_as):
        kinds = ", ".join(f"{count:,} for {kind!r}" for kind, count in report.submitted_as.items())
        parts.append(f"By enrichment type: {kinds}.")
    if tallies.submitted_earlier:
        parts.append(
            f"This run had already submitted {counted(tallies.submitted_earlier, 'contact')} of the input, in an "
            "earlier attempt or another map index."
        )
    if tallies.unknown:
        parts.append(
            f"Left out {counted(tallies.unknown, 'contact')} of unknown outcome: an earlier request may have been "
            "accepted."
        )
    if tallies.known:
        parts.append(
            f"Left out {counted(tallies.known, 'contact')} already submitted within skip_submitted_within; that saved "
            f"at most {counted(tallies.known_credits, 'credit')}."
        )
    if tallies.known_unanswered:
        parts.append(
            f"For {tallies.known_unanswered:,} of them it is not known so far whether Cleanlist has accepted the other "
            "run's request."
        )
    if tallies.rest_unanswered:
        parts.append(
            f"{counted(tallies.rest_unanswered, 'contact')} had been submitted for a part of this within "
            "skip_submitted_within, so only the rest was due; it is not known so far whether Cleanlist has accepted "
            "the other run's request."
        )
    return " ".join(parts)


def unknown_line(contacts: int, why: str, on_unknown: OnUnknown) -> str:
    """Return the log line on a batch of unknown outcome that does not stop the task.

    Args:
        contacts: Its contacts.
        why: What happened to the request.
        on_unknown: What the user wants done.
    """
    done = "left out" if on_unknown is OnUnknown.SKIP else "submitted again and may be billed twice"
    return (
        f"It is not known whether Cleanlist accepted a batch of {counted(contacts, 'contact')} ({why}). With "
        f"on_unknown_submission={on_unknown.value!r} it is {done}."
    )


def progress_line(done: int, total: int, seconds: float) -> str:
    """Return the log line on how far a submission is.

    Args:
        done: Contacts that were submitted.
        total: Contacts in all.
        seconds: Time since the first one.
    """
    rate = done / seconds if seconds > 0 else 0.0
    left = (total - done) / rate if rate else 0.0
    return (
        f"Submitted {done:,} of {counted(total, 'contact')}, {rate * 60:,.0f} a minute, "
        f"about {counted(round(left / 60), 'minute')} remaining."
    )


def estimate_line(estimate: Estimate) -> str:
    """Return the log line on what a submission would cost.

    Args:
        estimate: Contacts, batches and credits, as ``estimate_only`` returns them.
    """
    balance = "" if estimate.balance is None else f" The balance is {estimate.balance:,.10g}."
    return (
        f"Nothing was submitted (estimate_only): {counted(estimate.contacts, 'contact')} in "
        f"{counted(estimate.batches, 'batch', 'batches')} would cost at most "
        f"{counted(estimate.worst_case_credits, 'credit')}.{balance}"
    )


def event_extra(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an asset event carries: the result, with the first workflow ids only.

    Args:
        result: What goes to XCom.
    """
    return {**result, "workflow_ids": result["workflow_ids"][:MAX_IDS_IN_EVENT]}
