"""Every operator in runs of ``dag.test()`` on this Airflow: chained, mapped, deferred, blocking, failing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib.metadata import version
from typing import Any

import pytest

from airflow_provider_cleanlist.sandbox.people import Person, identity_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

AIRFLOW = version("apache-airflow")
SHAPES = {
    "plain": ["One0", "One1"],
    "nested": ["Single0", "One0", "One1"],
    "mapped_output": ["Each1x0", "Each2x0", "Each2x1", "Each3x0", "Each3x1", "Each3x2"],
    "concatenated": ["One0", "One1", "Each1x0", "Each2x0", "Each2x1", "Each3x0", "Each3x1", "Each3x2"],
    "through_a_function": ["Ash0", "Birch0", "Cedar0"],
}
"""Whom each task of the DAG ``shapes`` submits."""
GROUPS = [["GroupA0", "GroupA1"], ["GroupB0", "GroupB1", "GroupB2"]]


def who(last_name: str) -> str:
    """Return the identity of a person in the DAG ``shapes``."""
    return identity_of(Person(first_name="Teodor", last_name=last_name, company_domain="stonemill.example"))


def rows(outcome: Any, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(outcome.warehouse)) as connection:
        return connection.execute(
            f"SELECT _cleanlist_list_id, COUNT(*), COUNT(DISTINCT lead_id) FROM {table} GROUP BY 1"
        ).fetchall()


def workflow_ids(outcome: Any, dag: str, task: str, index: int = -1) -> list[str]:
    return list(outcome.xcom(dag, task, index=index)["workflow_ids"])


def test_nothing_deprecated_is_used(outcome: Any) -> None:
    assert outcome.complaints == []


def test_a_chain_of_all_operators(outcome: Any) -> None:
    assert outcome.states("chain") == {"enrich": ["success"], "wait": ["success"], "load": ["success"]}
    enriched, waited = outcome.xcom("chain", "enrich"), outcome.xcom("chain", "wait")
    assert (enriched["enrichment_type"], enriched["contacts_submitted"], enriched["batches"]) == (
        "full",
        7,
        3,
    )
    assert (waited["workflows"], waited["completed"], waited["total"]) == (3, 3, 7)
    loaded = outcome.xcom("chain", "load")
    assert (loaded["table"], loaded["list_name"]) == ("chain_leads", "Extension Leads")
    assert rows(outcome, "chain_leads") == [(loaded["list_id"], 7, 7)]
    task_ids = outcome.xcom("chain", "enrich", "task_ids")
    assert [len(task_ids[workflow]) for workflow in enriched["workflow_ids"]] == [3, 3, 1]


def test_every_operator_can_be_mapped(outcome: Any) -> None:
    assert outcome.states("mapped") == {
        "enrich": ["success"] * 3,
        "wait": ["success"] * 3,
        "load": ["success"] * 2,
        "ids_of": ["success"],
        "all_at_once": ["success"],
    }
    submitted = [outcome.xcom("mapped", "enrich", index=index)["contacts_submitted"] for index in range(3)]
    waited = [outcome.xcom("mapped", "wait", index=index)["total"] for index in range(3)]
    assert submitted == waited == [1, 2, 5]
    assert outcome.xcom("mapped", "all_at_once")["total"] == 8
    assert sorted(count for _, count, _ in rows(outcome, "mapped_leads")) == [12, 25]


def test_every_way_of_waiting(outcome: Any) -> None:
    assert set(map(tuple, outcome.states("waits").values())) == {("success",)}
    for task in ("deferred", "blocking", "default"):
        assert outcome.xcom("waits", task)["summary"]["total"] == 2
    sensors = {"poke", "reschedule"} & outcome.states("waits").keys()
    assert len(sensors) == (1 if AIRFLOW.startswith("3.0.") else 2)
    for task in sensors:
        assert outcome.xcom("waits", task)["total"] == 2


def test_deferral_is_airflows_default_where_the_design_says_so(outcome: Any) -> None:
    assert outcome.runs["waits"]["deferred"] == ["default", "deferred"]
    assert outcome.runs["chain"]["deferred"] == ["wait"]


def test_contacts_are_billed_once(outcome: Any) -> None:
    of_shapes = {identity for names in (*SHAPES.values(), *GROUPS) for identity in map(who, names)}
    times = {one: n for one, n in outcome.ledger.times_submitted().items() if one not in of_shapes}
    assert len(times) == 7 + 8 + (8 if AIRFLOW.startswith("3.0.") else 10)
    assert set(times.values()) == {1}


def test_what_a_retry_cannot_heal_is_not_retried(outcome: Any) -> None:
    tasks = outcome.runs["hopeless"]["tasks"]
    assert {(task["task"], task["state"], task["try"]) for task in tasks} == {
        (name, "failed", 1) for name in ("bad_key", "no_such_workflow", "no_such_list")
    }


def test_the_hook_in_a_python_task(outcome: Any) -> None:
    assert outcome.xcom("hook", "read") == {"works": True, "leads": 25}


def test_asset_events_carry_list_rows_and_workflows(outcome: Any) -> None:
    def extras(task: str, name: str = "") -> list[tuple[str, Any]]:
        return [
            (event["uri"], event["extra"]["cleanlist"])
            for event in outcome.events
            if event["task"] == task and event["uri"].endswith(name)
        ]

    ((uri, extra),) = extras("enrich")
    assert uri == "cleanlist://lists/managed"
    assert extra["workflow_ids"] == workflow_ids(outcome, "chain", "enrich")
    assert extra["worst_case_credits"] == 77
    assert extras("load", "chain_leads") == [
        ("cleanlist://tables/warehouse/chain_leads", outcome.xcom("chain", "load"))
    ]
    ((_, after_waiting),) = extras("deferred")
    assert after_waiting["summary"]["completed"] == 1


def test_an_alias_gets_an_event_of_the_table_from_each_mapped_task(outcome: Any) -> None:
    extras = [
        event["extra"]["cleanlist"] for event in outcome.events if event["uri"].endswith("/mapped_leads")
    ]
    told = [json.loads(extra) for extra in extras]
    loaded = [outcome.xcom("mapped", "load", index=index) for index in range(2)]
    assert sorted(told, key=str) == sorted(loaded, key=str)


def test_links_open_the_page_or_the_portal(outcome: Any) -> None:
    links = outcome.links("chain")
    first = workflow_ids(outcome, "chain", "enrich")[0]
    portal = {
        task: [link for link in several if link.startswith("https://")] for task, several in links.items()
    }
    assert portal["wait"] == [f"https://portal.example/w/{first}"]
    assert portal["load"] == ["https://app.cleanlist.ai"]
    assert portal["enrich"] == [f"https://portal.example/w/{first}"]
    for task in ("wait", "load", "enrich"):
        pages = [link for link in links[task] if link not in portal[task]]
        assert len(pages) == (0 if AIRFLOW.startswith(("2.", "3.0.")) else 1)
        assert all(page.endswith(f"/tasks/{task}/plugin/cleanlist-task") for page in pages)


def test_openlineage_connects_contacts_list_and_table(outcome: Any) -> None:
    complete = {
        event["job"]["name"]: event
        for event in outcome.lineage
        if event["eventType"] == "COMPLETE" and event["job"]["name"].startswith("chain.")
    }
    enriched, loaded = complete["chain.enrich"], complete["chain.load"]
    assert [(item["namespace"], item["name"]) for item in enriched["outputs"]] == [
        ("cleanlist", "lists/managed")
    ]
    query = enriched["run"]["facets"]["externalQuery"]
    assert query["externalQueryId"].split(",") == workflow_ids(outcome, "chain", "enrich")
    assert [(item["namespace"], item["name"]) for item in loaded["inputs"]] == [
        ("cleanlist", "lists/managed")
    ]
    (table,) = loaded["outputs"]
    assert table["name"].endswith("chain_leads")
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 7


def test_contacts_stay_out_of_logs_xcoms_and_lineage(outcome: Any) -> None:
    seen = (outcome.log + repr(outcome.runs) + repr(outcome.events) + repr(outcome.lineage)).casefold()
    assert "public_bulk_" in seen
    for personal in ("zofia", "harborlight", "mapped0x"):
        assert personal not in seen
    for personal in ("teodor", "stonemill", "each3x2"):
        assert personal not in outcome.log.casefold()


def submitted(outcome: Any, task: str, index: int = -1) -> list[str]:
    """Return who a task submitted, in order."""
    ids = set(workflow_ids(outcome, "shapes", task, index))
    submits = [submit for submit in outcome.ledger.accepted_submits if submit.workflow_id in ids]
    return [identity for submit in submits for identity in submit.identities]


needs_all_shapes = pytest.mark.skipif(
    AIRFLOW.startswith(("3.0.", "3.1.", "3.2.")), reason="the DAG runs on the oldest and the newest Airflow"
)


@needs_all_shapes
@pytest.mark.parametrize("task", SHAPES)
def test_contacts_in_every_shape_of_an_output(outcome: Any, task: str) -> None:
    assert submitted(outcome, task) == list(map(who, SHAPES[task]))


@needs_all_shapes
def test_contacts_of_a_mapped_task_group_and_of_a_partial(outcome: Any) -> None:
    for index, names in enumerate(GROUPS):
        assert submitted(outcome, "for_each.in_a_group", index) == list(map(who, names))
    assert submitted(outcome, "partial", 0) == list(map(who, SHAPES["plain"]))


@needs_all_shapes
def test_pairs_are_refused_by_name(outcome: Any) -> None:
    assert outcome.states("shapes")["zipped"] == ["failed"]
    assert "Item 1 of contacts is a tuple" in outcome.log


@needs_all_shapes
def test_waits_take_results_nested_and_partial(outcome: Any) -> None:
    assert outcome.xcom("shapes", "wait_for_all")["total"] == 2 + 3 + 6 + 8 + 3
    assert outcome.xcom("shapes", "wait_partial", index=0)["total"] == 2
