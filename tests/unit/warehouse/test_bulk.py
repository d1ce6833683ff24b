from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse import bulk

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def table(engine) -> sa.Table:
    table = sa.Table(
        'odd "name %s',
        sa.MetaData(),
        sa.Column("te:xt", sa.Text),
        sa.Column("number", sa.BigInteger),
        sa.Column("moment", sa.DateTime(timezone=True)),
        sa.Column("day", sa.Date),
        sa.Column("flag", sa.Boolean),
    )
    table.create(engine)
    return table


@pytest.mark.parametrize("ways", [bulk._WAYS, {}], ids=["fastest", "default"])
def test_rows_come_out_as_they_went_in(engine, table, monkeypatch, ways):
    monkeypatch.setattr(bulk, "_WAYS", ways)
    rows = [("é, \"'\n%s :x", 7, MOMENT, date(2026, 1, 2), True), ("", None, None, None, None)]
    with engine.begin() as connection:
        bulk.insert_rows(connection, table, rows)
        bulk.insert_rows(connection, table, [])
    with engine.connect() as connection:
        loaded = [tuple(row) for row in connection.execute(sa.select(*table.columns))]
    assert loaded == [(*rows[0][:2], MOMENT.replace(tzinfo=None), *rows[0][3:]), rows[1]]


def test_rows_belong_to_the_transaction(engine, table):
    with engine.connect() as connection:
        transaction = connection.begin()
        bulk.insert_rows(connection, table, [("x", 1, None, None, None)])
        transaction.rollback()
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0


@given(
    st.lists(
        st.tuples(st.none() | st.text(st.characters(exclude_characters="\x00", codec="utf-8"))), min_size=1
    )
)
def test_the_copy_format_is_one_line_per_row_whatever_the_text(rows):
    file = bulk._CopyFile(rows)
    data = b"".join(iter(lambda: file.read(7), b""))
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    unescaped = [
        None
        if line == r"\N"
        else line.replace(r"\\", "\0").replace(r"\t", "\t").replace(r"\n", "\n").replace(r"\r", "\r")
        for line in lines
    ]
    assert [(line and line.replace("\0", "\\"),) for line in unescaped] == rows
