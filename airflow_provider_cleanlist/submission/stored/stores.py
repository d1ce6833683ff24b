"""Where a journal lives: the task state store, a directory, or memory for a first attempt without either."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow_provider_cleanlist.durable_files import make_folder, replace_file
from airflow_provider_cleanlist.input_limits import JOURNAL_FILE, MB
from airflow_provider_cleanlist.storage import local_path, start_of
from airflow_provider_cleanlist.submission.errors import (
    JournalCorruptError,
    JournalMissingError,
    JournalTakenOverError,
    JournalUnavailableError,
    not_known_here,
)
from airflow_provider_cleanlist.submission.journal import token_hash

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

T = TypeVar("T")

_TAKEN_OVER = "another attempt of this task has taken over"


class JournalStore(Protocol):
    """Keeps JSON values of one task instance over all its attempts."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts that attempts may have written, oldest first; the last is this one's own."""

    @property
    def sees_all_indexes(self) -> bool:
        """Whether it knows what every map index of the run and task has submitted."""

    @property
    def is_durable(self) -> bool:
        """Whether it outlives the process, so that a task that waits elsewhere finds it again."""

    @property
    def others(self) -> Mapping[str, int]:
        """Names of the parts that other map indexes of the run and task have written so far, with the map index.

        Those of one map index come oldest first.
        """

    def read(self, key: str) -> Any:
        """Return the value, or None if there is none.

        Raises:
            JournalUnavailableError: Whether there is one cannot be determined.
            JournalCorruptError: There is one, and it is not JSON.
        """

    def write(self, key: str, value: dict[str, Any]) -> None:
        """Store a value durably before returning.

        Raises:
            JournalUnavailableError: Whether it was stored cannot be determined.
            JournalTakenOverError: Another attempt of the task has taken over.
        """

    def check_ownership(self) -> None:
        """Make sure that a later attempt either sees everything written so far or has not read anything yet.

        Raises:
            JournalUnavailableError: The owner cannot be determined.
            JournalTakenOverError: Another attempt of the task has taken over.
        """


class TaskStateJournalStore:
    """Airflow's task state store (3.3 and later): it survives retries, crashes and clears.

    A new attempt gets a new task instance id before it starts, and the store refuses writes under the old one. So an
    attempt that Airflow gave up on and that still runs cannot write an intent, and its successor reads what it wrote
    before.

    Args:
        accessor: ``context["task_state_store"]``.
        try_number: Number of this attempt, from 1.
        is_mapped: Whether the task is mapped: each map index has a store of its own.
    """

    is_durable = True
    """See :class:`JournalStore`."""

    def __init__(self, accessor: Any, try_number: int, *, is_mapped: bool = False) -> None:
        self._accessor = accessor
        self.sees_all_indexes = not is_mapped
        self.others: Mapping[str, int] = {}
        self.parts: Sequence[str] = [f"try{number:04d}" for number in range(1, try_number + 1)]

    def read(self, key: str) -> Any:
        """See :class:`JournalStore`."""
        try:
            return self._accessor.get(key)
        except Exception as error:
            raise JournalUnavailableError(f"Airflow's task state store: {type(error).__name__}") from error

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`JournalStore`. Records never expire before their DAG run is deleted."""
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # lazily exported since 3.3

        try:
            self._accessor.set(key, value, retention=NEVER_EXPIRE)
        except Exception as error:
            if _status_of(error) == 404:
                raise JournalTakenOverError(_TAKEN_OVER) from error
            raise JournalUnavailableError(f"Airflow's task state store: {type(error).__name__}") from error

    def check_ownership(self) -> None:
        """Do nothing: every write has checked it."""

    def begin_attempt(self, *, was_cleared: bool, token: str = "") -> bool:
        """Leave a trace of this attempt, before anything else, and return whether the state knows the earlier ones.

        Args:
            was_cleared: Whether somebody cleared the task.
            token: The ``force_resubmit`` value; empty for none.

        Raises:
            JournalUnavailableError: Whether there is a trace cannot be determined.
            JournalTakenOverError: Another attempt of the task has taken over.
        """
        *earlier, own = (f"cleanlist_opened.{part}" for part in self.parts)
        traces = [trace for trace in map(self.read, earlier) if trace]
        is_known = knows_earlier(traces, token_hash(token), was_cleared=was_cleared and bool(earlier))
        self.write(own, {"at": time.time()} | ({} if is_known else {_WITHOUT_STATE: token_hash(token)}))
        return is_known


_WITHOUT_STATE = "found_no_state_with"
"""In an attempt's trace: it found none of those before it, and had that hashed ``force_resubmit`` value."""


def knows_earlier(traces: Sequence[Any], token: str, *, was_cleared: bool) -> bool:
    """Return whether a task's state knows the earlier attempts, or may take them for none. A pure decision.

    An automatic retry may find no trace: an attempt that never came as far as the operator leaves none. A task that was
    cleared has had an attempt that ended: its state was deleted, or that attempt was killed very early. Nobody knows
    which, and whether its ``force_resubmit`` value was used before; only one that differs from those of all attempts
    that have found no trace is certainly new.

    Args:
        traces: The traces of earlier attempts.
        token: This attempt's hashed ``force_resubmit`` value; empty for none.
        was_cleared: Whether somebody cleared the task.
    """
    without = [trace[_WITHOUT_STATE] for trace in traces if _WITHOUT_STATE in trace]
    if len(without) < len(traces):
        return True
    return bool(token) and token not in without if without else not was_cleared


def _status_of(error: Exception) -> int | None:
    """Return the HTTP status with which Airflow's API server refused a request of the worker."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return detail.get("status_code") if isinstance(detail, dict) else None


class ObjectStorageJournalStore:
    """A directory on any object storage or file system, one folder per run and task and one file per record.

    Opening takes over the map index's part of the folder. An older attempt that still runs detects that between
    writing an intent and sending the request. If it does not, its intent was there first, and its successor reads it.
    That needs strongly consistent storage, as S3, GCS, Azure and local disks are.

    Args:
        root: Directory for all journals.
        task: Dag id, run id and task id.
        map_index: The map index; -1 when the task is not mapped.
        try_number: Number of this attempt, from 1.
        must_know: Whether an earlier attempt must have opened its journal here.

    Raises:
        JournalMissingError: An earlier attempt must have opened its journal here, and none has.
    """

    is_durable = True
    """See :class:`JournalStore`."""

    def __init__(
        self,
        root: ObjectStoragePath,
        task: tuple[str, str, str],
        map_index: int,
        *,
        try_number: int = 1,
        must_know: bool = False,
    ) -> None:
        name = hashlib.blake2b("\0".join(task).encode(), digest_size=16).hexdigest()
        self._folder = root / name
        self._local = local_path(self._folder)
        self.sees_all_indexes = True
        self._map_index = map_index
        self._owner = f"owner.{map_index}"
        self._guarded(self._make_folder)
        earlier = self._all_parts()
        if must_know and map_index not in map(_map_index_of, earlier):
            raise not_known_here(try_number, "the directory of [cleanlist] journal_path")
        own = f"{map_index}.{_opening_after(earlier):019d}-{uuid.uuid4().hex[:12]}"
        if not _PART.fullmatch(own):  # the next attempt would not see it
            raise JournalCorruptError(
                f"{self._folder} holds an opened.* file named after a time of the far future"
            )
        self.write(f"{_OPENED}{own}", {"task_instance": [*task, map_index]})
        self.write(self._owner, {"part": own})
        mine = [part for part in self._all_parts() if _map_index_of(part) == map_index and part != own]
        self.parts: Sequence[str] = [*mine, own]

    @property
    def others(self) -> Mapping[str, int]:
        """See :class:`JournalStore`."""
        found = {part: _map_index_of(part) for part in self._all_parts()}
        return {part: index for part, index in found.items() if index != self._map_index}

    def _make_folder(self) -> None:
        if self._local:
            make_folder(self._local)
        else:
            self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, key: str) -> Any:
        """See :class:`JournalStore`."""
        path = self._folder / f"{key}.json"
        found = self._guarded(lambda: start_of(path, JOURNAL_FILE + 1))
        if found is not None and len(found) > JOURNAL_FILE:
            raise JournalCorruptError(f"{path} is larger than {JOURNAL_FILE // MB} MB")
        try:
            return None if found is None else json.loads(found)
        except (ValueError, RecursionError):
            raise JournalCorruptError(f"{path} is not JSON") from None

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`JournalStore`."""
        path = self._folder / f"{key}.json"
        text = json.dumps(value)
        if local := local_path(path):
            self._guarded(lambda: replace_file(local, text))
        else:
            self._guarded(lambda: path.write_text(text))

    def check_ownership(self) -> None:
        """See :class:`JournalStore`."""
        owner = self.read(self._owner)
        if not isinstance(owner, dict) or owner.get("part") != self.parts[-1]:
            raise JournalTakenOverError(_TAKEN_OVER)

    def _all_parts(self) -> list[str]:
        def names() -> list[str]:
            system = self._folder.fs
            system.invalidate_cache()  # it may hold a listing made before the folder was taken over
            return [
                path.rpartition("/")[2]
                for path in system.ls(str(self._local or self._folder.path), detail=False)
            ]

        opened = (name for name in self._guarded(names) if name.startswith(_OPENED))
        parts = (name.removeprefix(_OPENED).removesuffix(".json") for name in opened)
        return sorted(part for part in parts if _PART.fullmatch(part))

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except Exception as error:
            raise JournalUnavailableError(f"{self._folder}: {type(error).__name__}") from error


_OPENED = "opened."


_PART = re.compile(r"(-?\d{1,9})\.(\d{19})-[0-9a-f]+")
"""Map index, and the nanosecond in which it was opened."""


def _map_index_of(part: str) -> int:
    return int(part.partition(".")[0])


def _opening_after(parts: Iterable[str]) -> int:
    """Return the time in nanoseconds, or a later one than parts have: a clock may have been set back."""
    opened = (int(match[2]) for match in map(_PART.fullmatch, parts) if match)
    return max(time.time_ns(), max(opened, default=0) + 1)


class FirstTryJournalStore:
    """Keeps the journal in memory, where no durable store exists: enough for the first attempt of a task only."""

    is_durable = False
    """See :class:`JournalStore`."""

    def __init__(self) -> None:
        self.sees_all_indexes = True
        self.others: Mapping[str, int] = {}
        self.parts: Sequence[str] = ["try0001"]
        self._values: dict[str, dict[str, Any]] = {}

    def read(self, key: str) -> Any:
        """See :class:`JournalStore`."""
        return self._values.get(key)

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`JournalStore`."""
        self._values[key] = value

    def check_ownership(self) -> None:
        """Do nothing: there is no other attempt."""


_WAYS_ON = (
    " Nothing was submitted in this attempt. Check in the Cleanlist portal what the earlier attempt did. To make tasks "
    "safe to retry and clear, configure a ledger ([cleanlist] ledger_conn_id), or set [cleanlist] journal_path to a "
    "directory that all workers share, such as s3://conn@bucket/cleanlist. To submit these contacts again all the "
    "same, and pay again, start a new DAG run."
)
NO_STORE = (
    "This is try {try_number} of the task, and what earlier attempts submitted is not recorded anywhere: Airflow "
    "before 3.3 has no task state store, and neither [cleanlist] ledger_conn_id nor journal_path is set."
    + _WAYS_ON
)
ASK_NEEDS_STORE = (
    "on_unknown_submission='ask' needs a record of what was submitted that is there when the task resumes: configure a "
    "ledger ([cleanlist] ledger_conn_id), or set [cleanlist] journal_path to a directory that all workers share. "
    "Nothing was sent"
)
STATE_DELETED = (
    "This is try {try_number} of the task, it was cleared, and no earlier attempt has left a trace: Airflow's state of "
    "the task was deleted, by hand or with [state_store] clear_on_success, and with it the record of what was "
    "submitted; or those attempts were killed before they began. Nothing was submitted in this attempt. Check in the "
    "Cleanlist portal what they did. If they submitted nothing, or to pay again, clear the task with a force_resubmit "
    "value that no attempt has had: it submits all contacts. To make tasks safe to retry and clear, configure a ledger "
    "([cleanlist] ledger_conn_id), or set [cleanlist] journal_path to a directory that all workers share, such as "
    "s3://conn@bucket/cleanlist."
)


def open_store(
    context: Context, *, journal_path: str = "", must_know: bool = False, token: str = ""
) -> JournalStore:
    """Return the store of the running task instance.

    Args:
        context: Airflow's context of the running task.
        journal_path: Configured directory, empty for Airflow's own store.
        must_know: Whether an earlier attempt must have opened its journal in the directory.
        token: The ``force_resubmit`` value; empty for none.

    Raises:
        JournalUnavailableError: The store cannot be used.
        JournalMissingError: This is a later attempt, and what the earlier ones did is not recorded.
    """
    ti = context["ti"]
    try_number = max(1, ti.try_number)  # `airflow tasks test` counts from 0
    map_index = ti.map_index if ti.map_index is not None else -1
    if journal_path:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        return ObjectStorageJournalStore(
            ObjectStoragePath(journal_path),
            (ti.dag_id, ti.run_id, ti.task_id),
            map_index,
            try_number=try_number,
            must_know=must_know,
        )
    accessor = context.get("task_state_store")
    if accessor is not None:
        store = TaskStateJournalStore(accessor, try_number, is_mapped=map_index >= 0)
        if not store.begin_attempt(was_cleared=was_cleared(context), token=token):
            raise JournalMissingError(STATE_DELETED.format(try_number=try_number))
        return store
    if try_number > 1:
        raise JournalMissingError(NO_STORE.format(try_number=try_number))
    return FirstTryJournalStore()


def was_cleared(context: Context) -> bool:
    """Return whether somebody cleared the task, which raises the attempts it may have above its retries.

    Args:
        context: Airflow's context of the running task.
    """
    max_tries = getattr(context["ti"], "max_tries", None)
    retries = getattr(context.get("task"), "retries", None)
    return max_tries is not None and retries is not None and max_tries > retries
