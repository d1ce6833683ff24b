"""What a load is asked to do."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any, Literal, get_args

from airflow_provider_cleanlist.input_limits import normal_form
from airflow_provider_cleanlist.redaction import shown
from airflow_provider_cleanlist.warehouse import naming
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.types import ColumnType

Mode = Literal["merge", "replace", "append", "snapshot"]
ReplaceScope = Literal["list", "table"]
OnMissing = Literal["keep", "soft_delete", "delete"]
SchemaEvolution = Literal["add", "ignore", "fail"]
RowCountCheck = Literal["warn", "fail", "off"]
Source = Literal["pages", "export"]

LEAD_FIELDS = (
    "lead_id",
    "first_name",
    "last_name",
    "full_name",
    "email",
    "phone",
    "title",
    "company",
    "location",
    "linkedin_url",
    "provider",
)
"""Fields of a lead that the API documents; only ``lead_id`` is guaranteed."""

_PIECE = 256
_STAGE_PREFIX = "_cleanlist_stage_"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """One load: which records go into which table, and how.

    Args:
        list_id: The list that the records belong to.
        load_id: The same for every attempt at this load, and for no other load.
        run_id: Written to ``_cleanlist_run_id``; ``append`` replaces rows of the same run and list.
        table: The target.
        mode, key, replace_scope, on_missing, schema_evolution, columns, exclude_columns, hash_columns,
            column_types, row_count_check: As in ``LeadListToWarehouseOperator``.
        snapshot_date: The day that ``snapshot`` replaces.
        staging_schema: Schema of the staging tables; None means the target's.
        hash_secret: Key of the HMAC for ``hash_columns``.
        known_fields: Fields that the API documents; a new table has columns for them even if no record has them.
        id_field: The field that identifies a record; every record must have it.
        source: Whether records come as JSON pages, or as the cells of an export, which are text. A stage never holds
            both.
        source_changes: Whether the records can change where they come from, as leads of a list do and results of
            enrichment do not.
        newest_by: A field with the moment that a record is of: a row of the target that has a later one stays as it is.
            By default, what is read last is the newest.
        reads: What is read, where that is not the same for every attempt at the load: what one has staged is of no use
            to another that reads something else.
        refuses_fewer: Whether fewer records than the list says it has stop the load, whatever ``row_count_check`` says:
            there is another way to read it.

    Attributes:
        key_fields: Fields of the records in ``key``, which can name a field or the column that ``columns`` gives it.
        initial_fields: Fields that get a column even if no record has them.
    """

    list_id: str
    load_id: str
    run_id: str
    table: TableName
    mode: Mode = "merge"
    key: Sequence[str] = (naming.LIST_ID, "lead_id")
    replace_scope: ReplaceScope = "list"
    on_missing: OnMissing = "keep"
    schema_evolution: SchemaEvolution = "add"
    columns: Mapping[str, str | None] | None = None
    exclude_columns: Collection[str] = ()
    hash_columns: Collection[str] = ()
    column_types: Mapping[str, ColumnType] = field(default_factory=dict)
    snapshot_date: date | None = None
    staging_schema: str | None = None
    row_count_check: RowCountCheck = "warn"
    hash_secret: str | None = field(default=None, repr=False)
    known_fields: tuple[str, ...] = LEAD_FIELDS
    id_field: str = "lead_id"
    source: Source = "pages"
    source_changes: bool = True
    newest_by: str | None = None
    reads: str = ""
    refuses_fewer: bool = False
    key_fields: tuple[str, ...] = field(init=False, repr=False, compare=False)
    initial_fields: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse arguments that are invalid or contradict each other.

        Raises:
            LoadConfigurationError: An argument is unknown or contradicts another one.
        """
        _check_word("mode", self.mode, Mode)
        _check_word("replace_scope", self.replace_scope, ReplaceScope)
        _check_word("on_missing", self.on_missing, OnMissing)
        _check_word("schema_evolution", self.schema_evolution, SchemaEvolution)
        _check_word("row_count_check", self.row_count_check, RowCountCheck)
        for column, kind in self.column_types.items():
            _check_word(f"column_types[{column!r}]", kind, ColumnType)
        if self.on_missing != "keep" and self.mode != "merge":
            raise LoadConfigurationError(
                f"on_missing={self.on_missing!r} works with mode='merge' only, not with {self.mode!r}."
            )
        if self.mode == "snapshot" and self.snapshot_date is None:
            raise LoadConfigurationError("mode='snapshot' needs a snapshot_date.")
        if self.hash_columns and not self.hash_secret:
            raise LoadConfigurationError(
                "hash_columns needs a secret: set `hash_secret` in the extra of the Cleanlist connection."
            )
        object.__setattr__(self, "key_fields", self._key_fields())
        object.__setattr__(self, "initial_fields", self._initial_fields())
        self._check_columns()
        self._check_key()

    def _check_columns(self) -> None:
        renamed = [name for name in (self.columns or {}).values() if name is not None]
        for name in renamed:
            naming.check_column_name(name)
        if len({name.lower() for name in renamed}) < len(renamed):
            raise LoadConfigurationError("columns gives the same column name to two fields.")
        if self.columns is not None and (both := [raw for raw in self.columns if self.is_excluded(raw)]):
            raise LoadConfigurationError(f"columns and exclude_columns both name {both}.")

    def _check_key(self) -> None:
        if not self.key or len(set(self.key)) < len(self.key):
            raise LoadConfigurationError("key needs at least one column, and no column twice.")
        if not self.key_fields:
            raise LoadConfigurationError(
                f"key={tuple(self.key)!r} has no field of the records: add {self.id_field!r}."
            )
        identifying = dict.fromkeys((self.id_field, *self.key_fields))
        missing = [raw for raw in identifying if self.is_excluded(raw)]
        if missing:
            raise LoadConfigurationError(f"exclude_columns leaves out {missing}, which identify the records.")
        unusable = {*self.key} & {naming.SYNCED_AT, naming.DELETED_AT, naming.EXTRA}
        if naming.SNAPSHOT_DATE in self.key and self.mode != "snapshot":
            unusable.add(naming.SNAPSHOT_DATE)
        if unusable:
            raise LoadConfigurationError(f"key cannot hold {sorted(unusable)} with mode={self.mode!r}.")

    def _key_fields(self) -> tuple[str, ...]:
        raw_names = {name: raw for raw, name in (self.columns or {}).items() if name is not None}
        return tuple(raw_names.get(part, part) for part in self.key if part not in naming.META_COLUMNS)

    def _initial_fields(self) -> tuple[str, ...]:
        chosen = self.known_fields if self.columns is None else tuple(self.columns)
        fields = dict.fromkeys((self.id_field, *self.key_fields, *chosen))
        return tuple(raw for raw in fields if not self.is_excluded(raw))

    def is_wanted(self, raw: str) -> bool:
        """Whether a field of a record is loaded at all."""
        is_chosen = self.columns is None or raw in self.columns or raw in (self.id_field, *self.key_fields)
        return is_chosen and not self.is_excluded(raw)

    def is_excluded(self, raw: str) -> bool:
        """Whether ``exclude_columns`` names the field, exactly or in another spelling."""
        return _names(self.exclude_columns, raw)

    def is_hashed(self, raw: str) -> bool:
        """Whether ``hash_columns`` names the field, exactly or in another spelling."""
        return _names(self.hash_columns, raw)

    def column_type(self, raw: str) -> ColumnType:
        """Return the type of a field's column; ``column_types`` can name the field or the column."""
        aliases = (raw, (self.columns or {}).get(raw), naming.plain_name(raw), naming.hashed_name(raw))
        return next(
            (self.column_types[name] for name in aliases if name and name in self.column_types), "text"
        )

    @property
    def updates_rows(self) -> bool:
        """Whether the load updates rows of the target in place."""
        return self.mode == "merge" or self._repeats_records

    @property
    def _repeats_records(self) -> bool:
        """Whether a repetition of the load replaces records one by one, and not the whole of its scope.

        Records that cannot change are results, and tasks that load other results have the same run, day and list.
        """
        return self.mode in ("append", "snapshot") and not self.source_changes

    @property
    def deletes_rows(self) -> bool:
        """Whether the load, or a repetition of it, deletes rows of the target."""
        return not self.updates_rows or self.on_missing == "delete"

    @property
    def row_key(self) -> tuple[str, ...]:
        """Columns by which rows of the target and records belong together."""
        return tuple(dict.fromkeys((*(self.scope if self._repeats_records else ()), *self.key)))

    @property
    def privileges(self) -> str:
        """What the load must be allowed to do, for messages."""
        changes = ["UPDATE"] * self.updates_rows + ["DELETE"] * self.deletes_rows
        schema = f"schema {self.stage.schema}" if self.stage.schema else "the schema of the connection"
        return (
            f"This load needs {', '.join(('SELECT', 'INSERT', *changes))} on {self.table} (ALTER too, to add columns; "
            f"CREATE in its schema, if it is new), SELECT, INSERT, UPDATE, DELETE on {self.registry}, and CREATE in "
            f"{schema}, for staging tables, which it alters and drops."
        )

    @property
    def compares_keys(self) -> bool:
        """Whether rows of the target are compared with the records by key."""
        by_key = self.replace_scope == "list" and naming.LIST_ID not in self.key
        return self.updates_rows or (self.mode == "replace" and by_key)

    @property
    def outdates_others(self) -> bool:
        """Whether what others have read of the list before is of no use once this load has published it."""
        by_reading = self.source_changes and self.newest_by is None
        return by_reading and self.mode in ("merge", "replace")  # the others write rows of their own

    @property
    def scope(self) -> tuple[str, ...]:
        """The loader's columns that say which rows ``replace``, ``append`` and ``snapshot`` replace; empty for all.

        Of these rows, ``append`` and ``snapshot`` of results replace only the same results.
        """
        lists = (naming.LIST_ID,) if self.replace_scope == "list" else ()
        match self.mode:
            case "append":
                return (naming.LIST_ID, naming.RUN_ID)
            case "snapshot":
                return (naming.SNAPSHOT_DATE, *lists)
            case _:
                return lists

    @property
    def stage(self) -> TableName:
        """The staging table of this load, the same for every attempt."""
        digest = hashlib.sha256("\0".join((self.load_id, self.list_id, str(self.table))).encode()).hexdigest()
        return TableName(f"{_STAGE_PREFIX}{digest[:16]}", self.staging_schema or self.table.schema)

    @property
    def registry(self) -> TableName:
        """The table that records the loads in flight in a staging schema."""
        return TableName("_cleanlist_loads", self.staging_schema or self.table.schema)

    def into(self, columns: Iterable[str] | None) -> LoadSpec:
        """Return the load into a target as it is found: by its columns, ``ignore`` decides what goes into ``_extra``.

        Args:
            columns: The target's columns; None if it does not exist.
        """
        if self.schema_evolution != "ignore":
            return self
        return replace(self, reads=repr((self.reads, None if columns is None else sorted(columns))))

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides how records are staged and published.

        What was staged in another way cannot be used, and what was published in another way is not what is asked for.
        """
        loaded_by = (
            self.mode,
            self.replace_scope,
            self.on_missing,
            self.snapshot_date,
            self.key_fields,
            self.schema_evolution,
            None if self.columns is None else sorted(self.columns.items()),
            sorted(self.exclude_columns),
            sorted(self.hash_columns),
            sorted(self.column_types.items()),
            self.hash_secret,
            *((self.source,) if self.source != "pages" else ()),
            *((self.reads,) if self.reads else ()),
        )
        return hashlib.sha256(repr(loaded_by).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_stage_name(name: str) -> bool:
    """Whether a table's name is that of a staging table, which may be dropped."""
    return name.startswith(_STAGE_PREFIX)


def _check_word(argument: str, value: str, words: Any) -> None:
    if value not in get_args(words):
        raise LoadConfigurationError(f"{argument}={shown(value)} is not one of {', '.join(get_args(words))}.")


def _names(names: Collection[str], raw: str) -> bool:
    if not names:
        return False
    all_letters = _letters_of_all(frozenset(names))
    letters = _letters(raw, max(map(len, all_letters)))
    return raw in names or (letters != "" and letters in all_letters)


def naming_nothing(names: Iterable[str], fields: Iterable[str], prefixes: tuple[str, ...]) -> list[str]:
    """Return those names that name none of the fields, in any spelling, nor one that begins with a prefix.

    Args:
        names: Names of fields to hide.
        fields: Fields that records have.
        prefixes: Letters with which any other of their fields begins.
    """
    known = _letters_of_all(frozenset(fields))
    return [
        name for name in names if (found := _letters(name)) not in known and not found.startswith(prefixes)
    ]


@lru_cache(maxsize=16)
def _letters_of_all(names: frozenset[str]) -> frozenset[str]:
    return frozenset(map(_letters, names))


def _letters(name: str, enough: int = sys.maxsize) -> str:
    """Return the letters and digits of a name, whichever way they are written: ``E-Mail`` is ``email``.

    Args:
        name: The name; one of a megabyte may be eighteen times as long in compatible form.
        enough: Letters after which the rest makes no difference.
    """
    letters = ""
    for begin in range(0, len(name), _PIECE):
        if len(letters) > enough:
            break
        compatible = normal_form("NFKD", name[begin : begin + _PIECE]).casefold()
        letters += "".join(filter(str.isalnum, normal_form("NFKD", compatible)))
    return letters
