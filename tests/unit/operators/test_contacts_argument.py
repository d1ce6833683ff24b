"""Contacts that Airflow would store in the serialized DAG are refused; outputs of tasks are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import DAG, TaskGroup, task

from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

pytestmark = pytest.mark.filterwarnings("ignore:Task .* was never mapped")
SECRET = "Quillfeather"
PERSON = {"first_name": "Ada", "last_name": SECRET, "company_domain": "acme.test"}
partial: Callable[..., Any] = BulkEnrichOperator.partial


def dag(**kwargs: Any) -> DAG:
    return DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), **kwargs)


def outputs() -> Any:
    @task
    def people() -> list[dict[str, str]]:
        return []

    return people()


def filled() -> Any:
    return outputs().zip(outputs(), fillvalue=[PERSON])


def stored(made: DAG) -> str:
    return json.dumps(DagSerialization.to_dict(made), default=str)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: partial(task_id="t", contacts=[PERSON]).expand(batch_size=[1, 2]), "partial()"),
        (lambda: partial(task_id="t", contacts=[outputs(), PERSON]).expand(batch_size=[1]), "partial()"),
        (lambda: partial(task_id="t", contacts=[Contact(**PERSON)]).expand(batch_size=[1]), "partial()"),
        (lambda: partial(task_id="t", contacts=pd.DataFrame([PERSON])).expand(batch_size=[1]), "partial()"),
        (lambda: partial(task_id="t").expand(contacts=[[PERSON], [PERSON]]), "expand()"),
        (lambda: partial(task_id="t").expand(contacts=[outputs(), [PERSON]]), "expand()"),
        (lambda: partial(task_id="t").expand_kwargs([{"contacts": [PERSON]}]), "expand_kwargs()"),
        (
            lambda: partial(task_id="t").expand_kwargs([{"batch_size": 1}, {"contacts": PERSON}]),
            "expand_kwargs()",
        ),
        (lambda: partial(task_id="t", contacts=filled()).expand(batch_size=[1]), "partial()"),
        (lambda: partial(task_id="t").expand(contacts=filled()), "expand()"),
        (lambda: partial(task_id="t").expand(contacts=outputs().concat(filled())), "expand()"),
        (lambda: partial(task_id="t").expand(contacts=filled().map(lambda each: each)), "expand()"),
        (lambda: partial(task_id="t").expand_kwargs([{"contacts": filled()}]), "expand_kwargs()"),
        (
            lambda: partial(task_id="t").expand_kwargs([{"default_args": {"contacts": [PERSON]}}]),
            "default_args in expand_kwargs()",
        ),
    ],
)
def test_literals_that_airflow_would_store_are_refused(make: Callable[[], Any], place: str) -> None:
    with dag(), pytest.raises(CleanlistConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(f"{place} holds contacts as literals")
    assert SECRET not in str(caught.value)


def test_literals_in_default_args_of_a_dag_are_refused() -> None:
    with (
        dag(default_args={"contacts": [PERSON]}),
        pytest.raises(CleanlistConfigurationError, match="default_args"),
    ):
        BulkEnrichOperator(task_id="t")


def test_literals_in_default_args_of_a_dag_with_mapped_tasks_only_are_refused() -> None:
    for finish in (
        lambda part: part.expand(batch_size=[1, 2]),
        lambda part: part.expand_kwargs([{"batch_size": 1}]),
    ):
        with (
            dag(default_args={"contacts": [PERSON]}),
            pytest.raises(CleanlistConfigurationError, match="default_args"),
        ):
            finish(partial(task_id="t"))
    with dag(default_args={"batch_size": 5}):
        partial(task_id="t").expand(max_credits=[1, 2])


def test_literals_that_only_the_operator_holds_are_not_stored() -> None:
    with dag(default_args={"batch_size": 5}) as made:
        BulkEnrichOperator(task_id="own", contacts=[PERSON])
        BulkEnrichOperator(task_id="defaults", default_args={"contacts": [PERSON]})
        with TaskGroup("group", default_args={"contacts": [PERSON]}):
            BulkEnrichOperator(task_id="in_a_group")
    assert made.get_task("group.in_a_group").contacts.value == [PERSON]  # type: ignore[attr-defined]
    assert SECRET not in stored(made)


def test_outputs_of_tasks_are_mapped_over() -> None:
    with dag() as made:
        people = outputs()
        partial(task_id="part", contacts=[people]).expand(batch_size=[1, 2])
        partial(task_id="each").expand(contacts=people)
        partial(task_id="some").expand_kwargs([{"contacts": people}, {"contacts_path": "people.csv"}])
        partial(task_id="all").expand_kwargs(people)
        partial(task_id="zip").expand(contacts=people.zip(people))
        partial(task_id="gaps").expand(
            contacts=people.zip(people, fillvalue=None).concat(people).map(lambda each: each)
        )
    tasks = ("part", "each", "some", "all", "zip", "gaps")
    assert {name: made.get_task(name).upstream_task_ids for name in tasks} == {
        name: {"people"} for name in tasks
    }
    assert "people.csv" in stored(made)
