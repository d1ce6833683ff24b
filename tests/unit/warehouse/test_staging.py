from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.staging import (
    BATCH_ROWS,
    BATCH_SECONDS,
    RESUME_WITHIN,
    Checkpoint,
    StageRecord,
    decide_resume,
    should_commit,
)


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
        stage="s",
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


@pytest.mark.parametrize(
    ("rows", "seconds", "commit"),
    [
        (BATCH_ROWS, 0, True),
        (BATCH_ROWS - 1, 0, False),
        (1, BATCH_SECONDS, True),
        (1, BATCH_SECONDS - 1, False),
        (0, 10 * BATCH_SECONDS, False),
    ],
)
def test_when_pages_are_committed(rows, seconds, commit):
    assert should_commit(rows, seconds) is commit
