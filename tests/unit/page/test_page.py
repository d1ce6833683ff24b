"""The page Browse > Cleanlist: its figures, its HTML, its CSV, and who may read it."""

from __future__ import annotations

import asyncio
import errno
import stat
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import airflow
import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.client.rate_limit.core import Budget, Priority
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.links import has_pages
from airflow_provider_cleanlist.page import balance as balance_file
from airflow_provider_cleanlist.page import queries
from airflow_provider_cleanlist.page.balance import ASK_AGAIN_SECONDS, Balance, BalanceStore
from airflow_provider_cleanlist.page.budget import place_of, use_of
from airflow_provider_cleanlist.page.figures import (
    EVERYTHING,
    LedgerFigures,
    Listing,
    OpenBatch,
    Pace,
    Scope,
    Sums,
    TaskPlace,
    added,
    days_left,
    grouped,
)
from airflow_provider_cleanlist.page.html import page
from airflow_provider_cleanlist.page.plots import bar, columns
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.page.reading import Account, PageReading, read_ledger
from airflow_provider_cleanlist.page.sharing import BusyError, LateError, SharedAnswers
from airflow_provider_cleanlist.page.tables import as_csv
from airflow_provider_cleanlist.submission.journal import DECIDED_BY_LENGTH
from airflow_provider_cleanlist.submission.ledger.set_up import set_up
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables
from airflow_provider_cleanlist.webhooks.plugin import EXTERNAL_VIEWS

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TABLES = ledger_tables(None)
HOSTILE = '<script>alert("x")</script>'


def batch(number: int, **values: Any) -> dict[str, Any]:
    return {
        "batch_id": f"{number:032x}",
        "organisation": "org",
        "dag_id": "crm",
        "run_id": "manual__2026-11-30T00:00:00+00:00",
        "task_id": "enrich",
        "map_index": -1,
        "try_number": 1,
        "token": "",
        "task_key": "k",
        "state": "accepted",
        "enrichment_type": "full",
        "contacts": 10,
        "worst_case_credits": 110,
        "workflow_id": f"w{number}",
        "note": "",
        "submitted_at": NOW - timedelta(hours=1),
        "changed_at": values.get("submitted_at", NOW),
        "ended_at": NOW,
        "workflow_status": "completed",
        "emails_found": 8,
        "phones_found": 2,
        "credits_spent": 28,
    } | values


NOT_ENDED = {"ended_at": None, "emails_found": None, "phones_found": None, "credits_spent": None}
BATCHES = [
    batch(1),
    batch(2, submitted_at=NOW - timedelta(days=10)),
    batch(3, **NOT_ENDED),
    batch(4, state="rejected", **NOT_ENDED),
    batch(5, state="unknown", dag_id="other", map_index=3, **NOT_ENDED),
    batch(6, state="intent", submitted_at=NOW - timedelta(minutes=2), **NOT_ENDED),
    batch(7, state="intent", submitted_at=NOW - timedelta(hours=2), **NOT_ENDED),
    batch(8, organisation="elsewhere", credits_spent=9_999),
]


@pytest.fixture
def ledger(tmp_path: Path) -> sa.engine.Engine:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    set_up(engine, TABLES, "'ledger'")
    with engine.begin() as connection:
        connection.execute(TABLES.batches.insert(), BATCHES)
        rows = [
            {"organisation": name, "first_seen_at": NOW - timedelta(days=place), "turns": 0}
            for place, name in enumerate(("org", "elsewhere"))
        ]
        connection.execute(TABLES.organisations.insert(), rows)
        key = {"key_hash": "key", "organisation": "org", "checked_at": NOW}
        connection.execute(TABLES.keys.insert().values(key))
    return engine


def ask(engine: sa.engine.Engine, scope: Scope = EVERYTHING, **more: Any) -> LedgerFigures:
    question = Question(scope, 30, **{"readable": frozenset({"crm", "other"})} | more)
    found = queries.ask(engine, None, question, "key", NOW)
    assert isinstance(found, LedgerFigures)
    return found


def test_the_figures_of_the_connections_organisation(ledger: sa.engine.Engine) -> None:
    figures = ask(ledger)
    assert (figures.organisation, figures.organisations) == ("org", ("elsewhere", "org"))
    assert dict(figures.by_day)[date(2026, 11, 20)] == Sums(10, 28, 0, 10, 8, 10, 2)
    assert figures.total == Sums(60, 56, 440, 20, 16, 20, 4)
    assert figures.total.email_percent == 80
    in_flight = figures.in_flight.items
    assert [(item.place.dag_id, item.workflows, item.ended) for item in in_flight] == [("crm", 2, 1)]
    assert [item.place for item in figures.unknown.items] == [
        TaskPlace("other", BATCHES[0]["run_id"], "enrich", 3),
        TaskPlace("crm", BATCHES[0]["run_id"], "enrich", -1),
    ]
    assert len(figures.on_their_way.items) == 1
    assert figures.pace.credits_spent == 56


def test_lists_are_of_dags_that_the_reader_may_read(ledger: sa.engine.Engine) -> None:
    """However much newer a hundred of others are, and a hundred requests of others on their way."""
    others = [
        batch(100 + n, dag_id=f"others-{n % 3}", state=state, submitted_at=NOW - timedelta(minutes=minutes))
        for n, (state, minutes) in enumerate([("unknown", 20), ("intent", 1), ("accepted", 5)] * 101)
    ]
    for row in others:
        row.update(NOT_ENDED, run_id=row["batch_id"])
    with ledger.begin() as connection:
        connection.execute(TABLES.batches.insert(), others)
    figures = ask(ledger, readable=frozenset({"crm"}))
    for listing, state, others_before in (
        (figures.unknown, "unknown", 1),
        (figures.on_their_way, "intent", 0),
        (figures.in_flight, "accepted", 0),
    ):
        assert [item.place.dag_id for item in listing.items] == ["crm"], state
        assert (listing.older, listing.hidden) == (0, 101 + others_before), state
    shown = page(reading(figures, readable={"crm"}))
    assert "others-" not in shown
    assert shown.count("And 10") == 3
    assert "others-" not in as_csv("unknown-outcomes", figures, {"crm"})
    assert "crm" in as_csv("unknown-outcomes", figures, {"crm"})


def test_a_list_says_what_it_leaves_out(ledger: sa.engine.Engine) -> None:
    with ledger.begin() as connection:
        more = [
            batch(
                100 + n,
                dag_id=f"dag-{n}",
                state="unknown",
                submitted_at=NOW - timedelta(minutes=20, seconds=n),
            )
            for n in range(150)
        ]
        connection.execute(TABLES.batches.insert(), more)
    figures = ask(ledger, readable=frozenset({"crm", "other", *(f"dag-{n}" for n in range(149))}))
    assert [item.place.dag_id for item in figures.unknown.items] == [f"dag-{n}" for n in range(100)]
    assert "The newest 100 are shown, 51 more are not." in page(reading(figures, readable={"crm"}))
    assert "And 1 of other DAGs." in page(reading(figures, readable={"crm"}))
    nothing = page(reading(ask(ledger, readable=frozenset())))
    assert "152 of other DAGs." in nothing
    assert "None." not in nothing


def test_another_organisation_and_one_task(ledger: sa.engine.Engine) -> None:
    assert ask(ledger, organisation="elsewhere").total.credits_spent == 9_999
    assert ask(ledger, organisation="nobody").organisation == "org"
    here = Scope("other", BATCHES[0]["run_id"], "enrich", 3)
    assert ask(ledger, here).total.contacts == 10
    assert not ask(ledger, here).is_of_whole_run


def test_a_task_without_submissions_has_the_numbers_of_its_run(ledger: sa.engine.Engine) -> None:
    run = Scope("other", BATCHES[0]["run_id"])
    for scope in (replace(run, task_id="enrich", map_index=4), replace(run, task_id="load")):
        found = ask(ledger, scope)
        assert replace(found, is_of_whole_run=False) == ask(ledger, run)
        assert found.is_of_whole_run
        assert found.total.contacts == 10
    assert ask(ledger, Scope("other", "another run")).is_empty
    assert ask(ledger, Scope("other", "another run", "load")).is_empty


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (EVERYTHING, "no submission of the last 30 days."),
        (Scope("crm", "r"), "no submission of this DAG run."),
        (Scope("crm", "r", "t"), "no submission of this task, and none of its DAG run."),
    ],
)
def test_a_page_of_nothing_says_so(scope: Scope, said: str) -> None:
    question = Question(scope, 30, readable=frozenset({"crm"}))
    assert said in page(PageReading(NOW, question, LedgerFigures("org"), Account("c")))
    shown = page(PageReading(NOW, question, replace(FIGURES, is_of_whole_run=True), Account("c")))
    assert said not in shown
    assert "no submission of this task. These are the numbers of its whole DAG run." in shown


def test_a_ledger_without_tables(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    asked = queries.ask(engine, None, Question(EVERYTHING, 30), "", NOW)
    assert asked is LedgerProblem.NOT_MADE
    assert sa.inspect(engine).get_table_names() == []


def test_sums_are_added_column_by_column() -> None:
    one, two = Sums(1, 2, 3, 4, 5, 6, 7), Sums(10, 20, 30, 40, 50, 60, 70)
    assert added([one, two]) == Sums(11, 22, 33, 44, 55, 66, 77)
    assert added([one]) == one
    assert added([]) == Sums()
    groups = grouped([("a", one), ("b", two), ("a", two)])
    assert groups == {"a": added([one, two]), "b": two}


BATCH = "UPDATE cleanlist_batches SET {} WHERE dag_id = 'other'"


@pytest.mark.parametrize(
    ("statement", "problem", "said"),
    [
        ("UPDATE cleanlist_ledger SET version = 1", LedgerProblem.OLDER, "an older version"),
        ("UPDATE cleanlist_ledger SET version = 3", LedgerProblem.NEWER, "Upgrade"),
        (BATCH.format("submitted_at = 'yesterday'"), LedgerProblem.UNREADABLE, "numbers and times"),
        (BATCH.format("decided_at = 'soon'"), LedgerProblem.UNREADABLE, "numbers and times"),
        (BATCH.format("contacts = 'abc'"), LedgerProblem.UNREADABLE, "numbers and times"),
        (BATCH.format("worst_case_credits = 9e999"), LedgerProblem.UNREADABLE, "numbers and times"),
        (BATCH.format("map_index = '<img>'"), LedgerProblem.UNREADABLE, "numbers and times"),
        (BATCH.format("task_id = 7, contacts = 12.0, decided_by = 'Mara'"), None, ""),
        ("DROP TABLE cleanlist_keys", LedgerProblem.UNREADABLE, "changed or dropped"),
        ("DELETE FROM cleanlist_ledger", None, ""),
        ("DROP TABLE cleanlist_ledger", None, ""),
    ],
)
def test_a_ledger_that_cannot_be_read_says_why(
    statement: str,
    problem: LedgerProblem | None,
    said: str,
    ledger: sa.engine.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PAGE_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "page_ledger")
    with ledger.begin() as connection:
        connection.execute(sa.text(statement))
    found = read_ledger(Question(EVERYTHING, 30, readable=frozenset({"other"})), "key")
    if problem is None:
        assert isinstance(found, LedgerFigures)
    else:
        assert found is problem
        shown = page(reading(problem))
        assert said in shown
        assert "cannot be reached" not in shown


def test_texts_are_shown_as_long_as_their_columns_say(ledger: sa.engine.Engine) -> None:
    with ledger.begin() as connection:
        for column in ("task_id", "decided_by", "decision"):
            connection.execute(sa.text(BATCH.format(f"{column} = hex(zeroblob(5000))")))
        connection.execute(
            sa.text("UPDATE cleanlist_batches SET run_id = hex(zeroblob(5000)) WHERE batch_id LIKE '%3'")
        )
    (unknown,) = (item for item in ask(ledger).unknown.items if item.place.dag_id == "other")
    assert unknown.place == TaskPlace("other", unknown.place.run_id, "0" * 250, 3)
    assert (unknown.decision, unknown.decided_by) == ("0" * 250, "0" * DECIDED_BY_LENGTH)
    assert "0" * 250 in {item.place.run_id for item in ask(ledger).in_flight.items}


def test_a_query_that_took_too_long_is_told_from_one_that_failed(
    ledger: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.begin() as connection:
        connection.execute(sa.text("DROP TABLE cleanlist_keys"))
    for seconds, problem in ((60, LedgerProblem.UNREADABLE), (0, LedgerProblem.LATE)):
        monkeypatch.setattr(queries, "STATEMENT_SECONDS", seconds)
        with pytest.raises(queries.ReadError) as caught:
            ask(ledger)
        assert caught.value.problem is problem
    lost = sa.exc.OperationalError("SELECT 1", None, Exception("gone"), connection_invalidated=True)
    with pytest.raises(sa.exc.OperationalError), queries._failures():
        raise lost


@pytest.mark.parametrize(("spent", "days", "left"), [(300, 30, 10), (50, 0, 2), (50, 5, 10), (0, 30, None)])
def test_how_long_credits_last(spent: int, days: int, left: float | None) -> None:
    assert days_left(100, Pace(spent, NOW - timedelta(days=days)), NOW) == left


def test_plots_are_well_formed_and_say_what_they_show() -> None:
    svg = ET.fromstring(columns([0, 5, 10], [HOSTILE, "b", "c"], HOSTILE, "d"))
    bars = svg.findall("rect")
    assert [float(one.attrib["height"]) for one in bars] == [50, 100]
    assert svg.attrib["role"] == "img"
    assert svg.findtext("title") == HOSTILE
    assert float(ET.fromstring(bar(7)).findall("rect")[1].attrib["width"]) == 100


def reading(
    ledger: LedgerFigures | LedgerProblem, readable: Collection[str] = (), **more: Any
) -> PageReading:
    question = Question(EVERYTHING, 30, readable=frozenset(readable))
    return PageReading(NOW, question, ledger, Account("cleanlist_default", **more))


FIGURES = LedgerFigures(
    organisation="org",
    organisations=("org", HOSTILE),
    by_day=((NOW.date(), Sums(10, 28)),),
    by_dag=((("crm", HOSTILE), Sums(10, 28, 0, 10, 8)), (("secret", "full"), Sums(5, 99))),
    unknown=Listing((OpenBatch(TaskPlace("crm", HOSTILE, "a/b", 2), 10, 110, NOW),), hidden=1),
)


def test_the_page_escapes_and_hides_what_the_reader_may_not_read() -> None:
    shown = page(reading(FIGURES, balance=Balance(1_000, NOW.timestamp()), readable={"crm"}))
    assert HOSTILE not in shown
    assert "secret" not in shown
    assert "And 1 of other DAGs." in shown
    assert 'href="../dags/crm/runs/%3Cscript%3E' in shown
    assert "/tasks/a%2Fb/mapped/2" in shown
    assert "80.0 %" in shown
    assert "1,000" in shown
    assert 'style="' not in shown
    assert shown.count("<script") == 1


@pytest.mark.parametrize("problem", LedgerProblem)
def test_a_page_without_a_ledger_says_what_to_do(problem: LedgerProblem) -> None:
    shown = page(reading(problem))
    assert "Traceback" not in shown
    assert "ledger" in shown


def test_what_a_person_has_decided_is_shown(ledger: sa.engine.Engine) -> None:
    place, moment = TaskPlace("other", BATCHES[0]["run_id"], "enrich", 3), NOW - timedelta(hours=1)
    decided = {"decision": "skip", "decided_by": HOSTILE, "decided_at": moment}
    with ledger.begin() as connection:
        connection.execute(TABLES.batches.update().where(TABLES.batches.c.state == "unknown").values(decided))
    figures = ask(ledger)
    assert [(item.place == place, item.decision) for item in figures.unknown.items] == [
        (True, "skip"),
        (False, ""),
    ]
    shown = page(reading(figures, readable={"crm", "other"}))
    assert "<td>skip, &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;, 2026-11-30 11:00 UTC</td>" in shown
    assert "<td>none</td>" in shown
    header, *rows = as_csv("unknown-outcomes", figures, {"crm", "other"}).splitlines()
    assert header.endswith("submitted_at,decision,decided_by,decided_at")
    assert rows[0].endswith(f",{moment.isoformat()}")
    assert rows[1].endswith(",,,")


def test_nothing_is_said_of_decisions_where_there_is_none() -> None:
    assert "Decision" not in page(reading(FIGURES, readable={"crm"}))


def test_csv_holds_no_formulas_and_no_dag_of_others() -> None:
    figures = replace(FIGURES, unknown=Listing((OpenBatch(TaskPlace("crm", "=1+1", "t"), 1, 1, NOW),)))
    assert ",'=1+1," in as_csv("unknown-outcomes", figures, {"crm"}).replace("crm", "crm", 1)
    spaced = replace(FIGURES, unknown=Listing((OpenBatch(TaskPlace("crm", " =1+1", "t"), 1, 1, NOW),)))
    assert ",' =1+1," in as_csv("unknown-outcomes", spaced, {"crm"})
    assert "secret" not in as_csv("dags", FIGURES, {"crm"})
    assert "99" in as_csv("dags", FIGURES, {"crm"})


def test_the_use_of_the_budget(tmp_path: Path) -> None:
    budget = Budget(6, 60)
    limiter = FileRateLimiter(budget, "scope", [tmp_path / "budget"])
    assert limiter.peek() is None
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        limiter.reserve(Priority.WORK, waited=0, max_wait=60)
    found = limiter.peek()
    assert found is not None
    use = use_of(found[0], budget, found[1])
    assert (use.used, use.waiting, place_of(""), sum(use.bins)) == (1, 1, "host", 1)


def test_one_process_asks_for_the_balance_in_five_minutes(tmp_path: Path) -> None:
    first, second = (BalanceStore("scope", [tmp_path / "budget"]) for _ in range(2))
    assert [first.claim(1_000), second.claim(1_000), second.claim(1_000 + ASK_AGAIN_SECONDS)] == [
        True,
        False,
        True,
    ]
    first.write(Balance(7, 1_001))
    assert second.read() == Balance(7, 1_001, asked_at=1_000 + ASK_AGAIN_SECONDS)
    (file,) = (tmp_path / "budget").iterdir()
    file.write_text("[]")
    assert second.read() == Balance()


FILE = '{"credits":%s,"checked_at":%s,"asked_at":0,"has_failed":false,"organisation":"<b>x"}'


@pytest.mark.parametrize(
    "content",
    [
        "[" * 4000,
        FILE % ("1" + "0" * 400, "1"),
        FILE % ("1e308", "1"),
        FILE % ("1", "1e300"),
        FILE % ("1", "-1e14"),
        FILE % ("1", "-1e11"),
        FILE % ("1", "-1"),
        FILE % ("1", "NaN"),
        FILE % ("-Infinity", "1"),
        FILE % ("[]", "1"),
        FILE % ("1", "1") + "\0",
        "\xff",
        "{}",
    ],
)
def test_whatever_the_file_of_the_balance_holds_there_is_a_page(tmp_path: Path, content: str) -> None:
    store = BalanceStore("scope", [tmp_path / "budget"])
    store.write(Balance(7, 1_000))
    (file,) = (tmp_path / "budget").iterdir()
    file.write_text(content, encoding="latin-1")
    assert store.read() == Balance()
    assert "being asked for" in page(reading(FIGURES, balance=store.read()))


def test_the_largest_balance_is_shown(tmp_path: Path) -> None:
    store = BalanceStore("scope", [tmp_path / "budget"])
    store.write(Balance(-9_999_999_999, 1e11, organisation="<b>x"))
    shown = page(reading(FIGURES, balance=store.read()))
    assert "-9,999,999,999" in shown
    assert "<b>x" not in shown


def test_a_balance_that_cannot_be_written_down_is_known_to_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full: the page neither asks at every view nor loads itself again for ever."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store, other = (BalanceStore("scope", [tmp_path / "budget"]) for _ in range(2))
    other.write(Balance(7, 1_000, asked_at=1_000))
    with monkeypatch.context() as disk:
        disk.setattr(balance_file, "replace_in", full)
        assert [store.claim(2_000), store.claim(2_001)] == [True, False]
        store.write(Balance(5, 2_002))
        assert store.read() == Balance(5, 2_002, asked_at=2_000)
        assert other.read() == Balance(7, 1_000)
    assert store.claim(2_000 + ASK_AGAIN_SECONDS)
    store.write(Balance(4, 2_302))
    assert other.read() == store.read() == Balance(4, 2_302, asked_at=2_000 + ASK_AGAIN_SECONDS)


@pytest.mark.parametrize(
    ("balance", "is_pending"),
    [
        (Balance(asked_at=NOW.timestamp() - 5), True),
        (Balance(asked_at=NOW.timestamp() - 100), False),
        (Balance(asked_at=NOW.timestamp(), has_failed=True), False),
        (Balance(7, asked_at=NOW.timestamp()), False),
        (Balance(), False),
    ],
)
def test_the_page_loads_itself_again_only_while_an_answer_may_come(
    balance: Balance, is_pending: bool
) -> None:
    assert ("data-pending" in page(reading(FIGURES, balance=balance))) is is_pending


@pytest.mark.parametrize(("mode", "file_mode"), [(0o700, 0o600), (0o770, 0o660), (0o2770, 0o660)])
def test_who_shares_the_directory_shares_the_balance(tmp_path: Path, mode: int, file_mode: int) -> None:
    (tmp_path / "budget").mkdir()
    (tmp_path / "budget").chmod(mode)
    BalanceStore("scope", [tmp_path / "budget"]).write(Balance(7, 1_000))
    (file,) = (tmp_path / "budget").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == file_mode
    assert BalanceStore("scope", [tmp_path / "budget"]).read().credits == 7


def test_readers_share_an_answer_and_two_threads() -> None:
    calls, go = [], threading.Event()

    def answer(question: int) -> int:
        calls.append(question)
        go.wait(10)
        return question

    async def ask_all() -> list[Any]:
        answers = SharedAnswers(answer, threads=2, patience=0.05, deadline=8)
        same = [asyncio.ensure_future(answers.get(1)) for _ in range(20)]
        others = [asyncio.ensure_future(answers.get(number)) for number in (2, 3)]
        await asyncio.wait([others[1]])
        go.set()
        return await asyncio.gather(*same, *others, return_exceptions=True)

    *found, refused = asyncio.run(ask_all())
    assert found == [1] * 20 + [2]
    assert isinstance(refused, BusyError)
    assert calls == [1, 2]


def test_questions_are_late_and_not_refused_while_threads_hang() -> None:
    go, now = threading.Event(), [0.0]

    def answer(question: int) -> int:
        go.wait(10)
        return question

    async def ask_all() -> list[Any]:
        answers = SharedAnswers(answer, threads=2, clock=lambda: now[0], patience=0.05, deadline=8)
        hung = [asyncio.ensure_future(answers.get(number)) for number in (1, 2)]
        found = [await asyncio.gather(answers.get(3), return_exceptions=True)]
        now[0] = 8.0
        found += [await asyncio.gather(answers.get(3), answers.get(3), return_exceptions=True)]
        go.set()
        await asyncio.wait(hung)
        return [*found, [await answers.get(3)]]

    (busy,), late, answered = asyncio.run(ask_all())
    assert isinstance(busy, BusyError)
    assert [type(error) for error in late] == [LateError, LateError]
    assert answered == [3]


def test_whoever_asks_ever_new_questions_keeps_no_thread_from_others() -> None:
    calls, begun, go = [], threading.Event(), threading.Event()

    def answer(question: str) -> str:
        calls.append(question)
        begun.set()
        if question.startswith("flood"):
            go.wait(10)
        return question

    async def ask_all() -> list[Any]:
        answers = SharedAnswers(answer, threads=2, patience=0.05, deadline=8)
        flood = [asyncio.ensure_future(answers.get(f"flood {number}", "one")) for number in range(30)]
        assert await asyncio.to_thread(begun.wait, 10)
        others = [await answers.get(f"question of {name}", name) for name in ("two", "three")]
        refused = await asyncio.gather(*flood[1:], return_exceptions=True)
        go.set()
        later = await answers.get("question of one", "one")
        return [*others, await flood[0], later, *{type(error) for error in refused}]

    assert asyncio.run(ask_all()) == [
        "question of two",
        "question of three",
        "flood 0",
        "question of one",
        BusyError,
    ]
    assert calls == ["flood 0", "question of two", "question of three", "question of one"]


def test_whose_question_hangs_is_late_and_not_refused() -> None:
    go, now = threading.Event(), [0.0]

    def answer(question: int) -> int:
        if question == 1:
            go.wait(10)
        return question

    async def ask_all() -> list[Any]:
        answers = SharedAnswers(answer, threads=2, clock=lambda: now[0], patience=0.05, deadline=8)
        hung = asyncio.ensure_future(answers.get(1, "one"))
        found = await asyncio.gather(answers.get(2, "one"), return_exceptions=True)
        now[0] = 8.0
        found += await asyncio.gather(answers.get(2, "one"), answers.get(3, "two"), return_exceptions=True)
        go.set()
        return [*found, await hung]

    busy, late, *answered = asyncio.run(ask_all())
    assert (type(busy), type(late), answered) == (BusyError, LateError, [3, 1])


def test_the_page_is_there_from_3_1() -> None:
    assert [has_pages(version) for version in ("2.11.2", "3.0.6", "3.1.0", "3.10.0rc1", "4.0")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert {view["destination"] for view in EXTERNAL_VIEWS} == {"nav", "dag_run", "task_instance"}
    assert len({view["url_route"] for view in EXTERNAL_VIEWS}) == 3


served = pytest.mark.skipif(
    not has_pages(airflow.__version__), reason="Airflow below 3.1 has no pages of plugins"
)


@served
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/page.css",
        "/page.js",
        "/csv/days.csv",
        "/csv/none.csv",
        "/?dag_id=crm",
        "/csv/days.csv/",
        "/elsewhere",
        "//",
        "/docs",
    ],
)
@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer no.such.token"}, 403)])
def test_nobody_else_gets_anything(path: str, headers: dict[str, str], status: int) -> None:
    from airflow.api_fastapi.app import create_auth_manager
    from fastapi.testclient import TestClient

    from airflow_provider_cleanlist.page.app import build_app

    create_auth_manager().init()
    client = TestClient(build_app(), raise_server_exceptions=False, follow_redirects=False)
    answer = client.get(path, headers=headers)
    assert answer.status_code == client.head(path, headers=headers).status_code == status
    assert "Cleanlist" not in answer.text
    assert ("Log in to Airflow" if status == 401 else "Ask an administrator") in answer.text
    assert "detail" not in answer.text


class SharedReader:
    """A logged-in user who may read one DAG, at the page's real application."""

    def __init__(self, ledger: Callable[..., Any], account: Callable[[str], Account]) -> None:
        from fastapi.testclient import TestClient

        from airflow_provider_cleanlist.page import app as served_app

        app = served_app.build_app(served_app.SharedReadings(ledger, account))
        for dependency in app.router.dependencies:
            assert dependency.dependency is not None
            app.dependency_overrides[dependency.dependency] = lambda: None

        def login(request: served_app.Request) -> str:
            return request.headers.get("user", "reader")

        login.__annotations__["request"] = served_app.Request
        app.dependency_overrides[served_app.login_of] = login
        app.dependency_overrides[served_app.readable_dags] = lambda: frozenset({"crm"})
        self.client = TestClient(app)


def known_account(conn_id: str) -> Account:
    return Account(conn_id, "key", Balance(1_234, NOW.timestamp()), None, "host")


@served
def test_credits_and_budget_show_when_the_ledger_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_cleanlist.page import app as served_app

    monkeypatch.setattr(served_app, "LEDGER_SECONDS", 0.2)
    go = threading.Event()
    reader = SharedReader(lambda *_: go.wait(10), known_account)
    with reader.client as client:
        shown = client.get("/")
        table = client.get("/csv/days.csv")
        others = [client.get(f"/?days={days}") for days in (7, 90)]
        go.set()
    assert [answer.status_code for answer in (shown, *others)] == [200, 200, 200]
    for answer in (shown, *others):
        assert "did not answer in time" in answer.text
        assert "1,234" in answer.text
        assert "No process of this host has sent a request" in answer.text
        assert "usable connection" not in answer.text
    assert table.status_code == 503
    assert "did not answer in time" in table.text


@served
def test_the_ledger_shows_when_the_connection_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_cleanlist.page import app as served_app

    monkeypatch.setattr(served_app, "ACCOUNT_SECONDS", 0.2)
    go = threading.Event()

    def account(conn_id: str) -> Account:
        go.wait(10)
        return Account(conn_id)

    with SharedReader(lambda *_: FIGURES, account).client as client:
        text = client.get("/").text
        go.set()
    assert "Credits by day" in text
    assert text.count("the Cleanlist connection was not looked up in time") == 2
    assert "usable connection" not in text


@served
@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/?dag_id=secret", 403, "Ask an administrator"),
        (f"/?run_id={'x' * 251}", 400, "Open the page from"),
        ("/?run_id=a%00b", 400, "Open the page from"),
        ("/csv/none.csv", 404, "Open the page from"),
        ("/elsewhere", 404, "Open the page from"),
        ("/csv/days.csv/", 404, "Open the page from"),
    ],
)
def test_a_refusal_says_what_to_do(path: str, status: int, said: str) -> None:
    answer = SharedReader(lambda *_: FIGURES, known_account).client.get(path)
    assert answer.status_code == status
    assert said in answer.text
    assert "secret" not in answer.text
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


@served
@pytest.mark.parametrize(
    ("path", "root"),
    [("/elsewhere", ""), ("/csv/none.csv", "../"), ("/csv/days.csv", "../"), ("/a/b/c", "../../")],
)
@pytest.mark.parametrize("prefix", ["", "/cleanlist/page"])
def test_what_stands_for_a_page_has_its_style_below_any_address(path: str, root: str, prefix: str) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app: Any = SharedReader(lambda *_: LedgerProblem.NOT_MADE, known_account).client.app
    if prefix:
        inner, app = app, FastAPI()
        app.mount(prefix, inner)
    answer = TestClient(app).get(prefix + path)
    assert answer.status_code in (404, 503)
    assert f'href="{root}page.css"' in answer.text
    assert TestClient(app).get(urljoin(prefix + path, f"{root}page.css")).status_code == 200


@served
def test_an_address_can_be_asked_for_its_head_only() -> None:
    with SharedReader(lambda *_: FIGURES, known_account).client as client:
        for path in ("/", "/csv/days.csv", "/page.css"):
            answer = client.head(path)
            assert answer.status_code == 200
            assert answer.headers["Content-Security-Policy"]
        assert client.post("/").status_code == 405


@served
def test_a_fault_of_ours_is_a_page_that_says_where_to_look() -> None:
    from fastapi.testclient import TestClient

    def account(conn_id: str) -> Account:
        raise KeyError("secret")

    app = SharedReader(lambda *_: FIGURES, account).client.app
    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert answer.status_code == 500
    assert "see the API server" in unescape(answer.text)
    assert "secret" not in answer.text
    assert "Content-Security-Policy" in answer.headers


@served
def test_too_many_questions_are_asked_to_come_back() -> None:
    import httpx

    go = threading.Event()

    def ledger(*_: Any) -> LedgerFigures:
        go.wait(10)
        return FIGURES

    async def ask_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(SharedReader(ledger, known_account).client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            asked = [
                asyncio.ensure_future(client.get(f"/?days={days}", headers={"user": name}))
                for days, name in ((7, "a"), (30, "b"), (90, "c"))
            ]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            go.set()
            return await asyncio.gather(*asked)

    *answered, refused = sorted(asyncio.run(ask_all()), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answered] == [200, 200]
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert "Load it again in a few seconds" in refused.text


@served
def test_readers_of_one_login_are_looked_up_once_and_outside_of_airflows_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import httpx
    from airflow.api_fastapi.core_api import security

    from airflow_provider_cleanlist.page import app as served_app

    asked: list[tuple[str, str]] = []

    class Manager:
        def serialize_user(self, user: str) -> dict[str, str]:
            return {"sub": user}

        def get_authorized_dag_ids(self, user: str, method: str) -> set[str]:
            asked.append((user, threading.current_thread().name.rpartition("_")[0]))
            return {"crm"} if user == "reader" else set()

    monkeypatch.setattr(served_app, "get_auth_manager", Manager)
    app = SharedReader(lambda *_: FIGURES, known_account).client.app
    del app.dependency_overrides[served_app.readable_dags], app.dependency_overrides[served_app.login_of]
    app.dependency_overrides[security.get_user] = lambda request: request.headers["user"]
    app.dependency_overrides[security.get_user].__annotations__ = {"request": served_app.Request}

    async def ask_all() -> list[str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
            users = ["reader"] * 5 + ["guest"] * 5
            answers = await asyncio.gather(*(client.get("/", headers={"user": user}) for user in users))
            return [answer.text for answer in answers]

    texts = asyncio.run(ask_all())
    assert sorted(asked) == [("guest", "cleanlist-page"), ("reader", "cleanlist-page")]
    assert ['dags/crm"' in text for text in texts] == [True] * 5 + [False] * 5


@served
@pytest.mark.parametrize(("path", "writer"), [("/", "page"), ("/csv/dags.csv", "as_csv")])
def test_a_text_is_written_once_for_readers_of_the_same_dags_and_outside_of_the_event_loop(
    path: str, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gets the text of a reader who may read other DAGs, although the ledger's answer is the same object."""
    import httpx

    from airflow_provider_cleanlist.page import app as served_app

    written: list[str] = []
    write = getattr(served_app, writer)

    def counted(*args: Any) -> str:
        written.append(threading.current_thread().name.rpartition("_")[0])
        return str(write(*args))

    def readable(request: served_app.Request) -> frozenset[str]:
        return frozenset(request.headers["dags"].split(","))

    monkeypatch.setattr(served_app, writer, counted)
    readable.__annotations__["request"] = served_app.Request
    app = SharedReader(lambda *_: FIGURES, known_account).client.app
    app.dependency_overrides[served_app.readable_dags] = readable

    async def ask_all() -> list[str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
            dags = ["crm"] * 20 + ["crm,secret"] * 20 + ["other"] * 20
            first, *more = [client.get(path, headers={"dags": names}) for names in dags]
            return [answer.text for answer in [await first, *await asyncio.gather(*more)]]

    texts = asyncio.run(ask_all())
    assert written == ["cleanlist-page"] * 3
    assert ["secret" in text for text in texts] == [False] * 20 + [True] * 20 + [False] * 20
    assert [len(set(texts[start : start + 20])) for start in (0, 20, 40)] == [1, 1, 1]
    assert len(set(texts)) == 3


@served
def test_a_new_answer_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of an old answer is not kept for longer than the answer."""
    from airflow_provider_cleanlist.page import sharing

    monkeypatch.setattr(sharing, "FRESH_SECONDS", 0.0)
    credit = iter(range(1_001, 1_004))

    def ledger(*_: Any) -> LedgerFigures:
        return replace(FIGURES, by_dag=((("crm", "full"), Sums(1, next(credit))),))

    with SharedReader(ledger, known_account).client as client:
        shown = [client.get("/csv/dags.csv").text for _ in range(3)]
    assert [[f",{spent:d}," in text for text in shown].index(True) for spent in (1_001, 1_002, 1_003)] == [
        0,
        1,
        2,
    ]


@served
def test_a_plus_sign_in_a_run_id_is_one_whether_it_is_encoded_or_not() -> None:
    from airflow_provider_cleanlist.page.app import values_of

    assert values_of(b"run_id=a+00:00&map_index=%7BMAP_INDEX%7D") == values_of(
        b"run_id=a%2B00:00&map_index={MAP_INDEX}"
    )
    assert values_of(b"run_id=a+b%20c")["run_id"] == "a+b c"


@pytest.mark.parametrize("dark", [False, True])
def test_texts_have_the_contrast_of_wcag_aa(dark: bool) -> None:
    style = (Path(queries.__file__).parent / "static" / "page.css").read_text(encoding="utf-8")
    block = style.split(':root[data-theme="dark"] {' if dark else ":root {")[1].split("}")[0]
    colours = dict(part.strip().split(": ") for part in block.split(";") if part.strip().startswith("--"))

    def luminance(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(first: str, second: str) -> float:
        low, high = sorted((luminance(colours[first]), luminance(colours[second])))
        return (high + 0.05) / (low + 0.05)

    for ground in ("--page", "--card"):
        assert min(contrast(text, ground) for text in ("--text", "--muted", "--link", "--alert")) >= 4.5
        assert min(contrast(mark, ground) for mark in ("--mark", "--second")) >= 3
