import sqlite3
from pathlib import Path

import demo_summary
import pytest
from demo_summary import Table

ENRICHED = {
    "contacts_read": 1012,
    "contacts_submitted": 960,
    "duplicates_dropped": 40,
    "invalid_contacts": 12,
    "worst_case_credits": 960,
}
WAITED = {"workflows": 4, "completed": 4, "failed": 0, "emails_found": 671, "phones_found": 0}
LOADED = {"rows_written": 960, "pages": 2, "mode": "merge"}


@pytest.fixture
def database(tmp_path) -> Path:
    path = tmp_path / "warehouse.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE leads (lead_id TEXT, first_name TEXT, email TEXT, other TEXT)")
        connection.executemany(
            "INSERT INTO leads VALUES (?, ?, ?, 'x')",
            [("3", None, None), ("2", "Zoë", "zoe@example.com"), ("1", "Ann", None)],
        )
    connection.close()
    return path


def test_table_is_counted_and_its_best_filled_rows_are_shown(database):
    table = demo_summary.read_table(database, "leads", sample_size=2)
    assert table == Table(3, ("first_name", "email"), [("Zoë", "zoe@example.com"), ("Ann", "")])


def test_missing_table_is_an_error(database):
    with pytest.raises(sqlite3.Error, match="no such table"):
        demo_summary.read_table(database, "absent")


def test_missing_database_is_an_error_and_is_not_created(tmp_path):
    with pytest.raises(sqlite3.Error):
        demo_summary.read_table(tmp_path / "absent.db", "leads")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("", 0), ("日本", 4), ("Zoe\u0308", 3), ("Юлия", 4)])
def test_width_on_a_terminal(text, width):
    assert demo_summary.text_width(text) == width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ab", "ab   "),
        ("abcde", "abcde"),
        ("abcdef", "abcd…"),
        ("日本語", "日本…"),
        ("a\nb", "a b  "),
        ("", "     "),
    ],
)
def test_cell_is_as_wide_as_asked(text, shown):
    assert demo_summary.cell(text, 5) == shown
    assert demo_summary.text_width(demo_summary.cell(text, 5)) == 5


def test_grid_lines_are_equally_wide():
    lines = demo_summary.grid(("first_name", "company"), [("Zoë", "x" * 60), ("日本", "")])
    assert {demo_summary.text_width(line) for line in lines} == {10 + 2 + demo_summary.CELL_WIDTH}


def test_every_figure_is_in_the_summary(database):
    pairs = demo_summary.figures(ENRICHED, WAITED, LOADED, (20_000, 19_329))
    table = demo_summary.read_table(database, "leads")
    text = demo_summary.render(pairs, "leads", table, database)
    for part in (
        "1,012 read, 960 submitted, 40 duplicates dropped, 12 invalid",
        "4 of up to 250 contacts, 4 completed, 0 failed",
        "671 emails, 0 phones",
        "671 spent (balance 20,000 -> 19,329)",
        "worst case: 960",
        "960 rows from 2 pages, mode merge",
        "leads holds 3 rows",
        "zoe@example.com",
        str(database),
    ):
        assert part in text
