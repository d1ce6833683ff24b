"""Where the journal lives: which store a task gets, and what each store does when it is shared, away or damaged."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.submission.errors import (
    JournalCorruptError,
    JournalMissingError,
    JournalOrganisationError,
    JournalTakenOverError,
    JournalUnavailableError,
)
from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.stored.journal import StoredJournal
from airflow_provider_cleanlist.submission.stored.stores import (
    FirstTryJournalStore,
    ObjectStorageJournalStore,
    TaskStateJournalStore,
    open_store,
)
from airflow_provider_cleanlist.submission.task import leave_trace

try:
    from airflow.sdk import NEVER_EXPIRE
except ImportError:
    NEVER_EXPIRE = None
try:
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach

needs_task_state = pytest.mark.skipif(NEVER_EXPIRE is None, reason="Airflow has a task state store since 3.3")
A, B = (bytes([n]) * IDENTITY_BYTES for n in (1, 2))


def begun(journal: StoredJournal, identities: list[bytes], kind: str, now: float) -> Batch:
    batch = journal.begin(identities, kind, now, lambda _: True)
    assert batch is not None
    return batch


class Accessor:
    """What Airflow gives as ``context["task_state_store"]``; all tries share the values."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.retentions: set[Any] = set()
        self.error: Exception | None = None

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def get(self, key: str) -> Any:
        self._check()
        return self.values.get(key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._check()
        self.values[key] = json.loads(json.dumps(value))
        self.retentions.add(retention)


def api_error(status: int | None) -> Exception:
    """Return what Airflow's SDK raises when the API server refuses a request of the worker."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    return AirflowRuntimeError(
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status, "message": "refused"})
    )


def journal_on(store: Any) -> StoredJournal:
    journal = StoredJournal(store, sleep=lambda _: None)
    journal.load()
    return journal


def workflows(journal: StoredJournal) -> list[str | None]:
    return [batch.workflow_id for batch in journal.batches]


@needs_task_state
class TestTaskStateStore:
    def test_a_later_try_reads_what_earlier_ones_wrote(self) -> None:
        accessor = Accessor()
        for try_number in (1, 2, 4):
            journal = journal_on(TaskStateJournalStore(accessor, try_number))
            journal.accept(begun(journal, [A], "partial", 1.0), f"wf-{try_number}", [], 2.0)
        assert workflows(journal_on(TaskStateJournalStore(accessor, 5))) == ["wf-1", "wf-2", "wf-4"]

    def test_records_never_expire(self) -> None:
        accessor = Accessor()
        begun(journal_on(TaskStateJournalStore(accessor, 1)), [A], "partial", 1.0)
        assert accessor.retentions == {NEVER_EXPIRE}

    @pytest.mark.parametrize("error", [ConnectionError("no route"), RuntimeError("?")])
    def test_unreadable_is_not_absent(self, error: Exception) -> None:
        accessor = Accessor()
        accessor.error = error
        with pytest.raises(JournalUnavailableError, match=type(error).__name__):
            journal_on(TaskStateJournalStore(accessor, 1))

    @pytest.mark.parametrize("status", [500, 401, None])
    def test_a_write_that_fails_is_unavailability(self, status: int | None) -> None:
        accessor = Accessor()
        store = TaskStateJournalStore(accessor, 1)
        accessor.error = api_error(status)
        with pytest.raises(JournalUnavailableError):
            store.write("key", {})

    def test_a_write_under_an_id_that_is_no_longer_there_is_a_take_over(self) -> None:
        accessor = Accessor()
        store = TaskStateJournalStore(accessor, 1)
        accessor.error = api_error(404)
        with pytest.raises(JournalTakenOverError, match="another attempt"):
            store.write("key", {})


class TestObjectStorage:
    TASK = (("dag", "run", "task"), -1)

    @pytest.fixture(params=["", "file://", "memory"])
    def root(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        """A directory on the local disk, or in fsspec's file system in memory, which stands for object storage."""
        if request.param != "memory":
            return ObjectStoragePath(f"{request.param}{tmp_path}/journals")
        attach("memory", fs=fsspec.filesystem("memory"))
        return ObjectStoragePath(f"memory://journals-{uuid.uuid4().hex}")

    def test_a_later_try_reads_what_earlier_ones_wrote(self, root: Any) -> None:
        for number in range(3):
            journal = journal_on(ObjectStorageJournalStore(root, *self.TASK))
            journal.accept(begun(journal, [A], "partial", 1.0), f"wf-{number}", [], 2.0)
        assert workflows(journal_on(ObjectStorageJournalStore(root, *self.TASK))) == ["wf-0", "wf-1", "wf-2"]

    @pytest.mark.parametrize(
        "other", [(("dag2", "run", "task"), -1), (("dag", "run2", "task"), -1), (("dag", "run", "task"), 0)]
    )
    def test_other_task_instances_have_journals_of_their_own(
        self, root: Any, other: tuple[tuple[str, str, str], int]
    ) -> None:
        begun(journal_on(ObjectStorageJournalStore(root, *self.TASK)), [A], "partial", 1.0)
        assert journal_on(ObjectStorageJournalStore(root, *other)).batches == []

    @pytest.mark.parametrize("planted", ["9" * 19, "9" * 18 + "8"])
    def test_a_planted_name_of_the_far_future_stops_and_hides_nobody(self, root: Any, planted: str) -> None:
        begun(journal_on(ObjectStorageJournalStore(root, *self.TASK)), [A], "partial", 1.0)
        (folder,) = root.iterdir()
        (folder / f"opened.-1.{planted}-aa.json").write_text("{}")
        if planted.endswith("8"):  # one attempt still gets a later name
            assert len(journal_on(ObjectStorageJournalStore(root, *self.TASK)).batches) == 1
        with pytest.raises(JournalCorruptError, match="far future"):
            ObjectStorageJournalStore(root, *self.TASK)

    def test_an_older_try_cannot_begin_a_batch_and_leaves_nothing_unknown(self, root: Any) -> None:
        older = journal_on(ObjectStorageJournalStore(root, *self.TASK))
        newer = journal_on(ObjectStorageJournalStore(root, *self.TASK))
        with pytest.raises(JournalTakenOverError):
            begun(older, [A], "partial", 1.0)
        newer.accept(begun(newer, [A], "partial", 1.0), "wf", [], 2.0)
        states = [batch.state for batch in journal_on(ObjectStorageJournalStore(root, *self.TASK)).batches]
        assert states == [BatchState.REJECTED, BatchState.ACCEPTED]

    def test_what_an_older_try_has_on_its_way_is_seen_and_may_still_be_settled(self, root: Any) -> None:
        older = journal_on(ObjectStorageJournalStore(root, *self.TASK))
        batch = begun(older, [A], "partial", 1.0)
        newer = journal_on(ObjectStorageJournalStore(root, *self.TASK))
        assert [item.is_unknown for item in newer.batches] == [True]

        older.accept(batch, "wf", [], 2.0)
        assert workflows(journal_on(ObjectStorageJournalStore(root, *self.TASK))) == ["wf"]

    def test_whoever_begins_at_the_same_time_one_of_them_sees_the_other(self, root: Any) -> None:
        """All orders of the older try's steps (write intent, check) and the newer one's (take over, read)."""
        for taken_over_after in ("nothing", "intent", "check"):
            task = ("dag", f"run {taken_over_after}", "task")
            older_store = ObjectStorageJournalStore(root, task, -1)
            older = journal_on(older_store)
            newer: list[StoredJournal] = []
            check = older_store.check_ownership

            def take_over(task: Any = task, newer: list[StoredJournal] = newer) -> None:
                newer.append(journal_on(ObjectStorageJournalStore(root, task, -1)))

            def check_in_between(
                check: Any = check, take_over: Any = take_over, moment: str = taken_over_after
            ) -> None:
                if moment == "intent":
                    take_over()
                check()
                if moment == "check":
                    take_over()

            older_store.check_ownership = check_in_between  # type: ignore[method-assign]
            if taken_over_after == "nothing":
                take_over()
            try:
                begun(older, [A], "partial", 1.0)
                sent = True
            except JournalTakenOverError:
                sent = False
            seen = any(batch.is_unknown for batch in newer[0].batches)
            assert seen or not sent, taken_over_after

    def test_a_damaged_record_stops(self, tmp_path: Path) -> None:
        root = ObjectStoragePath(f"file://{tmp_path}")
        begun(journal_on(ObjectStorageJournalStore(root, *self.TASK)), [A], "partial", 1.0)
        (record,) = tmp_path.rglob("cleanlist_journal.*.000000.json")
        record.write_text(record.read_text()[:-20])
        with pytest.raises(JournalCorruptError, match="not JSON"):
            journal_on(ObjectStorageJournalStore(root, *self.TASK))

    def test_a_lost_record_stops(self, tmp_path: Path) -> None:
        root = ObjectStoragePath(f"file://{tmp_path}")
        begun(journal_on(ObjectStorageJournalStore(root, *self.TASK)), [A], "partial", 1.0)
        (record,) = tmp_path.rglob("cleanlist_journal.*.000000.json")
        record.unlink()
        with pytest.raises(JournalCorruptError, match="missing"):
            journal_on(ObjectStorageJournalStore(root, *self.TASK))

    def test_a_folder_that_cannot_be_made_stops(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        with pytest.raises(JournalUnavailableError):
            ObjectStorageJournalStore(ObjectStoragePath(f"file://{tmp_path}/file"), *self.TASK)

    def test_no_temporary_file_is_left(self, tmp_path: Path) -> None:
        begun(
            journal_on(ObjectStorageJournalStore(ObjectStoragePath(f"file://{tmp_path}"), *self.TASK)),
            [A],
            "partial",
            1.0,
        )
        assert all(path.suffix == ".json" for path in tmp_path.rglob("*") if path.is_file())


def context(
    try_number: int = 1, accessor: Any = None, *, cleared: bool = False, map_index: int | None = None
) -> Any:
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=map_index,
        try_number=try_number,
        max_tries=try_number + 2 if cleared else 2,
    )
    return {"ti": ti, "task": SimpleNamespace(retries=2)} | (
        {} if accessor is None else {"task_state_store": accessor}
    )


class TestWhichStore:
    @needs_task_state
    def test_the_task_state_store_where_there_is_one(self) -> None:
        store = open_store(context(3, Accessor()))
        assert isinstance(store, TaskStateJournalStore)
        assert list(store.parts) == ["try0001", "try0002", "try0003"]

    def test_the_directory_when_configured(self, tmp_path: Path) -> None:
        store = open_store(context(2, Accessor()), journal_path=f"file://{tmp_path}")
        assert isinstance(store, ObjectStorageJournalStore)

    def test_none_for_a_first_try_below_3_3(self) -> None:
        store = open_store(context())
        assert isinstance(store, FirstTryJournalStore)
        journal = journal_on(store)
        journal.accept(begun(journal, [A], "partial", 1.0), "wf", [], 2.0)
        assert workflows(journal) == ["wf"]

    def test_no_later_try_without_a_store(self) -> None:
        with pytest.raises(JournalMissingError, match=r"try 2 .*journal_path"):
            open_store(context(2))


@needs_task_state
class TestStateThatIsGone:
    """Somebody deletes the task's state in Airflow's interface, or ``[state_store] clear_on_success`` does."""

    def test_a_retry_after_a_failure_goes_on(self) -> None:
        accessor = Accessor()
        for try_number in (1, 2, 4):
            open_store(context(try_number, accessor))

    def test_an_automatic_retry_after_an_attempt_that_never_ran_goes_on(self) -> None:
        open_store(context(2, Accessor()))

    def test_a_clear_stops(self) -> None:
        accessor = Accessor()
        open_store(context(1, accessor))
        accessor.values.clear()
        with pytest.raises(JournalMissingError, match=r"cleared.*clear_on_success.*ledger_conn_id"):
            open_store(context(2, accessor, cleared=True))

    def test_a_clear_with_its_state_goes_on(self) -> None:
        accessor = Accessor()
        open_store(context(1, accessor))
        open_store(context(2, accessor, cleared=True))

    def test_only_a_value_that_no_refused_attempt_had_starts_over(self) -> None:
        """The value that a task always gives may have been used by the attempts whose state is gone."""
        accessor = Accessor()
        for number, token in enumerate(("always", "", "always"), start=2):
            with pytest.raises(JournalMissingError, match="a force_resubmit value that no attempt has had"):
                open_store(context(number, accessor, cleared=True), token=token)
        open_store(context(5, accessor, cleared=True), token="new")
        for number, token in enumerate(("", "new", "always"), start=6):
            open_store(context(number, accessor, cleared=True), token=token)

    def test_an_attempt_elsewhere_does_not_hide_that_the_state_was_deleted(self) -> None:
        accessor = Accessor()
        leave_trace(context(2, accessor, cleared=True), "")
        with pytest.raises(JournalMissingError, match="no earlier attempt has left a trace"):
            open_store(context(3, accessor, cleared=True))
        open_store(context(4, accessor, cleared=True), token="new")

    def test_an_attempt_that_came_no_further_than_its_trace_submitted_nothing(self) -> None:
        accessor = Accessor()
        leave_trace(context(1, accessor), "")
        open_store(context(2, accessor, cleared=True))

    def test_a_directory_does_not_forget(self, tmp_path: Path) -> None:
        open_store(context(2, Accessor(), cleared=True), journal_path=f"file://{tmp_path}")


def test_the_attempt_that_airflow_tests_without_a_run_is_the_first() -> None:
    assert list(open_store(context(0)).parts) == ["try0001"]


class TestOtherMapIndexes:
    def test_a_directory_knows_what_they_submitted(self, tmp_path: Path) -> None:
        for index, contact in enumerate((A, B)):
            journal = journal_on(open_store(context(map_index=index), journal_path=f"file://{tmp_path}"))
            journal.accept(begun(journal, [contact], "partial", 1.0), f"wf-{index}", [], 2.0)
        again = journal_on(open_store(context(2, map_index=1), journal_path=f"file://{tmp_path}"))
        assert workflows(again) == ["wf-1"]
        assert [bool(history.submitted_here) for history in again.histories([A, B])] == [True, True]
        assert (again.unknown_contacts, again.contacts_of_index) == (0, None)

    @pytest.mark.parametrize(("age", "is_in_flight"), [(10.0, True), (3600.0, False)])
    def test_an_intent_of_theirs_is_on_its_way_for_a_while(
        self, tmp_path: Path, age: float, is_in_flight: bool
    ) -> None:
        path = f"file://{tmp_path}"
        begun(journal_on(open_store(context(map_index=0), journal_path=path)), [A], "partial", 1000.0)
        journal = StoredJournal(
            open_store(context(map_index=1), journal_path=path),
            sleep=lambda _: None,
            clock=lambda: 1000.0 + age,
        )
        journal.load()
        (history,) = journal.histories([A])
        assert (history.in_flight == {0}, history.unknown_here) == (is_in_flight, not is_in_flight)
        assert history.submitted_here == frozenset()
        assert journal.unknown_contacts == 0

    @needs_task_state
    def test_the_task_state_store_knows_only_its_own(self) -> None:
        accessor = Accessor()
        journal = journal_on(open_store(context(accessor=accessor, map_index=3)))
        journal.accept(begun(journal, [A], "partial", 1.0), "wf", [], 2.0)
        assert journal_on(open_store(context(2, accessor, map_index=3))).contacts_of_index == 1
        assert journal_on(open_store(context(2, accessor))).contacts_of_index is None


class TestOrganisation:
    @pytest.mark.parametrize(
        ("first", "then", "stops"), [("a", "b", True), ("a", "a", False), ("", "b", False)]
    )
    def test_another_one_stops_by_name(self, tmp_path: Path, first: str, then: str, stops: bool) -> None:
        path = f"file://{tmp_path}"
        journal = StoredJournal(open_store(context(), journal_path=path), organisation=first)
        journal.load()
        begun(journal, [A], "partial", 1.0)
        later = StoredJournal(open_store(context(2), journal_path=path), organisation=then)
        if stops:
            with pytest.raises(JournalOrganisationError, match=r"organisation a, .* belongs to b"):
                later.load()
        else:
            later.load()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 200_000, "is not JSON"),
        ('{"a": "' + "x" * (16 << 20) + '"}', "is larger than 16 MB"),
        ("", "is not JSON"),
    ],
)
@pytest.mark.parametrize("spelling", ["", "file://"])
def test_a_record_that_somebody_else_wrote_stops_the_task_by_name(tmp_path, content, problem, spelling):
    store = ObjectStorageJournalStore(ObjectStoragePath(f"{spelling}{tmp_path}"), ("d", "r", "t"), -1)
    largest = {
        "task_ids": ["\u00e9" * 512] * 4096
    }  # as many as a response may hold, before it is written as JSON
    store.write("x", largest)
    assert store.read("x") == largest
    (file,) = tmp_path.rglob("x.json")
    file.write_text(content)
    with pytest.raises(JournalCorruptError, match=problem):
        store.read("x")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(JournalUnavailableError):
        store.read("x")
