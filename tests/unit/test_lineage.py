"""What OpenLineage and hook lineage are told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    ExternalQueryRunFacet,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    SQLJobFacet,
)

from airflow_provider_cleanlist.lineage import (
    MAX_WORKFLOWS_NAMED,
    enrichment_lineage,
    file_name,
    list_name,
    load_lineage,
    record_list_read,
    record_submission,
)
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator
from airflow_provider_cleanlist.warehouse.naming import TableName

LOADED = {"list_id": "ll_1", "list_name": None, "table": "crm.leads", "rows_written": 7}


def rows(count: int) -> dict[str, Any]:
    return {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=count)}


class TestEnrichment:
    RESULT: ClassVar[dict[str, Any]] = {"workflow_ids": ["wf_1", "wf_2"], "contacts_submitted": 300}

    def test_a_file_goes_into_the_managed_list(self) -> None:
        lineage = enrichment_lineage(contacts_path="s3://aws@crm/in/people.csv", sql=None, result=self.RESULT)
        assert lineage.inputs == [Dataset(namespace="s3://crm", name="in/people.csv")]
        assert lineage.outputs == [
            OutputDataset(namespace="cleanlist", name="lists/managed", outputFacets=rows(300))
        ]
        assert lineage.run_facets == {
            "externalQuery": ExternalQueryRunFacet(externalQueryId="wf_1,wf_2", source="cleanlist")
        }

    def test_a_query_is_named_as_the_job(self) -> None:
        lineage = enrichment_lineage(contacts_path=None, sql="SELECT 1", result=self.RESULT)
        assert lineage.inputs == []
        assert lineage.job_facets == {"sql": SQLJobFacet(query="SELECT 1")}

    def test_before_the_end_there_are_no_counts(self) -> None:
        lineage = enrichment_lineage(contacts_path=None, sql=None, result=None)
        assert lineage.outputs == [
            OutputDataset(namespace="cleanlist", name="lists/managed", outputFacets={})
        ]
        assert lineage.run_facets == {}

    def test_workflows_are_named_up_to_a_limit(self) -> None:
        result = {"workflow_ids": [f"wf_{n}" for n in range(1000)], "contacts_submitted": 0}
        facet = enrichment_lineage(contacts_path=None, sql=None, result=result).run_facets["externalQuery"]
        assert facet.externalQueryId.split(",") == [f"wf_{n}" for n in range(MAX_WORKFLOWS_NAMED)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/people.csv", ("file", "/data/people.csv")),
        ("file:///data/people.csv", ("file", "/data/people.csv")),
        ("people.csv", ("file", str(Path.cwd() / "people.csv"))),
        ("s3://crm/in/people.csv.gz", ("s3://crm", "in/people.csv.gz")),
        ("gs://conn@crm/people.csv", ("gs://crm", "people.csv")),
        ("memory://", ("memory://", "/")),
    ],
)
def test_files(path: str, name: tuple[str, str]) -> None:
    assert file_name(path) == name


@pytest.mark.parametrize(
    ("list_id", "name", "expected"),
    [
        ("ll_1", None, "lists/ll_1"),
        ("ll_1", "Q3 targets", "lists/ll_1"),
        ("ll_1", "Extension Leads", "lists/managed"),
        ("ll_1", " extension leads", "lists/managed"),
        ("ll_1", "DEFAULT", "lists/managed"),
    ],
)
def test_lists(list_id: str, name: str | None, expected: str) -> None:
    assert list_name(list_id, name) == expected


class TestLoad:
    @pytest.fixture(autouse=True)
    def _connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        warehouses = {
            "sqlite": {"conn_type": "sqlite", "host": "/data/warehouse.db"},
            "postgres": {
                "conn_type": "postgres",
                "host": "db.example",
                "login": "etl",
                "password": "hunter2",
                "schema": "crm",
            },
        }
        for name, connection in warehouses.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))

    def test_a_warehouse_whose_provider_says_nothing(self) -> None:
        lineage = load_lineage(
            warehouse_conn_id="sqlite", table=TableName("leads"), default_schema=None, result=LOADED
        )
        assert lineage.inputs == [Dataset(namespace="cleanlist", name="lists/ll_1")]
        assert lineage.outputs == [
            OutputDataset(namespace="sqlite:///data/warehouse.db", name="leads", outputFacets=rows(7))
        ]

    @pytest.mark.parametrize(
        ("table", "default_schema", "name"),
        [
            (TableName("leads"), "public", "crm.public.leads"),
            (TableName("leads", "sales"), "public", "crm.sales.leads"),
            (TableName("odd.name", "sales"), None, "crm.sales.odd.name"),
            (TableName("leads"), "crm", "crm.leads"),
        ],
    )
    def test_a_table_is_named_as_its_own_provider_names_it(
        self, table: TableName, default_schema: str | None, name: str
    ) -> None:
        pytest.importorskip("airflow.providers.postgres.hooks.postgres")
        lineage = load_lineage(
            warehouse_conn_id="postgres", table=table, default_schema=default_schema, result=LOADED
        )
        assert [(output.namespace, output.name) for output in lineage.outputs] == [
            ("postgres://db.example:5432", name)
        ]
        assert "hunter2" not in repr(lineage)

    def test_an_operator_that_has_not_loaded_says_nothing(self) -> None:
        operator = LeadListToWarehouseOperator(
            task_id="t", list_id="ll_1", warehouse_conn_id="sqlite", table="leads"
        )
        assert operator.get_openlineage_facets_on_complete(None) is None


class TestHookLineage:
    @pytest.fixture
    def collected(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        from airflow.providers.common.compat import sdk

        collector = sdk.HookLineageCollector()
        home = sys.modules[sdk.get_hook_lineage_collector.__module__]
        monkeypatch.setattr(home, "get_hook_lineage_collector", lambda: collector)
        return lambda: get_hook_lineage_collector().collected_assets

    def test_reads_and_submissions_are_collected(self, collected: Any) -> None:
        hook = SimpleNamespace()
        record_list_read(hook, "ll 1")
        record_submission(hook)
        lineage = collected()
        assert [item.asset.uri for item in lineage.inputs] == ["cleanlist://lists/ll%201"]
        assert [item.asset.uri for item in lineage.outputs] == ["cleanlist://lists/managed"]
