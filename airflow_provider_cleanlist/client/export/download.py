"""Downloading a file from a signed address: without the API key, part by part, from any position on.

The address is a secret: whoever has it can read the leads. It goes into no log and no error.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_cleanlist.client import receiving
from airflow_provider_cleanlist.client.settings import is_local, is_loopback
from airflow_provider_cleanlist.client.transport import FAILURES, new_session, reason_of
from airflow_provider_cleanlist.input_limits import (
    ADDRESS_CHARACTERS,
    ETAG_CHARACTERS,
    EXPORT_PART_BYTES,
    RESPONSE_TIMEOUTS,
    are_too_small,
)

if TYPE_CHECKING:
    import requests

_REFUSALS = (401, 403, 404, 410)
"""How stores answer to an address that has expired or whose file is gone."""
_HOST_NAME = re.compile(r"(?:[a-z0-9_-]+\.)*(?!0x|\d+$)[a-z0-9_-]+", re.ASCII)
"""A name in ASCII whose last part is no number; those that end in one are IP addresses in some spelling."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class DownloadError(Exception):
    """The file could not be read, or not to its end; the text says why, without the address.

    Args:
        reason: Why.
        refused: See the attribute.

    Attributes:
        refused: Whether the address is not valid, or not any more.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class FileChangedError(Exception):
    """The file is not, or not surely, the one whose first part was read before."""


def address_problem(address: str, *, is_api_local: bool) -> str:
    """Return why a signed address cannot be used; empty if it can.

    Args:
        address: The address; it must be HTTPS, or plain HTTP to this machine.
        is_api_local: Whether the API itself is on this machine or in a private network. Else the address may not lead
            there: whoever writes the API's responses must not make workers ask servers of their own network.
    """
    if len(address) > ADDRESS_CHARACTERS:
        return f"the address of the file has more than {ADDRESS_CHARACTERS:,} characters"
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "the address of the file is invalid"
    if not _is_host(host) or "@" in parts.netloc or not address.isprintable() or " " in address:
        return "the address of the file is invalid"
    if is_local(host) and not is_api_local:
        return "the address of the file leads to this machine or into a private network"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return ""
    return "the address of the file is not HTTPS"


def _is_host(host: str) -> bool:
    """Whether a host is a name, or an IP address in its usual spelling: ``127.1`` and ``0x7f000001`` are some, too."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return "%" not in host  # a zone


def strong_tag(tag: str) -> str:
    """Return the tag of a file if it is one that a range can be asked for with; empty otherwise.

    Args:
        tag: The tag, as a header or a cursor has it.
    """
    is_strong = tag.startswith('"') and len(tag) <= ETAG_CHARACTERS
    return tag if is_strong and tag.isascii() and tag.isprintable() else ""


class Download:
    """A file behind a signed address.

    Args:
        address: The address; see :func:`address_problem`.
        timeout: Seconds for the connection, and for the response to begin and to continue; each part of the file may
            take four times as long.
        etag: Tag of the file, if a part of it was read before.
        offers_ranges: Whether the server said that it serves ranges.
        size: Bytes of the file, if known: a response whose end is that of its connection is cut off before.

    Attributes:
        etag: Strong tag of the file; empty if it has none.
        offers_ranges: Whether the server says that it serves ranges.
        received: Bytes of the file up to where it is read.
        states_end: Whether the server says how long its response is, so that one that was cut off is recognised.
    """

    def __init__(
        self,
        address: str,
        timeout: tuple[float, float],
        etag: str = "",
        *,
        offers_ranges: bool = False,
        size: int | None = None,
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._seconds = RESPONSE_TIMEOUTS * timeout[1]
        self._session = new_session()
        self._session.headers["Accept"] = "*/*"
        # a range and the size of the file are those of the file itself
        self._session.headers["Accept-Encoding"] = "identity"
        self._response: requests.Response | None = None
        self._socket: Any = None
        self._size = size
        self._remaining: int | None = None
        self._waiting = bytearray()
        self._lost = ""
        self._chunks = self._arrived = 0
        self.etag = etag
        self.offers_ranges = offers_ranges
        self.received = 0
        self.states_end = False

    def open(self, at: int = 0) -> None:
        """Begin to read the file.

        Args:
            at: Position of the first byte to read; one other than 0 needs the tag of the file.

        Raises:
            DownloadError: The server refuses or fails.
            FileChangedError: It is another file than before.
        """
        self._close_response()
        if at and not self.etag:
            raise FileChangedError
        headers = {"Range": f"bytes={at}-", "If-Range": self.etag} if at and self.offers_ranges else {}
        with receiving.ResponseDeadline(self._seconds, secret=True) as deadline:
            response, reason = self._get(headers)
            self._socket = deadline.connected
        if deadline.is_over:
            reason = "the response did not arrive in time"
        if response is None or reason:
            raise DownloadError(reason)
        self._response = response
        skip = self._check(response, at)
        self.received = at - skip
        self._waiting, self._lost = bytearray(), ""
        self._chunks = self._arrived = 0
        while skip:
            part = self.part(min(skip, EXPORT_PART_BYTES))
            if not part:
                raise FileChangedError
            skip -= len(part)

    def part(self, size: int = EXPORT_PART_BYTES) -> bytes:
        """Return the next bytes of the file; none at its end.

        Args:
            size: Most bytes to return.

        Raises:
            DownloadError: The connection was lost, or the server is too slow.
        """
        reason = self._lost
        with receiving.ResponseDeadline(self._seconds, self._socket, secret=True) as deadline:
            try:
                self._fill(size)
            except (*FAILURES, OSError, ValueError) as error:
                reason = reason_of(error)
        if deadline.is_over:
            reason = "the file arrives too slowly"
        if are_too_small(self._chunks, self._arrived):
            reason = "the file arrives in too many, too small chunks"
            self._waiting.clear()  # no progress, so that this does not go on for ever
        if not reason and not self._waiting and self._remaining:
            reason = "the connection was lost in the middle of the file"
        if reason:
            self._close_response()
            self._lost = reason
            if not self._waiting:
                raise DownloadError(reason)
        part = bytes(self._waiting[:size])
        del self._waiting[:size]
        self.received += len(part)
        return part

    def close(self) -> None:
        """Close the connection."""
        self._close_response()
        self._session.close()

    def _get(self, headers: dict[str, str]) -> tuple[requests.Response | None, str]:
        loopback = is_loopback(urlsplit(self._address).hostname or "")
        try:
            return self._session.get(
                self._address,
                headers=headers,
                auth=_without_key,
                timeout=self._timeout,
                proxies={"no_proxy": "*"} if loopback else None,
                allow_redirects=False,
                stream=True,
            ), ""
        except (*FAILURES, OSError, ValueError, RuntimeError) as error:
            return None, reason_of(error)  # the error holds the address

    def _check(self, response: requests.Response, at: int) -> int:
        """Return how many bytes come before the position."""
        status, headers = response.status_code, response.headers
        if status == 416 and at:
            raise FileChangedError
        if status not in (200, 206):
            raise DownloadError(
                f"the server of the file responded with HTTP {status}", refused=status in _REFUSALS
            )
        begin, beyond = 0, 0
        if status == 206:
            found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
            if found is None or int(found[1]) != at:
                raise DownloadError("the server of the file sent another range than the one asked for")
            begin = at
            beyond = 0 if found[3] == "*" else max(0, int(found[3]) - int(found[2]) - 1)
        etag = strong_tag(headers.get("ETag", "").strip())
        if at and etag != self.etag:
            raise FileChangedError
        self.etag = etag or self.etag
        self.offers_ranges = status == 206 or headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        encoding = headers.get("Content-Encoding", "")
        if encoding.strip().lower() not in ("", "identity"):
            raise DownloadError("the server of the file compresses it although it was asked not to")
        length = headers.get("Content-Length", "").strip()
        self._remaining = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
        if self._remaining is not None:
            self._remaining += beyond  # a server may send less than it was asked for
        self.states_end = self._remaining is not None or getattr(response.raw, "chunked", False)
        if not self.states_end and self._size is not None:
            self._remaining = max(0, self._size - begin)
        return at - begin

    def _fill(self, size: int) -> None:
        while len(self._waiting) < size and self._response is not None:
            chunk = self._response.raw.read1(size - len(self._waiting), decode_content=False)
            if not chunk or are_too_small(self._chunks, self._arrived):
                return
            self._waiting += chunk
            self._chunks += 1
            self._arrived += len(chunk)
            if self._remaining is not None:
                self._remaining = max(0, self._remaining - len(chunk))

    def _close_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            with contextlib.suppress(Exception):
                response.close()


def _without_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate nothing; as an auth object it keeps ``requests`` from using a key of ``.netrc``."""
    return request
