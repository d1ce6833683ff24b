"""Emit the events of four workflows to a DAG that waits for them: emit_events.py <dags folder>.

A process of its own, because Airflow reads its configuration once. Prints how many events there are, and how many of
them the DAG's run would leave out. Airflow starts it with the events up to the moment of its row in the queue.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.asset import AssetDagRunQueue, AssetEvent
from airflow.models.dag import DagModel
from airflow.utils.session import create_session

from airflow_provider_cleanlist.webhooks.events import emit_finished

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "listener.py").write_text("""
import pendulum
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow_provider_cleanlist.assets import MANAGED_LIST, lead_list_asset
with DAG("listener", schedule=[lead_list_asset(MANAGED_LIST)], start_date=pendulum.datetime(2024, 1, 1)):
    EmptyOperator(task_id="t")
""")
manager = DagBundlesManager()
manager.sync_bundles_to_db()
for bundle in manager.get_all_dag_bundles():
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    sync_bag_to_db(bag, bundle.name, bundle.version)
with create_session() as session:
    session.get(DagModel, "listener").is_paused = False
for number in range(4):
    emit_finished(f"emitted-{number}", {"status": "completed"})
with create_session() as session:
    (row,) = session.query(AssetDagRunQueue).filter_by(target_dag_id="listener")
    events = [event.timestamp for event in session.query(AssetEvent) if "emitted" in json.dumps(event.extra)]
    print(json.dumps([len(events), sum(moment > row.created_at for moment in events)]))
