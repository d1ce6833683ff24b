"""Plots as plain SVG. Colours and sizes are those of the style sheet, so that they follow the theme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def columns(values: Sequence[float], labels: Sequence[str], title: str, description: str) -> str:
    """Return a column for each value, side by side, with a title for the pointer and a text for screen readers.

    Args:
        values: The values, none below zero.
        labels: What each column says when the pointer is on it.
        title: What is shown.
        description: What there is to see, in a sentence.
    """
    highest = max([*values, 1e-9])
    bars = "".join(
        f'<rect x="{10 * place + 1}" y="{100 - height:.4g}" width="8" height="{height:.4g}">'
        f"<title>{escape(label)}</title></rect>"
        for place, (value, label) in enumerate(zip(values, labels, strict=True))
        if (height := 100 * value / highest)
    )
    return (
        f'<svg class="columns" role="img" viewBox="0 0 {10 * len(values)} 100" preserveAspectRatio="none">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{bars}</svg>"
    )


def bar(share: float, kind: str = "") -> str:
    """Return a bar that fills a share of its width. Its number stands beside it, so screen readers pass it over.

    Args:
        share: Between 0 and 1.
        kind: Further class of the style sheet.
    """
    width = 100 * min(1.0, max(0.0, share))
    return (
        f'<svg class="bar{f" {kind}" if kind else ""}" aria-hidden="true" viewBox="0 0 100 10" '
        f'preserveAspectRatio="none"><rect class="track" width="100" height="10"/>'
        f'<rect width="{width:.4g}" height="10"/></svg>'
    )
