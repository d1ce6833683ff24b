"""Which columns values do not fit, where the database's own message does not say it, or says it with the value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import naming
from airflow_provider_cleanlist.warehouse.dialects import database_errors
from airflow_provider_cleanlist.warehouse.dialects.base import StoredForm
from airflow_provider_cleanlist.warehouse.errors import LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.publication import Publication

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_WIDEN = "Widen the columns, or leave the fields out with columns= or exclude_columns=."


@contextmanager
def naming_columns(engine: Engine, publication: Publication) -> Iterator[None]:
    """Name the columns that values do not fit, where the database does not.

    It costs queries of the staging table after a failure, and nothing before.

    Raises:
        LoadDataError: As it came, with the columns.
    """
    try:
        yield
    except LoadDataError as error:
        try:
            with engine.connect() as connection:
                told = _told(connection, engine, publication, error)
        except (sa.exc.SQLAlchemyError, LoadError):  # what is known is told all the same
            told = ""
        if not told:
            raise
        raise LoadDataError(f"{error} {told}") from None


def _told(connection: Connection, engine: Engine, publication: Publication, error: LoadDataError) -> str:
    if error.is_too_long:
        short = _short_columns(connection, publication)
        return f"Too short for what is staged: {', '.join(short)}. {_WIDEN}" if short else ""
    if error.is_unconvertible and (narrow := _narrow_columns(connection, engine, publication)):
        return f"Out of range for what is staged: {', '.join(narrow)}. {_WIDEN}"
    if error.fails_check:
        checks = publication.database.checks(connection, publication.target)
        broken = [
            condition
            for name, condition in checks.items()
            if re.search(rf"[`'\".]{re.escape(name)}[`'\"]", str(error))
        ]
        return f"It demands {' and '.join(broken)}." if broken else ""
    return ""


def _short_columns(connection: Connection, publication: Publication) -> list[str]:
    database, stage = publication.database, publication.stage
    lengths = {
        name.lower() if database.ignores_case else name: length
        for name, length in database.text_lengths(connection, publication.target).items()
    }
    fixed = {naming.LIST_ID: publication.spec.list_id, naming.RUN_ID: publication.spec.run_id}
    staged = {column.target: column.staging for column in publication.plan.columns if column.type == "text"}
    query = sa.select(*(sa.func.max(sa.func.char_length(stage.c[name])) for name in staged.values()))
    found = dict(zip(staged, connection.execute(query).one(), strict=True))
    found |= {name: len(text) for name, text in fixed.items()}
    return [
        f"{name} ({length} characters; the longest value has {found[name]})"
        for name in found
        if (length := lengths.get(name.lower() if database.ignores_case else name))
        and (found[name] or 0) > length
    ]


def _narrow_columns(connection: Connection, engine: Engine, publication: Publication) -> list[str]:
    """Return the columns whose type refuses a staged value, found by converting each column alone."""
    database, stage = publication.database, publication.stage
    types = database.column_types(connection, publication.target)
    narrow = []
    for column in publication.plan.columns:
        if column.type == "text" or column.target not in types:
            continue
        value = database.types.published(stage.c[column.staging], column.type)
        converted = StoredForm(value, f"CAST({{}} AS {types[column.target]})")
        try:
            with database_errors(engine, "Looking for the column"), connection.begin_nested():
                connection.execute(sa.select(sa.func.count(converted)).select_from(stage))
        except LoadDataError:
            narrow.append(f"{column.target} ({types[column.target]})")
    return narrow
