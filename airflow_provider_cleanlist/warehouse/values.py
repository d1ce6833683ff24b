"""Records become rows: cleaned, hashed and typed, without any I/O."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import repeat
from operator import itemgetter
from typing import Any

from airflow_provider_cleanlist.input_limits import CELLS, COLUMNS, FIELD_CHARACTERS
from airflow_provider_cleanlist.records import ColumnRecords
from airflow_provider_cleanlist.warehouse import naming
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.plan import (
    StagedColumn,
    TargetColumns,
    accepts_field,
    staged_column,
)
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.types import ColumnType, Row

_Convert = Callable[[Sequence[Any]], Sequence[Any]]

_NOT_JSON = re.compile("NaN|Infinity")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BLANK = re.compile("[\\s\x00\ud800-\udfff]*")
_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})


def clean(text: str) -> str:
    """Remove what databases cannot store as text: NUL and lone surrogates."""
    return _UNSTORABLE.sub("", text)


def clean_nested(value: Any) -> Any:
    """Clean every string in lists and objects, including the names of fields; NaN and infinity, not JSON, are None."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(name): clean_nested(item) for name, item in value.items()}
    return [clean_nested(item) for item in value] if isinstance(value, list) else value


def to_json(value: Any) -> str:
    """Return a value as compact JSON, with characters outside ASCII unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def parse_document(text: Any) -> Any:
    """Return what a JSON document says; any other text stands for itself."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text


def _is_storable(text: str) -> bool:
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_storable_texts(values: Sequence[Any]) -> bool:
    """Whether all values are storable texts or None; checking them joined is faster than one by one."""
    try:
        return _is_storable("".join([value for value in values if value is not None]))
    except TypeError:
        return False


def _to_integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    number = int(_decimal(value, _INTEGER).partition(".")[0] if isinstance(value, str) else value)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _to_float(value: Any) -> float:
    number = float(_decimal(value, _NUMBER) if isinstance(value, str) else value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _decimal(text: str, form: re.Pattern[str]) -> str:
    """Return a text that is a plain number in ASCII digits; Python would also read ``1_000`` and ``nan``."""
    if form.fullmatch(text.strip()) is None:
        raise ValueError
    return text.strip()


def _to_boolean(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _to_timestamp(value: Any) -> datetime:
    moment = datetime.fromisoformat(value.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _to_date(value: Any) -> date:
    text = value.strip()
    return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text).date()


_CONVERTERS: dict[ColumnType, Callable[[Any], Any]] = {
    "integer": _to_integer,
    "float": _to_float,
    "boolean": _to_boolean,
    "date": _to_date,
    "timestamp": _to_timestamp,
}


def convert(value: Any, kind: ColumnType) -> Any:
    """Return a value as a number, boolean, date or timestamp.

    A blank string is NULL. Numbers and booleans can be text; numbers have ASCII digits and a decimal point, an integer
    no fraction but zero. Dates and timestamps are ISO 8601, and UTC if they have no zone.

    Raises:
        ValueError: The value does not have that type. The message does not contain the value.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return _CONVERTERS[kind](value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise ValueError(kind) from None


def _unchanged(value: Any) -> Any:
    return value


def _is_blank(value: Any) -> bool:
    """Return whether a value of the key identifies nothing: its records would become one."""
    return isinstance(value, str) and _BLANK.fullmatch(value) is not None


def _no_values(record: Mapping[str, Any]) -> tuple[Any, ...]:
    raise KeyError


class RowMaker:
    """Turns records into rows of a staging table, which gets a column whenever a new field appears.

    Args:
        spec: The load.
        fields: Fields that have a staging column from an earlier attempt.
        target: Columns of the target; None if it does not exist.

    Attributes:
        cleaned: Values that lost a NUL or a lone surrogate so far.
    """

    def __init__(
        self, spec: LoadSpec, fields: Sequence[str] = (), target: TargetColumns | None = None
    ) -> None:
        self._spec = spec
        self._target = target
        self._columns: list[StagedColumn] = []
        self._converters: list[_Convert] = []
        self._values_of: Callable[[Mapping[str, Any]], tuple[Any, ...]] = _no_values
        self._into_extra: dict[str, Callable[[Any], Any] | None] = {}
        self._remembered_characters = 0
        self.cleaned = 0
        self._add_columns(fields or self._first_fields())

    def _first_fields(self) -> list[str]:
        needed = {self._spec.id_field, *self._spec.key_fields}
        evolution = self._spec.schema_evolution
        fields = [
            raw
            for raw in self._spec.initial_fields
            if raw in needed or evolution == "fail" or accepts_field(self._spec, raw, self._target)
        ]
        takes_others = self._spec.columns is None or len(fields) < len(self._spec.initial_fields)
        return [*fields, naming.EXTRA] if evolution == "ignore" and takes_others else fields

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields in the order of their staging columns."""
        return tuple(column.raw for column in self._columns)

    @property
    def columns(self) -> tuple[StagedColumn, ...]:
        """Staging columns of the fields."""
        return tuple(self._columns)

    def batches(self, records: Sequence[Mapping[str, Any]], page: int) -> Iterator[list[Row]]:
        """Yield a page's records as rows ``(page, row, *values)``, with a value for each of ``columns``.

        Every row is as wide as all fields together, however few of them its record has: pages of many records become
        several batches, a page without any an empty one.

        Raises:
            LoadDataError: A record has no id, or a value does not have its column's type.
            LoadConfigurationError: ``schema_evolution`` forbids a field, or there are more fields than columns.
        """
        met = records.columns if isinstance(records, ColumnRecords) else set().union(*records)
        if self._remembered_characters > FIELD_CHARACTERS:
            self._forget_fields()
        if unmet := set(met) - self._into_extra.keys():
            self._meet_fields(unmet)
        size = CELLS // len(self._columns)
        for before in range(0, len(records) or 1, size):
            yield self._rows(records[before : before + size], page, before)

    def _rows(self, records: Sequence[Mapping[str, Any]], page: int, before: int) -> list[Row]:
        values = list(self._values(records))
        for raw in {self._spec.id_field, *self._spec.key_fields}.intersection(self.fields):
            place = self.fields.index(raw)
            values[place] = [None if _is_blank(value) else value for value in values[place]]
        try:
            self._check_ids(values[self.fields.index(self._spec.id_field)])
            converted = [convert(column) for convert, column in zip(self._converters, values, strict=True)]
        except _UnfitValueError as unfit:
            message = f"Page {page}, row {before + unfit.row}: {unfit} The target is unchanged."
            raise LoadDataError(message) from None
        return list(zip(repeat(page), range(before + 1, before + len(records) + 1), *converted, strict=False))

    def _values(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Sequence[Any]]:
        """Return the values of each field, None where a record lacks it; for ``_extra``, the records themselves."""
        if isinstance(records, ColumnRecords):
            nothing = (None,) * len(records)
            return [
                records if convert == self._extras else records.columns.get(raw, nothing)
                for raw, convert in zip(self.fields, self._converters, strict=True)
            ]
        try:
            return [*zip(*map(self._values_of, records), strict=True)] or [()] * len(self._columns)
        except KeyError:
            return [
                records if convert == self._extras else [record.get(raw) for record in records]
                for raw, convert in zip(self.fields, self._converters, strict=True)
            ]

    def _forget_fields(self) -> None:
        """Forget what was decided of fields without a column; there may be ever new ones."""
        self._into_extra = {raw: None for raw in self.fields if self._into_extra.get(raw, raw) is None}
        self._remembered_characters = 0

    def _meet_fields(self, unmet: Collection[str]) -> None:
        new = []
        for raw in sorted(unmet):
            wanted = self._spec.is_wanted(raw)
            if wanted and accepts_field(self._spec, raw, self._target):
                new.append(raw)
            else:
                self._remembered_characters += len(raw)
                self._into_extra[raw] = self._extra_form(raw) if wanted else None
        if new and len(self._columns) + len(new) > COLUMNS:
            raise LoadConfigurationError(
                f"The records have more than {COLUMNS:,} fields, and {self._spec.table} would get a column for each. "
                "The target is unchanged. Name those to load with columns=, or set schema_evolution='ignore', which "
                "puts new ones into one column."
            )
        if sum(map(len, (*self.fields, *new))) > FIELD_CHARACTERS:
            raise LoadConfigurationError(
                f"The names of the records' fields have more than {FIELD_CHARACTERS:,} characters together. The target "
                "is unchanged. Name those to load with columns=, or set schema_evolution='ignore', which puts new ones "
                "into one column."
            )
        self._add_columns(new)

    def _add_columns(self, fields: Sequence[str]) -> None:
        for raw in fields:
            column = staged_column(self._spec, len(self._columns), raw)
            self._columns.append(column)
            self._converters.append(self._converter(column))
        if len(self._columns) > 1 and self._extras not in self._converters:
            self._values_of = itemgetter(*self.fields)
        else:
            self._values_of = _no_values

    def _converter(self, column: StagedColumn) -> _Convert:
        raw = column.raw
        if raw == naming.EXTRA and self._spec.schema_evolution == "ignore":
            return self._extras
        self._into_extra[raw] = None
        if self._spec.is_hashed(raw):
            return lambda values: [self._hash(value) for value in values]
        if column.type == "text":
            return self._texts
        return lambda values: self._typed(values, column)

    def _check_ids(self, ids: Sequence[Any]) -> None:
        if None in ids:
            raise _UnfitValueError(ids.index(None) + 1, f"the record has no {self._spec.id_field}.")

    def _texts(self, values: Sequence[Any]) -> Sequence[str | None]:
        return values if _are_storable_texts(values) else [self._text(value) for value in values]

    def _text(self, value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return to_json(value)
        if not isinstance(value, str):
            return self._json(value)
        cleaned = clean(value)
        self.cleaned += cleaned != value
        return cleaned

    def _json(self, value: Any) -> str:
        document = to_json(value)
        if "\\u0000" in document or _NOT_JSON.search(document) or not _is_storable(document):
            cleaned = to_json(clean_nested(value))
            self.cleaned += cleaned != document
            return cleaned
        return document

    def _document(self, text: Any) -> str:
        """Return the JSON document of a cell; one nested too deeply to be read or written is a text like any other."""
        try:
            return self._json(parse_document(text))
        except RecursionError:
            return self._json(text)

    def _typed(self, values: Sequence[Any], column: StagedColumn) -> Sequence[Any]:
        if column.type == "json":
            write = self._document if self._spec.source == "export" else self._json
            return [None if value is None else write(value) for value in values]
        converted = []
        for number, value in enumerate(values, start=1):
            try:
                converted.append(convert(value, column.type))
            except ValueError:
                reason = (
                    f"the value of {column.raw!r} is not of type {column.type}, which column_types gives it."
                )
                raise _UnfitValueError(number, reason) from None
        return converted

    def _extra_form(self, raw: str) -> Callable[[Any], Any] | None:
        """Return what makes a field's values those of ``_extra``; None if they do not go there."""
        if self._spec.schema_evolution != "ignore":
            return None
        return self._hash if self._spec.is_hashed(raw) else _unchanged

    def _extras(self, records: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
        return [self._extra_value(record) for record in records]

    def _extra_value(self, record: Mapping[str, Any]) -> str | None:
        extra = {
            raw: write(value) for raw, value in record.items() if (write := self._into_extra[raw]) is not None
        }
        return self._json(extra) if extra else None

    def _hash(self, value: Any) -> str | None:
        if value is None:
            return None
        text = value if isinstance(value, str) else to_json(value)
        secret = (self._spec.hash_secret or "").encode()
        return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


class _UnfitValueError(Exception):
    """A value that cannot be staged; the message names the field, never the value."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
