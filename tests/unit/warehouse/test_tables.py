from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.tables import AddColumn


def test_statements_that_sqlalchemy_lacks():
    table = sa.Table("we ird", sa.MetaData(), sa.Column('a"b', sa.Text), schema="s.t")
    dialect, database = postgresql.dialect(), DATABASES["postgresql"]
    locked = str(database.lock.statement(table, table, 1).compile(dialect=dialect))
    assert locked == 'LOCK TABLE "s.t"."we ird" IN SHARE ROW EXCLUSIVE MODE'
    analyzed = str(database.analyze(table, ['a"b']).compile(dialect=dialect))
    assert analyzed == 'ANALYZE "s.t"."we ird" ("a""b")'
    added = str(AddColumn(table.c['a"b'], database.add_column).compile(dialect=dialect))
    assert added == 'ALTER TABLE "s.t"."we ird" ADD COLUMN "a""b" TEXT'
