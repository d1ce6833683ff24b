"""What was given and is nothing at run time is refused; what was left out, or is a literal None, has its default."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cleanlist.arguments.operator import GivenArguments
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

NOTHING = [None, "None", "", " "]
TABLE = {"warehouse_conn_id": "w", "table": "t"}
OPERATORS: dict[type[GivenArguments], dict[str, Any]] = {
    BulkEnrichOperator: {"contacts_path": "people.csv"},
    WorkflowSensor: {"workflow_ids": ["w1"]},
    LeadListToWarehouseOperator: {"list_id": "l", **TABLE},
    EnrichmentResultsToWarehouseOperator: {"workflow_ids": ["w1"], **TABLE},
}
OTHER = {"doc_md": "any"}
ARGUMENTS = [(kind, name) for kind in OPERATORS for name in kind._never_nothing]
FLAGS = [(kind, name) for kind in OPERATORS for name in kind._flags]
REQUIRED = [(kind, name) for kind in OPERATORS for name in kind._required]


def dag(**kwargs: Any) -> DAG:
    return DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), **kwargs)


def needed(kind: type[GivenArguments], *but: str) -> dict[str, Any]:
    return {name: value for name, value in OPERATORS[kind].items() if name not in but}


def mapped(kind: type[GivenArguments], items: list[dict[str, Any]], **kwargs: Any) -> Callable[..., Any]:
    """Return what makes an instance of a mapped task, as Airflow does when it runs."""
    with dag():
        partial = kind.partial(task_id="t", **needed(kind, *items[0]), **kwargs)
        made = partial.expand_kwargs(items)
    return made.unmap  # type: ignore[no-any-return]


def test_every_argument_that_is_checked_exists() -> None:
    for kind, name in [*ARGUMENTS, *FLAGS, *REQUIRED]:
        assert hasattr(kind(task_id="t", **needed(kind)), name)


@pytest.mark.parametrize("kind", OPERATORS)
def test_what_is_left_out_or_a_literal_none_has_its_default(kind: type[GivenArguments]) -> None:
    nones = dict.fromkeys(kind._never_nothing)
    kind(task_id="t", **needed(kind))._check_given()
    kind(task_id="t", **needed(kind), **nones)._check_given()
    mapped(kind, [OTHER])(OTHER)._check_given()
    mapped(kind, [OTHER], **nones)(OTHER)._check_given()
    with dag(default_args=nones):
        kind(task_id="t", **needed(kind))._check_given()


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(("kind", "name"), ARGUMENTS)
def test_an_item_of_a_mapping_that_is_nothing(kind: type[GivenArguments], name: str, nothing: Any) -> None:
    operator = mapped(kind, [{name: nothing}, {name: "x"}])({name: nothing})
    for one in (operator, copy.copy(operator)):
        with pytest.raises(CleanlistConfigurationError, match=f"^{name} is empty here: "):
            one._check_given()


@pytest.mark.parametrize(("kind", "name"), ARGUMENTS)
def test_one_item_with_and_one_without_the_argument(kind: type[GivenArguments], name: str) -> None:
    make = mapped(kind, [{name: "x", **OTHER}, OTHER])
    make(OTHER)._check_given()
    make({name: "x", **OTHER})._check_given()


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(("kind", "name"), ARGUMENTS)
def test_a_template_or_an_output_that_is_nothing(kind: type[GivenArguments], name: str, nothing: Any) -> None:
    with dag(default_args={name: "{{ params.x }}"}):
        by_default = kind(task_id="default", **needed(kind))
        in_mapping = kind.partial(task_id="m", **{**needed(kind), name: "{{ x }}"}).expand_kwargs([OTHER])
    operators = [
        by_default,
        in_mapping.unmap(OTHER),
        kind(task_id="own", **{**needed(kind), name: "{{ params.x }}"}),
    ]
    after = kind(task_id="after", **needed(kind))
    setattr(after, name, "{{ params.x }}")
    for operator in (*operators, after):
        setattr(operator, name, nothing)  # as rendering does
        with pytest.raises(CleanlistConfigurationError, match=f"^{name} is empty here: "):
            operator._check_given()


@pytest.mark.parametrize("name", ["timeout", "poll_interval"])
def test_a_number_of_the_sensor_that_is_nothing_in_an_item(name: str) -> None:
    make = mapped(WorkflowSensor, [{name: 5}, {name: None}])
    make({name: 5})._check_given()
    with pytest.raises(CleanlistConfigurationError, match=f"^{name} is empty here"):
        make({name: None})
    mapped(WorkflowSensor, [OTHER], **{name: None})(OTHER)._check_given()


def test_an_output_that_is_mapped_over() -> None:
    @task
    def limits() -> list[int | None]:
        return []

    with dag():
        made = BulkEnrichOperator.partial(task_id="t", contacts_path="p").expand(max_credits=limits())
    made.unmap({"max_credits": 100})._check_given()
    with pytest.raises(CleanlistConfigurationError, match=r"^max_credits is empty here"):
        made.unmap({"max_credits": None})._check_given()


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_what_is_required(kind: type[GivenArguments], name: str, nothing: Any) -> None:
    operator = kind(task_id="t", **{**needed(kind), name: nothing})
    with pytest.raises(CleanlistConfigurationError, match=f"^{name} is empty here: "):
        operator._check_given()


@pytest.mark.parametrize(("kind", "name"), FLAGS)
def test_flags(kind: type[GivenArguments], name: str) -> None:
    words: Mapping[Any, bool] = {
        True: True,
        "True": True,
        " yes": True,
        "0": False,
        "False": False,
        "off": False,
    }
    for word, truth in words.items():
        operator = mapped(kind, [{name: word}])({name: word})
        operator._check_given()
        assert getattr(operator, name) is truth
    for word in (None, "", "None", "maybe", 2, [], {}, 0.5, timedelta(1)):
        with pytest.raises(CleanlistConfigurationError, match=f"^{name} must be True or False, not "):
            mapped(kind, [{name: word}])({name: word})._check_given()


def test_copies_know_what_was_given() -> None:
    operator = mapped(BulkEnrichOperator, [{"max_credits": None}])({"max_credits": None})
    assert copy.copy(operator)._given == operator._given
    template = BulkEnrichOperator(task_id="t", contacts_path="p", max_credits="{{ x }}")  # type: ignore[arg-type]
    for one in (copy.copy(template), copy.deepcopy(template)):
        one.max_credits = None
        with pytest.raises(CleanlistConfigurationError, match=r"^max_credits is"):
            one._check_given()
