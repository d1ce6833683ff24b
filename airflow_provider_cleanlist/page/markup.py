"""Parts of the page as HTML: tables, lists of numbers, links. Every text that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from airflow_provider_cleanlist.page.figures import OpenBatch, Sums, TaskPlace
from airflow_provider_cleanlist.page.plots import bar


def section(name: str, title: str, body: str) -> str:
    """Return a section with its title.

    Args:
        name: Its id.
        title: Its title, as text.
        body: Its content, as HTML.
    """
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>{body}</section>'


def choices_list(label: str, choices: Iterable[tuple[str, str, bool]]) -> str:
    """Return links of which one is current.

    Args:
        label: What is chosen.
        choices: Text, query of the address, and whether it is current.
    """
    items = "".join(
        f'<li><a href="?{escape(query)}"{" aria-current=true" if is_current else ""}>{escape(text)}</a></li>'
        for text, query, is_current in choices
    )
    return f'<nav aria-label="{label}"><ul>{items}</ul></nav>'


def numbers_list(items: Iterable[tuple[str, str, str]]) -> str:
    """Return numbers with what they are.

    Args:
        items: Name, number and remark of each, as text.
    """
    shown = "".join(
        f'<div><dt>{escape(name)}</dt><dd class="big">{escape(value)}</dd><dd class="muted">{escape(remark)}</dd></div>'
        for name, value, remark in items
    )
    return f'<dl class="numbers">{shown}</dl>'


def table(caption: str, head: str, body: str) -> str:
    """Return a table that can be scrolled, also with the keyboard.

    Args:
        caption: What it holds, as text.
        head: The cells of its head, as HTML.
        body: Its rows, as HTML.
    """
    text = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text}"><table><caption>{text}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def text_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int) -> str:
    """Return a table of plain texts.

    Args:
        caption: What it holds.
        head: Names of its columns.
        rows: Its rows.
        numbers: How many of its last columns are numbers.
    """
    first = len(head) - numbers

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place >= first else ''}{' scope=col' if tag == 'th' else ''}>{escape(text)}</{tag}>"
            for place, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return table(caption, cells("th", head), body)


def sums_table(caption: str, first: str, rows: Sequence[tuple[str, Sums]]) -> str:
    """Return a table with bars: credits beside each other, and find rates.

    Args:
        caption: What it holds.
        first: Name of its first column.
        rows: Names, as HTML, and sums.
    """
    highest = max([*(sums.credits_spent for _, sums in rows), 1])
    head = (
        f"<th scope=col>{first}</th><th scope=col class=n>Contacts</th><th scope=col class=n>Credits</th>"
        "<th scope=col class=plot><span class=muted>Credits</span></th><th scope=col class=n>Found an email</th>"
        "<th scope=col class=plot></th><th scope=col class=n>Found a phone</th><th scope=col class=plot></th>"
    )
    body = "".join(
        f"<tr><th scope=row>{name}</th><td class=n>{sums.contacts:,}</td><td class=n>{sums.credits_spent:,}</td>"
        f"<td class=plot>{bar(sums.credits_spent / highest)}</td>"
        f"{_rate(sums.email_percent)}{_rate(sums.phone_percent)}</tr>"
        for name, sums in rows
    )
    return table(caption, head, body)


def _rate(value: float | None) -> str:
    if value is None:
        return "<td class=n>—</td><td class=plot></td>"
    return f"<td class=n>{value:.1f} %</td><td class=plot>{bar(value / 100, 'second')}</td>"


def open_batches(batches: Sequence[OpenBatch], caption: str) -> str:
    """Return a table of batches without an answer.

    Args:
        batches: The batches.
        caption: What they are.
    """
    has_decisions = any(batch.decision for batch in batches)
    rows = "".join(
        f"<tr><th scope=row>{place_link(batch.place)}</th><td class=n>{batch.contacts:,}</td>"
        f"<td class=n>{batch.worst_case_credits:,}</td><td>{moment(batch.submitted_at)}</td>"
        f"{f'<td>{_decision(batch)}</td>' if has_decisions else ''}</tr>"
        for batch in batches
    )
    head = (
        "<th scope=col>Task</th><th scope=col class=n>Contacts</th><th scope=col class=n>Credits at most</th>"
        f"<th scope=col>Submitted</th>{'<th scope=col>Decision</th>' if has_decisions else ''}"
    )
    return table(caption, head, rows)


def _decision(batch: OpenBatch) -> str:
    if batch.decided_at is None:
        return "none"
    return f"{escape(batch.decision)}, {escape(batch.decided_by)}, {moment(batch.decided_at)}"


def moment(when: datetime) -> str:
    """Return a moment as the page shows it.

    Args:
        when: The moment.
    """
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def link(path: str, text: str) -> str:
    """Return a link to a page of Airflow, relative to this page, so that it works below any path prefix.

    Args:
        path: Path below Airflow's root, percent-encoded.
        text: What it says.
    """
    return f'<a href="../{escape(path)}" data-outside>{escape(text)}</a>'


def place_link(place: TaskPlace) -> str:
    """Return a link to a task instance in Airflow's interface.

    Args:
        place: The task instance.
    """
    dag_id, run_id, task_id = (quote(part, safe="") for part in (place.dag_id, place.run_id, place.task_id))
    path = f"dags/{dag_id}/runs/{run_id}/tasks/{task_id}"
    mapped = place.map_index >= 0
    return link(
        f"{path}/mapped/{place.map_index}" if mapped else path,
        f"{place.dag_id} · {place.task_id}{f' [{place.map_index}]' if mapped else ''} · {place.run_id}",
    )
