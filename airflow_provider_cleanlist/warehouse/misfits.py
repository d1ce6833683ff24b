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
_CHANGE = "Change the columns, or leave the fields out with columns= or exclude_columns=."


@contextmanager
def naming_columns(engine: Engine, publication: Publication) -> Iterator[None]:
    """Name the columns and constraints that values do not fit, where the database does not.

    It costs queries of the staging table after a failure, and nothing before.

    Raises:
        LoadDataError: As it came, with the columns; or two rows would be the same where a constraint forbids it, and
            no other process can be the reason.
    """
    try:
        yield
    except LoadError as error:
        try:
            with engine.connect() as connection:
                hint = _hint(connection, engine, publication, error)
        except (sa.exc.SQLAlchemyError, LoadError):  # then the error is raised as it came
            hint = ""
        if not hint:
            raise
        raise LoadDataError(f"{error} {hint}") from None


def _hint(connection: Connection, engine: Engine, publication: Publication, error: LoadError) -> str:
    if error.breaks_unique:
        return _broken_key(connection, publication, error)
    if not isinstance(error, LoadDataError):
        return ""
    if error.is_too_long:
        short = _short_columns(connection, publication)
        return f"Too short for what is staged: {', '.join(short)}. {_WIDEN}" if short else ""
    if error.is_unconvertible:
        numbers, texts = _unfit_columns(connection, engine, publication)
        if numbers:
            return f"Out of range for what is staged: {', '.join(numbers)}. {_WIDEN}"
        if texts:
            return f"Values that the type refuses are staged for: {', '.join(texts)}. {_CHANGE}"
    if error.fails_check:
        broken = _broken_conditions(connection, publication, error)
        return f"It demands {' and '.join(broken)}." if broken else ""
    return ""


def _broken_key(connection: Connection, publication: Publication, error: LoadError) -> str:
    """Return what a UNIQUE constraint demands; empty if another process may have inserted a row of the same key."""
    demanded = _broken_conditions(connection, publication, error)
    lock = publication.database.lock
    own_key = f"UNIQUE ({', '.join(publication.plan.key)})"
    if (lock is None or not lock.excludes_writers) and demanded in ([], [own_key]):
        return ""
    demands = f"It demands {' and '.join(demanded)}. " if demanded else ""
    return (
        f"{demands}Two rows would have the same value there: set key= to what the table has once, leave the field out "
        "with columns= or exclude_columns=, or drop the constraint."
    )


def _broken_conditions(connection: Connection, publication: Publication, error: LoadError) -> list[str]:
    conditions = publication.database.conditions(connection, publication.target)
    return [
        condition
        for name, condition in conditions.items()
        if re.search(rf"[`'\".]{re.escape(name)}[`'\"]", str(error))
    ]


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


def _unfit_columns(
    connection: Connection, engine: Engine, publication: Publication
) -> tuple[list[str], list[str]]:
    """Return the columns whose type refuses a staged value, found by converting each alone: of numbers, of texts."""
    database, stage = publication.database, publication.stage
    types = database.column_types(connection, publication.target)
    numbers: list[str] = []
    texts: list[str] = []
    for column in publication.plan.columns:
        if column.target not in types:
            continue
        value = database.types.published(stage.c[column.staging], column.type)
        converted = StoredForm(value, f"CAST({{}} AS {types[column.target]})")
        try:
            with database_errors(engine, "Looking for the column"), connection.begin_nested():
                connection.execute(sa.select(sa.func.count(converted)).select_from(stage))
        except LoadDataError:
            unfit = texts if column.type == "text" else numbers
            unfit.append(f"{column.target} ({types[column.target]})")
        except LoadError:  # there is no such cast
            continue
    return numbers, texts
