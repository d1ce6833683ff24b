"""Pay once: randomised crashes of the real operator against the sandbox's ledger.

Each scenario runs tries of one task instance until it succeeds or stops for the user. A try may be killed or
interrupted at any step, the API may lose answers after accepting, the journal's store may fail, and the input comes
reordered and with new rows. The ledger of the sandbox, and not our own record, tells what was submitted how often.
"""

from __future__ import annotations

import json
import os
import random
import signal
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from airflow.sdk.io import attach

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import identity, normalise
from airflow_provider_cleanlist.exceptions import (
    CleanlistInsufficientCreditsError,
    CleanlistServerError,
    CleanlistStateError,
    CleanlistSubmissionUnknownError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.submission.history import ContactStatus, OnUnknown, decide
from airflow_provider_cleanlist.submission.stored import journal as journal_module
from airflow_provider_cleanlist.submission.stored.journal import JournalIndex, StoredJournal
from airflow_provider_cleanlist.submission.stored.stores import (
    ObjectStorageJournalStore,
    TaskStateJournalStore,
    open_store,
)

pytestmark = pytest.mark.integration

SCENARIOS = 240
MOST_TRIES = 7
SUBMIT = "enrich_bulk"
WRITES = ("intent", "header", "accepted")
POINTS = (
    *(f"{moment} the {kind} is written" for kind in WRITES for moment in ("before", "after")),
    "before the request leaves",
    "after the answer is there",
)
FAULTS = {
    "answer lost": lambda faults, skip: faults.drop(SUBMIT, after=True, skip=skip),
    "connection dropped": lambda faults, skip: faults.drop(SUBMIT, after=False, skip=skip),
    "500 after acceptance": lambda faults, skip: faults.fail(SUBMIT, 500, after=True, skip=skip),
    "502": lambda faults, skip: faults.fail(SUBMIT, 502, skip=skip),
    "503": lambda faults, skip: faults.fail(SUBMIT, 503, skip=skip),
    "402": lambda faults, skip: faults.fail(SUBMIT, 402, skip=skip),
    "answer cut off": lambda faults, skip: faults.truncate(SUBMIT, skip=skip),
}
LEDGER_NAMES = {
    "answer lost": "drop_after",
    "connection dropped": "drop",
    "500 after acceptance": "status_after",
    "answer cut off": "truncate",
}

HAPPENED: dict[str, Counter[str]] = defaultdict(Counter)
"""For each thing that went wrong: in how many scenarios it did, and how they ended."""


class Killed(BaseException):
    """The process died here, or Airflow interrupted it."""


class Trouble:
    """What strikes one try: at the n-th passing of a point a kill, an interrupt, or a store that fails."""

    def __init__(self, chance: random.Random, *, may_strike: bool) -> None:
        self.kind = chance.choice(["kill", "kill", "kill", "interrupt", "store fails"]) if may_strike else ""
        self.point = chance.choice(POINTS)
        self.left = chance.randint(1, 4)
        self.struck = False

    def pass_by(self, point: str) -> None:
        if self.struck and self.kind == "store fails" and "written" in point:
            raise ConnectionError("no API server")
        if not self.kind or self.struck or point != self.point:
            return
        self.left -= 1
        if self.left:
            return
        self.struck = True
        if self.kind == "kill":
            raise Killed(point)
        if self.kind == "interrupt":
            signal.raise_signal(signal.SIGALRM)
        elif "written" in point:
            raise ConnectionError("no API server")

    @property
    def name(self) -> str:
        return self.kind if self.kind == "store fails" else f"{self.kind} {self.point}"


class TaskState(dict[str, str]):
    """A task state store that survives the tries of one task instance, as Airflow's does."""

    def get(self, key: str, default: object = None) -> Any:
        text = super().get(key)
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = json.dumps(value)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(requests_per_minute=100_000, credits=10_000_000, seconds_to_complete=0) as server:
        yield server


@pytest.fixture
def _surroundings(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connection, no waiting for a store that fails, and Airflow's handler of timeouts."""
    connection = json.loads(sandbox.connection_json())
    connection["extra"] |= {"max_retries": 0, "rate_limit_store": "memory://"}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(journal_module, "WRITE_PAUSES", (0.0,))
    attach("memory", fs=fsspec.filesystem("memory"))

    def time_out(*_: object) -> None:
        raise Killed("interrupted")

    previous = signal.signal(signal.SIGALRM, time_out)
    yield
    signal.signal(signal.SIGALRM, previous)


class Scenario:
    """One task instance on its way, and all that goes wrong with it."""

    def __init__(self, seed: int, sandbox: SandboxServer) -> None:
        self.seed = seed
        self.sandbox = sandbox
        self.chance = random.Random(seed)
        self.people = [self.person(number) for number in range(self.chance.randint(1, 60))]
        self.word = OnUnknown(self.chance.choice(["fail", "fail", "skip", "resubmit"]))
        self.journal_path = "" if seed % 2 else f"memory://journal-{uuid.uuid4().hex}"
        self.state = TaskState()
        self.tries = 0
        self.troubles: set[str] = set()
        self.message = ""
        sandbox.ledger.clear()
        sandbox.faults.clear()

    def person(self, number: int) -> dict[str, str]:
        return {"linkedin_url": f"https://www.linkedin.com/in/person-{self.seed}-{number}-example"}

    def context(self) -> Any:
        ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=self.tries)
        return {"ti": ti, "task_state_store": self.state}

    def run(self) -> dict[str, Any] | None:
        """Return the task's result, or None when it stopped for the user."""
        while self.tries < MOST_TRIES:
            self.tries += 1
            is_last = self.tries == MOST_TRIES
            self.change_input(may_grow=self.tries > 1 and not is_last)
            if is_last:
                self.sandbox.faults.clear()
            elif self.chance.random() < 0.4:
                name = self.chance.choice(list(FAULTS))
                FAULTS[name](self.sandbox.faults, self.chance.randint(0, 3))
            try:
                return self.run_try(
                    Trouble(self.chance, may_strike=not is_last and self.chance.random() < 0.7)
                )
            except CleanlistSubmissionUnknownError as error:
                if self.word is not OnUnknown.RESUBMIT or "for the second time" in str(error):
                    self.message = str(error)
                    return None
            except (Killed, CleanlistStateError, CleanlistServerError, CleanlistInsufficientCreditsError):
                pass
        raise AssertionError("the last try, in which nothing goes wrong, did not end the task")

    def change_input(self, *, may_grow: bool) -> None:
        self.chance.shuffle(self.people)
        if may_grow and self.chance.random() < 0.3:
            more = len(self.people) // 10 + 1
            self.people += [self.person(1000 * self.tries + number) for number in range(more)]

    def run_try(self, trouble: Trouble) -> dict[str, Any]:
        """Run one try in this process; its memory is gone afterwards, only the journal's store stays."""
        real_submit = CleanlistClient.submit_bulk_enrichment

        def submit(client: CleanlistClient, *args: Any) -> Any:
            trouble.pass_by("before the request leaves")
            answer = real_submit(client, *args)
            trouble.pass_by("after the answer is there")
            return answer

        def write(store: Any, key: str, value: dict[str, Any]) -> None:
            kind = value.get("state", "header")
            trouble.pass_by(f"before the {kind} is written")
            real_writes[type(store)](store, key, value)
            trouble.pass_by(f"after the {kind} is written")

        def put(store: Any, key: str, value: dict[str, Any]) -> None:
            try:
                write(store, key, value)
            except ConnectionError as error:
                raise journal_module.JournalUnavailableError("no API server") from error

        kinds = (TaskStateJournalStore, ObjectStorageJournalStore)
        real_writes: dict[type, Any] = {kind: kind.write for kind in kinds}
        size = self.chance.randint(1, 12)
        operator = BulkEnrichOperator(
            task_id="t", contacts=list(self.people), batch_size=size, on_unknown_submission=self.word.value
        )
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", self.journal_path)
                patch.setattr(CleanlistClient, "submit_bulk_enrichment", submit)
                for kind in kinds:
                    patch.setattr(kind, "write", put)
                return operator.execute(self.context())  # type: ignore[no-any-return]
        finally:
            if trouble.struck:
                self.troubles.add(trouble.name)

    def journal(self) -> StoredJournal:
        """What a further try would read."""
        self.tries += 1
        journal = StoredJournal(open_store(self.context(), journal_path=self.journal_path))
        journal.load()
        return journal

    def note(self, result: dict[str, Any] | None, *, twice: int, lost: int) -> None:
        """Add to the account of what happened."""
        struck = {entry.fault for entry in self.sandbox.ledger.requests() if entry.fault}
        refused = {entry.status for entry in self.sandbox.ledger.requests() if entry.fault == "status"}
        self.troubles |= {name for name, fault in LEDGER_NAMES.items() if fault in struck}
        self.troubles |= {name for name in FAULTS if name.isdigit() and int(name) in refused}
        for name in (*self.troubles, "any"):
            HAPPENED[name]["stopped" if result is None else "finished"] += 1
            HAPPENED[name]["billed twice"] += twice
            HAPPENED[name]["lost"] += lost


@pytest.mark.usefixtures("_surroundings")
@pytest.mark.parametrize("seed", range(SCENARIOS))
def test_no_contact_is_submitted_twice_and_none_is_lost(seed: int, sandbox: SandboxServer) -> None:
    scenario = Scenario(seed, sandbox)
    result = scenario.run()

    journal, word = scenario.journal(), scenario.word
    known = JournalIndex(journal.batches)
    times = sandbox.ledger.times_submitted()
    ours = {identity_of(Person(**person)): identity(normalise(person)) for person in scenario.people}
    standing = {
        sent: decide(known.history(ours[sent]), EnrichmentType.PARTIAL, OnUnknown.SKIP).status
        for sent in ours
    }
    # Times that a contact may be sent: once, and once more if the outcome is unknown and the user said so.
    in_doubt = Counter(
        contact for batch in journal.batches if batch.is_unknown for contact in batch.contacts()
    )
    allowed = {sent: 1 + (word is OnUnknown.RESUBMIT and in_doubt[ours[sent]] > 0) for sent in ours}
    twice = [sent for sent, count in times.items() if count > allowed[sent]]
    lost = [sent for sent in ours if result and standing[sent] is ContactStatus.PENDING]
    scenario.note(result, twice=len(twice), lost=len(lost))

    # Nothing is hidden: whatever Cleanlist accepted, the journal calls accepted or unknown.
    assert set(times) <= set(ours)
    assert all(standing[sent] is not ContactStatus.PENDING for sent in times)

    assert not twice
    assert not lost

    if result is None:
        assert word is not OnUnknown.SKIP
        named = int(scenario.message.partition(" contact")[0])
        if word is OnUnknown.FAIL:
            assert named == known.unknown
        else:
            assert 0 < sum(requests > 1 for requests in in_doubt.values()) <= named <= known.unknown
        harmless = {f"interrupt {point}" for point in POINTS} | {"402", "503"}
        assert scenario.troubles - harmless
        return

    # Nothing is lost: each contact is submitted, or the journal calls it unknown and the user said to skip it.
    unknown = {sent for sent in ours if standing[sent] is ContactStatus.UNKNOWN}
    accepted = {sent for sent in ours if standing[sent] is ContactStatus.SUBMITTED}
    assert accepted | unknown == set(ours)
    assert accepted <= set(times)
    assert word is OnUnknown.SKIP or not unknown

    # The result says what the ledger says.
    submits = {submit.workflow_id: submit for submit in sandbox.ledger.accepted_submits}
    reported = [submits.pop(workflow_id) for workflow_id in result["workflow_ids"]]
    contacts = [sent for submit in reported for sent in submit.identities]
    assert result["batches"] == len(reported)
    assert result["contacts_submitted"] == len(contacts) == len(accepted)
    assert set(contacts) == accepted
    assert result["unknown_contacts"] == len(unknown)
    assert result["contacts_read"] == len(ours) == result["contacts_submitted"] + result["unknown_contacts"]
    assert result["worst_case_credits"] >= sandbox.ledger.credits_charged
    # What it does not mention, Cleanlist accepted without our getting the answer.
    assert all(ours[sent] in in_doubt for submit in submits.values() for sent in submit.identities)
    assert word is not OnUnknown.FAIL or not submits


def test_the_scenarios_went_through_everything() -> None:
    wanted = {f"{kind} {point}" for kind in ("kill", "interrupt") for point in POINTS}
    wanted |= {"store fails", *FAULTS}
    missing = {name: sum(HAPPENED[name].values()) for name in wanted if sum(HAPPENED[name].values()) < 3}
    assert missing == {}
    assert HAPPENED["any"]["finished"] > SCENARIOS / 3
    assert HAPPENED["any"]["stopped"] > SCENARIOS / 20
    if folder := os.environ.get("CLEANLIST_RELIABILITY"):
        Path(folder, "in-process.json").write_text(json.dumps(HAPPENED, indent=1, sort_keys=True))
