"""What OpenLineage and Airflow's hook lineage are told: lists, tables, files and counts, never contacts.

A dataset of Cleanlist has the namespace ``cleanlist`` and the name of its asset, ``lists/<list id>``. The lineage
packages are imported only when they are needed, and nothing is asked over the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_cleanlist.assets import MANAGED_LIST, SCHEME
from airflow_provider_cleanlist.client.responses import is_managed_list

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_cleanlist.warehouse.naming import TableName

MAX_WORKFLOWS_NAMED = 100
"""Maximum number of workflow ids in a lineage event."""


def enrichment_lineage(
    *, contacts_path: str | None, sql: str | None, result: Mapping[str, Any] | None
) -> OperatorLineage[Any, Any]:
    """Return the lineage of an enrichment: from a file or a query into the managed list.

    Args:
        contacts_path: The file, if that was the source.
        sql: The query, if that was the source.
        result: What the task returned; None while it runs or if it failed.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        Dataset,
        ExternalQueryRunFacet,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SQLJobFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    lineage: OperatorLineage[Any, Any] = OperatorLineage()
    if contacts_path:
        namespace, name = file_name(contacts_path)
        lineage.inputs.append(Dataset(namespace=namespace, name=name))
    if sql:
        lineage.job_facets["sql"] = SQLJobFacet(query=sql)
    rows = None if result is None else result["contacts_submitted"]
    lineage.outputs.append(
        OutputDataset(
            namespace=SCHEME,
            name=f"lists/{MANAGED_LIST}",
            outputFacets={}
            if rows is None
            else {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows)},
        )
    )
    if result and result["workflow_ids"]:
        lineage.run_facets["externalQuery"] = ExternalQueryRunFacet(
            externalQueryId=",".join(result["workflow_ids"][:MAX_WORKFLOWS_NAMED]), source=SCHEME
        )
    return lineage


def load_lineage(
    *, warehouse_conn_id: str, table: TableName, default_schema: str | None, result: Mapping[str, Any]
) -> OperatorLineage[Any, Any]:
    """Return the lineage of a load: from a list into a table.

    Args:
        warehouse_conn_id: Airflow connection of the warehouse.
        table: The target.
        default_schema: Schema of tables that are named without one, as the warehouse reported during the load.
        result: What the task returned.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        Dataset,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    namespace, database = _warehouse_name(warehouse_conn_id)
    schema = table.schema or default_schema
    levels = (database, None if schema == database else schema, table.name)
    return OperatorLineage(
        inputs=[Dataset(namespace=SCHEME, name=list_name(result["list_id"], result["list_name"]))],
        outputs=[
            OutputDataset(
                namespace=namespace,
                name=".".join(filter(None, levels)),
                outputFacets={
                    "outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=result["rows_written"])
                },
            )
        ],
    )


def list_name(list_id: str, name: str | None) -> str:
    """Return the name of a list in lineage.

    Args:
        list_id: Id of the list.
        name: Its name, if known. The managed list is recognised by it, so that enrichments and loads name the same
            dataset.
    """
    return f"lists/{MANAGED_LIST if name and is_managed_list(name) else list_id}"


def file_name(path: str) -> tuple[str, str]:
    """Return the namespace and name of a file in OpenLineage.

    Args:
        path: Local path or object storage URI; credentials and connection ids before ``@`` are removed.
    """
    parts = urlsplit(path)
    if not parts.scheme or parts.scheme == "file":
        return "file", str(Path(parts.path if parts.scheme else path).absolute())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.lstrip("/") or "/"


def record_list_read(hook: Any, list_id: str) -> None:
    """Report to Airflow's hook lineage that a hook reads a list.

    Args:
        hook: The hook.
        list_id: Id of the list.
    """
    _collector().add_input_asset(context=hook, scheme=SCHEME, asset_kwargs={"list_id": list_id})


def record_submission(hook: Any) -> None:
    """Report to Airflow's hook lineage that a hook adds contacts to the managed list.

    Args:
        hook: The hook.
    """
    _collector().add_output_asset(context=hook, scheme=SCHEME, asset_kwargs={"list_id": MANAGED_LIST})


def _collector() -> Any:
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    return get_hook_lineage_collector()  # type: ignore[no-untyped-call]  # Airflow's own


def _warehouse_name(conn_id: str) -> tuple[str, str | None]:
    """Return the OpenLineage namespace of a warehouse, as its own provider names it, and the database."""
    from airflow.providers.common.compat.sdk import BaseHook

    connection: Any = BaseHook.get_connection(conn_id)
    info = connection.get_hook().get_openlineage_database_info(connection)
    if info is None:
        return (
            f"{connection.conn_type}://{connection.host}" if connection.host else connection.conn_type,
            None,
        )
    return f"{info.scheme}://{info.authority}" if info.authority else info.scheme, info.database
