"""The ids that a source's rows have in the user's system, kept on disk until they can be recorded."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Self

from airflow_provider_cleanlist.contacts.cells import clean_text
from airflow_provider_cleanlist.contacts.columns import find_column
from airflow_provider_cleanlist.contacts.errors import ColumnError
from airflow_provider_cleanlist.contacts.identity import Deduplicator
from airflow_provider_cleanlist.contacts.notation import unwrapped
from airflow_provider_cleanlist.contacts.report import Tally, merged
from airflow_provider_cleanlist.input_limits import VALUE_CHARACTERS

MAX_ID_LENGTH = 200
"""Longest id, in characters."""
_MEMORY_BYTES = 1024 * 1024


@dataclass(slots=True)
class UnusableIds:
    """Rows whose id cannot be recorded, by reason; no id is kept here.

    Attributes:
        blank: Rows without an id.
        too_long: Rows whose id is longer than 200 characters.
        shared: Rows whose id another row gives to somebody else: it stands for nobody.
    """

    blank: Tally = field(default_factory=Tally)
    too_long: Tally = field(default_factory=Tally)
    shared: Tally = field(default_factory=Tally)

    def lines(self) -> list[str]:
        """Return one line per reason, with row numbers."""
        reasons = (
            (self.blank, "without an id"),
            (self.too_long, f"with an id of more than {MAX_ID_LENGTH} characters"),
            (self.shared, "with an id that another row gives to somebody else"),
        )
        return [f"{tally} {reason}" for tally, reason in reasons if tally.count]


class SourceIds:
    """The id of each row, and which person it names, if any. Use it as a context manager.

    Ids go to disk, and so do rows that repeat one. Detecting them takes 16 to 32 bytes of memory for each id, and some
    200 bytes for each that is repeated.

    Args:
        column: Column that holds the ids.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.unusable = UnusableIds()
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
        self._nobodys = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
        self._seen = Deduplicator()
        self._names: dict[tuple[str, ...], str | None] = {}
        self._repeating = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
        self._repeated: dict[bytes, str] = {}
        self._shared: set[bytes] = set()

    def add(self, number: int, values: Mapping[str, object], identity: bytes) -> None:
        """Keep the id of a row that names a person for :meth:`rows`.

        Args:
            number: The row's number.
            values: The row's values by column.
            identity: Hash of the row's person.

        Raises:
            ColumnError: The source has no such column.
        """
        name = self._name_of(tuple(values))
        if name is None:
            raise ColumnError(f"the source has no column {self.column!r}: correct id_column")
        value = unwrapped(values.get(name))
        source_id = clean_text(value)
        if len(source_id or "") > MAX_ID_LENGTH or (isinstance(value, str) and len(value) > VALUE_CHARACTERS):
            self.unusable.too_long.add(number)
        elif not source_id:
            self.unusable.blank.add(number)
        else:
            self._keep(number, source_id, identity.hex())

    def add_nobody(self, number: int, values: Mapping[str, object]) -> None:
        """Keep the id of a row that names nobody who can be submitted, if it has one.

        Args:
            number: The row's number.
            values: The row's values by column.
        """
        name = self._name_of(tuple(values))
        source_id = clean_text(unwrapped(values.get(name))) if name is not None else None
        if source_id and len(source_id) <= MAX_ID_LENGTH:
            self._nobodys.write(json.dumps([number, source_id]).encode() + b"\n")

    def finish(self) -> None:
        """Find the ids that stand for more than one person, and for none, once all rows have been added."""
        self._nobodys.seek(0)
        for line in self._nobodys:
            number, source_id = json.loads(line)
            self._keep(number, source_id, "")
        if self._repeated:
            self._find_shared()

    def _keep(self, number: int, source_id: str, person: str) -> None:
        key = _key(source_id)
        if self._seen.add(key):  # no row before it has this id
            self._file.write(json.dumps([source_id, person]).encode() + b"\n")
        else:
            self._repeated[key] = ""
            self._repeating.write(json.dumps([number, source_id, person]).encode() + b"\n")

    def _find_shared(self) -> None:
        for source_id, person in self._records():
            if (key := _key(source_id)) in self._repeated:
                self._repeated[key] = person
        somebodys, nobodys = Tally(), Tally()  # each in the order of its rows
        self._repeating.seek(0)
        for line in self._repeating:
            number, source_id, person = json.loads(line)
            if self._repeated[key := _key(source_id)] != person:
                self._shared.add(key)
                (somebodys if person else nobodys).add(number)
        self.unusable.shared = merged(somebodys, nobodys)
        self._repeated.clear()

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Yield each id once, with the hash of the person whom its rows name; empty for nobody, or several."""
        for source_id, person in self._records():
            is_shared = bool(self._shared) and _key(source_id) in self._shared
            yield source_id, b"" if is_shared else bytes.fromhex(person)

    def _records(self) -> Iterator[tuple[str, str]]:
        self._file.seek(0)
        for line in self._file:
            source_id, person = json.loads(line)
            yield source_id, person

    def _name_of(self, columns: tuple[str, ...]) -> str | None:
        if columns not in self._names:
            if len(self._names) > 100:
                self._names.clear()
            self._names[columns] = find_column(columns, self.column)
        return self._names[columns]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._nobodys.close()
        self._repeating.close()


def _key(source_id: str) -> bytes:
    return blake2b(source_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
