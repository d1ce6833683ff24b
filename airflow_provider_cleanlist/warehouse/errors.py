"""What can go wrong while loading, by what fixes it, and how a database's error is recognized."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.redaction import redacted

if TYPE_CHECKING:
    import sqlalchemy as sa

# What databases say is quoted where it certainly speaks of a statement's own text or of a table, never of a row. A code
# does not tell that: functions and triggers raise any of them, in their own words, and some functions of the database
# take a value for a name ("relation <value> does not exist").
_QUOTED_NAME = re.compile(r'"([^"]*)"')
_HOLDS_QUOTES = re.compile('""|[\u00ab\u00bb\u2018-\u201f\u300c\u300d]')
"""Quotation marks in a quoted value, or those of other languages, in which names cannot be told from values."""
_RAISED_BY_FUNCTION = "P0"  # the class of PL/pgSQL
_WITHOUT_VALUES = ("25", "40", "54001", "54011", "54023", "55", "57")
"""SQLSTATEs of PostgreSQL whose messages have no values, if the server itself says them: transactions, its limits,
objects in use, interruptions."""
_CHECKS_OF_PRIVILEGES = frozenset({"aclcheck_error", "aclcheck_error_col", "ExecWithCheckOptions"})
"""Functions in PostgreSQL's source that name objects that exist."""

_SQLITE_FORMS = re.compile(
    r"(?P<said>no such (?:table|column|view|index|function|module|database|collation sequence)|unknown database"
    r"|invalid uri authority)\b.*"
    r"|(?:UNIQUE|NOT NULL|CHECK|FOREIGN KEY) constraint failed.*"
    r'|near "[^"]*": syntax error|incomplete input'
    r"|table .+ has no column named .+|(?:table|view|index) .+ already exists|duplicate column name: .+"
    r"|cannot modify .+ because it is a view|cannot (?:INSERT into|UPDATE) generated column .+"
    r"|(?:table|view) .+ may not be (?:altered|dropped|modified)|error in (?:index|table|trigger|view) .+"
    r"|unknown datatype for .+|too many (?:SQL variables|columns on .+|levels of trigger recursion)"
    r"|attempt to write a readonly database|bad parameter or other API misuse|constraint failed"
    r"|database (?:disk image is malformed|is locked|or disk is full|schema (?:has changed|is locked: .+))"
    r"|database table is locked(?:: .+)?|datatype mismatch|disk I/O error|file is not a database|integer overflow"
    r"|interrupted|locking protocol|malformed JSON|not authorized|out of memory|query aborted|string or blob too big"
    r"|unable to open database file|user-defined (?:aggregate's '\w+' method|function) raised (?:exception|error)"
    r"|ESCAPE expression must be a single character|LIKE or GLOB pattern too complex",
    re.DOTALL,
)
"""What SQLite says of schemas, of itself, and in fixed words. Full-text queries, whose text can be a row's, also miss
columns: of what there is no such thing of, the name is left out, as is what an address has for its host."""


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
        is_unconvertible: Whether a value is not of its column's type, such as a number that is out of its range.
        fails_check: Whether a row violates a CHECK constraint.
    """

    is_too_long = False
    is_unconvertible = False
    fails_check = False


class StageLostError(LoadError):
    """The staging table is not this attempt's any more: another attempt or another run has seen to that."""


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


def first_line(error: BaseException, _statement: str = "") -> str:
    """Return the first line of what the database said, without the statement that drivers put after it."""
    return whole_text(error).partition("\n")[0].rstrip(".")


def postgres_message(error: Any, statement: str = "") -> str:
    """Return PostgreSQL's message for a driver's error; empty where it may quote values.

    Args:
        error: The error of psycopg or psycopg2.
        statement: The text that was sent, without values; a message all of whose names stand in it is about it.
    """
    diagnosis = getattr(error, "diag", None)
    message = str(getattr(diagnosis, "message_primary", None) or "")
    return message if _is_of_statement(diagnosis, message, statement) else ""


def _is_of_statement(diagnosis: Any, message: str, statement: str) -> bool:
    """Return whether the server itself speaks, about the statement's text or about a table."""

    def field(name: str) -> str:
        return str(getattr(diagnosis, name, None) or "")

    state = field("sqlstate")
    # with a context it was raised inside a function, or is about a parameter
    if field("context") or state.startswith(_RAISED_BY_FUNCTION):
        return False
    if field("statement_position") or field("constraint_name") or field("column_name"):
        return True
    if state.startswith(_WITHOUT_VALUES) or field("source_function") in _CHECKS_OF_PRIVILEGES:
        return True
    names = _QUOTED_NAME.findall(message)
    if not names or _HOLDS_QUOTES.search(message) or message.count('"') != 2 * len(names):
        return False
    return all(name.strip() and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", statement) for name in names)


def sqlite_message(error: BaseException) -> str:
    """Return SQLite's message if it is of a known form, without values; else an empty text."""
    known = _SQLITE_FORMS.fullmatch(str(error))
    if known is None or getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER":
        return ""
    return known["said"] or known[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCodes:
    """How one database and its drivers report errors.

    A database's message can quote values of the statement. It is passed on only if its code, and where a code can
    tell too little also its reader, say that it names objects.

    Args:
        code: Reads the code of a driver's error; empty if it has none.
        category: Reads what the patterns are matched against in full; by default the code.
        text: Reads the message of an error and the statement's text; empty if it may quote values.
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
    text: Callable[[Any, str], str] = first_line
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

    def explain(self, error: BaseException, doing: str, statement: str = "") -> LoadError:
        """Return the load error for a driver's error, without any value of the statement.

        Args:
            error: The driver's error.
            doing: What was being done, to begin the message with: "Creating table leads".
            statement: The text that was sent, without values; empty if unknown.
        """
        category = self._category(error)
        names_objects = bool(self.harmless.fullmatch(category))
        text = redacted(self.text(error, statement)) if names_objects else self._part(error)
        kind = " ".join(dict.fromkeys(filter(None, (type(error).__name__, self.code(error)))))
        message = f"{doing} failed: {kind}{f': {text}' if text else ''}. The target's rows are unchanged."
        if names_objects and not text:
            message += " The database's own words are left out, because they can hold values."
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
