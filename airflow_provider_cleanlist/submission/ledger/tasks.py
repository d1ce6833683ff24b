"""Whose journal it is in the ledger: a task instance, and the trace of its first attempt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.submission.errors import JournalConfigurationError
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.tables import ID_LENGTH, moment

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class LedgerTask:
    """A task instance.

    Attributes:
        dag_id: Its DAG.
        run_id: Its DAG run.
        task_id: Its task.
        map_index: Its index; -1 when the task is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def hash(self) -> str:
        """The run and task as one text, whatever the map index."""
        text = "\0".join((self.dag_id, self.run_id, self.task_id)).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    def check_ids(self) -> None:
        """Raise if the ledger cannot keep its ids.

        Raises:
            JournalConfigurationError: It cannot.
        """
        for what, text in (("DAG", self.dag_id), ("run", self.run_id), ("task", self.task_id)):
            check_id(f"id of the {what}", text, ID_LENGTH)

    def columns(self, organisation: str) -> dict[str, Any]:
        """Return what rows of batches and attempts say of the task instance.

        Args:
            organisation: Whose contacts these are.
        """
        return {
            "organisation": organisation,
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "task_id": self.task_id,
            "map_index": self.map_index,
            "task_key": self.hash,
        }

    def owns(self, table: sa.Table) -> Any:
        """Return the condition of its own rows.

        Args:
            table: Batches or attempts.
        """
        return sa.and_(table.c.task_key == self.hash, table.c.map_index == self.map_index)

    @property
    def source(self) -> str:
        """The name under which the ledger keeps source rows of this task."""
        return f"{self.dag_id}/{self.task_id}"


def register_first_attempt(database: LedgerDatabase, task: LedgerTask, now: float) -> None:
    """Record that the task has begun with this ledger, before anything that can fail, unless that is recorded.

    So a later attempt that must find its predecessors here finds them, even if they failed before they knew whose
    contacts these are. Only a first attempt may do so: a later one's predecessors may have recorded elsewhere what they
    submitted.

    Args:
        database: The ledger.
        task: The task instance.
        now: Seconds since the epoch.

    Raises:
        JournalConfigurationError: The ledger cannot keep the ids of the task.
        JournalUnavailableError: It cannot be used at present.
    """
    task.check_ids()
    attempts = database.tables.attempts
    values = {**task.columns(""), "try_number": 1, "owner": "", "opened_at": moment(now)}

    def register(connection: Connection) -> None:
        if connection.execute(sa.select(attempts.c.owner).where(task.owns(attempts))).first() is None:
            connection.execute(attempts.insert().values(values))

    database.run(register)


def check_id(name: str, text: str, length: int) -> None:
    """Raise if a database cannot keep an id.

    Args:
        name: What it is.
        text: The id.
        length: Characters that its column takes.

    Raises:
        JournalConfigurationError: It cannot.
    """
    try:
        text.encode()
        is_text = "\0" not in text
    except UnicodeEncodeError:
        is_text = False
    if not is_text:
        raise JournalConfigurationError(
            f"the {name} holds a character that databases cannot keep: start a run whose ids are plain text"
        )
    if len(text) > length:
        raise JournalConfigurationError(
            f"the {name} has {len(text)} characters, and the ledger keeps at most {length}: start a run with a shorter "
            "one"
        )
