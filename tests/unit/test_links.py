"""Extra links into the portal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import airflow
import pytest
from airflow.providers.common.compat.sdk import BaseOperator, XCom

from airflow_provider_cleanlist.get_provider_info import get_provider_info
from airflow_provider_cleanlist.links import (
    PAGE_LINKS,
    PORTAL_URL,
    TASK_ROUTE,
    LeadListLink,
    PageLink,
    WorkflowLink,
    has_pages,
    portal_url,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

LINKS = [
    (LeadListLink, "PORTAL_LIST_URL", "list_id"),
    (WorkflowLink, "PORTAL_WORKFLOW_URL", "workflow_id"),
]


@pytest.mark.parametrize(
    ("template", "identifier", "url"),
    [
        ("https://portal.example", "ll_1", "https://portal.example"),
        ("https://portal.example/l/{list_id}", "ll_1", "https://portal.example/l/ll_1"),
        ("https://portal.example/l/{list_id}", "a/b?c#d e", "https://portal.example/l/a%2Fb%3Fc%23d%20e"),
        ("https://portal.example/l/{list_id}?x={list_id}", "1", "https://portal.example/l/1?x=1"),
        ("https://portal.example/l/{list_id}", None, PORTAL_URL),
        ("https://portal.example/l/{other}{", "ll_1", "https://portal.example/l/{other}{"),
        ("  ", "ll_1", PORTAL_URL),
    ],
)
def test_address(template: str, identifier: str | None, url: str) -> None:
    assert portal_url(template, "list_id", identifier) == url


class Task:
    """A task instance whose XComs are kept, as Airflow's are, by key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.xcoms: dict[str, str] = {}
        self.asked = 0
        monkeypatch.setattr(XCom, "get_value", self._get_value)

    def _get_value(self, *, ti_key: object, key: str) -> str | None:
        assert ti_key is self
        self.asked += 1
        return self.xcoms.get(key)

    @property
    def context(self) -> dict[str, Any]:
        return {"ti": SimpleNamespace(xcom_push=lambda key, value: self.xcoms.update({key: value}))}


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    return Task(monkeypatch)


@pytest.mark.parametrize(("kind", "option", "placeholder"), LINKS)
def test_by_default_the_portal_opens_and_no_xcom_is_needed(
    kind: type, option: str, placeholder: str, task: Task
) -> None:
    kind.remember(task.context, "x1")
    assert kind().get_link(BaseOperator(task_id="t"), ti_key=task) == PORTAL_URL
    assert task.xcoms == {}
    assert task.asked == 0


@pytest.mark.parametrize(("kind", "option", "placeholder"), LINKS)
def test_a_configured_page_opens_with_the_id(
    kind: type, option: str, placeholder: str, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__CLEANLIST__{option}", f"https://portal.example/{{{placeholder}}}")
    link = kind()
    assert link.get_link(BaseOperator(task_id="t"), ti_key=task) == PORTAL_URL
    kind.remember(task.context, "x 1")
    assert link.get_link(BaseOperator(task_id="t"), ti_key=task) == "https://portal.example/x%201"
    assert list(task.xcoms) == [f"cleanlist_{placeholder}"]


@pytest.mark.parametrize(("kind", "option", "placeholder"), LINKS)
def test_options_are_those_of_the_metadata(kind: type, option: str, placeholder: str) -> None:
    options = get_provider_info()["config"]["cleanlist"]["options"]
    assert options[kind.option]["default"] == PORTAL_URL
    assert kind.option == option.lower()
    assert f"{{{placeholder}}}" in options[kind.option]["description"]


def test_links_have_a_name_for_the_button() -> None:
    assert LeadListLink().name == WorkflowLink().name == "Cleanlist portal"


@pytest.mark.parametrize(
    ("base_url", "map_index", "url"),
    [
        ("https://airflow.example/", -1, "https://airflow.example/dags/d/runs/a%2Bb%3Ac/tasks/t.x"),
        (
            "https://airflow.example/team",
            3,
            "https://airflow.example/team/dags/d/runs/a%2Bb%3Ac/tasks/t.x/mapped/3",
        ),
        ("", 0, "/dags/d/runs/a%2Bb%3Ac/tasks/t.x/mapped/0"),
    ],
)
def test_the_page_opens_at_the_task(
    base_url: str, map_index: int, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    key = SimpleNamespace(dag_id="d", run_id="a+b:c", task_id="t.x", map_index=map_index)
    assert PageLink().get_link(BaseOperator(task_id="t"), ti_key=key) == f"{url}/plugin/{TASK_ROUTE}"


def test_the_page_has_a_button_from_airflow_3_1() -> None:
    wanted = ["Credits and finds"] if has_pages(airflow.__version__) else []
    assert [link.name for link in PAGE_LINKS] == wanted
    for operator in (
        BulkEnrichOperator,
        EnrichmentResultsToWarehouseOperator,
        LeadListToWarehouseOperator,
        WorkflowSensor,
    ):
        assert [link.name for link in operator.operator_extra_links] == ["Cleanlist portal", *wanted]
