"""What becomes of one batch is recorded while it is being sent, and signals wait until it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.client.responses import BulkEnrichment
from airflow_provider_cleanlist.contacts.reading import UsableRow
from airflow_provider_cleanlist.submission.history import BatchState, ContactHistory
from airflow_provider_cleanlist.submission.journal import Batch, Intent, Journal, JournalError
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted

HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


class SignalHold:
    """Holds signals back from :meth:`hold` to :meth:`release`, which delivers them.

    SIGTERM, Ctrl-C and Airflow's execution timeout (SIGALRM) become Python exceptions or callbacks at whatever
    instruction is being executed. Between sending a request and recording its answer, that would leave the outcome
    unknown although the answer is only moments away.

    Only a main thread receives signals; in any other thread this does nothing. SIGKILL cannot be held back.
    """

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Any] = {}
        self._received: list[int] = []

    def hold(self) -> None:
        """Begin to hold signals back; has no effect if they are held back already."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in HELD_SIGNALS:
            if (
                signal.getsignal(number) is not None
            ):  # None: not installed from Python, so it cannot be restored
                self._handlers[number] = signal.signal(number, self._receive)

    def release(self) -> None:
        """Restore the handlers and deliver the signals that arrived meanwhile, each once."""
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        received, self._received = dict.fromkeys(self._received), []
        for pending in received:
            signal.raise_signal(pending)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)


class ContactsNotDueError(Exception):
    """Contacts of the batch were submitted by somebody else before its request could leave; nothing was sent.

    Args:
        positions: Their positions in the batch.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(f"no longer due: {counted(len(positions), 'contact')} of the batch")
        self.positions = frozenset(positions)


class BatchRecorder:
    """Keeps the journal of one batch while it is being sent.

    The intent is recorded when the request has its place in the budget and is about to leave, not when it starts to
    wait for one: a crash while waiting costs nothing and leaves nothing unknown. From the intent to the outcome,
    signals wait.

    Only an acceptance must be recorded. If any other outcome cannot be, the intent stays, and a later attempt treats
    the contacts as unknown, which stops it and costs nothing.

    Args:
        journal: The loaded journal.
        enrichment_type: What is asked for.
        pending: The batch's contacts.
        log: Receives counts and ids, never contacts.
        clock: Seconds since the epoch.
        may_send: Called before each intent; raises if the request must not leave.
        is_due: Whether a contact still has to be submitted.
    """

    def __init__(
        self,
        journal: Journal,
        enrichment_type: EnrichmentType,
        pending: Sequence[UsableRow],
        *,
        log: TaskLog,
        clock: Callable[[], float],
        may_send: Callable[[], None],
        is_due: Callable[[ContactHistory], bool],
    ) -> None:
        self._journal = journal
        self._type = enrichment_type.value
        self._pending = pending
        self._log = log
        self._clock = clock
        self._may_send = may_send
        self._is_due = is_due
        self._signals = SignalHold()
        self._batch: Batch | None = None

    def sending(self) -> None:
        """Record the intent; the request leaves right after this returns.

        Raises:
            ContactsNotDueError: Somebody else has submitted contacts of the batch.
            JournalError: The intent cannot be recorded.
        """
        self._may_send()
        self._signals.hold()
        intent = self._intent()
        if intent.batch is None:
            raise ContactsNotDueError(intent.not_due)
        self._batch = intent.batch

    def _intent(self) -> Intent:
        if self._batch is not None:
            return self._journal.reopen(self._batch, self._clock(), self._is_due)
        identities = [item.identity for item in self._pending]
        return self._journal.begin(identities, self._type, self._clock(), self._is_due)

    def not_accepted(self) -> None:
        """Record that the last request was not accepted; it will be sent again later."""
        self.rejected("refused for now")
        self.end()

    def accepted(self, answer: BulkEnrichment) -> None:
        """Record that the batch was accepted.

        Raises:
            JournalError: It cannot be written. The text and the log name the workflow.
        """
        if self._batch is None:
            raise AssertionError("a batch was accepted without a recorded intent")
        try:
            self._journal.accept(self._batch, answer.workflow_id, answer.task_ids, self._clock())
        except JournalError as error:
            text = (
                f"Cleanlist accepted {counted(self._batch.size, 'contact')} as workflow {answer.workflow_id}, but that "
                f"could not be recorded: {error}. The batch is submitted and will be billed; a later attempt will "
                "treat its outcome as unknown"
            )
            self._log.error("%s.", text)
            raise type(error)(text) from error
        if answer.total_contacts not in (None, self._batch.size):
            self._log.warning(
                "Cleanlist counts %s in workflow %s, of %d sent. All of them are recorded as submitted: compare with "
                "its results.",
                counted(answer.total_contacts, "contact"),
                answer.workflow_id,
                self._batch.size,
            )

    def rejected(self, note: str) -> None:
        """Record that nothing was accepted; a request that never left has no record."""
        if self._batch is None or self._batch.state is BatchState.REJECTED:
            return
        try:
            self._batch = self._journal.reject(self._batch, note, self._clock())
        except JournalError as error:
            self._log.warning(
                "Cleanlist did not accept %s, but that could not be recorded: %s. If the task ends now, a later "
                "attempt will treat the outcome as unknown; on_unknown_submission='resubmit' is then safe.",
                counted(self._batch.size, "contact"),
                error,
            )

    def lost(self, note: str) -> None:
        """Record that the outcome is unknown; an intent without an outcome says the same."""
        if self._batch is not None:
            try:
                self._batch = self._journal.lose(self._batch, note, self._clock())
            except JournalError as error:
                self._log.warning("The record of the batch could not be updated: %s.", error)

    def end(self) -> None:
        """Let signals through again."""
        self._signals.release()
