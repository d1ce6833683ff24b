"""The page as HTML. Pure; every text that is not ours is escaped, here and in :mod:`.markup`."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_cleanlist.page.budget import BudgetUse
from airflow_provider_cleanlist.page.figures import (
    PACE_DAYS,
    PERIODS,
    LedgerFigures,
    Listing,
    Scope,
    Sums,
    added,
    days_left,
)
from airflow_provider_cleanlist.page.markup import (
    choices_list,
    link,
    moment,
    numbers_list,
    open_batches,
    place_link,
    section,
    sums_table,
    table,
    text_table,
)
from airflow_provider_cleanlist.page.notices import PROBLEMS, document
from airflow_provider_cleanlist.page.plots import bar, columns
from airflow_provider_cleanlist.page.queries import LedgerProblem
from airflow_provider_cleanlist.page.reading import PageReading
from airflow_provider_cleanlist.page.tables import OTHER_DAGS
from airflow_provider_cleanlist.wording import counted

MOST_DAGS = 25
"""DAGs that the page lists; the CSV has all."""


def page(reading: PageReading) -> str:
    """Return the page.

    Args:
        reading: What it shows.
    """
    ledger, balance = reading.ledger, reading.account.balance
    everything = reading.question.scope.is_everything
    sections = [_credits(reading)] if everything else []
    if isinstance(ledger, LedgerProblem):
        sections.append(section("ledger", "Ledger", PROBLEMS[ledger]))
    elif ledger.is_empty:
        sections.append(section("ledger", "Nothing submitted", _nothing(reading)))
    else:
        if ledger.is_of_whole_run:
            sections.append(section("task", "Nothing submitted by this task", NOT_OF_THIS_TASK))
        sections += _ledger_sections(ledger, reading)
    if everything:
        sections.append(_budget(reading))
    is_pending = balance is not None and balance.is_pending(reading.now.timestamp())
    body = f"{_header(reading)}<main>{''.join(sections)}</main>"
    return document("Cleanlist", body, is_pending=is_pending)


NOT_OF_THIS_TASK = (
    "<p>The ledger holds no submission of this task. These are the numbers of its whole DAG run.</p>"
)


def _nothing(reading: PageReading) -> str:
    scope = reading.question.scope
    if scope.is_everything:
        return f"<p>The ledger holds no submission of the last {reading.question.period} days.</p>"
    if scope.task_id:
        return "<p>The ledger holds no submission of this task, and none of its DAG run.</p>"
    return "<p>The ledger holds no submission of this DAG run.</p>"


def _ledger_sections(ledger: LedgerFigures, reading: PageReading) -> list[str]:
    if reading.question.scope.is_everything:
        own = [_days(ledger, reading), _dags(ledger, reading)]
    else:
        own = [section("sum", "Credits and finds", _summary(ledger.total))]
    return [_unknown(ledger, reading), _in_flight(ledger, reading), *own, _types(ledger, reading)]


def query_string(scope: Scope, period: int, organisation: str = "") -> str:
    """Return the query of a page's address.

    Args:
        scope: The part of the ledger.
        period: How many days back.
        organisation: Whose numbers; empty for the default.
    """
    values = {
        "dag_id": scope.dag_id,
        "run_id": scope.run_id,
        "task_id": scope.task_id,
        "map_index": scope.map_index,
        "days": period if scope.is_everything else None,
        "organisation": organisation or None,
    }
    return urlencode({name: value for name, value in values.items() if value is not None}, quote_via=quote)


def _header(reading: PageReading) -> str:
    question, ledger = reading.question, reading.ledger
    scope = question.scope
    what = [scope.dag_id, scope.run_id, scope.task_id]
    what += [f"map index {scope.map_index}"] if scope.map_index is not None else []
    title = " · ".join(escape(part) for part in what if part)
    parts = [f"<h1>Cleanlist</h1>{f'<p>{title}</p>' if title else ''}"]
    if scope.is_everything:
        periods = (
            (f"{period} days", query_string(scope, period, question.organisation), period == question.period)
            for period in PERIODS
        )
        parts.append(choices_list("Period", periods))
    if isinstance(ledger, LedgerFigures) and len(ledger.organisations) > 1:
        names = (
            (name, query_string(scope, question.period, name), name == ledger.organisation)
            for name in ledger.organisations
        )
        parts.append(choices_list("Organisation", names))
    return f"<header>{''.join(parts)}</header>"


def _credits(reading: PageReading) -> str:
    ledger, balance = reading.ledger, reading.account.balance
    items = [("Credits left", *_credits_left(reading))]
    if isinstance(ledger, LedgerFigures):
        total, per_day = ledger.total, ledger.pace.per_day(reading.now)
        left = None
        if balance and balance.credits is not None and balance.organisation in ("", ledger.organisation):
            left = days_left(balance.credits, ledger.pace, reading.now)
        items += [
            (
                "They last",
                "—" if left is None else counted(round(left), "day"),
                f"at the pace of the last {PACE_DAYS} days",
            ),
            ("Pace", f"{per_day:,.0f}", f"credits a day, last {PACE_DAYS} days"),
            (
                "Spent",
                f"{total.credits_spent:,}",
                f"credits in {reading.question.period} days; up to {total.open_credits:,} more for workflows without a "
                "recorded end",
            ),
        ]
    return section("credits", "Credits", numbers_list(items))


def _credits_left(reading: PageReading) -> tuple[str, str]:
    """Return the credits left, and what there is to say of them."""
    account, ledger, balance = reading.account, reading.ledger, reading.account.balance
    if not account.conn_id:
        return "—", "not known: the Cleanlist connection was not looked up in time"
    if balance is None:
        missing = f"there is no usable connection {account.conn_id!r} (see [cleanlist] page_conn_id)"
        return "—", f"not known: {missing}"
    if balance.credits is None and balance.has_failed:
        return "—", "Cleanlist gave no answer; asked again in 5 minutes"
    if balance.credits is None:
        return "—", "being asked for"
    remark = f"asked {moment(datetime.fromtimestamp(balance.checked_at, UTC))}"
    if isinstance(ledger, LedgerFigures) and balance.organisation not in ("", ledger.organisation):
        remark = f"of {balance.organisation}, {remark}"
    elif balance.has_failed:
        remark += "; the last request got no answer"
    return f"{balance.credits:,.10g}", remark


PLACES = {
    "host": "of all processes on the API server's host; other hosts keep a budget of their own",
    "server": "of all hosts that share the budget",
    "process": "of this process only: rate_limit_store is memory://, so what others send is not known",
}


def _budget(reading: PageReading) -> str:
    use = reading.account.budget
    if not reading.account.conn_id:
        body = "<p>Not known: the Cleanlist connection was not looked up in time.</p>"
    elif not reading.account.budget_place:
        body = f"<p>Not known: there is no usable connection {escape(repr(reading.account.conn_id))}.</p>"
    elif use is None:
        body = (
            "<p>The server that holds the budget cannot be reached.</p>"
            if reading.account.budget_place == "server"
            else "<p>No process of this host has sent a request since it was started.</p>"
        )
    else:
        body = _budget_use(use, PLACES[reading.account.budget_place])
    return section("budget", "Request budget", body)


def _budget_use(use: BudgetUse, whose: str) -> str:
    remark = f"of {use.allowed} in {use.window:g} s"
    lowered = (
        f"; {use.requests - use.allowed} fewer than allowed, after refusals"
        if use.allowed < use.requests
        else ""
    )
    waiting = f"requests; the last for {use.wait_seconds:.0f} s" if use.waiting else "requests"
    pause = f"for {use.stopped_seconds:.0f} s: Cleanlist asked for a pause"
    step = use.window / len(use.bins)
    labels = [
        f"{counted(count, 'request')}, {use.window - place * step:g} to {use.window - (place + 1) * step:g} s ago"
        for place, count in enumerate(use.bins)
    ]
    plot = columns(
        use.bins,
        labels,
        "Requests sent",
        f"{counted(use.used, 'request')} in the last {use.window:g} seconds",
    )
    rows = [(f"{use.window - place * step:g} s ago", f"{count:,}") for place, count in enumerate(use.bins)]
    return (
        numbers_list(
            [
                ("Sent", f"{use.used:,}", remark + lowered),
                ("Waiting", f"{use.waiting:,}", waiting),
                ("Stopped", *(("yes", pause) if use.stopped_seconds else ("no", ""))),
            ]
        )
        + f'<div class="beside"><figure>{plot}'
        f"<figcaption><span>{use.window:g} s ago</span><span>now</span></figcaption></figure>"
        f"{text_table('Requests sent', ('From', 'Requests'), rows, numbers=1)}</div>"
        f'<p class="muted">Counted are requests {whose}. The budget remembers one window, and not who '
        "sends; status checks that wait for their turn are not counted.</p>"
    )


def _csv(reading: PageReading, name: str) -> str:
    question = reading.question
    query = escape(query_string(question.scope, question.period, question.organisation))
    return f'<p class="csv"><a href="csv/{name}.csv?{query}" download="{name}.csv" data-outside>CSV: {name}</a></p>'


def _days(ledger: LedgerFigures, reading: PageReading) -> str:
    days = ledger.days(reading.now.date(), reading.question.period)
    values = [sums.credits_spent for _, sums in days]
    labels = [f"{day}: {counted(sums.credits_spent, 'credit')}" for day, sums in days]
    dearest = max(range(len(days)), key=values.__getitem__)
    description = f"From {days[0][0]} to {days[-1][0]}; most on {labels[dearest]}"
    rows = [
        (str(day), f"{sums.contacts:,}", f"{sums.credits_spent:,}")
        for day, sums in reversed(days)
        if sums.contacts
    ]
    numbers = text_table(
        "Credits by day of submission (UTC)", ("Day", "Contacts", "Credits"), rows, numbers=2
    )
    return section(
        "days",
        "Credits by day",
        f'<div class="beside"><figure><div class="ends"><span>{values[dearest]:,} credits</span></div>'
        f"{columns(values, labels, 'Credits by day', description)}"
        f"<figcaption><span>{days[0][0]}</span><span>{days[-1][0]}</span></figcaption></figure>{numbers}</div>"
        f"{_csv(reading, 'days')}",
    )


def _dags(ledger: LedgerFigures, reading: PageReading) -> str:
    dags = ledger.dags(reading.question.readable)
    rows = [
        (OTHER_DAGS if dag_id is None else link(f"dags/{quote(dag_id, safe='')}", dag_id), sums)
        for dag_id, sums in dags[:MOST_DAGS]
    ]
    rest = dags[MOST_DAGS:]
    rows += [(f"{len(rest):,} more", added(sums for _, sums in rest))] if rest else []
    note = (
        f'<p class="muted">{OTHER_DAGS.capitalize()}: those that you may not read, or that another Airflow runs.</p>'
        if any(dag_id is None for dag_id, _ in dags)
        else ""
    )
    sums = sums_table("Credits, and lookups that found something, by DAG", "DAG", rows)
    return section("dags", "By DAG", sums + note + _csv(reading, "dags"))


def _types(ledger: LedgerFigures, reading: PageReading) -> str:
    rows = [(escape(kind), sums) for kind, sums in ledger.types()]
    sums = sums_table(
        "Credits, and lookups that found something, by enrichment type", "Enrichment type", rows
    )
    return section("types", "By enrichment type", sums + _csv(reading, "types"))


def _summary(total: Sums) -> str:
    emails, phones = total.email_percent, total.phone_percent
    return numbers_list(
        [
            ("Contacts", f"{total.contacts:,}", "submitted"),
            ("Spent", f"{total.credits_spent:,}", f"credits; up to {total.open_credits:,} more"),
            (
                "Found an email",
                "—" if emails is None else f"{emails:.1f} %",
                f"{total.emails_found:,} of {total.email_lookups:,}",
            ),
            (
                "Found a phone",
                "—" if phones is None else f"{phones:.1f} %",
                f"{total.phones_found:,} of {total.phone_lookups:,}",
            ),
        ]
    )


def _in_flight(ledger: LedgerFigures, reading: PageReading) -> str:
    in_flight, on_their_way = ledger.in_flight, ledger.on_their_way
    body = "" if in_flight else "<p>None.</p>"
    if in_flight.items:
        rows = "".join(
            f"<tr><th scope=row>{place_link(item.place)}</th><td class=n>{item.ended:,} of {item.workflows:,}</td>"
            f"<td class=n>{item.contacts_ended:,} of {item.contacts:,}</td><td class=n>{item.percent:.0f} %</td>"
            f"<td class=plot>{bar(item.percent / 100)}</td><td>{moment(item.since)}</td></tr>"
            for item in in_flight.items
        )
        head = (
            "<th scope=col>Task</th><th scope=col class=n>Workflows</th><th scope=col class=n>Contacts</th>"
            "<th scope=col class=n>Progress</th><th scope=col class=plot></th><th scope=col>Since</th>"
        )
        body = table("Workflows that have ended, by task", head, rows) + _csv(reading, "workflows")
    body += _beyond(in_flight)
    if on_their_way:
        body += "<p>Requests on their way, or waiting for their place in the budget:</p>"
    if on_their_way.items:
        body += open_batches(on_their_way.items, "Requests on their way")
    return section("in-flight", "Workflows in flight", body + _beyond(on_their_way))


def _unknown(ledger: LedgerFigures, reading: PageReading) -> str:
    body = "" if ledger.unknown else "<p>None.</p>"
    if ledger.unknown.items:
        body = (
            '<p class="alert">Nobody knows whether Cleanlist accepted these requests, and so whether they are billed. '
            "The log of each task says how to go on.</p>"
            + open_batches(ledger.unknown.items, "Unknown outcomes")
            + _csv(reading, "unknown-outcomes")
        )
    return section("unknown", "Unknown outcomes", body + _beyond(ledger.unknown))


def _beyond(listing: Listing[Any]) -> str:
    """Say what a list leaves out."""
    shown, older, hidden = len(listing.items), listing.older, listing.hidden
    also = "And " if shown else ""
    return (
        f'<p class="muted">The newest {shown:,} are shown, {older:,} more are not.</p>' if older else ""
    ) + (f'<p class="muted">{also}{hidden:,} of {OTHER_DAGS}.</p>' if hidden else "")
