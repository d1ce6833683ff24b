"""Loads in a real Airflow, killed by SIGKILL at every step; the next try goes on.

``LOAD_KILLS=all`` kills at every statement and commit in turn, not only at those that ``KILLS`` names.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import sqlalchemy as sa
from sandbox_process import API_KEY, SandboxProcess

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

LEADS = 1_030
KILLS = {
    "before the first page is asked for": ("ask for a page", 1),
    "when a page has come": ("get a page", 8),
    "while rows are written to the stage": ("write rows", 2),
    "after rows are written, before they are committed": ("rows are written", 3),
    "after rows and checkpoint are committed": ("rows are committed", 4),
    "after the last page is committed": ("ANALYZE stage", 1),
    "while columns are added to the target": ("ALTER target", 3),
    "while the old rows are deleted": ("DELETE target", 2),
    "while the new rows are inserted": ("INSERT target", 2),
    "after the publication, before it is committed": ("publication is complete", 1),
    "after the publication is committed": ("clean up", 1),
    "while the stage is cleared away": ("DELETE loads", 1),
}
NEVER = "never"


@dataclass
class Load:
    """A DAG run.

    Attributes:
        name: Where it is killed, for people.
        kill: The step and the passing at which its first try is killed; None lets it run.
        list_id: Its list, which no other run reads.
        diary: What its tries noted.
        asked: How many pages of its list the sandbox was asked for by then.
        run_id: Its run.
    """

    name: str
    kill: tuple[str, int] | None
    table: str
    list_id: str = ""
    run_id: str = ""
    asked: int = 0
    diary: list[dict[str, Any]] = field(default_factory=list)

    def tries(self) -> list[int]:
        return sorted({note["try"] for note in self.diary})

    def notes(self, attempt: int, what: str) -> list[dict[str, Any]]:
        return [note for note in self.diary if note["try"] == attempt and note["what"] == what]

    def pages(self, attempt: int) -> list[int]:
        """Return the numbers of the pages that a try asked for, from 0."""
        return [int(note["cursor"] or 0) // 50 for note in self.notes(attempt, "ask for a page")]

    def committed(self, attempt: int) -> int:
        """Return how many pages were committed when a try began."""
        (note,) = self.notes(attempt, "begin")
        return int(note["committed"])

    def read_again(self) -> int:
        """Return how many pages were asked for again although they were committed."""
        return sum(page < self.committed(attempt) for attempt in self.tries() for page in self.pages(attempt))


class Stage:
    """Airflow, a sandbox, a warehouse, and the loads that meet there."""

    def __init__(
        self, airflow: AirflowProcesses, sandbox: SandboxProcess, warehouse: sa.engine.Engine, folder: Path
    ) -> None:
        self._api = airflow.api
        self._folder = folder
        self.sandbox = sandbox
        self.warehouse = warehouse
        self.loads: dict[str, Load] = {}
        url = warehouse.url
        self._connect(
            "load_killed_api", conn_type="cleanlist", host=sandbox.url, password=API_KEY, extra=_FAST
        )
        self._connect(
            "load_killed_warehouse",
            conn_type="postgres",
            host=url.query["host"],
            login=url.username,
            schema=url.database,
        )

    def _connect(self, conn_id: str, **fields: Any) -> None:
        self._api.call("POST", "/connections", {"connection_id": conn_id, **fields})

    def play(self, kills: dict[str, tuple[str, int] | None], timeout: float) -> None:
        """Run loads side by side to their end."""
        self._api.wait_for_dag("load_killed", timeout=120)
        loads = [
            Load(name, kill, f"t{len(self.loads) + number}_killed")
            for number, (name, kill) in enumerate(kills.items())
        ]
        for load in loads:
            self.loads[load.name] = load
            self._begin(load)
        end = time.monotonic() + timeout
        for load in loads:
            while (state := self._api.run_state("load_killed", load.run_id)) not in ("success", "failed"):
                if time.monotonic() > end:
                    raise TimeoutError(f"{load.name} is {state}")
                time.sleep(0.5)
            lines = self._path(load).read_text().splitlines()
            load.diary = [json.loads(line) for line in lines]
            load.asked = self._asked(load) - 1

    def _path(self, load: Load) -> Path:
        return self._folder / f"{load.table}.jsonl"

    def _begin(self, load: Load) -> None:
        """Make a list, and a target that holds a stale lead of it and one that is gone from it."""
        filled = requests.post(
            f"{self.sandbox.url}/sandbox/leads",
            json={"list_name": load.name, "count": LEADS},
            timeout=30,
            proxies={"no_proxy": "*"},
        )
        load.list_id = filled.json()["list_id"]
        stale = self._source_page(load, 1)["leads"][0]["lead_id"]
        with self.warehouse.begin() as connection:
            connection.execute(
                sa.text(
                    f"CREATE TABLE {load.table} (lead_id text, _cleanlist_list_id text, email text, "
                    "PRIMARY KEY (_cleanlist_list_id, lead_id))"
                )
            )
            connection.execute(
                sa.text(f"INSERT INTO {load.table} VALUES (:a, :l, 'stale'), ('gone', :l, 'gone')"),
                {"a": stale, "l": load.list_id},
            )
        what, passing = load.kill or ("", 0)
        conf = {
            "connection": "load_killed_api",
            "warehouse": "load_killed_warehouse",
            "list_id": load.list_id,
            "table": load.table,
            "diary": str(self._path(load)),
            "kills": {"1": {"what": what, "passing": passing}} if load.kill else {},
        }
        load.run_id = self._api.trigger_run("load_killed", conf)

    def _source_page(self, load: Load, limit: int, cursor: str | None = None) -> dict[str, Any]:
        answer = requests.get(
            f"{self.sandbox.url}/api/v2/lead-lists/{load.list_id}/leads",
            params={"limit": limit, **({"cursor": cursor} if cursor else {})},
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=30,
            proxies={"no_proxy": "*"},
        )
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        return page

    def source(self, load: Load) -> dict[str, dict[str, Any]]:
        """Return the leads of the list."""
        leads: list[dict[str, Any]] = []
        cursor: str | None = None
        while cursor is not None or not leads:
            page = self._source_page(load, 500, cursor)
            leads += page["leads"]
            cursor = page["cursor"]
        return {lead["lead_id"]: lead for lead in leads}

    def rows(self, load: Load) -> list[dict[str, Any]]:
        """Return the rows of the target, without the loader's own columns."""
        with self.warehouse.connect() as connection:
            rows = connection.execute(sa.text(f"SELECT * FROM {load.table}")).mappings().all()
        return [{k: v for k, v in row.items() if not k.startswith("_cleanlist_")} for row in rows]

    def row_of(self, load: Load) -> list[str]:
        """Return what a load showed, as a row of the table in docs/reliability.md."""
        source, rows = self.source(load), self.rows(load)
        counts = Counter(row["lead_id"] for row in rows)
        lost = len(source.keys() - counts.keys())
        doubled = sum(count - 1 for count in counts.values())
        stale = sum(row != source.get(row["lead_id"]) for row in rows)
        return [load.name, str(load.read_again()), str(lost), str(doubled), str(stale)]

    def _asked(self, load: Load) -> int:
        path = f"/lead-lists/{load.list_id}/leads"
        entries = self.sandbox.ask("/ledger/requests?method=GET")
        return sum(entry["path"].endswith(path) for entry in entries)


_FAST = json.dumps({"requests_per_minute": 60_000})


@pytest.fixture(scope="module")
def stage(
    airflow: AirflowProcesses, airflow_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """All loads, played to their end."""
    server = sa.create_engine(airflow_database, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE loads_killed"))
    server.dispose()
    warehouse = sa.create_engine(sa.engine.make_url(airflow_database).set(database="loads_killed"))
    folder = tmp_path_factory.mktemp("load_killed")
    with SandboxProcess(folder, {"requests-per-minute": 60_000}) as sandbox:
        stage = Stage(airflow, sandbox, warehouse, folder)
        stage.play({NEVER: None, **KILLS}, timeout=300)
        if os.environ.get("LOAD_KILLS") == "all":
            notes = [note for note in stage.loads[NEVER].diary if "passing" in note]
            first = "CREATE loads"  # only the first load of all makes the table
            steps = [(note["what"], note["passing"]) for note in notes if note["what"] != first]
            stage.play({f"{what}, {passing}": (what, passing) for what, passing in steps}, timeout=1000)
        yield stage
    warehouse.dispose()


def test_every_try_was_killed_where_it_was_to_be(stage: Stage) -> None:
    for load in stage.loads.values():
        assert load.tries() == ([1, 2] if load.kill else [1]), load.name
        if load.kill is not None:
            last = [note for note in load.diary if note["try"] == 1][-1]
            assert (last["what"], last["passing"]) == load.kill


def test_the_table_is_the_list(stage: Stage) -> None:
    for load in stage.loads.values():
        rows = sorted(stage.rows(load), key=lambda row: row["lead_id"])
        assert rows == sorted(stage.source(load).values(), key=lambda lead: lead["lead_id"]), load.name


def test_no_committed_page_is_read_again(stage: Stage) -> None:
    for load in stage.loads.values():
        for attempt in load.tries():
            pages = load.pages(attempt)
            first = load.committed(attempt)
            assert pages == list(range(first, first + len(pages))), load.name
        noted = sum(len(load.pages(attempt)) for attempt in load.tries())
        assert noted - len(load.tries()) < load.asked <= noted, "a page may be noted and never asked for"


def test_nothing_is_left_beside_the_tables(stage: Stage) -> None:
    assert [name for name in sa.inspect(stage.warehouse).get_table_names() if "_stage_" in name] == []
    with stage.warehouse.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM _cleanlist_loads")).scalar() == 0


def test_the_table_in_the_documentation_is_that_of_these_runs(stage: Stage) -> None:
    rows = [stage.row_of(stage.loads[name]) for name in KILLS]
    if folder := os.environ.get("CLEANLIST_RELIABILITY"):
        others = [load for name, load in stage.loads.items() if name not in KILLS and load.kill]
        shown = [stage.row_of(load) for load in others]
        totals = [str(sum(int(row[column]) for row in shown)) for column in range(1, 5)]
        rows.append([f"at each of {len(others)} steps in turn: every page, statement and commit", *totals])
        Path(folder, "loads.json").write_text(json.dumps(rows, indent=1))
        return
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    missing = [row for row in rows if "| " + " | ".join(row) + " |" not in text]
    assert missing == [], "run scripts/make_reliability_table.py"
