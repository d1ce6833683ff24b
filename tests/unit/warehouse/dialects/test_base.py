from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import GENERIC
from airflow_provider_cleanlist.warehouse.dialects.sqlite import SQLITE

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


@pytest.mark.parametrize("database", [SQLITE, GENERIC], ids=["fastest", "default"])
def test_rows_come_out_as_they_went_in(engine, table, database):
    rows = [("é, \"'\n%s :x", 7, MOMENT, date(2026, 1, 2), True), ("", None, None, None, None)]
    with engine.begin() as connection:
        database.insert_rows(connection, table, rows)
        database.insert_rows(connection, table, [])
    with engine.connect() as connection:
        loaded = [tuple(row) for row in connection.execute(sa.select(*table.columns))]
    assert loaded == [(*rows[0][:2], MOMENT.replace(tzinfo=None), *rows[0][3:]), rows[1]]


def test_rows_belong_to_the_transaction(engine, table):
    with engine.connect() as connection:
        transaction = connection.begin()
        SQLITE.insert_rows(connection, table, [("x", 1, None, None, None)])
        transaction.rollback()
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
