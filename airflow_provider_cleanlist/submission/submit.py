"""From a source to accepted batches: each contact is submitted at most once, within a credit limit.

:class:`Submission` reads its source to the end, determines who is due, checks the cost, and only then sends batch by
batch, keeping the journal. Its decisions are pure functions in :mod:`.history` and :mod:`.credits`; what is recorded
for one batch, and when, is in :class:`.journal.BatchRecorder`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import EnrichmentType, worst_case_credits
from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.contacts.identity import Deduplicator
from airflow_provider_cleanlist.contacts.reading import PendingContacts, RejectedRow, UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.source_ids import SourceIds
from airflow_provider_cleanlist.contacts.sources import Source
from airflow_provider_cleanlist.exceptions import CleanlistRejectsFileError
from airflow_provider_cleanlist.submission.credits import (
    check_credits,
    credits_to_resubmit,
    dearest_unknown,
    may_have_cost,
)
from airflow_provider_cleanlist.submission.decision import stopped_by, take_answer
from airflow_provider_cleanlist.submission.errors import (
    UndecidedError,
    moved_contacts,
    named_rows,
    not_accepted,
    refused_by_api,
    refused_rows,
    stopped,
    unknown_elsewhere,
    unknown_outcome,
)
from airflow_provider_cleanlist.submission.history import (
    ContactHistory,
    ContactStatus,
    OnUnknown,
    PersonDecision,
    decide,
    missing_type,
)
from airflow_provider_cleanlist.submission.in_flight import InFlightContacts
from airflow_provider_cleanlist.submission.journal import Batch, BatchRecorder, ContactsNotDueError, Journal
from airflow_provider_cleanlist.submission.options import OnInvalid, SubmissionOptions
from airflow_provider_cleanlist.submission.rejects import REFUSED_BY_CLEANLIST, UNKNOWN_OUTCOME, Rejects
from airflow_provider_cleanlist.submission.report import (
    Estimate,
    SubmissionOutcome,
    SubmissionReport,
    Tallies,
    progress_line,
    unknown_line,
)
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.enrichment import Contact
    from airflow_provider_cleanlist.client.responses import BulkEnrichment
    from airflow_provider_cleanlist.client.transport import SendObserver
    from airflow_provider_cleanlist.submission.webhook_addresses import BatchAddresses

    SendBatch = Callable[[Sequence[Contact], EnrichmentType, str | None, SendObserver], BulkEnrichment]

PROGRESS_SECONDS = 30.0
ASKED_AT_ONCE = 500
"""Contacts whose history is queried together."""
_OPERATION = "submit the bulk enrichment"
_LOST_TWICE = "the answers to two requests of this run with the same contacts were lost"
_NO_ANSWER = "an earlier attempt of this task ended before the answer was recorded"


class Submission:
    """Submits a source: everything is read and checked first, and then what is due is sent.

    Args:
        options: What the user asked for.
        journal: The journal of the task.
        send: Sends one batch, as :meth:`..client.client.CleanlistClient.submit_bulk_enrichment` does.
        log: Receives counts and ids, never contacts.
        balance: Reads the organisation's credits; returns None if the key may not.
        rejects: Takes contacts that are left out or stop the task, if the user wants it.
        addresses: Makes the address that receives a batch's results; by default the options' one is used for all.
        before_sending: Called once, before the first request of contacts leaves; raises if none may.
        clock: Seconds since the epoch.
        sleep: Lets so many seconds pass.
    """

    def __init__(
        self,
        options: SubmissionOptions,
        journal: Journal,
        send: SendBatch,
        log: TaskLog,
        *,
        balance: Callable[[], float | None] = lambda: None,
        rejects: Rejects | None = None,
        addresses: BatchAddresses | None = None,
        before_sending: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._journal = journal
        self._send_batch = send
        self._log = log
        self._balance = balance
        self._rejects = rejects
        self._addresses = addresses
        self._before_sending = before_sending
        self._clock = clock
        self._sleep = sleep
        self._in_flight = InFlightContacts()
        self._tallies = Tallies()
        self._found_again = Deduplicator()
        self._resubmitted = Deduplicator()  # who is not submitted once more when an answer is lost
        self._unknown: Counter[PersonDecision | None] = Counter()
        self._left: dict[EnrichmentType, int] = {}
        self._stopping = False

    def run(
        self,
        source: Source,
        *,
        column_mapping: Mapping[str, str | None] | None = None,
        deduplicate: bool = True,
        source_ids: SourceIds | None = None,
    ) -> SubmissionOutcome:
        """Read the source, check it, and submit what no earlier attempt has submitted.

        Args:
            source: The contacts.
            column_mapping: As of :func:`.reading.read_contacts`.
            deduplicate: As of :func:`.reading.read_contacts`; a ledger submits each person once, whatever this says.
            source_ids: Collects the ids of the rows, to be recorded in the ledger.

        Raises:
            SourceError: The source cannot be used; nothing was sent.
            CleanlistCreditLimitError: It costs too much; nothing was sent.
            CleanlistRejectsFileError: The file of rejects cannot be written.
            CleanlistStateError: Another map index may be submitting some of the contacts; the others are settled.
            errors.SubmissionUnknownError: An earlier attempt left contacts of unknown outcome; nothing was sent.
            UndecidedError: The same, and a person is to be asked.
            Exception: What :meth:`submit` raises.
        """
        if self._rejects is None and not self._options.estimate_only:
            self._check_unknown()
        if self._journal.is_shared and not deduplicate:
            self._log.info("deduplicate=False does not apply: with a ledger each person is submitted once.")
            deduplicate = True
        if source_ids is not None and not self._options.estimate_only:
            self._journal.start_reading()
        read = ReadReport()
        rows = read_contacts(
            source, read, column_mapping=column_mapping, deduplicate=deduplicate, source_ids=source_ids
        )
        with PendingContacts() as pending:
            try:
                self._sort_out(self._usable(rows), pending)
            except SourceError:
                self._check_unknown()  # what concerns money goes first
                raise
            for line in read.summary_lines():
                self._log.info("%s", line)
            self._save_rejects()
            if self._options.estimate_only:
                return self._estimated(read, pending)
            self._check_unknown()
            self._check_moved(len(pending))
            if read.refused and self._options.on_invalid is OnInvalid.FAIL:
                raise refused_rows(read)
            if source_ids is not None:
                self._keep_ids(source_ids)
            balance = self._check_credits(pending)
            if len(pending) or len(self._in_flight):
                self._before_sending()
            return SubmissionOutcome(read, self._submit_and_save_rejects(pending), balance)

    def submit(self, pending: PendingContacts) -> SubmissionReport:
        """Send everything that is pending, batch by batch.

        Args:
            pending: The contacts.

        Raises:
            errors.ApiError: The API refused or failed, or an outcome is unknown. What was accepted before is in the
                journal, and the text says what happened to the money.
            CleanlistCreditLimitError: Submitting contacts of unknown outcome once more would cost too much.
            JournalError: The journal cannot be written.
            CleanlistStoppedError: :meth:`stop` was called.
            UndecidedError: An outcome is unknown, and a person is to be asked.
        """
        total, self._left = len(pending), pending.counts
        started = reported = self._clock()
        for kind, batch in pending.batches(self._options.batch_size):
            self._submit_batch(kind, batch)
            now, left = self._clock(), sum(self._left.values())
            if now - reported >= PROGRESS_SECONDS and left:
                reported = now
                self._log.info("%s", progress_line(total - left, total, now - started))
        self._submit_in_flight()
        if self._addresses is not None:
            self._addresses.announce_all()
        return self.report()

    def stop(self) -> None:
        """Submit no further batch; one that is in flight is still recorded."""
        self._stopping = True

    @property
    def undecided_batches(self) -> Sequence[Batch]:
        """Batches of this task instance whose outcome nobody knows and about which nobody has decided."""
        return [batch for batch in self._journal.batches if batch.is_undecided]

    def take_answer(self, event: Any, now: datetime, users: Collection[str] | None = None) -> bool:
        """Record what a person has decided about these batches: :func:`.decision.take_answer`."""
        return take_answer(self._journal, event, now, self._log, users)

    def report(self) -> SubmissionReport:
        """Return a summary of what was submitted so far, over all attempts."""
        return SubmissionReport.of(self._journal.batches, self._tallies)

    # Before anything is sent: who is due, and is the cost allowed?

    def _sort_out(self, rows: Iterator[UsableRow], pending: PendingContacts) -> None:
        while chunk := list(islice(rows, ASKED_AT_ONCE)):
            histories = self._journal.histories([item.identity for item in chunk])
            for row, history in zip(chunk, histories, strict=True):
                self._take(row, history, pending)

    def _usable(self, rows: Iterator[UsableRow | RejectedRow]) -> Iterator[UsableRow]:
        """Yield the usable rows; the values of others may be of any size, and are not kept until more rows are read."""
        for row in rows:
            if isinstance(row, UsableRow):
                yield row
            elif self._rejects is not None:
                self._rejects.add(row.number, row.rejection.reason, row.values)

    def _take(self, item: UsableRow, history: ContactHistory, pending: PendingContacts) -> None:
        """Add a contact to those pending, or count why it is left out."""
        decision = decide(history, self._options.enrichment_type, self._options.on_unknown)
        unanswered = missing_type(self._options.enrichment_type, history.submitted_here | history.accepted)
        if history.submitted_here and self._found_again.add(item.identity):
            self._tallies.submitted_earlier += 1
        if decision.enrichment_type is not None:
            pending.append(item, decision.enrichment_type)
            if history.unknown_here and self._options.on_unknown is OnUnknown.RESUBMIT:
                self._resubmitted.add(item.identity)
            self._tallies.rest_unanswered += unanswered is not decision.enrichment_type
        elif decision.status is ContactStatus.IN_FLIGHT:
            self._in_flight.append(item, history.in_flight)
        elif decision.status is ContactStatus.UNKNOWN:
            self._unknown[history.decision] += 1
            self._leave_out_unknown([item])
        elif saved := missing_type(self._options.enrichment_type, history.submitted_here):
            self._tallies.known += 1
            self._tallies.known_credits += saved.worst_case_credits
            self._tallies.known_unanswered += unanswered is not None

    def _estimated(self, read: ReadReport, pending: PendingContacts) -> SubmissionOutcome:
        if len(self._in_flight):
            self._log.info("%s Their cost is not in the estimate.", self._in_flight.line)
        estimate = Estimate.of(pending.counts, self._options.batch_size, self._balance())
        return SubmissionOutcome(read, self.report(), estimate.balance, estimate)

    def _keep_ids(self, source_ids: SourceIds) -> None:
        """Record which person each row is, before anything is sent; rows that are left out are recorded too."""
        if lines := source_ids.unusable.lines():
            what = f"id_column {source_ids.column!r}: {'; '.join(lines)}"
            if self._options.on_invalid is OnInvalid.FAIL:
                raise SourceError(
                    f"{what}. Results could not be joined to these rows. Correct the ids, or set "
                    "on_invalid_contact='skip' to submit their contacts all the same."
                )
            self._log.warning("%s. Results cannot be joined to these rows.", what)
        self._journal.keep_source_rows(source_ids.rows())

    def _check_unknown(self) -> None:
        """Stop, or have a person asked, unless it is clear what to do about every contact of unknown outcome."""
        kind = dearest_unknown(self._journal.batches, self._options.enrichment_type)
        if self._options.on_unknown is OnUnknown.RESUBMIT and (contacts := self._unknown.total()):
            raise unknown_outcome({kind: contacts}, errors.ErrorInfo(_OPERATION, _LOST_TWICE), True)
        if self._options.on_unknown in (OnUnknown.SKIP, OnUnknown.RESUBMIT):
            return
        decided, batches = self._journal.decided_contacts, self._journal.batches
        own = self._journal.unknown_contacts - sum(decided.values())
        if contacts := max(decided.get(PersonDecision.STOP, 0), self._unknown[PersonDecision.STOP]):
            raise unknown_outcome({kind: contacts}, errors.ErrorInfo(_OPERATION, stopped_by(batches)))
        if own:
            info = errors.ErrorInfo(_OPERATION, _NO_ANSWER)
            raise self._undecided({kind: max(own, self._unknown[None])}, info)
        if contacts := self._unknown[None]:
            raise unknown_elsewhere({kind: contacts}, is_asked=self._options.on_unknown is OnUnknown.ASK)

    def _undecided(
        self, contacts: Mapping[EnrichmentType, int], info: errors.ErrorInfo, is_resubmitted: bool = False
    ) -> Exception:
        """Return the error that stops the task, or that has a person asked."""
        error = unknown_outcome(contacts, info, is_resubmitted)
        if self._options.on_unknown is not OnUnknown.ASK:
            return error
        again, limit = self._left or contacts, self._options.max_credits  # they are among those left
        return UndecidedError(error, contacts, credits_to_resubmit(again, self._journal.batches, limit))

    def _check_moved(self, pending: int) -> None:
        """Stop when a mapped task has submitted contacts that its input does not hold, while it holds others.

        The order of the mapping may have changed, and another map index may have submitted these.
        """
        recorded = self._journal.contacts_of_index
        if recorded is None or not pending or self._options.on_unknown is OnUnknown.RESUBMIT:
            return
        if (missing := recorded - len(self._found_again)) > 0:
            raise moved_contacts(missing, {self._options.enrichment_type: pending})

    def _check_credits(self, pending: PendingContacts) -> float | None:
        if not worst_case_credits(pending.counts):
            return None
        balance = self._balance()
        if balance is not None:
            self._log.info("Credit balance before submitting: %s.", f"{balance:,.10g}")
        self._check_limit(pending.counts, balance)
        return balance

    def _check_limit(self, contacts: Mapping[EnrichmentType, int], balance: float | None) -> None:
        spent = may_have_cost(self._journal.batches)
        check_credits(contacts, spent=spent, max_credits=self._options.max_credits, balance=balance)

    # Sending

    def _submit_and_save_rejects(self, pending: PendingContacts) -> SubmissionReport:
        try:
            report = self.submit(pending)
        except Exception:
            try:
                self._save_rejects()
            except CleanlistRejectsFileError as error:
                self._log.warning("%s", error)
            raise
        self._save_rejects()
        return report

    def _submit_batch(self, kind: EnrichmentType, batch: list[UsableRow]) -> None:
        """Submit one batch until it is accepted, left out or given up; if the user says so, once more if it is lost."""
        while batch:
            try:
                self._send(kind, batch)
            except ContactsNotDueError as conflict:
                batch = self._without_submitted(kind, batch, conflict)
            except errors.SubmissionUnknownError as error:
                is_first = all(self._resubmitted.add(item.identity) for item in batch)
                if not is_first or self._options.on_unknown in (OnUnknown.FAIL, OnUnknown.ASK):
                    self._leave_out_unknown(batch)
                    raise self._undecided({kind: len(batch)}, error.info, not is_first) from None
                self._log.warning("%s", unknown_line(len(batch), _note(error), self._options.on_unknown))
                if self._options.on_unknown is OnUnknown.SKIP:
                    self._leave_out_unknown(batch)
                    break
                self._check_limit(self._left, None)
            except errors.InvalidRequestError as error:
                batch = self._without_refused(kind, batch, error)
            else:
                break
        self._left[kind] -= len(batch)

    def _send(self, kind: EnrichmentType, batch: list[UsableRow]) -> None:
        def may_send() -> None:
            self._check_stop(sum(self._left.values()))

        def is_due(history: ContactHistory) -> bool:
            decision = decide(history, self._options.enrichment_type, self._options.on_unknown)
            return decision.enrichment_type is kind

        identities = [item.identity for item in batch]
        recorder = BatchRecorder(
            self._journal,
            kind,
            identities,
            log=self._log,
            clock=self._clock,
            may_send=may_send,
            is_due=is_due,
        )
        contacts, address = [item.contact for item in batch], self._address(identities)
        try:
            answer = self._send_batch(contacts, kind, address, recorder)
            recorder.accepted(answer)
        except errors.SubmissionUnknownError as error:
            recorder.lost(_note(error))
            raise
        except errors.InvalidRequestError as error:
            recorder.rejected(_note(error))
            raise
        except errors.ApiError as error:
            recorder.rejected(_note(error))
            recorder.end()
            is_short = isinstance(error, errors.InsufficientCreditsError)
            balance = self._balance_for_a_message() if is_short else None
            raise not_accepted(error, batch={kind: len(batch)}, left=self._left, balance=balance) from None
        finally:
            recorder.end()
        if self._addresses is not None and address is not None:
            self._addresses.accepted(address, answer.workflow_id)

    def _balance_for_a_message(self) -> float | None:
        try:
            return self._balance()
        except errors.CleanlistError as error:
            self._log.warning("The credit balance cannot be read: %s", error)
            return None

    def _address(self, identities: Sequence[bytes]) -> str | None:
        if self._addresses is None:
            return self._options.webhook_url
        return self._addresses.url(b"".join(identities))

    # Removing contacts from a batch

    def _without_submitted(
        self, kind: EnrichmentType, batch: list[UsableRow], conflict: ContactsNotDueError
    ) -> list[UsableRow]:
        """Remove contacts that others submitted while the batch waited, and submit them for what is still missing."""
        taken = [item for index, item in enumerate(batch) if index in conflict.positions]
        self._left[kind] -= len(taken)
        self._take_again(taken)
        return [item for index, item in enumerate(batch) if index not in conflict.positions]

    def _take_again(self, contacts: Iterable[UsableRow]) -> None:
        """Determine anew who of some contacts is due, and submit these, if that does not cost too much."""
        rest = iter(contacts)
        with PendingContacts() as due:
            while chunk := list(islice(rest, ASKED_AT_ONCE)):
                histories = self._journal.histories([item.identity for item in chunk])
                for item, history in zip(chunk, histories, strict=True):
                    self._take(item, history, due)
            self._check_unknown()
            for kind, count in due.counts.items():
                self._left[kind] = self._left.get(kind, 0) + count
            if len(due):
                self._check_limit(self._left, None)
            for kind, batch in due.batches(self._options.batch_size):
                self._submit_batch(kind, batch)

    def _submit_in_flight(self) -> None:
        """Wait a while for what becomes of those whom another map index may be submitting; submit who is due then."""
        if len(self._in_flight):
            self._log.info("%s Waiting for the outcome.", self._in_flight.line)
        for contacts in self._in_flight.looks(self._sleep, self._check_stop):
            self._journal.refresh()
            self._take_again(contacts)

    def _check_stop(self, left: int) -> None:
        if self._stopping:
            raise stopped(left)

    def _without_refused(
        self, kind: EnrichmentType, batch: list[UsableRow], error: errors.InvalidRequestError
    ) -> list[UsableRow]:
        indexes = {item.index for item in error.info.field_errors}
        refused = [item for index, item in enumerate(batch) if index in indexes]
        rows = [item.number for item in refused]
        for item in refused:
            self._reject(item, REFUSED_BY_CLEANLIST)
        if not rows or self._options.on_invalid is OnInvalid.FAIL:
            raise refused_by_api(error, rows) from None
        self._tallies.refused_rows.extend(rows)
        self._left[kind] -= len(refused)
        self._log.warning(
            "Cleanlist refused %s; source rows: %s.", counted(len(rows), "contact"), named_rows(rows)
        )
        return [item for index, item in enumerate(batch) if index not in indexes]

    def _leave_out_unknown(self, contacts: Sequence[UsableRow]) -> None:
        self._tallies.unknown += len(contacts)
        for item in contacts:
            self._reject(item, UNKNOWN_OUTCOME)

    # The file of rejects

    def _reject(self, item: UsableRow, reason: str) -> None:
        if self._rejects is not None:
            self._rejects.add(item.number, reason, item.contact.payload())

    def _save_rejects(self) -> None:
        if self._rejects is not None:
            self._rejects.save()


def _note(error: errors.ApiError) -> str:
    return f"{type(error).__name__} {error.info.status or 'no answer'}"
