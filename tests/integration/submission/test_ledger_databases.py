"""The ledger on real databases: many at once, sessions that end at any statement, locks, privileges."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.submission.errors import (
    JournalConfigurationError,
    JournalTakenOverError,
    JournalUnavailableError,
    WorkflowTakenError,
)
from airflow_provider_cleanlist.submission.history import ContactHistory, PersonDecision
from airflow_provider_cleanlist.submission.journal import ContactsNotDueError
from airflow_provider_cleanlist.submission.ledger import journal as journal_module
from airflow_provider_cleanlist.submission.ledger import tables as tables_module
from airflow_provider_cleanlist.submission.ledger.database import RETRY_PAUSES, LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal
from airflow_provider_cleanlist.submission.ledger.tables import LedgerLockedError
from airflow_provider_cleanlist.submission.ledger.tasks import register_first_attempt

pytestmark = pytest.mark.integration

Make = Callable[[int], list[bytes]]
TABLES = ("attempts", "batches", "contacts", "keys", "ledger", "organisations", "source_rows")


def is_new(history: ContactHistory) -> bool:
    return not (history.submitted_here or history.unknown_here or history.in_flight or history.bought)


def in_processes(count: int, target: Callable[..., None], *arguments: Any) -> None:
    """Run a function in so many processes at the same moment; each must succeed."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(count)
    processes = [context.Process(target=target, args=(start, number, *arguments)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * count


class TestManyAtOnce:
    def test_eight_processes_set_up_at_the_same_moment(self, server: Any) -> None:
        def open_journal(start: Any, number: int) -> None:
            start.wait()
            server.journal(index=number)

        in_processes(8, open_journal)
        assert server.query("SELECT version FROM cleanlist_ledger") == [(2,)]
        assert server.query("SELECT COUNT(*) FROM cleanlist_attempts") == [(8,)]
        names = sa.inspect(server.administration).get_table_names()
        assert sorted(names) == [f"cleanlist_{name}" for name in TABLES]

    def test_eight_processes_add_the_columns_of_a_new_release(self, server: Any) -> None:
        server.open()
        columns = ("workflow_status", "emails_found", "phones_found", "credits_spent")
        server.run(
            *(f"ALTER TABLE cleanlist_batches DROP COLUMN {name}" for name in columns),
            "UPDATE cleanlist_ledger SET version = 1",
        )

        def open_journal(start: Any, number: int) -> None:
            start.wait()
            server.journal(index=number)

        in_processes(8, open_journal)
        assert server.query("SELECT version FROM cleanlist_ledger") == [(2,)]
        assert {*columns} <= {
            column["name"] for column in sa.inspect(server.administration).get_columns("cleanlist_batches")
        }

    @pytest.mark.parametrize("before", ["CREATE TABLE", "FROM cleanlist_attempts"])
    def test_others_make_the_ledger_and_use_it_in_the_middle_of_a_set_up(
        self, server: Any, identities: Make, before: str
    ) -> None:
        """They have no lock, which any account of the server could hold: whoever comes late takes what is there."""
        if server.kind == "sqlite":
            pytest.skip("nobody else writes to the file meanwhile")
        if before != "CREATE TABLE":  # as a set-up leaves them that was interrupted
            server.open()
            server.run(*(f"DROP TABLE cleanlist_{name}" for name in TABLES if name != "attempts"))
        others: list[LedgerJournal] = []

        def interfere(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if before in statement and not others:
                others.append(None)  # type: ignore[arg-type]  # its own statements must not begin this again
                others[0] = server.journal()
                others[0].begin(identities(1), "partial", others[0]._clock(), is_new)

        sa.event.listen(sa.engine.Engine, "before_cursor_execute", interfere)
        try:
            late = server.journal(index=7)
        finally:
            sa.event.remove(sa.engine.Engine, "before_cursor_execute", interfere)
        assert others[0] is not None
        assert late.histories(identities(1)) == [ContactHistory(in_flight=frozenset({-1}))]

    def test_no_account_without_rights_can_hold_up_a_set_up(self, server: Any) -> None:
        """Locks by name need none, so the ledger takes no such lock."""
        said: list[str] = []

        def listen(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            said.append(statement.lower())

        sa.event.listen(sa.engine.Engine, "before_cursor_execute", listen)
        try:
            server.journal()
        finally:
            sa.event.remove(sa.engine.Engine, "before_cursor_execute", listen)
        assert any("create table" in statement for statement in said)
        assert not [statement for statement in said if "get_lock" in statement or "advisory" in statement]

    @pytest.mark.parametrize("same_run", [True, False], ids=["map indexes", "runs"])
    def test_two_writers_of_the_same_persons_in_different_orders(
        self, server: Any, identities: Make, same_run: bool
    ) -> None:

        persons = identities(2_000)

        def write(start: Any, number: int) -> None:
            journal = server.journal(
                run="r" if same_run else f"r{number}",
                index=number,
                window=None if same_run else timedelta(days=1),
            )
            mine = list(persons)
            random.Random(number).shuffle(mine)
            start.wait()
            while mine:
                batch, mine = mine[:50], mine[50:]
                while batch:
                    try:
                        begun = journal.begin(batch, "partial", journal._clock(), is_new)
                    except ContactsNotDueError as error:
                        batch = [
                            person for position, person in enumerate(batch) if position not in error.positions
                        ]
                    else:
                        journal.accept(begun, begun.batch_id, [], journal._clock())
                        break

        server.open()
        in_processes(2, write)
        found = server.query("SELECT person, COUNT(*) FROM cleanlist_contacts GROUP BY person")
        assert Counter(count for _, count in found) == {1: 2_000}
        if (
            server.kind != "sqlite"
        ):  # whose one lock may stay with the first process until it has written everything
            assert len(server.query("SELECT DISTINCT map_index FROM cleanlist_batches")) == 2

    def test_one_answer_for_two_tasks_at_the_same_moment_is_recorded_once(
        self, server: Any, identities: Make
    ) -> None:
        persons = identities(40)

        def accept(start: Any, number: int) -> None:
            journal = server.journal(run=f"r{number}")
            for position in range(20):
                batch = journal.begin([persons[20 * number + position]], "full", journal._clock(), is_new)
                start.wait()
                try:
                    journal.accept(batch, f"wf-{position}", ["t"], journal._clock())
                except WorkflowTakenError:
                    journal.lose(batch, "SubmissionUnknownError", journal._clock())

        server.open()
        in_processes(2, accept)
        found = server.query(
            "SELECT state, COUNT(*), COUNT(DISTINCT workflow_id) FROM cleanlist_batches GROUP BY state"
        )
        assert sorted(found) == [("accepted", 20, 20), ("unknown", 20, 0)]

    def test_forty_mapped_tasks_open_at_once(self, server: Any) -> None:
        server.open()

        def open_journals(start: Any, number: int) -> None:
            database = server.open()
            start.wait()
            for index in range(10):
                server.journal(database, index=10 * number + index)

        in_processes(4, open_journals)
        assert server.query(
            "SELECT COUNT(*), MAX(turns) FROM cleanlist_attempts, cleanlist_organisations"
        ) == [(40, 40)]

    def test_who_takes_over_stops_the_earlier_attempt(self, server: Any, identities: Make) -> None:
        first = server.journal()
        batch = first.begin(identities(2), "full", 100.0, is_new)
        second = server.journal(try_number=2)
        with pytest.raises(JournalTakenOverError):
            first.begin(identities(5)[3:], "full", 101.0, is_new)
        rejected = first.reject(batch, "429", 102.0)
        with pytest.raises(JournalTakenOverError):
            first.reopen(rejected, 103.0, is_new)
        second.begin(identities(5)[3:], "full", 104.0, is_new)
        first.accept(rejected, "wf", ["a", "b"], 105.0)  # it happened, whoever writes now
        assert server.query("SELECT state, workflow_id FROM cleanlist_batches ORDER BY submitted_at") == [
            ("accepted", "wf"),
            ("intent", None),
        ]
        assert server.query(
            "SELECT api_task_id FROM cleanlist_contacts WHERE api_task_id IS NOT NULL ORDER BY position"
        ) == [("a",), ("b",)]


def test_no_statement_is_prepared(server: Any, identities: Make) -> None:
    """PostgreSQL plans a prepared statement without its values in the end: a minute instead of milliseconds."""
    if server.kind != "postgresql":
        pytest.skip("only PostgreSQL's driver prepares what it sees often")
    journal = server.journal()
    for _ in range(12):
        journal.histories(identities(20))
    with journal.database.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM pg_prepared_statements")).scalar() == 0


class TestTexts:
    def test_letters_of_every_script_stay_and_are_compared_exactly(
        self, server: Any, identities: Make
    ) -> None:
        database = server.open()
        for dag in ("straße", "STRASSE", "strasse", "名簿🙂", "e\u0301", "\u00e9", "trailing ", "trailing"):
            journal = server.journal(database, dag=dag)
            assert journal.batches == []
            journal.begin(identities(1), "full", 1.0, is_new)
            assert len(server.journal(database, dag=dag).batches) == 1
            rows = [(f"{kind}-🙂", identities(1)[0]) for kind in ("a", "A", "á", "a\u0301")]
            journal.keep_source_rows(rows)
            journal.keep_source_rows(rows)
        assert server.query("SELECT COUNT(*), COUNT(DISTINCT task_key) FROM cleanlist_batches") == [(8, 8)]
        assert server.query("SELECT COUNT(*) FROM cleanlist_source_rows") == [(32,)]

    def test_the_longest_texts_fit(self, server: Any, identities: Make) -> None:
        longest = "🙂" * 250
        journal = server.journal(dag=longest, run=longest, task=longest, organisation="ö" * 200)
        batch = journal.begin(identities(1), "phone_only", 1.0, is_new)
        journal.lose(batch, "é" * 300, 2.0)
        journal.accept(batch, "w" * 512, ["t" * 200], 2.0)
        journal.keep_source_rows([("🙂" * 200, identities(1)[0])])
        (again,) = server.journal(
            dag=longest, run=longest, task=longest, organisation="ö" * 200, keep_task_ids=True
        ).batches
        assert (again.workflow_id, again.task_ids) == ("w" * 512, ("t" * 200,))

    def test_times_are_utc_and_keep_fractions(self, server: Any, identities: Make) -> None:
        if server.kind == "postgresql":
            name = server.administration.url.database
            server.run(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'")
        elif server.kind == "mariadb":
            server.run("SET GLOBAL time_zone = '+09:00'")
        try:
            server.journal().begin(identities(1), "full", 1_700_000_000.25, is_new)
            (batch,) = server.journal().batches
        finally:
            if server.kind == "mariadb":
                server.run("SET GLOBAL time_zone = 'SYSTEM'")
        assert batch.changed_at == 1_700_000_000.25


class TestEnds:
    def test_two_that_record_the_same_ends_at_once(self, server: Any, identities: Make) -> None:
        journal = server.journal()
        for number, person in enumerate(identities(60)):
            batch = journal.begin([person], "full", float(number), is_new)
            journal.accept(batch, f"wf-{number}", [], float(number))
        ends = [WorkflowEnd(f"wf-{number}", "completed", 1, 1) for number in range(60)]

        def record(start: Any, number: int) -> None:
            mine = list(ends)
            random.Random(number).shuffle(mine)
            start.wait()
            database = server.open()
            database.record_ends(mine, 100.0 + number)
            assert database.record_ends(mine, 200.0) == 0

        in_processes(3, record)
        query = "SELECT COUNT(*), SUM(credits_spent), COUNT(DISTINCT ended_at) FROM cleanlist_batches"
        assert [tuple(map(int, row)) for row in server.query(query)] == [(60, 660, 1)]


class Faults:
    """Ends the session of an engine's connections at a statement, or when they commit."""

    def __init__(self, server: Any, database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        self._engine = database.engine
        self.seen = 0
        self.strikes: Callable[[int], bool] = lambda _: False
        sa.event.listen(self._engine, "before_cursor_execute", self._pass_by)
        dialect = self._engine.dialect
        commit = dialect.do_commit
        self.strikes_commit = ""

        def do_commit(connection: Any) -> None:
            when, self.strikes_commit = self.strikes_commit, ""
            if when == "after":
                commit(connection)
            if when:
                raise dialect.dbapi.OperationalError("server closed the connection unexpectedly")
            commit(connection)

        monkeypatch.setattr(dialect, "do_commit", do_commit)

    def _pass_by(self, connection: Any, *_: Any) -> None:
        self.seen += 1
        if self.strikes(self.seen):
            if self._server.kind == "sqlite":
                raise sa.exc.OperationalError(
                    "", {}, self._engine.dialect.dbapi.OperationalError("disk I/O error")
                )
            self._server.end_session(connection)

    @contextmanager
    def at(self, number: int, *, lasting: bool) -> Iterator[None]:
        self.seen = 0
        self.strikes = lambda seen: seen >= number if lasting else seen == number
        try:
            yield
        finally:
            self.strikes = lambda _: False


def step(journal: LedgerJournal, name: str, persons: Sequence[bytes], prepared: Any) -> Any:
    if name == "begin":
        return journal.begin(persons, "full", 10.0, is_new)
    if name == "reopen":
        return journal.reopen(prepared, 10.0, is_new)
    if name == "accept":
        return journal.accept(prepared, "wf", [f"t{number}" for number in range(len(persons))], 11.0)
    return getattr(journal, name)(prepared, "why", 11.0)


AFTERWARDS = {
    "begin": "intent",
    "reopen": "intent",
    "accept": "accepted",
    "reject": "rejected",
    "lose": "unknown",
}


class TestContactsOfBatch:
    IDS = ("plain", "it's", 'a "b"', "a,b;{c}", "back\\slash", "%s %(x)s :y", "zażółć 😀", "", "null", "7")

    def test_task_ids_are_kept_as_they_are_and_for_their_batch_only(
        self, server: Any, identities: Make
    ) -> None:
        journal = server.journal()
        persons, count = identities(2 * len(self.IDS)), len(self.IDS)
        plain = [f"t{number}" for number in range(count)]
        for workflow, part, ids in (("w1", persons[:count], plain), ("w2", persons[count:], self.IDS)):
            journal.accept(journal.begin(part, "full", 1.0, is_new), workflow, ids, 2.0)
        found = list(journal.database.contacts_of(["w1", "w2"]))
        assert [contact.person for contact in found] == [person.hex() for person in persons]
        assert [contact.api_task_id for contact in found] == [*plain, *self.IDS]

    def test_source_rows_are_replaced_whatever_their_ids_look_like(
        self, server: Any, identities: Make
    ) -> None:
        journal = server.journal()
        before, after, other = identities(3)
        journal.keep_source_rows([(text, before) for text in (*self.IDS, "once")])
        journal.keep_source_rows([(text, after) for text in self.IDS])
        server.journal(task="other").keep_source_rows([("once", other)])
        found = server.query("SELECT source, source_id, person FROM cleanlist_source_rows")
        assert sorted(found) == sorted(
            [("d/t", text, after.hex()) for text in self.IDS]
            + [("d/t", "once", before.hex()), ("d/other", "once", other.hex())]
        )
        journal.keep_source_rows([(text, b"") for text in (*self.IDS, "never")])
        found = [row[:3] for row in journal.database.source_rows_read([], "d", "r")]
        assert sorted(found) == sorted(
            [("d/t", text, "") for text in self.IDS]
            + [("d/t", "once", before.hex()), ("d/other", "once", other.hex())]
        )

    @pytest.mark.parametrize("set_back", [0.0, 3_600.0], ids=["the clock goes on", "the clock was set back"])
    def test_what_a_later_attempt_has_read_stays(
        self, server: Any, identities: Make, set_back: float
    ) -> None:
        """As when a worker that was taken for dead goes on between reading its source and recording its rows."""
        before, now = identities(2)
        database = server.open()
        frozen = server.journal(database, try_number=1)
        later = server.journal(database, try_number=2, clock=lambda: time.time() - set_back)
        later.keep_source_rows([("corrected", now), ("emptied", b""), ("same", now)])
        later.keep_source_rows([("emptied", now), ("emptied", b"")])
        frozen.keep_source_rows([("corrected", before), ("emptied", before), ("its own", before)])
        frozen.keep_source_rows([("same", b"")])
        found = server.query("SELECT source_id, person FROM cleanlist_source_rows ORDER BY source_id")
        assert found == [
            ("corrected", now.hex()),
            ("emptied", ""),
            ("its own", before.hex()),
            ("same", now.hex()),
        ]

    def test_a_later_run_counts_although_the_clock_of_an_earlier_one_was_ahead(
        self, server: Any, identities: Make
    ) -> None:
        before, now = identities(2)
        ahead = server.journal(run="monday", clock=lambda: time.time() + 86_400)
        ahead.start_reading()
        ahead.keep_source_rows([("corrected", before), ("emptied", before)])
        later = server.journal(run="tuesday")
        later.start_reading()
        later.keep_source_rows([("corrected", now), ("emptied", b"")])
        found = server.query("SELECT source_id, person FROM cleanlist_source_rows ORDER BY source_id")
        assert found == [("corrected", now.hex()), ("emptied", "")]
        assert {row.person for row in later.database.source_rows_read([], "d", "tuesday")} == {now.hex(), ""}

    @pytest.mark.parametrize(
        "ahead", [0.0, 86_400.0], ids=["clocks agree", "the first host's clock was ahead"]
    )
    def test_what_every_attempt_of_a_run_has_read_is_the_runs(
        self, server: Any, identities: Make, ahead: float
    ) -> None:
        before, now = identities(2)
        database = server.open()
        server.journal(database, run="monday").keep_source_rows([("not read", before), ("corrected", before)])
        task = server.journal(database, run="monday").task
        register_first_attempt(database, replace(task, run_id="tuesday"), time.time() + ahead)
        server.journal(database, run="tuesday", try_number=1).keep_source_rows([("corrected", now)])
        server.journal(database, run="tuesday", try_number=2).keep_source_rows([("new", now)])
        found = [row[1:3] for row in database.source_rows_read([], "d", "tuesday")]
        assert sorted(found) == [("corrected", now.hex()), ("new", now.hex())]

    def test_who_starts_to_read_later_counts_whoever_has_opened_the_journal_later(
        self, server: Any, identities: Make
    ) -> None:
        before, now = identities(2)
        first, second = server.journal(run="one"), server.journal(run="two")
        second.start_reading()
        first.start_reading()
        first.keep_source_rows([("7", now)])
        second.keep_source_rows([("7", before)])
        assert server.query("SELECT person FROM cleanlist_source_rows") == [(now.hex(),)]


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_database_that_cannot_hold_every_name_is_told_and_not_retried(server: Any) -> None:
    server.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    server.connection = server.connection | {"schema": "latin"}
    latin = server.open("latin")
    server.journal(latin, run="manual__Besançon")
    with pytest.raises(JournalConfigurationError, match="not encoded in UTF-8"):
        server.journal(latin, run="manual__Łódź")
    latin.engine.dispose()
    server.run("DROP DATABASE latin")


@pytest.mark.parametrize("name", AFTERWARDS)
class TestLostConnections:
    @pytest.fixture
    def prepared(self, server: Any, identities: Make, monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
        """Return a journal, its faults, persons and the batch that the step is about."""
        database = server.open()
        journal = server.journal(database)

        def prepare() -> Any:
            server.run("DELETE FROM cleanlist_contacts", "DELETE FROM cleanlist_batches")
            fresh = server.journal(database)
            if name == "begin":
                return fresh, None
            batch = fresh.begin(persons, "full", 1.0, is_new)
            return fresh, fresh.reject(batch, "429", 2.0) if name == "reopen" else batch

        persons = identities(30)
        faults = Faults(server, database, monkeypatch)
        faults.seen = 0
        fresh, batch = prepare()
        faults.seen = 0
        step(fresh, name, persons, batch)
        assert journal.organisation
        return prepare, faults, persons, faults.seen

    def check(self, server: Any, persons: Sequence[bytes], state: str) -> None:
        assert server.query("SELECT state, contacts FROM cleanlist_batches") == [(state, len(persons))]
        assert server.query("SELECT COUNT(*), COUNT(DISTINCT person) FROM cleanlist_contacts") == [
            (len(persons), len(persons))
        ]

    def test_once_at_each_statement(self, server: Any, prepared: Any, name: str) -> None:
        prepare, faults, persons, statements = prepared
        assert statements >= 2
        for number in range(1, statements + 1):
            journal, batch = prepare()
            with faults.at(number, lasting=False):
                assert step(journal, name, persons, batch) is not None
            self.check(server, persons, AFTERWARDS[name])
            assert [batch.state for batch in journal.batches] == [AFTERWARDS[name]]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_when_it_commits(self, server: Any, prepared: Any, name: str, when: str) -> None:
        prepare, faults, persons, _ = prepared
        journal, batch = prepare()
        faults.strikes_commit = when
        assert step(journal, name, persons, batch) is not None
        assert faults.strikes_commit == ""
        self.check(server, persons, AFTERWARDS[name])

    def test_for_good_at_each_statement(self, server: Any, prepared: Any, name: str) -> None:
        prepare, faults, persons, statements = prepared
        for number in range(1, statements + 1):
            journal, batch = prepare()
            before = server.query("SELECT batch_id, state, contacts FROM cleanlist_batches")
            with faults.at(number, lasting=True), pytest.raises(JournalUnavailableError) as caught:
                step(journal, name, persons, batch)
            assert persons[1].hex() not in str(caught.value)
            assert server.query("SELECT batch_id, state, contacts FROM cleanlist_batches") == before
            assert server.query("SELECT COUNT(*) FROM cleanlist_contacts") == [
                (len(persons) if before else 0,)
            ]


class TestClocks:
    @pytest.mark.parametrize("seconds", [-400, 400, 86_400 * 31])
    def test_a_host_whose_clock_is_off_submits_nobody(
        self, server: Any, monkeypatch: pytest.MonkeyPatch, seconds: int
    ) -> None:
        clock = SimpleNamespace(time=lambda: time.time() + seconds, sleep=time.sleep)
        monkeypatch.setattr(journal_module, "time", clock)
        if server.kind == "sqlite":  # a file has no clock
            server.journal()
            return
        with pytest.raises(
            JournalUnavailableError, match=r"the clocks of this host and of the ledger .* differ by"
        ):
            server.journal()

    @pytest.mark.parametrize("seconds", [-200, 0, 200])
    def test_a_few_minutes_do_not_matter(
        self, server: Any, monkeypatch: pytest.MonkeyPatch, seconds: int
    ) -> None:
        clock = SimpleNamespace(time=lambda: time.time() + seconds, sleep=time.sleep)
        monkeypatch.setattr(journal_module, "time", clock)
        server.journal()


class TestLocks:
    def test_locked_for_longer_than_the_patience(
        self, server: Any, identities: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = server.journal()
        monkeypatch.setattr(tables_module, "LOCK_PATIENCE_SECONDS", 1)
        with server.administration.connect() as holder:
            if server.kind == "sqlite":
                holder.exec_driver_sql("BEGIN IMMEDIATE")
            holder.execute(sa.text("UPDATE cleanlist_organisations SET turns = turns"))
            if server.kind != "sqlite":
                holder.execute(sa.text("SELECT * FROM cleanlist_organisations FOR UPDATE"))
            with pytest.raises(
                LedgerLockedError, match="was locked for 1 s: another task, or somebody's session"
            ):
                journal.begin(identities(1), "full", 1.0, is_new)
            holder.rollback()
        journal.begin(identities(1), "full", 1.0, is_new)

    def test_a_writer_that_falls_silent_loses_the_lock(
        self, server: Any, identities: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if server.kind == "sqlite":
            pytest.skip("a process that holds a file is on this host: whoever stopped it can end it")
        silent, other = server.journal(run="silent"), server.journal(run="other")
        silent.database._sleep = lambda _: None
        monkeypatch.setattr(tables_module, "LOCK_PATIENCE_SECONDS", 1)
        holds, may_go_on, ended = threading.Event(), threading.Event(), []

        def stall(history: ContactHistory) -> bool:
            if not holds.is_set():
                holds.set()
                may_go_on.wait(30)
            return True

        def begin() -> None:
            ended.append(silent.begin(identities(1), "full", 1.0, stall))

        thread = threading.Thread(target=begin)
        thread.start()
        assert holds.wait(30)
        monkeypatch.setattr(tables_module, "LOCK_PATIENCE_SECONDS", 20)
        other.begin(identities(1), "full", 1.0, is_new)
        may_go_on.set()
        thread.join(30)
        assert ended[0] is not None
        assert server.query("SELECT COUNT(*) FROM cleanlist_batches") == [(2,)]

    def test_a_default_of_a_stricter_isolation_does_not_hide_what_others_did(
        self, server: Any, identities: Make
    ) -> None:
        """A snapshot taken before the wait for the lock would not show what its holder wrote."""
        if server.kind == "postgresql":
            name = server.administration.url.database
            server.run(f"ALTER DATABASE {name} SET default_transaction_isolation TO 'repeatable read'")

        first, second = (server.journal(run=run, window=timedelta(days=1)) for run in ("one", "two"))
        in_lock, not_due = threading.Event(), []

        def slow(history: ContactHistory) -> bool:
            if not in_lock.is_set():
                in_lock.set()
                threading.Event().wait(1)  # meanwhile the other one waits for the lock
            return is_new(history)

        def begin() -> None:
            assert in_lock.wait(30)
            try:
                second.begin(identities(3), "full", second._clock(), is_new)
            except ContactsNotDueError as error:
                not_due.append(error.positions)

        thread = threading.Thread(target=begin)
        thread.start()
        first.begin(identities(3), "full", first._clock(), slow)
        thread.join(60)
        assert not_due == [{0, 1, 2}]


def make_old(server: Any, *columns: str) -> None:
    """Take the ledger back to version 1, but for columns that an interrupted set-up has added."""
    for column in {"decision", "decided_by", "decided_at"} - set(columns):
        server.run(f"ALTER TABLE cleanlist_batches DROP COLUMN {column}")
    server.run("UPDATE cleanlist_ledger SET version = 1")


class TestTablesOfAnOlderRelease:
    @pytest.mark.parametrize("columns", [(), ("decision", "decided_by")], ids=["whole", "interrupted"])
    def test_they_get_the_columns_and_keep_their_rows(
        self, server: Any, identities: Make, columns: tuple[str, ...]
    ) -> None:
        journal = server.journal()
        journal.lose(journal.begin(identities(3), "full", 1.0, is_new), "gone", 2.0)
        make_old(server, *columns)
        journal = server.journal(try_number=2)
        assert [(batch.size, batch.is_undecided) for batch in journal.batches] == [(3, True)]
        assert journal.record_decision(PersonDecision.SKIP, "Ann", 3.0) == 1
        assert server.query("SELECT decision, decided_by FROM cleanlist_batches") == [("skip", "Ann")]
        assert server.query("SELECT version FROM cleanlist_ledger") == [(2,)]

    def test_nobody_waits_long_behind_a_change_that_waits_for_a_reader(
        self, server: Any, identities: Make
    ) -> None:
        if server.kind == "sqlite":
            pytest.skip("its readers hold up nobody who writes to a log")
        running = server.journal(index=1)
        make_old(server)
        upgraded: list[LedgerJournal] = []
        with server.administration.connect() as reader:
            reader.execute(
                sa.text("SELECT COUNT(*) FROM cleanlist_batches")
            )  # and its transaction stays open
            thread = threading.Thread(target=lambda: upgraded.append(server.journal(index=2)))
            thread.start()
            time.sleep(1.0)
            began = time.monotonic()
            running.histories(identities(1))
            assert time.monotonic() - began < 20
            assert not upgraded
        thread.join(60)
        assert len(upgraded) == 1

    def test_eight_processes_at_the_same_moment(self, server: Any) -> None:
        def open_journal(start: Any, number: int) -> None:
            start.wait()
            server.journal(index=number)

        server.open()
        make_old(server)
        in_processes(8, open_journal)
        assert server.query("SELECT version FROM cleanlist_ledger") == [(2,)]
        assert server.query("SELECT COUNT(*) FROM cleanlist_attempts") == [(8,)]


class TestPrivileges:
    @pytest.fixture
    def user(self, server: Any) -> Any:
        """Return what makes a user with privileges on the tables, and opens the ledger as that user."""
        if server.kind == "sqlite":
            pytest.skip("SQLite has no users")
        server.open()
        made = []

        def open_as(grants: str) -> LedgerDatabase:
            name = f"user_{server.connection['schema']}_{len(made)}"
            made.append(name)
            if server.kind == "postgresql":
                server.run(f"CREATE USER {name}", f"GRANT {grants} ON ALL TABLES IN SCHEMA public TO {name}")
            else:
                database = server.connection["schema"]
                server.run(
                    f"CREATE USER {name}@'127.0.0.1'", f"GRANT {grants} ON {database}.* TO {name}@'127.0.0.1'"
                )
            return server.open(name="restricted", login=name)

        yield open_as
        for name in made:
            if server.kind == "postgresql":
                server.run(f"DROP OWNED BY {name}", f"DROP USER {name}")
            else:
                server.run(f"DROP USER {name}@'127.0.0.1'")

    def test_what_the_documentation_names_is_enough(self, server: Any, user: Any, identities: Make) -> None:
        database = user("SELECT, INSERT, UPDATE")
        journal = server.journal(database)
        batch = journal.begin(identities(2), "full", 1.0, is_new)
        journal.accept(batch, "wf", ["a", "b"], 2.0)
        journal.keep_source_rows([("1", identities(1)[0])])
        database.remember_key("k", "o", 1.0)
        database.remember_key("k", "o2", 2.0)
        assert database.organisation_of_key("k") == "o2"
        assert database.record_ends([WorkflowEnd("wf", "completed", 1, 2)], 3.0) == 1
        assert len(server.journal(database, try_number=2).batches) == 1

    @pytest.mark.parametrize("grants", ["SELECT", "SELECT, INSERT", "SELECT, UPDATE", "UPDATE, INSERT"])
    def test_less_is_named(self, server: Any, user: Any, grants: str) -> None:
        with pytest.raises(
            JournalConfigurationError, match=r"its user needs CREATE .once., SELECT, INSERT and UPDATE"
        ):
            server.journal(user(grants), run="another", organisation="another")

    def test_a_user_who_may_not_change_tables_of_an_older_release(self, server: Any, user: Any) -> None:
        make_old(server)
        with pytest.raises(
            JournalConfigurationError, match="user may not change them: give it ALTER"
        ) as caught:
            user("SELECT, INSERT, UPDATE")
        server.run(*str(caught.value).partition("may run ")[2].split("; "))
        assert list(server.journal(user("SELECT, INSERT, UPDATE")).batches) == []
        assert server.query("SELECT version FROM cleanlist_ledger") == [(2,)]

    def test_a_user_who_may_not_make_tables(self, server: Any, user: Any) -> None:
        for table in TABLES:
            server.run(f"DROP TABLE cleanlist_{table}")
        if server.kind == "postgresql":
            server.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(JournalConfigurationError, match="lacks privileges"):
            user("SELECT")

    def test_a_read_only_database(self, server: Any, identities: Make) -> None:
        database = server.open()
        if server.kind == "postgresql":
            name = server.connection["schema"]
            server.run(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
            database.engine.dispose()
        elif server.kind == "mariadb":
            sa.event.listen(
                database.engine,
                "before_cursor_execute",
                lambda connection, cursor, *_: cursor.execute("SET SESSION TRANSACTION READ ONLY"),
            )
        else:
            sa.event.listen(
                database.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = 1")
            )
            database.engine.dispose()
        with pytest.raises(JournalConfigurationError, match="is read-only: it must take"):
            server.journal(database)


class TestWhatIsMissing:
    def test_a_schema(self, server: Any) -> None:
        with pytest.raises(
            JournalConfigurationError, match="'ledger' has no such schema: make it, or correct"
        ):
            server.open(schema="nowhere")

    def test_a_schema_that_is_there(self, server: Any, identities: Make) -> None:
        if server.kind == "sqlite":
            schema = "main"
        else:
            schema = "main" if server.kind == "postgresql" else server.connection["schema"]
            if server.kind == "postgresql":
                server.run("CREATE SCHEMA main")
        journal = server.journal(server.open(schema=schema))
        journal.begin(identities(1), "full", 1.0, is_new)
        assert server.query(f"SELECT contacts FROM {schema}.cleanlist_batches") == [(1,)]

    def test_a_table(self, server: Any, identities: Make) -> None:
        journal = server.journal()
        server.run("DROP TABLE cleanlist_contacts")
        with pytest.raises(JournalConfigurationError, match="a table of the ledger 'ledger' is missing"):
            journal.begin(identities(1), "full", 1.0, is_new)

    def test_a_newer_version(self, server: Any) -> None:
        server.open()
        server.run("UPDATE cleanlist_ledger SET version = 3")
        with pytest.raises(JournalConfigurationError, match="version 3, and this release knows version 2"):
            server.open()

    def test_a_server_that_went_away_and_comes_back(self, server: Any, identities: Make) -> None:
        """The pauses between attempts are there to outlast it."""
        database = server.open()
        journal = server.journal(database)
        paused = []
        database._sleep = paused.append
        broken = [len(RETRY_PAUSES)]

        def refuse(*_: Any) -> None:
            if broken[0]:
                broken[0] -= 1
                raise sa.exc.OperationalError("", {}, database.engine.dialect.dbapi.OperationalError("gone"))

        sa.event.listen(database.engine, "begin", refuse)
        journal.begin(identities(1), "full", 1.0, is_new)
        assert paused == list(RETRY_PAUSES)
