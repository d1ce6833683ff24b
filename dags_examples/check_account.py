"""Look every morning whether the keys work and the credits suffice; fail, and so alert, if not.

Works with any secrets backend, because it names connections and nothing else. The check of a key is free.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Variable, task

from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

with DAG(
    dag_id="check_account",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START check]
    @task
    def connections() -> list[str]:
        """Return the ids of the connections to check."""
        return Variable.get("cleanlist_connections", ["cleanlist_default"], deserialize_json=True)

    @task(retries=2)
    def check(conn_id: str) -> float:
        """Return the balance of a connection that works."""
        hook = CleanlistHook(conn_id)
        hook.validate_key()  # raises what is wrong with the key
        credits = float(hook.get_credit_balance().credits)
        if credits < 1_000:
            raise AirflowFailException(f"Connection {conn_id!r} has {credits:g} credits left.")
        return credits

    check.expand(conn_id=connections())
    # [END check]
