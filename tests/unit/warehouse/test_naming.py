from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.naming import (
    META_COLUMNS,
    TableName,
    assign_columns,
    check_column_name,
    hashed_name,
    parse_table,
    plain_name,
    snake_case,
)

KNOWN = ("lead_id", "email", "full_name")
RAW_NAMES = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["Company Size", "company_size", "companySize", "COMPANY SIZE", "email", "E-mail", "Email", "order"]
    ),
    st.sampled_from([hashed_name("Company Size"), hashed_name("companySize"), "_extra", *META_COLUMNS]),
)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("email", "email"),
        ("Company Size", "company_size"),
        ("companySize", "company_size"),
        ("ICPScore", "icp_score"),
        ("AI: Fit?", "ai_fit"),
        ("ABcDEfGHI", "a_bc_d_ef_ghi"),
        ("  padded  ", "padded"),
        ("Größe", "grosse"),
        ("naïve café", "naive_cafe"),
        ("公司", ""),
        ("2nd email", "2nd_email"),
        ('x"; DROP TABLE leads; --', "x_drop_table_leads"),
    ],
)
def test_snake_case(raw, name):
    assert snake_case(raw) == name


def test_a_name_of_absurd_length_is_cut_at_once():
    started = time.process_time()
    assert plain_name("A" * 1_000_000) is None
    assert len(hashed_name("A" * 1_000_000)) <= 63
    names = [
        "\ufdfa" * 500_000,
        "\ufdfa" * 500_000 + "b",
    ]  # nothing in ASCII, and 18 letters each in compatible form
    assert all(hashed_name(name).startswith("column_") for name in names)
    assert hashed_name(names[0]) != hashed_name(names[1])
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("2nd email", "_2nd_email"),
        ("order", "order_"),
        ("Group", "group_"),
        ("xmin", "xmin_"),
        ("CTID", "ctid_"),
        ("oid", "oid"),
        ("公司", None),
        ("", None),
        ("x" * 62, "x" * 62),
        ("x" * 63, None),
        ("_cleanlist_list_id", "cleanlist_list_id"),
        ("_extra", "extra"),
    ],
)
def test_plain_name(raw, name):
    assert plain_name(raw) == name


def test_a_name_that_is_too_long_is_cut_and_hashed():
    one, other = "x" * 100, "x" * 100 + "y"
    assert hashed_name(one)[:54] == "x" * 54
    assert len(hashed_name(one)) == 63
    assert hashed_name(one) != hashed_name(other)


def test_colliding_fields_all_get_a_hash_and_known_ones_none():
    fields = ["Company Size", "email", "company_size", "E-mail", "E mail"]
    assert assign_columns(fields, known=KNOWN) == {
        "Company Size": hashed_name("Company Size"),
        "company_size": hashed_name("company_size"),
        "email": "email",
        "E-mail": hashed_name("E-mail"),
        "E mail": hashed_name("E mail"),
    }


def test_a_field_like_a_known_one_never_takes_its_name_even_alone():
    assert assign_columns(["Email"], known=KNOWN) == {"Email": hashed_name("Email")}


def test_a_hashed_column_is_kept_when_the_other_field_is_gone():
    hashed = hashed_name("Company Size")
    assert assign_columns(["Company Size"], known=KNOWN, existing=(hashed,)) == {"Company Size": hashed}
    assert assign_columns(["Company Size"], known=KNOWN, existing=("company_size",)) == {
        "Company Size": "company_size"
    }


def test_a_new_field_never_inherits_the_column_that_a_colliding_one_left():
    hashed = {raw: hashed_name(raw) for raw in ("Company Size", "companySize")}
    assert assign_columns(hashed, known=KNOWN, existing=("company_size", hashed["Company Size"])) == hashed


def test_a_field_named_like_another_fields_hashed_column_moves_aside():
    thief = hashed_name("Company Size")
    names = assign_columns(["Company Size", "company_size", thief], known=KNOWN)
    assert names["Company Size"] == thief
    assert names[thief] == hashed_name(thief)


def test_fields_that_even_hashes_do_not_tell_apart_are_refused(monkeypatch):
    monkeypatch.setattr("airflow_provider_cleanlist.warehouse.naming.hashed_name", lambda raw: "same")
    with pytest.raises(
        LoadConfigurationError, match=r"column name\(s\) \['same'\]; name them apart with columns="
    ):
        assign_columns(["Company Size", "company_size"], known=KNOWN)


@given(
    st.lists(RAW_NAMES, max_size=12, unique=True),
    st.randoms(use_true_random=False),
    st.sets(RAW_NAMES, max_size=4),
)
def test_names_are_unique_valid_and_independent_of_order(fields, random, seen_before):
    existing = set(assign_columns(seen_before, known=KNOWN).values())
    names = assign_columns(fields, known=KNOWN, existing=existing)
    shuffled = list(fields)
    random.shuffle(shuffled)
    assert assign_columns(shuffled, known=KNOWN, existing=existing) == names
    assert len(set(names.values())) == len(fields)
    assert not set(names.values()) & {*META_COLUMNS, "_extra"}
    for raw, name in names.items():
        assert re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name)
        if raw in KNOWN:
            assert name == raw


@given(st.sets(RAW_NAMES, max_size=8), st.sets(RAW_NAMES, max_size=8))
def test_a_hashed_field_keeps_its_column_in_every_later_load(first, second):
    before = assign_columns(first, known=KNOWN)
    after = assign_columns(second, known=KNOWN, existing=set(before.values()))
    for raw in first & second:
        if before[raw] == hashed_name(raw):
            assert after[raw] == before[raw]


@pytest.mark.parametrize(
    ("table", "schema", "expected"),
    [
        ("leads", None, TableName("leads")),
        ("sales.leads", None, TableName("leads", "sales")),
        ("db.sales.leads", None, TableName("leads", "db.sales")),
        ('"odd.name"', None, TableName("odd.name")),
        ('"my schema"."od""d"', None, TableName('od"d', "my schema")),
        ('we"ird; DROP', None, TableName('we"ird; DROP')),
        ("a.b", "sales", TableName("a.b", "sales")),
        ('"Leads"', "sales", TableName("Leads", "sales")),
        ("leads", "my.schema", TableName("leads", "my.schema")),
        ('"None"', None, TableName("None")),
        ('"None".leads', None, TableName("leads", "None")),
        ('"a.None.b".leads', None, TableName("leads", "a.None.b")),
        ("none.None_leads", None, TableName("None_leads", "none")),
    ],
)
def test_parse_table(table, schema, expected):
    assert parse_table(table, schema) == expected


@pytest.mark.parametrize("table", ["", " ", "a.", ".b", "a..b", "a\x00b", '""', 'a.""'])
def test_parse_table_refuses(table):
    with pytest.raises(LoadConfigurationError, match="not a table name"):
        parse_table(table)


@pytest.mark.parametrize("table", ["None", "None.leads", "crm.None", "db.None.leads"])
def test_a_part_that_rendered_as_nothing_is_refused(table):
    with pytest.raises(LoadConfigurationError, match=r"a template in it may have rendered as nothing"):
        parse_table(table)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_any_quoted_name_is_taken_verbatim(schema, table):
    quoted = '"{}"."{}"'.format(schema.replace('"', '""'), table.replace('"', '""'))
    if not schema.strip() or not table.strip() or "\x00" in schema + table:
        with pytest.raises(LoadConfigurationError):
            parse_table(quoted)
    else:
        assert parse_table(quoted) == TableName(table, schema)


def test_table_name_reads_as_schema_dot_table():
    assert str(TableName("t", "s")) == "s.t"
    assert str(TableName("t")) == "t"


@pytest.mark.parametrize("name", ["", " ", "x" * 64, "é" * 32, "a\nb", "_cleanlist_list_id", "_Extra"])
def test_column_names_that_cannot_be(name):
    with pytest.raises(LoadConfigurationError, match="columns"):
        check_column_name(name)


def test_column_names_of_the_user_are_free_otherwise():
    check_column_name('Größe in "cm"; --')
