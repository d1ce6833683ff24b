"""Airflow connections of SQL databases: those that contacts are read from, and those that results are loaded into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.redaction import redacted

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook


def sql_hook(conn_id: str, argument: str) -> DbApiHook:
    """Return the hook of a SQL database. Nothing is connected yet.

    Args:
        conn_id: Airflow connection.
        argument: The operator's argument that names it, for the message.

    Raises:
        CleanlistConfigurationError: The connection is missing, its provider is not installed, or it is not one of a
            SQL database.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        connection: Any = BaseHook.get_connection(conn_id)
        hook = connection.get_hook()
    except AirflowNotFoundException:
        raise CleanlistConfigurationError(
            f"There is no connection {conn_id!r}: add it, or correct {argument}."
        ) from None
    except (AirflowException, ImportError) as error:
        raise CleanlistConfigurationError(
            f"Connection {conn_id!r} has no usable hook ({redacted(str(error))}): "
            "install the Airflow provider of its type."
        ) from None
    if not isinstance(hook, DbApiHook):
        raise CleanlistConfigurationError(
            f"Connection {conn_id!r} is not a SQL database connection: {type(hook).__name__} is not a DbApiHook."
        )
    return hook
