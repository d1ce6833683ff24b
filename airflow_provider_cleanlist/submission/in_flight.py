"""Contacts that another map index of the run may be submitting at this moment: they wait for its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from airflow_provider_cleanlist.contacts.reading import ContactSpool, UsableRow
from airflow_provider_cleanlist.submission.errors import MAX_ROWS_NAMED, submitted_elsewhere
from airflow_provider_cleanlist.wording import counted

PAUSES = (0, 1, 2, 4, 8, 15, 30)
"""Seconds before each look at what became of them: longer in all than a request takes."""


class InFlightContacts:
    """These contacts, on disk, and the map indexes that have recorded the intent to submit them."""

    def __init__(self) -> None:
        self._contacts = ContactSpool()
        self._map_indexes: set[int] = set()

    def __len__(self) -> int:
        return len(self._contacts)

    def append(self, item: UsableRow, map_indexes: frozenset[int]) -> None:
        """Add a contact.

        Args:
            item: The contact.
            map_indexes: The map indexes that may be submitting it.
        """
        self._contacts.append(item)
        self._map_indexes |= map_indexes

    @property
    def line(self) -> str:
        """A sentence for the log."""
        return f"{self._how_many} may be on the way in {self._where}, which has not recorded an outcome yet."

    def looks(
        self, sleep: Callable[[float], None], check_stop: Callable[[int], None]
    ) -> Iterator[Iterable[UsableRow]]:
        """Yield after each pause all contacts, until none is added again.

        Args:
            sleep: Lets so many seconds pass.
            check_stop: Raises if the task was asked to stop; takes how many contacts are left.

        Raises:
            CleanlistStateError: Contacts are left after the last look.
        """
        for seconds in PAUSES:
            if not len(self):
                return
            for _ in range(seconds):
                check_stop(len(self))
                sleep(1.0)
            with self._contacts as waiting:
                self._contacts, self._map_indexes = ContactSpool(), set()
                yield waiting
        if len(self):
            raise submitted_elsewhere(self._how_many, self._where)

    @property
    def _how_many(self) -> str:
        return counted(len(self), "contact")

    @property
    def _where(self) -> str:
        first = ", ".join(map(str, sorted(self._map_indexes)[:MAX_ROWS_NAMED]))
        further = len(self._map_indexes) - MAX_ROWS_NAMED
        return f"map index {first}{f' and {further:,} more' if further > 0 else ''} of the same run"
