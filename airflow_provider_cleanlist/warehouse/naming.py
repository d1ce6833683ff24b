"""Names of tables and columns: pure functions of what the records and the target hold.

A column's name never depends on the order in which fields arrive. It is the snake-case form of the field's name. If
another field of the same load has the same form, or a documented field has that name, it ends in a hash of the raw
name instead, and a target that holds such a column keeps it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass

from airflow_provider_cleanlist.input_limits import normal_form
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError

MAX_NAME_LENGTH = 63
"""Length of the longest column name given to a field: PostgreSQL's limit, the lowest of the common warehouses."""

LIST_ID = "_cleanlist_list_id"
SYNCED_AT = "_cleanlist_synced_at"
RUN_ID = "_cleanlist_run_id"
DELETED_AT = "_cleanlist_deleted_at"
SNAPSHOT_DATE = "_cleanlist_snapshot_date"
EXTRA = "_extra"
META_COLUMNS = (LIST_ID, SYNCED_AT, RUN_ID, DELETED_AT, SNAPSHOT_DATE)
"""Columns that the loader writes in addition to the fields of the records."""

_HASH_LENGTH = 8
_EXAMINED = 1024
_RESERVED_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    all alter analyse analyze and any array as asc asymmetric authorization between binary both by case cast
    check cmax cmin collate collation column comment concurrently connect constraint create cross ctid cube current
    current_catalog current_date current_role current_schema current_time current_timestamp current_user
    cursor database date day default deferrable delete desc describe distinct drop else end escape except
    exclude exclusive exec execute exists extract false fetch file float following for foreign freeze from full
    function grant group groups having hour identified if ignore ilike in index initially inner insert int
    integer intersect interval into is isnull join key keys lateral leading left level like limit localtime
    localtimestamp lock long loop minus minute mode month natural new no not notnull null nulls number of
    offset offline old on online only open option or order outer over overlaps partition placing plan
    preceding primary procedure public qualify range rank read recursive references regexp release rename
    replace returning revoke right rlike row rows sample schema schemas second select session session_user set
    show similar size smallint some start struct symmetric sysdate system_user table tableoid tablesample then time
    timestamp to top trailing trigger true unbounded uid union unique unnest unpivot update usage use user using
    validate value values varchar variadic verbose view when whenever where window with within xmax xmin year
        """,
    )
)


@dataclass(frozen=True, slots=True)
class TableName:
    """A table by schema and name, both verbatim; SQLAlchemy quotes them."""

    name: str
    schema: str | None = None

    def __str__(self) -> str:
        """Return ``schema.table``, or the table alone, for messages."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


def parse_table(table: str, schema: str | None = None) -> TableName:
    """Read a table argument.

    Args:
        table: ``table``, ``schema.table`` or ``database.schema.table``; a part in double quotes is taken
            verbatim (``"odd.name"``, with quotes in it doubled). With ``schema`` it is a single name, dots included,
            unless all of it is in double quotes.
        schema: The schema, verbatim.

    Returns:
        The table's name.

    Raises:
        LoadConfigurationError: A part is empty, holds a NUL, or is ``None`` without quotes.
    """
    spelled = [table] if schema else _PARTS.findall(table)
    if "None" in spelled:
        raise LoadConfigurationError(
            f"table={table!r} is not a table name: a template in it may have rendered as nothing. If a table or schema "
            'has that name, put it in double quotes: "None".'
        )
    parts = list(map(_unquote, spelled))
    if any(not part.strip() or "\x00" in part for part in parts) or (schema and "\x00" in schema):
        raise LoadConfigurationError(f"table={table!r} is not a table name: a part is empty or holds a NUL.")
    return TableName(parts[-1], schema or ".".join(parts[:-1]) or None)


_PARTS = re.compile(r'(?:^|\.)("(?:[^"]|"")*"(?=\.|$)|[^.]*)')


def _unquote(part: str) -> str:
    if re.fullmatch(r'"(?:[^"]|"")*"', part):
        return part[1:-1].replace('""', '"')
    return part


def snake_case(raw: str) -> str:
    """Return ``raw`` in lower case with words joined by underscores, ASCII letters and digits only.

    Accents are dropped (``Größe`` becomes ``grosse``), and letters without an ASCII form too: the result can be empty.
    Only the first 1,024 characters count: a name can be a megabyte, and eighteen times as long in compatible form.
    """
    beginning = raw[:_EXAMINED].replace("ß", "ss")
    folded = normal_form("NFKD", beginning).encode("ascii", "ignore").decode("ascii")
    words = re.sub(r"([A-Z])(?=[A-Z][a-z])", r"\1_", folded)
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def plain_name(raw: str) -> str | None:
    """Return the column name of a field whose snake-case form no other field of the load has.

    Returns:
        The form, with a trailing underscore if it is a reserved word, with a leading one if it begins with a digit.
        None if it is empty or too long, so that the field needs a hashed name.
    """
    name = snake_case(raw)
    if not name or len(name) >= MAX_NAME_LENGTH:
        return None
    if name[0].isdigit():
        return f"_{name}"
    return f"{name}_" if name in _RESERVED_WORDS else name


def hashed_name(raw: str) -> str:
    """Return the column name of a field that would share one with another: its form and a hash of its raw name."""
    digest = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    form = snake_case(raw) or "column"
    if form[0].isdigit():
        form = f"_{form}"
    return f"{form[: MAX_NAME_LENGTH - _HASH_LENGTH - 1].rstrip('_')}_{digest}"


def assign_columns(
    fields: Iterable[str], *, known: Collection[str], existing: Container[str] = ()
) -> dict[str, str]:
    """Give every field of a load its own column name.

    Args:
        fields: Raw field names, in any order.
        known: Fields that the API documents; each keeps its own name, whatever else arrives.
        existing: Columns of the target.

    Returns:
        Column name by raw field name: unique, and the same for every order of ``fields``.
    """
    fields = list(dict.fromkeys(fields))
    names = {raw: raw for raw in fields if raw in known}
    others = [raw for raw in fields if raw not in known]
    wanted = Counter(plain_name(raw) for raw in others)
    for raw in others:
        plain, hashed = plain_name(raw), hashed_name(raw)
        if plain is None or hashed in existing or plain in known or wanted[plain] > 1:
            names[raw] = hashed
        else:
            names[raw] = plain
    return _without_clashes(names, known)


def _without_clashes(names: dict[str, str], known: Collection[str]) -> dict[str, str]:
    """Give a hashed name to fields whose plain name is another field's hashed name."""
    while clashes := {name for name, count in Counter(names.values()).items() if count > 1}:
        moved = {
            raw: hashed_name(raw)
            for raw, name in names.items()
            if name in clashes and raw not in known and name != hashed_name(raw)
        }
        if not moved:
            raise LoadConfigurationError(
                f"Two fields share the column name(s) {sorted(clashes)}; name them apart with columns=."
            )
        names = names | moved
    return names


def check_column_name(name: str) -> None:
    """Check a column name given by the user, which is used verbatim.

    Raises:
        LoadConfigurationError: It is empty or too long, holds control characters, or is reserved for the loader.
    """
    if (
        not name.strip()
        or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_LENGTH
        or not name.isprintable()
    ):
        raise LoadConfigurationError(
            f"columns: {name!r} is not a column name: use 1 to {MAX_NAME_LENGTH} bytes of printable characters."
        )
    if name.lower() == EXTRA or name.lower().startswith("_cleanlist_"):
        raise LoadConfigurationError(f"columns: the name {name!r} belongs to the loader; choose another one.")
