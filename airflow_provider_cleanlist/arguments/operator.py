"""Operators that know which of their arguments were given, though nothing is left of them at run time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, Self

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_cleanlist.arguments.values import boolean, present


class GivenArguments(BaseOperator):
    """An operator that refuses an argument which was given and is nothing at run time.

    An argument was given if it has ever held something (a template, a reference to a task's output, a default of the
    DAG), or if it is an item that a mapped task is expanded over. One that was left out, or that is a literal None in
    the operator itself or in ``partial()``, has its default.

    Args:
        nones_of_partial: Set by ``partial()``: which arguments are None there; None for an operator that is not mapped.
        **kwargs: Arguments of every operator.
    """

    _never_nothing: ClassVar[Sequence[str]] = ()
    """Arguments that are refused if they were given and are nothing at run time."""
    _required: ClassVar[Sequence[str]] = ()
    """Arguments that are refused if they are nothing at run time, given or not."""
    _flags: ClassVar[Sequence[str]] = ()
    """Arguments that are True or False."""
    _given: frozenset[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # what __init__ gets
        """Return the operator before its arguments are set; only here is known which of them were passed."""
        operator = super().__new__(cls)
        literal = kwargs.get("nones_of_partial")
        mapped = () if literal is None else (name for name in _nones(kwargs) if name not in literal)
        operator._given = frozenset(mapped)
        return operator

    def __init__(self, *, nones_of_partial: Collection[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, and remember arguments that hold something."""
        if name == "_given":  # which Airflow would look for among the arguments, in a copy that has none yet
            object.__setattr__(self, name, value)
            return
        super().__setattr__(name, value)
        if value is not None and name in self._never_nothing:
            self._given |= {name}

    def _check_given(self) -> None:
        """Check the arguments that must not be nothing, and those that are flags.

        Raises:
            CleanlistConfigurationError: One was given and is nothing now, or a flag is neither True nor False.
        """
        for name in self._required:
            present(name, getattr(self, name))
        for name in self._never_nothing:
            present(name, getattr(self, name), is_given=name in self._given)
        for name in self._flags:
            setattr(self, name, boolean(name, getattr(self, name)))

    @classmethod
    def check_mapped(cls, arguments: Any, place: str) -> None:
        """Check arguments that Airflow stores for a mapped task.

        Args:
            arguments: A mapping of them, or something else that stands in its place.
            place: Where they stand, for a message.
        """

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Begin a mapped task, as ``BaseOperator.partial`` does.

        Args:
            **kwargs: Arguments of every instance.

        Returns:
            What has ``expand()`` and ``expand_kwargs()``.

        Raises:
            CleanlistConfigurationError: An argument may not stand there.
        """
        cls.check_mapped(kwargs, "partial()")
        return _Partial(cls, super().partial(**kwargs, nones_of_partial=_nones(kwargs)))


class _Partial:
    """What ``BaseOperator.partial`` returns, with checks of what the task is mapped over."""

    def __init__(self, operator: type[GivenArguments], partial: Any) -> None:
        self._operator = operator
        self._partial = partial

    def expand(self, **kwargs: Any) -> Any:
        self._operator.check_mapped(kwargs, "expand()")
        return self._checked(self._partial.expand(**kwargs))

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        items: Iterable[Any] = kwargs if isinstance(kwargs, list | tuple) else (kwargs,)
        for item in items:
            self._operator.check_mapped(item, "expand_kwargs()")
        return self._checked(self._partial.expand_kwargs(kwargs, strict=strict))

    def _checked(self, mapped: Any) -> Any:
        """Return a mapped task, which has taken arguments from its DAG without the operator's seeing them."""
        self._operator.check_mapped(getattr(mapped.get_dag(), "default_args", None), "default_args")
        return mapped


def _nones(arguments: dict[str, Any]) -> list[str]:
    return sorted(name for name, value in arguments.items() if value is None)
