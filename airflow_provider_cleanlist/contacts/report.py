"""What became of the rows of a source: counts and row numbers, never a value."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_cleanlist.contacts.columns import listed
from airflow_provider_cleanlist.contacts.identity import Rejection, RejectionReason
from airflow_provider_cleanlist.wording import counted

MAX_ROW_NUMBERS = 20
"""How many row numbers a tally keeps."""


@dataclass(slots=True)
class Tally:
    """How many rows, and the numbers of the first of them."""

    count: int = 0
    first_rows: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Count a row, and keep its number if it is one of the first."""
        self.count += 1
        if len(self.first_rows) < MAX_ROW_NUMBERS:
            self.first_rows.append(number)

    def __str__(self) -> str:
        """Return the count with the row numbers, for instance ``3 (rows 7, 19, 24)``."""
        if not self.count:
            return "0"
        more = f" and {self.count - len(self.first_rows):,} more" if self.count > len(self.first_rows) else ""
        rows = "row" if self.count == 1 else "rows"
        return f"{self.count:,} ({rows} {', '.join(map(str, self.first_rows))}{more})"


def merged(*tallies: Tally) -> Tally:
    """Return the sum of tallies of different rows, each counted in the order of its rows."""
    first_rows = sorted(number for tally in tallies for number in tally.first_rows)
    return Tally(sum(tally.count for tally in tallies), first_rows[:MAX_ROW_NUMBERS])


@dataclass(slots=True)
class ReadReport:
    """What became of the rows of a source, by counts and row numbers.

    Filled while :func:`read_contacts` runs; final when it ends.

    Attributes:
        source: The source's name and how it was read.
        skipped_lines: Log lines about lines of a text that are no rows, such as a footer.
        rows: Rows read that hold anything: accepted, duplicate and refused ones.
        accepted: Contacts yielded.
        blank: Rows without any value.
        without_contact: Rows with values, but none in a column that is read, nor a full name.
        duplicates: Rows whose contact came before.
        refused: Rows that cannot be sent, by reason.
        left_out: Accepted rows one of whose values was unusable and is not sent, by contact field.
        columns: Columns read, by contact field.
        unused_columns: Columns not read; empty when the source may lack its header.
    """

    source: str = ""
    skipped_lines: tuple[str, ...] = ()
    rows: int = 0
    accepted: int = 0
    blank: Tally = field(default_factory=Tally)
    without_contact: Tally = field(default_factory=Tally)
    duplicates: Tally = field(default_factory=Tally)
    refused: dict[RejectionReason, Tally] = field(default_factory=dict)
    left_out: dict[str, Tally] = field(default_factory=dict)
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unused_columns: tuple[str, ...] = ()

    @property
    def refused_rows(self) -> int:
        """How many rows cannot be sent."""
        return sum(tally.count for tally in self.refused.values())

    def refusal_lines(self) -> list[str]:
        """Return one line per reason for which rows were refused, the most frequent first."""
        ordered = sorted(self.refused.items(), key=lambda entry: -entry[1].count)
        return [
            f"{reason}: {tally}: {Rejection(reason).message}{self._hint(reason)}" for reason, tally in ordered
        ]

    def _hint(self, reason: RejectionReason) -> str:
        """Return what to do if a column that may hold any URL was taken for LinkedIn's, and no row can be sent."""
        names = self.columns.get("linkedin_url", ())
        if reason != RejectionReason.NOT_A_PERSON_URL or self.accepted or [*map(str.lower, names)] != ["url"]:
            return ""
        return (
            f"; the column {names[0]!r} holds no LinkedIn profile in any row: leave it out with "
            f"column_mapping={{{names[0]!r}: None}}"
        )

    def summary_lines(self) -> list[str]:
        """Return the report as log lines, without any value of the source."""
        pairs = [f"{' + '.join(map(repr, names))} -> {name}" for name, names in self.columns.items()]
        lines = [
            f"Read {counted(self.rows, 'row')} from {self.source}: {counted(self.accepted, 'contact')} to enrich."
        ]
        lines.extend(self.skipped_lines)
        if pairs:
            lines.append(f"Columns read: {', '.join(pairs)}.")
        if self.unused_columns:
            lines.append(f"Columns not used: {listed(self.unused_columns)}.")
        if self.duplicates.count:
            lines.append(f"Duplicates dropped: {self.duplicates}.")
        if self.refused:
            lines.append(f"Rows refused: {self.refused_rows:,}.")
            lines.extend(f"  {line}" for line in self.refusal_lines())
        if self.blank.count:
            lines.append(f"Blank rows skipped: {self.blank}.")
        if self.without_contact.count:
            lines.append(f"Rows with nothing in the columns read skipped: {self.without_contact}.")
        lines.extend(
            f"Unusable {name} left out, contact kept: {tally}." for name, tally in self.left_out.items()
        )
        return lines
