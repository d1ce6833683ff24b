"""Reading the results of workflows, contact by contact, in the cheapest way there is.

A delivered webhook costs no request, the answer to a workflow's status costs one for up to 250 contacts if it carries
results at all, and a task's status costs one per contact. What an earlier try has read is not read again: a cursor
names the place in the workflows' task ids, and a digest of what is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_cleanlist.client.models import count_or_none
from airflow_provider_cleanlist.client.results import (
    EnrichmentResult,
    WorkflowState,
    WorkflowStatus,
    workflow_state,
)
from airflow_provider_cleanlist.results.rows import result_row
from airflow_provider_cleanlist.task_log import TaskLog

Rows = dict[str, dict[str, Any]]
"""Records by task id."""


class ResultsUnavailableError(Exception):
    """None of the three ways can serve a workflow's results.

    Args:
        workflow_id: The workflow.
        found: Results that could be had of it.
        expected: Results that it has, or None if nobody tells.
    """

    def __init__(self, workflow_id: str, found: int, expected: int | None) -> None:
        super().__init__(f"{found} of {expected or 'unknown'} results of workflow {workflow_id} can be read")
        self.workflow_id = workflow_id
        self.found = found
        self.expected = expected


class ResultsNotReadyError(Exception):
    """A workflow still runs.

    Args:
        workflow_id: The workflow.
    """

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"workflow {workflow_id} still runs")
        self.workflow_id = workflow_id


class CursorOfOtherResultsError(Exception):
    """A cursor of an earlier try belongs to other workflows or tasks."""


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Some results.

    Attributes:
        leads: Flat records of :func:`.result_rows.result_row`.
        cursor: Where to go on; None on the last page.
        total: Always None: the API has no count over workflows.
    """

    leads: Sequence[Mapping[str, Any]]
    cursor: str | None
    total: None = None


@dataclass(slots=True)
class Sources:
    """How many results came by which way.

    Attributes:
        from_webhooks: Out of delivered webhooks.
        from_workflows: Out of answers to workflows' status.
        from_tasks: One by one.
        unfinished: Left out because their workflow still ran.
    """

    from_webhooks: int = 0
    from_workflows: int = 0
    from_tasks: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """Where results can be had.

    Attributes:
        delivered: Returns the payload that a workflow's webhook delivered, or None.
        workflow: InFlightRequests for a workflow's status.
        task: InFlightRequests for a task's result.
    """

    delivered: Callable[[str], Mapping[str, Any] | None]
    workflow: Callable[[str], WorkflowStatus]
    task: Callable[[str], EnrichmentResult]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of a workflow's results without asking for tasks.

    Attributes:
        rows: The results.
        expected: How many there should be; None if nobody tells.
        complete: Whether these are all.
        state: What its status says; None if it was not asked.
    """

    rows: Rows
    expected: int | None = None
    complete: bool = False
    state: WorkflowState | None = None


class ResultReader:
    """Reads the results of workflows page by page.

    Args:
        workflow_ids: The workflows, each once.
        task_ids: Task ids by workflow, as far as known.
        access: Where results can be had.
        log: Receives counts and ids.
        skip_unfinished: Leave contacts out whose workflow still runs, instead of stopping.
        tasks_per_page: Results per page where they are read one by one.

    Attributes:
        workflows: How many workflows there are.
        digest: Tells these workflows and tasks from others.
        sources: How many results came by which way in this try.
    """

    def __init__(
        self,
        workflow_ids: Sequence[str],
        task_ids: Mapping[str, Sequence[str]],
        access: Access,
        log: TaskLog,
        *,
        skip_unfinished: bool = False,
        tasks_per_page: int = 1,
    ) -> None:
        self._workflow_ids = tuple(workflow_ids)
        self._task_ids = task_ids
        self._access = access
        self._log = log
        self._skip_unfinished = skip_unfinished
        self._tasks_per_page = tasks_per_page
        self._answers_carry_results = True
        self.workflows = len(self._workflow_ids)
        self.digest = _digest(self._workflow_ids, task_ids)
        self.sources = Sources()

    def read(self, cursor: str | None) -> Iterator[ResultPage]:
        """Yield pages from a cursor on, one at least.

        Args:
            cursor: Cursor of an earlier page, also of an earlier try; None starts at the beginning.

        Raises:
            CursorOfOtherResultsError: The cursor belongs to other workflows or tasks.
            ResultsUnavailableError: None of the ways can serve a workflow.
            ResultsNotReadyError: A workflow still runs.
            errors.CleanlistError: The API refused or failed.
        """
        first, offset = self._place(cursor)
        if not self._workflow_ids:
            yield ResultPage((), None)
        for index in range(first, len(self._workflow_ids)):
            yield from self._workflow_pages(index, offset if index == first else 0)

    def _workflow_pages(self, index: int, offset: int) -> Iterator[ResultPage]:
        workflow_id = self._workflow_ids[index]
        tasks = self._task_ids.get(workflow_id, ())
        found = self._found(workflow_id, may_ask=not (offset and tasks))
        left = frozenset(tasks[offset:])
        rows = [row for task_id, row in found.rows.items() if not offset or task_id in left]
        if found.complete:
            yield ResultPage(rows, self._cursor(index + 1))
        elif tasks:
            if rows:
                yield ResultPage(rows, self._cursor(index, offset))
            yield from self._task_pages(index, offset, found)
        else:
            self._give_up_rest(workflow_id, found)
            yield ResultPage(rows, self._cursor(index + 1))

    def _give_up_rest(self, workflow_id: str, found: _Found) -> None:
        """Go without results that nobody can tell, if there is a good reason for it."""
        if found.state is WorkflowState.COMPLETED:
            raise ResultsUnavailableError(workflow_id, len(found.rows), found.expected)
        if found.state is WorkflowState.RUNNING:
            self.sources.unfinished += max(0, (found.expected or 0) - len(found.rows))
        else:
            self._log.warning(
                "Workflow %s failed; only %d of its results can be told.", workflow_id, len(found.rows)
            )

    def _found(self, workflow_id: str, *, may_ask: bool) -> _Found:
        """Return what is known of a workflow; a request is made only if it may bring something."""
        payload = self._access.delivered(workflow_id)
        delivered = _Found({})
        if payload is not None:
            status = WorkflowStatus.parse(workflow_id, payload)
            truncated = bool(count_or_none(payload.get("results_truncated")))
            delivered = self._results_in(status, is_final=True, truncated=truncated)
            self.sources.from_webhooks += len(delivered.rows)
        hopeless = not self._answers_carry_results and bool(self._task_ids.get(workflow_id))
        if delivered.complete or hopeless or not may_ask:
            return delivered
        return self._with_answer(workflow_id, delivered.rows)

    def _with_answer(self, workflow_id: str, delivered: Rows) -> _Found:
        status = self._access.workflow(workflow_id)
        is_final = status.state is not WorkflowState.RUNNING
        if not is_final and not self._skip_unfinished:
            raise ResultsNotReadyError(workflow_id)
        answer = self._results_in(status, is_final=is_final)
        if status.state is WorkflowState.COMPLETED:
            self._answers_carry_results = bool(answer.rows)
        self.sources.from_workflows += len(answer.rows.keys() - delivered.keys())
        return self._completed(delivered | answer.rows, answer.expected, answer.state)

    def _results_in(self, status: WorkflowStatus, *, is_final: bool, truncated: bool = False) -> _Found:
        state = WorkflowState.RUNNING
        if is_final:
            state = WorkflowState.FAILED if status.state is WorkflowState.FAILED else WorkflowState.COMPLETED
        rows: Rows = {}
        for body in status.results:
            row = result_row(body, status.workflow_id)
            if row and (is_final or workflow_state(row["status"]) is not WorkflowState.RUNNING):
                rows[row["task_id"]] = row
        expected = status.total
        if expected is None:
            expected = len(self._task_ids.get(status.workflow_id, ())) or None
        if truncated and expected is None:
            expected = len(rows) + 1
        return self._completed(rows, expected, state)

    def _completed(self, rows: Rows, expected: int | None, state: WorkflowState | None) -> _Found:
        is_complete = state is not WorkflowState.RUNNING and bool(rows) and len(rows) >= (expected or 0)
        return _Found(rows, expected, is_complete, state)

    def _task_pages(self, index: int, offset: int, found: _Found) -> Iterator[ResultPage]:
        workflow_id = self._workflow_ids[index]
        tasks = self._task_ids.get(workflow_id, ())
        state = found.state
        rows: list[dict[str, Any]] = []
        for number in range(offset, len(tasks)):
            if tasks[number] in found.rows:
                continue
            try:
                result = self._access.task(tasks[number])
            except Exception:
                if rows:
                    yield ResultPage(rows, self._cursor(index, number))
                raise
            if result.state is WorkflowState.RUNNING and state is None:
                state = self._end_of(workflow_id)
            if result.state is WorkflowState.RUNNING and state is WorkflowState.RUNNING:
                self.sources.unfinished += 1
                continue
            self.sources.from_tasks += 1
            rows.append(result_row(result.raw, workflow_id, tasks[number]) or {})
            if len(rows) == self._tasks_per_page:
                yield ResultPage(rows, self._cursor(index, number + 1))
                rows = []
        yield ResultPage(rows, self._cursor(index + 1))

    def _end_of(self, workflow_id: str) -> WorkflowState:
        """Return the state of a workflow whose task is said to run."""
        state = self._access.workflow(workflow_id).state
        if state is WorkflowState.RUNNING and not self._skip_unfinished:
            raise ResultsNotReadyError(workflow_id)
        return state

    def _cursor(self, index: int, offset: int = 0) -> str | None:
        if index == len(self._workflow_ids):
            return None
        return f"{self.digest}:{index}:{offset}"

    def _place(self, cursor: str | None) -> tuple[int, int]:
        if cursor is None:
            return 0, 0
        digest, index, offset = cursor.split(":")
        if digest != self.digest:
            raise CursorOfOtherResultsError
        return int(index), int(offset)


def _digest(workflow_ids: Sequence[str], task_ids: Mapping[str, Sequence[str]]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for workflow_id in workflow_ids:
        for part in (workflow_id, *task_ids.get(workflow_id, ()), ""):
            digest.update(part.encode() + b"\0")
    return digest.hexdigest()
