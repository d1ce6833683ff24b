"""One batch on its way to Cleanlist, and what is written down about it when."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_cleanlist.client.models import BulkEnrichment, EnrichmentType
from airflow_provider_cleanlist.contacts.reading import Accepted
from airflow_provider_cleanlist.submission.interrupts import SignalHold
from airflow_provider_cleanlist.submission.journal import Batch, BatchState, Journal, JournalError
from airflow_provider_cleanlist.task_log import TaskLog


class BatchRecorder:
    """Keeps the journal of one batch while it is being sent.

    The intent is written when the request has its place in the budget and is about to leave, not when it starts to
    wait for one: a crash while waiting costs nothing and leaves nothing unknown. From the intent to the outcome,
    signals wait.

    Only an acceptance must be written. If another outcome cannot be, the intent stays, and a later try takes the
    contacts for unknown, which stops it and costs nothing.

    Args:
        journal: The loaded journal.
        enrichment_type: What is asked for.
        pending: The batch's contacts.
        log: Receives counts and ids, never contacts.
        clock: Seconds since the epoch.
        may_send: Called before each intent; raises if the request must not leave.
    """

    def __init__(
        self,
        journal: Journal,
        enrichment_type: EnrichmentType,
        pending: Sequence[Accepted],
        *,
        log: TaskLog,
        clock: Callable[[], float],
        may_send: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._type = enrichment_type.value
        self._pending = pending
        self._log = log
        self._clock = clock
        self._may_send = may_send
        self._signals = SignalHold()
        self._batch: Batch | None = None

    def sending(self) -> None:
        """Write the intent; the request leaves right after this returns."""
        self._may_send()
        self._signals.hold()
        if self._batch is None:
            identities = (item.identity for item in self._pending)
            self._batch = self._journal.begin(identities, self._type, self._clock())
        else:
            self._batch = self._journal.reopen(self._batch, self._clock())

    def not_accepted(self) -> None:
        """Write that the last sending was not accepted; the request will be sent again later."""
        self.rejected("refused for now")
        self.end()

    def accepted(self, answer: BulkEnrichment) -> None:
        """Write that the batch was accepted.

        Raises:
            JournalError: It cannot be written. The text and the log name the workflow.
        """
        if self._batch is None:
            raise AssertionError("a batch was accepted that was never announced")
        try:
            self._journal.accept(self._batch, answer.workflow_id, answer.task_ids, self._clock())
        except JournalError as error:
            text = (
                f"Cleanlist accepted {self._batch.size} contacts as workflow {answer.workflow_id}, but that could not "
                f"be written down: {error}. They are submitted and will be billed; a later try will call their outcome "
                "unknown"
            )
            self._log.error("%s.", text)
            raise type(error)(text) from error

    def rejected(self, note: str) -> None:
        """Write that nothing was accepted; a request that never left has no record."""
        if self._batch is None or self._batch.state is BatchState.REJECTED:
            return
        try:
            self._batch = self._journal.reject(self._batch, note, self._clock())
        except JournalError as error:
            self._log.warning(
                "Cleanlist did not accept %d contacts, but that could not be written down: %s. If the task ends now, a "
                "later try will call their outcome unknown; on_unknown_submission='resubmit' is then safe for them.",
                self._batch.size,
                error,
            )

    def lost(self, note: str) -> None:
        """Write that the outcome is unknown; an intent without an outcome says the same."""
        if self._batch is not None:
            try:
                self._batch = self._journal.lose(self._batch, note, self._clock())
            except JournalError as error:
                self._log.warning("The record of the batch stays as it was: %s.", error)

    def end(self) -> None:
        """Let signals through again."""
        self._signals.release()
