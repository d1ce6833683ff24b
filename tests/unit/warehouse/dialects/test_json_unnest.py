from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import get_args

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.dialects.json_unnest import JsonUnnest, documents
from airflow_provider_cleanlist.warehouse.types import ColumnType

UNNESTING = [name for name, database in DATABASES.items() if isinstance(database.insert, JsonUnnest)]

cells = st.none() | st.text(st.characters(exclude_characters="\x00", codec="utf-8"))


@given(st.lists(st.tuples(cells, cells)), st.integers(2, 200))
def test_documents_hold_every_row_in_order_and_keep_to_their_length(rows, longest):
    made = list(documents(rows, longest))
    assert [tuple(row) for document in made for row in json.loads(document)] == rows
    for document in made:
        assert len(document.encode()) <= longest or len(json.loads(document)) == 1


def test_a_document_is_not_cut_earlier_than_needed():
    rows = [("x" * 10,)] * 100
    assert len(list(documents(rows, 10**6))) == 1
    one = len(json.dumps(rows[0])) + 1
    assert len(list(documents(rows, 2 + 10 * one))) == 10


def test_values_travel_as_texts():
    row = (
        1,
        2**62,
        1.5,
        float("inf"),
        True,
        False,
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        None,
        "é",
    )
    (document,) = documents([row], 1000)
    assert json.loads(document) == [
        [
            "1",
            str(2**62),
            "1.5",
            "inf",
            "true",
            "false",
            "2026-01-02",
            "2026-01-02T03:04:05.000006+00:00",
            None,
            "é",
        ]
    ]
    assert "é" in document


def test_these_databases_take_documents():
    assert UNNESTING == ["databricks", "duckdb", "redshift", "trino"]


@pytest.mark.parametrize("name", UNNESTING)
def test_every_column_gets_the_cell_of_its_place_cast_to_its_type(name):
    types, unnest = DATABASES[name].types, DATABASES[name].insert
    kinds = get_args(ColumnType)
    table = sa.Table("t", sa.MetaData(), *(sa.Column(kind, types.target(kind)) for kind in kinds))
    text = str(unnest.statement(table))
    for number, kind in enumerate(kinds, unnest.first):
        assert f"cells[{number}]" in text
        assert kind in text
    assert f"cells[{len(kinds) + unnest.first}]" not in text
    assert text.count(":document") == 1
