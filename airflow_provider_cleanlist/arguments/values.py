"""What the value of an argument says at run time, when templates are rendered and outputs of tasks are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.input_limits import WAIT_SECONDS
from airflow_provider_cleanlist.redaction import shown

Words = TypeVar("Words", bound=StrEnum)

DEFAULT_TIMEOUT_SECONDS = 3600
"""Seconds that a task waits for workflows at most, if nothing else is asked for."""


def is_absent(value: Any) -> bool:
    """Return whether an optional argument was left out or is a template that rendered as nothing.

    Args:
        value: The argument: ``None``, ``"None"`` and blank text count as absent.
    """
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def given(value: Any) -> str | None:
    """Return the text of an optional argument, or None if it is absent.

    Args:
        value: The argument, see :func:`is_absent`.
    """
    return None if is_absent(value) else unicode_text(str(value).strip()) or None


_NO_WORD = frozenset({"false", "no", "off", "0", "null", "none"})


def given_word(value: Any) -> str | None:
    """Return the text of an argument whose presence allows something, or None if it is absent or says no.

    Args:
        value: The argument; ``False`` and the texts false, no, off, 0, null and none, in any case, say no.
    """
    text = given(value)
    return None if text is None or text.lower() in _NO_WORD else text


def choice(argument: str, value: Any, default: Words) -> Words:
    """Return the word that an argument holds.

    Args:
        argument: Its name, for the error.
        value: The argument.
        default: The word for an absent one, whose class has all words.

    Raises:
        CleanlistConfigurationError: It is none of the words.
    """
    words = type(default)
    try:
        return words(given(value) or default)
    except ValueError:
        raise CleanlistConfigurationError(
            f"{argument} must be one of {', '.join(words)}, not {shown(value)}."
        ) from None


def present(argument: str, value: Any, *, is_given: bool = True) -> Any:
    """Return an argument, in whose place a default must not stand unless it was left out; then None.

    Args:
        argument: Its name, for the message.
        value: The argument, as it is at run time.
        is_given: Whether it was given: as a template, as the output of a task, or as an item of a mapping.

    Raises:
        CleanlistConfigurationError: It was given, and nothing is left of it, see :func:`is_absent`.
    """
    if is_absent(value) and (value is not None or is_given):
        raise CleanlistConfigurationError(
            f"{argument} is empty here: its template, the output of a task or an item of a mapping is nothing at run "
            "time. The task has stopped, because a default in its place could mean something else than what was asked "
            "for, such as no limit or another account. Only an argument that is left out has its default."
        )
    return value


_TRUTHS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def boolean(argument: str, value: Any) -> bool:
    """Return an argument that is True or False, or a word for one of them.

    Args:
        argument: Its name, for the message.
        value: The argument; true, yes, on and 1, false, no, off and 0 are words, in any case.

    Raises:
        CleanlistConfigurationError: It is something else.
    """
    truth = _TRUTHS.get(str(value).strip().lower())
    if truth is None:
        raise CleanlistConfigurationError(f"{argument} must be True or False, not {shown(value)}.")
    return truth


def unicode_text(text: str) -> str:
    """Return a text that can be stored and sent.

    Args:
        text: The text.

    Raises:
        CleanlistConfigurationError: It holds half of a surrogate pair, as badly decoded bytes do.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CleanlistConfigurationError(
            f"An argument or id is not valid Unicode: its character {error.start + 1} is half of a pair, as text that "
            "was decoded with a wrong encoding holds."
        ) from None
    return text


def whole_number(argument: str, value: Any) -> int | None:
    """Return an argument that is a whole number or the text of one, or None if it is absent.

    Args:
        argument: Its name, for the message.
        value: The argument, see :func:`is_absent`.

    Raises:
        CleanlistConfigurationError: It is something else.
    """
    if is_absent(value):
        return None
    parsed = _finite(value)
    if parsed is None or not parsed.is_integer():
        raise CleanlistConfigurationError(f"{argument} must be a whole number, not {shown(value)}.")
    return int(parsed)


def number(argument: str, value: Any) -> float | None:
    """Return an argument that is a number or the text of one, or None if it is absent.

    Args:
        argument: Its name, for the message.
        value: The argument, see :func:`is_absent`.

    Raises:
        CleanlistConfigurationError: It is something else.
    """
    if is_absent(value):
        return None
    parsed = _finite(value)
    if parsed is None:
        raise CleanlistConfigurationError(f"{argument} must be a number, not {shown(value)}.")
    return parsed


def seconds(argument: str, value: Any, default: float) -> float:
    """Return an argument that is a duration, in seconds, or the default if it is absent.

    Args:
        argument: Its name, for the message.
        value: A number of seconds, the text of one, or a ``timedelta``; see :func:`is_absent`.
        default: What an absent argument means, in seconds.

    Raises:
        CleanlistConfigurationError: It is something else, negative, or longer than 10 years.
    """
    if is_absent(value):
        return default
    parsed = value.total_seconds() if isinstance(value, timedelta) else _finite(value)
    if parsed is None:
        raise CleanlistConfigurationError(
            f"{argument} must be a timedelta or a number of seconds, not {shown(value)}."
        )
    if not 0 <= parsed <= WAIT_SECONDS:
        raise CleanlistConfigurationError(f"{argument} must be 0 seconds to 10 years, not {shown(value)}.")
    return parsed


def mapping(argument: str, value: Any) -> Mapping[str, Any] | None:
    """Return an argument that is a mapping, or None if it is absent.

    Args:
        argument: Its name, for the message.
        value: The argument, see :func:`is_absent`.

    Raises:
        CleanlistConfigurationError: It is something else.
    """
    if is_absent(value):
        return None
    if not isinstance(value, Mapping):
        raise CleanlistConfigurationError(f"{argument} must be a mapping, not {type(value).__name__}.")
    if not all(isinstance(key, str) for key in value):
        raise CleanlistConfigurationError(
            f"{argument} must be a mapping of names: some of its keys are no text."
        )
    return value


def _finite(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None
