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
    "insert_rows": "`DbApiHook.insert_rows`, rows at hand",
    "xcom": "`HttpOperator`, an XCom, `SQLInsertRowsOperator`",
    "to_sql": "`pandas.to_sql`",
    "dlt": "dlt, merge",
    "http fetch": "fetch and parse alone",
    "http merge": "**ours, `merge`**",
    "http replace": "**ours, `replace`**",
    "http append": "**ours, `append`**",
    "http snapshot": "**ours, `snapshot`**",
    "http dlt rest_api": "dlt `rest_api`, merge",
    "slow fetch": "fetch and parse alone, answers 50 ms late",
    "slow merge": "**ours, `merge`**, answers 50 ms late",
}
BASES = {"http": "http fetch", "slow": "slow fetch"}
"""The cell that others are compared with, by the first word of their names; of the rest it is ``copy``."""


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
            for table in (_table(found, over_http=False), _table(found, over_http=True), _readers(found))
            if table
        ]
    return "\n\n".join(parts)


def _table(found: Sequence[Result], *, over_http: bool) -> str:
    cells = [cell for cell in ("copy", *NAMES) if (_base(cell) != "copy") is over_http]
    seconds = {(r["run"], r["round"], r["cell"]): r["seconds"] for r in found}
    lines = [_line(cell, [r for r in found if r["cell"] == cell], seconds) for cell in cells]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    head = f"| way | s | rows/s | x {'fetch' if over_http else 'CSV'} | CPU s, client + server | peak RSS, MB |\n"
    head += "|---|---|---|---|---|---|"
    return "\n".join([head, *lines])


def _base(cell: str) -> str:
    return BASES.get(cell.partition(" ")[0], "copy")


def _line(cell: str, results: Sequence[Result], all_seconds: Mapping[Any, float]) -> str:
    if not results:
        return ""
    seconds = median(result["seconds"] for result in results)
    keys = [(result["run"], result["round"], _base(cell)) for result in results]
    ratios = [
        r["seconds"] / all_seconds[key] for r, key in zip(results, keys, strict=True) if key in all_seconds
    ]
    ratio = f"{median(ratios):.2f}" if ratios else ""
    peaks = [result["peak"] / 1024 for result in results if "peak" in result]
    peak = f"{max(peaks):.0f}" if peaks else ""
    name = NAMES.get(cell, "ready-made CSV, the database's fastest way")
    parts = [[r[part] for r in results if part in r] for part in ("cpu", "server_cpu")]
    cpu = " + ".join(f"{median(part):.1f}" for part in parts if part)
    return f"| {name} | {seconds:.2f} | {results[0]['rows'] / seconds:,.0f} | {ratio} | {cpu} | {peak} |"


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
