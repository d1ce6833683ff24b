"""Pay once: randomised crashes of the real operator against the sandbox's ledger.

Each scenario runs tries of one task instance until it succeeds or stops for the user. A try may be killed at any step,
the API may lose answers after accepting, and the input comes reordered and with new rows. The ledger of the
sandbox, and not our own record, tells what was submitted how often.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.exceptions import CleanlistSubmissionUnknownError
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = pytest.mark.integration

SCENARIOS = 240
SUBMIT = "enrich_bulk"


class Killed(BaseException):
    """The process died here."""


class KillSwitch:
    """Kills at the n-th passing of a point."""

    def __init__(self, point: str | None = None, passing: int = 1) -> None:
        self._point = point
        self._left = passing

    def pass_by(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                raise Killed(point)


@dataclass
class StateStore:
    """A task state store that survives the tries of one task instance, as Airflow's does."""

    values: dict[str, str] = field(default_factory=dict)
    switch: KillSwitch = field(default_factory=KillSwitch)
    largest: int = 0

    def get(self, key: str) -> Any:
        text = self.values.get(key)
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Any, retention: object = None) -> None:
        kind = value.get("state", "header")
        self.switch.pass_by(f"before writing {kind}")
        self.values[key] = json.dumps(value)
        self.largest = max(self.largest, len(self.values[key]))
        self.switch.pass_by(f"after writing {kind}")


KILL_POINTS = [
    *(f"{when} writing {kind}" for when in ("before", "after") for kind in ("intent", "header", "accepted")),
    "before the request",
    "after the request",
]


HAPPENED: Counter[str] = Counter()
"""What the scenarios went through, to prove that they went through everything."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(requests_per_minute=100_000, credits=10_000_000, seconds_to_complete=0) as server:
        yield server


@pytest.fixture
def _connected(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = json.loads(sandbox.connection_json())
    connection["extra"] |= {"max_retries": 0, "rate_limit_store": "memory://"}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))


def person(number: int) -> dict[str, str]:
    return {"linkedin_url": f"https://www.linkedin.com/in/person-{number}-example"}


def run_try(
    store: StateStore, switch: KillSwitch, contacts: list[dict[str, str]], **arguments: Any
) -> dict[str, Any]:
    """Run one try of the task in this process; its memory is gone afterwards, only the store stays."""
    store.switch = switch
    real = CleanlistClient.submit_bulk_enrichment

    def submit(self: CleanlistClient, *args: Any) -> Any:
        switch.pass_by("before the request")
        answer = real(self, *args)
        switch.pass_by("after the request")
        return answer

    operator = BulkEnrichOperator(task_id="enrich", contacts=contacts, **arguments)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="enrich", map_index=-1, try_number=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CleanlistClient, "submit_bulk_enrichment", submit)
        return operator.execute({"ti": ti, "task_state_store": store})  # type: ignore[arg-type,typeddict-item]


@pytest.mark.usefixtures("_connected")
@pytest.mark.parametrize("seed", range(SCENARIOS))
def test_no_contact_is_submitted_twice_and_none_is_lost(seed: int, sandbox: SandboxServer) -> None:
    chance = random.Random(seed)
    people = [person(seed * 1000 + number) for number in range(chance.randint(1, 60))]
    store = StateStore()
    word = chance.choice(["fail", "fail", "skip"])
    stopped = False
    sandbox.ledger.clear()
    sandbox.faults.clear()
    result: dict[str, Any] | None = None
    tries = 0
    while result is None:
        tries += 1
        chance.shuffle(people)
        last = tries > 6
        if tries > 1 and not last and chance.random() < 0.3:
            people += [person(seed * 1000 + 100 * tries + number) for number in range(len(people) // 10 + 1)]
        if not last and chance.random() < 0.4:
            chance.choice(
                [
                    lambda: sandbox.faults.drop(SUBMIT, after=True, skip=chance.randint(0, 3)),
                    lambda: sandbox.faults.drop(SUBMIT, after=False, skip=chance.randint(0, 3)),
                    lambda: sandbox.faults.fail(SUBMIT, 500, after=True, skip=chance.randint(0, 3)),
                    lambda: sandbox.faults.fail(SUBMIT, 502, skip=chance.randint(0, 3)),
                    lambda: sandbox.faults.truncate(SUBMIT, skip=chance.randint(0, 3)),
                ]
            )()
        if last:
            sandbox.faults.clear()
        switch = (
            KillSwitch()
            if last or chance.random() < 0.3
            else KillSwitch(chance.choice(KILL_POINTS), chance.randint(1, 4))
        )
        try:
            result = run_try(
                store,
                switch,
                people,
                batch_size=chance.randint(1, 12),
                on_unknown_submission=word,
            )
        except Killed as killed:
            HAPPENED[f"killed {killed}"] += 1
            continue
        except CleanlistSubmissionUnknownError:
            stopped = True
            if word == "fail":
                break

    HAPPENED.update(f"fault {entry.fault}" for entry in sandbox.ledger.requests() if entry.fault)
    HAPPENED["stopped for the user" if result is None else "finished"] += 1
    submitted = sandbox.ledger.times_submitted()
    assert max(submitted.values(), default=0) <= 1
    if result is not None and word == "fail":
        assert not stopped
        assert len(submitted) == len(people) == result["contacts_submitted"]
    if result is not None:
        assert result["contacts_submitted"] <= len(people)
        assert len(submitted) <= len(people)


def test_the_scenarios_went_through_everything() -> None:
    wanted = {f"killed {point}" for point in KILL_POINTS} | {
        "fault drop",
        "fault drop_after",
        "fault status",
        "fault status_after",
        "fault truncate",
        "finished",
        "stopped for the user",
    }
    assert {name: HAPPENED[name] for name in wanted if HAPPENED[name] < 5} == {}
