"""Reading the results of workflows, contact by contact, in the cheapest way possible.

A delivered webhook costs no request, a workflow's status costs one for up to 250 contacts if it carries results at
all, and a task's status costs one per contact. What an earlier attempt read is not read again: a cursor holds the
position in the workflows' task ids, and a digest of these ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_cleanlist.client.errors import NotFoundError
from airflow_provider_cleanlist.client.results import (
    EnrichmentResult,
    WorkflowState,
    WorkflowStatus,
    is_in_progress,
    workflow_state,
)
from airflow_provider_cleanlist.input_limits import RESULT_PAGE_CHARACTERS
from airflow_provider_cleanlist.results.rows import result_in, result_row
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted

Rows = dict[str, dict[str, Any]]
"""Records by task id."""


class ResultsUnavailableError(Exception):
    """None of the three ways provides all results of a workflow.

    Args:
        workflow_id: The workflow.
        found: Results that could be read.
        expected: Results that it has, or None if the number is unknown.
    """

    def __init__(self, workflow_id: str, found: int, expected: int | None) -> None:
        super().__init__(f"{found} of {expected or 'unknown'} results of workflow {workflow_id} can be read")
        self.workflow_id = workflow_id
        self.found = found
        self.expected = expected


class ResultsNotReadyError(Exception):
    """A workflow is still running, or a task of it although the workflow has completed.

    Args:
        workflow_id: The workflow.
        is_completed: Whether the workflow itself has completed.
    """

    def __init__(self, workflow_id: str, *, is_completed: bool = False) -> None:
        super().__init__(f"{'a task of ' if is_completed else ''}workflow {workflow_id} is still running")
        self.workflow_id = workflow_id
        self.is_completed = is_completed


class FailureUnconfirmedError(Exception):
    """A workflow has failed by a status word alone, which must not delete anything.

    Args:
        workflow_id: The workflow.
    """

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"nothing but a status word says that workflow {workflow_id} failed")
        self.workflow_id = workflow_id


class CursorOfOtherResultsError(Exception):
    """The cursor of an earlier attempt belongs to other workflows or tasks."""


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of results.

    Attributes:
        records: Flat records, as :func:`.rows.result_row` makes them.
        cursor: Where the next page begins; None on the last one.
        total: Always None: the API has no count over several workflows.
    """

    records: Sequence[Mapping[str, Any]]
    cursor: str | None
    total: None = None


@dataclass(slots=True)
class SourceCounts:
    """How many results were read in which way; the loading task returns these numbers under these names.

    Attributes:
        from_webhooks: Results out of delivered webhooks.
        from_workflows: Results out of workflow statuses.
        from_tasks: Results that were read one by one.
        unfinished: Contacts that were left out because their workflow, or their own task, had not ended.
    """

    from_webhooks: int = 0
    from_workflows: int = 0
    from_tasks: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """The three ways to read results.

    Attributes:
        delivered: Returns the payload that a workflow's webhook delivered, or None.
        workflow: Requests a workflow's status.
        task: Requests a task's result.
        submitted: Returns how many contacts of a workflow are known to have been submitted; 0 if that is not known.
    """

    delivered: Callable[[str], Mapping[str, Any] | None]
    workflow: Callable[[str], WorkflowStatus]
    task: Callable[[str], EnrichmentResult]
    submitted: Callable[[str], int] = lambda _: 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of a workflow's results before its tasks are read one by one.

    Attributes:
        rows: The results.
        expected: How many there should be, at least one for each known task; None if the number is unknown.
        state: State of the workflow; None if it was not requested.
        total: How many there are according to the workflow itself, or else to the ledger; None if the workflow was not
            requested, or neither says.
        unfinished: Tasks of which the workflow itself says that they have not ended.
        is_counted: Whether the workflow itself says how many contacts it has, or how many it has processed.
    """

    rows: Rows
    expected: int | None = None
    state: WorkflowState | None = None
    total: int | None = None
    unfinished: frozenset[str] = frozenset()
    is_counted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether these are all results that the workflow will ever have."""
        return (
            self.state is not WorkflowState.RUNNING
            and bool(self.rows)
            and len(self.rows) >= (self.expected or 0)
        )


@dataclass(slots=True)
class _Tasks:
    """Reading the tasks of one workflow one by one.

    Attributes:
        workflow_id: The workflow.
        task_ids: All of its tasks that are known.
        found: What is known of its results before.
        state: State of the workflow; None as long as it was not requested.
        total: How many results there are; None as long as that is not known.
        unknown_before: How many task ids earlier attempts did not find.
        unknown: Those that this attempt did not find.
        left_behind: Tasks that have not ended although the workflow has.
    """

    workflow_id: str
    task_ids: Sequence[str]
    found: _Found
    state: WorkflowState | None
    total: int | None
    unknown_before: int = 0
    unknown: set[str] = field(default_factory=set)
    left_behind: int = 0

    @property
    def unknown_count(self) -> int:
        """How many task ids the API does not know."""
        return self.unknown_before + len(self.unknown)

    def has_all_without(self, task_id: str) -> bool:
        """Whether there can be as many results as the workflow has contacts without a task id that is unknown."""
        possible = (self.found.rows.keys() | set(self.task_ids)) - self.unknown - {task_id}
        return self.total is not None and len(possible) - self.unknown_before >= self.total > 0


class ResultReader:
    """Reads the results of workflows page by page.

    Args:
        workflow_ids: The workflows, each once.
        task_ids: Task ids by workflow, as far as known.
        access: The three ways to read results.
        log: Receives counts and ids.
        skip_unfinished: Leave out contacts whose workflow is still running, instead of stopping.
        deletes_unread: Whether what is not read is deleted, so that a failure has to come with a count.
        tasks_per_page: Results per page where they are read one by one.

    Attributes:
        workflows: Number of workflows.
        digest: Identifies these workflows and tasks.
        counts: How many results this attempt read in which way.
    """

    def __init__(
        self,
        workflow_ids: Sequence[str],
        task_ids: Mapping[str, Sequence[str]],
        access: Access,
        log: TaskLog,
        *,
        skip_unfinished: bool = False,
        deletes_unread: bool = False,
        tasks_per_page: int = 1,
    ) -> None:
        self._workflow_ids = tuple(workflow_ids)
        self._task_ids = task_ids
        self._access = access
        self._log = log
        self._skip_unfinished = skip_unfinished
        self._deletes_unread = deletes_unread
        self._tasks_per_page = tasks_per_page
        self._statuses_carry_results = True
        self.workflows = len(self._workflow_ids)
        self.digest = _digest(self._workflow_ids, task_ids)
        self.counts = SourceCounts()

    def read(self, cursor: str | None) -> Iterator[ResultPage]:
        """Yield pages from a cursor on, at least one.

        Args:
            cursor: Cursor of an earlier page, possibly of an earlier attempt; None starts at the beginning.

        Raises:
            CursorOfOtherResultsError: The cursor belongs to other workflows or tasks.
            ResultsUnavailableError: None of the ways provides all results of a workflow.
            FailureUnconfirmedError: A workflow has failed by a word alone, and what is not read would be deleted.
            ResultsNotReadyError: A workflow is still running, or a task of one that has completed.
            errors.CleanlistError: The API refused the request or failed.
        """
        first, offset, unknown = self._position(cursor)
        if not self._workflow_ids:
            yield ResultPage((), None)
        for index in range(first, len(self._workflow_ids)):
            yield from self._workflow_pages(index, *((offset, unknown) if index == first else (0, 0)))

    def _workflow_pages(self, index: int, offset: int, unknown: int) -> Iterator[ResultPage]:
        workflow_id = self._workflow_ids[index]
        tasks = self._task_ids.get(workflow_id, ())
        found = self._found(workflow_id, may_request=not (offset and tasks))
        left = frozenset(tasks[offset:])
        rows = [row for task_id, row in found.rows.items() if not offset or task_id in left]
        if found.is_complete:
            yield ResultPage(rows, self._cursor(index + 1))
        elif tasks:
            if rows:
                yield ResultPage(rows, self._cursor(index, offset, unknown))
            reading = _Tasks(workflow_id, tasks, found, found.state, found.total, unknown)
            yield from self._task_pages(index, offset, reading)
        else:
            self._account_for_missing(workflow_id, found)
            yield ResultPage(rows, self._cursor(index + 1))

    def _account_for_missing(self, workflow_id: str, found: _Found) -> None:
        """Count or log results that cannot be read; raise if the workflow's state does not explain them."""
        missing = max(0, (found.expected or 0) - len(found.rows))
        if found.state is WorkflowState.COMPLETED:
            if not found.unfinished or missing > len(found.unfinished):
                raise ResultsUnavailableError(workflow_id, len(found.rows), found.expected)
            self._leave_behind(workflow_id, found.state)
        if found.state is not WorkflowState.FAILED:
            self.counts.unfinished += missing
        elif self._deletes_unread and not (found.rows or found.is_counted):
            raise FailureUnconfirmedError(workflow_id)
        else:
            self.counts.unfinished += len(found.unfinished)
            self._log.warning(
                "Workflow %s failed; only %s of it can be read.",
                workflow_id,
                counted(len(found.rows), "result"),
            )

    def _found(self, workflow_id: str, *, may_request: bool) -> _Found:
        """Return what is known of a workflow; its status is requested only if that may bring more."""
        payload = self._access.delivered(workflow_id)
        delivered = _Found({})
        if payload is not None:
            status = WorkflowStatus.parse(workflow_id, payload)
            delivered = self._results_in(status, is_final=True)
            delivered = self._of_known_tasks(workflow_id, delivered)
            self.counts.from_webhooks += len(delivered.rows)
        hopeless = not self._statuses_carry_results and bool(self._task_ids.get(workflow_id))
        if delivered.is_complete:
            return delivered
        if hopeless or not may_request:
            # of how it stands and how many contacts it has, the API's word counts
            return _Found(delivered.rows, delivered.expected)
        return self._with_status(workflow_id, delivered)

    def _of_known_tasks(self, workflow_id: str, delivered: _Found) -> _Found:
        """Leave out results of tasks that are not known to be the workflow's; then the API is asked, too."""
        tasks = frozenset(self._task_ids.get(workflow_id, ()))
        rows = {task_id: row for task_id, row in delivered.rows.items() if not tasks or task_id in tasks}
        return replace(delivered, rows=rows)

    def _with_status(self, workflow_id: str, delivered: _Found) -> _Found:
        status = self._access.workflow(workflow_id)
        is_final = _state_of(status) is not WorkflowState.RUNNING
        if not is_final and not self._skip_unfinished:
            raise ResultsNotReadyError(workflow_id)
        found = self._results_in(status, is_final=is_final)
        if found.state is WorkflowState.COMPLETED:
            self._statuses_carry_results = bool(found.rows or found.unfinished)
        self.counts.from_workflows += len(found.rows.keys() - delivered.rows.keys())
        # what was delivered counts less than results from the API itself
        expected = found.expected if found.is_complete else _most(found.expected, delivered.expected)
        rows = delivered.rows | found.rows
        return replace(found, rows=rows, expected=expected, unfinished=found.unfinished - rows.keys())

    def _total(self, status: WorkflowStatus) -> int | None:
        """Return how many contacts a workflow has by its status, else by what is known of the submission."""
        return status.total or _most(status.processed, self._access.submitted(status.workflow_id))

    def _results_in(self, status: WorkflowStatus, *, is_final: bool) -> _Found:
        state = WorkflowState.RUNNING
        if is_final:
            state = WorkflowState.FAILED if status.state is WorkflowState.FAILED else WorkflowState.COMPLETED
        rows: Rows = {}
        running: Rows = {}
        for body in status.results:
            if row := result_in(body, status.workflow_id):
                (running if _has_not_ended(row["status"], state) else rows)[row["task_id"]] = row
        known = len(rows.keys() | running.keys() | set(self._task_ids.get(status.workflow_id, ())))
        total = self._total(status)
        expected = _most(total, known, len(rows) + len(running) + status.truncated)
        is_counted = status.total is not None or status.processed is not None
        return _Found(rows, expected, state, total, frozenset(running.keys() - rows.keys()), is_counted)

    def _task_pages(self, index: int, offset: int, reading: _Tasks) -> Iterator[ResultPage]:
        workflow_id, tasks, found = reading.workflow_id, reading.task_ids, reading.found
        rows: list[dict[str, Any]] = []
        characters = 0
        for number in range(offset, len(tasks)):
            if tasks[number] in found.rows:
                continue
            try:
                result = self._task_result(tasks[number], reading)
            except Exception:
                if rows:
                    yield ResultPage(rows, self._cursor(index, number, reading.unknown_count))
                raise
            if result is None:
                continue
            self.counts.from_tasks += 1
            rows.append(result_row(result, workflow_id, tasks[number]))
            characters += len(repr(result.raw))
            if len(rows) == self._tasks_per_page or characters > RESULT_PAGE_CHARACTERS:
                yield ResultPage(rows, self._cursor(index, number + 1, reading.unknown_count))
                rows, characters = [], 0
        if reading.unknown_count:
            self._log.warning(
                "Workflow %s: Cleanlist does not know %s, and has results for all its contacts without them.",
                workflow_id,
                counted(reading.unknown_count, "task id"),
            )
        if reading.left_behind:
            self._log.warning(
                "Workflow %s has ended, but %s of it had not: left out.",
                workflow_id,
                counted(reading.left_behind, "task"),
            )
        missing = (found.expected or 0) - len(found.rows.keys() | set(tasks))
        if missing > 0:
            self._log.warning(
                "Workflow %s: %s cannot be read, because only %s of its %d contacts are known.",
                workflow_id,
                counted(missing, "result"),
                counted(len(set(tasks)), "task id"),
                found.expected,
            )
        yield ResultPage(rows, self._cursor(index + 1))

    def _task_result(self, task_id: str, reading: _Tasks) -> EnrichmentResult | None:
        """Return a task's result, or None if the task has not ended or is not known, and may be left out."""
        try:
            result = self._access.task(task_id)
        except NotFoundError:
            if reading.total is None:
                reading.total = self._total(self._access.workflow(reading.workflow_id))
            if not reading.has_all_without(task_id):
                raise
            reading.unknown.add(task_id)
            return None
        if result.state is not WorkflowState.RUNNING:
            return result
        if reading.state is None:
            reading.state = _state_of(self._access.workflow(reading.workflow_id))
        if not _has_not_ended(result.status, reading.state):
            return result
        self._leave_behind(reading.workflow_id, reading.state)
        self.counts.unfinished += 1
        reading.left_behind += reading.state is not WorkflowState.RUNNING
        return None

    def _leave_behind(self, workflow_id: str, state: WorkflowState) -> None:
        """Raise if a task of a workflow in this state has not ended and must not be left out.

        Tasks of a workflow that has failed will never end, so nobody waits for them.
        """
        if state is not WorkflowState.FAILED and not self._skip_unfinished:
            raise ResultsNotReadyError(workflow_id, is_completed=state is WorkflowState.COMPLETED)

    def _cursor(self, index: int, offset: int = 0, unknown: int = 0) -> str | None:
        if index == len(self._workflow_ids):
            return None
        return f"{self.digest}:{index}:{offset}:{unknown}"

    def _position(self, cursor: str | None) -> tuple[int, int, int]:
        if cursor is None:
            return 0, 0, 0
        digest, index, offset, unknown = cursor.split(":")
        if digest != self.digest:
            raise CursorOfOtherResultsError
        return int(index), int(offset), int(unknown)


def _has_not_ended(status: str, workflow: WorkflowState) -> bool:
    """Whether a task has not ended: in a workflow that has, only if its own status word says so."""
    if workflow is WorkflowState.RUNNING:
        return workflow_state(status) is WorkflowState.RUNNING
    return is_in_progress(status)


def _state_of(status: WorkflowStatus) -> WorkflowState:
    """Return a workflow's state: an unknown one counts as completed when all contacts are processed."""
    is_complete = status.is_unknown and status.progress == 1.0
    return WorkflowState.COMPLETED if is_complete else status.state


def _most(*counts: int | None) -> int | None:
    """Return the largest of some counts; None if none is known or all are zero."""
    return max(count or 0 for count in counts) or None


def _digest(workflow_ids: Sequence[str], task_ids: Mapping[str, Sequence[str]]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for workflow_id in workflow_ids:
        for part in (workflow_id, *task_ids.get(workflow_id, ()), ""):
            digest.update(part.encode() + b"\0")
    return digest.hexdigest()
