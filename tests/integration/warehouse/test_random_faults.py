"""Random loads of lists that move while they are read, with faults at random steps, compared with a model.

``FAULT_EXAMPLES=300`` makes 300 on each database.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError, LoadError
from airflow_provider_cleanlist.warehouse.loader import load
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.plan import Checkpoint
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

from ...loads import MODES, Crash, Page, listening

pytestmark = pytest.mark.integration

EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "5" if "WAREHOUSES" in os.environ else "15"))
MOST_TRIES = 40
NAMES = {
    "lead_id": "lead_id",
    "email": "email",
    "title": "title",
    "Smart Score": "score",
    "smart_score": "rank",
}
_numbers = itertools.count()


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a try.

    Attributes:
        kind: ``die`` or ``fail`` at a statement or commit, ``lose`` the answer to a commit, ``cut`` the connection to
            the API, or ``refuse`` the cursor of a try that goes on.
        step: The how many-th statement, commit or page it strikes.
    """

    kind: str
    step: int


@dataclass(frozen=True)
class Change:
    """What happens to the list before a page is read; what is updated moves, as in a list by date of change."""

    kind: str
    place: int
    number: int


@dataclass(frozen=True)
class Run:
    """A DAG run: what is loaded, how the list moves, and what goes wrong in its tries."""

    list_id: str
    run_id: str
    day: int
    leads: list[int]
    changes: list[list[Change]]
    faults: list[Fault]
    page_size: int
    batch_rows: int
    pages_ahead: int
    tells_total: bool
    check: str


changes = st.builds(
    Change,
    st.sampled_from(["insert", "delete", "update", "update"]),
    st.integers(0, 12),
    st.integers(1, 14),
)
faults = st.builds(Fault, st.sampled_from(["die", "die", "fail", "lose"]), st.integers(0, 45)) | st.builds(
    Fault, st.sampled_from(["cut", "refuse"]), st.integers(0, 5)
)
runs = st.lists(
    st.builds(
        Run,
        list_id=st.sampled_from("LM"),
        run_id=st.sampled_from(["monday", "tuesday"]),
        day=st.integers(1, 2),
        leads=st.lists(st.integers(1, 14), unique=True, max_size=10) | st.permutations(range(1, 13)),
        changes=st.lists(st.lists(changes, max_size=3), min_size=4, max_size=10) | st.just([]),
        faults=st.lists(faults, min_size=1, max_size=5),
        page_size=st.integers(1, 4),
        batch_rows=st.integers(1, 6),
        pages_ahead=st.sampled_from([0, 3]),
        tells_total=st.booleans(),
        check=st.sampled_from(["warn", "warn", "fail", "off"]),
    ),
    min_size=1,
    max_size=4,
)


class MovingList:
    """A list that moves while it is read by offset, and what was read of it and may be staged.

    Attributes:
        pages: The pages that are staged, or will be if the try goes on.
        was_read: Whether a try has read anything since this was set to False.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._versions = itertools.count()
        self._leads = [self._lead(number) for number in run.leads]
        self._changes = iter(run.changes)
        self._lock = threading.Lock()
        self._reader = object()
        self.pages: list[Page] = []
        self.was_read = False

    def _lead(self, number: int) -> dict[str, Any]:
        version = next(self._versions)
        lead: dict[str, Any] = {"lead_id": f"lead-{number}", "email": f"v{version}ü\x00"}
        if version % 3:
            lead["Smart Score"] = str(version)
        if version % 4:
            lead["smart_score"] = None if version % 8 == 7 else ""
        return lead

    def _move(self) -> None:
        for change in next(self._changes, []):
            place = change.place % (len(self._leads) + 1)
            if change.kind == "insert":
                if f"lead-{change.number}" not in {lead["lead_id"] for lead in self._leads}:
                    self._leads.insert(place, self._lead(change.number))
            elif place < len(self._leads):
                lead = self._leads.pop(place)
                if change.kind == "update":
                    new_place = change.number % (len(self._leads) + 1)
                    self._leads.insert(new_place, self._lead(int(lead["lead_id"][5:])))

    def reader(self, committed: Checkpoint, fault: Fault | None) -> Any:
        """Return how a try reads that finds these pages committed."""
        mine = self._reader = object()

        def read(cursor: str | None) -> Iterator[Page]:
            if cursor is not None:
                assert cursor == committed.cursor, "a committed page was read again, or one left out"
                if fault is not None and fault.kind == "refuse":
                    raise CursorRefusedError
            self.pages = self.pages[: committed.pages] if cursor is not None else []
            at: str | None = cursor or "0"
            for number in itertools.count():
                if fault == Fault("cut", number):
                    raise ConnectionError
                with self._lock:
                    if self._reader is not mine or at is None:
                        return
                    page = self._page(int(at))
                at = page.cursor
                yield page

        return read

    def _page(self, start: int) -> Page:
        self._move()
        self.was_read = True
        end = start + self._run.page_size
        total = len(self._leads) if self._run.tells_total else None
        page = Page(self._leads[start:end], total, str(end) if end < len(self._leads) else None)
        self.pages.append(page)
        return page


RowOfModel = tuple[str, str, int, bool, dict[str, Any]]


def cells(lead: dict[str, Any]) -> dict[str, str]:
    """What is stored of a lead."""
    return {raw: value.replace("\x00", "") for raw, value in lead.items() if value is not None}


@dataclass(frozen=True)
class Model:
    """The table as rows ``(list, run, day, deleted, lead)``, and what each mode promises."""

    options: dict[str, Any]
    rows: tuple[RowOfModel, ...] = ()

    def load(self, run: Run, pages: list[Page]) -> Model:
        read = {lead["lead_id"]: lead for page in pages for lead in page.records}
        kept = [row for row in self.rows if not self._replaces(run, row, read)]
        confirmed = bool(pages) and pages[-1].total == len(read)
        missing = self.options.get("on_missing", "keep")
        if missing != "keep" and confirmed:
            gone = [row for row in kept if row[0] == run.list_id]
            kept = [row for row in kept if row[0] != run.list_id]
            if missing == "soft_delete":
                kept += [(*row[:3], True, row[4]) for row in gone]
        new = [(run.list_id, run.run_id, run.day, False, lead) for lead in read.values()]
        return replace(self, rows=(*kept, *(self._unchanged(row) or row for row in new)))

    def _unchanged(self, new: RowOfModel) -> RowOfModel | None:
        """The row that a merge leaves alone, because it holds what would be written."""
        same = (
            row for row in self.rows if (row[0], row[3], cells(row[4])) == (new[0], new[3], cells(new[4]))
        )
        return next(same, None) if self.options["mode"] == "merge" else None

    def _replaces(self, run: Run, row: RowOfModel, read: dict[str, Any]) -> bool:
        same_list = row[0] == run.list_id
        match self.options["mode"]:
            case "merge":
                return row[4]["lead_id"] in read and (same_list or self.options["key"] == ("lead_id",))
            case "replace":
                return same_list or self.options["replace_scope"] == "table"
            case "append":
                return same_list and row[1] == run.run_id
            case _:
                return row[2] == run.day and (same_list or self.options["replace_scope"] == "table")

    def table(self) -> list[str]:
        result = []
        for list_id, run_id, day, deleted, lead in self.rows:
            row = {NAMES[raw]: value for raw, value in cells(lead).items()}
            row |= {"_cleanlist_list_id": list_id, "_cleanlist_run_id": run_id}
            if self.options["mode"] == "snapshot":
                row["_cleanlist_snapshot_date"] = f"2026-01-0{day}"
            result.append(repr((deleted, sorted(row.items()))))
        return sorted(result)


@dataclass
class Warehouse:
    """A database and an empty corner of it for one example."""

    engine: sa.engine.Engine
    schema: str | None
    foreign: bool
    _has_foreign: bool = field(default=False, init=False)

    def name(self, table: str) -> TableName:
        return TableName(table, self.schema)

    def table(self) -> list[str]:
        """Return the rows of the target, as ``Model.table`` does."""
        query = sa.select(sa.text("*")).select_from(sa.table("leads", schema=self.schema))
        try:
            with self.engine.connect() as connection:
                rows = connection.execution_options(compiled_cache=None).execute(query).mappings().all()
        except (sa.exc.OperationalError, sa.exc.ProgrammingError):
            return []
        result = []
        for row in rows:
            values = {name: value for name, value in row.items() if value is not None}
            assert values.pop("_cleanlist_synced_at")
            deleted = values.pop("_cleanlist_deleted_at", None) is not None
            if "_cleanlist_snapshot_date" in values:
                values["_cleanlist_snapshot_date"] = str(values["_cleanlist_snapshot_date"])
            result.append(repr((deleted, sorted(values.items()))))
        return sorted(result)

    def committed(self, spec: LoadSpec) -> Checkpoint:
        """Return how far the load is committed."""
        registry = sa.table(
            "_cleanlist_loads", sa.column("stage"), sa.column("checkpoint"), schema=self.schema
        )
        query = sa.select(registry.c.checkpoint).where(registry.c.stage == spec.stage.name)
        try:
            with self.engine.connect() as connection:
                found = connection.execute(query).scalar()
        except (sa.exc.OperationalError, sa.exc.ProgrammingError):
            return Checkpoint()
        return Checkpoint() if found is None else Checkpoint.from_json(found)

    def add_foreign_column(self) -> None:
        if self.foreign and not self._has_foreign:
            where = f"{self.schema}.leads" if self.schema else "leads"
            with self.engine.begin() as connection:
                connection.execute(sa.text(f"ALTER TABLE {where} ADD COLUMN owner TEXT"))
            self._has_foreign = True

    def stages(self) -> list[str]:
        tables = sa.inspect(self.engine).get_table_names(schema=self.schema)
        return [name for name in tables if name.startswith("_cleanlist_stage_")]


@contextmanager
def striking(engine: sa.engine.Engine, fault: Fault | None) -> Iterator[None]:
    """Let the fault strike one of the database's steps."""
    left = [fault.step if fault is not None and fault.kind in ("die", "fail", "lose") else None]

    def strike(connection: sa.engine.Connection, *_: Any) -> None:
        if left[0] is None:
            return
        left[0] -= 1
        if left[0] < 0:
            left[0] = None
            if fault.kind == "die":
                raise Crash
            raise getattr(engine.dialect.dbapi, "OperationalError", engine.dialect.dbapi.Error)("struck")

    def strike_commit(connection: sa.engine.Connection) -> None:
        if fault is not None and fault.kind == "lose" and left[0] == 0:
            connection.connection.dbapi_connection.commit()  # also of one that left the pool
        strike(connection)

    with listening(engine, strike, strike_commit):
        yield


def run_to_the_end(warehouse: Warehouse, spec: LoadSpec, run: Run, model: Model) -> Model:
    """Try until a try succeeds; what the table holds is the old or the new state at every moment between."""
    moving = MovingList(run)
    for number in range(MOST_TRIES):
        fault = run.faults[number] if number < len(run.faults) else None
        read = moving.reader(warehouse.committed(spec), fault)
        try:
            with striking(warehouse.engine, fault):
                report = load(
                    warehouse.engine, spec, read, batch_rows=run.batch_rows, pages_ahead=run.pages_ahead
                )
        except (Crash, ConnectionError, LoadError) as error:
            event(f"{spec.mode}: {type(error).__name__} by {fault.kind if fault else 'the row count'}")
            is_miscount = isinstance(error, LoadError) and "distinct records" in str(error)
            if fault is None and not (run.check == "fail" and is_miscount):
                raise
            if warehouse.table() != model.table():
                model = model.load(run, moving.pages)
                moving.was_read = False
                assert warehouse.table() == model.table()
        else:
            if moving.was_read:
                model = model.load(run, moving.pages)
                leads = [lead["lead_id"] for page in moving.pages for lead in page.records]
                counts = (report.rows_read, report.rows_written, report.pages)
                assert counts == (len(leads), len(set(leads)), len(moving.pages))
            return model
    raise AssertionError("no try succeeded")


@pytest.fixture(
    params=[
        "sqlite",
        "postgresql",
        *(
            pytest.param(f"{name}_database", marks=pytest.mark.warehouse)
            for name in ("mariadb", "duckdb", "merge")
        ),
    ]
)
def make_warehouse(request, tmp_path):
    """Make a database, or a part of one, of its own for an example."""
    if request.param != "sqlite":
        if request.param == "postgresql":
            engine = request.getfixturevalue("open_postgres")("psycopg")
        else:
            engine = request.getfixturevalue(request.param).engine

        def make(foreign: bool) -> Warehouse:
            schema = f"example_{next(_numbers)}"
            with engine.begin() as connection:
                connection.execute(sa.schema.CreateSchema(schema))
            return Warehouse(engine, schema, foreign)

    else:

        def make(foreign: bool) -> Warehouse:
            engine = sa.create_engine(
                f"sqlite:///{tmp_path}/example_{next(_numbers)}.db", hide_parameters=True
            )
            sa.event.listen(
                engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF")
            )
            return Warehouse(engine, None, foreign)

    return make


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(runs=runs, chosen=MODES, foreign=st.booleans())
@pytest.mark.timeout(1800)
def test_no_row_is_lost_doubled_or_stale(make_warehouse, runs, chosen, foreign):
    warehouse = make_warehouse(foreign)
    model = Model(chosen)
    for number, run in enumerate(runs):
        spec = LoadSpec(
            list_id=run.list_id,
            load_id=f"{run.run_id}/{number}",
            run_id=run.run_id,
            table=warehouse.name("leads"),
            snapshot_date=date(2026, 1, run.day),
            columns={raw: None if raw == name else name for raw, name in NAMES.items()},
            row_count_check=run.check,
            **chosen,
        )
        model = run_to_the_end(warehouse, spec, run, model)
        warehouse.add_foreign_column()
        assert warehouse.table() == model.table()
        assert warehouse.stages() == []
