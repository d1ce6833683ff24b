"""What the operators that load a warehouse share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistLoadError,
)
from airflow_provider_cleanlist.hooks.sql import sql_hook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from sqlalchemy.engine import Engine

    from airflow_provider_cleanlist.warehouse.spec import LoadSpec


@contextmanager
def as_airflow_errors() -> Iterator[None]:
    """Raise what goes wrong as the exception that tells Airflow whether to retry.

    Raises:
        CleanlistConfigurationError: For an argument, a connection or a table that does not fit.
        CleanlistDataError: For records that do not fit.
        CleanlistLoadError: For a warehouse that failed.
    """
    from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError

    try:
        yield
    except LoadConfigurationError as error:
        raise CleanlistConfigurationError(str(error)) from None
    except LoadDataError as error:
        raise CleanlistDataError(str(error)) from None
    except LoadError as error:
        raise CleanlistLoadError(str(error)) from None


def open_warehouse(conn_id: str) -> Engine:
    """Return an engine for a warehouse connection.

    Args:
        conn_id: Airflow connection.

    Raises:
        CleanlistConfigurationError: The connection is missing or is not a SQL database connection.
    """
    from airflow_provider_cleanlist.warehouse.connect import open_engine

    return open_engine(sql_hook(conn_id, "warehouse_conn_id"), conn_id)


def load_spec(task: Any, context: Context, *, list_id: str, hash_secret: str, **further: Any) -> LoadSpec:
    """Return the load that a task's arguments describe.

    Args:
        task: A loading operator: has ``table``, ``schema``, ``mode``, ``key``, ``schema_evolution``, ``columns``,
            ``exclude_columns``, ``hash_columns``, ``column_types``, ``snapshot_date`` and ``staging_schema``.
        context: Context of the task.
        list_id: The list that the records belong to.
        hash_secret: Secret of hashed columns; may be empty.
        **further: Arguments of ``LoadSpec`` that only this kind of load has.

    Raises:
        CleanlistConfigurationError: An argument cannot be read.
        LoadConfigurationError: An argument is unknown or contradicts another one.
    """
    from airflow_provider_cleanlist.warehouse.naming import parse_table
    from airflow_provider_cleanlist.warehouse.spec import LoadSpec

    ti = context["ti"]
    run = f"{ti.dag_id}/{context['run_id']}"
    return LoadSpec(
        list_id=list_id,
        load_id=f"{run}/{ti.task_id}/{ti.map_index}",
        run_id=run,
        table=parse_table(task.table, task.schema or None),
        mode=task.mode,
        key=_names("key", task.key),
        schema_evolution=task.schema_evolution,
        columns=_columns(task.columns),
        exclude_columns=_names("exclude_columns", task.exclude_columns or ()),
        hash_columns=_names("hash_columns", task.hash_columns or ()),
        column_types=dict(task.column_types or {}),
        snapshot_date=_date(task.snapshot_date) if task.mode == "snapshot" else None,
        staging_schema=task.staging_schema or None,
        hash_secret=hash_secret or None,
        **further,
    )


def _names(argument: str, names: Collection[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise CleanlistConfigurationError(f"{argument} must be a list of names, not the text {names!r}.")
    return tuple(names)


def _columns(columns: Sequence[str] | Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    if columns is None or isinstance(columns, Mapping):
        return None if columns is None else dict(columns)
    return dict.fromkeys(_names("columns", columns))


def _date(value: Any) -> date:
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return datetime.fromisoformat(str(value).strip()).date()
    except ValueError:
        raise CleanlistConfigurationError(f"snapshot_date={value!r} is not a date: use YYYY-MM-DD.") from None
