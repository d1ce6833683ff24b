"""Ends in other words than the documented ones, in every mode of waiting; and the log of an end found at once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist.exceptions import CleanlistWorkflowFailedError
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor

from .conftest import submit

pytestmark = pytest.mark.integration

POKE: dict[str, Any] = {"deferrable": False, "poll_interval": 1.0}
MODES = [{}, POKE, {"deferrable": False, "mode": "reschedule"}]
"""Deferrable (one workflow is checked before), in poke mode, in reschedule mode."""


class Store(dict[str, Any]):
    """A task state store."""

    set = dict.__setitem__


def context(**more: Any) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="wait",
        map_index=-1,
        try_number=1,
        start_date=None,
        xcom_push=lambda **_: None,
        get_first_reschedule_date=lambda _: None,
    )
    return {"ti": ti, **more}


def sensor(server: SandboxServer, connect: Callable[..., None], **arguments: Any) -> WorkflowSensor:
    connect(server)
    return WorkflowSensor(task_id="wait", workflow_ids=submit(server, 1), **arguments)


@pytest.mark.cleanlist_sandbox(final_status="Completed with errors")
@pytest.mark.parametrize("mode", MODES)
def test_an_end_in_other_words_found_at_once_is_logged(
    mode: dict[str, Any],
    cleanlist_sandbox: SandboxServer,
    connect: Callable[..., None],
    logged: Callable[[], str],
):
    summary = sensor(cleanlist_sandbox, connect, **mode).execute(context())
    assert (summary["completed"], summary["total"]) == (1, 40)
    assert "1 of 1 workflow ended, 40 of 40 contacts processed, " in logged()


@pytest.mark.cleanlist_sandbox(final_status="wrapping_up")
def test_in_reschedule_mode_an_unknown_status_is_remembered_from_poke_to_poke(
    cleanlist_sandbox: SandboxServer, connect: Callable[..., None], logged: Callable[[], str]
):
    task, store = sensor(cleanlist_sandbox, connect, deferrable=False, mode="reschedule"), Store()
    assert not task.poke(context(task_state_store=store)).is_done
    assert not task.poke(context(task_state_store=store)).is_done
    [saved] = store.values()
    [[_, since]] = saved["all_processed"]
    saved["all_processed"] = [[0, since - 30]]
    done = task.poke(context(task_state_store=store))
    assert done.is_done
    assert done.xcom_value["completed"] == 1
    assert "has the unknown status 'wrapping_up', but all its contacts were processed" in logged()


@pytest.mark.cleanlist_sandbox(final_status="failed")
@pytest.mark.parametrize("mode", MODES)
def test_a_failure_shows_nothing_of_how_the_wait_works(
    mode: dict[str, Any], cleanlist_sandbox: SandboxServer, connect: Callable[..., None]
):
    with pytest.raises(CleanlistWorkflowFailedError) as raised:
        sensor(cleanlist_sandbox, connect, **mode).execute(context())
    error: BaseException | None = raised.value
    while error is not None:
        assert not isinstance(error, StopIteration)
        error = error.__cause__ or error.__context__
