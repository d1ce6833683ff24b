"""Ids that tasks hand over, in whatever shape an output, a mapped task or a template gives them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError


def given(value: Any) -> str | None:
    """Return the text of an optional argument; None where nothing was given or a template rendered as nothing.

    Args:
        value: The argument: ``None``, ``"None"`` and blank text count as absent.
    """
    text = "" if value is None else str(value).strip()
    return None if text in ("", "None") else text


def workflow_ids_of(value: Any) -> list[str]:
    """Return the workflow ids in whatever was handed over, each once, in order.

    Args:
        value: An id, a ``BulkEnrichOperator`` result, several of these, or a template's rendering of them.

    Raises:
        CleanlistConfigurationError: It holds something else.
    """
    return list(dict.fromkeys(_ids_in(value)))


def _ids_in(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("[", "{"):
            yield from _ids_in(_workflow_ids_literal(text))
        elif text and text != "None":
            yield text
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


def _workflow_ids_literal(text: str) -> Any:
    try:
        return _literal(text)
    except ValueError:
        raise _unusable_workflow_ids("a text that looks like a list but cannot be read as one") from None


def task_ids_of(value: Any) -> dict[str, list[str]]:
    """Return the task ids by workflow in whatever was handed over.

    Args:
        value: A mapping of workflow ids to lists of task ids, several of these, a template's rendering of them, or
            None.

    Raises:
        CleanlistConfigurationError: It holds something else.
    """
    if isinstance(value, str):
        text = value.strip()
        return {} if text in ("", "None") else task_ids_of(_task_ids_literal(text))
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(workflow_id): _texts(ids) for workflow_id, ids in value.items()}
    if isinstance(value, Sequence) or hasattr(value, "__iter__"):
        merged: dict[str, list[str]] = {}
        for item in value:
            merged.update(task_ids_of(item))
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
        value = _literal(text)
    except ValueError:
        raise _unusable_task_ids() from None
    if isinstance(value, str):
        raise _unusable_task_ids()
    return value


def _literal(text: str) -> Any:
    """Return what a template rendered; raises ValueError for whatever is not a plain Python literal."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(text[:20]) from error
