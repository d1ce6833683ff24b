"""The scheduler of webhook deliveries."""

from __future__ import annotations

import threading

from airflow_provider_cleanlist.sandbox.clock import ManualClock
from airflow_provider_cleanlist.sandbox.state.webhooks import Scheduler


def test_scheduler_runs_actions_when_their_instant_comes():
    clock = ManualClock(0.0)
    scheduler, done, ran = Scheduler(clock), [], threading.Event()

    def action(name):
        done.append(name)
        ran.set()

    scheduler.at(10, lambda: action("late"))
    scheduler.at(5, lambda: action("early"))
    clock.advance(5)
    assert ran.wait(5)
    ran.clear()
    assert done == ["early"]
    clock.advance(5)
    assert ran.wait(5)
    scheduler.at(20, lambda: action("never"))
    scheduler.clear()
    clock.advance(100)
    scheduler.stop()
    scheduler.at(0, lambda: action("too late"))
    assert done == ["early", "late"]
