"""Pages of a list as the API answers them, and the same leads as a ready-made CSV."""

from __future__ import annotations

import csv
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_cleanlist.client.export.csv_file import EXPORT_FIELDS
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
        random_ids: Whether their ids come in no order, as the API's UUIDs do; else each is greater than the last.
    """

    folder: Path
    rows: int
    random_ids: bool = False

    @property
    def pages(self) -> Path:
        """One answer of the API per line."""
        return self.folder / f"pages-{self._name}.jsonl"

    @property
    def csv(self) -> Path:
        """The rows of the target, without a header; nothing between commas is NULL."""
        return self.folder / f"leads-{self._name}.csv"

    @property
    def export(self) -> Path:
        """The same leads as the API exports them, with a header."""
        return self.folder / f"export-{self._name}.csv"

    @property
    def _name(self) -> str:
        return f"{self.rows}-random" if self.random_ids else str(self.rows)

    def make(self) -> None:
        """Write the files unless they are there: the sandbox's leads, every hundredth with a long title."""
        if self.export.exists():
            return
        with (
            self.pages.open("w", encoding="utf-8") as pages,
            self.csv.open("w", encoding="utf-8") as rows,
            self.export.open("w", encoding="utf-8", newline="") as export,
        ):
            ready, exported = csv.writer(rows, lineterminator="\n"), csv.writer(export)
            exported.writerow(EXPORT_FIELDS)
            for start in range(0, self.rows, PAGE_ROWS):
                end = min(start + PAGE_ROWS, self.rows)
                leads = [self._lead(index) for index in range(start, end)]
                exported.writerows([lead[name] for name in EXPORT_FIELDS] for lead in leads)
                page = [{name: lead[name] for name in LEAD_FIELDS} for lead in leads]
                cursor = str(end) if end < self.rows else None
                body = {"success": True, "leads": page, "total": self.rows, "cursor": cursor}
                json.dump(body, pages, ensure_ascii=False, separators=(",", ":"))
                pages.write("\n")
                ready.writerows([*lead.values(), *META.values()] for lead in page)

    def _lead(self, index: int) -> dict[str, Any]:
        lead = GeneratedLeads(7, self.rows).row(index)
        if index % LONG_EVERY == 0:
            lead["title"] = _LONG
        if self.random_ids:
            lead["lead_id"] = str(uuid.UUID(int=random.Random(index).getrandbits(128), version=4))
        return lead

    def bodies(self, start: int = 0) -> Iterator[bytes]:
        """Yield the answers from the page on that begins with lead ``start``."""
        with self.pages.open("rb", buffering=1 << 20) as pages:
            for number, line in enumerate(pages):
                if number * PAGE_ROWS >= start:
                    yield line
