"""The asset event for a finished enrichment, emitted by Airflow's API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cleanlist.assets import MANAGED_LIST, SCHEME, lead_list_asset
from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus


def finished_event_extra(workflow_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``extra`` of the event: the id, ``completed`` or ``failed``, and counts.

    Args:
        workflow_id: The workflow.
        payload: The payload that its webhook delivered.
    """
    status = WorkflowStatus.parse(workflow_id, payload)
    # the payload's own word may be any text, and an event is shown and kept
    state = WorkflowState.FAILED if status.state is WorkflowState.FAILED else WorkflowState.COMPLETED
    return {
        SCHEME: {
            "workflow_ids": [workflow_id],
            "status": state.value,
            "total": status.total,
            "successful": status.successful,
            "failed": status.failed,
            "emails_found": status.emails_found,
            "phones_found": status.phones_found,
        }
    }


def emit_finished(workflow_id: str, payload: Mapping[str, Any]) -> None:
    """Add an event to ``lead_list_asset(MANAGED_LIST)``, the list of every enriched contact, if a DAG uses the asset.

    Needs Airflow's metadata database, so it works in the API server only.

    Airflow queues one row per DAG that an asset triggers, and starts the DAG with the events up to the row's timestamp.
    An event that arrives while a row is queued would be left for the next row, which may never come; so this moves the
    timestamp forward. The row lock keeps the scheduler from taking the row in between.

    Args:
        workflow_id: The workflow.
        payload: The payload that its webhook delivered.
    """
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetDagRunQueue, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        asset = session.scalar(select(AssetModel).where(AssetModel.uri == lead_list_asset(MANAGED_LIST).uri))
        if asset is None:
            return
        queued = AssetDagRunQueue.asset_id == asset.id
        session.execute(select(AssetDagRunQueue.created_at).where(queued).with_for_update())
        event = asset_manager.register_asset_change(
            asset=asset, extra=finished_event_extra(workflow_id, payload), session=session
        )
        if event is not None:
            session.flush()
            earlier = queued & (AssetDagRunQueue.created_at < event.timestamp)
            move_forward = update(AssetDagRunQueue).where(earlier).values(created_at=event.timestamp)
            session.execute(move_forward.execution_options(synchronize_session=False))
