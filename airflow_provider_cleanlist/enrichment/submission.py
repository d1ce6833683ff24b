"""Submitting contacts in batches, each at most once, within a credit limit.

Decisions are plain functions; :class:`Submission` is the loop around them that writes the journal, asks the API and
writes the journal again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import BulkEnrichment, Contact, EnrichmentType
from airflow_provider_cleanlist.client.transport import SendObserver
from airflow_provider_cleanlist.enrichment.journal import (
    Batch,
    BatchState,
    Journal,
    OnUnknown,
    Proceed,
    Stop,
    decide,
    ledger,
)
from airflow_provider_cleanlist.enrichment.plan import OnInvalid, SubmissionPlan, unknown_outcome
from airflow_provider_cleanlist.enrichment.reading import Accepted
from airflow_provider_cleanlist.enrichment.spool import ContactSpool

PROGRESS_SECONDS = 30.0
_OPERATION = "submit the bulk enrichment"
MAX_RESUBMISSIONS = 3
MAX_ROWS_NAMED = 20


@dataclass(slots=True)
class SubmissionReport:
    """What became of the contacts of one task, over all its tries.

    Attributes:
        workflow_ids: Workflows of accepted batches, oldest first.
        task_ids: Task ids by workflow.
        contacts_submitted: Contacts in accepted batches.
        submitted_earlier: Contacts of this input that an earlier try had submitted.
        refused_rows: Rows that Cleanlist itself refused in this try and that were left out.
        worst_case_credits: What ``contacts_submitted`` cost when everything is found.
        first_submitted_at: Seconds since the epoch of the first accepted batch; 0 if there is none.
        last_submitted_at: Seconds since the epoch of the last accepted batch; 0 if there is none.
    """

    workflow_ids: list[str] = field(default_factory=list)
    task_ids: dict[str, list[str]] = field(default_factory=dict)
    contacts_submitted: int = 0
    submitted_earlier: int = 0
    refused_rows: list[int] = field(default_factory=list)
    worst_case_credits: int = 0
    first_submitted_at: float = 0.0
    last_submitted_at: float = 0.0


class Log(Protocol):
    """The part of a logger that is used."""

    def info(self, event: Any, /, *args: Any) -> Any:
        """Log something ordinary."""

    def warning(self, event: Any, /, *args: Any) -> Any:
        """Log something to look at."""


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


class _Attempt:
    """Keeps the journal of one batch while it is being sent.

    The intent is written when the request has its place in the budget and is about to leave, not when it starts to
    wait for one: a crash while waiting costs nothing and leaves nothing unknown.
    """

    def __init__(
        self, journal: Journal, plan: SubmissionPlan, pending: list[Accepted], clock: Callable[[], float]
    ) -> None:
        self._journal = journal
        self._type = plan.enrichment_type.value
        self._identities = [item.identity for item in pending]
        self._clock = clock
        self._batch: Batch | None = None

    def sending(self) -> None:
        if self._batch is None:
            self._batch = self._journal.begin(self._identities, self._type, self._clock())
        else:
            self._batch = self._journal.reopen(self._batch, self._clock())

    def not_accepted(self) -> None:
        self.rejected("refused for now")

    def accepted(self, answer: BulkEnrichment) -> None:
        self._settle(
            lambda batch: self._journal.accept(batch, answer.workflow_id, answer.task_ids, self._clock())
        )

    def rejected(self, note: str) -> None:
        self._settle(lambda batch: self._journal.reject(batch, note, self._clock()))

    def lost(self, note: str) -> None:
        self._settle(lambda batch: self._journal.lose(batch, note, self._clock()))

    def _settle(self, write: Callable[[Batch], Batch]) -> None:
        """Write the outcome; a request that never left has no record to settle."""
        if self._batch is not None:
            self._batch = write(self._batch)


class Submission:
    """Submits what is pending, batch by batch, and keeps the journal.

    Args:
        plan: What the user asked for.
        journal: The loaded journal.
        submit: Sends one batch.
        log: Receives counts and ids, never contacts.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        plan: SubmissionPlan,
        journal: Journal,
        submit: SubmitBatch,
        log: Log,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._submit = submit
        self._log = log
        self._clock = clock
        self._refused_rows: list[int] = []
        self._submitted_earlier = 0
        self._decision = decide(ledger(journal.batches), plan.on_unknown)

    def check_unknown(self) -> None:
        """Stop before anything is read when an earlier try left contacts of unknown outcome.

        Raises:
            errors.SubmissionUnknownError: It did, and the user said to stop then.
        """
        if isinstance(self._decision, Stop):
            why = "an earlier try of this task ended before the answer was recorded"
            raise unknown_outcome(self._plan, self._decision.unknown, errors.ErrorInfo(_OPERATION, why))

    def is_settled(self, identity: bytes) -> bool:
        """Tell whether an earlier try has settled a contact, and count it if so."""
        settled = isinstance(self._decision, Proceed) and identity in self._decision.settled
        self._submitted_earlier += settled
        return settled

    @property
    def accepted_worst_case(self) -> int:
        """Worst-case credits of everything accepted so far, over all tries."""
        return sum(
            len(batch.identities) * EnrichmentType(batch.enrichment_type).worst_case_credits
            for batch in self._accepted()
        )

    def run(self, spool: ContactSpool) -> SubmissionReport:
        """Submit everything in the spool.

        Raises:
            errors.ApiError: The API refused or failed, or an outcome is unknown. What was accepted before is in the
                journal, and the text says what happened to the money.
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
        accepted = self._accepted()
        return SubmissionReport(
            workflow_ids=[batch.workflow_id for batch in accepted if batch.workflow_id],
            task_ids={batch.workflow_id: list(batch.task_ids) for batch in accepted if batch.workflow_id},
            contacts_submitted=sum(len(batch.identities) for batch in accepted),
            submitted_earlier=self._submitted_earlier,
            refused_rows=self._refused_rows,
            worst_case_credits=self.accepted_worst_case,
            first_submitted_at=min((batch.changed_at for batch in accepted), default=0.0),
            last_submitted_at=max((batch.changed_at for batch in accepted), default=0.0),
        )

    def _accepted(self) -> list[Batch]:
        return [batch for batch in self._journal.batches if batch.state is BatchState.ACCEPTED]

    def _submit_batch(self, pending: list[Accepted], *, left: int) -> None:
        """Submit one batch until it is accepted, left out or given up; ``left`` counts it and all after it."""
        resubmissions = 0
        while pending:
            attempt = _Attempt(self._journal, self._plan, pending, self._clock)
            contacts = [item.contact for item in pending]
            try:
                answer = self._submit(contacts, self._plan.enrichment_type, self._plan.webhook_url, attempt)
            except errors.SubmissionUnknownError as error:
                attempt.lost(_note(error))
                resubmissions += 1
                if self._plan.on_unknown is OnUnknown.FAIL or resubmissions > MAX_RESUBMISSIONS:
                    raise unknown_outcome(self._plan, len(pending), error.info) from None
                self._warn_unknown(len(pending), error)
                if self._plan.on_unknown is OnUnknown.SKIP:
                    return
            except errors.InvalidRequestError as error:
                attempt.rejected(_note(error))
                pending = self._without_refused(pending, error)
            except errors.ApiError as error:
                attempt.rejected(_note(error))
                raise type(error)(replace(error.info, hint=_what_is_left(left, error))) from None
            else:
                attempt.accepted(answer)
                return

    def _without_refused(self, pending: list[Accepted], error: errors.InvalidRequestError) -> list[Accepted]:
        refused = {item.index for item in error.info.field_errors if item.index is not None}
        rows = [item.number for index, item in enumerate(pending) if index in refused]
        if not rows:
            raise error
        if self._plan.on_invalid is OnInvalid.FAIL:
            hint = (
                f"It refused {len(rows)} contacts and with them the batch; nothing of it was accepted or billed. "
                f"Source rows: {_rows(rows)}. Correct them, or set on_invalid_contact='skip' to submit the others."
            )
            raise type(error)(replace(error.info, hint=hint)) from None
        self._refused_rows.extend(rows)
        self._log.warning("Cleanlist refused %d contacts; source rows: %s.", len(rows), _rows(rows))
        return [item for index, item in enumerate(pending) if index not in refused]

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


def _rows(rows: list[int]) -> str:
    named = ", ".join(str(row) for row in rows[:MAX_ROWS_NAMED])
    return f"{named} and {len(rows) - MAX_ROWS_NAMED} more" if len(rows) > MAX_ROWS_NAMED else named


def _what_is_left(left: int, error: errors.ApiError) -> str:
    hint = f" {error.info.hint}" if error.info.hint else ""
    return (
        f"This batch was not accepted and costs nothing; what was accepted before stays. {left} contacts are left: "
        f"another try of the task submits only those.{hint}"
    )


def _progress(done: int, total: int, seconds: float) -> str:
    rate = done / seconds if seconds > 0 else 0.0
    left = (total - done) / rate if rate else 0.0
    return f"Submitted {done} of {total} contacts, {rate * 60:.0f} a minute, about {left / 60:.0f} minutes to go."
