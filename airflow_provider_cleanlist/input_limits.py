"""How much of anything foreign is taken in, in bytes, values and seconds: the one place of these numbers.

What comes from elsewhere (responses, error pages, webhooks) may be endless, compressed a thousandfold or slow. Whoever
reads it stops at these limits. ``docs/security.md`` has them as a table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

KB, MB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class InputLimit:
    """How large a body may be.

    Attributes:
        size: Most bytes, as they arrive and after decompression.
        values: Most JSON values, roughly: a few bytes of JSON become a hundred of memory, and parsing holds Python's
            interpreter lock, so that every other thread stands still meanwhile.
    """

    size: int
    values: int

    def problem(self, body: bytes | bytearray) -> str:
        """Return what is wrong with the size of a body; empty if nothing is.

        Args:
            body: The body, or the part of it that was read before its reader stopped.
        """
        if len(body) > self.size:
            amount = f"{self.size // MB} MB" if self.size >= MB else f"{self.size // KB} KB"
            return f"it is larger than {amount}"
        if len(body) > self.values and _values(body) > self.values:
            return f"it has more than {self.values:,} values"
        return ""


def _values(body: bytes | bytearray) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


HEADER_BYTES = 64 * KB
"""Status line, headers and trailers of a response together, with any informational ones before it."""
CHUNKS = 16_384
"""Chunks of a response, and members of its gzip, that may be of any size: each takes time, however short it is."""
CHUNK_BYTES = 128
"""How long they must be on average if there are more."""


def are_too_small(chunks: int, size: int) -> bool:
    """Return whether a response comes in more, smaller chunks than any server has reason to send.

    Args:
        chunks: How many have arrived, and members of gzip.
        size: Bytes that they have together.
    """
    return chunks > CHUNKS and size < chunks * CHUNK_BYTES


def weight(body: bytes) -> int:
    """Return about how much a body counts in memory, in bytes: its size, or its values, if they are many and small.

    Args:
        body: JSON or CSV. One character beyond the first 65,536 makes each of its text four bytes wide.
    """
    return max(len(body) * (4 if _has_wide_character(body) else 1), 40 * _values(body))


def _has_wide_character(body: bytes) -> bool:
    """Whether a body has a character beyond the first 65,536; simple searches are much faster than a pattern."""
    is_in_utf8 = not body.isascii() and any(map(body.__contains__, _WIDE_IN_UTF8))
    return is_in_utf8 or (b"\\u" in body and any(map(body.__contains__, _WIDE_IN_JSON)))


_WIDE_IN_UTF8 = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
_WIDE_IN_JSON = tuple(f"\\u{d}{half}".encode() for d in "dD" for half in "89abAB")
"""The first halves of surrogate pairs."""
RESULT_PAGE_CHARACTERS = 4_000_000
"""Results that are read one by one and handed on as a page, which ends when it has more, however few they are."""
JSON_DEPTH = 200
"""How deeply JSON may be nested. Python's own reader accepts documents that its writer then fails to write."""
PAGE = InputLimit(64 * MB, 2_000_000)
"""A page of leads, read by workers only: 500 leads of 128 KB each."""
PAGES_IN_MEMORY = 64 * MB
"""Pages of a list that wait or are not committed to the warehouse, together, beside the one that is being read."""
RESPONSE = InputLimit(4 * MB, 50_000)
"""Any other successful response, also read on a triggerer's event loop: 250 results of 16 KB each."""
REJECTION = InputLimit(MB, 50_000)
"""A response with status 422, which may repeat all 250 contacts of the request."""
ERROR = InputLimit(64 * KB, 50_000)
"""Any other error response; what it has beyond that is not read."""
EXPORT_BYTES = 16 * 1024 * MB
"""The CSV file of an export, which is read part by part: 10,000,000 leads of 1.6 KB each."""
EXPORT_PART_BYTES = 256 * KB
"""A part of it: what is read, parsed and handed on together, and what must arrive in the time of a response."""
EXPORT_ROW_BYTES = 4 * MB
"""One row of it."""
EXPORT_COLUMNS = 2000
"""Columns of it."""
FIELD_CHARACTERS = 256 * 1024
"""Names of all fields of a list together: progress of a load is stored with them, batch by batch. Also names of all
columns of a source of contacts together, which each shape of its rows is planned by."""
ADDRESS_CHARACTERS = 8192
"""Longest signed address of a file; it is stored with the progress of its load, batch by batch."""
ETAG_CHARACTERS = 256
"""Longest tag of a file by which it is recognised; a longer one counts as none."""
EXPORT_SECONDS = 300.0
"""How long Cleanlist may take to write the file of an export, which it does before it responds."""
WEBHOOK = InputLimit(4 * MB, 50_000)
"""The body of a webhook: as much as a status response, which has the same contents."""
INBOX_FILE = 16 * MB
"""A file of the webhook inbox: a webhook's body, whose letters outside ASCII take up to three times as much there."""

PAGES = 100_000
"""Pages of a list that are read one after the other: 50,000,000 leads with the largest page size."""
PAGES_OF_LISTS = 1000
"""Pages of lead lists that a worker reads one after the other: 100,000 lists."""
CURSOR_CHARACTERS = 4096
"""Longest cursor of a page: it goes into an address, and servers take no more than 8 KB of one."""
CHECKPOINT_CHARACTERS = 16 * MB
"""Longest progress of a load that is read: the names of its fields twice, each character spelled in up to 14."""
NAME_CHARACTERS = 1000
"""Longest name of a list that is compared without regard to case and to the form of its letters."""
LIST_CHARACTERS = 4_000_000
"""Lead lists that are kept, with the names of their fields: in a triggerer 10,000 whose names have 170 characters."""
JOURNAL_FILE = 16 * MB
"""A file of the journal: one batch, whose task ids a response may have filled; letters outside ASCII triple there."""

ERROR_SECONDS = 10.0
"""How long the body of an error response may take; its status is known before."""
RESPONSE_TIMEOUTS = 4
"""How many times ``timeout_seconds`` a response may take to be complete, from the request to its last byte."""
WEBHOOK_SECONDS = 9.0
"""How long the body of a webhook may take. Cleanlist gives up after 10 s, so a slower sender is not Cleanlist."""
WEBHOOKS_AT_ONCE = 2
"""Webhook bodies that are parsed at the same time, one of them a large one; more wait for their turn."""
WEBHOOK_ATTEMPTS = 30
"""Requests to one webhook address in an hour whose bodies are read. Cleanlist makes 5 attempts within a minute."""
WEBHOOK_ADDRESSES = 10_000
"""Webhook addresses whose requests are counted at the same time."""

SOURCE_COLUMNS = 2000
"""Most columns with a name that a source of contacts may have."""
SHEET_COLUMNS = 16_384
"""Most columns of a source with those that have no name, and cells of a record: as wide as a spreadsheet is saved."""
SOURCE_NAME_CHARACTERS = 4000
"""Longest name of a column of a source: questions of forms with the whole text of a consent."""
LOOK_CHARACTERS = 8 * MB
"""How far a text is looked into for its delimiter, its header, or what an array holds; also its longest record."""
VALUE_CHARACTERS = 2083
"""Longest value of a contact field that is read, the longest URL of browsers; a longer one counts as none."""
HOST_CHARACTERS = 253
"""Longest host name, as the DNS has them."""
LABEL_CHARACTERS = 63
"""Longest part of it between two dots: decoding one takes time by the square of its length."""
FULL_NAME_CHARACTERS = 200
"""Longest full name of a result that is compared with first and last names."""
FULL_NAME_WORDS = 10
"""Most words of it: each place between two of them may be where the last name begins."""
PARQUET_BATCH_ROWS = 2000
"""Rows of a Parquet file that are read together."""
PARQUET_BATCH_BYTES = 64 * MB
"""What they may hold in the columns that are read: 32 KB each."""
PARQUET_MEMORY = 512 * MB
"""What reading them may take: decompressed pages of all columns, dictionaries and Python's objects."""
GZIPPED_PARQUET_BYTES = 16 * 1024 * MB
"""A gzipped Parquet file after decompression, which needs a temporary file."""
COLUMNS = 1000
"""Most columns that the fields of records become; Oracle and SQL Server have no room for more."""
CELLS = 2_000_000
"""Cells of rows that are made together, and that are not committed; 10,000 rows of 200 columns have as many."""

QUOTED_CHARACTERS = 500
"""Most characters of a foreign text in a message."""
EXAMINED_CHARACTERS = 2048
"""Characters of a foreign text that are looked at to quote it."""
EXAMINED_BYTES = 8 * KB
"""Bytes of an error page that are looked at to quote it."""
FIELD_ERRORS = 1000
"""Entries of a 422 response that are read: four for each of 250 contacts."""
FIELD_ERROR_TEXTS = 50
"""Different texts in these entries that are quoted; usually there are a few that repeat."""
ID_CHARACTERS = 512
"""Longest id of a workflow, task or list that is accepted."""
WORKFLOW_IDS = 20_000
"""Workflows that one task waits for or loads, as its argument names them: a step of the wait looks at each."""
WAIT_SECONDS = 3650 * 24 * 3600
"""Longest time that a task may be told to wait, 10 years: it is added to the time, which ends with the year 9999."""
HEADER_CHARACTERS = 128
"""Longest ``Retry-After`` or ``Date`` header that is read."""
MARKS_IN_A_ROW = 30
"""Combining marks that are kept in a row: no writing system needs more, says Unicode (UAX 15, Stream-Safe Text)."""
_SHORT = 64
_MARKS_ONCE_DECOMPOSED = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")


def normal_form(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """Return a text in a normal form, without the marks of a row that is longer than any that is written.

    Python puts the marks of a row in order by insertion, so the time that it takes grows with the square of the row's
    length: 100,000 of them take half a minute, in which no other thread runs.

    Args:
        form: The form.
        text: The text.
    """
    if len(text) > _SHORT and not text.isascii() and _has_mark(text):
        text = "".join(_without_long_rows(text))
    return unicodedata.normalize(form, text)


def _has_mark(text: str) -> bool:
    """Whether any character is a mark; more than twice as fast as asking :func:`_is_mark` of each."""
    return any(map(unicodedata.combining, text)) or not _MARKS_ONCE_DECOMPOSED.isdisjoint(text)


def _without_long_rows(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        if marks <= MARKS_IN_A_ROW:
            yield character


def _is_mark(character: str) -> bool:
    return unicodedata.combining(character) > 0 or character in _MARKS_ONCE_DECOMPOSED
