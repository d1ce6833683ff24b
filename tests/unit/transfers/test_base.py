"""What the loading operators share: their arguments, and what an attempt learns of one that ended unnoticed."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist.transfers.base import CompletedLoadCache, WarehouseLoadOperator
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

OPERATORS = [LeadListToWarehouseOperator, EnrichmentResultsToWarehouseOperator]
RESULT = {"rows_written": 3}


def arguments(operator: type[WarehouseLoadOperator]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(operator.__init__).parameters
    return {name: item for name, item in parameters.items() if item.kind is item.KEYWORD_ONLY}


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_argument_is_visible_and_kept_under_its_name(operator: type[WarehouseLoadOperator]) -> None:
    assert arguments(operator).keys() >= arguments(WarehouseLoadOperator).keys()
    given = {name: f"the {name}" for name in arguments(operator)}
    task = operator(task_id="load", **given)
    assert {name: getattr(task, name) for name in given} == given


@pytest.mark.parametrize("operator", OPERATORS)
def test_template_fields(operator: type[WarehouseLoadOperator]) -> None:
    count = len(operator.template_fields) - len(WarehouseLoadOperator.template_fields)
    own, shared = operator.template_fields[:count], operator.template_fields[count:]
    assert tuple(shared) == tuple(WarehouseLoadOperator.template_fields)
    assert len(own) >= 2
    assert set(own) <= arguments(operator).keys() - arguments(WarehouseLoadOperator).keys()


def context(store: dict[str, Any] | None, max_tries: int = 2) -> Any:
    state = None if store is None else SimpleNamespace(get=store.get, set=store.__setitem__)
    return {"ti": SimpleNamespace(max_tries=max_tries), "task_state_store": state}


def test_a_later_attempt_gets_the_result() -> None:
    store: dict[str, Any] = {}
    assert CompletedLoadCache(context(store), "w", None).get() is None
    CompletedLoadCache(context(store), "w", None).put(RESULT)
    assert CompletedLoadCache(context(store), "w", None).get() == RESULT


def test_other_loads_and_cleared_tasks_do_not() -> None:
    store: dict[str, Any] = {}
    CompletedLoadCache(context(store), "w", "merge").put(RESULT)
    assert CompletedLoadCache(context(store), "w", "append").get() is None
    assert CompletedLoadCache(context(store, max_tries=3), "w", "merge").get() is None


def test_what_somebody_else_wrote_is_nothing() -> None:
    assert CompletedLoadCache(context({"cleanlist_load": ["?"]}), "w").get() is None


def test_before_there_was_a_store_nothing_is_kept() -> None:
    CompletedLoadCache(context(None), "w").put(RESULT)
    assert CompletedLoadCache(context(None), "w").get() is None
    assert CompletedLoadCache({"ti": None}, "w").get() is None  # type: ignore[typeddict-item]
