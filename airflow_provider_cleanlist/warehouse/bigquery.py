"""BigQuery: rows go in by load jobs, and what publishes is one script.

A session of BigQuery has no transaction that statements of several jobs could share without its ``sessions``; a
script has one.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import dialects
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.values import Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

    from airflow_provider_cleanlist.warehouse.publish import Publication

_PARAMETER = re.compile(r"%\(([^:)]+)")


class ClientSource(Protocol):
    """What a BigQuery hook offers."""

    project_id: str
    location: str | None
    get_client: Callable[..., Any]


def engine_of(source: ClientSource, options: dict[str, Any]) -> Engine:
    """Return an engine that works through the hook's own client, whatever it authenticates with.

    Args:
        source: A ``BigQueryHook``.
        options: Further arguments of ``sqlalchemy.create_engine``.
    """
    client = source.get_client(project_id=source.project_id, location=source.location)
    url = sa.engine.URL.create("bigquery", host=client.project, query={"user_supplied_client": "True"})
    return sa.create_engine(url, connect_args={"client": client}, **options)


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Add rows to a table by a load job, which is free of charge and adds all of them or none."""
    from google.cloud import bigquery

    client: Any = connection.connection.driver_connection
    client = client._client
    types = connection.dialect.type_compiler
    names = [column.name for column in table.columns]
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        schema=[
            bigquery.SchemaField(column.name, types.process(column.type).partition("(")[0])
            for column in table.columns
        ],
    )
    lines = io.BytesIO("".join(_line(names, row) for row in rows).encode())
    client.load_table_from_file(lines, _reference(client.project, table), job_config=config).result()


def _reference(project: str, table: sa.Table) -> Any:
    from google.cloud import bigquery

    if not table.schema:
        raise LoadConfigurationError(
            "BigQuery needs a dataset: name it with schema=, or table='dataset.table'."
        )
    *projects, dataset = table.schema.split(".")
    return bigquery.DatasetReference(".".join(projects) or project, dataset).table(table.name)


def _line(names: Sequence[str], row: Row) -> str:
    values = {name: _cell(value) for name, value in zip(names, row, strict=True) if value is not None}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def _cell(value: Any) -> Any:
    if isinstance(value, bool | str):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def publish(connection: Connection, publication: Publication) -> int:
    """Write the staged records into the target by one script, which holds a transaction.

    Returns:
        Rows removed from the target, as counted right before.
    """
    removed = sum(dialects.count_affected(connection, removal) for removal in publication.removals())
    text, parameters = script(publication, connection.dialect)
    connection.exec_driver_sql(text, parameters)
    return removed


def script(publication: Publication, dialect: Any) -> tuple[str, dict[str, Any]]:
    """Return the script that publishes, and its parameters.

    It ends with an error, and does nothing, if the staging table is not what was counted.
    """
    counted = sa.select(sa.func.count()).select_from(publication.stage)
    texts: list[str] = []
    parameters: dict[str, Any] = {}
    for number, statement in enumerate((counted, *(statement for _, statement in publication.statements()))):
        if isinstance(statement, sa.sql.Delete) and statement.whereclause is None:
            statement = statement.where(sa.true())  # noqa: PLW2901
        compiled = statement.compile(dialect=dialect)
        texts.append(_PARAMETER.sub(rf"%(s{number}_\1", str(compiled)))
        parameters |= {f"s{number}_{name}": value for name, value in compiled.params.items()}
    check, *changes = texts
    lines = [
        "BEGIN",
        "BEGIN TRANSACTION;",
        f"ASSERT ({check}) = {publication.counts.rows} AS 'The staging table is not what was counted.';",
        *(f"{change};" for change in changes),
        "COMMIT TRANSACTION;",
        "EXCEPTION WHEN ERROR THEN",
        "ROLLBACK TRANSACTION;",
        "RAISE USING MESSAGE = @@error.message;",
        "END;",
    ]
    return "\n".join(lines), parameters
