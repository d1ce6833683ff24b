"""Airflow connections of SQL databases: those that contacts are read from, and those that results are loaded into."""

from __future__ import annotations

import os
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
        if is_in_environment(conn_id):
            raise unreadable_connection(conn_id) from None
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


def is_in_environment(conn_id: str) -> bool:
    """Return whether an environment variable holds a connection; if Airflow does not find it, it cannot read it.

    Args:
        conn_id: Airflow connection.
    """
    return _variable(conn_id) in list(os.environ)  # a look-up would fail for ids that are not valid Unicode


def unreadable_connection(conn_id: str) -> CleanlistConfigurationError:
    """Return the error for a connection in the environment that Airflow cannot read.

    Args:
        conn_id: Airflow connection.
    """
    return CleanlistConfigurationError(
        f"Airflow cannot read connection {conn_id!r} from the environment variable {_variable(conn_id)}: its value "
        "must be a URI or a JSON object, with a whole number as the port."
    )


def _variable(conn_id: str) -> str:
    return f"AIRFLOW_CONN_{conn_id}".upper()
