"""Records that are kept by column, as files hold them: a million of them are read without an object for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload


class ColumnRecords(Sequence[dict[str, Any]]):
    """Records of the same fields; as a sequence, one object for each, made when it is asked for.

    Args:
        columns: The values of each field, in the order of the records; all have as many.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        """Return the number of records."""
        return len(next(iter(self.columns.values()), ()))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        """Return a record, or some of them."""
        if isinstance(index, slice):
            return ColumnRecords({field: values[index] for field, values in self.columns.items()})
        return {field: values[index] for field, values in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the records."""
        fields = tuple(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(fields, values, strict=True))

    def __eq__(self, other: object) -> bool:
        """Whether another sequence holds the same records."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show counts only: records can be personal data."""
        return f"ColumnRecords(<{len(self)} of {len(self.columns)} fields>)"
