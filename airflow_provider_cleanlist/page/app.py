"""The page's web application: who may read it, and what its addresses mean."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_access_view
from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_cleanlist.page.figures import DEFAULT_PERIOD, PERIODS, LedgerFigures, Scope
from airflow_provider_cleanlist.page.html import page
from airflow_provider_cleanlist.page.notices import problem_page, refusal_page
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.page.reading import (
    Account,
    PageReading,
    page_conn_id,
    read_account,
    read_ledger,
)
from airflow_provider_cleanlist.page.sharing import BusyError, LateError, SharedAnswers
from airflow_provider_cleanlist.page.tables import TABLES, as_csv

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
"""Of every response: nothing from other hosts, nothing inline, in no frame but Airflow's own, kept by nobody."""
METHODS = ["GET", "HEAD"]
"""What every address answers; anything else gets 405."""
LONGEST_VALUE = 250
"""Characters of a value in an address, at most."""
LEDGER_THREADS = 2
"""Questions that the ledger is asked at the same time."""
LEDGER_SECONDS = 8.0
"""How long the ledger may take before the page does without."""
TEXT_THREADS = 1
"""Pages and tables that are written at the same time: it is all computing."""
TEXT_SECONDS = 8.0
"""How long writing a page may take before its readers are asked to come back."""
ACCOUNT_SECONDS = 2.0
"""How long the Cleanlist connection may take to be looked up before the page does without."""
ACCESS_THREADS = 2
"""Users whose DAGs are looked up at the same time."""
ACCESS_SECONDS = 8.0
"""How long Airflow may take to say which DAGs a user may read, before the user is asked to come back."""
RETRY_SECONDS = "2"
"""When somebody who was refused because of others should come back, in seconds."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A logged-in user, told from others by all that their login says of them.

    Attributes:
        login: What it says: name, roles, teams, as far as the auth manager keeps them there.
        user: The user.
    """

    login: str
    user: BaseUser = field(compare=False)


def authorized_dags(identity: Identity) -> frozenset[str]:
    """Return the DAGs that a user may read. Blocking: it asks Airflow's database, or a service.

    Args:
        identity: The user.
    """
    return frozenset(get_auth_manager().get_authorized_dag_ids(user=identity.user, method="GET"))


async def login_of(user: GetUserDep) -> str:
    """Return all that a user's login says of them, by which they are told from others.

    Args:
        user: The user.
    """
    return json.dumps(get_auth_manager().serialize_user(user), sort_keys=True, default=str)


Login = Annotated[str, Depends(login_of)]


async def readable_dags(request: Request, user: GetUserDep, login: Login) -> frozenset[str]:
    """Return the DAGs that a user may read, without a thread of Airflow's own.

    Args:
        request: The request.
        user: The user.
        login: What their login says of them.

    Raises:
        HTTPException: Too many users are asked for at the same time (503).
    """
    shared: SharedAnswers[Identity, frozenset[str]] = request.app.state.readable
    try:
        return await shared.get(Identity(login, user))
    except (BusyError, LateError):
        raise HTTPException(503) from None


Readable = Annotated[frozenset[str], Depends(readable_dags)]


@dataclass(frozen=True, slots=True)
class WantedText:
    """A page or table, the same for all who ask the same of the same answers.

    Attributes:
        table: Name of the table; empty for the page.
        question: What is wanted of the ledger, with the DAGs that the reader may read.
        answers: Identities of the answers that it shows, which :attr:`reading` keeps alive.
        reading: What it shows.
        write: Writes it. With thousands of DAGs that is a tenth of a second of computing.
    """

    table: str
    question: Question
    answers: tuple[int, int]
    reading: PageReading = field(compare=False)
    write: Callable[[], str] = field(compare=False)


class SharedReadings:
    """What pages show, read for all readers together, and the texts that show it.

    The ledger, the Cleanlist connection and the writing have threads of their own, so that none is waited for in vain
    because of another, and Airflow's event loop only hands out what is ready.

    Args:
        ledger: Blocking; reads the ledger for a question and a hash of host and key.
        account: Blocking; reads what is known of a Cleanlist connection.
    """

    def __init__(
        self,
        ledger: Callable[[Question, str], LedgerFigures | LedgerProblem] = read_ledger,
        account: Callable[[str], Account] = read_account,
    ) -> None:
        self._ledger: SharedAnswers[tuple[Question, str], LedgerFigures | LedgerProblem] = SharedAnswers(
            lambda asked: ledger(*asked), threads=LEDGER_THREADS, deadline=LEDGER_SECONDS
        )
        self._account: SharedAnswers[str, Account] = SharedAnswers(
            account, threads=1, deadline=ACCOUNT_SECONDS
        )
        self._texts: SharedAnswers[WantedText, bytes] = SharedAnswers(
            lambda wanted: wanted.write().encode(), threads=TEXT_THREADS, deadline=TEXT_SECONDS
        )

    async def text(self, reading: PageReading, table: str, write: Callable[[], str]) -> bytes:
        """Return a page or table.

        Args:
            reading: What it shows.
            table: Name of the table; empty for the page.
            write: Writes it, unless it is written already.

        Raises:
            HTTPException: Too much is to be written at the same time.
        """
        answers = id(reading.ledger), id(reading.account)
        try:
            return await self._texts.get(WantedText(table, reading.question, answers, reading, write))
        except (BusyError, LateError):
            raise HTTPException(503) from None

    async def get(self, question: Question, login: str) -> PageReading:
        """Return what a page shows.

        Args:
            question: What is wanted of the ledger.
            login: Who asks.

        Raises:
            HTTPException: Too many questions are asked at the same time, by this user or by all.
        """
        try:
            account = await self._account.get(page_conn_id())
        except (BusyError, LateError):
            account = Account()
        ledger: LedgerFigures | LedgerProblem
        try:
            ledger = await self._ledger.get((question, account.key_hash), asker=login)
        except BusyError:
            raise HTTPException(503) from None
        except LateError:
            ledger = LedgerProblem.LATE
        return PageReading(datetime.now(UTC), question, ledger, account)


def build_app(readings: SharedReadings | None = None) -> FastAPI:
    """Return the application. Every address is for users of Airflow who may read DAGs, and nobody else.

    Args:
        readings: What pages show; by default from the ledger and connection that are configured.
    """
    access = [Depends(requires_access_view(AccessView.WEBSITE)), Depends(requires_access_dag("GET"))]
    app = FastAPI(
        dependencies=access, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.readable = SharedAnswers(authorized_dags, threads=ACCESS_THREADS, deadline=ACCESS_SECONDS)
    shared = readings or SharedReadings()

    @app.api_route("/", methods=METHODS)
    async def show(request: Request, readable: Readable, login: Login) -> Response:
        reading = await shared.get(question_of(request, readable), login)
        text = await shared.text(reading, "", lambda: page(reading))
        return Response(text, headers=HEADERS, media_type="text/html")

    @app.api_route("/csv/{name}.csv", methods=METHODS)
    async def show_csv(request: Request, name: str, readable: Readable, login: Login) -> Response:
        if name not in TABLES:
            raise HTTPException(404)
        reading = await shared.get(question_of(request, readable), login)
        ledger = reading.ledger
        if isinstance(ledger, LedgerProblem):
            return Response(
                problem_page(ledger, root_of(request)), 503, headers=HEADERS, media_type="text/html"
            )
        attachment = {"Content-Disposition": f'attachment; filename="cleanlist-{name}.csv"'}
        text = await shared.text(reading, name, lambda: as_csv(name, ledger, readable))
        return Response(text, headers=HEADERS | attachment, media_type="text/csv")

    @app.api_route("/page.css", methods=METHODS)
    async def style() -> Response:
        return _static("page.css", "text/css")

    @app.api_route("/page.js", methods=METHODS)
    async def script() -> Response:
        return _static("page.js", "text/javascript")

    @app.api_route("/{path:path}", methods=METHODS)
    async def nothing(path: str) -> Response:
        raise HTTPException(404)  # and who may not read the page has learned nothing of the address by now

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        return refused(request, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return refused(request, 500)  # the server logs the error

    return app


def root_of(request: Request) -> str:
    """Return the way from an address to that of the page, such as ``../``.

    Args:
        request: The request.
    """
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return "../" * (path.count("/") - 1)


def refused(request: Request, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says what to do, and nothing of the error that led to it.

    Args:
        request: The request.
        status: HTTP status.
        headers: Headers that belong to it.
    """
    retry = {"Retry-After": RETRY_SECONDS} if status == 503 else {}
    return Response(
        refusal_page(status, root_of(request)), status, {**(headers or {}), **HEADERS, **retry}, "text/html"
    )


def _static(name: str, media_type: str) -> Response:
    file = importlib.resources.files("airflow_provider_cleanlist.page") / "static" / name
    return Response(file.read_bytes(), headers=HEADERS, media_type=media_type)


def values_of(query: bytes) -> dict[str, str]:
    """Return the values of a query string, where a plus sign is one: Airflow 3.1 does not encode that of a run id.

    Args:
        query: The query string as it was sent.
    """
    pairs = (pair.partition("=") for pair in query.decode("latin-1").split("&"))
    return {unquote(name): unquote(value) for name, _, value in pairs if value}


def question_of(request: Request, readable: frozenset[str]) -> Question:
    """Return what an address asks for.

    Args:
        request: The request.
        readable: DAGs that the user may read.

    Raises:
        HTTPException: The user may not read the DAG (403), or a value cannot be one (400).
    """
    values = values_of(request.scope["query_string"])
    if any(len(value) > LONGEST_VALUE or "\0" in value for value in values.values()):
        raise HTTPException(400)
    dag_id, run_id = values.get("dag_id"), values.get("run_id")
    if dag_id is not None and dag_id not in readable:
        raise HTTPException(403)
    period = next((days for days in PERIODS if str(days) == values.get("days")), DEFAULT_PERIOD)
    if dag_id is None or run_id is None:
        return Question(Scope(), period, values.get("organisation", ""), readable)
    map_index = values.get("map_index", "")
    index = int(map_index) if map_index.isdecimal() and len(map_index) < 10 else None
    scope = Scope(dag_id, run_id, values.get("task_id"), index)
    return Question(scope, DEFAULT_PERIOD, values.get("organisation", ""), readable)
