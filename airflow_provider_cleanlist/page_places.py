"""Where Airflow's interface shows the page *Browse > Cleanlist*, for whatever leads there."""

from __future__ import annotations

FIRST_VERSION = (3, 1)
"""The first version of Airflow whose interface shows pages of plugins in every place that this one needs."""
TASK_ROUTE = "cleanlist-task"
"""The page's name in the address of a task instance."""


def has_pages(version: str) -> bool:
    """Return whether a version of Airflow shows the page.

    Args:
        version: Such as ``3.1.8``.
    """
    return tuple(int(part) for part in version.split(".")[:2]) >= FIRST_VERSION
