"""Reading a list's CSV export: asking for the file, downloading while parsing, resuming, checking at the end."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.export.csv_file import (
    ExportParser,
    UnreadableExportError,
    missing_fields,
)
from airflow_provider_cleanlist.client.export.download import (
    Download,
    DownloadError,
    FileChangedError,
    address_problem,
    strong_tag,
)
from airflow_provider_cleanlist.client.responses import LeadPage, SignedExport
from airflow_provider_cleanlist.input_limits import (
    EXPORT_BYTES,
    EXPORT_COLUMNS,
    EXPORT_PART_BYTES,
    weight,
)
from airflow_provider_cleanlist.wording import counted

MAX_BACKOFF_SECONDS = 30.0
"""Longest pause before a lost download goes on."""
RESUMABLE_SECONDS = 3600.0
"""How old the file of an earlier attempt may be: its leads are published as those of the attempt that resumes it."""


@dataclass(frozen=True, slots=True, repr=False)
class _Position:
    """Where reading an export can resume, as the cursor of its pages holds it; the address is encrypted with the key.

    Attributes:
        export: The file.
        asked_at: When it was asked for, in seconds since the epoch.
        etag: Its tag; empty if it has none.
        offers_ranges: Whether its server serves ranges.
        at: Bytes of the rows before.
        rows: Number of these rows.
        fields: Fields of the columns.
    """

    export: SignedExport
    asked_at: float
    etag: str
    offers_ranges: bool
    at: int
    rows: int
    fields: tuple[str, ...]


class ExportReader:
    """Reads the CSV export of one list.

    Args:
        list_id: The list.
        ask: Asks the API for a new file.
        api_key: Encrypts the address of the file in cursors; it is sent nowhere from here.
        timeout: Seconds for connecting, and for a response to begin and to continue.
        max_retries: How often in a row a download that was lost goes on without having received a part of 256 KB.
        is_api_local: Whether the API is on this machine or in a private network, so that the file may be, too.
        needed: Fields that the file must have.
        sleep: Pauses for so many seconds.
        now: Returns the seconds since the epoch.
    """

    def __init__(
        self,
        list_id: str,
        ask: Callable[[], SignedExport],
        *,
        api_key: str,
        timeout: tuple[float, float],
        max_retries: int,
        is_api_local: bool,
        needed: tuple[str, ...] = ("lead_id",),
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._list_id = list_id
        self._ask = ask
        self._api_key = api_key
        self._timeout = timeout
        self._max_retries = max_retries
        self._is_api_local = is_api_local
        self._needed = needed
        self._sleep = sleep
        self._now = now
        self._asked_at = 0.0

    def pages(self, cursor: str | None = None) -> Iterator[LeadPage]:
        """Yield the leads of the file part by part; the last page comes once the whole file has proved right.

        Args:
            cursor: Where to resume, from a page of an earlier attempt; None asks for a new file.

        Raises:
            ApiError: The API or the server of the file refuses or fails.
            ExportNotResumableError: The file of the earlier attempt cannot be continued.
            ExportInconsistentError: The file is not what the API says it is.
        """
        if cursor is not None:
            yield from self._resumed(self._unsealed(cursor))
            return
        export, download = self._begin()
        with closing(download):
            yield from self._parsed(export, download, ExportParser())

    def _resumed(self, position: _Position) -> Iterator[LeadPage]:
        """Yield the rest of a file; one of which nothing arrives any more is given up for a new one."""
        if not abs(self._now() - position.asked_at) <= RESUMABLE_SECONDS:  # NaN is no time, either
            raise errors.ExportNotResumableError("it was written more than an hour ago")
        self._asked_at = position.asked_at
        address, ranges = position.export.download_url, position.offers_ranges
        has_progressed = False
        size = position.export.file_size_bytes
        with closing(
            Download(address, self._timeout, position.etag, offers_ranges=ranges, size=size)
        ) as download:
            try:
                self._resume(download, position.at)
                parser = ExportParser(position.fields, position.at, position.rows)
                for page in self._parsed(position.export, download, parser):
                    has_progressed = True
                    yield page
            except errors.TransportError as error:
                if has_progressed:
                    raise
                raise errors.ExportNotResumableError(error.info.message) from None

    def _begin(self) -> tuple[SignedExport, Download]:
        """Ask for a file and open it; an address that is refused at once is asked for anew, once."""
        reason = ""
        for attempt in range(2):
            self._asked_at = self._now()
            export = self._ask()
            if problem := address_problem(export.download_url, is_api_local=self._is_api_local):
                raise errors.UnexpectedResponseError(self._info(f"{problem}, so it is not used"))
            download = Download(export.download_url, self._timeout, size=export.file_size_bytes)
            reason, refused = self._opened(download, 0)
            if not reason:
                return export, download
            download.close()
            if not refused or attempt:
                break
        raise errors.TransportError(self._info(reason))

    def _resume(self, download: Download, at: int) -> None:
        try:
            reason, refused = self._opened(download, at)
        except FileChangedError:
            reason, refused = "the file has changed", True
        if refused:
            raise errors.ExportNotResumableError(reason)
        if reason:
            raise errors.TransportError(self._info(reason))

    def _opened(self, download: Download, at: int) -> tuple[str, bool]:
        """Open a file, with retries; return why that failed, if it did, and whether its address is refused."""
        for failures in range(self._max_retries + 1):
            try:
                download.open(at)
            except DownloadError as error:
                reason, refused = str(error), error.refused
                if refused or failures == self._max_retries:
                    return reason, refused
                self._sleep(min(MAX_BACKOFF_SECONDS, 2.0**failures))
            else:
                return "", False
        return reason, refused

    def _parsed(self, export: SignedExport, download: Download, parser: ExportParser) -> Iterator[LeadPage]:
        waiting: LeadPage | None = None
        checked = parser.fields is not None
        held = 0
        try:
            for part in self._parts(export, download):
                leads = parser.push(part)
                held += weight(part)
                if not checked and parser.fields is not None:
                    self._check_fields(parser.fields)
                    checked = True
                if leads:
                    if waiting is not None:
                        yield waiting
                    cursor = self._sealed(export, download, parser)
                    waiting = LeadPage(
                        self._list_id, leads, export.row_count, cursor, parser.fields or (), held
                    )
                    held = 0
            last = parser.end()
            if not checked:
                self._check_fields(parser.fields or ())
        except errors.ApiError:
            if waiting is not None:
                yield waiting
            raise
        except UnreadableExportError as error:
            raise errors.ExportInconsistentError(f"the file cannot be read: {error}") from None
        self._check_end(export, download, parser, ends_in_a_row=bool(last))
        if waiting is not None and not last:
            yield replace(waiting, cursor=None)
            return
        if waiting is not None:
            yield waiting
        yield LeadPage(self._list_id, last, export.row_count, None, parser.fields or ())

    def _parts(self, export: SignedExport, download: Download) -> Iterator[bytes]:
        failures, resumed_at = 0, download.received
        limit = EXPORT_BYTES if export.file_size_bytes is None else export.file_size_bytes
        while True:
            reason = ""
            try:
                part = download.part()
            except DownloadError as error:
                reason = str(error)
            if reason:
                if download.received == export.file_size_bytes:
                    return  # whatever the server says is still to come
                if download.received - resumed_at >= EXPORT_PART_BYTES:
                    failures = (
                        0  # fewer bytes are no progress, or a server that sends one a time would hold a task
                    )
                if failures == self._max_retries or (download.received and not download.etag):
                    raise errors.TransportError(self._info(reason))
                self._sleep(min(MAX_BACKOFF_SECONDS, 2.0**failures))
                failures += 1
                self._resume(download, download.received)
                resumed_at = download.received
                continue
            if not part:
                return
            if download.received > limit:
                raise errors.ExportInconsistentError(f"the file is larger than {limit:,} bytes")
            yield part

    def _check_fields(self, fields: tuple[str, ...]) -> None:
        if lacking := missing_fields(self._needed, fields):
            raise errors.ExportInconsistentError(f"the file has no column for {', '.join(lacking)}")

    def _check_end(
        self, export: SignedExport, download: Download, parser: ExportParser, *, ends_in_a_row: bool
    ) -> None:
        size, rows = export.file_size_bytes, export.row_count
        if size is None and not download.states_end:
            if ends_in_a_row:
                raise errors.ExportInconsistentError(
                    "it may be cut off: nobody states its size, and its last row has no end"
                )
            if rows is None:
                raise errors.ExportInconsistentError(
                    "it may be cut off: nobody states its size or the number of its rows"
                )
        if size is not None and download.received != size:
            raise errors.ExportInconsistentError(f"{download.received:,} bytes arrived instead of {size:,}")
        if rows is not None and parser.rows != rows:
            raise errors.ExportInconsistentError(
                f"the file has {counted(parser.rows, 'row')} instead of {rows:,}"
            )

    def _info(self, reason: str) -> errors.ErrorInfo:
        return errors.ErrorInfo(f"download the export of list {self._list_id}", reason)

    def _sealed(self, export: SignedExport, download: Download, parser: ExportParser) -> str:
        secret = [export.download_url, export.row_count, export.file_size_bytes]
        position = {
            "file": self._cipher().encrypt(json.dumps(secret).encode()).decode(),
            "asked_at": self._asked_at,
            "etag": download.etag,
            "ranges": download.offers_ranges,
            "at": parser.at,
            "rows": parser.rows,
            "fields": parser.fields,
        }
        return json.dumps(position, separators=(",", ":"))

    def _unsealed(self, cursor: str) -> _Position:
        from cryptography.fernet import InvalidToken

        try:
            position: dict[str, Any] = json.loads(cursor)
            address, rows, size = json.loads(self._cipher().decrypt(position["file"]))
            if not _is_valid(position):
                raise ValueError
            return _Position(
                SignedExport(self._list_id, address, rows, size),
                float(position["asked_at"]),
                position["etag"],
                position["ranges"],
                position["at"],
                position["rows"],
                tuple(position["fields"]),
            )
        except (InvalidToken, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            pass
        raise errors.ExportNotResumableError("its address was stored with another API key, or is damaged")

    def _cipher(self) -> Any:
        from cryptography.fernet import Fernet  # of Airflow itself, which encrypts its connections with it

        key = hashlib.blake2b(self._api_key.encode(), digest_size=32, person=b"cleanlist-export").digest()
        return Fernet(base64.urlsafe_b64encode(key))


def _is_valid(position: dict[str, Any]) -> bool:
    """Whether the open parts of a cursor are such as an attempt writes; others can write into its table."""
    counts, fields, etag = (position["at"], position["rows"]), position["fields"], position["etag"]
    return (
        all(type(count) is int and 0 <= count <= EXPORT_BYTES for count in counts)
        and isinstance(position["ranges"], bool)
        and isinstance(fields, list)
        and 0 < len(fields) <= EXPORT_COLUMNS
        and all(isinstance(field, str) for field in fields)
        and isinstance(etag, str)
        and etag == strong_tag(etag)
    )
