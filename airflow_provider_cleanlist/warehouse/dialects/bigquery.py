"""BigQuery: rows arrive by load jobs, and one script publishes.

The statements of several jobs share a transaction only in a session, which the client does not open; a script has one.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import Database, driver_connection, update_from
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, LoadConfigurationError, any_of
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, NamedType, Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine
    from sqlalchemy.sql.elements import ColumnElement

_PARAMETER = re.compile(r"%\(([^:)]+)")


class ClientSource(Protocol):
    """What a BigQuery hook offers."""

    project_id: str
    location: str | None
    get_client: Callable[..., Any]


def _open(source: ClientSource, options: dict[str, Any]) -> Engine:
    """Return an engine that works through the hook's own client, however it authenticates."""
    client = source.get_client(project_id=source.project_id, location=source.location)
    url = sa.engine.URL.create("bigquery", host=client.project, query={"user_supplied_client": "True"})
    return sa.create_engine(url, connect_args={"client": client}, **options)


def _insert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Add rows by a load job, which is free of charge and adds all of them or none."""
    from google.cloud import bigquery

    client: Any = driver_connection(connection)._client
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


def build_script(
    dialect: Dialect, stage: sa.Table, rows: int, statements: Sequence[Any]
) -> tuple[str, dict[str, Any]]:
    """Return one script with its own transaction, and its parameters.

    It ends with an error, and does nothing, if the staging table does not hold ``rows`` rows.
    """
    counted = sa.select(sa.func.count()).select_from(stage)
    texts: list[str] = []
    parameters: dict[str, Any] = {}
    for number, statement in enumerate((counted, *statements)):
        if isinstance(statement, sa.sql.Delete) and statement.whereclause is None:
            statement = statement.where(sa.true())  # noqa: PLW2901
        compiled = statement.compile(dialect=dialect)
        texts.append(_PARAMETER.sub(rf"%(s{number}_\1", str(compiled)))
        parameters |= {f"s{number}_{name}": value for name, value in compiled.params.items()}
    check, *changes = texts
    lines = [
        "BEGIN",
        "BEGIN TRANSACTION;",
        f"ASSERT ({check}) = {rows} AS 'The staging table is not what was counted.';",
        *(f"{change};" for change in changes),
        "COMMIT TRANSACTION;",
        "EXCEPTION WHEN ERROR THEN",
        "ROLLBACK TRANSACTION;",
        "RAISE USING MESSAGE = @@error.message;",
        "END;",
    ]
    return "\n".join(lines), parameters


def _code(error: Any) -> str:
    cause = error.args[0] if error.args else None
    reasons = [str(item.get("reason", "")) for item in getattr(cause, "errors", ()) or ()]
    return reasons[0] if reasons else str(getattr(cause, "code", "") or "")


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], kind: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ; JSON can be compared as text only."""
    if kind == "json":
        old, new = sa.func.to_json_string(old), sa.func.to_json_string(new)
    return old.is_distinct_from(new)


BIGQUERY = Database(
    name="bigquery",
    types=DatabaseTypes(
        float=NamedType("FLOAT64"),
        timestamp=sa.TIMESTAMP(),
        json=NamedType("JSON"),
        staged_json=sa.Text(),
        parse_json="PARSE_JSON",
    ),
    errors=ErrorCodes(
        code=_code,
        denied=any_of("accessDenied 403"),
        missing=any_of("notFound 404"),
        configuration=any_of("notFound 404 accessDenied 403 invalidQuery"),
        data=any_of("invalid"),
        harmless=any_of("notFound accessDenied"),
    ),
    conn_type="gcpbigquery",
    open_engine=_open,
    ignores_case=True,
    unquotable={"bigquery": '`"\\'},
    enforces_keys=False,
    insert_by_driver={"bigquery": _insert},
    update=update_from,
    differs=_differs,
    build_script=build_script,
)
