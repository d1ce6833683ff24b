"""The figures of ``loading.py`` as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

Result = Mapping[str, Any]

NAMES = {
    "parse": "JSON parsing alone",
    "merge": "**ours, `merge`**",
    "replace": "**ours, `replace`**",
    "append": "**ours, `append`**",
    "snapshot": "**ours, `snapshot`**",
    "merge again": "ours, `merge`, unchanged again",
    "replace again": "ours, `replace`, unchanged again",
    "insert_rows": "`DbApiHook.insert_rows`",
    "to_sql": "`pandas.to_sql`",
    "dlt": "dlt, merge",
    "http fetch": "fetch and parse alone",
    "http merge": "**ours, `merge`**",
    "http replace": "**ours, `replace`**",
    "http append": "**ours, `append`**",
    "http snapshot": "**ours, `snapshot`**",
    "http dlt rest_api": "dlt `rest_api`, merge",
}


def report(results: Sequence[Result]) -> str:
    """Return all tables: per database and size the ways to load, then those over HTTP, then what readers saw."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        groups.setdefault((result["database"], result["size"]), []).append(result)
    parts = []
    for (database, size), found in sorted(groups.items()):
        parts.append(f"### {database}, {size:,} leads")
        parts += [
            table
            for table in (
                _table(found, "copy", "CSV", "http"),
                _table(found, "http fetch", "fetch", ""),
                _readers(found),
            )
            if table
        ]
    return "\n\n".join(parts)


def _table(found: Sequence[Result], base: str, name: str, other: str) -> str:
    over_http = base.startswith("http")
    cells = [cell for cell in NAMES if cell.startswith("http") is over_http and cell != base]
    bases = {
        (result["run"], result["round"]): result["seconds"] for result in found if result["cell"] == base
    }
    lines = [
        _line(
            NAMES.get(base, "ready-made CSV, the fastest way"), [r for r in found if r["cell"] == base], bases
        )
    ]
    lines += [_line(NAMES[cell], [r for r in found if r["cell"] == cell], bases) for cell in cells]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    head = f"| way | s | rows/s | x {name} | peak RSS, MB |\n|---|---|---|---|---|"
    return "\n".join([head, *lines])


def _line(name: str, results: Sequence[Result], bases: Mapping[Any, float]) -> str:
    if not results:
        return ""
    seconds = median(result["seconds"] for result in results)
    ratios = [r["seconds"] / bases[r["run"], r["round"]] for r in results if (r["run"], r["round"]) in bases]
    ratio = f"{median(ratios):.2f}" if ratios else ""
    peaks = [result["peak"] / 1024 for result in results if "peak" in result]
    peak = f"{max(peaks):.0f}" if peaks else ""
    return f"| {name} | {seconds:.2f} | {results[0]['rows'] / seconds:,.0f} | {ratio} | {peak} |"


def _readers(found: Iterable[Result]) -> str:
    lines = []
    for result in found:
        if result["cell"] == "readers":
            lines += [
                f"| `{mode}` | {result['looks'][mode]} | {1000 * longest:.0f} | {result['states'][mode]} |"
                for mode, longest in result["longest"].items()
            ]
    if not lines:
        return ""
    head = "| while publishing | look-ups | longest, ms | states seen by counting |\n|---|---|---|---|"
    return "\n".join([head, *lines])
