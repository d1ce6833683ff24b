"""What the page says instead of figures: why the ledger has none, and what to do about an address that is refused."""

from __future__ import annotations

from html import escape

from airflow_provider_cleanlist.page.markup import section
from airflow_provider_cleanlist.page.queries import LedgerProblem

PROBLEMS = {
    LedgerProblem.NOT_CONFIGURED: (
        "<p>There is no ledger. Credits, find rates, workflows and unknown outcomes are read from the ledger, a "
        "few tables in a PostgreSQL, MySQL, MariaDB or SQLite database of yours.</p>"
        "<ol><li>Add an Airflow connection to the database.</li>"
        "<li>Name it in Airflow's configuration:<pre>[cleanlist]\nledger_conn_id = cleanlist_ledger</pre></li>"
        "<li>Restart Airflow. The first enrichment makes the tables.</li></ol>"
    ),
    LedgerProblem.NOT_MADE: (
        "<p>The ledger is set up and has no tables yet: the first task with <code>BulkEnrichOperator</code> makes them."
        "</p>"
    ),
    LedgerProblem.UNUSABLE: (
        '<p class="alert">The ledger cannot be used.</p><p>Check that the connection of <code>[cleanlist] '
        "ledger_conn_id</code> exists, that the API server has the Airflow provider and driver of its type, and that "
        "it is a PostgreSQL, MySQL, MariaDB or SQLite database.</p>"
    ),
    LedgerProblem.UNREACHABLE: (
        '<p class="alert">The ledger cannot be reached.</p><p>Check that its database is up, and that the API server '
        "may connect to it. The API server's log names the kind of error.</p>"
    ),
    LedgerProblem.UNREADABLE: (
        '<p class="alert">The ledger cannot be read.</p><p>Its database was reached, and a query failed or was not '
        "made. Check that its user may <code>SELECT</code> from the <code>cleanlist_</code> tables, that none of them "
        "was changed or dropped, is a view or is somebody else's, and that "
        "<code>cleanlist_batches</code> holds numbers and times where it should. "
        "The API server's log names the kind of error, or the tables.</p>"
    ),
    LedgerProblem.OLDER: (
        '<p class="alert">The ledger was made by an older version of this provider.</p><p>The next task with '
        "<code>BulkEnrichOperator</code> that uses this version brings its tables up to date.</p>"
    ),
    LedgerProblem.NEWER: (
        '<p class="alert">The ledger was made by a newer version of this provider.</p><p>Upgrade '
        "<code>airflow-provider-cleanlist</code> on the API server, and wherever else the ledger is used.</p>"
    ),
    LedgerProblem.LATE: (
        '<p class="alert">The ledger did not answer in time.</p><p>Load the page again. If it stays so, check that its '
        "database is up and not overloaded, and that nothing between it and the API server holds connections up.</p>"
    ),
}
REFUSALS = {
    400: (
        "This address is not valid",
        "A value in it is too long or holds a character that no id has. Open the page from Airflow's menu, a DAG run "
        "or a task instance.",
    ),
    401: ("You are not logged in", "Log in to Airflow, then open the page again."),
    403: (
        "You may not read this",
        "Ask an administrator of this Airflow for read access to the DAG, or to DAGs at all, and then log in again.",
    ),
    404: ("There is no such page", "Open the page from Airflow's menu, a DAG run or a task instance."),
    503: (
        "Too many questions at the same time",
        "Others are reading the page at this moment. Load it again in a few seconds.",
    ),
}
"""Title and text of each answer that is not a page, by HTTP status."""
OTHER_REFUSAL = (
    "This did not work",
    "Load the page again. If it stays so, see the API server's log at this time.",
)


def document(title: str, body: str, *, is_pending: bool = False, root: str = "") -> str:
    """Return a whole page.

    Args:
        title: Its title, as text.
        body: Its content, as HTML.
        is_pending: Whether the browser should load it again soon.
        root: The way from its address to that of the page, such as ``../``.
    """
    mark = " data-pending=1" if is_pending else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><script src="{root}page.js"></script>'
        f'<link rel="stylesheet" href="{root}page.css"></head><body{mark}>{body}</body></html>'
    )


def problem_page(problem: LedgerProblem, root: str = "") -> str:
    """Return what is shown instead of a table when the ledger has no numbers.

    Args:
        problem: Why it has none.
        root: The way from the address to that of the page.
    """
    return document("Cleanlist", f"<main>{section('ledger', 'Ledger', PROBLEMS[problem])}</main>", root=root)


def refusal_page(status: int, root: str = "") -> str:
    """Return what is shown to somebody who gets no page.

    Args:
        status: HTTP status.
        root: The way from the address to that of the page.
    """
    title, text = REFUSALS.get(status, OTHER_REFUSAL)
    return document(title, f"<main>{section('refusal', title, f'<p>{escape(text)}</p>')}</main>", root=root)
