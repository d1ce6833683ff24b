"""Databases: one file for each, with all that differs for it; ``base`` says what that can be.

``database_of`` finds the one behind an engine. A database that has no file here is ``GENERIC``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import GENERIC, Database
from airflow_provider_cleanlist.warehouse.dialects.bigquery import BIGQUERY
from airflow_provider_cleanlist.warehouse.dialects.databricks import DATABRICKS
from airflow_provider_cleanlist.warehouse.dialects.duckdb import DUCKDB
from airflow_provider_cleanlist.warehouse.dialects.mssql import MSSQL
from airflow_provider_cleanlist.warehouse.dialects.mysql import MARIADB, MYSQL
from airflow_provider_cleanlist.warehouse.dialects.oracle import ORACLE
from airflow_provider_cleanlist.warehouse.dialects.postgresql import POSTGRESQL
from airflow_provider_cleanlist.warehouse.dialects.redshift import REDSHIFT
from airflow_provider_cleanlist.warehouse.dialects.snowflake import SNOWFLAKE
from airflow_provider_cleanlist.warehouse.dialects.sqlite import SQLITE
from airflow_provider_cleanlist.warehouse.dialects.trino import TRINO
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

DATABASES = {
    database.name: database
    for database in (
        BIGQUERY,
        DATABRICKS,
        DUCKDB,
        MARIADB,
        MSSQL,
        MYSQL,
        ORACLE,
        POSTGRESQL,
        REDSHIFT,
        SNOWFLAKE,
        SQLITE,
        TRINO,
    )
}
"""By the name of the SQLAlchemy dialect."""


def database_of(bind: Engine | Connection) -> Database:
    """Return what is known about the database behind an engine or a connection."""
    return DATABASES.get(bind.dialect.name, GENERIC)


@contextmanager
def database_errors(engine: Engine, doing: str) -> Iterator[None]:
    """Turn the database's errors into load errors that hold no data.

    Args:
        engine: The warehouse.
        doing: What is being done, to begin the message with: "Creating table leads".

    Raises:
        LoadConfigurationError: Objects, privileges or types do not fit.
        LoadDataError: A value does not fit.
        LoadError: Any other error; running the load again may succeed.
    """
    driver: Any = engine.dialect.dbapi
    codes = database_of(engine).errors
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise codes.explain(error.orig or error, doing, error.statement or "") from None
    except sa.exc.SQLAlchemyError as error:
        raise LoadConfigurationError(f"{doing} failed: {type(error).__name__}.") from None
    except driver.Error as error:
        raise codes.explain(error, doing) from None
