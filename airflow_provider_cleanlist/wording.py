"""Words of messages that every part of the provider needs."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 page``, ``2 pages``, ``1,500 batches``.

    Args:
        number: How many.
        noun: What, in the singular.
        plural: The plural, if it is not the noun with an ``s``.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def unique_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return column names without repetition: ``Email``, ``Email (2)``; nameless ones get their position.

    Args:
        header: The names as a source has them.
    """
    names: dict[str, None] = {}
    repetitions: dict[str, int] = {}
    for position, cell in enumerate(header, start=1):
        base = cell.strip() or f"column {position}"
        name, repetition = base, repetitions.get(base, 1)
        while name in names:
            repetition += 1
            name = f"{base} ({repetition})"
        repetitions[base] = repetition
        names[name] = None
    return tuple(names)
