"""A task that journals a large submission and measures it; for benchmarks/journal.py."""

from __future__ import annotations

import json
import resource
import time
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

BATCH = 250


class MeasuredStore:
    """The real store, with a note of how long each call took and how large values were."""

    def __init__(self, store: Any) -> None:
        self.parts = store.parts
        self.check_ownership = store.check_ownership
        self._store = store
        self.writes: list[float] = []
        self.reads: list[float] = []
        self.largest = 0

    def read(self, key: str) -> Any:
        started = time.perf_counter()
        value = self._store.read(key)
        self.reads.append(time.perf_counter() - started)
        return value

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.largest = max(self.largest, len(json.dumps(value)))
        started = time.perf_counter()
        self._store.write(key, value)
        self.writes.append(time.perf_counter() - started)


with DAG("journal", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

    @task
    def measure(**context: Any) -> dict[str, float]:
        """Journal so many contacts as ``conf`` says, then read everything as a later try would."""
        from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
        from airflow_provider_cleanlist.submission.stored.journal import StoredJournal
        from airflow_provider_cleanlist.submission.stored.stores import open_store

        contacts = int(context["dag_run"].conf["contacts"])
        store = MeasuredStore(open_store(context))
        journal = StoredJournal(store)
        journal.load()
        started = time.perf_counter()
        for first in range(0, contacts, BATCH):
            numbers = range(first, min(first + BATCH, contacts))
            identities = [number.to_bytes(IDENTITY_BYTES, "big") for number in numbers]
            batch = journal.begin(identities, "partial", time.time(), lambda _: True)
            task_ids = [f"0b0f9c0e-6a53-4f52-8c8b-{number:012d}" for number in range(len(identities))]
            journal.accept(batch, f"public_bulk_{first:036d}", task_ids, time.time())
        writing = time.perf_counter() - started
        started = time.perf_counter()
        later = StoredJournal(store)
        later.load()
        reading = time.perf_counter() - started
        return {
            "batches": len(later.batches),
            "contacts": sum(batch.size for batch in later.batches),
            "unknown": later.unknown_contacts,
            "writing": writing,
            "reading": reading,
            "median_write": sorted(store.writes)[len(store.writes) // 2],
            "largest": store.largest,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    measure()
