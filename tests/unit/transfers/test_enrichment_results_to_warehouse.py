from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.results.rows import RESULT_FIELDS
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    CleanlistResultsNotReadyError,
    EnrichmentResultsToWarehouseOperator,
    task_ids_of,
)

REQUIRED = {"task_id": "load", "workflow_ids": ["w"], "warehouse_conn_id": "warehouse", "table": "results"}


def spec_of(**arguments):
    operator = EnrichmentResultsToWarehouseOperator(**{**REQUIRED, **arguments})
    ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=3)
    return operator._spec({"ti": ti, "run_id": "run"}, "secret")


def test_the_defaults_are_those_of_the_public_interface():
    parameters = inspect.signature(EnrichmentResultsToWarehouseOperator.__init__).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    del defaults["snapshot_date"]
    assert defaults == {
        "task_ids": None,
        "ledger_conn_id": None,
        "source_rows_table": None,
        "on_unfinished": "fail",
        "schema": None,
        "mode": "merge",
        "key": ("task_id", "workflow_id"),
        "schema_evolution": "add",
        "columns": None,
        "exclude_columns": None,
        "hash_columns": None,
        "column_types": None,
        "staging_schema": None,
        "page_size": 1,
        "cleanlist_conn_id": "cleanlist_default",
    }


def test_the_load():
    spec = spec_of()
    assert (spec.list_id, spec.load_id, spec.run_id) == ("managed", "dag/run/load/3", "dag/run")
    assert (spec.id_field, tuple(spec.key)) == ("task_id", ("task_id", "workflow_id"))
    assert spec.initial_fields == RESULT_FIELDS


@pytest.mark.parametrize(
    ("arguments", "has_raw"),
    [
        ({}, True),
        ({"hash_columns": ["primary_email"]}, False),
        ({"exclude_columns": ["phones"]}, False),
        ({"hash_columns": ["primary_email"], "columns": ["primary_email", "raw"]}, True),
        ({"columns": ["primary_email"]}, False),
    ],
)
def test_raw_does_not_show_what_is_to_be_hidden(arguments, has_raw):
    assert ("raw" in spec_of(**arguments).initial_fields) is has_raw


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ("", {}),
        ("None", {}),
        ({"w": ["a", "b"]}, {"w": ["a", "b"]}),
        ({"w": ("a",)}, {"w": ["a"]}),
        ("{'w': ['a'], 'v': []}", {"w": ["a"], "v": []}),
        ([{"w": ["a"]}, None, {"v": ["b"]}], {"w": ["a"], "v": ["b"]}),
        (iter([{"w": ["a"]}]), {"w": ["a"]}),
    ],
)
def test_task_ids(given, expected):
    assert task_ids_of(given) == expected


@pytest.mark.parametrize(
    "given", ["w", "'w'", "{'w'", 7, {"w": "a"}, {"w": None}, {"w": {"a": 1}}, ["w"], [["a"]]]
)
def test_what_are_no_task_ids(given):
    with pytest.raises(CleanlistConfigurationError, match="task_ids must map workflow ids"):
        task_ids_of(given)


def test_the_output_of_an_enrichment_is_upstream():
    with DAG("dag"):
        enrich = BulkEnrichOperator(task_id="enrich", contacts=[], push_task_ids=True)
        load = EnrichmentResultsToWarehouseOperator(
            **{**REQUIRED, "workflow_ids": enrich.output, "task_ids": enrich.output["task_ids"]}
        )
    assert load.upstream_task_ids == {"enrich"}
    assert load.task_ids.key == "task_ids"


def test_unfinished_workflows_are_tried_again():
    assert issubclass(CleanlistResultsNotReadyError, AirflowException)


@pytest.mark.parametrize("absent", [None, "None", ""])
@pytest.mark.parametrize(
    ("page_size", "expected"), [("absent", 1), (1, 1), ("500", 500)], ids=["absent", "number", "text"]
)
def test_an_absent_page_size_is_the_default(absent, page_size, expected):
    given = absent if page_size == "absent" else page_size
    operator = EnrichmentResultsToWarehouseOperator(**{**REQUIRED, "page_size": given})
    assert operator._page_size() == expected
