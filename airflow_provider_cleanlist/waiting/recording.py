"""Recording in the organisation's ledger how workflows ended."""

from __future__ import annotations

import time
from collections.abc import Sequence

from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted


def record_ends(ends: Sequence[WorkflowEnd], log: TaskLog, ledger_conn_id: str | None = None) -> None:
    """Record how workflows ended in the ledger, if there is one. Nothing that goes wrong with that fails a wait.

    Args:
        ends: The ends; workflows that are not in the ledger are passed over.
        log: Receives a warning if they cannot be recorded.
        ledger_conn_id: Airflow connection of the ledger; None takes ``[cleanlist] ledger_conn_id``.
    """
    if not ends:
        return
    from airflow_provider_cleanlist.submission.errors import JournalError
    from airflow_provider_cleanlist.submission.task import ledger_database

    try:
        database = ledger_database(ledger_conn_id)
        if database is None:
            return
        try:
            database.record_ends(ends, time.time())
        finally:
            database.engine.dispose()
    except Exception as error:  # noqa: BLE001  # ends are statistics; what was paid is recorded by the submission
        reason = error if isinstance(error, JournalError) else type(error).__name__
        log.warning(
            "How %s ended is not recorded in the ledger: %s. The result of the wait stands; the next wait for the same "
            "workflows records it.",
            counted(len(ends), "workflow"),
            reason,
        )
