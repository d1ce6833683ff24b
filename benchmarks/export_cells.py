"""The ways to load a list that ``exports.py`` compares, each in a process that prints what it measured."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from loading_cells import NOW, Work, _dlt, dlt_rest_api, hook, operator, peak_kib
from loading_data import LIST_ID, Data

from airflow_provider_cleanlist.warehouse.spec import LEAD_FIELDS


def _ours(read: str) -> Callable[..., Work]:
    return lambda data, run_id, **_: operator(data, "merge", LIST_ID, read, run_id)


def _dlt_pages(data: Data, destination: str, url: str, key: str, **_: Any) -> Work:
    return dlt_rest_api(data, destination, url, key, LIST_ID)


def _dlt_export(_: Data, destination: str, url: str, key: str, **__: Any) -> Work:
    """Merge the leads of an export with dlt, which is given the rows of the downloaded CSV."""

    def source(dlt: Any) -> Any:
        @dlt.resource(name="leads", write_disposition="merge", primary_key="lead_id", file_format="csv")
        def leads() -> Iterator[Any]:
            import csv
            from itertools import islice

            from dlt.sources.helpers import requests

            asked = requests.post(
                f"{url}/api/v2/export/csv/signed-url",
                json={"list_id": LIST_ID},
                headers={"Authorization": f"Bearer {key}"},
            )
            with requests.get(asked.json()["download_url"], stream=True) as response:
                response.encoding = "utf-8"
                lines = (f"{line}\n" for line in response.iter_lines(1 << 20, decode_unicode=True))
                rows = csv.DictReader(lines)
                while part := [*islice(rows, 5_000)]:
                    yield part

        return leads

    return _dlt(destination, source)


def _dag(_: Data, url: str, key: str, **__: Any) -> Work:
    """Run the two tasks of a hand-written DAG: ``HttpOperator`` over all pages, an XCom, upserts by ``insert_rows``.

    The XCom goes right into PostgreSQL, in a column as Airflow's; the way through Airflow's API server is left out.
    """
    from airflow.providers.http.operators.http import HttpOperator
    from airflow.sdk.serde import deserialize, serialize
    from sqlalchemy.dialects.postgresql import JSONB

    host = url.removeprefix("http://")
    os.environ["AIRFLOW_CONN_CLEANLIST_HTTP"] = json.dumps(
        {"conn_type": "http", "host": host, "extra": {"Authorization": f"Bearer {key}"}}
    )
    target = hook()
    engine = target.get_sqlalchemy_engine()
    table = sa.Table("xcom", sa.MetaData(), sa.Column("value", JSONB))
    table.drop(engine, checkfirst=True)
    table.create(engine)

    def next_page(response: Any) -> dict[str, Any] | None:
        cursor = response.json()["cursor"]
        return {"data": {"limit": 500, "cursor": cursor}} if cursor else None

    def rows_of(responses: list[Any]) -> list[Any]:
        leads = [lead for response in responses for lead in response.json()["leads"]]
        return [[*map(lead.get, _TARGET_FIELDS), LIST_ID, NOW.isoformat(), "by hand"] for lead in leads]

    fetch = HttpOperator(
        task_id="fetch",
        http_conn_id="cleanlist_http",
        method="GET",
        endpoint=f"api/v2/lead-lists/{LIST_ID}/leads",
        data={"limit": 500},
        pagination_function=next_page,
        response_filter=rows_of,
    )

    def work() -> int:
        with engine.begin() as connection:
            connection.execute(table.insert(), {"value": serialize(fetch.execute({}))})
        with engine.connect() as connection:
            rows: Any = deserialize(connection.execute(sa.select(table.c.value)).scalar_one())
        names = [*_TARGET_FIELDS, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id"]
        index = ["_cleanlist_list_id", "lead_id"]
        target.insert_rows(
            table="public.leads", rows=rows, target_fields=names, replace=True, replace_index=index
        )
        table.drop(engine)
        return len(rows)

    return work


_TARGET_FIELDS = tuple(field for field in LEAD_FIELDS if field not in ("full_name", "provider"))
CELLS: dict[str, Callable[..., Work]] = {
    "export": _ours("export"),
    "pages": _ours("pages"),
    "dlt": _dlt_pages,
    "dlt export": _dlt_export,
    "dag": _dag,
}


def main() -> None:
    cell, folder, rows, text = sys.argv[1:]
    logging.disable(logging.WARNING)
    work = CELLS[cell](Data(Path(folder), int(rows)), **json.loads(text))
    started, cpu = time.perf_counter(), time.process_time()
    count = work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": count, "peak": peak_kib()}))


if __name__ == "__main__":
    main()
