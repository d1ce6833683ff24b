"""Contacts on a local disk between reading and sending.

Reading takes seconds, sending at 60 requests a minute takes hours. Between the two every row must be checked and
counted, so that nothing is sent of an input that would be refused or cost too much, and a database must not keep
a cursor open for hours. The file is private to the process and has no name: it is gone when the process ends,
however it ends.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from airflow_provider_cleanlist.client.models import Contact
from airflow_provider_cleanlist.contacts.reading import Accepted

_MEMORY_BYTES = 1024 * 1024


class ContactSpool:
    """A sequence of accepted contacts, written once and then read any number of times.

    Takes about 200 bytes of disk for a contact, and no memory beyond the first megabyte. Use it as a context
    manager, or call :meth:`close`.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Accepted) -> None:
        """Append a contact."""
        record = [row.number, row.identity.hex(), row.contact.payload()]
        self._file.write(json.dumps(record).encode() + b"\n")
        self._count += 1

    def __iter__(self) -> Iterator[Accepted]:
        self._file.seek(0)
        for line in self._file:
            number, identity, fields = json.loads(line)
            yield Accepted(number, Contact(**fields), bytes.fromhex(identity))

    def close(self) -> None:
        """Release the disk space."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
