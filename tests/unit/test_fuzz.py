"""Whatever comes from elsewhere is read or refused by name: no other exception, no hang, nothing unbounded.

That is what arrives from the network, the files and Redis values of the request budget, and files of contacts. A few
seconds of it are in the suite, which repeats its inputs on CI; ``nox -s fuzz`` goes on with new ones.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client import endpoints, enrichment, error_responses, errors, protocol
from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.client.messages import Response, Surface
from airflow_provider_cleanlist.client.rate_limit import redis as redis_module
from airflow_provider_cleanlist.client.rate_limit.core import (
    Budget,
    BudgetState,
    Decision,
    Priority,
    Verdict,
)
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter, this_machine
from airflow_provider_cleanlist.client.rate_limit.memory import (
    FURTHEST_SECONDS,
    BaseRateLimiter,
    MemoryRateLimiter,
    decode,
    encode,
    is_plausible,
)
from airflow_provider_cleanlist.client.rate_limit.redis import RedisRateLimiter
from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource
from airflow_provider_cleanlist.input_limits import FIELD_ERRORS, QUOTED_CHARACTERS
from airflow_provider_cleanlist.redaction import REDACTED

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
fuzzed = settings(
    max_examples=EXAMPLES or 8,
    derandomize=settings.default.derandomize
    and not EXAMPLES,  # on CI it would make up the same inputs again and again
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

CONTACTS = [Contact(first_name="Wilhelmina", last_name="Quigley", company_name="Sextant")]
CALLS = {
    "validate_key": endpoints.validate_key(10.0),
    "whoami": endpoints.whoami(Surface.V1),
    "balance": endpoints.get_credit_balance(),
    "submit": enrichment.submit_bulk_enrichment(
        CONTACTS, EnrichmentType.FULL, "https://x.example/hook/abcdef"
    ),
    "status": enrichment.get_workflow_status("w"),
    "result": enrichment.get_task_result("t"),
    "deliveries": enrichment.list_webhook_deliveries("w"),
    "lists": endpoints.list_lead_lists(Surface.V2, None, None),
    "list": endpoints.get_lead_list(Surface.V2, "l"),
    "leads": endpoints.get_leads(Surface.V2, "l", 500, None),
    "export": endpoints.export_json(Surface.V2, "l", ["email"], 500, None),
    "delete": endpoints.delete_lead_list(Surface.V2, "l"),
}
WORDS = [
    "error",
    "detail",
    "message",
    "code",
    "problem",
    "fix",
    "request_id",
    "retryable",
    "retry_after_ms",
    "details",
    "required",
    "granted",
    "loc",
    "msg",
    "workflow_id",
    "task_ids",
    "task_id",
    "status",
    "summary",
    "total",
    "processed",
    "progress",
    "results",
    "result",
    "prospect",
    "company",
    "event",
    "leads",
    "lead_id",
    "lists",
    "list_id",
    "name",
    "cursor",
    "credits",
    "organization_id",
    "valid",
    "deliveries",
    "attempt",
    "error_message",
    "primary_email",
    "personal_phone_numbers",
    "phones",
    "other_emails",
    "completed",
    "failed",
    "contacts",
    "body",
]
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from([*WORDS, "9" * 400, "-1", "1e400", "Wilhelmina", "\x1b[31m\u202e", "\ud800"]),
)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=6),
    ),
    max_leaves=25,
)
bodies = st.one_of(
    documents.map(lambda document: json.dumps(document).encode()),
    st.dictionaries(st.sampled_from(WORDS), documents, max_size=8).map(
        lambda body: json.dumps(body).encode()
    ),
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "date", "location", "content-type"]),
    st.text(max_size=60) | st.from_regex(r"-?\d+\.?\d*"),
)
statuses = st.sampled_from(
    [200, 201, 204, 299, 301, 400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 599]
)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@fuzzed
@given(status=statuses, fields=headers, body=bodies, failures=st.integers(0, 6))
def test_every_answer_ends_in_a_result_or_an_error_by_name(
    call: protocol.Call[Any], status: int, fields: dict[str, str], body: bytes, failures: int
) -> None:
    response = Response(status, fields, body, 1_800_000_000.0)
    limits = protocol.RetryLimits(max_retries=0)
    flow = protocol.exchange(call, limits, clock=lambda: 0.0, jitter=lambda: 0.5)
    asked = flow.send(None)
    assert isinstance(asked, protocol.Slot)
    flow.send(Decision(Verdict.GO, 0.0))
    failure, step = None, None
    try:
        step = flow.send(response)
    except StopIteration:
        assert 200 <= status < 300
    except errors.ApiError as error:
        failure = error
    if step is not None:
        assert isinstance(step, protocol.Penalty | protocol.Sleep)
        assert 0 < step.seconds <= protocol.MAX_RETRY_AFTER_SECONDS + 1
    if failure is not None:
        assert str(failure).isprintable()
        assert len(failure.info.message.replace(REDACTED, "")) <= QUOTED_CHARACTERS
        assert len(failure.info.field_errors) <= FIELD_ERRORS
        if call is CALLS["submit"]:
            assert "Wilhelmina" not in f"{failure} {failure.info!r}"


@fuzzed
@given(
    text=st.text(max_size=300) | st.from_regex(r"[+-]?\d{0,400}\.?\d*") | st.binary().map(bytes.hex),
    date=st.text(),
)
def test_every_retry_after_is_seconds_or_nothing(text: str, date: str) -> None:
    seconds = error_responses.retry_after_seconds({"retry-after": text, "date": date}, 1_800_000_000.0)
    assert seconds is None or 0 <= seconds < float("inf")


@fuzzed
@given(
    cursors=st.lists(st.one_of(leaves, st.lists(leaves, max_size=2)), min_size=1, max_size=12),
    size=st.integers(0, 2),
)
def test_pages_end_whatever_their_cursors_are(cursors: list[Any], size: int) -> None:
    """Each page names a cursor of the list in turn, for ever."""
    asked = 0

    def page(call: protocol.Call[Any], observer: object = None) -> Any:
        nonlocal asked
        body = {"leads": [{"lead_id": "l"}] * size, "cursor": cursors[asked % len(cursors)]}
        asked += 1
        assert asked <= len(cursors) + 2
        return protocol._parsed(call, protocol.Ok(json.loads(json.dumps(body)), 200))

    client = object.__new__(CleanlistClient)
    vars(client).update(_surface=Surface.V2, _translate=lambda error: error, run=page)
    pages: Iterator[Any] = client.iter_lead_pages("l")
    with contextlib.suppress(errors.UnexpectedResponseError):  # the pages never end, or a cursor is none
        assert len(list(pages)) <= len(cursors) + 1


@fuzzed
@given(body=bodies)
def test_every_webhook_is_a_payload_or_refused(body: bytes) -> None:
    pytest.importorskip("fastapi")
    from airflow_provider_cleanlist.webhooks.events import finished_event_extra
    from airflow_provider_cleanlist.webhooks.receiver import Refusal, is_final, read_payload

    read: Callable[[bytes], tuple[str, dict[str, Any]]] = read_payload
    workflow_id = ""
    with contextlib.suppress(Refusal):
        workflow_id, payload = read(body)
    if not workflow_id:
        return
    assert 0 < len(workflow_id) <= 512
    is_final(payload)
    extra = finished_event_extra(workflow_id, payload)["cleanlist"]
    assert extra["status"] in ("completed", "failed")
    assert len(json.dumps(extra)) < 5000


# --- what is mutated -----------------------------------------------------------------------------------------------

TOKENS = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b'"', b"'", b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\\u d800",
    b"[", b"]", b"{", b"}", b":", b"\\ud800", b"1e999", b"9" * 5000, b"-", b"$500000000\r\n", b"*-1\r\n", b"NaN",
    b"\x1b[2J", "\u202e\u00fc\u0131".encode(), b"\x1f\x8b", b"=HYPERLINK(1)",
]  # fmt: skip
changes = st.lists(
    st.tuples(
        st.sampled_from(["cut", "repeat", "insert", "flip"]),
        st.floats(0, 1),
        st.integers(1, 40),
        st.sampled_from(TOKENS) | st.binary(max_size=8),
    ),
    max_size=5,
)


def mutated(data: bytes, steps: list[tuple[str, float, int, bytes]]) -> bytes:
    for kind, where, length, token in steps:
        at = int(where * len(data))
        part = data[at : at + length]
        change = {
            "cut": b"",
            "repeat": part * 2,
            "insert": token + part,
            "flip": bytes(b ^ 0x55 for b in part),
        }
        data = data[:at] + change[kind] + data[at + length :]
    return data


# --- the request budget --------------------------------------------------------------------------------------------

NOW = this_machine().monotonic()
moments = st.floats() | st.floats(-200, 200).map(lambda ahead: NOW + ahead)
counts = st.integers(0, 2**32 - 1) | st.integers(0, 100)
identities = st.integers(0, 2**64 - 1)
states = st.builds(
    BudgetState,
    born=identities,
    epoch=identities,
    seen=moments,
    grants=st.lists(moments, max_size=70).map(sorted).map(tuple),
    blocked_until=moments,
    last_poll=moments,
    poll_turn=moments,
    lowered_by=counts,
    lowered_at=moments,
    step=counts,
)
priorities = st.sampled_from(Priority)
LONGEST_WAIT = FURTHEST_SECONDS + 200 * 60.0


def use(limiter: BaseRateLimiter, priority: Priority) -> None:
    limiter.peek()
    decision = limiter.reserve(priority, waited=0.0, max_wait=float("inf"))
    assert 0 <= decision.delay <= LONGEST_WAIT
    limiter.penalize(1.0)
    again = limiter.reserve(priority, waited=1.0, max_wait=10.0, reservation=decision.reservation)
    assert 0 <= again.delay <= LONGEST_WAIT


@fuzzed
@given(state=states, steps=changes, priority=priorities)
def test_every_file_of_the_budget_is_used_or_replaced(
    tmp_path_factory: pytest.TempPathFactory,
    state: BudgetState,
    steps: list[tuple[str, float, int, bytes]],
    priority: Priority,
) -> None:
    folder = tmp_path_factory.mktemp("budget", numbered=True)
    folder.chmod(0o700)
    use(FileRateLimiter(Budget(), "s", [folder]), Priority.WORK)
    [file] = folder.glob("*.budget")
    boot = this_machine().boot
    file.write_bytes(mutated(encode(state, boot), steps))
    limiter = FileRateLimiter(Budget(), "s", [folder])
    use(limiter, priority)
    name, left = decode(file.read_bytes())
    if not limiter._is_in_memory:  # as it is when the file names another machine
        assert name == boot
        assert left is not None
        assert is_plausible(left, Budget(), limiter.clock())
    file.unlink()
    folder.rmdir()


class RedisServer:
    """A server on loopback whose replies to a transaction are given."""

    replies = b"", b""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=self._listener.accept()[:1], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        first, second = self.replies
        with contextlib.suppress(OSError), connection:
            while got := connection.recv(65_536):
                if b"WATCH" in got:
                    connection.sendall(first)
                elif b"MULTI" in got:
                    connection.sendall(second)
                else:
                    hello = b"%1\r\n$5\r\nproto\r\n:3\r\n"
                    connection.sendall(hello if b"HELLO" in got else b"+OK\r\n" * got.count(b"SETINFO"))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def redis_replies() -> Iterator[RedisServer]:
    pytest.importorskip("redis")
    server = RedisServer()
    yield server
    server.close()


@fuzzed
@given(state=states, steps=changes, first=changes, second=changes, priority=priorities)
def test_every_value_and_reply_of_redis_is_used_or_an_outage(
    redis_replies: RedisServer,
    state: BudgetState,
    steps: list[tuple[str, float, int, bytes]],
    first: list[tuple[str, float, int, bytes]],
    second: list[tuple[str, float, int, bytes]],
    priority: Priority,
) -> None:
    value = mutated(encode(state), steps)
    seconds = str(int(max(NOW, 0))).encode()
    clock = b"*2\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (len(seconds), seconds)
    read = b"+OK\r\n+OK\r\n" + clock + b"$%d\r\n%s\r\n" % (len(value), value)
    redis_replies.replies = (
        mutated(read, first),
        mutated(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", second),
    )
    budget = Budget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_module, "TIMEOUT_SECONDS", 0.05)
        patch.setattr(redis_module, "CONTENTION_SECONDS", 0.0)
        use(RedisRateLimiter(redis_replies.url, "s", budget, MemoryRateLimiter(budget)), priority)


# --- files of contacts ---------------------------------------------------------------------------------------------

PEOPLE = [
    {
        "First Name": "Wilhelmina",
        "Last Name": "Quigley",
        "Company": "Sextant GmbH",
        "Email": "w@sextant.example",
    },
    {"First Name": "J\u00f6rg", "Last Name": "O'Brien, Jr.", "Company": "A; B", "Email": ""},
    {"First Name": "", "Last Name": "", "Company": "NULL", "Email": "x@y.example"},
]
TABLE = "\n".join(
    ",".join(f'"{cell}"' for cell in row) for row in [PEOPLE[0].keys(), *map(dict.values, PEOPLE)]
)
FILES = {
    ".csv": [
        TABLE.encode(),
        TABLE.encode("utf-16"),
        TABLE.encode("cp1252"),
        b"sep=;\r\nReport of May\r\n\r\nName;Firma;LinkedIn\r\nMara Okafor;Thistle;linkedin.com/in/mara\r\nTotal;1\r\n",
    ],
    ".tsv": [TABLE.replace(",", "\t").encode(), b"email\tcompany\n'a@b.example\t\"Th\n"],
    ".jsonl": ["\n".join(map(json.dumps, PEOPLE)).encode(), b'{"a": {"firstname": "M", "lastname": "O"}}\n\n{}'],
    ".json": [
        json.dumps(PEOPLE, ensure_ascii=False).encode(),
        json.dumps({"paging": {"next": 1}, "results": [{"id": 1, "properties": row} for row in PEOPLE]}).encode(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("suffix", [*FILES, ".csv.gz"])
@fuzzed
@given(which=st.integers(0, 9), steps=changes, packed=changes)
def test_every_file_of_contacts_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    which: int,
    steps: list[tuple[str, float, int, bytes]],
    packed: list[tuple[str, float, int, bytes]],
) -> None:
    kind = suffix.removesuffix(".gz")
    data = mutated(FILES[kind][which % len(FILES[kind])], steps)
    if kind != suffix:
        data = mutated(gzip.compress(data), packed)
    path = Path(tmp_path_factory.getbasetemp(), f"fuzzed{suffix}")
    path.write_bytes(data)
    report = ReadReport()
    rows, refusal = [], ""
    try:
        rows = list(read_contacts(FileSource(path), report))
    except SourceError as error:
        refusal = str(error)
    assert len(refusal) < 5000
    for line in (refusal, *report.summary_lines()):
        assert line.isprintable()  # names of columns may hold sequences for terminals
    if not refusal:
        assert report.accepted == sum(isinstance(row, UsableRow) for row in rows)
    for row in rows:
        if isinstance(row, UsableRow):
            sent = json.dumps(row.contact.payload(), ensure_ascii=False)
            assert sent.encode().decode() == sent  # no half of a surrogate pair
            assert "\0" not in sent
