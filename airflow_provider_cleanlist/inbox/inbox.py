"""What webhooks delivered, in a directory on object storage that receivers, workers and triggerers share.

Four kinds of files, each written as a whole::

    expected/<workflow>                     the batch that became this workflow: announced by the task that submitted it
    batches/<batch>.json                    the workflow that a batch became
    workflows/<workflow>-<batch>.json       what was delivered for a workflow by a batch's address; personal data
    markers/<ten minutes>/<workflow>        empty: something was delivered for this workflow

Whoever has the address of one batch must not deliver for the workflow of another. So the task that submitted a batch
announces which workflow it became, the receiver refuses what contradicts that, and readers take only what came by the
address of the announced batch. Results may be faster than the announcement, and the answer to a submission may be lost:
what arrives for a workflow that nobody announced is kept, and used once it is announced. Until then a batch belongs to
the first workflow that is delivered for it. Workflows are named by a hash of their id, because ids are opaque and may
contain anything.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_cleanlist.client.messages import json_or_none
from airflow_provider_cleanlist.client.responses import id_or_none
from airflow_provider_cleanlist.durable_files import FILE_MODE, create_file, make_folder, replace_file
from airflow_provider_cleanlist.inbox.settings import configured_path
from airflow_provider_cleanlist.input_limits import INBOX_FILE, JSON_DEPTH
from airflow_provider_cleanlist.storage import local_path, start_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

T = TypeVar("T")

log = logging.getLogger(__name__)

MARKER_FOLDER_SECONDS = 600
"""Markers of this many seconds share a folder, so that one listing shows every wait what is new."""

_CONCURRENT_FILES = 8
"""Files that are created or checked at the same time: one after another is slow on object storage."""

BATCH_FORM = re.compile(r"[0-9a-f]{32}", re.ASCII)
"""Names of batches, as :func:`.tokens.batch_name` makes them."""

_locks = [threading.Lock() for _ in range(64)]


class InboxUnavailableError(Exception):
    """The inbox cannot be read or written at the moment; the message quotes none of its contents."""


class DamagedDeliveryError(InboxUnavailableError):
    """The payload that was delivered for a workflow is damaged, so no retry can read it."""


class ForeignWorkflowError(Exception):
    """The batch and the workflow do not belong together: one of them is known to belong to another."""


class Inbox:
    """What webhooks delivered.

    Args:
        root: The directory.
    """

    def __init__(self, root: ObjectStoragePath) -> None:
        self._root = root
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
            ForeignWorkflowError: The batch belongs to another workflow, or the workflow to another batch.
            InboxUnavailableError: The inbox cannot be read or written.
        """
        announced = self.batch_of(workflow_id)
        if announced not in (None, batch):
            raise ForeignWorkflowError
        is_first = self._create(self._batch_path(batch), {"workflow_id": workflow_id})
        if not is_first and announced is None and self.workflow_of(batch) != workflow_id:
            raise ForeignWorkflowError
        received_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        document = {
            "workflow_id": workflow_id,
            "batch": batch,
            "received_at": received_at,
            "payload": payload,
        }
        is_new = self._create(self._workflow_path(workflow_id, batch), document)
        self._create(self._marker_folder(now) / marker_name(workflow_id))
        return is_new

    def announce(self, workflow_id: str, batch: str) -> None:
        """Note that a batch became a workflow, and that its webhook comes here. The first announcement counts.

        Args:
            workflow_id: The workflow.
            batch: Name of the batch.

        Raises:
            InboxUnavailableError: The inbox cannot be read or written.
        """
        self._create(self._expected_path(workflow_id), {"workflow_id": workflow_id, "batch": batch})
        if self.batch_of(workflow_id) != batch:
            return
        belongs = {"workflow_id": workflow_id}
        is_new = self._create(self._batch_path(batch), belongs)
        if not is_new and self.workflow_of(batch) != workflow_id:  # somebody else was faster with the address
            self._replace(self._batch_path(batch), belongs)

    def batch_of(self, workflow_id: str) -> str | None:
        """Return the batch that became a workflow, or None if nobody has announced it.

        Args:
            workflow_id: The workflow.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
        """
        try:
            document = self._read(self._expected_path(workflow_id))
        except DamagedDeliveryError:
            return None
        if document is None or document.get("workflow_id") != workflow_id:
            return None
        batch = document.get("batch")
        return batch if isinstance(batch, str) and BATCH_FORM.fullmatch(batch) else None

    def is_expected(self, workflow_id: str) -> bool:
        """Return whether a webhook is expected for a workflow, or was expected and has been delivered.

        Args:
            workflow_id: The workflow.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
        """
        return bool(self._guarded(self._expected_path(workflow_id).exists))

    def workflow_of(self, batch: str) -> str | None:
        """Return the workflow that a batch became, or None if nothing was delivered for it, or for an unusable id.

        Args:
            batch: Name of the batch.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
        """
        document = self._read(self._batch_path(batch))
        return None if document is None else id_or_none(document["workflow_id"])

    def payload(self, workflow_id: str) -> Mapping[str, Any] | None:
        """Return what was delivered for a workflow by the address of its batch, or None if nothing was.

        Nothing counts as delivered until the workflow is announced.

        Args:
            workflow_id: The workflow.

        Raises:
            DamagedDeliveryError: The stored file is damaged.
            InboxUnavailableError: The inbox cannot be read.
        """
        batch = self.batch_of(workflow_id)
        document = None if batch is None else self._read(self._workflow_path(workflow_id, batch))
        if document is None or (document.get("workflow_id"), document.get("batch")) != (workflow_id, batch):
            return None
        payload = document.get("payload")
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
        found = self._guarded(lambda: start_of(path, INBOX_FILE + 1))
        if found is None:
            return None
        # a payload may be nested as deeply as any JSON, and is in an object here
        document = json_or_none(found, JSON_DEPTH + 1) if len(found) <= INBOX_FILE else None
        if isinstance(document, dict) and "workflow_id" in document:
            return document
        raise DamagedDeliveryError(f"{path} is damaged: delete it")

    def _create(self, path: ObjectStoragePath, document: Mapping[str, Any] | None = None) -> bool:
        """Create a file unless it exists, and return whether it is new.

        When several create the same file at once, one succeeds: on local storage across machines, on object storage
        within a process only. A document is safely on disk afterwards; an empty file may be lost in a power failure.
        """

        def create() -> bool:
            with _locks[hash(str(path)) % len(_locks)]:
                local = local_path(path)
                if (local or path).exists():
                    return False
                text = "" if document is None else _text_of(document)
                if local:
                    return _create_local(local, text)
                self._make_folder(path.parent)
                path.write_text(text, encoding="utf-8")
                return True

        return self._guarded(create)

    def _replace(self, path: ObjectStoragePath, document: Mapping[str, Any]) -> None:
        text = _text_of(document)
        if local := local_path(path):
            self._guarded(lambda: replace_file(local, text))
        else:
            self._guarded(lambda: path.write_text(text, encoding="utf-8"))

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

    def _workflow_path(self, workflow_id: str, batch: str) -> ObjectStoragePath:
        return self._root / "workflows" / f"{marker_name(workflow_id)}-{batch}.json"

    def _marker_folder(self, moment: float) -> ObjectStoragePath:
        start = moment // MARKER_FOLDER_SECONDS * MARKER_FOLDER_SECONDS
        return self._root / "markers" / datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M")


def _text_of(document: Mapping[str, Any]) -> str:
    """Return a document as JSON, written piece by piece: other threads get their turn between two of them."""
    return "".join(json.JSONEncoder().iterencode(document))


def _create_local(path: Path, text: str) -> bool:
    make_folder(path.parent)
    if text:
        return create_file(path, text)
    try:
        path.touch(mode=FILE_MODE, exist_ok=False)
    except FileExistsError:
        return False
    return True


def marker_name(workflow_id: str) -> str:
    """Return the name of a workflow's marker.

    Args:
        workflow_id: The workflow.
    """
    return hashlib.blake2b(workflow_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def announce(batches: Mapping[str, str]) -> bool:
    """Note in the configured inbox which batches became which workflows; does nothing without an inbox.

    Never raises because of the storage: waits then poll the workflows as if no webhook were expected.

    Args:
        batches: Names of batches by the workflow that each became.

    Returns:
        Whether all are noted.
    """
    try:
        inbox = Inbox.configured() if batches else None
        if inbox is not None:
            with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
                list(pool.map(inbox.announce, batches.keys(), batches.values()))
    except InboxUnavailableError as error:
        log.warning("Webhooks cannot be marked as expected, so these workflows will be polled: %s.", error)
        return False
    return True


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
