"""What webhooks delivered, in a directory on object storage that receivers, workers and triggerers share.

Four kinds of files, each written once and as a whole::

    expected/<workflow>                empty: a webhook is expected for this workflow
    batches/<batch>.json               the workflow that a batch became
    workflows/<workflow>.json          the delivered payload; holds personal data
    markers/<ten minutes>/<workflow>   empty: something was delivered for this workflow

A batch belongs to the first workflow that is delivered for it. Workflows are named by a hash of their id, because ids
are opaque and may contain anything.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_cleanlist.durable_files import create_file

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

T = TypeVar("T")

log = logging.getLogger(__name__)

MARKER_FOLDER_SECONDS = 600
"""Markers of this many seconds share a folder, so that one listing shows every wait what is new."""

_CONCURRENT_FILES = 8
"""Files that are created or checked at the same time: one after another is slow on object storage."""

_locks = [threading.Lock() for _ in range(64)]


class InboxUnavailableError(Exception):
    """The inbox cannot be read or written at the moment; the message quotes none of its contents."""


class DamagedDeliveryError(InboxUnavailableError):
    """The payload that was delivered for a workflow is damaged, so no retry can read it."""


class ForeignWorkflowError(Exception):
    """The batch has already been delivered as another workflow."""


class Inbox:
    """What webhooks delivered.

    Args:
        root: The directory.
    """

    def __init__(self, root: ObjectStoragePath) -> None:
        self._root = root
        self._is_local = root.protocol in ("file", "local")
        self._made: set[str] = set()

    @classmethod
    def configured(cls) -> Inbox | None:
        """Return the inbox that ``[cleanlist] webhook_inbox`` names, or None if it names none.

        Raises:
            InboxUnavailableError: The path or its connection cannot be used.
        """
        path = configured_path()
        return cls.at(path) if path else None

    @classmethod
    def at(cls, path: str) -> Inbox:
        """Return the inbox in a directory.

        Args:
            path: Local path or object storage URI.

        Raises:
            InboxUnavailableError: The path or its connection cannot be used.
        """
        from airflow.providers.common.compat.sdk import AirflowNotFoundException, ObjectStoragePath

        try:
            # without its connection, a path would silently refer to another storage of the same kind
            _ = ObjectStoragePath(path).fs
            return cls(ObjectStoragePath(path))
        except (ValueError, AirflowNotFoundException) as error:
            raise InboxUnavailableError(f"the inbox {path}: {error}") from None
        except Exception as error:
            raise InboxUnavailableError(f"the inbox {path}: {type(error).__name__}") from error

    def store(self, batch: str, workflow_id: str, payload: Mapping[str, Any], now: float) -> bool:
        """Store the payload that was delivered for a batch, durably, and leave a marker.

        Args:
            batch: Name of the batch, from a genuine token.
            workflow_id: The workflow that the payload names.
            payload: The payload.
            now: Seconds since the epoch.

        Returns:
            Whether it is new; a repeated delivery changes nothing.

        Raises:
            ForeignWorkflowError: The batch belongs to another workflow.
            InboxUnavailableError: The inbox cannot be read or written.
        """
        is_own = self._create(self._batch_path(batch), {"workflow_id": workflow_id})
        if not is_own and self.workflow_of(batch) != workflow_id:
            raise ForeignWorkflowError
        received_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        document = {"workflow_id": workflow_id, "received_at": received_at, "payload": payload}
        is_new = self._create(self._workflow_path(workflow_id), document)
        self._create(self._marker_folder(now) / marker_name(workflow_id))
        return is_new

    def mark_expected(self, workflow_id: str) -> None:
        """Note that a workflow was submitted with a webhook address whose deliveries come here.

        Args:
            workflow_id: The workflow.

        Raises:
            InboxUnavailableError: The inbox cannot be written.
        """
        self._create(self._expected_path(workflow_id))

    def is_expected(self, workflow_id: str) -> bool:
        """Return whether a webhook is expected for a workflow, or was expected and has been delivered.

        Args:
            workflow_id: The workflow.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
        """
        return bool(self._guarded(self._expected_path(workflow_id).exists))

    def workflow_of(self, batch: str) -> str | None:
        """Return the workflow that a batch became, or None if nothing was delivered for it.

        Args:
            batch: Name of the batch.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
        """
        document = self._read(self._batch_path(batch))
        return None if document is None else str(document["workflow_id"])

    def payload(self, workflow_id: str) -> Mapping[str, Any] | None:
        """Return the payload that was delivered for a workflow, or None if nothing was.

        Args:
            workflow_id: The workflow.

        Raises:
            DamagedDeliveryError: The stored file is damaged.
            InboxUnavailableError: The inbox cannot be read.
        """
        document = self._read(self._workflow_path(workflow_id))
        if document is None or document.get("workflow_id") != workflow_id:
            return None
        payload = document["payload"]
        return payload if isinstance(payload, Mapping) else None

    def markers(self, since: float, now: float) -> frozenset[str]:
        """Return the names of all recent markers, as :func:`marker_name` makes them.

        Args:
            since: Where to begin, in seconds since the epoch; markers up to ten minutes older may be included.
            now: Where to end, in seconds since the epoch; markers up to ten minutes younger may be included.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
        """
        folders = range(int(since // MARKER_FOLDER_SECONDS), int(now // MARKER_FOLDER_SECONDS) + 1)
        return frozenset(name for folder in folders for name in self._list(folder * MARKER_FOLDER_SECONDS))

    def _list(self, moment: float) -> Sequence[str]:
        folder = self._marker_folder(moment)

        def names() -> list[str]:
            system = folder.fs
            system.invalidate_cache(folder.path)
            try:
                return [path.rpartition("/")[2] for path in system.ls(folder.path, detail=False)]
            except FileNotFoundError:
                return []

        return self._guarded(names)

    def _read(self, path: ObjectStoragePath) -> dict[str, Any] | None:
        def text() -> str | None:
            try:
                return str(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None

        found = self._guarded(text)
        try:
            document = None if found is None else json.loads(found)
        except ValueError:
            document = {}
        if document is None or (isinstance(document, dict) and "workflow_id" in document):
            return document
        raise DamagedDeliveryError(f"{path} is damaged: delete it")

    def _create(self, path: ObjectStoragePath, document: Mapping[str, Any] | None = None) -> bool:
        """Create a file unless it exists, and return whether it is new.

        When several create the same file at once, one succeeds: on local storage across machines, on object storage
        within a process only. A document is safely on disk afterwards; an empty file may be lost in a power failure.
        """
        text = "" if document is None else json.dumps(document)

        def create() -> bool:
            with _locks[hash(str(path)) % len(_locks)]:
                if self._is_local:
                    return _create_local(Path(path.path), text)
                if path.exists():
                    return False
                self._make_folder(path.parent)
                path.write_text(text, encoding="utf-8")
                return True

        return self._guarded(create)

    def _make_folder(self, folder: ObjectStoragePath) -> None:
        """Make a folder, once per process: every call costs a request, even on storages without folders."""
        if str(folder) not in self._made:
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(str(folder))

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except Exception as error:
            raise InboxUnavailableError(f"the inbox {self._root}: {type(error).__name__}") from error

    def _expected_path(self, workflow_id: str) -> ObjectStoragePath:
        return self._root / "expected" / marker_name(workflow_id)

    def _batch_path(self, batch: str) -> ObjectStoragePath:
        return self._root / "batches" / f"{batch}.json"

    def _workflow_path(self, workflow_id: str) -> ObjectStoragePath:
        return self._root / "workflows" / f"{marker_name(workflow_id)}.json"

    def _marker_folder(self, moment: float) -> ObjectStoragePath:
        start = moment // MARKER_FOLDER_SECONDS * MARKER_FOLDER_SECONDS
        return self._root / "markers" / datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M")


def _create_local(path: Path, text: str) -> bool:
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    if text:
        return create_file(path, text)
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def configured_path() -> str:
    """Return the path in ``[cleanlist] webhook_inbox``, or an empty string if there is none."""
    from airflow.providers.common.compat.sdk import conf

    return str(conf.get("cleanlist", "webhook_inbox", fallback="") or "").strip()


def marker_name(workflow_id: str) -> str:
    """Return the name of a workflow's marker.

    Args:
        workflow_id: The workflow.
    """
    return hashlib.blake2b(workflow_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def mark_expected(workflow_ids: Sequence[str]) -> None:
    """Note in the configured inbox that webhooks are expected for workflows; does nothing without an inbox.

    Never raises because of the storage: waits then poll the workflows as if no webhook were expected.

    Args:
        workflow_ids: Workflows that were submitted with a webhook address of the provider's receiver.
    """
    try:
        inbox = Inbox.configured() if workflow_ids else None
        if inbox is not None:
            with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
                list(pool.map(inbox.mark_expected, workflow_ids))
    except InboxUnavailableError as error:
        log.warning("Webhooks cannot be marked as expected, so these workflows will be polled: %s.", error)


def expected(workflow_ids: Sequence[str]) -> list[str]:
    """Return those workflows for which the configured inbox expects webhooks; none without an inbox.

    Args:
        workflow_ids: The workflows.

    Raises:
        InboxUnavailableError: The inbox cannot be read.
    """
    inbox = Inbox.configured() if workflow_ids else None
    if inbox is None:
        return []
    with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
        flags = pool.map(inbox.is_expected, workflow_ids)
        return [workflow_id for workflow_id, flag in zip(workflow_ids, flags, strict=True) if flag]
