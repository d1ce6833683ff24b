"""The tables of docs/reliability.md: how they are made, and what they say."""

from __future__ import annotations

import pytest
from make_reliability_table import (
    AIRFLOW_COLUMNS,
    LEDGER_COLUMNS,
    LOAD_COLUMNS,
    PAGE,
    RANDOM_COLUMNS,
    random_rows,
    table,
    with_tables,
)


def rows_of(name: str) -> list[list[str]]:
    """Return the rows of a table of the page, its header first."""
    _, _, rest = PAGE.read_text().partition(f"<!-- {name}: begin -->")
    text, end, _ = rest.partition(f"<!-- {name}: end -->")
    assert end
    lines = [line for line in text.splitlines() if line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("name", "columns", "least"),
    [
        ("real Airflow", AIRFLOW_COLUMNS, 20),
        ("ledger runs", LEDGER_COLUMNS, 3),
        ("random", RANDOM_COLUMNS, 20),
        ("loads", LOAD_COLUMNS, 12),
    ],
)
def test_nothing_is_billed_twice_doubled_or_lost(name: str, columns: tuple[str, ...], least: int) -> None:
    header, _, *rows = rows_of(name)
    assert tuple(header) == columns
    assert len(rows) >= least
    assert {tuple(row[-2:]) for row in rows} == {("0", "0")}
    assert {len(row) for row in rows} == {len(columns)}


def test_there_were_enough_random_scenarios() -> None:
    *_, last = rows_of("random")
    assert last[0] == "all scenarios"
    assert int(last[1]) == int(last[2]) + int(last[3]) >= 200


def test_counts_are_those_of_the_tests() -> None:
    happened = {
        "any": {"finished": 3, "stopped": 2, "billed twice": 1, "lost": 4},
        "502": {"finished": 1},
    }
    assert random_rows(happened) == [
        ["502", "1", "1", "0", "0", "0"],
        ["all scenarios", "5", "3", "2", "1", "4"],
    ]


def test_only_what_is_between_the_comments_is_replaced() -> None:
    page = "above\n<!-- a: begin -->\nold\n<!-- a: end -->\nbelow\n"
    new = with_tables(page, {"a": table(["x", "y"], [["1", "2"]])})
    assert new == (
        "above\n<!-- a: begin -->\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n\n<!-- a: end -->\nbelow\n"
    )
    assert with_tables(new, {"a": table(["x", "y"], [["1", "2"]])}) == new
