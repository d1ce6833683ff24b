"""Pages of a list as the API answers them, and the same leads as a ready-made CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_cleanlist.sandbox.state.generated import GeneratedLeads
from airflow_provider_cleanlist.warehouse.spec import LEAD_FIELDS

PAGE_ROWS = 500
LONG_EVERY = 100
LIST_ID = "5eed0000-0000-4000-8000-00000000a0a0"
META = {
    "_cleanlist_list_id": LIST_ID,
    "_cleanlist_synced_at": "2026-01-01T00:00:00+00:00",
    "_cleanlist_run_id": "benchmark/csv",
}
COLUMNS = (*LEAD_FIELDS, *META)
_LONG = 'Vice President of Procurement, Logistics & \\ "Special" Projects — 調達\t' * 30


@dataclass(frozen=True, slots=True)
class Data:
    """Files of one size.

    Args:
        folder: Where they are.
        rows: How many leads.
    """

    folder: Path
    rows: int

    @property
    def pages(self) -> Path:
        """One answer of the API per line."""
        return self.folder / f"pages-{self.rows}.jsonl"

    @property
    def csv(self) -> Path:
        """The rows of the target, without a header; nothing between commas is NULL."""
        return self.folder / f"leads-{self.rows}.csv"

    def make(self) -> None:
        """Write the files unless they are there: the sandbox's leads, every hundredth with a long title."""
        if self.csv.exists():
            return
        leads = GeneratedLeads(7, self.rows)
        with self.pages.open("w", encoding="utf-8") as pages, self.csv.open("w", encoding="utf-8") as rows:
            writer = csv.writer(rows, lineterminator="\n")
            for start in range(0, self.rows, PAGE_ROWS):
                end = min(start + PAGE_ROWS, self.rows)
                page = [_lead(leads, index) for index in range(start, end)]
                cursor = str(end) if end < self.rows else None
                body = {"success": True, "leads": page, "total": self.rows, "cursor": cursor}
                json.dump(body, pages, ensure_ascii=False, separators=(",", ":"))
                pages.write("\n")
                writer.writerows([*(lead[name] for name in LEAD_FIELDS), *META.values()] for lead in page)

    def bodies(self, start: int = 0) -> Iterator[bytes]:
        """Yield the answers from the page on that begins with lead ``start``."""
        with self.pages.open("rb", buffering=1 << 20) as pages:
            for number, line in enumerate(pages):
                if number * PAGE_ROWS >= start:
                    yield line


def _lead(leads: GeneratedLeads, index: int) -> dict[str, str | None]:
    lead: dict[str, str | None] = json.loads(leads.row_json(index))
    if index % LONG_EVERY == 0:
        lead["title"] = _LONG
    return lead
