"""The page's web application: who may read it, and what its addresses mean."""

from __future__ import annotations

import importlib.resources
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import unquote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request, Response

from airflow_provider_cleanlist.page.figures import DEFAULT_PERIOD, PERIODS, LedgerFigures, Scope
from airflow_provider_cleanlist.page.html import Reader, page
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.page.reading import PageReading, read
from airflow_provider_cleanlist.page.sharing import BusyError, LateError, SharedAnswers
from airflow_provider_cleanlist.page.tables import TABLES, as_csv

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
LONGEST_VALUE = 250


def readable_dags(user: GetUserDep) -> frozenset[str]:
    """Return the DAGs that a user may read."""
    return frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))


Readable = Annotated[frozenset[str], Depends(readable_dags)]


def build_app() -> FastAPI:
    """Return the application. Every address is for users of Airflow who may read DAGs, and nobody else."""
    access = [Depends(requires_access_view(AccessView.WEBSITE)), Depends(requires_access_dag("GET"))]
    app = FastAPI(dependencies=access, docs_url=None, redoc_url=None, openapi_url=None)
    answers = SharedAnswers(read)

    @app.get("/")
    async def show(request: Request, readable: Readable) -> Response:
        reading = await _reading(answers, question_of(request, readable))
        return Response(page(reading, Reader(readable)), headers=HEADERS, media_type="text/html")

    @app.get("/csv/{name}.csv")
    async def show_csv(request: Request, name: str, readable: Readable) -> Response:
        if name not in TABLES:
            raise HTTPException(404)
        reading = await _reading(answers, question_of(request, readable))
        if not isinstance(reading.ledger, LedgerFigures):
            raise HTTPException(503, headers=HEADERS)
        attachment = {"Content-Disposition": f'attachment; filename="cleanlist-{name}.csv"'}
        text = as_csv(name, reading.ledger, readable)
        return Response(text, headers=HEADERS | attachment, media_type="text/csv")

    @app.get("/page.css")
    async def style() -> Response:
        return _static("page.css", "text/css")

    @app.get("/page.js")
    async def script() -> Response:
        return _static("page.js", "text/javascript")

    return app


def _static(name: str, media_type: str) -> Response:
    file = importlib.resources.files("airflow_provider_cleanlist.page") / "static" / name
    return Response(file.read_bytes(), headers=HEADERS, media_type=media_type)


async def _reading(answers: SharedAnswers[Question, PageReading], question: Question) -> PageReading:
    try:
        return await answers.get(question)
    except BusyError:
        raise HTTPException(503, headers=HEADERS | {"Retry-After": "2"}) from None
    except LateError:
        return late_reading(question)


def late_reading(question: Question) -> PageReading:
    """Return what is shown when the ledger does not answer in time.

    Args:
        question: What was wanted.
    """
    return PageReading(datetime.now(UTC), question, LedgerProblem.UNREACHABLE)


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
        raise HTTPException(400, headers=HEADERS)
    dag_id, run_id = values.get("dag_id"), values.get("run_id")
    if dag_id is not None and dag_id not in readable:
        raise HTTPException(403, headers=HEADERS)
    period = next((days for days in PERIODS if str(days) == values.get("days")), DEFAULT_PERIOD)
    if dag_id is None or run_id is None:
        return Question(Scope(), period, values.get("organisation", ""))
    map_index = values.get("map_index", "")
    index = int(map_index) if map_index.isdecimal() and len(map_index) < 10 else None
    scope = Scope(dag_id, run_id, values.get("task_id"), index)
    return Question(scope, DEFAULT_PERIOD, values.get("organisation", ""))
