"""A sandbox without a socket: manual clock, in-process requests."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_cleanlist.sandbox.app import create_app
from airflow_provider_cleanlist.sandbox.clock import ManualClock
from airflow_provider_cleanlist.sandbox.state.sandbox import Sandbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer Starlette prefers httpx2, which Airflow does not bring
    from starlette.testclient import TestClient

if TYPE_CHECKING:
    import httpx

V1, V2 = "/api/v1/public", "/api/v2"


@dataclass
class Api:
    """A sandbox and the shortest ways to call it."""

    sandbox: Sandbox
    clock: ManualClock
    client: TestClient

    @property
    def settings(self):
        return self.sandbox.settings

    @property
    def ledger(self):
        self.sandbox.settle()
        return self.sandbox.ledger

    @property
    def faults(self):
        return self.sandbox.faults

    def call(self, method: str, path: str, *, key: str | None = None, **kwargs: Any) -> httpx.Response:
        secret = self.sandbox.accounts.key.secret if key is None else key
        headers = {"Authorization": f"Bearer {secret}", **kwargs.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **kwargs)

    def v1(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return self.call(method, V1 + path, **kwargs)

    def v2(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return self.call(method, V2 + path, **kwargs)

    def submit(
        self, *contacts: dict[str, Any], enrichment_type: str = "full", **kwargs: Any
    ) -> dict[str, Any]:
        body = {"contacts": list(contacts), "enrichment_type": enrichment_type, **kwargs}
        answer = self.v1("POST", "/enrich/bulk", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, **params: str) -> dict[str, Any]:
        answer = self.v1("GET", "/enrich/status", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def balance(self) -> float:
        return self.v1("GET", "/credits/balance").json()["credits"]

    def create_list(self, name: str, **fields: Any) -> str:
        return self.v2("POST", "/lead-lists", json={"name": name, **fields}).json()["list_id"]

    def managed_list(self) -> dict[str, Any]:
        lists = self.v2("GET", "/lead-lists").json()["lists"]
        return next(item for item in lists if item["name"] == "Extension Leads")

    def rows(self, list_id: str, **params: Any) -> list[dict[str, Any]]:
        return self.v2("GET", f"/lead-lists/{list_id}/leads", params=params).json()["leads"]


@pytest.fixture
def make_api():
    """Build sandboxes with settings of one's own; the rate limit is out of the way unless asked for."""
    stack = ExitStack()

    def make(**arguments: Any) -> Api:
        clock = ManualClock()
        sandbox = Sandbox(**{"clock": clock, "requests_per_minute": 100_000, **arguments})
        client = stack.enter_context(TestClient(create_app(sandbox)))
        return Api(sandbox, clock, client)

    with stack:
        yield make


@pytest.fixture
def api(make_api) -> Api:
    return make_api()


def person(first: str = "Teo", marker: str = "found-both", **fields: Any) -> dict[str, Any]:
    return {"first_name": first, "last_name": "Lindqvist", "company_domain": f"{marker}.example", **fields}


@pytest.fixture(name="person")
def person_fixture():
    """Make a contact whose marker decides what is found."""
    return person


@pytest.fixture
def leads(api, person):
    """Seven leads of the organisation."""
    api.submit(*[person(f"P{number}") for number in range(7)])
    return [row["lead_id"] for row in api.rows(api.managed_list()["list_id"])]
