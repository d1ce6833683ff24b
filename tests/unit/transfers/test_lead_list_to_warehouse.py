from __future__ import annotations

import inspect
from datetime import UTC, date, datetime
from types import SimpleNamespace

import jinja2
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

REQUIRED = {"task_id": "load", "list_id": "L", "warehouse_conn_id": "warehouse", "table": "leads"}


def operator(**arguments) -> LeadListToWarehouseOperator:
    return LeadListToWarehouseOperator(**{**REQUIRED, **arguments})


def spec_of(**arguments):
    ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=3)
    return operator(**arguments)._spec({"ti": ti, "run_id": "run"}, "secret")


def test_the_defaults_are_those_of_the_public_interface():
    parameters = inspect.signature(LeadListToWarehouseOperator.__init__).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    del defaults["snapshot_date"]
    assert defaults == {
        "list_id": None,
        "list_name": None,
        "schema": None,
        "mode": "merge",
        "key": ("_cleanlist_list_id", "lead_id"),
        "replace_scope": "list",
        "on_missing": "keep",
        "schema_evolution": "add",
        "columns": None,
        "exclude_columns": None,
        "hash_columns": None,
        "column_types": None,
        "staging_schema": None,
        "page_size": 500,
        "read": "pages",
        "row_count_check": "warn",
        "cleanlist_conn_id": "cleanlist_default",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"list_id": None}, "exactly one of list_id and list_name"),
        ({"list_name": "L"}, "exactly one of list_id and list_name"),
        ({"list_id": "", "list_name": ""}, "exactly one of list_id and list_name"),
        ({"page_size": 0}, "page_size must be 1 to 500, not 0"),
        ({"page_size": 501}, "page_size must be 1 to 500, not 501"),
    ],
)
def test_wrong_arguments_fail_without_any_connection(arguments, message):
    with pytest.raises(CleanlistConfigurationError, match=message) as caught:
        operator(**arguments).execute({})
    assert isinstance(caught.value, AirflowFailException)


def test_the_spec_is_what_the_arguments_say():
    spec = spec_of(
        table="sales.leads",
        mode="snapshot",
        snapshot_date="2026-01-31",
        columns=["email"],
        exclude_columns=["phone"],
        hash_columns=["email"],
        column_types={"score": "float"},
        staging_schema="scratch",
    )
    assert (spec.list_id, spec.run_id, spec.load_id) == ("L", "dag/run", "dag/run/load/3")
    assert str(spec.table) == "sales.leads"
    assert spec.columns == {"email": None}
    assert (spec.exclude_columns, spec.hash_columns) == (("phone",), ("email",))
    assert spec.snapshot_date == date(2026, 1, 31)
    assert spec.staging_schema == "scratch"


@pytest.mark.parametrize("argument", ["key", "columns", "exclude_columns", "hash_columns"])
def test_a_single_name_instead_of_a_list_is_refused(argument):
    with pytest.raises(CleanlistConfigurationError, match=f"{argument} must be a list of names"):
        spec_of(**{argument: "email"})


@pytest.mark.parametrize(
    "value",
    ["2026-01-31", "2026-01-31T10:00:00+00:00", date(2026, 1, 31), datetime(2026, 1, 31, 10, tzinfo=UTC)],
)
def test_snapshot_dates(value):
    assert spec_of(mode="snapshot", snapshot_date=value).snapshot_date == date(2026, 1, 31)


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", 5])
def test_a_snapshot_date_that_is_not_a_date(value):
    with pytest.raises(CleanlistConfigurationError, match=r"snapshot_date=.* is not a date"):
        spec_of(mode="snapshot", snapshot_date=value)
    assert spec_of(mode="merge", snapshot_date=value).snapshot_date is None


@pytest.mark.parametrize(
    ("context", "rendered"),
    [
        ({"ds": "2026-01-31"}, "2026-01-31"),
        ({"dag_run": SimpleNamespace(run_after=datetime(2026, 2, 1, 5, tzinfo=UTC))}, "2026-02-01"),
    ],
)
def test_the_snapshot_date_of_runs_with_and_without_a_logical_date(context, rendered):
    with DAG("dag", schedule=None) as dag:
        task = operator(table="leads_{{ params.x }}", params={"x": "eu"})
    environment = dag.get_template_env()
    assert environment.undefined is jinja2.StrictUndefined
    task.render_template_fields({**context, "params": {"x": "eu"}}, environment)
    assert task.snapshot_date == rendered
    assert task.table == "leads_eu"


def test_template_fields_hold_no_personal_data_and_name_arguments():
    parameters = inspect.signature(LeadListToWarehouseOperator.__init__).parameters
    assert set(LeadListToWarehouseOperator.template_fields) <= set(parameters)


def test_it_can_be_mapped():
    with DAG("dag", schedule=None):
        mapped = LeadListToWarehouseOperator.partial(
            task_id="load", warehouse_conn_id="warehouse", table="leads"
        ).expand(list_name=["a", "b"])
    assert mapped.task_id == "load"
