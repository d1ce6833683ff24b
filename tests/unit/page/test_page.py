"""The page Browse > Cleanlist: its figures, its HTML, its CSV, and who may read it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import airflow
import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.client.rate_limit.core import Budget, Priority
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.page import queries
from airflow_provider_cleanlist.page.balance import ASK_AGAIN_SECONDS, Balance, BalanceStore
from airflow_provider_cleanlist.page.budget import use_of
from airflow_provider_cleanlist.page.figures import (
    EVERYTHING,
    LedgerFigures,
    OpenBatch,
    Pace,
    Scope,
    Sums,
    TaskPlace,
    days_left,
)
from airflow_provider_cleanlist.page.html import Reader, page
from airflow_provider_cleanlist.page.plots import bar, columns
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.page.reading import PageReading
from airflow_provider_cleanlist.page.sharing import BusyError, SharedAnswers
from airflow_provider_cleanlist.page.tables import as_csv
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables, set_up
from airflow_provider_cleanlist.webhooks.plugin import EXTERNAL_VIEWS, has_pages

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
        "changed_at": NOW,
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
    found = queries.ask(engine, None, Question(scope, 30, **more), "key", NOW)
    assert isinstance(found, LedgerFigures)
    return found


def test_the_figures_of_the_connections_organisation(ledger: sa.engine.Engine) -> None:
    figures = ask(ledger)
    assert (figures.organisation, figures.organisations) == ("org", ("elsewhere", "org"))
    assert dict(figures.by_day)[date(2026, 11, 20)] == Sums(10, 28, 0, 10, 8, 10, 2)
    assert figures.total == Sums(60, 56, 440, 20, 16, 20, 4)
    assert figures.total.email_percent == 80
    assert [(item.place.dag_id, item.workflows, item.ended) for item in figures.in_flight] == [("crm", 2, 1)]
    assert [item.place for item in figures.unknown] == [
        TaskPlace("other", BATCHES[0]["run_id"], "enrich", 3),
        TaskPlace("crm", BATCHES[0]["run_id"], "enrich", -1),
    ]
    assert len(figures.on_their_way) == 1
    assert figures.pace.credits_spent == 56


def test_another_organisation_and_one_task(ledger: sa.engine.Engine) -> None:
    assert ask(ledger, organisation="elsewhere").total.credits_spent == 9_999
    assert ask(ledger, organisation="nobody").organisation == "org"
    here = Scope("other", BATCHES[0]["run_id"], "enrich", 3)
    assert ask(ledger, here).total.contacts == 10
    assert ask(ledger, replace(here, map_index=4)).total == Sums()


def test_a_ledger_without_tables(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    asked = queries.ask(engine, None, Question(EVERYTHING, 30), "", NOW)
    assert asked is LedgerProblem.NOT_MADE
    assert sa.inspect(engine).get_table_names() == []


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


def reading(ledger: LedgerFigures | LedgerProblem, **more: Any) -> PageReading:
    return PageReading(NOW, Question(EVERYTHING, 30), ledger, "cleanlist_default", **more)


FIGURES = LedgerFigures(
    organisation="org",
    organisations=("org", HOSTILE),
    by_day=((NOW.date(), Sums(10, 28)),),
    by_dag=((("crm", HOSTILE), Sums(10, 28, 0, 10, 8)), (("secret", "full"), Sums(5, 99))),
    unknown=(
        OpenBatch(TaskPlace("crm", HOSTILE, "a/b", 2), 10, 110, NOW),
        OpenBatch(TaskPlace("secret", "r", "t"), 1, 1, NOW),
    ),
)


def test_the_page_escapes_and_hides_what_the_reader_may_not_read() -> None:
    shown = page(reading(FIGURES, balance=Balance(1_000, NOW.timestamp())), Reader({"crm"}))
    assert HOSTILE not in shown
    assert "secret" not in shown
    assert "other DAGs" in shown
    assert 'href="../dags/crm/runs/%3Cscript%3E' in shown
    assert "/tasks/a%2Fb/mapped/2" in shown
    assert "80.0 %" in shown
    assert "1,000" in shown
    assert 'style="' not in shown
    assert shown.count("<script") == 1


@pytest.mark.parametrize("problem", LedgerProblem)
def test_a_page_without_a_ledger_says_what_to_do(problem: LedgerProblem) -> None:
    shown = page(reading(problem), Reader(set()))
    assert "Traceback" not in shown
    assert "ledger" in shown


def test_csv_holds_no_formulas_and_no_dag_of_others() -> None:
    figures = replace(FIGURES, unknown=(OpenBatch(TaskPlace("crm", "=1+1", "t"), 1, 1, NOW),))
    assert ",'=1+1," in as_csv("unknown-outcomes", figures, {"crm"}).replace("crm", "crm", 1)
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
    use = use_of(found[0], budget, found[1], "")
    assert (use.used, use.waiting, use.place, sum(use.bins)) == (1, 1, "host", 1)


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


def test_readers_share_an_answer_and_two_threads() -> None:
    calls, go = [], threading.Event()

    def answer(question: int) -> int:
        calls.append(question)
        go.wait(10)
        return question

    async def ask_all() -> list[Any]:
        answers = SharedAnswers(answer, patience=0.05)
        same = [asyncio.ensure_future(answers.get(1)) for _ in range(20)]
        others = [asyncio.ensure_future(answers.get(number)) for number in (2, 3)]
        await asyncio.wait([others[1]])
        go.set()
        return await asyncio.gather(*same, *others, return_exceptions=True)

    *found, refused = asyncio.run(ask_all())
    assert found == [1] * 20 + [2]
    assert isinstance(refused, BusyError)
    assert calls == [1, 2]


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
    "path", ["/", "/page.css", "/page.js", "/csv/days.csv", "/csv/none.csv", "/?dag_id=crm"]
)
@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer no.such.token"}, 403)])
def test_nobody_else_gets_anything(path: str, headers: dict[str, str], status: int) -> None:
    from airflow.api_fastapi.app import create_auth_manager
    from fastapi.testclient import TestClient

    from airflow_provider_cleanlist.page.app import build_app

    create_auth_manager().init()
    answer = TestClient(build_app(), raise_server_exceptions=False).get(path, headers=headers)
    assert answer.status_code == status
    assert "Cleanlist" not in answer.text


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
