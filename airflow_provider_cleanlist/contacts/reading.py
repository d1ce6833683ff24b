"""From a source's rows to the contacts to send, with an account of every row.

Each row ends as exactly one of: accepted, duplicate, refused, blank, without a contact. :class:`ReadReport` counts
them and names rows by number, so that a log can say what happened without showing a value.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from types import TracebackType
from typing import NamedTuple, Self

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS, Contact, EnrichmentType
from airflow_provider_cleanlist.contacts.cells import (
    SQL_NULL,
    TEXTS,
    are_nobodys,
    chosen_values,
    cleaned_values,
    is_hidden_member,
    is_no_name,
    is_nothing,
    is_undecodable,
    plain_text,
)
from airflow_provider_cleanlist.contacts.columns import (
    ColumnPlan,
    changing_columns_error,
    check_mapping,
    checked_names,
    find_column,
    masked,
    plan_columns,
    several_people_error,
    unknown_mapping_error,
    unusable_columns_error,
)
from airflow_provider_cleanlist.contacts.errors import ColumnError, SourceError
from airflow_provider_cleanlist.contacts.identity import (
    Deduplicator,
    Rejection,
    RejectionReason,
    identity,
    initials,
    normalise,
    validate,
)
from airflow_provider_cleanlist.contacts.report import ReadReport, Tally
from airflow_provider_cleanlist.contacts.source_ids import SourceIds
from airflow_provider_cleanlist.contacts.sources import Source, SourceRow, WantedColumns

_MEMORY_BYTES = 1024 * 1024
_LACKING = frozenset(
    {RejectionReason.MISSING_IDENTITY, RejectionReason.MISSING_NAME, RejectionReason.MISSING_COMPANY}
)
_MAX_SHAPES = 1_000  # distinct sets of keys, and columns, remembered of rows that each bring their own
_MAX_CHARACTERS = 4_000_000  # of these keys


class UsableRow(NamedTuple):
    """A contact to send.

    Attributes:
        number: Its row.
        contact: The normalised contact.
        identity: Its identity, 12 bytes.
    """

    number: int
    contact: Contact
    identity: bytes

    def __repr__(self) -> str:
        """Show the row number only."""
        return f"UsableRow(row {self.number})"


class ContactSpool:
    """A sequence of accepted contacts on a local disk, written once and then read any number of times.

    Reading takes seconds, sending at 60 requests a minute takes hours. Between the two every row must be checked and
    counted, so that nothing is sent of an input that would be refused or cost too much, and a database must not keep
    a cursor open for hours. The file is private to the process and has no name: it is gone when the process ends,
    however it ends.

    Takes about 200 bytes of disk for a contact, and no memory beyond the first megabyte. Use it as a context
    manager, or call :meth:`close`.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: UsableRow) -> None:
        """Append a contact."""
        record = [row.number, row.identity.hex(), row.contact.payload()]
        self._file.write(json.dumps(record).encode() + b"\n")
        self._count += 1

    def __iter__(self) -> Iterator[UsableRow]:
        self._file.seek(0)
        for line in self._file:
            number, identity, fields = json.loads(line)
            yield UsableRow(number, Contact(**fields), bytes.fromhex(identity))

    def close(self) -> None:
        """Release the disk space."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class PendingContacts:
    """Contacts waiting to be submitted, on disk, by enrichment type. Use it as a context manager."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self._spools: dict[EnrichmentType, ContactSpool] = {}

    def __len__(self) -> int:
        return sum(map(len, self._spools.values()))

    @property
    def counts(self) -> dict[EnrichmentType, int]:
        """Number of contacts by enrichment type."""
        return {kind: len(spool) for kind, spool in self._spools.items()}

    def append(self, item: UsableRow, kind: EnrichmentType) -> None:
        """Add a contact after those of its type.

        Args:
            item: The contact.
            kind: What it is submitted for.
        """
        if kind not in self._spools:
            self._spools[kind] = self._files.enter_context(ContactSpool())
        self._spools[kind].append(item)

    def batches(self, size: int) -> Iterator[tuple[EnrichmentType, list[UsableRow]]]:
        """Yield the contacts in batches of one kind each.

        Args:
            size: Contacts in a batch at most.
        """
        for kind, spool in self._spools.items():
            contacts = iter(spool)
            while batch := list(islice(contacts, size)):
                yield kind, batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()


@dataclass(frozen=True, slots=True, repr=False)
class RejectedRow:
    """A row that cannot be sent.

    Attributes:
        number: The row.
        rejection: Why.
        values: The row's values by contact field, as they were.
    """

    number: int
    rejection: Rejection
    values: Mapping[str, object]

    def __repr__(self) -> str:
        """Show the row number and the reason only."""
        return f"RejectedRow(row {self.number}, {self.rejection.reason})"


def read_contacts(
    source: Source,
    report: ReadReport,
    *,
    column_mapping: Mapping[str, str | None] | None = None,
    deduplicate: bool = True,
    source_ids: SourceIds | None = None,
) -> Iterator[UsableRow | RejectedRow]:
    """Read a source from its start and yield what is to be sent and what cannot be, row by row.

    Args:
        source: The source.
        report: A new report, filled on the way.
        column_mapping: Source column to contact field (None: leave the column out), for columns that are not
            recognised by their names.
        deduplicate: Whether to yield each person once, at their first row.
        source_ids: Collects the id of every row that is not blank, and whom it names: duplicates and rows that are
            refused included.

    Yields:
        :class:`UsableRow` and :class:`RejectedRow` rows in the source's order.

    Raises:
        SourceError: If the source cannot be read, has no usable columns, lacks a mapped column, or holds several
            people in a row. For sources whose rows bring their own columns the last three come at the end, and
            so does that a row lacks columns without which the others mean something else.
    """
    mapping = dict(column_mapping or {})
    check_mapping(mapping)
    plans = _Plans(source, mapping)
    seen = Deduplicator()
    wanted = WantedColumns(mapping, also=(source_ids.column,) if source_ids else ())
    for row in source.rows(wanted):
        if source.columns and _is_blank(row):  # fast: they come by the million
            report.blank.add(row.number)
            continue
        plan = plans.of(source.columns or tuple(row.values), row.number)
        values = chosen_values(row.values, plan.sources)
        fields = cleaned_values(values)
        if _is_blank_row(row, fields):
            report.blank.add(row.number)
            continue
        unreadable = _unreadable(values)
        contact = normalise({**fields, **dict.fromkeys(unreadable)} if unreadable else fields)
        rejection = _rejection_of_row(row, unreadable, contact) or validate(contact)
        key, is_new = b"", True
        if rejection is None:
            key, is_new, rejection = _identified(contact, seen)
        if rejection is not None:
            if source_ids is not None:
                source_ids.add_nobody(row.number, row.values)
            if _is_without_contact(row, values, plan):
                report.without_contact.add(row.number)
                continue
            rejection = _explained(rejection, values, unreadable)
            report.rows += 1
            report.refused.setdefault(rejection.reason, Tally()).add(row.number)
            yield RejectedRow(row.number, rejection, values)
            continue
        report.rows += 1
        if source_ids is not None:
            source_ids.add(row.number, row.values, key)
        if deduplicate and not is_new:
            report.duplicates.add(row.number)
            continue
        for name, value in values.items():
            is_null = isinstance(value, str) and value == SQL_NULL
            if value is not None and getattr(contact, name) is None and (name in TEXTS or not is_null):
                report.left_out.setdefault(name, Tally()).add(row.number)
        report.accepted += 1
        yield UsableRow(row.number, contact, key)
    plans.finish(report)
    if source_ids is not None:
        source_ids.finish()


def _identified(contact: Contact, seen: Deduplicator) -> tuple[bytes, bool, Rejection | None]:
    """Return a contact's identity, whether it is new, and a rejection if it came with quite another name before."""
    key, letters = identity(contact), initials(contact)
    if seen.add(key, letters):
        return key, True, None
    before = seen.mark(key)
    is_anothers = letters and before and not letters & before
    return key, False, Rejection(RejectionReason.ANOTHERS_URL) if is_anothers else None


def _rejection_of_row(row: SourceRow, unreadable: Sequence[str], contact: Contact) -> Rejection | None:
    """Return why a row's values cannot be trusted, whatever they are: shifted cells, or an identity that is unknown."""
    if row.is_overlong:
        return Rejection(RejectionReason.MALFORMED_ROW)
    if "linkedin_url" in unreadable or ("company_domain" in unreadable and not contact.linkedin_url):
        return Rejection(RejectionReason.UNREADABLE_TEXT)
    return None


def _unreadable(values: Mapping[str, object]) -> list[str]:
    """Return the fields whose text cannot be known."""
    try:
        if all(map(str.isascii, filter(None, values.values()))):  # type: ignore[arg-type]
            return []  # fast: most rows are ASCII
    except (TypeError, ValueError):
        pass  # not all of them are texts
    return [name for name, text in values.items() if is_undecodable(text)]


def _explained(rejection: Rejection, values: Mapping[str, object], unreadable: Sequence[str]) -> Rejection:
    """Return why a row lacks what is needed, if something else stands in its place."""
    if unreadable and rejection.reason != RejectionReason.MALFORMED_ROW:
        return Rejection(RejectionReason.UNREADABLE_TEXT)
    if rejection.reason not in _LACKING:
        return rejection
    texts = ((field, plain_text(field, values.get(field))) for field in TEXTS)
    has_no_name = are_nobodys(values) or any(text and is_no_name(field, text) for field, text in texts)
    if is_hidden_member(values):
        return Rejection(RejectionReason.MISSING_NAME)
    return Rejection(RejectionReason.NOT_A_NAME) if has_no_name else rejection


def _is_blank(row: SourceRow) -> bool:
    values = row.values.values()
    return not any(values) and not row.is_overlong and all(map(is_nothing, values))


def _is_blank_row(row: SourceRow, fields: Mapping[str, object]) -> bool:
    if row.is_overlong or fields.get("last_name") or fields.get("first_name") or fields.get("company_name"):
        return False
    return all(map(is_nothing, fields.values())) and all(map(is_nothing, row.values.values()))


def _is_without_contact(row: SourceRow, values: Mapping[str, object], plan: ColumnPlan) -> bool:
    """Return whether nothing stands in the columns that are read, and no full name beside them."""
    if row.is_overlong or not plan.sources or not all(map(is_nothing, values.values())):
        return False
    return all(is_nothing(row.values.get(column)) for column in plan.full_names)


class _Plans:
    """The column plans of a source: one, or one per set of columns where rows bring their own."""

    def __init__(self, source: Source, mapping: Mapping[str, str | None]) -> None:
        self._source = source
        self._mapping = mapping
        self._plans: dict[tuple[str, ...], ColumnPlan] = {}
        self._characters = 0
        self._last: tuple[tuple[str, ...] | None, ColumnPlan | None] = (None, None)
        self._seen: dict[str, None] = {}
        self._read: dict[str, dict[str, None]] = {}

    def of(self, columns: tuple[str, ...], number: int = 0) -> ColumnPlan:
        """Return the plan for a row with these columns.

        Args:
            columns: The columns of the source, or of the row.
            number: The row.
        """
        last, plan = self._last
        if plan is not None and columns is last:  # fast: it takes no look at each column
            return plan
        plan = self._plans.get(columns)
        if plan is None:
            if self._source.columns is None:
                self._check_names(columns, number)
            plan = plan_columns(columns, self._mapping)
            characters = sum(map(len, columns))
            if len(self._plans) >= _MAX_SHAPES or self._characters + characters > _MAX_CHARACTERS:
                self._plans.clear()
                self._characters = 0
            self._characters += characters
            self._plans[columns] = plan
            self._note(columns, plan)
            if self._source.columns is not None:
                self._checked()
        self._last = (columns, plan)
        return plan

    def finish(self, report: ReadReport) -> None:
        """Check the columns of the whole source, and add them to the report."""
        report.source = self._source.describe()
        report.skipped_lines = tuple(self._source.skipped_lines())
        if self._source.columns and not self._plans:
            self.of(self._source.columns)
        if not self._plans:
            return
        plan, shown = self._checked()
        report.columns = {
            name: tuple(shown[column] for column in self._read[name])
            for name in CONTACT_FIELDS
            if name in self._read
        }
        report.unused_columns = (
            tuple(shown[column] for column in plan.unused) if self._has_names(plan) else ()
        )

    def _note(self, columns: Sequence[str], plan: ColumnPlan) -> None:
        if len(self._seen) < _MAX_SHAPES:
            self._seen.update(dict.fromkeys(columns))
        for name, sources in plan.sources.items():
            self._seen.update(dict.fromkeys(sources))
            self._read.setdefault(name, {}).update(dict.fromkeys(sources))

    def _with_what_was_read(self, planned: ColumnPlan) -> ColumnPlan:
        """Return the plan of all columns seen, with what was read of each row's own."""
        used = set(chain.from_iterable(self._read.values()))
        return replace(
            planned,
            sources={name: tuple(columns) for name, columns in self._read.items()},
            unused=tuple(name for name in self._seen if name not in used),
        )

    def _read_otherwise(self, planned: ColumnPlan) -> list[tuple[str, str]]:
        """Return the columns that some row's own plan read as a field for which the plan of all columns does not."""
        sources = {name: frozenset(columns) for name, columns in planned.sources.items()}
        return [
            (column, name)
            for name, columns in self._read.items()
            for column in columns
            if column not in sources.get(name, ())
        ]

    def _has_names(self, plan: ColumnPlan) -> bool:
        """Return whether the columns have names, rather than being a person's data."""
        return plan.is_header or not self._source.has_header_line

    def _shown(self) -> dict[str, str]:
        """Return what each column is called in messages."""
        columns = tuple(self._seen)
        mapped = filter(None, (find_column(columns, name) for name in self._mapping))
        return dict(zip(columns, masked(columns, tuple(mapped)), strict=True))

    def _check_names(self, columns: Sequence[str], number: int) -> None:
        try:
            checked_names(columns, f"Row {number:,}")
        except ColumnError as error:
            raise ColumnError(f"{self._source.describe()}: {error}") from None

    def _checked(self) -> tuple[ColumnPlan, dict[str, str]]:
        """Return the plan of all columns seen, and what each is called in messages, if the plan can be used."""
        planned = plan_columns(tuple(self._seen), self._mapping)
        plan = self._with_what_was_read(planned)
        missing = [name for name in self._mapping if find_column(tuple(self._seen), name) is None]
        names = self._shown()
        shown = tuple(names.values()) if self._has_names(plan) else ()
        sources = {field: tuple(map(names.__getitem__, columns)) for field, columns in plan.sources.items()}
        try:
            if missing:
                raise unknown_mapping_error(missing, shown)
            if not plan.is_usable:
                raise unusable_columns_error(replace(plan, sources=sources), shown)
            if plan.of_others:
                raise several_people_error(tuple(map(names.__getitem__, plan.of_others)))
            if changing := self._read_otherwise(planned):
                raise changing_columns_error([(names[column], field) for column, field in changing])
        except SourceError as error:
            raise type(error)(f"{self._source.describe()}: {error}") from None
        return plan, names
