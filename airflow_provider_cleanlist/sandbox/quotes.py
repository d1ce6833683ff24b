"""Signed, single-use prices of v2 operations (contract section 7)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from airflow_provider_cleanlist.sandbox.errors import ApiError
from airflow_provider_cleanlist.sandbox.outcomes import WORST_CASE_CREDITS

PRICES = {
    "enrich_person": None,
    "enrich_list": None,
    "bulk_import_csv": None,
    "add_person_enrichments": None,
    "enrich_company": 1,
    "run_smart_agent": 1,
}
"""Credits per row by tool; None means by enrichment type."""


@dataclass
class Quote:
    """A price, the request it was made for, and until when it holds."""

    quote_id: str
    tool: str
    subject: tuple[Any, ...]
    cost: int
    expires_at: int
    used: bool = False


def price(tool: str, enrichment_type: str, rows: int) -> int:
    """Return what an operation costs at most.

    Raises:
        ApiError: 400 for a tool that has no price.
    """
    if tool not in PRICES:
        raise ApiError(400, f"Unknown tool {tool!r}", details={"known": sorted(PRICES)})
    per_row = PRICES[tool]
    return rows * (WORST_CASE_CREDITS[enrichment_type] if per_row is None else per_row)


class Quotes:
    """The quotes given so far."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._quotes: dict[str, Quote] = {}

    def issue(self, tool: str, subject: tuple[Any, ...], cost: int, now: float, life: int) -> Quote:
        """Sign a price for ``life`` seconds.

        Args:
            tool: The operation priced.
            subject: What the price is bound to.
            cost: Credits.
            now: The present instant.
            life: Seconds the quote holds.
        """
        nonce = secrets.token_hex(4)
        signature = hmac.new(
            self._secret, repr((tool, subject, cost, nonce)).encode(), hashlib.sha256
        ).hexdigest()
        quote = Quote(f"qte_k1_{int(now)}_{signature[:32]}", tool, subject, cost, int(now) + life)
        self._quotes[quote.quote_id] = quote
        return quote

    def redeem(self, quote_id: str, tool: str, subject: tuple[Any, ...], cost: int, now: float) -> None:
        """Use a quote up.

        Raises:
            ApiError: 409 when the quote is unknown, stale, used or for another request; 400
                ``spend_cap_exceeded`` when the operation costs more by now.
        """
        quote = self._quotes.get(quote_id)
        if (
            quote is None
            or quote.used
            or now >= quote.expires_at
            or (quote.tool, quote.subject) != (tool, subject)
        ):
            raise ApiError(
                409,
                "The quote is stale, used or was made for another request",
                fix="Ask for a new estimate.",
                retryable=False,
            )
        if cost > quote.cost:
            raise ApiError(
                400,
                "The operation costs more than was quoted",
                code="spend_cap_exceeded",
                extra={"estimated_cost_credits": cost},
            )
        quote.used = True
