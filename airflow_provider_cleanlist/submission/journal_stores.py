"""Where the record of submissions lives: Airflow's task state store, or a directory on object storage."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_cleanlist.durable_files import replace_file
from airflow_provider_cleanlist.submission.journal import (
    JournalCorruptError,
    JournalMissingError,
    JournalTakenOverError,
    JournalUnavailableError,
)
from airflow_provider_cleanlist.submission.stored_journal import JournalStore

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

T = TypeVar("T")

_TAKEN_OVER = "another try of this task has taken over"


class TaskStateJournalStore:
    """Airflow's task state store (3.3 and later): it survives retries, crashes and clears.

    A new try gets a new task instance id before it starts, and the store refuses writes under the old one. So a try
    that was given up and still runs cannot write an intent, and what it wrote before is there for its successor.

    Args:
        accessor: ``context["task_state_store"]``.
        try_number: Number of this try, from 1.
    """

    def __init__(self, accessor: Any, try_number: int) -> None:
        self._accessor = accessor
        self.parts: Sequence[str] = [f"try{number:04d}" for number in range(1, try_number + 1)]

    def read(self, key: str) -> Any:
        """See :class:`.stored_journal.JournalStore`."""
        try:
            return self._accessor.get(key)
        except Exception as error:
            raise JournalUnavailableError(f"Airflow's task state store: {type(error).__name__}") from error

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.stored_journal.JournalStore`. Records never expire before their DAG run is deleted."""
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # lazily exported since 3.3

        try:
            self._accessor.set(key, value, retention=NEVER_EXPIRE)
        except Exception as error:
            if _status_of(error) == 404:
                raise JournalTakenOverError(_TAKEN_OVER) from error
            raise JournalUnavailableError(f"Airflow's task state store: {type(error).__name__}") from error

    def check_ownership(self) -> None:
        """Every write has checked it."""

    def check_memory(self) -> None:
        """Leave a trace of this try, and find those of earlier ones, where Airflow forgets the state of successes.

        Raises:
            JournalMissingError: No earlier try has left a trace.
            JournalUnavailableError: It cannot be told.
            JournalTakenOverError: Another try of the task has taken over.
        """
        *earlier, own = (f"cleanlist_opened.{part}" for part in self.parts)
        if earlier and not any(self.read(key) for key in earlier):
            raise JournalMissingError(FORGETFUL_STORE.format(try_number=len(self.parts)))
        self.write(own, {"at": time.time()})


def _status_of(error: Exception) -> int | None:
    """Return the HTTP status with which Airflow's API server refused a request of the worker."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return detail.get("status_code") if isinstance(detail, dict) else None


class ObjectStorageJournalStore:
    """A directory on any object storage or file system, one folder per task instance and one file per record.

    Opening takes the folder over. An older try that still runs finds that out between writing an intent and sending
    the request: if it does not, its intent was there before the folder was taken over, and so its successor reads it.
    That needs a storage that shows at once what was written, as S3, GCS, Azure and local disks do.

    Args:
        root: Directory for all journals.
        task_instance: Dag id, run id, task id and map index.
    """

    def __init__(self, root: ObjectStoragePath, task_instance: tuple[str, str, str, int]) -> None:
        name = hashlib.blake2b("\0".join(map(str, task_instance)).encode(), digest_size=16).hexdigest()
        self._folder = root / name
        own = f"{time.time_ns():019d}-{uuid.uuid4().hex[:12]}"
        self._guarded(lambda: self._folder.mkdir(parents=True, exist_ok=True))
        self.write(f"{_OPENED}{own}", {"task_instance": list(task_instance)})
        self.write(_OWNER, {"part": own})
        self.parts: Sequence[str] = [*(part for part in self._all_parts() if part != own), own]

    def read(self, key: str) -> Any:
        """See :class:`.stored_journal.JournalStore`."""
        path = self._folder / f"{key}.json"
        text = self._guarded(lambda: _text_or_none(path))
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            raise JournalCorruptError(f"{path} is not JSON") from None

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.stored_journal.JournalStore`."""
        path = self._folder / f"{key}.json"
        text = json.dumps(value)
        if path.protocol in ("file", "local"):
            self._guarded(lambda: replace_file(Path(path.path), text))
        else:
            self._guarded(lambda: path.write_text(text))

    def check_ownership(self) -> None:
        """See :class:`.stored_journal.JournalStore`."""
        owner = self.read(_OWNER)
        if not isinstance(owner, dict) or owner.get("part") != self.parts[-1]:
            raise JournalTakenOverError(_TAKEN_OVER)

    def _all_parts(self) -> list[str]:
        def names() -> list[str]:
            system = self._folder.fs
            system.invalidate_cache()  # it may hold a listing made before the folder was taken over
            return [path.rpartition("/")[2] for path in system.ls(self._folder.path, detail=False)]

        opened = (name for name in self._guarded(names) if name.startswith(_OPENED))
        return sorted(name.removeprefix(_OPENED).removesuffix(".json") for name in opened)

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except Exception as error:
            raise JournalUnavailableError(f"{self._folder}: {type(error).__name__}") from error


_OWNER = "owner"
_OPENED = "opened."


def _text_or_none(path: ObjectStoragePath) -> str | None:
    try:
        text: str = path.read_text()
        return text
    except FileNotFoundError:
        return None


class FirstTryJournalStore:
    """No durable store at all: good for the first try of a task, and for no other."""

    def __init__(self) -> None:
        self.parts: Sequence[str] = ["try0001"]
        self._values: dict[str, dict[str, Any]] = {}

    def read(self, key: str) -> Any:
        """See :class:`.stored_journal.JournalStore`."""
        return self._values.get(key)

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.stored_journal.JournalStore`."""
        self._values[key] = value

    def check_ownership(self) -> None:
        """There is no other try."""


_WAYS_ON = (
    " Nothing was submitted in this try. Look in the Cleanlist portal what the earlier try did. To let tasks go on "
    "after a crash, set [cleanlist] journal_path to a directory that all workers share, such as "
    "s3://conn@bucket/cleanlist. To submit these contacts again all the same, and pay again, start a new DAG run."
)
NO_STORE = (
    "This is try {try_number} of the task, and what earlier tries submitted is not recorded anywhere: Airflow before "
    "3.3 has no task state store, and [cleanlist] journal_path is not set." + _WAYS_ON
)
FORGETFUL_STORE = (
    "This is try {try_number} of the task, and there is no record of what earlier tries submitted: with [state_store] "
    "clear_on_success, Airflow deletes it when a task has succeeded, and [cleanlist] journal_path is not set."
    + _WAYS_ON
)


def open_store(context: Context, *, journal_path: str = "", forgets_successes: bool = False) -> JournalStore:
    """Return the store of the running task instance.

    Args:
        context: Airflow's context of the running task.
        journal_path: Configured directory, empty for Airflow's own store.
        forgets_successes: Whether Airflow deletes the state of a task that has succeeded, which then may be cleared.

    Raises:
        JournalUnavailableError: The store cannot be used.
        JournalMissingError: This is a later try, and what the earlier ones did is not recorded.
    """
    ti = context["ti"]
    if journal_path:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        key = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index if ti.map_index is not None else -1)
        return ObjectStorageJournalStore(ObjectStoragePath(journal_path), key)
    accessor = context.get("task_state_store")
    if accessor is not None:
        store = TaskStateJournalStore(accessor, ti.try_number)
        if forgets_successes:
            store.check_memory()
        return store
    if ti.try_number > 1:
        raise JournalMissingError(NO_STORE.format(try_number=ti.try_number))
    return FirstTryJournalStore()
