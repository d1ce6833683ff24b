from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.naming import hashed_name
from airflow_provider_cleanlist.warehouse.plan import (
    RESUME_WITHIN,
    Checkpoint,
    Column,
    StageCounts,
    StagedColumn,
    StageRecord,
    TargetColumns,
    accepts_field,
    check_counts,
    check_keys,
    decide_resume,
    plan_target,
    staged_columns,
)

META = ("_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id")


def test_a_new_table_gets_every_column(make_spec):
    plan = plan_target(make_spec(), ["lead_id", "ICP Score"], None)
    assert {column.raw: column.target for column in plan.columns} == {
        "lead_id": "lead_id",
        "ICP Score": "icp_score",
    }
    assert plan.written == plan.added == ("lead_id", "icp_score", *META)
    assert plan.key == ("_cleanlist_list_id", "lead_id")


def test_a_column_is_decided_once(make_spec):
    spec = make_spec(column_types={"icp_score": "float"})
    fields = ["lead_id", "ICP Score", "email"]
    columns = (
        Column("lead_id", "text_0", "text", True, "lead_id"),
        Column("ICP Score", "float_1", "float", False, "icp_score"),
        Column("email", "text_2", "text", False, "email"),
    )
    assert plan_target(spec, fields, None).columns == columns
    staged = [StagedColumn(column.raw, column.staging, column.type, column.is_key) for column in columns]
    assert [*staged_columns(spec, fields)] == staged


def test_an_existing_table_gets_only_what_it_lacks(make_spec):
    plan = plan_target(make_spec(), ["lead_id", "score"], TargetColumns(("lead_id", "owner", *META)))
    assert plan.added == ("score",)


def test_names_are_compared_as_the_database_does(make_spec):
    names = ("Lead_ID", "Email", *META)
    assert plan_target(make_spec(), ["lead_id", "email"], TargetColumns(names, ignores_case=True)).added == ()
    exact = plan_target(make_spec(), ["lead_id", "email"], TargetColumns(names))
    assert exact.added == ("lead_id", "email")


def test_soft_delete_and_snapshot_have_a_column_of_their_own(make_spec):
    assert (
        plan_target(make_spec(on_missing="soft_delete"), ["lead_id"], None).meta[-1]
        == "_cleanlist_deleted_at"
    )
    snapshot = make_spec(mode="snapshot", snapshot_date="2026-01-01")
    assert plan_target(snapshot, ["lead_id"], None).meta[-1] == "_cleanlist_snapshot_date"


def test_a_deleted_mark_of_earlier_loads_is_the_loaders_own(make_spec):
    plan = plan_target(make_spec(), ["lead_id"], TargetColumns(("lead_id", "_cleanlist_deleted_at", *META)))
    assert plan.meta[-1] == "_cleanlist_deleted_at"


def test_renamed_columns_and_their_key(make_spec):
    spec = make_spec(columns={"lead_id": "Lead", "email": "E-Mail"})
    plan = plan_target(spec, ["lead_id", "email"], None)
    assert [column.target for column in plan.columns] == ["Lead", "E-Mail"]
    assert plan.key == ("_cleanlist_list_id", "Lead")


def test_a_rename_onto_another_fields_name_is_refused(make_spec):
    spec = make_spec(columns={"phone": "email", "email": None})
    with pytest.raises(LoadConfigurationError, match=r"name\(s\) \['email'\]"):
        plan_target(spec, ["lead_id", "phone", "email"], None)


@pytest.mark.parametrize("evolution", ["fail", "ignore"])
def test_no_column_is_added_against_schema_evolution(make_spec, evolution):
    spec = make_spec(schema_evolution=evolution)
    with pytest.raises(LoadConfigurationError, match=r"leads has no column for \['score'\]"):
        plan_target(spec, ["lead_id", "score"], TargetColumns(("lead_id", *META)))


def test_the_loaders_own_columns_are_added_under_any_schema_evolution(make_spec):
    plan = plan_target(
        make_spec(schema_evolution="ignore"), ["lead_id", "_extra"], TargetColumns(("lead_id",))
    )
    assert plan.added == ("_extra", *META)


@pytest.mark.parametrize(
    ("evolution", "target", "raw", "accepted"),
    [
        ("add", None, "score", True),
        ("add", ("lead_id",), "score", True),
        ("fail", None, "score", True),
        ("fail", ("lead_id", "score"), "Score", True),
        ("ignore", None, "score", False),
        ("ignore", None, "email", True),
        ("ignore", ("lead_id",), "email", False),
        ("ignore", ("lead_id", "score"), "Score", True),
        ("ignore", ("lead_id", hashed_name("Score")), "Score", True),
        ("ignore", ("lead_id", "email"), "Email", False),
        ("ignore", ("lead_id", "_extra"), "_extra", False),
        ("ignore", ("lead_id", "extra"), "_extra", False),
    ],
)
def test_which_fields_get_a_column(make_spec, evolution, target, raw, accepted):
    columns = None if target is None else TargetColumns(target)
    assert accepts_field(make_spec(schema_evolution=evolution), raw, columns) is accepted


def test_a_new_field_stops_the_load_with_fail(make_spec):
    with pytest.raises(LoadConfigurationError, match="field 'score', leads has no column for it"):
        accepts_field(make_spec(schema_evolution="fail"), "score", TargetColumns(("lead_id",)))


def test_the_name_of_a_field_is_quoted_like_any_foreign_text(make_spec):
    raw = "Prompt for mara@quill.example " + "A" * 1_000_000
    with pytest.raises(LoadConfigurationError) as caught:
        accepts_field(make_spec(schema_evolution="fail"), raw, TargetColumns(("lead_id",)))
    assert "Prompt for <redacted> AAA" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("records", "total", "check", "confirmed", "tells", "fails"),
    [
        (5, 5, "warn", True, False, False),
        (5, 5, "fail", True, False, False),
        (5, 6, "warn", False, True, False),
        (5, 4, "fail", False, True, True),
        (5, 4, "off", False, False, False),
        (5, None, "fail", False, True, False),
        (5, None, "off", False, False, False),
        (0, 0, "fail", True, False, False),
    ],
)
def test_counts(make_spec, records, total, check, confirmed, tells, fails):
    counts = StageCounts(rows=7, records=records, keys=records)
    verdict = check_counts(counts, total, make_spec(row_count_check=check))
    assert (verdict.confirmed, verdict.message is not None, verdict.fail) == (confirmed, tells, fails)


@pytest.mark.parametrize(
    ("records", "total", "check", "fails"),
    [
        (5, 6, "off", True),
        (0, 6, "warn", True),
        (5, 4, "warn", False),
        (5, 5, "off", False),
        (5, None, "off", False),
    ],
)
def test_fewer_records_than_the_list_has_can_be_refused_whatever_the_check(
    make_spec, records, total, check, fails
):
    counts = StageCounts(rows=7, records=records, keys=records)
    spec = make_spec(row_count_check=check, source="export")
    verdict = check_counts(counts, total, replace(spec, refuses_fewer=True))
    assert verdict.fail is verdict.is_short is fails
    assert not fails or verdict.message
    assert not check_counts(counts, total, spec).fail


@pytest.mark.parametrize("check", ["warn", "fail", "off"])
@pytest.mark.parametrize("mode", ["replace", "append", "snapshot"])
def test_nothing_read_of_a_list_of_unknown_size_replaces_nothing(make_spec, mode, check):
    nothing = StageCounts(rows=0, records=0, keys=0)
    spec = make_spec(mode=mode, row_count_check=check, snapshot_date=date(2026, 1, 31))
    verdict = check_counts(nothing, None, spec)
    assert (verdict.fail, verdict.message) == (
        True,
        "Nothing was read of the list, and it did not report its size: it may not be empty.",
    )
    assert check_counts(nothing, 0, spec).confirmed
    assert not check_counts(replace(nothing, records=1), None, spec).fail
    assert not check_counts(nothing, None, make_spec(row_count_check=check)).fail
    # results are complete without a total, and the rows of an export have been counted
    assert not check_counts(nothing, None, replace(spec, source_changes=False)).fail
    assert not check_counts(nothing, None, replace(spec, source="export")).fail


def test_records_without_a_key_are_refused(make_spec):
    spec = make_spec(key=("email",))
    with pytest.raises(LoadDataError, match="2 of 7 rows have no value in email"):
        check_keys(StageCounts(rows=7, records=7, keys=5, without_key=2), spec)
    check_keys(StageCounts(rows=7, records=7, keys=5), spec)


@given(
    st.builds(
        Checkpoint,
        pages=st.integers(0, 10**6),
        rows=st.integers(0, 10**9),
        cursor=st.none() | st.text(),
        complete=st.booleans(),
        total=st.none() | st.integers(0, 10**9),
        fields=st.lists(st.text()).map(tuple),
        cleaned=st.integers(0, 10),
        report=st.none() | st.fixed_dictionaries({"rows_read": st.integers()}),
    )
)
def test_a_checkpoint_survives_its_document(checkpoint):
    assert Checkpoint.from_json(checkpoint.to_json()) == checkpoint


@pytest.fixture
def record(make_spec, now) -> StageRecord:
    return StageRecord(
        attempt=1,
        fingerprint=make_spec().fingerprint,
        updated_at=now - timedelta(minutes=5),
        checkpoint=Checkpoint(pages=3, rows=1500, cursor="3"),
    )


def test_a_try_goes_on_after_the_checkpoint(make_spec, now, record):
    assert decide_resume(record, make_spec(), now) == "resume"


def test_a_published_load_is_not_loaded_again(make_spec, now, record):
    published = replace(record, checkpoint=replace(record.checkpoint, report={"rows_read": 1}))
    assert decide_resume(published, make_spec(), now) == "published"


@pytest.mark.parametrize(
    "change",
    [
        {"updated_at": None},
        {"fingerprint": "staged otherwise"},
        {"checkpoint": Checkpoint()},
    ],
)
def test_a_stage_that_is_stale_other_or_empty_is_begun_anew(make_spec, now, record, change):
    if "updated_at" in change:
        change = {"updated_at": now - RESUME_WITHIN - timedelta(seconds=1)}
    assert decide_resume(replace(record, **change), make_spec(), now) == "start"


def test_without_a_record_the_load_starts(make_spec, now):
    assert decide_resume(None, make_spec(), now) == "start"
