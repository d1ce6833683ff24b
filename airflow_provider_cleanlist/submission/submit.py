"""Submitting contacts in batches, each at most once, within a credit limit.

Decisions are plain functions of :mod:`.plan` and :mod:`.journal`; :class:`Submission` is the loop around them that
writes the journal, asks the API and writes the journal again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import BulkEnrichment, Contact, EnrichmentType
from airflow_provider_cleanlist.client.transport import SendObserver
from airflow_provider_cleanlist.contacts.reading import Accepted
from airflow_provider_cleanlist.contacts.spool import ContactSpool
from airflow_provider_cleanlist.submission.batch import BatchRecorder
from airflow_provider_cleanlist.submission.journal import BatchState, Journal
from airflow_provider_cleanlist.submission.journal_index import ContactStatus, JournalIndex, OnUnknown
from airflow_provider_cleanlist.submission.options import (
    OnInvalid,
    SubmissionOptions,
    check_credits,
    named_rows,
    not_accepted,
    refused_by_api,
    unknown_outcome,
)
from airflow_provider_cleanlist.submission.rejects import REFUSED_BY_CLEANLIST, UNKNOWN_OUTCOME, Rejects
from airflow_provider_cleanlist.task_log import TaskLog

PROGRESS_SECONDS = 30.0
MAX_RESUBMISSIONS = 3
_OPERATION = "submit the bulk enrichment"


class SubmissionStoppedError(Exception):
    """The task was asked to stop, and did so between two requests: it has left nothing unknown."""


@dataclass(slots=True)
class SubmissionReport:
    """What became of the contacts of one task, over all its tries.

    Attributes:
        workflow_ids: Workflows of accepted batches, oldest first.
        task_ids: Task ids by workflow, if the journal keeps them.
        contacts_submitted: Contacts in accepted batches.
        submitted_earlier: Contacts of this input that an earlier try had submitted.
        unknown_contacts: Contacts of this input that were left out because their outcome is unknown.
        refused_rows: Rows that Cleanlist itself refused in this try and that were left out.
        worst_case_credits: What everything accepted, and everything of unknown outcome, costs when all is found.
        enrichment_types: What was asked for, over all accepted batches.
        first_submitted_at: Seconds since the epoch of the first accepted batch; 0 if there is none.
        last_submitted_at: Seconds since the epoch of the last accepted batch; 0 if there is none.
    """

    workflow_ids: list[str] = field(default_factory=list)
    task_ids: dict[str, list[str]] = field(default_factory=dict)
    contacts_submitted: int = 0
    submitted_earlier: int = 0
    unknown_contacts: int = 0
    refused_rows: list[int] = field(default_factory=list)
    worst_case_credits: int = 0
    enrichment_types: frozenset[str] = frozenset()
    first_submitted_at: float = 0.0
    last_submitted_at: float = 0.0


class SubmitBatch(Protocol):
    """Sends one batch: :meth:`..client.client.CleanlistClient.submit_bulk_enrichment`."""

    def __call__(
        self,
        contacts: Sequence[Contact],
        enrichment_type: EnrichmentType,
        webhook_url: str | None,
        observer: SendObserver,
    ) -> BulkEnrichment:
        """Send the contacts, telling the observer; raises :class:`.errors.ApiError`."""


class Submission:
    """Submits what is pending, batch by batch, and keeps the journal.

    Args:
        plan: What the user asked for.
        journal: The loaded journal.
        submit: Sends one batch.
        log: Receives counts and ids, never contacts.
        balance: Reads the credits of the organisation, or returns None if it cannot.
        rejects: Takes contacts that are left out or stop the task, if the user wants it.
        webhook_url: Makes the address that receives a batch's results, from the hashes of its contacts; by default
            the plan's, for all.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        plan: SubmissionOptions,
        journal: Journal,
        submit: SubmitBatch,
        log: TaskLog,
        *,
        balance: Callable[[], float | None] = lambda: None,
        rejects: Rejects | None = None,
        webhook_url: Callable[[bytes], str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._submit = submit
        self._log = log
        self._balance = balance
        self._rejects = rejects
        self._webhook_url = webhook_url
        self._clock = clock
        self._known = JournalIndex(journal.batches)
        self._refused_rows: list[int] = []
        self._submitted_earlier = 0
        self._unknown_contacts = 0
        self._stopping = False

    def check_unknown(self) -> None:
        """Stop when an earlier try left contacts of unknown outcome.

        Raises:
            errors.SubmissionUnknownError: It did, and the user said to stop then.
        """
        if self._known.unknown and self._plan.on_unknown is OnUnknown.FAIL:
            why = "an earlier try of this task ended before the answer was recorded"
            raise unknown_outcome(self._plan, self._known.unknown, errors.ErrorInfo(_OPERATION, why))

    def is_pending(self, item: Accepted) -> bool:
        """Tell whether a contact is to be submitted, and count it if an earlier try has decided that."""
        standing = self._known.standing(item.identity, self._plan.on_unknown)
        if standing is ContactStatus.UNKNOWN:
            self._unknown_contacts += 1
            self._reject(item, UNKNOWN_OUTCOME)
        self._submitted_earlier += standing is ContactStatus.SUBMITTED
        return standing is ContactStatus.PENDING

    @property
    def spent(self) -> int:
        """Worst-case credits of everything that was, or may have been, accepted so far, over all tries."""
        return sum(
            batch.size * EnrichmentType(batch.enrichment_type).worst_case_credits
            for batch in self._journal.batches
            if batch.may_be_billed
        )

    def stop(self) -> None:
        """Submit no further batch; one that is on its way is still recorded."""
        self._stopping = True

    def run(self, spool: ContactSpool) -> SubmissionReport:
        """Submit everything in the spool.

        Raises:
            errors.ApiError: The API refused or failed, or an outcome is unknown. What was accepted before is in the
                journal, and the text says what happened to the money.
            CreditLimitError: Submitting contacts of unknown outcome once more would cost too much.
            JournalError: The journal cannot be written.
            SubmissionStoppedError: :meth:`stop` was called.
        """
        total = len(spool)
        done = 0
        started = reported = self._clock()
        for pending in _batches(spool, self._plan.batch_size):
            self._submit_batch(pending, left=total - done)
            done += len(pending)
            now = self._clock()
            if now - reported >= PROGRESS_SECONDS and done < total:
                reported = now
                self._log.info("%s", _progress(done, total, now - started))
        return self.report()

    def report(self) -> SubmissionReport:
        """Sum up the journal."""
        accepted = [batch for batch in self._journal.batches if batch.state is BatchState.ACCEPTED]
        return SubmissionReport(
            workflow_ids=[batch.workflow_id for batch in accepted if batch.workflow_id],
            task_ids={batch.workflow_id: list(batch.task_ids) for batch in accepted if batch.workflow_id},
            contacts_submitted=sum(batch.size for batch in accepted),
            submitted_earlier=self._submitted_earlier,
            unknown_contacts=self._unknown_contacts,
            refused_rows=self._refused_rows,
            worst_case_credits=self.spent,
            enrichment_types=frozenset(batch.enrichment_type for batch in accepted),
            first_submitted_at=min((batch.changed_at for batch in accepted), default=0.0),
            last_submitted_at=max((batch.changed_at for batch in accepted), default=0.0),
        )

    def _submit_batch(self, pending: list[Accepted], *, left: int) -> None:
        """Submit one batch until it is accepted, left out or given up; ``left`` counts it and all after it."""
        resubmissions = 0
        while pending:
            try:
                self._send(pending, left)
            except errors.SubmissionUnknownError as error:
                resubmissions += 1
                if self._plan.on_unknown is OnUnknown.FAIL or resubmissions > MAX_RESUBMISSIONS:
                    self._leave_out_unknown(pending)
                    raise unknown_outcome(self._plan, len(pending), error.info) from None
                self._warn_unknown(len(pending), error)
                if self._plan.on_unknown is OnUnknown.SKIP:
                    self._leave_out_unknown(pending)
                    return
                check_credits(self._plan, remaining=left, spent=self.spent, balance=None)
            except errors.InvalidRequestError as error:
                pending, left = self._without_refused(pending, left, error)
            else:
                return

    def _send(self, pending: list[Accepted], left: int) -> None:
        def may_send() -> None:
            if self._stopping:
                raise SubmissionStoppedError(
                    f"The task was asked to stop, and did so between two requests. What was accepted before stays. "
                    f"{left} contacts are left: another try of the task submits only those."
                )

        plan = self._plan
        attempt = BatchRecorder(
            self._journal, plan.enrichment_type, pending, log=self._log, clock=self._clock, may_send=may_send
        )
        contacts = [item.contact for item in pending]
        try:
            attempt.accepted(self._submit(contacts, plan.enrichment_type, self._address(pending), attempt))
        except errors.SubmissionUnknownError as error:
            attempt.lost(_note(error))
            raise
        except errors.InvalidRequestError as error:
            attempt.rejected(_note(error))
            raise
        except errors.ApiError as error:
            attempt.rejected(_note(error))
            attempt.end()
            balance = self._balance() if isinstance(error, errors.InsufficientCreditsError) else None
            raise not_accepted(plan, error, batch=len(pending), left=left, balance=balance) from None
        finally:
            attempt.end()

    def _address(self, pending: list[Accepted]) -> str | None:
        if self._webhook_url is None:
            return self._plan.webhook_url
        return self._webhook_url(b"".join(item.identity for item in pending))

    def _without_refused(
        self, pending: list[Accepted], left: int, error: errors.InvalidRequestError
    ) -> tuple[list[Accepted], int]:
        indexes = {item.index for item in error.info.field_errors}
        refused = [item for index, item in enumerate(pending) if index in indexes]
        rows = [item.number for item in refused]
        for item in refused:
            self._reject(item, REFUSED_BY_CLEANLIST)
        if not rows or self._plan.on_invalid is OnInvalid.FAIL:
            raise refused_by_api(error, rows) from None
        self._refused_rows.extend(rows)
        self._log.warning("Cleanlist refused %d contacts; source rows: %s.", len(rows), named_rows(rows))
        return [item for index, item in enumerate(pending) if index not in indexes], left - len(rows)

    def _reject(self, item: Accepted, reason: str) -> None:
        if self._rejects is not None:
            self._rejects.add(item.number, reason, item.contact.payload())

    def _leave_out_unknown(self, pending: list[Accepted]) -> None:
        self._unknown_contacts += len(pending)
        for item in pending:
            self._reject(item, UNKNOWN_OUTCOME)

    def _warn_unknown(self, contacts: int, error: errors.ApiError) -> None:
        skips = self._plan.on_unknown is OnUnknown.SKIP
        self._log.warning(
            "It is not known whether Cleanlist accepted %d contacts (%s). By on_unknown_submission=%r, they are %s.",
            contacts,
            _note(error),
            self._plan.on_unknown.value,
            "left out" if skips else "submitted again and may be billed twice",
        )


def _batches(contacts: Iterable[Accepted], size: int) -> Iterator[list[Accepted]]:
    batch: list[Accepted] = []
    for contact in contacts:
        batch.append(contact)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _note(error: errors.ApiError) -> str:
    return f"{type(error).__name__} {error.info.status or 'no answer'}"


def _progress(done: int, total: int, seconds: float) -> str:
    rate = done / seconds if seconds > 0 else 0.0
    left = (total - done) / rate if rate else 0.0
    return f"Submitted {done} of {total} contacts, {rate * 60:.0f} a minute, about {left / 60:.0f} minutes to go."
