"""Rows sent as JSON documents, one statement each, where every row of an ``executemany`` would be a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.types import Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.type_api import TypeEngine

DOCUMENT = "document"
"""The statement's parameter."""

_CastCell = Callable[["ColumnElement[Any]", "TypeEngine[Any]"], "ColumnElement[Any]"]


@dataclass(frozen=True, slots=True)
class JsonUnnest:
    """How a database makes rows of a document, which is a list of lists of texts.

    Args:
        source: What stands behind FROM, made of the parameter ``:document``; its column ``cells`` is a row.
        first: Number of the first cell.
        max_bytes: Size of the largest document, with room for what the driver adds.
        cast: Makes a cell a value of a type, where SQL's CAST does not.
    """

    source: str
    first: int
    max_bytes: int
    cast: _CastCell = sa.cast

    def __call__(self, connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
        """Insert rows, in as few documents as the database takes."""
        statement = self.statement(table)
        for document in documents(rows, self.max_bytes):
            connection.execute(statement, {DOCUMENT: document})

    def statement(self, table: sa.Table) -> sa.Insert:
        """Return the statement that inserts the rows of a document into a table with all of its columns."""
        cells = [
            self.cast(sa.literal_column(f"cells[{number}]"), column.type)
            for number, column in enumerate(table.columns, self.first)
        ]
        rows = sa.select(*cells).select_from(sa.text(self.source))
        return table.insert().from_select([column.name for column in table.columns], rows)


def documents(rows: Sequence[Row], max_bytes: int) -> Iterator[str]:
    """Yield rows as JSON documents of at most ``max_bytes`` each, at least one row in each."""
    document: list[str] = []
    length = 2
    for row in rows:
        text = json.dumps([*map(_text, row)], ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode()) + 1
        if document and length + size > max_bytes:
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
