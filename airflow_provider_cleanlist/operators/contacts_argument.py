"""The argument ``contacts`` of an operator, of which nothing gets into Airflow's database."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.arguments.operator import GivenArguments
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.xcom import ContactsArgument, holds_literal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ContactsOperator(GivenArguments):
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
    def check_mapped(cls, arguments: Any, place: str) -> None:
        """Refuse literal contacts.

        Args:
            arguments: Arguments that Airflow stores for a mapped task.
            place: Where they stand.

        Raises:
            CleanlistConfigurationError: ``contacts`` among them, or among their ``default_args``, are literals.
        """
        _refuse_literals(arguments, place)
        if isinstance(arguments, Mapping):
            _refuse_literals(arguments.get("default_args"), f"default_args in {place}")


def _refuse_literals(arguments: Any, place: str) -> None:
    if isinstance(arguments, Mapping) and holds_literal(arguments.get("contacts")):
        raise CleanlistConfigurationError(
            f"{place} holds contacts as literals, which Airflow would store in its database. Give the output of a "
            "task, contacts_path or sql; literals to the operator itself only."
        )
