from __future__ import annotations

import pytest

from airflow_provider_cleanlist.warehouse.checkpoint import Checkpoint
from airflow_provider_cleanlist.warehouse.progress import Progress, duration


def test_a_line_comes_every_thirty_seconds_at_most():
    progress = Progress(now=100.0)
    at = Checkpoint(pages=20, rows=10_000, total=100_000)
    assert progress.line(at, 129.0) is None
    assert progress.line(at, 130.0) == "20 pages, 10,000 of 100,000 rows read, 333 rows/s, about 4 min left"
    assert progress.line(at, 140.0) is None


def test_the_rate_is_that_of_this_try():
    progress = Progress(now=0.0, rows=50_000)
    line = progress.line(Checkpoint(pages=120, rows=56_000, total=60_000), 60.0)
    assert line == "120 pages, 56,000 of 60,000 rows read, 100 rows/s, about 40 s left"


@pytest.mark.parametrize("total", [None, 0, 500])
def test_nothing_is_expected_of_an_unknown_or_reached_total(total):
    line = Progress(now=0.0).line(Checkpoint(pages=1, rows=500, total=total), 50.0)
    assert "left" not in line
    assert line.endswith("10 rows/s")


def test_summary():
    assert (
        Progress(now=0.0).summary(Checkpoint(pages=2, rows=1000), 4.0)
        == "2 pages, 1,000 rows in 4 s (250 rows/s)"
    )
    assert Progress(now=0.0).summary(Checkpoint(pages=1, rows=1), 1.0) == "1 page, 1 row in 1 s (1 rows/s)"
    assert Progress(now=0.0).summary(Checkpoint(), 0.0) == "0 pages, 0 rows in 0 s (0 rows/s)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h 0 min"), (11_100, "3 h 5 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
