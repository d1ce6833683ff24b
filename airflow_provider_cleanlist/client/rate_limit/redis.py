"""The store for many hosts: a key on a Redis or Valkey server, changed by optimistic transactions on its clock.

A transaction takes two round trips: WATCH, TIME and GETRANGE, then MULTI, SET and EXEC. If somebody else was faster,
EXEC changes nothing and the transaction is repeated. Nothing is locked, so a process that dies stops nobody.

While the server cannot be reached, each host uses its own store. A process that changes stores holds the one it comes
to for what it has lately sent (see :class:`.memory.LocalCooldown`), so that neither overdraws the window.
"""

from __future__ import annotations

import logging
import math
import os
import random
import re
import threading
import time
from dataclasses import replace
from typing import Any, TypeVar

from airflow_provider_cleanlist.client.deadline import Deadline
from airflow_provider_cleanlist.client.rate_limit.core import (
    Budget,
    BudgetState,
    Decision,
    Priority,
    Reservation,
    Verdict,
    hold,
    lifetime,
)
from airflow_provider_cleanlist.client.rate_limit.directories import scope_hash
from airflow_provider_cleanlist.client.rate_limit.file import MAX_FILE_BYTES
from airflow_provider_cleanlist.client.rate_limit.memory import (
    BaseRateLimiter,
    Change,
    decode,
    encode,
    is_plausible,
    new_state,
)
from airflow_provider_cleanlist.client.rate_limit.redis_url import checked_url

T = TypeVar("T")

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
"""How long the server may keep silent."""
EXCHANGE_SECONDS = 3.0
"""How long a round trip may take altogether, with a new connection if there is none."""
OTHER_BYTES = 64 * 1024
"""What a round trip may bring beside the value: the other replies, and the greeting of a new connection."""
CONTENTION_SECONDS = 1.0
"""How long a transaction is repeated while others are faster."""
RECONNECTS_PER_WINDOW = 12
"""How often in a window a server that was down is contacted again."""
CLOCK_JUMP_SECONDS = 1.0
"""Step ahead after which the server's clock counts as set, and its log as lost."""

WARN_AGAIN_SECONDS = 600.0
"""How often an outage is reported while it lasts."""


class ServerUnavailableError(Exception):
    """The server cannot be used at present."""


class ContentionError(Exception):
    """Others changed the key first, for as long as ``CONTENTION_SECONDS``."""


class RedisKey:
    """One key of a server, for optimistic transactions, one at a time. Connects when it is first used.

    Args:
        url: Address of the server, with a scheme of the Redis client.
        name: Name of the key.
        largest: Most bytes of a value that are read.
    """

    def __init__(self, url: str, name: str, largest: int = MAX_FILE_BYTES) -> None:
        self._url = url
        self._name = name
        self._largest = largest
        self._connection: Any = None
        self._ran_out_of_time = False

    def read(self) -> tuple[bytes | None, float]:
        """Begin a transaction; return the key's value and the server's time in seconds since the epoch.

        A value that is too large or of another type is returned as empty bytes.
        """
        import redis

        commands = ("UNWATCH",), ("WATCH", self._name), ("TIME",), ("GETRANGE", self._name, 0, self._largest)
        try:
            _, watched, clock, value = self._send(*commands)
        except redis.ConnectionError:  # the server may have closed an idle connection
            if self._ran_out_of_time:
                raise
            _, watched, clock, value = self._send(*commands)
        _raise_if_error(watched)
        _raise_if_error(clock)
        return self._value(value), _seconds(clock)

    def _value(self, reply: object) -> bytes | None:
        """Return the value in a reply to GETRANGE, which is empty where there is none."""
        import redis

        if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
            return b""
        _raise_if_error(reply)
        if not isinstance(reply, bytes):
            raise redis.InvalidResponse
        return (reply if len(reply) <= self._largest else b"") if reply else None

    def write(self, value: bytes, seconds: float) -> bool:
        """End a transaction; return whether the key was set, which it is unless it has changed since :meth:`read`.

        Args:
            value: The new value.
            seconds: Seconds after which the server may forget it.
        """
        import redis

        set_key = ("SET", self._name, value, "PX", math.ceil(seconds * 1000))
        try:
            begun, queued, done = self._send(("MULTI",), set_key, ("EXEC",))
        except (
            redis.ConnectionError
        ):  # whether it was set is unknown; setting it twice costs a moment at most
            return False
        for reply in (begun, queued, done):  # EXEC only says that one before it was refused
            _raise_if_error(reply)
        return done is not None

    def disconnect(self) -> None:
        """Close the connection; the next transaction opens a new one."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _send(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands in one round trip and return their replies; a command that failed has its error as reply."""
        import redis

        connection = self._connection = self._connection or _new_connection(self._url)
        replies: list[Any] = []
        deadline = connection.deadline = Deadline(EXCHANGE_SECONDS)
        connection.most = self._largest + OTHER_BYTES
        try:
            with deadline:
                if (opened := getattr(connection, "_sock", None)) is not None:
                    deadline.watch(opened)
                    opened.left = connection.most
                connection.send_packed_command(connection.pack_commands(commands))
                for _ in commands:
                    try:
                        replies.append(connection.read_response(disable_decoding=True))
                    except redis.ResponseError as error:
                        replies.append(error)
        except _MISREAD:  # by the client's library, which takes the server at its word
            self.disconnect()
            raise redis.InvalidResponse from None
        except BaseException:  # an unread reply would be taken for the answer to the next command
            self.disconnect()
            self._ran_out_of_time = deadline.is_over
            raise
        return replies


_MISREAD = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
)


def _seconds(clock: object) -> float:
    """Return the seconds since the epoch in a reply to TIME."""
    import redis

    try:
        seconds, micros = map(int, clock)  # type: ignore[call-overload]
        now = float(seconds + micros / 1_000_000)
    except (ArithmeticError, TypeError, ValueError):
        raise redis.InvalidResponse from None
    if not 0 <= now < _LAST_SECOND:
        raise redis.InvalidResponse
    return now


_LAST_SECOND = 1e11


def _new_connection(url: str) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    pool = redis.ConnectionPool.from_url(url, **options, retry=Retry(NoBackoff(), 0))
    pool.connection_class = type("WatchedRedis", (_WatchedRedis, pool.connection_class), {})
    return pool.make_connection()


class _WatchedRedis:
    """A connection that is bounded in time and size from its opening on.

    The client's own timeouts are for each part of it, and it holds replies of any length.
    """

    deadline: Deadline
    most: int

    def _connect(self) -> Any:
        connected = super()._connect()  # type: ignore[misc]
        self.deadline.watch(connected)
        return _BoundedSocket(connected, self.most)

    def _wrap_socket_with_ssl(self, connected: Any) -> Any:
        self.deadline.watch(connected)
        return super()._wrap_socket_with_ssl(connected)  # type: ignore[misc]


class _BoundedSocket:
    """A socket that gives up on a server that sends too much in one round trip.

    Args:
        connected: The socket.
        left: Bytes that may still arrive.

    Attributes:
        left: The same.
    """

    def __init__(self, connected: Any, left: int) -> None:
        self._connected = connected
        self.left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def recv(self, *arguments: Any) -> bytes:
        """Return bytes that have arrived."""
        received: bytes = self._connected.recv(*arguments)
        self._count(len(received))
        return received

    def recv_into(self, *arguments: Any) -> int:
        """Put bytes that have arrived into a buffer, for the client's parser in C."""
        number: int = self._connected.recv_into(*arguments)
        self._count(number)
        return number

    def _count(self, received: int) -> None:
        import redis

        self.left -= received
        if self.left < 0:
            raise redis.InvalidResponse


def _raise_if_error(reply: object) -> None:
    if isinstance(reply, Exception):
        raise reply


class RedisRateLimiter(BaseRateLimiter):
    """A budget shared by all hosts that use the same server. Connects when it is first used.

    Args:
        url: Address of the server. Its password appears in no message.
        scope: Name of the budget.
        budget: The allowance.
        fallback: What to use while the server cannot be reached.

    Raises:
        ConfigurationError: The URL is invalid, or the extra ``redis`` is not installed.
    """

    def __init__(self, url: str, scope: str, budget: Budget, fallback: BaseRateLimiter) -> None:
        super().__init__(budget, fallback.clock)
        address, self._address = checked_url(url)
        largest = max(MAX_FILE_BYTES, 64 * 8 * budget.requests)
        self._key = RedisKey(address, f"cleanlist:budget:1:{scope_hash(scope)}", largest)
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._start_over)
        self._fallback = fallback
        self._is_down = False
        self._reconnect_at = 0.0
        self._warn_at = 0.0
        self._born = 0
        self._clock_offset = 0.0

    def _start_over(self) -> None:
        """Let go of what belongs to the process that this one was forked from."""
        self._key.disconnect()
        self._lock = threading.Lock()

    def reserve(
        self, priority: Priority, *, waited: float, max_wait: float, reservation: Reservation | None = None
    ) -> Decision:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.reserve`."""
        try:
            return super().reserve(priority, waited=waited, max_wait=max_wait, reservation=reservation)
        except ServerUnavailableError:
            return self._fallback.reserve(priority, waited=waited, max_wait=max_wait, reservation=reservation)
        except ContentionError:
            log.info(
                "Others use the Cleanlist request budget at %s all the time; the request waits.",
                self._address,
            )
            delay = CONTENTION_SECONDS * (1 + random.random()) / 2  # noqa: S311 - jitter
            return Decision(Verdict.WAIT if delay <= max_wait else Verdict.REFUSED, delay, reservation)

    def penalize(self, seconds: float) -> None:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.penalize`."""
        self._fallback.penalize(seconds)
        try:
            super().penalize(seconds)
        except ContentionError as error:
            with self._lock:  # after an outage the server is told of the 429
                self._turn_down(error)
        except ServerUnavailableError:
            pass

    def update(self, change: Change[T]) -> T:
        """See :meth:`BaseRateLimiter.update`.

        Raises:
            ServerUnavailableError: The server cannot be used at present.
            ContentionError: Others changed the state first, for as long as ``CONTENTION_SECONDS``.
        """
        import redis

        with self._lock:
            if self._is_down and self.clock() < self._reconnect_at:
                raise ServerUnavailableError
            try:
                answer = self._transact(change)
            except (redis.RedisError, OSError, ValueError) as error:
                self._turn_down(error)
                raise ServerUnavailableError from None
            if self._is_down:
                self._is_down = False
                log.warning("The Cleanlist request budget at %s can be used again.", self._address)
            return answer

    def peek(self) -> tuple[BudgetState, float] | None:
        """See :meth:`BaseRateLimiter.peek`."""
        import redis

        with self._lock:
            if self._is_down and self.clock() < self._reconnect_at:
                return None
            try:
                value, now = self._key.read()
            except (redis.RedisError, OSError, ValueError) as error:
                self._turn_down(error)
                return None
        state = new_state() if value is None else decode(value)[1]
        return (state, now) if state and is_plausible(state, self.budget, now) else None

    def _transact(self, change: Change[T]) -> T:
        """Apply a change in a transaction; repeat it while others are faster."""
        give_up_at = time.monotonic() + CONTENTION_SECONDS
        while True:
            began = time.monotonic()
            value, now = self._key.read()
            stored = None if value is None else decode(value)[1]
            if stored is not None and not is_plausible(stored, self.budget, now):
                stored = None
            state = stored or self._replacement(value, now)
            offset = now - self.clock()
            is_same = state.born == self._born
            is_lost = not is_same or offset - self._clock_offset > CLOCK_JUMP_SECONDS
            if seconds := self._unknown_seconds(is_lost=is_lost):
                state = hold(state, self.budget, now=now, seconds=seconds)
            state, answer = change(state, now)
            if state is stored or self._key.write(encode(state), lifetime(state, self.budget, now)):
                self._born = state.born
                self._clock_offset = max(self._clock_offset, offset) if is_same else offset
                return answer
            ended = time.monotonic()
            if ended > give_up_at:
                raise ContentionError
            time.sleep(random.random() * (ended - began))  # noqa: S311 - jitter in proportion to the way

    def _replacement(self, value: bytes | None, now: float) -> BudgetState:
        """Return the state to use instead of a missing or a damaged one, which counts as a full window."""
        state = new_state()
        return state if value is None else replace(state, blocked_until=now + self.budget.span)

    def _unknown_seconds(self, *, is_lost: bool) -> float:
        """Return for how many seconds to hold a log because of requests that it lacks.

        Those are what this process has sent before the log was lost or the server's clock jumped ahead, and what has
        bypassed a server that was down.
        """
        now = self.clock()
        seconds = self.cooldown.seconds(now) if is_lost else 0.0
        return max(seconds, self._fallback.cooldown.seconds(now)) if self._is_down else seconds

    def _turn_down(self, error: Exception) -> None:
        """Use the fallback until the next contact with the server."""
        now = self.clock()
        was_down, self._is_down = self._is_down, True
        self._reconnect_at = now + self.budget.window / RECONNECTS_PER_WINDOW
        self._key.disconnect()
        if not was_down:
            self._fallback.hold(self.cooldown.seconds(now))
        if not was_down or now >= self._warn_at:
            self._warn_at = now + WARN_AGAIN_SECONDS
            log.warning(
                "The Cleanlist request budget at %s cannot be used (%s). Until it can, this host keeps a budget of "
                "its own.",
                self._address,
                _reason(error),
            )


_REASONS = {
    "NoPermissionError": "the account lacks a privilege, see the documentation of rate_limit_store",
    "ReadOnlyError": "it is a replica, which takes no writes",
    "OutOfMemoryError": "its memory is full",
    "BusyLoadingError": "it is still loading its data",
    "ClusterDownError": "it is a cluster, which is not supported",
    "MovedError": "it is a cluster, which is not supported",
    "AskError": "it is a cluster, which is not supported",
}
_CODE = re.compile("[A-Z]{3,20}(?= )")


def _reason(error: Exception) -> str:
    """Return why a server cannot be used, in our words or by its own code; its text may quote what was sent."""
    kind = type(error).__name__
    if kind in _REASONS:
        return f"{kind}: {_REASONS[kind]}"
    code = _CODE.match(str(error)) if kind == "ResponseError" else None
    return f"{kind} {code[0]}" if code else kind
