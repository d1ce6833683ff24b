"""The journal's place changes between two attempts of one task: nobody is paid for twice without a word."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist.exceptions import (
    CleanlistAuthenticationError,
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistSubmissionUnknownError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer

try:
    from airflow.sdk import NEVER_EXPIRE
except ImportError:
    NEVER_EXPIRE = None

pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=1_000, seconds_to_complete=0),
]
needs_task_state = pytest.mark.skipif(NEVER_EXPIRE is None, reason="Airflow has a task state store since 3.3")
PLACES = ["the task state store", "a directory", "another directory", "a ledger", "another ledger"]
PEOPLE = [
    {"first_name": "Zofia", "last_name": f"Quxley{number}", "company_domain": "harborlight.example"}
    for number in range(3)
]


class Places:
    """Configures where journals are."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = monkeypatch
        for name in ("a ledger", "another ledger"):
            connection = {"conn_type": "sqlite", "host": str(folder / f"{name}.db")}
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.replace(' ', '_').upper()}", json.dumps(connection))

    def use(self, name: str) -> None:
        directory, ledger = "", ""
        if name.endswith("directory"):
            directory = f"file://{self._folder}/{name.replace(' ', '-')}"
        elif name.endswith("ledger"):
            ledger = name.replace(" ", "_")
        self._patch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", directory)
        self._patch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", ledger)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(tmp_path, monkeypatch)


@needs_task_state
class TestFromAirflow33:
    @pytest.mark.parametrize(("before", "now"), list(itertools.permutations(PLACES, 2)))
    def test_a_journal_in_another_place_stops_before_anything_is_sent(
        self, enrich: Any, places: Places, cleanlist_sandbox: SandboxServer, before: str, now: str
    ) -> None:
        places.use(before)
        first = enrich(contacts=PEOPLE)
        places.use(now)
        for attempt in (2, 3):
            with pytest.raises(CleanlistConfigurationError, match="they would be submitted again") as caught:
                enrich(try_number=attempt, contacts=PEOPLE)
        assert "force_resubmit" in str(caught.value)
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1

        places.use(before)
        assert enrich(try_number=4, contacts=PEOPLE)["workflow_ids"] == first["workflow_ids"]
        assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}

    def test_a_new_force_resubmit_value_is_the_word_to_go_on(
        self, enrich: Any, places: Places, cleanlist_sandbox: SandboxServer
    ) -> None:
        enrich(contacts=PEOPLE)
        places.use("a ledger")
        for attempt in (2, 3):
            enrich(try_number=attempt, contacts=PEOPLE, force_resubmit="again")
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 2
        for place in ("a ledger", "the task state store"):
            places.use(place)
            with pytest.raises(CleanlistConfigurationError, match="recorded what it submitted"):
                enrich(try_number=4, contacts=PEOPLE)
        places.use("the task state store")
        with pytest.raises(CleanlistConfigurationError, match="in a ledger; this one"):
            enrich(try_number=5, contacts=PEOPLE, force_resubmit="again")
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 2

    def test_an_attempt_that_submitted_nothing_binds_nobody(
        self, enrich: Any, places: Places, cleanlist_sandbox: SandboxServer
    ) -> None:
        with pytest.raises(CleanlistDataError):
            enrich(contacts=[{"first_name": ""}])
        enrich(try_number=2, contacts=PEOPLE, estimate_only=True)
        places.use("a ledger")
        assert enrich(try_number=3, contacts=PEOPLE)["contacts_submitted"] == 3
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1

    @pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"cleanlist_conn_id": "gone"}, {"webhook": True}])
    def test_an_attempt_that_its_arguments_failed_is_corrected_and_cleared(
        self, task_instance: Any, connect: Any, cleanlist_sandbox: SandboxServer, wrong: dict[str, Any]
    ) -> None:
        connect(cleanlist_sandbox)

        def attempt(number: int, **arguments: Any) -> Any:
            context = task_instance.context(try_number=number) | {"task": SimpleNamespace(retries=0)}
            context["ti"].max_tries = number - 1
            return BulkEnrichOperator(task_id="t", contacts=PEOPLE, **arguments).execute(context)

        with pytest.raises(CleanlistConfigurationError):
            attempt(1, **wrong)
        assert attempt(2)["contacts_submitted"] == 3
        task_instance.state.values.clear()
        with pytest.raises(CleanlistConfigurationError, match="no earlier attempt has left a trace"):
            attempt(3)
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1
        assert attempt(4, force_resubmit="again")["contacts_submitted"] == 3

    def test_a_ledger_that_is_gone_is_left_with_a_new_force_resubmit_value(
        self, task_instance: Any, places: Places, connect: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        connect(cleanlist_sandbox)

        def attempt(number: int, token: str | None = None) -> Any:
            context = task_instance.context(try_number=number) | {"task": SimpleNamespace(retries=0)}
            context["ti"].max_tries = number - 1
            return BulkEnrichOperator(task_id="t", contacts=PEOPLE, force_resubmit=token).execute(context)

        places.use("a ledger")
        attempt(1)
        places.use("the task state store")
        with pytest.raises(CleanlistConfigurationError, match="clear it with a new force_resubmit value"):
            attempt(2)
        assert attempt(3, "again")["contacts_submitted"] == 3

    def test_another_way_to_write_the_same_place_is_the_same_place(
        self, enrich: Any, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        places.use("a directory")
        first = enrich(contacts=PEOPLE)
        monkeypatch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", f"{tmp_path}/a-directory/")
        assert enrich(try_number=2, contacts=PEOPLE)["workflow_ids"] == first["workflow_ids"]

    def test_the_same_ledger_under_another_connection_is_the_same_place(
        self, enrich: Any, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        places.use("a ledger")
        first = enrich(contacts=PEOPLE)
        connection = {"conn_type": "sqlite", "host": str(tmp_path / "a ledger.db")}
        monkeypatch.setenv("AIRFLOW_CONN_RENAMED", json.dumps(connection))
        again = enrich(try_number=2, contacts=PEOPLE, ledger_conn_id="renamed")
        assert again["workflow_ids"] == first["workflow_ids"]

    @pytest.mark.parametrize("place", ["a directory", "a ledger"])
    @pytest.mark.parametrize("answer", ["known", "lost"])
    def test_a_place_that_has_lost_the_record_stops_retry_and_clear(
        self,
        enrich: Any,
        places: Places,
        cleanlist_sandbox: SandboxServer,
        tmp_path: Path,
        place: str,
        answer: str,
    ) -> None:
        places.use(place)
        if answer == "lost":
            cleanlist_sandbox.faults.drop("enrich_bulk", after=True)
            with pytest.raises(CleanlistSubmissionUnknownError):
                enrich(contacts=PEOPLE)
        else:
            enrich(contacts=PEOPLE)
        record = tmp_path / ("a-directory" if place == "a directory" else "a ledger.db")
        record.rename(tmp_path / "kept elsewhere")
        for attempt, options in ((2, {}), (3, {"on_unknown_submission": "skip"})):
            with pytest.raises(CleanlistConfigurationError, match="knows no earlier attempt"):
                enrich(try_number=attempt, contacts=PEOPLE, **options)
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1
        assert enrich(try_number=4, contacts=PEOPLE, force_resubmit="again")["contacts_submitted"] == 3

    def test_the_trace_says_neither_where_nor_whom(
        self, enrich: Any, places: Places, task_instance: Any, tmp_path: Path
    ) -> None:
        places.use("a directory")
        enrich(contacts=PEOPLE)
        written = json.dumps(task_instance.state.values)
        assert "cleanlist_journal_places" in written
        assert tmp_path.name not in written
        assert "quxley" not in written.casefold()


class TestBelowAirflow33:
    """No state of Airflow's own: only the journal can know whether it was there for an earlier attempt."""

    @pytest.fixture
    def attempt(self, connect: Any, cleanlist_sandbox: SandboxServer) -> Any:
        connect(cleanlist_sandbox)

        def run(number: int, *, cleared: bool = False, **arguments: Any) -> Any:
            ti = SimpleNamespace(
                dag_id="d",
                run_id="r",
                task_id="t",
                map_index=-1,
                try_number=number,
                max_tries=number + 2 if cleared else 2,
                xcom_push=lambda **_: None,
            )
            operator = BulkEnrichOperator(task_id="t", contacts=PEOPLE, retries=2, **arguments)
            return operator.execute({"ti": ti, "task": operator, "outlet_events": {}})  # type: ignore[typeddict-item]

        return run

    @pytest.mark.parametrize("place", PLACES[1:])
    def test_a_journal_configured_after_the_first_attempt_stops_a_cleared_task(
        self, attempt: Any, places: Places, cleanlist_sandbox: SandboxServer, place: str
    ) -> None:
        attempt(1)
        places.use(place)
        for number in (2, 3):
            with pytest.raises(CleanlistConfigurationError, match=f"try {number} .*knows no earlier attempt"):
                attempt(number, cleared=True)
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1
        attempt(4, cleared=True, force_resubmit="again")
        attempt(5, cleared=True)
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 2

    @pytest.mark.parametrize("place", PLACES[1:])
    def test_a_cleared_task_that_its_journal_knows_goes_on(
        self, attempt: Any, places: Places, cleanlist_sandbox: SandboxServer, place: str
    ) -> None:
        places.use(place)
        first = attempt(1)
        assert attempt(2, cleared=True)["workflow_ids"] == first["workflow_ids"]
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1

    @pytest.mark.parametrize("place", PLACES[1:])
    def test_an_automatic_retry_of_an_attempt_that_never_opened_its_journal_goes_on(
        self, attempt: Any, places: Places, place: str
    ) -> None:
        places.use(place)
        assert attempt(2)["contacts_submitted"] == 3

    @pytest.mark.parametrize("place", PLACES[1:])
    def test_a_first_attempt_that_failed_before_anything_was_sent_does_not_stop_a_cleared_task(
        self,
        attempt: Any,
        places: Places,
        place: str,
        connect: Any,
        cleanlist_sandbox: SandboxServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        places.use(place)
        working = os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"]
        refused = json.loads(working) | {"password": "clapi_" + "0" * 32}
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(refused))
        with pytest.raises(CleanlistAuthenticationError):
            attempt(1)
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", working)
        assert attempt(2, cleared=True)["contacts_submitted"] == 3
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1

    @pytest.mark.parametrize("place", PLACES[3:])
    def test_only_a_first_attempt_leaves_a_trace_before_it_can_fail(
        self,
        attempt: Any,
        places: Places,
        place: str,
        cleanlist_sandbox: SandboxServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The second one's predecessor may have recorded elsewhere what it submitted, as it has here."""
        attempt(1)
        places.use(place)
        working = os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"]
        refused = json.loads(working) | {"password": "clapi_" + "0" * 32}
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(refused))
        with pytest.raises(CleanlistAuthenticationError):
            attempt(2)
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", working)
        with pytest.raises(CleanlistConfigurationError, match="knows no earlier attempt"):
            attempt(3, cleared=True)
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1
