"""Reading a response within its limits of size and time, whatever the server does."""

from __future__ import annotations

import http.client
import io
import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_cleanlist import input_limits
from airflow_provider_cleanlist.client.deadline import Deadline
from airflow_provider_cleanlist.input_limits import InputLimit
from airflow_provider_cleanlist.redaction import redacted

if TYPE_CHECKING:
    import requests

ACCEPTED_ENCODING = "gzip"
"""The one compression that requests offer: its decoder stops at any size."""
_CHUNK_BYTES = 65536
_INFORMATIONAL_RESPONSES = 10
_thread = threading.local()


class ResponseDeadline(Deadline):
    """Ends the connection of a request that takes too long, while the context lasts.

    It covers the tunnel through a proxy, TLS, sending and the response.

    Args:
        seconds: How long the response may take from the start of the context, in seconds.
        connected: The socket that the response comes from, if it has begun.
        secret: Whether the address of the request is a secret, so that nothing is logged of it.
    """

    def __init__(self, seconds: float, connected: Any = None, *, secret: bool = False) -> None:
        super().__init__(seconds)
        self.connected = connected
        self.secret = secret

    def __enter__(self) -> Self:
        """Start."""
        _thread.deadline = self
        if self.connected is not None:
            self.watch(self.connected)
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        _thread.deadline = None
        super().__exit__()

    def watch(self, connected: Any) -> None:
        """See :meth:`.deadline.Deadline.watch`.

        Args:
            connected: The socket.
        """
        self.connected = connected
        super().watch(connected)


class _Watched:
    """A connection that a deadline watches from its opening on, and with each further request."""

    sock: Any

    def _new_conn(self) -> Any:
        connected = super()._new_conn()  # type: ignore[misc]
        _watch(connected)
        return connected

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _watch(self.sock)
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        _watch(self.sock)
        return super().getresponse()  # type: ignore[misc]


class LongLinesError(urllib3.exceptions.HTTPError):
    """What stands around the body of a response is too long."""


class _LimitedLines(io.BufferedReader):
    """What comes from a server, with a limit for its lines: those of headers, of the sizes of chunks, and trailers.

    They may have 64 KB, and as much more as the contents between them: the line with a chunk's size is shorter than it.
    """

    _left = input_limits.HEADER_BYTES

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise LongLinesError
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        return self._content(super().read(size))

    def read1(self, size: int = -1, /) -> bytes:
        return self._content(super().read1(size))

    def _content(self, content: bytes) -> bytes:
        self._left = min(self._left + len(content), input_limits.HEADER_BYTES)
        return content


class _Response(http.client.HTTPResponse):
    """A response without cookies, whose headers and trailers are limited.

    It reads past informational ones such as 103 (Early Hints); the standard one reads past 100 only.
    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = _LimitedLines(self.fp.detach())

    def begin(self) -> None:
        for _ in range(_INFORMATIONAL_RESPONSES + 1):
            self.headers = self.msg = None  # type: ignore[assignment]  # begin() does nothing where there are headers
            super().begin()
            if not 100 < self.status < 200:
                break
        else:
            raise http.client.HTTPException
        # requests parses cookies whether or not it may keep them, Set-Cookie2 in time by the square of its length
        del self.headers["Set-Cookie"], self.headers["Set-Cookie2"]


class _WatchedConnection(_Watched, urllib3.connection.HTTPConnection):
    response_class = _Response


class _WatchedTlsConnection(_Watched, urllib3.connection.HTTPSConnection):
    response_class = _Response


def _watch(connected: Any) -> None:
    deadline: ResponseDeadline | None = getattr(_thread, "deadline", None)
    if deadline is not None:
        deadline.watch(connected)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


class _WatchedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = (
            _POOLS
            if type(manager) is urllib3.ProxyManager
            else {name: _watched(pool) for name, pool in manager.pool_classes_by_scheme.items()}
        )
        return manager


def _watched(pool: type[Any]) -> type[Any]:
    """Return a pool like one for SOCKS proxies, whose connections are watched, too."""
    connection = pool.ConnectionCls
    if issubclass(connection, _Watched):
        return pool
    watched = type(connection.__name__, (_Watched, connection), {"response_class": _Response})
    return type(pool.__name__, (pool,), {"ConnectionCls": watched})


_POOLS = {"http": _Pool, "https": _TlsPool}


def watch_connections(session: requests.Session) -> None:
    """Let a :class:`ResponseDeadline` end the requests of a session.

    Args:
        session: The session, before its first request.
    """
    for scheme in ("https://", "http://"):
        session.mount(scheme, _WatchedAdapter())


def limit_for(status: int, success: InputLimit) -> InputLimit:
    """Return how large a response may be.

    Args:
        status: Its HTTP status.
        success: The limit if it is a success.
    """
    if 200 <= status < 300:
        return success
    return input_limits.REJECTION if status == 422 else input_limits.ERROR


def read_body(
    read: Callable[[int], bytes], encoding: str, limit: InputLimit, is_late: Callable[[], bool]
) -> tuple[bytes, str]:
    """Read a body, decompressed, until it ends or exceeds a limit.

    Args:
        read: Returns at most so many bytes as they arrive; none at the end.
        encoding: ``Content-Encoding`` of the response; empty if it has none.
        limit: How large it may be.
        is_late: Whether time is up; asked after each read.

    Returns:
        What was read, and why that is not all; the reason is empty if it is.

    Raises:
        DecodeError: It cannot be decompressed.
    """
    body = bytearray()
    arrived = parts = 0
    decode = _decoder(encoding)
    while chunk := read(_CHUNK_BYTES):
        arrived += len(chunk)
        for part in decode(chunk):
            body += part
            parts += 1
            if len(body) > limit.size:
                break
            if input_limits.are_too_small(parts, max(arrived, len(body))):
                return bytes(body), "it arrives in too many small chunks"
        if len(body) > limit.size or arrived > limit.size:
            return bytes(body[: limit.size]), limit.problem(bytes(limit.size + 1))
        if is_late():
            return bytes(body), "it takes too long"
    return bytes(body), limit.problem(body)


def _decoder(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """Return what decompresses a chunk into one part or more."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return lambda chunk: iter((chunk,))
    if name not in ("gzip", "x-gzip"):
        raise urllib3.exceptions.DecodeError
    return _Gunzip().decode


class _Gunzip:
    """Decompresses gzip in parts of 64 KB, however much a few bytes become."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        while True:
            if self._member.eof:
                if not chunk.startswith(b"\x1f"):  # no further member: padding
                    yield b""
                    return
                self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                part = self._member.decompress(chunk, _CHUNK_BYTES)
            except zlib.error:
                raise urllib3.exceptions.DecodeError from None
            yield part
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not chunk and len(part) < _CHUNK_BYTES:
                return


class _RedactingFilter(logging.Filter):
    """Redacts what urllib3 logs about responses to the client: it quotes headers that it cannot read."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(_thread, "deadline", None) is not None:
            record.msg, record.args = redacted(record.getMessage()), ()
            record.exc_info = record.exc_text = None
        return True


class _SecretAddressFilter(logging.Filter):
    """Leaves out what urllib3 logs about a request whose address is a secret: it quotes path and query."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        deadline: ResponseDeadline | None = getattr(_thread, "deadline", None)
        return deadline is None or not deadline.secret


logging.getLogger("urllib3.connection").addFilter(_RedactingFilter())
for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_SecretAddressFilter())


def within(seconds: float) -> Callable[[], bool]:
    """Return a function that tells whether time is up.

    Args:
        seconds: How long it lasts, from this call on, in seconds.
    """
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
