"""The budget of many hosts: a script on a Redis or Valkey server, which decides by the server's clock.

While the server cannot be reached, each host goes on with its own store. A request that changes stores takes along
what this process has lately sent (see ``LocalCooldown``), so that neither store overdraws the window for the other.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import logging
import threading
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.rate_limit.core import Budget, Decision, Priority, Reservation, Verdict
from airflow_provider_cleanlist.client.rate_limit.memory import LocalCooldown, LocalRateLimiter

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
"""How long the server may take to answer."""
TRIES_PER_WINDOW = 12
"""How often in a window a server that was down is tried again."""
CLOCK_JUMP_SECONDS = 1.0
"""Step ahead after which the server's clock counts as set, and its log as lost."""

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""URL schemes, and how the Redis client calls them."""


@cache
def script_source() -> str:
    """Return the script that holds the rules."""
    return (importlib.resources.files(__package__) / "redis.lua").read_text(encoding="utf-8")


class RedisRateLimiter:
    """A budget shared by all hosts that use the same server. Connects when it is first used.

    Args:
        url: Address of the server. Its password appears in no message.
        scope: Name of the budget.
        budget: The allowance.
        fallback: What to use while the server cannot be reached.

    Raises:
        ConfigurationError: The URL cannot be used, or the extra ``redis`` is not installed.
    """

    def __init__(self, url: str, scope: str, budget: Budget, fallback: LocalRateLimiter) -> None:
        self._address = _checked_address(url)
        self._url = url
        self._key = f"cleanlist:budget:1:{hashlib.blake2b(scope.encode(), digest_size=12).hexdigest()}"
        self._budget = budget
        self._fallback = fallback
        self._cooldown = LocalCooldown(budget)
        self._lock = threading.Lock()
        self._down = False
        self._try_at = 0.0
        self._born = 0
        self._clock_offset = 0.0

    def reserve(
        self, priority: Priority, *, waited: float, max_wait: float, reservation: Reservation | None = None
    ) -> Decision:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.reserve`."""
        shown = (
            (reservation.moment, int(reservation.booked), reservation.stamp) if reservation else (0, "", 0)
        )
        arguments = ("reserve", priority.value, waited, max_wait, *shown)
        reply = self._ask(*arguments)
        if reply is not None and self._lost_log(reply):
            self._ask("hold", self._cooldown.seconds(self._fallback.clock()))
            reply = self._ask(*arguments)
        if reply is None:
            return self._fallback.reserve(priority, waited=waited, max_wait=max_wait, reservation=reservation)
        decision = _decision(reply)
        if decision.verdict is Verdict.GO:
            self._cooldown.sent(self._fallback.clock())
        return decision

    def penalize(self, seconds: float) -> None:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.penalize`."""
        self._cooldown.stopped(self._fallback.clock() + seconds)
        self._fallback.penalize(seconds)
        self._ask("penalize", seconds)

    def _ask(self, command: str, *arguments: object) -> list[bytes] | None:
        """Run the script; return None while the server cannot be used."""
        if not self._may_try():
            return None
        import redis

        try:
            if self._down and (seconds := self._fallback.cooldown.seconds(self._fallback.clock())):
                self._run("hold", seconds)
            reply = self._run(command, *arguments)
        except (redis.RedisError, OSError, ValueError) as error:
            self._turn_down(error)
            return None
        self._turn_up()
        return reply

    def _run(self, command: str, *arguments: object) -> list[bytes]:
        values = [command, self._budget.requests, self._budget.window, *arguments]
        reply: list[bytes] = self._script(keys=[self._key], args=values)
        return reply

    @cached_property
    def _script(self) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        scheme, _, rest = self._url.partition("://")
        client = redis.Redis.from_url(
            f"{SCHEMES[scheme]}://{rest}",
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        return client.register_script(script_source())

    def _may_try(self) -> bool:
        """Whether to turn to the server: always while it works, else one thread, now and then."""
        if not self._down:
            return True
        now = self._fallback.clock()
        with self._lock:
            if now < self._try_at:
                return False
            self._try_at = now + self._budget.window / TRIES_PER_WINDOW
        return True

    def _turn_down(self, error: Exception) -> None:
        now = self._fallback.clock()
        with self._lock:
            is_news, self._down = not self._down, True
            self._try_at = now + self._budget.window / TRIES_PER_WINDOW
        if is_news:
            self._fallback.hold(self._cooldown.seconds(now))
            log.warning(
                "The Cleanlist request budget at %s cannot be used (%s). Until it can, this host keeps a budget of "
                "its own.",
                self._address,
                type(error).__name__,
            )

    def _turn_up(self) -> None:
        with self._lock:
            is_news, self._down = self._down, False
        if is_news:
            log.warning("The Cleanlist request budget at %s can be used again.", self._address)

    def _lost_log(self, reply: list[bytes]) -> bool:
        """Whether the server has lost its log, or its clock has jumped ahead, since this process last sent."""
        now = self._fallback.clock()
        born, offset = int(float(reply[5])), float(reply[6]) - now
        is_same = born == self._born
        jumped = offset - self._clock_offset > CLOCK_JUMP_SECONDS
        self._born = born
        self._clock_offset = max(self._clock_offset, offset) if is_same else offset
        return (jumped or not is_same) and self._cooldown.seconds(now) > 0


def _decision(reply: list[bytes]) -> Decision:
    verdict = Verdict(reply[0].decode())
    if verdict is not Verdict.WAIT:
        return Decision(verdict, float(reply[1]))
    reservation = Reservation(float(reply[2]), booked=reply[3] == b"1", stamp=int(float(reply[4])))
    return Decision(verdict, float(reply[1]), reservation)


def _checked_address(url: str) -> str:
    """Return host and port of a URL that can be used."""
    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError(
            "rate_limit_store needs the Redis client: pip install 'airflow-provider-cleanlist[redis]'"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None:
        raise ConfigurationError("rate_limit_store must look like redis://host:6379/0")
    return f"{host}:{port or 6379}"
