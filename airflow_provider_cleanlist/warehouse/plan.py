"""What a load decides: where it resumes, the columns of both tables, and whether the list was read completely."""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow_provider_cleanlist.input_limits import CHECKPOINT_CHARACTERS
from airflow_provider_cleanlist.redaction import redacted
from airflow_provider_cleanlist.warehouse import naming
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.types import ColumnType

RESUME_WITHIN = timedelta(hours=24)
"""A stage untouched for longer is stale: the list is read again from the start."""
OUTDATED = "outdated"
"""Fingerprint of a stage whose list another run has loaded into the same table since: nothing of it is published."""
DAMAGED = "damaged"
"""Fingerprint of a stage whose record holds what no attempt writes."""

_MAX_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a load has come: everything before it is in the staging table.

    Attributes:
        pages: Pages staged, which is the number of the last one.
        rows: Rows staged.
        cursor: Cursor of the next page; None before the first and after the last.
        complete: Whether the last page is staged.
        total: Size of the list as the last page reported it.
        fields: Names of the fields, in the order of their staging columns.
        cleaned: Number of values that NUL, lone surrogates or NaN were removed from.
        report: What the load reports, once it is published.
    """

    pages: int = 0
    rows: int = 0
    cursor: str | None = None
    complete: bool = False
    total: int | None = None
    fields: tuple[str, ...] = ()
    cleaned: int = 0
    report: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """Return the checkpoint as one JSON document."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, separators=(",", ":"))

    @classmethod
    def from_json(cls, document: str) -> Checkpoint:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: It is damaged.
        """
        try:
            values = {} if len(document) > CHECKPOINT_CHARACTERS else json.loads(document)
            checkpoint = cls(**values | {"fields": tuple(values["fields"])})
            if isinstance(values["fields"], list) and checkpoint._is_valid():
                return checkpoint
        except (TypeError, KeyError, RecursionError):
            pass
        raise ValueError("damaged")

    def _is_valid(self) -> bool:
        return (
            _is_count(self.pages, _MAX_INTEGER)
            and all(map(_is_count, (self.rows, self.cleaned)))
            and isinstance(self.complete, bool)
            and isinstance(self.cursor, str | None)
            and (self.total is None or type(self.total) is int)
            and isinstance(self.report, dict | None)
            and all(isinstance(field, str) for field in self.fields)
        )


def _is_count(value: object, largest: int = 2**63 - 1) -> bool:
    return type(value) is int and 0 <= value <= largest


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A row of the table of loads in flight: a stage, and the attempt that holds it."""

    attempt: int
    fingerprint: str
    updated_at: datetime
    checkpoint: Checkpoint

    @classmethod
    def of_row(cls, row: Any) -> StageRecord:
        """Return what a row says; one that is damaged has no checkpoint."""
        try:
            updated_at = datetime.fromisoformat(row.updated_at).astimezone(UTC)
            return cls(row.attempt, row.fingerprint, updated_at, Checkpoint.from_json(row.checkpoint))
        except (TypeError, ValueError, OverflowError):
            return cls(row.attempt, DAMAGED, datetime.min.replace(tzinfo=UTC), Checkpoint())

    @property
    def next_attempt(self) -> int:
        """Number of the attempt that takes the stage over."""
        return self.attempt + 1 if _is_count(self.attempt, _MAX_INTEGER - 1) else 1


ResumeDecision = Literal["start", "resume", "published"]


def decide_resume(record: StageRecord | None, spec: LoadSpec, now: datetime) -> ResumeDecision:
    """Decide what to do with the stage that an earlier attempt at the same load may have left.

    Returns:
        ``published`` if only cleaning up is left, ``resume`` to continue after the checkpoint, else ``start``.
    """
    if (
        record is None
        or abs(now - record.updated_at) > RESUME_WITHIN
        or record.fingerprint != spec.fingerprint
    ):
        return "start"
    if record.checkpoint.report is not None:
        return "published"
    return "resume" if record.checkpoint.pages else "start"


@dataclass(frozen=True, slots=True)
class StageCounts:
    """What the staging table holds once the list has been read.

    Attributes:
        rows: Staged rows.
        records: Distinct values of the id field.
        keys: Distinct keys: the rows that will be written.
        without_key: Rows with a NULL in the key.
    """

    rows: int
    records: int
    keys: int
    without_key: int = 0


@dataclass(frozen=True, slots=True)
class CountVerdict:
    """How the number of records read compares with the list's own count.

    Attributes:
        confirmed: Whether exactly as many records were read as the list says it has.
        message: What to log, if anything.
        fail: Whether the load must stop.
        is_short: Whether fewer records were read than the list says it has.
    """

    confirmed: bool
    message: str | None = None
    fail: bool = False
    is_short: bool = False


def check_counts(counts: StageCounts, total: int | None, spec: LoadSpec) -> CountVerdict:
    """Compare the number of distinct records with the size of the list, as its last page or the list itself said.

    Args:
        counts: What was read.
        total: The size of the list; None if it is not known.
        spec: The load, which says what happens when they differ.
    """
    check = spec.row_count_check
    if total == counts.records:
        return CountVerdict(confirmed=True)
    # nothing would be left of what the other modes replace
    is_emptied = counts.records == 0 and spec.mode != "merge"
    if total is None:
        if is_emptied and spec.source_changes and spec.source == "pages":
            message = "Nothing was read of the list, and it did not report its size: it may not be empty."
            return CountVerdict(confirmed=False, message=message, fail=True)
        message = f"The list did not report its size, so nothing confirms that {counts.records} records are all of it."
        return CountVerdict(confirmed=False, message=None if check == "off" else message)
    message = (
        f"Read {counts.records} distinct records ({counts.rows} rows), but the list's last page reported a total of "
        f"{total}: the list changed while it was read."
    )
    if spec.source == "export":
        message = (
            f"The export has {counts.records} distinct records ({counts.rows} rows), but the list said that it has "
            f"{total}: the list changed meanwhile, or the export is not all of it."
        )
    is_short = counts.records < total
    fails = check == "fail" or (is_short and (spec.refuses_fewer or is_emptied))
    tells = fails or check != "off"
    return CountVerdict(confirmed=False, message=message if tells else None, fail=fails, is_short=is_short)


def check_keys(counts: StageCounts, spec: LoadSpec) -> None:
    """Refuse records without a key, which nothing identifies.

    Raises:
        LoadDataError: A record has no value in one of the key's fields.
    """
    if counts.without_key:
        raise LoadDataError(
            f"{counts.without_key} of {counts.rows} rows have no value in {', '.join(spec.key_fields)}, as the key "
            f"requires. The target is unchanged. Choose a key that every record has, such as {spec.id_field!r}."
        )


@dataclass(frozen=True, slots=True)
class TargetColumns(Collection[str]):
    """The columns that a target has, compared as its database compares names.

    Args:
        names: The columns in order.
        ignores_case: Whether the database treats ``Email`` and ``email`` as the same column.
    """

    names: tuple[str, ...]
    ignores_case: bool = False
    _compared: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Bring the names into the form in which they are compared."""
        compared = (name.lower() for name in self.names) if self.ignores_case else self.names
        object.__setattr__(self, "_compared", frozenset(compared))

    def __contains__(self, name: object) -> bool:
        """Whether there is a column of this name."""
        return (str(name).lower() if self.ignores_case else name) in self._compared

    def __iter__(self) -> Iterator[str]:
        """Yield the names in order."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.names)


@dataclass(frozen=True, slots=True)
class StagedColumn:
    """A field's column in the staging table, decided when the field is first met.

    Attributes:
        raw: Name of the field.
        staging: Name in the staging table, made of type and number: field names could clash or do harm.
        type: Type in both tables.
        is_key: Whether records are compared by it: it is in the key, or the id field.
    """

    raw: str
    staging: str
    type: ColumnType
    is_key: bool


@dataclass(frozen=True, slots=True)
class Column(StagedColumn):
    """A field's column in both tables, decided when every field of the load is known.

    Attributes:
        target: Name in the target.
    """

    target: str


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """How a load fills the target.

    Attributes:
        columns: The fields' columns, in the order of the staging table.
        meta: The loader's own columns, in order.
        key: The key's columns in the target.
        added: Columns that the target lacks; all of them if there is no target yet.
    """

    columns: tuple[Column, ...]
    meta: tuple[str, ...]
    key: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """All columns that the load writes."""
        return (*(column.target for column in self.columns), *self.meta)


def staged_column(spec: LoadSpec, number: int, raw: str) -> StagedColumn:
    """Decide the staging column of a field.

    Args:
        spec: The load.
        number: Number of staging columns before it.
        raw: Name of the field.
    """
    kind = spec.column_type(raw)
    return StagedColumn(raw, f"{kind}_{number}", kind, raw in (spec.id_field, *spec.key_fields))


def staged_columns(spec: LoadSpec, fields: Iterable[str]) -> tuple[StagedColumn, ...]:
    """Decide the staging columns of fields, in the order in which they were met."""
    return tuple(staged_column(spec, number, raw) for number, raw in enumerate(fields))


def plan_target(spec: LoadSpec, fields: Sequence[str], target: TargetColumns | None) -> TargetPlan:
    """Decide the target's columns.

    Args:
        spec: The load.
        fields: Every field of the load in the order of the staging table, ``_extra`` included.
        target: Columns of the target; None if it does not exist.

    Raises:
        LoadConfigurationError: ``schema_evolution`` forbids a column that is needed, or names clash.
    """
    existing = target or TargetColumns(())
    names = column_names(spec, fields, existing)
    columns = tuple(
        Column(staged.raw, staged.staging, staged.type, staged.is_key, names[staged.raw])
        for staged in staged_columns(spec, fields)
    )
    meta = meta_columns(spec)
    if naming.DELETED_AT in existing and naming.DELETED_AT not in meta:
        meta = (*meta, naming.DELETED_AT)
    added = tuple(name for name in (*names.values(), *meta) if name not in existing)
    forbidden = [name for name in added if name not in meta and name != naming.EXTRA]
    if target is not None and forbidden and spec.schema_evolution != "add":
        raise LoadConfigurationError(
            f"{spec.table} has no column for {forbidden}, and schema_evolution={spec.schema_evolution!r} adds none. "
            "Add the columns, leave the fields out with columns= or exclude_columns=, or set schema_evolution='add'."
        )
    fields_of_key = iter(spec.key_fields)
    key = tuple(part if part in naming.META_COLUMNS else names[next(fields_of_key)] for part in spec.row_key)
    return TargetPlan(columns, meta, key, added)


def unfilled_columns(
    spec: LoadSpec, plan: TargetPlan, target: TargetColumns | None
) -> dict[str, tuple[Column, ...]]:
    """Return the target's columns that an earlier load may have filled with fields that have hashed names now.

    Args:
        spec: The load.
        plan: The target's columns.
        target: Columns that the target had before; None if it did not exist.

    Returns:
        The fields' columns by the column that each would have if no other field had the same form.
    """
    found: dict[str, tuple[Column, ...]] = {}
    for column in plan.columns:
        plain = naming.plain_name(column.raw)
        if plain is None or column.target != naming.hashed_name(column.raw) or plain in spec.known_fields:
            continue
        if plain in (target or ()) and plain not in plan.written:
            found[plain] = (*found.get(plain, ()), column)
    return found


def column_names(spec: LoadSpec, fields: Sequence[str], existing: Container[str] = ()) -> dict[str, str]:
    """Return the target column of every field: the name that ``columns`` gives, else the field's own."""
    renamed = {raw: name for raw, name in (spec.columns or {}).items() if name is not None}
    fixed = {*spec.known_fields, *renamed.values()}
    if spec.schema_evolution == "ignore":
        fixed.add(naming.EXTRA)
    own = naming.assign_columns([raw for raw in fields if raw not in renamed], known=fixed, existing=existing)
    clashes = sorted({name.lower() for name in own.values()} & {name.lower() for name in renamed.values()})
    if clashes:
        raise LoadConfigurationError(
            f"columns gives the name(s) {clashes} to a field, but another field has them."
        )
    return {raw: renamed.get(raw) or own[raw] for raw in fields}


def meta_columns(spec: LoadSpec) -> tuple[str, ...]:
    """Return the loader's own columns that this load writes."""
    columns = [naming.LIST_ID, naming.SYNCED_AT, naming.RUN_ID]
    if spec.mode == "snapshot":
        columns.append(naming.SNAPSHOT_DATE)
    if spec.on_missing == "soft_delete":
        columns.append(naming.DELETED_AT)
    return tuple(columns)


def accepts_field(spec: LoadSpec, raw: str, target: TargetColumns | None) -> bool:
    """Whether a field gets a column of its own; if not, it goes into ``_extra``.

    Raises:
        LoadConfigurationError: ``schema_evolution="fail"`` and the target has no column for it.
    """
    if spec.schema_evolution == "add":
        return True
    if spec.schema_evolution == "ignore" and raw == naming.EXTRA:
        return False
    if target is None:
        return spec.schema_evolution == "fail" or raw in spec.initial_fields
    if column_names(spec, [raw], target)[raw] in target:
        return True
    if spec.schema_evolution == "fail":
        raise LoadConfigurationError(
            f"The records have the field {redacted(raw)!r}, {spec.table} has no column for it, and "
            "schema_evolution='fail'. Nothing was written. Add the column, leave the field out, or set "
            "schema_evolution='add' or 'ignore'."
        )
    return False
