"""The asset event of a finished enrichment, emitted in Airflow's API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cleanlist.assets import MANAGED_LIST, SCHEME, lead_list_asset
from airflow_provider_cleanlist.client.results import WorkflowStatus


def event_extra(workflow_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the event tells: ids and counts.

    Args:
        workflow_id: The workflow.
        payload: What its webhook delivered.
    """
    status = WorkflowStatus.parse(workflow_id, payload)
    return {
        SCHEME: {
            "workflow_ids": [workflow_id],
            "status": status.status,
            "total": status.total,
            "successful": status.successful,
            "failed": status.failed,
            "emails_found": status.emails_found,
            "phones_found": status.phones_found,
        }
    }


def emit_finished(workflow_id: str, payload: Mapping[str, Any]) -> None:
    """Add an event to ``lead_list_asset(MANAGED_LIST)``, the list of every enriched contact, if any DAG knows it.

    Works where Airflow's metadata database is at hand: in the API server.

    Airflow keeps one row per DAG that is to be started by an asset, and starts it with the events up to the moment of
    that row. An event that comes while a row waits would be left to the next one, which may never come; so the row's
    moment is moved on. The lock keeps the scheduler from taking the row in between.

    Args:
        workflow_id: The workflow.
        payload: What its webhook delivered.
    """
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetDagRunQueue, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        asset = session.scalar(select(AssetModel).where(AssetModel.uri == lead_list_asset(MANAGED_LIST).uri))
        if asset is None:
            return
        waiting = AssetDagRunQueue.asset_id == asset.id
        session.execute(select(AssetDagRunQueue.created_at).where(waiting).with_for_update())
        event = asset_manager.register_asset_change(
            asset=asset, extra=event_extra(workflow_id, payload), session=session
        )
        if event is not None:
            session.flush()
            earlier = waiting & (AssetDagRunQueue.created_at < event.timestamp)
            moved_on = update(AssetDagRunQueue).where(earlier).values(created_at=event.timestamp)
            session.execute(moved_on.execution_options(synchronize_session=False))
