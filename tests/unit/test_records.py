"""Records by column are the records."""

from __future__ import annotations

from airflow_provider_cleanlist.records import ColumnRecords

RECORDS = [{"a": "1", "b": None}, {"a": "2", "b": "x"}, {"a": "3", "b": "y"}]


def by_column(records):
    return ColumnRecords({field: [record[field] for record in records] for field in records[0]})


def test_they_are_a_sequence_of_records():
    records = by_column(RECORDS)
    assert records == RECORDS
    assert records != RECORDS[:2]
    assert (len(records), records[0], records[-1], records[1:]) == (3, RECORDS[0], RECORDS[2], RECORDS[1:])
    assert len(ColumnRecords({})) == 0


def test_no_value_is_shown():
    assert repr(by_column(RECORDS)) == "ColumnRecords(<3 of 2 fields>)"
