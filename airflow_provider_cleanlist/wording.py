"""Words of messages that every part of the provider needs."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 page``, ``2 pages``, ``1,500 batches``.

    Args:
        number: How many.
        noun: What, in the singular.
        plural: The plural, if it is not the noun with an ``s``.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
