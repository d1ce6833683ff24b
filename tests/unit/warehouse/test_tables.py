from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.plan import plan_target
from airflow_provider_cleanlist.warehouse.tables import AddColumn, registry_table, stage_table, target_table


def test_statements_that_sqlalchemy_lacks():
    table = sa.Table("we ird", sa.MetaData(), sa.Column('a"b', sa.Text), schema="s.t")
    dialect, database = postgresql.dialect(), DATABASES["postgresql"]
    locked = str(database.lock.statement(None, table, table).compile(dialect=dialect))
    assert locked == 'LOCK TABLE "s.t"."we ird" IN SHARE ROW EXCLUSIVE MODE'
    analyzed = str(database.analyze(table, ['a"b']).compile(dialect=dialect))
    assert analyzed == 'ANALYZE "s.t"."we ird" ("a""b")'
    added = str(AddColumn(table.c['a"b'], database.add_column).compile(dialect=dialect))
    assert added == 'ALTER TABLE "s.t"."we ird" ADD COLUMN "a""b" TEXT'


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
@pytest.mark.parametrize("arguments", [{}, {"mode": "replace"}, {"mode": "append"}, {"mode": "snapshot"}])
def test_every_table_has_a_primary_key_where_servers_may_demand_one(make_spec, name, arguments):
    database, spec = DATABASES[name], make_spec(snapshot_date=date(2026, 1, 2), **arguments)
    plan = plan_target(spec, ["lead_id", "email"], None)
    made = [
        registry_table(spec, database),
        stage_table(spec, plan.columns, database),
        target_table(spec, plan, database, with_key=True),
    ]
    for table in made:
        ddl = str(sa.schema.CreateTable(table).compile(dialect=mysql.dialect()))
        assert "PRIMARY KEY (" in ddl
        assert "ENGINE=InnoDB" in ddl


def test_a_target_has_a_key_that_nobody_asked_for_only_where_the_server_demands_it(make_spec):
    spec = make_spec(mode="append")
    plan = plan_target(spec, ["lead_id", "email"], None)
    table = target_table(spec, plan, DATABASES["mysql"])
    assert "PRIMARY KEY" not in str(sa.schema.CreateTable(table).compile(dialect=mysql.dialect()))
