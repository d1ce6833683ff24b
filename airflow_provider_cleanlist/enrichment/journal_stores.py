"""Where the record of submissions lives: Airflow's task state store, or a directory on object storage."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.enrichment.journal import (
    JournalCorruptError,
    JournalMissingError,
    JournalStore,
    JournalUnavailableError,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath


class TaskStateJournalStore:
    """Airflow's task state store (3.3 and later): it survives retries, crashes and clears.

    A new try gets a new task instance id, with which the store refuses the writes of an older try that still runs.

    Args:
        accessor: ``context["task_state_store"]``.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def read(self, key: str) -> Any:
        """See :class:`.journal.JournalStore`."""
        try:
            return self._accessor.get(key)
        except Exception as error:
            raise JournalUnavailableError(f"Airflow's task state store: {type(error).__name__}") from error

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.journal.JournalStore`. Records never expire before their DAG run is deleted."""
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # lazily exported since 3.3

        try:
            self._accessor.set(key, value, retention=NEVER_EXPIRE)
        except Exception as error:
            raise JournalUnavailableError(f"Airflow's task state store: {type(error).__name__}") from error


class ObjectStorageJournalStore:
    """A directory on any object storage or file system, one folder per task instance and one file per record.

    Opening takes the folder over: an older try that still runs notices at its next write and stops.

    Args:
        root: Directory for all journals.
        task_instance: Dag id, run id, task id and map index.
    """

    def __init__(self, root: ObjectStoragePath, task_instance: tuple[str, str, str, int]) -> None:
        name = hashlib.blake2b("\0".join(map(str, task_instance)).encode(), digest_size=16).hexdigest()
        self._folder = root / name
        self._owner = uuid.uuid4().hex
        self._guarded(lambda: self._folder.mkdir(parents=True, exist_ok=True))
        self._put("owner", {"owner": self._owner, "task_instance": list(task_instance)})

    def read(self, key: str) -> Any:
        """See :class:`.journal.JournalStore`."""
        path = self._folder / f"{key}.json"
        text = self._guarded(lambda: path.read_text() if path.exists() else None)
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            raise JournalCorruptError(f"{path} is not JSON") from None

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.journal.JournalStore`."""
        owner = self.read("owner")
        if not isinstance(owner, dict) or owner.get("owner") != self._owner:
            raise JournalUnavailableError("another try of this task has taken over the journal")
        self._put(key, value)

    def _put(self, key: str, value: dict[str, Any]) -> None:
        path = self._folder / f"{key}.json"
        text = json.dumps(value)
        if path.protocol in ("file", "local"):
            self._guarded(lambda: _replace_file(Path(path.path), text))
        else:
            self._guarded(lambda: path.write_text(text))

    def _guarded(self, action: Any) -> Any:
        try:
            return action()
        except Exception as error:
            raise JournalUnavailableError(f"{self._folder}: {type(error).__name__}") from error


def _replace_file(path: Path, text: str) -> None:
    """Write a local file so that a crash leaves the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class FirstTryJournalStore:
    """No durable store at all: good for the first try of a task, and for no other."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}

    def read(self, key: str) -> Any:
        """See :class:`.journal.JournalStore`."""
        return self._values.get(key)

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.journal.JournalStore`."""
        self._values[key] = value


NO_JOURNAL = (
    "This is try {try_number} of the task, and what earlier tries submitted is not recorded anywhere: Airflow before "
    "3.3 has no task state store, and [cleanlist] journal_path is not set. Nothing was submitted in this try. Look in "
    "the Cleanlist portal what the earlier try did. To let tasks go on after a crash, set [cleanlist] journal_path to "
    "a directory that all workers share, such as s3://conn@bucket/cleanlist. To submit these contacts again all the "
    "same, and pay again, start a new DAG run."
)


def open_store(context: Context, journal_path: str) -> JournalStore:
    """Return the store of the running task instance.

    Args:
        context: Airflow's context of the running task.
        journal_path: Configured directory, empty for Airflow's own store.

    Raises:
        JournalUnavailableError: The directory cannot be used.
        JournalMissingError: This is a later try, and the earlier ones could not record anything.
    """
    ti = context["ti"]
    if journal_path:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        key = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index if ti.map_index is not None else -1)
        return ObjectStorageJournalStore(ObjectStoragePath(journal_path), key)
    accessor = context.get("task_state_store")
    if accessor is not None:
        return TaskStateJournalStore(accessor)
    if ti.try_number > 1:
        raise JournalMissingError(NO_JOURNAL.format(try_number=ti.try_number))
    return FirstTryJournalStore()
