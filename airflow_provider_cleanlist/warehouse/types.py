"""Column types: those that a user may name, and what a database has for each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.type_api import TypeEngine

    _UserDefined = sa.types.UserDefinedType[Any]
    _Function = FunctionElement[Any]
else:  # classes of SQLAlchemy 1.4 take no parameters
    _UserDefined = sa.types.UserDefinedType
    _Function = FunctionElement

ColumnType = Literal["text", "integer", "float", "boolean", "date", "timestamp", "json"]
Row = tuple[Any, ...]


class NamedType(_UserDefined):
    """A type that SQLAlchemy lacks, by the name that the database has for it; values are passed as they are.

    Args:
        name: The type as DDL spells it.
    """

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the type as DDL spells it."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTypes:
    """The column types of one database.

    The defaults are SQLAlchemy's own. A database names its own type where that choice would cut values, lose time
    zones, or make different texts equal.

    Args:
        text, integer, float, boolean, date, timestamp, json: The types that ``column_types`` can name.
        key: Text in a key: compared byte by byte, and short enough for an index where there is one.
        document: Text of any length.
        staged_json: JSON in a staging table, where it is not ``json``.
        parse_json: Function that makes a staged JSON document a value of ``json``; None if it is one already.
    """

    text: TypeEngine[Any] = field(default_factory=sa.Text)
    integer: TypeEngine[Any] = field(default_factory=sa.BigInteger)
    float: TypeEngine[Any] = field(default_factory=lambda: sa.Float(53))
    boolean: TypeEngine[Any] = field(default_factory=sa.Boolean)
    date: TypeEngine[Any] = field(default_factory=sa.Date)
    timestamp: TypeEngine[Any] = field(default_factory=lambda: sa.DateTime(timezone=True))
    json: TypeEngine[Any] = field(default_factory=sa.Text)
    key: TypeEngine[Any] = field(default_factory=sa.Text)
    document: TypeEngine[Any] = field(default_factory=sa.Text)
    staged_json: TypeEngine[Any] | None = None
    parse_json: str | None = None

    def target(self, kind: ColumnType) -> TypeEngine[Any]:
        """Return the type of a column of the target."""
        found: TypeEngine[Any] = getattr(self, kind)
        return found

    def staged(self, kind: ColumnType) -> TypeEngine[Any]:
        """Return the type of a column of a staging table."""
        return self.staged_json if kind == "json" and self.staged_json is not None else self.target(kind)

    def published(self, column: ColumnElement[Any], kind: ColumnType) -> ColumnElement[Any]:
        """Return what a staged value becomes on its way into the target."""
        return ParsedJson(self.parse_json, column) if kind == "json" else column


class ParsedJson(_Function):
    """A JSON document as the database keeps it.

    Args:
        parser: The function that parses it; None if the database keeps the text.
        document: The text.
    """

    inherit_cache = False

    def __init__(self, parser: str | None, document: ColumnElement[Any]) -> None:
        super().__init__(document)
        self.parser = parser


@compiles(ParsedJson)
def _compile_parsed_json(element: ParsedJson, compiler: Any, **options: Any) -> str:
    document = str(compiler.process(element.clauses, **options))
    return document if element.parser is None else f"{element.parser}({document})"
