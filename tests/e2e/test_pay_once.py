"""Pay once in a real Airflow: tasks killed at every step, and every answer that can be lost.

The ledger of the sandbox tells what was submitted how often, and what was billed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_2
import pytest
from pay_once_runs import NOT_STARTED, SCENARIOS, TAKEN_OVER, Outcome, Scenario, Stage
from sandbox_process import API_KEY

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BY_NAME = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
UNKNOWN = "CleanlistSubmissionUnknownError"
STOPPED = "AirflowTaskTerminated" if airflow_2.IS_INSTALLED else "CleanlistStoppedError"


@pytest.fixture(scope="module")
def stage(
    airflow: AirflowProcesses, people_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """All scenarios, played side by side to their end."""
    with Stage(airflow, tmp_path_factory.mktemp("pay_once"), people_database) as stage:
        stage.play(timeout=600)
        yield stage


def submitted(stage: Stage, scenario: Scenario, outcome: Outcome) -> list[Counter[str]]:
    """Return the contacts in the workflows that each task instance reports."""
    submits = stage.submits(scenario.sandbox)
    return [
        Counter(sent for workflow_id in result["workflow_ids"] for sent in submits[workflow_id])
        for result in outcome.results.values()
    ]


def task_instances(scenario: Scenario, outcome: Outcome) -> int:
    """Return how many task instances have a scenario's contacts in their source."""
    return 2 if scenario.people == "twin" else len(outcome.results)


@BY_NAME
def test_it_ends_as_it_should(stage: Stage, scenario: Scenario) -> None:
    outcome = stage.outcomes[scenario.name]
    assert outcome.states[-1] == "success"
    assert outcome.states[:-1] == ["success" if scenario.name == "cleared" else "failed"] * len(scenario.user)
    assert outcome.tries >= scenario.tries
    if not airflow_2.IS_INSTALLED:
        failed = [text for text in outcome.failed_by_airflow if scenario.wait or NOT_STARTED in text]
        assert outcome.tries <= scenario.tries + len(failed)


@BY_NAME
def test_no_contact_is_submitted_twice_by_a_task_instance(stage: Stage, scenario: Scenario) -> None:
    outcome = stage.outcomes[scenario.name]
    assert all(max(times.values(), default=1) == 1 for times in submitted(stage, scenario, outcome))
    assert max(stage.times_submitted(scenario).values()) == task_instances(scenario, outcome)


@BY_NAME
def test_no_contact_is_lost(stage: Stage, scenario: Scenario) -> None:
    outcome = stage.outcomes[scenario.name]
    for result, times in zip(outcome.results.values(), submitted(stage, scenario, outcome), strict=True):
        missing = scenario.identities - set(times)
        assert len(missing) == result["unknown_contacts"] == scenario.unknown
        assert result["contacts_submitted"] == len(times) == len(scenario.identities) - scenario.unknown
        assert result["contacts_read"] == len(scenario.identities)


@BY_NAME
def test_an_unknown_outcome_is_named_with_its_contacts_and_credits(stage: Stage, scenario: Scenario) -> None:
    said = [log for log in stage.outcomes[scenario.name].logs if UNKNOWN in log]
    assert bool(said) is bool(scenario.unknown)
    for log in said:
        assert f"It carried {scenario.unknown} contacts" in log
        assert f"up to {scenario.unknown} credits" in log


@BY_NAME
def test_no_contact_and_no_key_is_in_the_log(stage: Stage, scenario: Scenario) -> None:
    text = "\n".join(stage.outcomes[scenario.name].logs)
    assert "to enrich." in text
    assert "-example" not in text
    assert API_KEY not in text


def test_no_contact_is_billed_twice(stage: Stage) -> None:
    for name, sandbox in stage.sandboxes.items():
        billing = sandbox.ask("/ledger/billing")
        asked = Counter(
            sent
            for scenario in SCENARIOS
            if scenario.sandbox == name
            for sent in scenario.identities
            for _ in stage.outcomes[scenario.name].results
        )
        assert billing["times_billed"]
        assert all(times <= asked[sent] for sent, times in billing["times_billed"].items())


@pytest.mark.parametrize("name", ["term", "worker"])
def test_a_task_asked_to_stop_does_so_between_two_requests(stage: Stage, name: str) -> None:
    first = stage.outcomes[name].first_log
    assert STOPPED in first
    assert airflow_2.IS_INSTALLED or "continue at Cleanlist" in first


def test_a_timeout_waits_for_the_record(stage: Stage) -> None:
    assert "AirflowTaskTimeout" in stage.outcomes["timeout"].first_log


def test_a_try_that_was_replaced_is_refused_by_airflow(stage: Stage) -> None:
    """Airflow 3.3 takes no writes of an older try into its state store; elsewhere it finds the folder taken over."""
    assert TAKEN_OVER in stage.outcomes["zombie"].first_log


def test_the_scenarios_that_wait_do_so_in_the_triggerer(stage: Stage) -> None:
    for scenario in SCENARIOS:
        outcome = stage.outcomes[scenario.name]
        (result, *_) = outcome.results.values()
        assert ("credits_spent" in result) is scenario.wait
        assert outcome.waited_in_triggerer is scenario.wait


@pytest.mark.skipif(airflow_2.IS_INSTALLED, reason="the table is of Airflow 3.3")
def test_the_table_in_the_documentation_is_that_of_these_runs(stage: Stage) -> None:
    rows = [row_of(stage, scenario) for scenario in SCENARIOS]
    if folder := os.environ.get("CLEANLIST_RELIABILITY"):
        Path(folder, "real-airflow.json").write_text(json.dumps(rows, indent=1))
        return
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    missing = [row for row in rows if "| " + " | ".join(row) + " |" not in text]
    assert missing == [], "run scripts/make_reliability_table.py"


def row_of(stage: Stage, scenario: Scenario) -> list[str]:
    """Return what a run showed, as a row of the table in docs/reliability.md."""
    outcome = stage.outcomes[scenario.name]
    contacts = submitted(stage, scenario, outcome)
    most = task_instances(scenario, outcome)
    billed = stage.sandboxes[scenario.sandbox].ask("/ledger/billing")["times_billed"]
    times = stage.times_submitted(scenario)
    twice = sum(max(times[sent], billed.get(sent, 0)) > most for sent in scenario.identities)
    lost = sum(
        len(scenario.identities - set(counts)) - result["unknown_contacts"]
        for result, counts in zip(outcome.results.values(), contacts, strict=True)
    )
    unknown = sum(result["unknown_contacts"] for result in outcome.results.values())
    if unknown:
        ending = f"stops and reports {unknown} contacts of unknown outcome; the user clears with `skip`"
    elif scenario.user:
        ending = "the user clears it"
    elif outcome.tries > 1:
        ending = "a new attempt continues automatically"
    else:
        ending = "the same attempt continues"
    return [scenario.fault, ending, str(twice), str(lost)]
