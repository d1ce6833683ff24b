"""What tasks and templates hand over: contacts, ids and optional values, in whatever shape they arrive."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_cleanlist.arguments.values import is_absent, unicode_text
from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.input_limits import ID_CHARACTERS, WORKFLOW_IDS
from airflow_provider_cleanlist.wording import unique_names

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]  # Airflow 2

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ContactsArgument(ResolveMixin):
    """The contacts of a task, which Airflow resolves as it does any template field, and never shows.

    References to outputs of other tasks are found wherever they are nested, so that Airflow makes the edges to these
    tasks, mapped or not. Nothing is rendered as a template: contacts are data.

    Args:
        value: Contacts, or references to outputs that hold them.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        """Yield the tasks whose outputs are referred to, with the key of the output."""
        return XComArg.iter_xcom_references(self.value)

    def resolve(self, context: Context, *args: Any, **kwargs: Any) -> ContactsArgument:
        """Return the contacts with all references resolved.

        Lists and DataFrames that the outputs of mapped or several tasks hold are taken one after the other.

        Args:
            context: Context of the task.
            *args: What this Airflow passes besides.
            **kwargs: What this Airflow passes besides.
        """
        if not _holds_reference(self.value):
            return self
        return ContactsArgument(
            _joined(_resolved(self.value, lambda value: value.resolve(context, *args, **kwargs)))
        )

    def serialize(self) -> str:
        """Return what Airflow shows as the rendered field."""
        return "not shown: contacts are personal data"

    __repr__ = __str__ = serialize


def holds_literal(value: Any) -> bool:
    """Return whether contacts are anything but references to outputs of tasks, also in a part.

    Args:
        value: The contacts.
    """
    if value is None:
        return False
    if isinstance(value, ResolveMixin):
        return any(map(holds_literal, _values_in_reference(value)))
    if isinstance(value, dict):
        return any(map(holds_literal, value.values()))
    return not isinstance(value, list | tuple) or any(map(holds_literal, value))


def _values_in_reference(reference: Any) -> Iterator[Any]:
    """Yield the references that one was made of, by ``map()`` for instance, and what ``zip()`` fills gaps with."""
    yield getattr(reference, "arg", None)
    yield from getattr(reference, "args", ())
    fill = getattr(reference, "fillvalue", _NO_FILL)
    if fill is not _NO_FILL:
        yield fill


_NO_FILL = signature(XComArg.zip).parameters["fillvalue"].default


def _holds_reference(value: Any) -> bool:
    if isinstance(value, ResolveMixin):
        return True
    if isinstance(value, dict):
        return any(map(_holds_reference, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_reference, value))


def _resolved(value: Any, resolve: Any) -> Any:
    if isinstance(value, ResolveMixin):
        return resolve(value)
    if isinstance(value, dict):
        return {key: _resolved(item, resolve) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, resolve) for item in value]
    return value


def _joined(value: Any) -> Any:
    """Return contacts with those of lists inside in their place: a mapped task's output is one list per instance."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return value
    return [contact for item in value for contact in _contacts_in(item)]


def _contacts_in(item: Any) -> Iterable[Any]:
    if item is None:  # a task that was skipped
        return ()
    if hasattr(item, "itertuples"):
        columns = unique_names(list(map(str, item.columns)))
        return (dict(zip(columns, row, strict=True)) for row in item.itertuples(index=False, name=None))
    is_list = isinstance(item, Sequence) and not isinstance(item, str | bytes | tuple)
    return item if is_list else (item,)


def workflow_ids_of(value: Any) -> list[str]:
    """Return the workflow ids in whatever was handed over, each once, in order.

    Args:
        value: An id, a ``BulkEnrichOperator`` result, several of these, or a template's rendering of all of them.

    Raises:
        CleanlistConfigurationError: It holds something else, or more than 20,000 ids.
    """
    ids: dict[str, None] = {}
    try:
        for workflow_id in _ids_in(_read_if_rendered(value)):
            ids[workflow_id] = None
            if len(ids) > WORKFLOW_IDS:
                raise CleanlistConfigurationError(
                    f"workflow_ids names more than {WORKFLOW_IDS:,} workflows: spread them over several tasks."
                )
    except RecursionError:
        raise _unusable_workflow_ids("lists that are nested too deeply") from None
    return list(ids)


def check_workflow_ids(value: Any) -> None:
    """Refuse workflow ids that are nothing: a task that finds none, because of a misspelled template, must not succeed.

    Args:
        value: As for :func:`workflow_ids_of`. An empty list is something: what a task returns that submitted nothing.

    Raises:
        CleanlistConfigurationError: It names no workflow and is no empty list, or cannot be read.
    """
    try:
        is_something = bool(workflow_ids_of(value)) or _is_empty(value)
    except RecursionError:
        raise _unusable_workflow_ids("lists that are nested too deeply") from None
    if not is_something:
        raise CleanlistConfigurationError(
            "workflow_ids holds nothing here: its template or the output of a task is nothing at run time. Only an "
            "empty list means that there are none, such as that of a BulkEnrichOperator which submitted nothing."
        )


def _is_empty(value: Any) -> bool:
    value = _read_if_rendered(value)
    if isinstance(value, Mapping):
        return _is_empty(value.get("workflow_ids"))
    return isinstance(value, Iterable) and not isinstance(value, str) and all(map(_is_empty, value))


def _read_if_rendered(value: Any) -> Any:
    """Return what a template rendered, if it is a whole argument: a text in a list may be of somebody else's making."""
    if not isinstance(value, str) or not _is_rendered(value):
        return value
    try:
        return _literal(value.strip())
    except ValueError:
        raise _unusable_workflow_ids("a text that looks like a list but cannot be read as one") from None


def _is_rendered(text: str) -> bool:
    return text.lstrip()[:1] in ("[", "{")


def _ids_in(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        text = value.strip()
        if _is_rendered(text):
            raise _unusable_workflow_ids("a text that looks like a list in a list")
        if len(text) > ID_CHARACTERS or not text.isprintable():
            raise _unusable_workflow_ids("a text that is too long for an id, or has line breaks in it")
        if text and text != "None":
            yield unicode_text(text)
    elif isinstance(value, Mapping):
        if "workflow_ids" not in value:
            raise _unusable_workflow_ids("a mapping without the key 'workflow_ids'")
        yield from _ids_in(value["workflow_ids"])
    elif isinstance(value, Iterable):
        for item in value:
            yield from _ids_in(item)
    elif value is not None:
        raise _unusable_workflow_ids(f"a value of type {type(value).__name__}")


def _unusable_workflow_ids(what: str) -> CleanlistConfigurationError:
    return CleanlistConfigurationError(
        f"workflow_ids holds {what}: give a workflow id, a list of them, or the output of BulkEnrichOperator."
    )


def enrichment_types_of(value: Any) -> dict[str, str]:
    """Return what was asked for by workflow, where that is known.

    It is known for the workflows of a ``BulkEnrichOperator`` result that asked for the same in all of them.

    Args:
        value: As for :func:`workflow_ids_of`.
    """
    return _types_in(_read_if_rendered(value))


def _types_in(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return {}
    if isinstance(value, Mapping):
        submitted_as = value.get("submitted_as")
        kinds = set(submitted_as) if isinstance(submitted_as, Mapping) else set()
        known = len(kinds) == 1 and kinds <= set(EnrichmentType)
        return dict.fromkeys(workflow_ids_of(value), str(*kinds)) if known else {}
    types: dict[str, str] = {}
    for item in value if isinstance(value, Iterable) else ():
        types.update(_types_in(item))
    return types


def task_ids_of(value: Any) -> dict[str, list[str]]:
    """Return the task ids by workflow in whatever was handed over.

    Args:
        value: A mapping of workflow ids to lists of task ids, several of these, a template's rendering of them, or
            None.

    Raises:
        CleanlistConfigurationError: It holds something else.
    """
    is_rendered = isinstance(value, str) and _is_rendered(value)
    return _task_ids_in(_task_ids_literal(value.strip()) if is_rendered else value)


def _task_ids_in(value: Any) -> dict[str, list[str]]:
    if is_absent(value):
        return {}
    if isinstance(value, Mapping):
        return {str(workflow_id): _texts(ids) for workflow_id, ids in value.items()}
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        merged: dict[str, list[str]] = {}
        for item in value:
            merged.update(_task_ids_in(item))
        return merged
    raise _unusable_task_ids()


def _texts(ids: Any) -> list[str]:
    if isinstance(ids, str | Mapping) or not hasattr(ids, "__iter__"):
        raise _unusable_task_ids()
    return [str(task_id) for task_id in ids]


def _unusable_task_ids() -> CleanlistConfigurationError:
    return CleanlistConfigurationError(
        "task_ids must map workflow ids to lists of task ids: give the XCom task_ids of "
        "BulkEnrichOperator(push_task_ids=True), such as enrich.output['task_ids']."
    )


def _task_ids_literal(text: str) -> Any:
    try:
        return _literal(text)
    except ValueError:
        raise _unusable_task_ids() from None


def _literal(text: str) -> Any:
    """Return what a template rendered; raises ValueError for whatever is not a plain Python literal."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(text[:20]) from error
