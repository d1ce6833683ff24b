from __future__ import annotations

import time
import tracemalloc
from datetime import date

import pytest

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LEAD_FIELDS, is_stage_name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "upsert"}, r"mode='upsert' is not one of merge, replace, append, snapshot\."),
        ({"replace_scope": "schema"}, "replace_scope='schema' is not one of list, table"),
        ({"on_missing": "drop"}, "on_missing='drop'"),
        ({"schema_evolution": "evolve"}, "schema_evolution='evolve'"),
        ({"row_count_check": "strict"}, "row_count_check='strict'"),
        ({"column_types": {"score": "int"}}, "column_types\\['score'\\]='int'"),
        ({"on_missing": "delete", "mode": "append"}, "works with mode='merge' only, not with 'append'"),
        ({"mode": "snapshot"}, "needs a snapshot_date"),
        ({"hash_columns": ["email"]}, "hash_secret"),
        ({"columns": {"email": "mail", "phone": "MAIL"}}, "same column name to two fields"),
        ({"columns": {"email": "_cleanlist_x"}}, "belongs to the loader"),
        ({"columns": {"email": None}, "exclude_columns": ["Email"]}, "both name \\['email'\\]"),
        ({"key": ()}, "at least one column"),
        ({"key": ("lead_id", "lead_id")}, "no column twice"),
        ({"key": ("_cleanlist_list_id",)}, "has no field of the records: add 'lead_id'"),
        ({"key": ("lead_id", "_cleanlist_synced_at")}, "cannot hold \\['_cleanlist_synced_at'\\]"),
        ({"key": ("lead_id", "_cleanlist_snapshot_date")}, "cannot hold"),
        ({"key": ("email",), "exclude_columns": ["email"]}, "leaves out \\['email'\\]"),
        ({"exclude_columns": ["lead_id"], "key": ("email",)}, "leaves out \\['lead_id'\\]"),
        ({"exclude_columns": ["lead_id"]}, "leaves out \\['lead_id'\\], which"),
    ],
)
def test_contradictions_are_refused_by_name(make_spec, arguments, message):
    with pytest.raises(LoadConfigurationError, match=message):
        make_spec(**arguments)


def test_a_snapshot_may_be_keyed_by_its_day(make_spec):
    spec = make_spec(
        mode="snapshot", snapshot_date=date(2026, 1, 1), key=("_cleanlist_snapshot_date", "lead_id")
    )
    assert spec.key_fields == ("lead_id",)


def test_key_fields_may_be_named_by_field_or_by_column(make_spec):
    columns = {"lead_id": "id", "email": None}
    assert make_spec(columns=columns).key_fields == ("lead_id",)
    assert make_spec(columns=columns, key=("_cleanlist_list_id", "id")).key_fields == ("lead_id",)


def test_documented_fields_come_first_and_excluded_ones_not_at_all(make_spec):
    assert make_spec().initial_fields == LEAD_FIELDS
    assert "phone" not in make_spec(exclude_columns=["Phone"]).initial_fields


def test_id_and_key_are_loaded_with_every_choice_of_columns(make_spec):
    assert make_spec(columns={"email": None}).initial_fields == ("lead_id", "email")
    assert make_spec(columns={"email": None}, key=("phone",)).initial_fields == ("lead_id", "phone", "email")


def test_only_chosen_fields_are_wanted(make_spec):
    spec = make_spec(columns={"email": "mail"})
    assert [raw for raw in ("lead_id", "email", "phone", "score") if spec.is_wanted(raw)] == [
        "lead_id",
        "email",
    ]


@pytest.mark.parametrize(
    "raw",
    [
        "Work Email",
        "work_email",
        "workEmail",
        "work-email",
        "WorkE-Mail",
        "W o r k\u200bémail",
        "\uff57orkemail",
    ],
)
def test_personal_data_is_excluded_and_hashed_in_every_spelling(make_spec, raw):
    assert not make_spec(exclude_columns=["work email"]).is_wanted(raw)
    assert make_spec(hash_columns=["WORK_EMAIL"], hash_secret="s").is_hashed(raw)


def test_names_in_other_alphabets_are_compared_like_others(make_spec):
    spec = make_spec(exclude_columns=["公司", "Телефон", "!"])
    assert not any(map(spec.is_wanted, ["公司", "公 司", "телефон", "ТЕЛЕФОН", "!"]))
    assert all(map(spec.is_wanted, ["电话", "телефоны", "work email", "?"]))


@pytest.mark.parametrize("raw", ["\ufdfa" * 700_000, "work" + "m" * 700_000, "work\u2014" * 200_000])
def test_of_a_long_name_no_more_is_compared_than_the_listed_ones_have(make_spec, raw):
    """In compatible form the first one has 12,600,000 letters: a second, and 140 MB for each comparison."""
    spec = make_spec(exclude_columns=["work email"], hash_columns=["phone"], hash_secret="s")
    tracemalloc.start()
    started = time.process_time()
    assert spec.is_wanted(raw)
    assert not spec.is_hashed(raw)
    assert time.process_time() - started < 0.2
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("between", ["-", "\u2014", "\u200b", "\u0301"])
def test_a_spelling_of_any_length_is_recognised(make_spec, between):
    raw = (between * 3000).join("WORKemail")
    assert not make_spec(exclude_columns=["work email"]).is_wanted(raw)
    assert make_spec(hash_columns=["work email"], hash_secret="s").is_hashed(raw)
    assert make_spec(exclude_columns=["work email"]).is_wanted(raw + "s")


@pytest.mark.parametrize("name", ["ICP Score", "icp_score", "score"])
def test_a_type_is_found_by_field_or_column(make_spec, name):
    columns = {"ICP Score": "score"} if name == "score" else None
    assert make_spec(column_types={name: "float"}, columns=columns).column_type("ICP Score") == "float"
    assert make_spec(column_types={name: "float"}, columns=columns).column_type("email") == "text"


def test_each_load_has_its_stage_and_tries_share_it(make_spec):
    stage = make_spec().stage
    assert stage == make_spec(run_id="other", mode="append").stage
    others = [make_spec(load_id="dag/run/task/0"), make_spec(list_id="M"), make_spec(table="s.leads")]
    assert len({stage.name, *(spec.stage.name for spec in others)}) == 4
    assert is_stage_name(stage.name)
    assert not is_stage_name("customers")


def test_stage_and_registry_live_in_the_staging_schema(make_spec):
    assert make_spec(table="sales.leads").stage.schema == "sales"
    spec = make_spec(table="sales.leads", staging_schema="scratch")
    assert spec.stage.schema == "scratch"
    assert spec.registry == TableName("_cleanlist_loads", "scratch")


def test_fingerprint_changes_with_what_is_loaded_and_with_nothing_else(make_spec):
    plain = make_spec().fingerprint
    assert plain == make_spec(row_count_check="off", columns=None, staging_schema="scratch").fingerprint
    loaded_otherwise = [
        make_spec(mode="append"),
        make_spec(mode="replace"),
        make_spec(mode="replace", replace_scope="table"),
        make_spec(mode="snapshot", snapshot_date=date(2026, 1, 1)),
        make_spec(mode="snapshot", snapshot_date=date(2026, 1, 2)),
        make_spec(on_missing="delete"),
        make_spec(columns={"email": None}),
        make_spec(columns={"email": "work_email"}),
        make_spec(exclude_columns=["email"]),
        make_spec(hash_columns=["email"], hash_secret="a"),
        make_spec(hash_columns=["email"], hash_secret="b"),
        make_spec(column_types={"email": "json"}),
        make_spec(schema_evolution="ignore"),
        make_spec(key=("email",)),
    ]
    assert len({plain, *(spec.fingerprint for spec in loaded_otherwise)}) == 15


def test_the_secret_is_not_in_the_representation(make_spec):
    assert "hunter2" not in repr(make_spec(hash_columns=["email"], hash_secret="hunter2"))
