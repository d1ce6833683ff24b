"""Rows travel as JSON documents, one statement each, where every row of an ``executemany`` would be a request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.types import TYPES
from airflow_provider_cleanlist.warehouse.values import Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement

DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Explosion:
    """How a database makes rows of a document, which is a list of lists of texts.

    Args:
        source: What stands behind FROM; its column ``cells`` is a row.
        first: Number of the first cell.
        longest: Most bytes that a document may have, with room for what the driver adds.
        timestamp: Function that reads a time, where a cast does not take ISO 8601.
        as_text: Whether a cell must be made a text before it can be cast, and a truth value compared.
    """

    source: str
    first: int
    longest: int
    timestamp: str | None = None
    as_text: bool = False


EXPLOSIONS: Mapping[str, Explosion] = {
    "duckdb": Explosion(
        f"(SELECT unnest(from_json(:{DOCUMENT}, '[[\"VARCHAR\"]]')) AS cells) AS batch",
        first=1,
        longest=16_000_000,
    ),
    "databricks": Explosion(
        f"(SELECT explode(from_json(:{DOCUMENT}, 'array<array<string>>')) AS cells) AS batch",
        first=0,
        longest=4_000_000,
    ),
    "redshift": Explosion(
        f"(SELECT json_parse(:{DOCUMENT}) AS leads) AS batch, batch.leads AS cells",
        first=0,
        longest=65_000,
        as_text=True,
    ),
    "trino": Explosion(
        f"UNNEST(CAST(json_parse(:{DOCUMENT}) AS ARRAY(ARRAY(VARCHAR)))) AS batch (cells)",
        first=1,
        longest=450_000,
        timestamp="from_iso8601_timestamp_nanos",
    ),
}
"""The databases that take documents. Redshift's texts end at 65,535 bytes, Trino's statements at 1,000,000."""


def insert_documents(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows as JSON documents, as few as the database takes."""
    explosion = EXPLOSIONS[connection.dialect.name]
    statement = insert_statement(table, explosion)
    for document in documents(rows, explosion.longest):
        connection.execute(statement, {DOCUMENT: document})


def insert_statement(table: sa.Table, explosion: Explosion) -> sa.Insert:
    """Return the statement that inserts the rows of a document into a table with all of its columns."""
    cells = [_cell(column, number, explosion) for number, column in enumerate(table.columns, explosion.first)]
    rows = sa.select(*cells).select_from(sa.text(explosion.source))
    return table.insert().from_select([column.name for column in table.columns], rows)


def _cell(column: sa.Column[Any], number: int, explosion: Explosion) -> ColumnElement[Any]:
    cell: ColumnElement[Any] = sa.literal_column(f"cells[{number}]")
    kind = getattr(column.type, "impl", column.type)  # SQLAlchemy 1.4 wraps a type that has variants
    if explosion.as_text:
        cell = sa.cast(cell, TYPES["text"])
        if isinstance(kind, sa.Boolean):
            return cell == sa.literal_column("'true'")
    if explosion.timestamp and isinstance(kind, sa.DateTime):
        cell = getattr(sa.func, explosion.timestamp)(cell)
    return sa.cast(cell, column.type)


def documents(rows: Sequence[Row], longest: int) -> Iterator[str]:
    """Yield rows as JSON documents of at most ``longest`` bytes, one row at least in each."""
    document: list[str] = []
    length = 2
    for row in rows:
        text = json.dumps([*map(_text, row)], ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode()) + 1
        if document and length + size > longest:
            yield f"[{','.join(document)}]"
            document, length = [], 2
        document.append(text)
        length += size
    if document:
        yield f"[{','.join(document)}]"


def _text(value: Any) -> str | None:
    """Return a value as text that the database casts back."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
