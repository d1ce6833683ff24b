"""Tell people when credits run low, and when it is unknown whether contacts were paid for.

Put your own notifier in place of ``LogNotifier``: Airflow's ``SmtpNotifier``, ``SlackNotifier`` or any other. See
``docs/howto/notifications.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.notifier import BaseNotifier
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Variable, task

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator


class LogNotifier(BaseNotifier):
    """Writes its message to the log, as others send it."""

    template_fields = ("message",)

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def notify(self, context: Any) -> None:
        """Write the message."""
        self.log.warning("%s", self.message)


# [START callback]
def notifier_for(error: object) -> BaseNotifier | None:
    """Return who is to be told about an error of a task, by its class."""
    if isinstance(error, exceptions.CleanlistSubmissionUnknownError):
        return LogNotifier(message="Decide: {{ ti.task_id }} of {{ run_id }} may have paid. {{ exception }}")
    if isinstance(
        error, (exceptions.CleanlistInsufficientCreditsError, exceptions.CleanlistCreditLimitError)
    ):
        return LogNotifier(message="Credits: {{ ti.task_id }} of {{ run_id }} stopped. {{ exception }}")
    return None


def tell_people(context: Mapping[str, Any]) -> None:
    """Notify about the stops that a person has to deal with."""
    notifier = notifier_for(context.get("exception"))
    if notifier is not None:
        notifier(context)


# [END callback]

with DAG(
    dag_id="notifications",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START tasks]
    @task(on_failure_callback=LogNotifier(message="Credits run low: {{ exception }}"))
    def check_credits() -> float:
        """Fail, and so notify, if fewer credits are left than the variable ``cleanlist_low_credits`` says."""
        credits, low = (
            CleanlistHook().get_credit_balance().credits,
            Variable.get("cleanlist_low_credits", 1_000),
        )
        if credits < float(low):
            raise AirflowFailException(f"{float(credits):g} Cleanlist credits are left, fewer than {low}.")
        return float(credits)

    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts_path=str(Path(__file__).parent / "data" / "first_contacts.csv"),
        max_credits=50,
        on_failure_callback=tell_people,
    )
    check_credits() >> enrich
    # [END tasks]
