"""What the demo says at its end: figures from XComs and the balance, and rows from the table."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

SHOWN_COLUMNS = ("first_name", "last_name", "title", "company", "email", "phone")
CELL_WIDTH = 24


class Table(NamedTuple):
    """The filled table: how many rows it has, and some of them. Its people are invented."""

    row_count: int
    columns: tuple[str, ...]
    sample: list[tuple[str, ...]]


def read_table(database: Path, table: str, sample_size: int = 5) -> Table:
    """Read the number of rows and a sample of the best filled ones from an SQLite file, the same ones each time.

    Raises:
        sqlite3.Error: the table is not there.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        present = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        columns = tuple(name for name in SHOWN_COLUMNS if name in present)
        filled = " + ".join(f"({name} IS NOT NULL)" for name in columns)
        rows = connection.execute(
            f"SELECT {', '.join(columns)} FROM {table} ORDER BY {filled} DESC, {', '.join(reversed(columns))} LIMIT ?",
            (sample_size,),
        ).fetchall()
    return Table(count, columns, [tuple("" if cell is None else str(cell) for cell in row) for row in rows])


def text_width(text: str) -> int:
    """Return how many terminal columns a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def cell(text: str, width: int) -> str:
    """Return a text cut or filled up to a width in terminal columns; line breaks become blanks."""
    text = " ".join(text.split())
    if text_width(text) > width:
        while text_width(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - text_width(text))


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a plain table with a header."""
    lines = [columns, *rows]
    widths = [
        min(CELL_WIDTH, max(text_width(line[index]) for line in lines)) for index in range(len(columns))
    ]
    text = [
        "  ".join(cell(value, width) for value, width in zip(line, widths, strict=True)) for line in lines
    ]
    return [text[0], "  ".join("-" * width for width in widths), *text[1:]]


def figures(
    enriched: Mapping[str, Any],
    waited: Mapping[str, Any],
    loaded: Mapping[str, Any],
    credits: tuple[float, float],
) -> list[tuple[str, str]]:
    """Return the lines of the summary as pairs of heading and text.

    Args:
        enriched: XCom of the ``BulkEnrichOperator``.
        waited: XCom of the ``WorkflowSensor``.
        loaded: XCom of the ``LeadListToWarehouseOperator``.
        credits: balance before and after.
    """
    before, after = credits
    return [
        (
            "Contacts",
            f"{enriched['contacts_read']:,} read, {enriched['contacts_submitted']:,} submitted, "
            f"{enriched['duplicates_dropped']:,} duplicates dropped, {enriched['invalid_contacts']:,} invalid",
        ),
        (
            "Workflows",
            f"{waited['workflows']:,} of up to 250 contacts, {waited['completed']:,} completed, "
            f"{waited['failed']:,} failed",
        ),
        ("Found", f"{waited['emails_found']:,} emails, {waited['phones_found']:,} phones"),
        (
            "Credits",
            f"{before - after:,.0f} spent (balance {before:,.0f} -> {after:,.0f}); "
            f"announced as the worst case: {enriched['worst_case_credits']:,}",
        ),
        ("Loaded", f"{loaded['rows_written']:,} rows from {loaded['pages']:,} pages, mode {loaded['mode']}"),
    ]


def render(pairs: Sequence[tuple[str, str]], table_name: str, table: Table, database: Path) -> str:
    """Return the whole summary as text."""
    query = f"SELECT * FROM {table_name} LIMIT 5"
    pairs = [*pairs, ("Table", f"{table_name} holds {table.row_count:,} rows, for instance:")]
    lines = [f"{heading:<10}{text}" for heading, text in pairs]
    lines += ["", *(f"  {line}" for line in grid(table.columns, table.sample)), ""]
    lines += [f"The table is in {database}", f'  sqlite3 {database} "{query}"']
    return "\n".join(lines)
