"""The argument ``contacts`` of an operator, of which nothing gets into Airflow's database."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.xcom import ContactsArgument, holds_literal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ContactsOperator(BaseOperator):
    """An operator with the argument ``contacts``, which may be literals where only the operator itself holds them.

    Airflow stores what stands in ``partial()``, ``expand()``, ``expand_kwargs()`` and ``default_args`` of a DAG in the
    serialized DAG, so contacts there must be outputs of other tasks.
    """

    @property
    def contacts(self) -> ContactsArgument | None:
        """The contacts, in a wrapper that shows none of them; None if they come from elsewhere."""
        return self._contacts

    @contacts.setter
    def contacts(self, value: Any) -> None:
        _refuse_literals(getattr(self.get_dag(), "default_args", None), "default_args")
        is_wrapped = value is None or isinstance(value, ContactsArgument)
        self._contacts = value if is_wrapped else ContactsArgument(value)

    @abstractmethod
    def execute(self, context: Context) -> Any:
        """Do what the operator does, and return its result."""

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Begin a mapped task, as ``BaseOperator.partial`` does.

        Args:
            **kwargs: Arguments of every instance.

        Returns:
            What has ``expand()`` and ``expand_kwargs()``.

        Raises:
            CleanlistConfigurationError: ``contacts`` are literals.
        """
        _refuse_literals(kwargs, "partial()")
        return _Partial(super().partial(**kwargs))


class _Partial:
    """What ``BaseOperator.partial`` returns, which refuses literal contacts."""

    def __init__(self, partial: Any) -> None:
        self._partial = partial

    def expand(self, **kwargs: Any) -> Any:
        _refuse_literals(kwargs, "expand()")
        return _checked(self._partial.expand(**kwargs))

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        for item in kwargs if isinstance(kwargs, list | tuple) else ():
            _refuse_literals(item, "expand_kwargs()")
        return _checked(self._partial.expand_kwargs(kwargs, strict=strict))


def _checked(mapped: Any) -> Any:
    """Return a mapped task, which has taken arguments from its DAG without the operator's seeing them."""
    _refuse_literals(getattr(mapped.get_dag(), "default_args", None), "default_args")
    return mapped


def _refuse_literals(arguments: Any, place: str) -> None:
    if isinstance(arguments, Mapping) and holds_literal(arguments.get("contacts")):
        raise CleanlistConfigurationError(
            f"{place} holds contacts as literals, which Airflow would store in its database. Give the output of a "
            "task, contacts_path or sql; literals to the operator itself only."
        )
