"""The table of docs/webhooks.md, row by row, against the receiver on a real socket."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError
from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.input_limits import InputLimit
from airflow_provider_cleanlist.webhooks import receiver as module

from .conftest import SECRET, ReceiverServer

pytestmark = [pytest.mark.integration]

GUIDE = Path(__file__).parents[3] / "docs" / "webhooks.md"
PAYLOAD = {"event": "enrichment.completed", "workflow_id": "w", "results": [{"task_id": "t"}]}
ODD_ID = "../../../etc/passwd%00%2e%2e"


def documented() -> dict[str, tuple[str, str]]:
    """Return what the guide says of each request: the response, and what is stored."""
    (table,) = re.findall(r"\| Request \| Response \| Stored \|\n\|[-|]+\|\n((?:\|.*\n)+)", GUIDE.read_text())
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return {request: (answer, stored) for request, answer, stored in rows}


@dataclass
class Lab:
    """A receiver to be attacked."""

    server: ReceiverServer
    inbox: Inbox
    root: Path
    client: httpx.Client
    patch: pytest.MonkeyPatch

    def token(self, secret: str = SECRET, batch: str = "0", life: float = 60.0) -> str:
        return sign(secret, batch_name("s", "r", batch), time.time() + life)

    def post(self, token: str | None = None, payload: Any = PAYLOAD, **body: Any) -> int:
        path = f"/cleanlist/webhook/{self.token() if token is None else token}"
        return self.client.post(path, **(body or {"json": payload})).status_code

    def raw(self, target: str, *, headers: str = "Content-Length: 2\r\n", body: bytes = b"{}") -> int:
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:
            head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
            connection.sendall(head.encode() + body)
            return int(connection.recv(100).split()[1])

    def stored(self) -> list[str]:
        return sorted(path.name for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def lab(
    receiver: ReceiverServer, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    with httpx.Client(base_url=receiver.url, timeout=20) as client:
        yield Lab(receiver, inbox, tmp_path, client, monkeypatch)


def genuine(lab: Lab) -> set[int]:
    return {lab.post()}


def again(lab: Lab) -> set[int]:
    return {lab.post() for _ in range(3)}


def other_event(lab: Lab) -> set[int]:
    return {lab.post(payload={"event": "enrichment.progress", "workflow_id": "w", "status": "processing"})}


def forged(lab: Lab) -> set[int]:
    token = lab.token()
    others = [token[:-1] + ("A" if token[-1] != "A" else "B"), "B" + token[1:], token[::-1], token * 2]
    others += ["A" * 70, "", "x", token.lower(), f"{token}%00", lab.token("somebody else's secret")]
    return {lab.post(other) for other in others}


def expired(lab: Lab) -> set[int]:
    return {lab.post(lab.token(life=-1))}


def foreign(lab: Lab) -> set[int]:
    return {lab.post(payload={**PAYLOAD, "workflow_id": "another"})}


def address_of_another(lab: Lab) -> set[int]:
    return {lab.post(lab.token(batch="1"))}


def early(lab: Lab) -> set[int]:
    told = {lab.post()}
    assert lab.inbox.payload("w") is None
    lab.inbox.announce("w", batch_name("s", "r", "0"))
    assert lab.inbox.payload("w") == PAYLOAD
    return told


def paths(lab: Lab) -> set[int]:
    token = lab.token()
    targets = [
        "/cleanlist/webhook/../../etc/passwd",
        "/cleanlist/webhook/..%2f..%2fetc%2fpasswd",
        f"//cleanlist//webhook//{token}",
        f"/cleanlist/webhook/{token}/",
        f"/cleanlist/webhook/{token}/../{token}",
        f"/cleanlist/%77ebhook/%2e/{token}",
        "/cleanlist/webhook",
        "/",
    ]
    return {lab.raw(target) for target in targets}


def methods(lab: Lab) -> set[int]:
    path = f"/cleanlist/webhook/{lab.token()}"
    return {
        lab.client.request(method, path).status_code for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD")
    }


def malformed(lab: Lab) -> set[int]:
    bodies = [b"", b"{", b"null", b"[]", b'"w"', b"\xff\xfe", b"[" * 100_000, b'{"workflow_id": ""}', b"{}"]
    bodies += [b'{"event": "enrichment.completed", "workflow_id": "w", "x": [%s0]}' % (b"0," * 50_000)]
    bodies += [
        b'{"workflow_id": ["w"]}',
        b'{"workflow_id": {"a": 1}}',
        b'{"workflow_id": "%s"}' % (b"w" * 513),
    ]
    return {lab.post(content=body) for body in bodies}


def odd_id(lab: Lab) -> set[int]:
    told = {lab.post(payload={**PAYLOAD, "workflow_id": ODD_ID})}
    assert lab.inbox.workflow_of(batch_name("s", "r", "0")) == ODD_ID
    return told


def unprintable_id(lab: Lab) -> set[int]:
    return post_ids(lab, ["w" * 513, "w\n", "w\x1b[31m", "\0", "w\u200b", "\ud800"])


def rendered_id(lab: Lab) -> set[int]:
    return post_ids(lab, ["['wf_of_other_task']", "{'workflow_ids': ['x']}", "None", "null", " w", "w "])


def post_ids(lab: Lab, ids: list[str]) -> set[int]:
    bodies = [json.dumps({"event": "enrichment.completed", "workflow_id": odd}) for odd in ids]
    return {lab.post(content=body.encode()) for body in bodies}


def oversized(lab: Lab) -> set[int]:
    declared = lab.raw(f"/cleanlist/webhook/{lab.token()}", headers="Content-Length: 17000000\r\n")
    lab.patch.setattr(module, "WEBHOOK", InputLimit(100_000, 1000))
    return {declared, lab.post(content=iter([b"[" * 50_000] * 3))}


def insistent(lab: Lab) -> set[int]:
    progress = {"event": "enrichment.progress", "workflow_id": "w", "status": "processing"}
    told = [lab.post(payload=progress) for _ in range(31)]
    assert set(told[:30]) == {200}
    return set(told[30:])


def slow_body(lab: Lab) -> set[int]:
    lab.patch.setattr(module, "WEBHOOK_SECONDS", 0.5)
    return {lab.raw(f"/cleanlist/webhook/{lab.token()}", headers="Content-Length: 5\r\n")}


def slow_headers(lab: Lab) -> set[int]:
    connections = []
    for _ in range(200):
        connection = socket.create_connection(("127.0.0.1", lab.server.port), timeout=10)
        connection.sendall(b"POST /cleanlist/webhook/x HTTP/1.1\r\nHost: ")
        connections.append(connection)
    started = time.monotonic()
    told = {lab.post(payload={"event": "enrichment.progress", "workflow_id": "w", "status": "processing"})}
    assert time.monotonic() - started < 5
    for connection in connections:
        connection.close()
    return told


def failing_store(lab: Lab) -> set[int]:
    def full(*_: object) -> None:
        raise InboxUnavailableError("no space left on device")

    def hanging(*_: object) -> None:
        time.sleep(1)

    lab.patch.setattr(module, "STORE_SECONDS", 0.3)
    told = set()
    for store in (full, hanging):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Inbox, "store", store)
            told.add(lab.post())
    return told


Attack = Callable[[Lab], set[int]]
NOTHING, ONCE = 0, 1
ATTACKS: dict[str, tuple[Attack, int]] = {
    "Genuine token, end of a workflow": (genuine, ONCE),
    "The same again: delivered twice, or replayed": (again, ONCE),
    "Genuine token, an event other than the end of a workflow": (other_event, NOTHING),
    "Unknown, forged or altered token": (forged, NOTHING),
    "Expired token": (expired, NOTHING),
    "Genuine token of a batch that was delivered as another workflow": (foreign, NOTHING),
    "Genuine token of a batch, for a workflow that another batch became": (address_of_another, NOTHING),
    "Genuine token, before the task has noted which workflow its batch became": (early, ONCE),
    "Path tricks: `..`, `%2f`, `//`, further segments, a trailing slash": (paths, NOTHING),
    "Any method but POST": (methods, NOTHING),
    "Body that is not a JSON object, is nested more than 200 deep, has more than 50,000 values, or names no workflow": (
        malformed,
        NOTHING,
    ),
    "Workflow id longer than 512 characters, or with control, invisible or unpaired surrogate characters": (
        unprintable_id,
        NOTHING,
    ),
    "Workflow id that begins with `[` or `{`, is `None` or `null`, or has white space around it": (
        rendered_id,
        NOTHING,
    ),
    "Workflow id that looks like a path": (odd_id, ONCE),
    "Body over 4 MB, with or without a declared length": (oversized, NOTHING),
    "More than 30 requests to one address within an hour": (insistent, NOTHING),
    "Body that takes longer than 9 s": (slow_body, NOTHING),
    "Two hundred senders that never finish their headers, and one that does": (slow_headers, NOTHING),
    "Inbox full, failing or hanging": (failing_store, NOTHING),
}


def test_the_guide_tells_of_every_attack_and_no_other() -> None:
    assert list(documented()) == list(ATTACKS)


@pytest.mark.parametrize("request_", ATTACKS)
def test_what_the_guide_says(lab: Lab, request_: str, caplog: pytest.LogCaptureFixture) -> None:
    attack, workflows = ATTACKS[request_]
    if attack is foreign:
        lab.post()
    if attack is address_of_another:
        lab.inbox.announce("w", batch_name("s", "r", "0"))
    before = lab.stored()
    answer, stored = documented()[request_]
    assert attack(lab) == {int(answer.split()[0].rstrip(",:"))}
    new = [name for name in lab.stored() if name not in before]
    assert len(list((lab.root / "inbox" / "workflows").glob("*"))) == workflows + (attack is foreign)
    if not workflows:
        assert new == []
        assert stored.startswith("nothing")
    assert [path.name for path in lab.root.iterdir()] in ([], ["inbox"])
    assert lab.token()[:40] not in caplog.text
