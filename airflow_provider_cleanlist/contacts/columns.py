"""Which column of a source holds which contact field: by the mapping, else by :mod:`.recognition`. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS
from airflow_provider_cleanlist.contacts.errors import ColumnError
from airflow_provider_cleanlist.contacts.recognition import (
    FULL_NAME,
    KnownName,
    base_names,
    fields_of_somebody,
    header_key,
    is_address,
    is_header,
    is_header_name,
    is_nameless,
    is_numbered,
    is_of_somebody_else,
    person_of,
    recognise,
    recognise_names,
    speaks_of_columns,
)
from airflow_provider_cleanlist.input_limits import (
    FIELD_CHARACTERS,
    SHEET_COLUMNS,
    SOURCE_COLUMNS,
    SOURCE_NAME_CHARACTERS,
)
from airflow_provider_cleanlist.wording import unique_names

_LONGEST_SHOWN = 60  # characters of a column's name in a message
_MOST_TO_MAP = 20
_KEY = re.compile(r"[a-z][A-Za-z0-9_.]*")  # as programs write names
_NAMES = ("first_name", "last_name")
_IDENTIFYING = ("linkedin_url", "email")
_PERSON_FIELDS = ("linkedin_url", *_NAMES, "email")


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """Where each contact field comes from.

    Attributes:
        sources: The columns of each field that has any. The first one with a usable value in a row gives the field.
        unused: The other columns.
        is_header: Whether the columns are surely names: one is in the mapping, or :func:`.recognition.is_header`
            says so. Otherwise a file may lack its header, and its "columns" may be a person's data.
        of_others: The columns that belong to further people: two or more of the fields that name a person repeat, or
            names stand behind the words for two people (``Contact First Name``, ``Lead First Name``). Empty when one
            field alone repeats, which is a further source of it.
        full_names: The columns of full names, which are not read.
    """

    sources: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...]
    is_header: bool
    of_others: tuple[str, ...] = ()
    full_names: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether these columns can identify a person."""
        fields = self.sources.keys()
        placed = "company_name" in fields or "company_domain" in fields
        return "linkedin_url" in fields or (placed and {"first_name", "last_name"} <= fields)


def source_columns(names: Iterable[str]) -> tuple[str, ...]:
    """Return the column names of a source without repetition, see :func:`..wording.unique_names`.

    Args:
        names: The names as the source has them.

    Raises:
        ColumnError: There are more columns than are read, or their names are too long.
    """
    return unique_names(checked_names(names, "The source"))


def checked_names(names: Iterable[str], whose: str) -> list[str]:
    """Return the names of columns, if they are few and short enough to be compared with each other.

    Args:
        names: The names; no more of them are taken than may be kept.
        whose: What has these columns, for the message.

    Raises:
        ColumnError: There are more columns than are read, or their names are too long.
    """
    checked: list[str] = []
    characters = 0
    for name in names:
        checked.append(name)
        characters += len(name)
        if len(name) > SOURCE_NAME_CHARACTERS or characters > FIELD_CHARACTERS:
            raise ColumnError(
                f"{whose} has names of columns that are too long: column {len(checked):,} has one of {len(name):,} "
                f"characters. At most {SOURCE_NAME_CHARACTERS:,} in a name and {FIELD_CHARACTERS:,} in all of them are "
                "read: shorten them, or leave out columns that name no person or company."
            )
    named = sum(1 for name in checked if name.strip())
    if named > SOURCE_COLUMNS or len(checked) > SHEET_COLUMNS:
        raise ColumnError(
            f"{whose} has {len(checked):,} columns, {named:,} of them with a name. At most {SOURCE_COLUMNS:,} with a "
            f"name and {SHEET_COLUMNS:,} in all are read: leave out those that name no person or company."
        )
    return checked


def check_mapping(mapping: Mapping[str, str | None]) -> None:
    """Refuse a ``column_mapping`` that names anything but contact fields.

    Args:
        mapping: Source column to contact field, or to None for a column to leave out.

    Raises:
        ColumnError: If a field does not exist.
    """
    unknown = sorted({str(field) for field in mapping.values() if field is not None} - set(CONTACT_FIELDS))
    if unknown:
        raise ColumnError(
            f"column_mapping names {listed(unknown)}, which Cleanlist does not know. "
            f"The contact fields are: {', '.join(CONTACT_FIELDS)}."
        )


def plan_columns(columns: Sequence[str], mapping: Mapping[str, str | None]) -> ColumnPlan:
    """Decide which columns to read.

    A field named in the mapping comes from its mapped columns only, in the order of the mapping; the others
    from recognised columns, the most trusted name first, and names behind a prefix last. A column in the mapping
    serves nothing else. A column that comes several times serves each time, unless rows hold several people
    (:attr:`ColumnPlan.of_others`), or somebody else stands before it.

    Args:
        columns: The source's columns.
        mapping: A checked ``column_mapping``; columns that are not there are ignored.

    Returns:
        The plan.
    """
    names = dict(zip(columns, base_names(columns), strict=True))
    sources: dict[str, list[str]] = {}
    mapped = {
        column: field for name, field in mapping.items() if (column := find_column(columns, name)) is not None
    }
    repeated = {column: name for column, name in names.items() if name in mapped and column not in mapped}
    for column, field in mapped.items():
        if field is not None:
            same = (other for other, name in repeated.items() if name == column)
            sources.setdefault(field, []).extend([column, *same])
    recognised = recognise_names(names)
    for column, known in sorted(recognised.items(), key=lambda entry: _trust(names[entry[0]], entry[1])):
        is_free = column not in mapped and column not in repeated and known.field not in mapping.values()
        if is_free and known.field != FULL_NAME:
            sources.setdefault(known.field, []).append(column)
    full_names = [column for column, known in recognised.items() if known.field == FULL_NAME]
    repetitions = [
        [column for column in _repetitions(several, names) if column not in mapped]
        for several in (*(sources.get(field, []) for field in _PERSON_FIELDS), full_names)
    ]
    left = _behind_somebody_else(columns, names, sources, full_names) | _of_another_table(columns, names)
    left -= mapped.keys()
    kept = {
        field: tuple(column for column in several if column not in left) for field, several in sources.items()
    }
    used = set(chain.from_iterable(kept.values()))
    return ColumnPlan(
        sources={field: kept[field] for field in CONTACT_FIELDS if kept.get(field)},
        unused=tuple(column for column in columns if column not in used),
        is_header=bool(mapped) or is_header(columns, recognised),
        of_others=(
            tuple(chain.from_iterable(repetitions))
            if sum(map(bool, repetitions)) > 1
            else _of_second_people(columns, sources, mapped)
        ),
        full_names=tuple(full_names),
    )


def _repetitions(several: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Return the columns of a field that repeat another one: the same name, or the same behind another number."""
    first = {header_key(column): column for column in reversed(several) if is_numbered(column)}
    return [
        column
        for column in several
        if names[column] != column or first.get(header_key(column), column) != column
    ]


def _behind_somebody_else(
    columns: Sequence[str],
    names: Mapping[str, str],
    sources: Mapping[str, Sequence[str]],
    full_names: Sequence[str],
) -> set[str]:
    """Return the columns that are not a further source of their field, as they may be of somebody named before them.

    A LinkedIn URL or an e-mail address that comes again under the same name is one only if nothing stands between
    that is not read and may name a person; what comes again behind that column is then left as well. Under another
    name it is one unless the column before it is about somebody else: ``LinkedIn,Post Author,Profile URL``.
    """
    place = {column: position for position, column in enumerate(columns)}
    fields = {column: field for field, several in sources.items() for column in several}
    first = {field: min(map(place.__getitem__, several)) for field, several in sources.items() if several}

    of_people = frozenset(full_names)

    def may_name_a_person(column: str) -> bool:
        return column not in fields and (column in of_people or not is_header_name(column))

    left: set[str] = set()
    for field in filter(first.__contains__, _IDENTIFYING):
        begin = first[field] + 1
        for column in sources[field]:
            before = columns[place[column] - 1] if place[column] > begin else None
            if before is not None and before not in fields and is_of_somebody_else(before):
                left.add(column)
        last = max((place[column] for column in sources[field] if names[column] != column), default=0)
        somebody = next(filter(may_name_a_person, columns[begin:last]), None)
        if somebody is None:
            continue
        is_person = somebody in of_people or is_of_somebody_else(somebody)
        left |= {
            other
            for other in columns[place[somebody] :]
            if other in fields
            and (first[fields[other]] < place[somebody] or (is_person and fields[other] in _IDENTIFYING))
        }
    return left


def _of_another_table(columns: Sequence[str], names: Mapping[str, str]) -> set[str]:
    """Return the columns that come again behind one without a name, which parts two tables on a sheet."""
    again = [column for column in columns if names[column] != column]
    if not again:  # fast: nearly always
        return set()
    first = next((place for place, column in enumerate(columns) if is_nameless(column)), len(columns))
    before = set(columns[:first])
    return {column for column in again if column not in before and names[column] in before}


def _of_second_people(
    columns: Sequence[str], sources: Mapping[str, Sequence[str]], mapped: Mapping[str, str | None]
) -> tuple[str, ...]:
    """Return the columns of all people but the first, if the words for several people stand before names."""
    person = {
        column: word
        for field in _PERSON_FIELDS
        for column in sources.get(field, ())
        if column not in mapped and (word := person_of(column))
    }
    named = {person[column] for field in _NAMES for column in sources.get(field, ()) if column in person}
    if len(named) < 2:
        return ()
    first = next(person[column] for column in columns if person.get(column) in named)
    return tuple(column for column in columns if person.get(column) in named - {first})


def _trust(name: str, known: KnownName) -> tuple[bool, int]:
    """Return what columns of one field are ordered by: whole names before those behind a prefix, then their rank."""
    return header_key(name) != header_key(known.name), known.rank


def find_column(columns: Sequence[str], name: str) -> str | None:
    """Return the column that a mapping names: exactly, else by letters and digits, else None."""
    if name in columns:
        return name
    key = header_key(name)
    return next((column for column in columns if key and header_key(column) == key), None)


def masked(columns: Sequence[str], mapped: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of columns for a message, with the position of each that may be data instead: ``column 3``.

    That is a name with an address, a URL or a telephone number, and a number. So is, beside fewer than three known
    names, one of several unknown words (``Ada Park``); if these are no header, any unknown word in capitals; and what
    stands behind or holds several such words in JSON, whose keys may be people.

    Args:
        columns: The columns of one source.
        mapped: Those that the user has named.
    """
    recognised = recognise(columns)
    is_sure = is_header(columns, recognised)
    known = recognised.keys() | set(mapped) | set(filter(fields_of_somebody, columns))

    def is_data(column: str) -> bool:
        outer, dot, _ = column.partition(".")
        is_unknown = bool(dot) and not speaks_of_columns(outer)
        if is_address(column) or (is_unknown and " " in outer):
            return True
        if column in known or ((len(known) > 1 or not dot) and speaks_of_columns(column)):
            return False
        if is_unknown:
            return len(known) < 2 or " " in column
        return len(known) < 3 and (" " in column or not (known or is_sure or _KEY.fullmatch(column)))

    return tuple(
        f"column {number}" if is_data(column) else column for number, column in enumerate(columns, start=1)
    )


def unknown_mapping_error(names: Sequence[str], columns: Sequence[str]) -> ColumnError:
    """Build the error for a mapping that names columns which the source does not have.

    Args:
        names: The mapping's columns that were not found.
        columns: The source's columns, empty when they may be a person's data.
    """
    seen = f" Its columns are: {listed(columns)}." if columns else ""
    return ColumnError(f"column_mapping names {listed(names)}, which the source does not have.{seen}")


def unusable_columns_error(plan: ColumnPlan, columns: Sequence[str]) -> ColumnError:
    """Build the error for columns that cannot identify anybody.

    Args:
        plan: The columns recognised and mapped.
        columns: The source's columns, empty when they may be a person's data.
    """
    sentences = ["No usable columns."]
    if columns:
        found = [f"{column!r} as {field}" for field, names in plan.sources.items() for column in names]
        sentences.append(f"Recognised: {', '.join(found) or 'none'}. Columns seen: {listed(columns)}.")
    else:
        sentences.append("The first line does not hold known column names; is the header missing?")
    full_names = [column for column, known in recognise(columns).items() if known.field == FULL_NAME]
    if full_names:
        sentences.append(f"Full names ({listed(full_names)}) are not split: give first_name and last_name.")
    if others := [column for column in plan.unused if column in columns and fields_of_somebody(column)]:
        if sum("first_name" in fields_of_somebody(column) for column in others) > 1:
            sentences.append(f"Not read, as they are of several people: {listed(others)}.")
        else:
            sentences.append(f"Not read, as they may be somebody else's: {listed(others)}.")
    sentences.append(
        "Needed: a LinkedIn URL, or first name, last name and a company's name or domain. "
        "Name the columns with column_mapping={'<column>': '<contact field>'}."
    )
    if columns and (
        unread := [column for column in plan.unused if len(column) <= _LONGEST_SHOWN and column in columns][
            :_MOST_TO_MAP
        ]
    ):
        to_copy = ", ".join(f"{column!r}: None" for column in unread)
        sentences.append(
            f"To copy, with a contact field ({', '.join(CONTACT_FIELDS)}) instead of None where one fits: "
            f"column_mapping={{{to_copy}}}"
        )
    return ColumnError(" ".join(sentences))


def several_people_error(others: Sequence[str]) -> ColumnError:
    """Build the error for rows that hold several people.

    Args:
        others: From :attr:`ColumnPlan.of_others`.
    """
    to_copy = ", ".join(f"{column!r}: None" for column in others if len(column) <= _LONGEST_SHOWN)
    return ColumnError(
        f"Each row holds several people: {listed(others)} are columns of others. "
        "Give each person a row of their own, or rename the columns of the others, "
        f"or leave them out: column_mapping={{{to_copy}}}"
    )


def changing_columns_error(pairs: Sequence[tuple[str, str]]) -> ColumnError:
    """Build the error for rows whose columns mean something else beside the columns of other rows.

    Args:
        pairs: The columns concerned, each with the contact field that it was read as.
    """
    read = ", ".join(f"{column[:_LONGEST_SHOWN]!r} as {field}" for column, field in pairs[:_MOST_TO_MAP])
    return ColumnError(
        f"Rows without the columns of other rows would be read differently from them: {read}. "
        "Give every row the same keys, with null where it has no value, or name what these columns hold with "
        "column_mapping={'<column>': '<contact field>'}, None instead of a field to leave a column out."
    )


def listed(names: Sequence[str], most: int = 50) -> str:
    """Return column names for a message: quoted, each at most 60 characters, at most ``most`` of them."""
    shown = ", ".join(repr(name[:_LONGEST_SHOWN]) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
