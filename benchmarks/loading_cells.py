"""The ways to load that ``loading.py`` compares; each runs in a process of its own and prints what it measured.

Reading the pages from a file and parsing them is part of what is timed, for all alike; imports and connecting are not.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from loading_data import COLUMNS, LIST_ID, META, PAGE_ROWS, Data

from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LEAD_FIELDS, LoadSpec

WAREHOUSE = "warehouse"
NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - not every driver takes a zone
Work = Callable[[], int | None]


def spec_for(mode: str, table: str = "leads") -> LoadSpec:
    """Return a load of its own of the benchmark's list."""
    run = uuid.uuid4().hex
    day = date(2026, 1, 1) if mode == "snapshot" else None
    return LoadSpec(
        list_id=LIST_ID,
        load_id=run,
        run_id=f"benchmark/{run}",
        table=TableName(table),
        mode=mode,
        snapshot_date=day,
    )


def hook() -> Any:
    """Return the hook of the warehouse's Airflow connection."""
    from airflow.providers.common.compat.sdk import BaseHook

    connection: Any = BaseHook.get_connection(WAREHOUSE)
    return connection.get_hook()


def parse(data: Data) -> Work:
    """Read and parse the pages, and nothing else."""
    return lambda: sum(len(json.loads(body)["leads"]) for body in data.bodies())


def ours(data: Data, mode: str) -> Work:
    """Load as ``LeadListToWarehouseOperator`` does, without HTTP: nothing to wait for, so no thread reads ahead."""
    from airflow_provider_cleanlist.client.endpoints import get_leads
    from airflow_provider_cleanlist.client.messages import Response, Surface
    from airflow_provider_cleanlist.client.protocol import Ok
    from airflow_provider_cleanlist.transfers.base import open_warehouse
    from airflow_provider_cleanlist.warehouse.loader import load

    engine = open_warehouse(WAREHOUSE)
    parsed = get_leads(Surface.V2, LIST_ID, PAGE_ROWS, None).parse

    def read(cursor: str | None) -> Iterator[Any]:
        for body in data.bodies(int(cursor or 0)):
            yield parsed(Ok(Response(200, {}, body, 0.0).json(), 200))

    return lambda: load(engine, spec_for(mode), read, pages_ahead=0).rows_written


def insert_rows(data: Data) -> Work:
    """Parse all pages, then call ``insert_rows`` of the hook, in one process."""
    target = hook()
    return lambda: _insert_rows(target, _rows_of_all(data))


def xcom(data: Data) -> Work:
    """Do what ``HttpOperator`` and ``SQLInsertRowsOperator`` do: all rows go through an XCom from task to task.

    The XCom goes right into PostgreSQL, in a column as Airflow's; the way through Airflow's API server is left out.
    """
    from airflow.sdk.serde import deserialize, serialize
    from sqlalchemy.dialects.postgresql import JSONB

    target = hook()
    engine = target.get_sqlalchemy_engine()
    table = sa.Table("xcom", sa.MetaData(), sa.Column("value", JSONB))
    table.create(engine)

    def work() -> int:
        rows = [[*row[:-2], NOW.isoformat(), row[-1]] for row in _rows_of_all(data)]
        with engine.begin() as connection:
            connection.execute(table.insert(), {"value": serialize(rows)})
        del rows
        with engine.connect() as connection:
            kept: Any = deserialize(connection.execute(sa.select(table.c.value)).scalar_one())
        done = _insert_rows(target, kept)
        table.drop(engine)
        return done

    return work


def _rows_of_all(data: Data) -> list[tuple[Any, ...]]:
    leads = [lead for body in data.bodies() for lead in json.loads(body)["leads"]]
    return [(*map(lead.get, LEAD_FIELDS), LIST_ID, NOW, META["_cleanlist_run_id"]) for lead in leads]


def _insert_rows(target: Any, rows: list[Any]) -> int:
    target.insert_rows(table="leads", rows=rows, target_fields=list(COLUMNS))
    return len(rows)


def to_sql(data: Data) -> Work:
    """Make a data frame of all pages and write it with pandas, 10,000 rows at a time."""
    import pandas as pd

    engine = hook().get_sqlalchemy_engine()

    def work() -> int:
        leads = [lead for body in data.bodies() for lead in json.loads(body)["leads"]]
        frame = pd.DataFrame(leads, columns=LEAD_FIELDS).assign(**{**META, "_cleanlist_synced_at": NOW})
        frame.to_sql("leads", engine, if_exists="append", index=False, chunksize=10_000)
        return len(frame)

    return work


def _dlt(destination: str, source: Callable[[Any], Any]) -> Work:
    os.environ["PROVIDERS__ENABLE_AIRFLOW_SECRETS"] = "false"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
    import dlt

    kind, _, credentials = destination.partition("|")
    resource = source(dlt)
    pipeline = dlt.pipeline(
        "benchmark",
        destination=getattr(dlt.destinations, kind)(credentials),
        dataset_name="dlt_benchmark",
        pipelines_dir=os.environ["AIRFLOW_HOME"],
    )

    return lambda: pipeline.run(resource) and None


def dlt_rows(data: Data, destination: str) -> Work:
    """Merge the leads with dlt, fed with the parsed pages; CSV files between, its fastest format without Arrow."""

    def source(dlt: Any) -> Any:
        @dlt.resource(name="leads", write_disposition="merge", primary_key="lead_id", file_format="csv")
        def leads() -> Iterator[Any]:
            for body in data.bodies():
                yield json.loads(body)["leads"]

        return leads

    return _dlt(destination, source)


def dlt_rest_api(_: Data, destination: str, url: str, key: str, list_id: str) -> Work:
    """Merge the leads with a ``rest_api`` pipeline of dlt, over HTTP."""

    def source(_: Any) -> Any:
        from dlt.sources.rest_api import rest_api_source

        return rest_api_source(
            {
                "client": {
                    "base_url": f"{url}/api/v2/",
                    "auth": {"type": "bearer", "token": key},
                    "paginator": {"type": "cursor", "cursor_path": "cursor", "cursor_param": "cursor"},
                },
                "resources": [
                    {
                        "name": "leads",
                        "primary_key": "lead_id",
                        "write_disposition": "merge",
                        "file_format": "csv",
                        "endpoint": {
                            "path": f"lead-lists/{list_id}/leads",
                            "params": {"limit": 500},
                            "data_selector": "leads",
                        },
                    }
                ],
            }
        )

    return _dlt(destination, source)


def fetch(_: Data, list_id: str) -> Work:
    """Fetch and parse the pages over HTTP, and nothing else."""
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

    pages = CleanlistHook()
    next(pages.iter_lead_pages(list_id, 1))  # imports what it needs
    return lambda: sum(len(page.leads) for page in pages.iter_lead_pages(list_id))


def operator(_: Data, mode: str, list_id: str, read: str = "pages", run_id: str = "") -> Work:
    """Run the operator: fetch over HTTP, load, publish."""
    import airflow_provider_cleanlist.warehouse.loader  # noqa: F401
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

    task = LeadListToWarehouseOperator(
        task_id="load",
        list_id=list_id,
        warehouse_conn_id=WAREHOUSE,
        table="leads",
        mode=mode,
        read=read,
        snapshot_date="2026-01-01",
    )
    hook().get_sqlalchemy_engine()
    next(CleanlistHook().iter_lead_pages(list_id, 1))  # imports what it needs
    context: Any = {
        "ti": SimpleNamespace(dag_id="d", task_id="t", map_index=-1, xcom_push=lambda **_: None),
        "run_id": run_id or uuid.uuid4().hex,
        "outlet_events": {},
    }
    return lambda: int(task.execute(context)["rows_written"])


CELLS: dict[str, Callable[..., Work]] = {
    "parse": parse,
    "ours": ours,
    "insert_rows": insert_rows,
    "xcom": xcom,
    "to_sql": to_sql,
    "dlt": dlt_rows,
    "fetch": fetch,
    "operator": operator,
    "dlt_rest_api": dlt_rest_api,
}


def peak_kib() -> int:
    """Return the most memory that this process ever held, in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    cell, folder, rows, arguments = sys.argv[1:]
    logging.disable(logging.WARNING)
    work = CELLS[cell](Data(Path(folder), int(rows)), **json.loads(arguments))
    before = peak_kib()
    started, cpu = time.perf_counter(), time.process_time()
    count = work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": count, "peak": peak_kib(), "base": before}))


if __name__ == "__main__":
    main()
