"""What can go wrong while loading, by what fixes it, and how a database's error is recognized."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.redaction import redacted

if TYPE_CHECKING:
    import sqlalchemy as sa


class LoadError(Exception):
    """A load failed and left the target as it was; running it again may succeed.

    Attributes:
        breaks_unique: Whether two rows would be the same where a constraint forbids it. Running the load again helps
            if another process had just inserted one of them.
    """

    breaks_unique = False


class LoadConfigurationError(LoadError):
    """The arguments, the connection, privileges or the target table must be changed before it can succeed.

    Attributes:
        lacks_privilege: Whether the database denied what was asked.
    """

    lacks_privilege = False


class MissingKeyError(LoadConfigurationError):
    """The server demands a primary key of every table."""


class LoadDataError(LoadError):
    """The records do not fit the target; the message names columns, pages and rows, never values.

    Attributes:
        is_too_long: Whether a text is longer than its column allows.
        is_unconvertible: Whether a value is none of its column's type, such as a number that is out of its range.
        fails_check: Whether a row violates a CHECK constraint.
    """

    is_too_long = False
    is_unconvertible = False
    fails_check = False


class CursorRefusedError(LoadError):
    """Reading cannot resume where an earlier attempt stopped; raised by whoever reads the pages."""


class SourceInconsistentError(LoadError):
    """What was read contradicts itself, so nothing of it may be published; raised by whoever reads the pages."""


def any_of(*codes: str) -> re.Pattern[str]:
    """Return a pattern for any of some codes: regular expressions, with spaces between them."""
    return re.compile("|".join(f"(?:{code})" for code in " ".join(codes).split()) or r"(?!)", re.DOTALL)


NEVER = any_of()


def whole_text(error: BaseException) -> str:
    """Return what the database said, without the numbers that drivers put around it; it can quote values."""
    said = error.args[1] if len(error.args) > 1 else error
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)).strip()


def first_line(error: BaseException) -> str:
    """Return the first line of what the database said, without the statement that drivers put after it."""
    return whole_text(error).partition("\n")[0].rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCodes:
    """How one database and its drivers report errors.

    A database's message can quote values of the statement. It is passed on only if its code says that it names
    objects.

    Args:
        code: Reads the code of a driver's error; empty if it has none.
        category: Reads what the patterns are matched against in full; by default the code.
        text: Reads the message.
        missing: Categories of a table, schema or database that does not exist.
        configuration: Categories of objects, privileges, types or names that do not fit.
        data: Categories of values that do not fit.
        harmless: Categories whose message names objects and never quotes values.
        mistyped: Categories of a value that has another type than its column.
        keyless: Categories of a table that needs a primary key.
        denied: Categories of a privilege that is missing.
        too_long: Categories of a text that is longer than its column allows.
        unconvertible: Categories of a value that its column's type refuses, where the message names no column.
        check: Categories of a CHECK constraint that is violated, by name.
        unique: Categories of a UNIQUE or EXCLUDE constraint that is violated.
        raised: Categories of an error that a trigger or function of the database's users raises, in its own words.
        no_access: Finds, in code and message of a connection that fails, that no later attempt can succeed: the
            server is there and refuses, or has no such database.
        column: Finds the column at the end of a message that quotes a value.
        key: Finds the key at the end of a message that quotes a value.
    """

    code: Callable[[Any], str]
    category: Callable[[Any], str] | None = None
    text: Callable[[Any], str] = first_line
    missing: re.Pattern[str]
    configuration: re.Pattern[str]
    data: re.Pattern[str]
    harmless: re.Pattern[str]
    mistyped: re.Pattern[str] = NEVER
    keyless: re.Pattern[str] = NEVER
    denied: re.Pattern[str] = NEVER
    too_long: re.Pattern[str] = NEVER
    unconvertible: re.Pattern[str] = NEVER
    check: re.Pattern[str] = NEVER
    unique: re.Pattern[str] = NEVER
    raised: re.Pattern[str] = NEVER
    no_access: re.Pattern[str] = NEVER
    column: re.Pattern[str] = NEVER
    key: re.Pattern[str] = NEVER

    def is_missing_table(self, error: sa.exc.DBAPIError) -> bool:
        """Whether reading a table failed because there is none."""
        if error.connection_invalidated or error.orig is None:
            return False
        return bool(self.missing.fullmatch(self._category(error.orig)))

    def explain(self, error: BaseException, doing: str) -> LoadError:
        """Return the load error for a driver's error, without any value of the statement.

        Args:
            error: The driver's error.
            doing: What was being done, to begin the message with: "Creating table leads".
        """
        category = self._category(error)
        text = redacted(self.text(error)) if self.harmless.fullmatch(category) else self._part(error)
        kind = " ".join(dict.fromkeys(filter(None, (type(error).__name__, self.code(error)))))
        message = f"{doing} failed: {kind}{f': {text}' if text else ''}. The target's rows are unchanged."
        if self.mistyped.fullmatch(category):
            message += " Column types do not fit: name them in column_types, or change the table."
        if self.raised.fullmatch(category):
            message += (
                " A trigger or function raised it; its own words are left out, because they can hold values."
            )
        if self.keyless.fullmatch(category):
            return MissingKeyError(message)
        if self.configuration.fullmatch(category):
            misfit = LoadConfigurationError(message)
            misfit.lacks_privilege = bool(self.denied.fullmatch(category))
            return misfit
        if self.data.fullmatch(category):
            unfit = LoadDataError(message)
            unfit.is_too_long = bool(self.too_long.fullmatch(category))
            unfit.is_unconvertible = bool(self.unconvertible.fullmatch(category))
            unfit.fails_check = bool(self.check.fullmatch(category))
            return unfit
        failure = LoadError(message)
        failure.breaks_unique = bool(self.unique.fullmatch(category))
        return failure

    def bars(self, error: BaseException) -> bool:
        """Whether a connection failed in a way that no later attempt can succeed either."""
        return bool(self.no_access.search(f"{self.code(error)} {whole_text(error)}"))

    def _part(self, error: BaseException) -> str:
        """Return which column or key a value does not fit; empty if the message does not end with one."""
        text = whole_text(error)
        if found := self.column.fullmatch(text):
            return f"a value does not fit the column {found.group(1)!r}"
        if found := self.key.fullmatch(text):
            return f"a value is there already for the key {found.group(1)!r}"
        return ""

    def _category(self, error: BaseException) -> str:
        return self.code(error) if self.category is None else self.category(error)
