from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.input_limits import CELLS, COLUMNS, FIELD_CHARACTERS
from airflow_provider_cleanlist.records import ColumnRecords
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.plan import TargetColumns
from airflow_provider_cleanlist.warehouse.values import RowMaker, clean, convert


def rows_of(maker: RowMaker, records: Sequence[Mapping], page: int) -> list[tuple]:
    return [row for batch in maker.batches(records, page) for row in batch]


def values(maker: RowMaker, record: dict) -> dict:
    (row,) = rows_of(maker, [record], page=1)
    return {raw: value for raw, value in zip(maker.fields, row[2:], strict=True) if value is not None}


def test_a_row_is_page_row_and_fields_in_order(make_spec):
    maker = RowMaker(make_spec(columns={"email": None}))
    assert rows_of(maker, [{"lead_id": "a", "email": "x"}, {"lead_id": "b"}], page=3) == [
        (3, 1, "a", "x"),
        (3, 2, "b", None),
    ]
    assert maker.fields == ("lead_id", "email")


def test_fields_that_appear_later_are_appended_in_alphabetical_order(make_spec):
    maker = RowMaker(make_spec())
    before = maker.fields
    rows = rows_of(maker, [{"lead_id": "a"}, {"lead_id": "b", "zeta": 1, "alpha": 2}], page=1)
    assert maker.fields == (*before, "alpha", "zeta")
    assert {len(row) for row in rows} == {2 + len(maker.fields)}


def test_a_resumed_maker_keeps_the_numbers_of_the_columns(make_spec):
    maker = RowMaker(make_spec(), fields=("lead_id", "zeta", "email"))
    assert rows_of(maker, [{"lead_id": "a", "email": "x", "zeta": "z"}], page=9) == [(9, 1, "a", "z", "x")]


def test_new_fields_become_columns_up_to_a_limit_in_linear_time(make_spec):
    known = len(RowMaker(make_spec()).fields)
    names = [f"field {number}" for number in range(COLUMNS - known)]
    maker = RowMaker(make_spec())
    started = time.process_time()
    rows_of(maker, [{"lead_id": "a", **dict.fromkeys(names, 1)}], page=1)
    assert time.process_time() - started < 2
    assert len(maker.fields) == COLUMNS
    before = maker.fields
    with pytest.raises(LoadConfigurationError, match="more than 1,000 fields"):
        rows_of(maker, [{"lead_id": "b", "one more": 1}], page=2)
    assert maker.fields == before


@pytest.mark.parametrize("kind", [list, tuple, "by column"])
def test_records_of_few_fields_become_rows_as_wide_as_all_a_part_at_a_time(make_spec, kind):
    fields = [f"f{number}" for number in range(900)]
    records = [{"lead_id": "0", **dict.fromkeys(fields, 1)}, *({"lead_id": str(n)} for n in range(1, 5000))]
    if kind == "by column":
        names = ["lead_id", *fields]
        columns = ColumnRecords({name: [record.get(name) for record in records] for name in names})
    maker = RowMaker(make_spec())
    batches = list(maker.batches(columns if kind == "by column" else kind(records), page=7))
    assert len(batches) == 3
    assert all(len(batch) * len(maker.fields) <= CELLS for batch in batches)
    rows = [row for batch in batches for row in batch]
    assert [row[:3] for row in rows] == [(7, n + 1, str(n)) for n in range(5000)]
    assert {len(row) for row in rows} == {2 + len(maker.fields)}
    assert rows[0].count("1") + rows[0].count(1) == 900 + 1


def test_a_row_of_a_later_part_is_named_by_its_place_in_the_page(make_spec):
    records = [{"lead_id": "0", **{f"f{number}": 1 for number in range(900)}}]
    records += [{"lead_id": str(n)} for n in range(1, 3000)]
    records.append({})
    with pytest.raises(LoadDataError, match=r"Page 2, row 3001: the record has no lead_id\."):
        rows_of(RowMaker(make_spec()), records, page=2)


@pytest.mark.parametrize("together", [True, False])
def test_more_fields_than_columns_are_refused_however_they_come(make_spec, together):
    fields = [{"lead_id": str(number), f"field {number}": 1} for number in range(20_000)]
    pages = [[{"lead_id": "a"} | {name: 1 for record in fields for name in record}]] if together else [fields]
    maker = RowMaker(make_spec())
    started = time.process_time()
    with pytest.raises(LoadConfigurationError, match="more than 1,000 fields"):
        rows_of(maker, pages[0], page=1)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"hash_columns": ["email", "phone"], "hash_secret": "s"},
        {"exclude_columns": ["email", "phone"]},
        {"exclude_columns": ["email"], "columns": {f"c{number}": None for number in range(500)}},
    ],
    ids=["hashed", "excluded", "chosen"],
)
@pytest.mark.parametrize("target", [None, TargetColumns(("lead_id", "email"))], ids=["new", "existing"])
def test_what_happens_to_a_field_is_decided_once_whatever_its_name(make_spec, arguments, target):
    """With a decision for each value, the first page took 4 s; with names in compatible form, the others 9 to 40 s."""
    maker = RowMaker(make_spec(schema_evolution="ignore", **arguments), target=target)
    values = {f"f{number}": 1 for number in range(2000)}
    pages = [
        [{"lead_id": str(number), **values} for number in range(500)],
        [{"lead_id": str(number), "a" * 20_000 + str(number): 1} for number in range(500)],
        [{"lead_id": str(number), "\ufdfa" * 20_000 + str(number): 1} for number in range(500)],
    ]
    started = time.process_time()
    for number, page in enumerate(pages, start=1):
        rows_of(maker, page, number)
    assert time.process_time() - started < 2.5


def test_names_of_fields_are_limited_together(make_spec):
    maker = RowMaker(make_spec())
    rows_of(maker, [{"lead_id": "a", "x" * 200_000: 1}], page=1)
    before = maker.fields
    with pytest.raises(LoadConfigurationError, match="more than 262,144 characters together"):
        rows_of(maker, [{"lead_id": "b", "y" * 70_000: 1}], page=2)
    assert maker.fields == before
    ignoring = RowMaker(make_spec(schema_evolution="ignore"))
    rows_of(ignoring, [{"lead_id": "a", "x" * 300_000: 1}], page=1)
    assert "x" * 300_000 not in ignoring.fields


def test_where_new_fields_go_into_one_column_or_nowhere_any_number_is_taken(make_spec):
    record = {"lead_id": "a", **{f"field {number}": 1 for number in range(5000)}}
    for spec in (make_spec(schema_evolution="ignore"), make_spec(columns={"lead_id": None})):
        assert len(rows_of(RowMaker(spec), [record], page=1)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("Łódź 🚚", "Łódź 🚚"),
        (7, "7"),
        (7.5, "7.5"),
        (True, "true"),
        ({"a": ["é", None]}, '{"a":["é",null]}'),
        ([], "[]"),
    ],
)
def test_values_become_text(make_spec, value, text):
    assert values(RowMaker(make_spec()), {"lead_id": "a", "note": value})["note"] == text


def test_ids_of_any_kind_become_text(make_spec):
    assert values(RowMaker(make_spec()), {"lead_id": 42})["lead_id"] == "42"


@pytest.mark.parametrize(
    ("text", "stored"), [("x\x00", "x"), ("ü\x00", "ü"), ("\ud800x", "x"), ("ü\udfff", "ü")]
)
def test_every_text_that_cannot_be_stored_is_seen(make_spec, text, stored):
    assert values(RowMaker(make_spec()), {"lead_id": "a", "email": text})["email"] == stored


def test_what_cannot_be_stored_is_removed_and_counted(make_spec):
    maker = RowMaker(make_spec())
    record = {
        "lead_id": "a\x00b",
        "email": "x\ud800y",
        "title": "fine ü",
        "tags": ["n\x00", {"k\x00": "\udfff"}],
    }
    assert values(maker, record) == {
        "lead_id": "ab",
        "email": "xy",
        "title": "fine ü",
        "tags": '["n",{"k":""}]',
    }
    assert maker.cleaned == 3


@given(st.text())
def test_clean_text_is_storable_and_loses_nothing_else(text):
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert "\x00" not in cleaned
    assert cleaned == "".join(c for c in text if c != "\x00" and not "\ud800" <= c <= "\udfff")


@pytest.mark.parametrize(
    "record", [{}, *({"lead_id": no_id} for no_id in (None, "", " ", "\x00", "\ud800\n"))]
)
def test_a_record_without_id_is_named_by_page_and_row(make_spec, record):
    with pytest.raises(LoadDataError, match="Page 4, row 2: the record has no lead_id"):
        rows_of(RowMaker(make_spec()), [{"lead_id": "a"}, record], page=4)


@pytest.mark.parametrize("email", ["", " \n", "\x00", None])
def test_a_blank_text_is_no_value_of_the_key(make_spec, email):
    hashed = {"hash_columns": ["email"], "hash_secret": "s"}
    records = [{"lead_id": "a", "email": email, "title": ""}, {"lead_id": "b", "email": "x", "title": "t"}]
    for arguments in ({}, hashed):
        maker = RowMaker(make_spec(key=("email",), **arguments))
        place = maker.fields.index("email") + 2
        blank, other = rows_of(maker, records, page=1)
        assert blank[place] is None
        assert other[place] is not None
        assert blank[maker.fields.index("title") + 2] == ""  # as it came


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", "7", 7),
        ("integer", 7.0, 7),
        ("integer", " 7 ", 7),
        ("integer", "85.0", 85),
        ("integer", "-3.", -3),
        ("integer", "+5", 5),
        ("float", "1e3", 1000.0),
        ("float", " -.5 ", -0.5),
        ("float", 7, 7.0),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("boolean", True, True),
        ("date", "2026-01-31", date(2026, 1, 31)),
        ("date", "2026-01-31T23:00:00Z", date(2026, 1, 31)),
        ("timestamp", "2026-01-31T23:00:00+02:00", datetime(2026, 1, 31, 21, tzinfo=UTC)),
        ("timestamp", "2026-01-31 23:00", datetime(2026, 1, 31, 23, tzinfo=UTC)),
        ("integer", "", None),
        ("date", " ", None),
        ("float", None, None),
    ],
)
def test_convert(kind, value, expected):
    assert convert(value, kind) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "seven"),
        ("integer", 7.5),
        ("integer", 2**63),
        ("integer", [1]),
        ("integer", "85.5"),
        ("integer", "1_000"),
        ("integer", "٣"),
        ("float", "a lot"),
        ("float", "1_0.5"),
        ("float", "٣.0"),
        ("float", "inf"),
        ("float", "1e400"),
        ("float", "nan"),
        ("float", float("inf")),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("date", "31.01.2026"),
        ("date", 20260131),
        ("timestamp", "noon"),
    ],
)
def test_a_value_of_another_type_is_named_without_being_shown(make_spec, kind, value):
    maker = RowMaker(make_spec(column_types={"score": kind}))
    with pytest.raises(LoadDataError) as caught:
        rows_of(maker, [{"lead_id": "a", "score": value}], page=2)
    assert f"Page 2, row 1: the value of 'score' is not of type {kind}" in str(caught.value)
    assert str(value) not in str(caught.value).replace("Page 2", "")
    assert caught.value.__cause__ is None


def test_json_columns_hold_json_even_of_text(make_spec):
    maker = RowMaker(make_spec(column_types={"note": "json"}))
    assert values(maker, {"lead_id": "a", "note": 'say "hi"\x00'})["note"] == '"say \\"hi\\""'
    assert "note" not in values(maker, {"lead_id": "a", "note": None})


def test_hashed_columns(make_spec):
    maker = RowMaker(make_spec(hash_columns=["email"], hash_secret="pepper"))
    expected = hmac.new(b"pepper", "zoë@x.example".encode(), hashlib.sha256).hexdigest()
    assert values(maker, {"lead_id": "a", "email": "zoë@x.example"})["email"] == expected
    assert "email" not in values(maker, {"lead_id": "a", "email": None})


def test_excluded_and_unchosen_fields_leave_no_trace(make_spec):
    record = {"lead_id": "a", "email": "secret", "phone": "secret", "smart": "secret"}
    for arguments in ({"columns": {"title": None}}, {"exclude_columns": ["email", "phone", "Smart"]}):
        maker = RowMaker(make_spec(schema_evolution="ignore", **arguments))
        assert "secret" not in repr(rows_of(maker, [record], page=1))


def test_unknown_fields_go_into_extra_as_json(make_spec):
    maker = RowMaker(make_spec(schema_evolution="ignore", hash_columns=["pin"], hash_secret="s"))
    extra = values(maker, {"lead_id": "a", "score": 7, "pin": "1234", "_extra": "own"})["_extra"]
    assert json.loads(extra) == {
        "score": 7,
        "pin": hmac.new(b"s", b"1234", hashlib.sha256).hexdigest(),
        "_extra": "own",
    }
    assert "_extra" not in values(maker, {"lead_id": "a", "email": "x"})


def test_known_fields_that_the_target_lacks_go_into_extra(make_spec):
    maker = RowMaker(make_spec(schema_evolution="ignore"), target=TargetColumns(("lead_id", "email")))
    assert maker.fields == ("lead_id", "email", "_extra")
    assert values(maker, {"lead_id": "a", "phone": "1"}) == {"lead_id": "a", "_extra": '{"phone":"1"}'}


def test_a_new_field_stops_with_fail(make_spec):
    spec = make_spec(schema_evolution="fail", columns=None)
    maker = RowMaker(spec, target=TargetColumns(spec.known_fields))
    with pytest.raises(LoadConfigurationError, match="'score'"):
        rows_of(maker, [{"lead_id": "a", "score": 1}], page=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"columns": {"score": "points"}, "column_types": {"score": "integer"}},
        {"exclude_columns": ["email"], "hash_columns": ["phone"], "hash_secret": "s"},
        {"schema_evolution": "ignore"},
    ],
)
def test_records_by_column_become_the_rows_of_the_records(make_spec, arguments):
    records = [
        {"lead_id": "a", "email": None, "phone": "1", "score": "7"},
        {"lead_id": "b", "email": "x\x00", "phone": None, "score": None},
    ]
    columns = ColumnRecords({field: [record[field] for record in records] for field in records[0]})
    found, expected = RowMaker(make_spec(**arguments)), RowMaker(make_spec(**arguments))
    assert rows_of(found, columns, page=1) == rows_of(expected, records, page=1)
    assert (found.fields, found.cleaned) == (expected.fields, expected.cleaned)


def test_numbers_that_json_lacks_become_null(make_spec):
    nan, infinite = float("nan"), float("inf")
    maker = RowMaker(make_spec(column_types={"tags": "json"}, known_fields=()))
    lead = {
        "lead_id": "a",
        "tags": [nan, {"x": -infinite}, 1.5, "NaN"],
        "note": {"Infinity": infinite},
        "score": nan,
    }
    row = values(maker, lead)
    assert (row["tags"], row["note"], row["score"]) == (
        '[null,{"x":null},1.5,"NaN"]',
        '{"Infinity":null}',
        "NaN",
    )
    assert maker.cleaned == 2
    assert (
        values(maker, {"lead_id": "b", "tags": ["Infinity Ltd", "NaN"]})["tags"] == '["Infinity Ltd","NaN"]'
    )
    assert maker.cleaned == 2


@pytest.mark.parametrize("depth", [50, 400, 800, 900, 5_000])
@pytest.mark.parametrize("inner", ['"\\u0000x"', "NaN"])
def test_a_cell_nested_too_deeply_is_a_text(make_spec, depth, inner):
    maker = RowMaker(make_spec(column_types={"note": "json"}, source="export"))
    text = "[" * depth + inner + "]" * depth
    document = values(maker, {"lead_id": "a", "note": text})["note"]
    if document.startswith("["):
        assert document == "[" * depth + {"NaN": "null"}.get(inner, '"x"') + "]" * depth
    else:
        assert depth > 50
        assert json.loads(document) == text


@pytest.mark.parametrize(
    ("columns", "target", "has_extra"),
    [
        (None, None, True),
        (None, ("lead_id", "email", "_extra"), True),
        ({"email": None}, ("lead_id", "email", "_extra"), False),
        ({"email": None, "title": None}, ("lead_id", "email", "_extra"), True),
        ({"email": None}, None, False),
    ],
)
def test_extra_is_written_only_if_a_field_can_go_there(make_spec, columns, target, has_extra):
    spec = make_spec(schema_evolution="ignore", columns=columns)
    maker = RowMaker(spec, target=None if target is None else TargetColumns(target))
    assert ("_extra" in maker.fields) is has_extra


def test_names_of_ever_new_fields_are_not_kept(make_spec):
    maker = RowMaker(
        make_spec(schema_evolution="ignore"), target=TargetColumns(("lead_id", "email"), ignores_case=True)
    )
    for page in range(1, 12):
        names = [f"{'x' * 3_000} {page} {number}" for number in range(20)]
        (row,) = rows_of(maker, [{"lead_id": "a", "email": "b", **dict.fromkeys(names, 1)}], page)
        assert sum(len(name) for name in maker._into_extra) < FIELD_CHARACTERS + 100_000
        found = dict(zip(maker.fields, row[2:], strict=True))
        assert (found["email"], json.loads(found["_extra"])) == ("b", dict.fromkeys(names, 1))


def test_few_names_of_fields_are_decided_once(make_spec, monkeypatch):
    maker = RowMaker(make_spec(schema_evolution="ignore"))
    rows_of(maker, [{"lead_id": "a", "score": 1}], 1)
    monkeypatch.setattr(maker, "_meet_fields", None)
    rows_of(maker, [{"lead_id": "a", "score": 1}], 2)


def test_columns_of_a_target_are_compared_as_the_database_does():
    assert "EMAIL" in TargetColumns(("Email",), ignores_case=True)
    assert "EMAIL" not in TargetColumns(("Email",))
    assert TargetColumns(("a", "B"), ignores_case=True) == TargetColumns(("a", "B"), ignores_case=True)
