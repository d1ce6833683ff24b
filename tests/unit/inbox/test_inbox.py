from __future__ import annotations

import contextlib
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.messages import json_or_none
from airflow_provider_cleanlist.inbox import inbox as module
from airflow_provider_cleanlist.inbox.inbox import (
    MARKER_FOLDER_SECONDS,
    DamagedDeliveryError,
    ForeignWorkflowError,
    Inbox,
    InboxUnavailableError,
    announce,
    expected,
    marker_name,
)
from airflow_provider_cleanlist.inbox.tokens import batch_name
from airflow_provider_cleanlist.input_limits import INBOX_FILE, JSON_DEPTH, WEBHOOK

try:
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach

NOW = 1_780_000_000.0
BATCH, NEXT = batch_name("s", "r", "0"), batch_name("s", "r", "1")
ODD = "../../etc/passwd\0\ud800 %2e%2e"


@pytest.fixture(params=["", "file://", "memory"])
def inbox(request, tmp_path: Path) -> Inbox:
    if request.param != "memory":
        return Inbox.at(f"{request.param}{tmp_path}/inbox")
    attach("memory", fs=MemoryFileSystem())  # stands for storages that are not this machine's
    return Inbox.at(f"memory://{tmp_path.name}")


def test_what_is_stored_is_there(inbox):
    payload = {"results": [{"task_id": "t", "name": "Zoë \ud800"}]}
    assert inbox.payload("w") is inbox.workflow_of(BATCH) is None
    assert inbox.store(BATCH, "w", payload, NOW)
    inbox.announce("w", BATCH)
    assert inbox.payload("w") == payload
    assert inbox.workflow_of(BATCH) == "w"
    assert inbox.workflow_of(NEXT) is inbox.payload("v") is None


def test_the_first_delivery_counts(inbox):
    assert inbox.store(BATCH, "w", {"first": True}, NOW)
    inbox.announce("w", BATCH)
    assert not inbox.store(BATCH, "w", {"first": False}, NOW)
    assert inbox.payload("w") == {"first": True}


def test_a_repeated_delivery_is_not_written_as_json_again(inbox, monkeypatch):
    written, text_of = [], module._text_of

    def noting(document):
        written.append(document)
        return text_of(document)

    monkeypatch.setattr(module, "_text_of", noting)
    for is_new in (True, False, False):
        assert inbox.store(BATCH, "w", {"a": [1, 2.5, "Zoë", None]}, NOW) is is_new
    assert [document.get("payload") for document in written] == [None, {"a": [1, 2.5, "Zoë", None]}]
    assert inbox.store(NEXT, "v", {}, NOW)


@pytest.mark.parametrize("innermost", ["[]", "[1]"])
def test_a_payload_is_read_as_deep_as_a_receiver_takes_it(inbox, innermost):
    def nested(depth: int) -> str:
        return '{"workflow_id":"w","a":' + "[" * (depth - 2) + innermost + "]" * (depth - 2) + "}"

    depths = range(JSON_DEPTH - 2, JSON_DEPTH + 3)
    deepest = max(depth for depth in depths if json_or_none(nested(depth).encode()))
    assert depths[0] < deepest < depths[-1]
    for batch, workflow, depth in ((BATCH, "w", deepest), (NEXT, "v", 2 * deepest)):
        inbox.store(batch, workflow, json.loads(nested(depth)), NOW)
        inbox.announce(workflow, batch)
    assert inbox.payload("w") == json.loads(nested(deepest))
    with pytest.raises(DamagedDeliveryError):
        inbox.payload("v")


def test_of_many_at_once_one_is_new(tmp_path: Path):
    inbox = Inbox.at(f"file://{tmp_path}/inbox")  # fsspec's memory is not safe for threads
    inbox.announce("w", BATCH)
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda n: inbox.store(BATCH, "w", {"n": n}, NOW), range(64)))
    assert sum(told) == 1
    assert inbox.payload("w") == {"n": told.index(True)}


def test_a_batch_keeps_its_workflow(inbox):
    inbox.store(BATCH, "w", {}, NOW)
    with pytest.raises(ForeignWorkflowError):
        inbox.store(BATCH, "v", {}, NOW)
    inbox.announce("v", NEXT)
    assert inbox.payload("v") is None


@pytest.mark.parametrize("order", ["announced first", "forged first"])
def test_the_address_of_one_batch_does_not_deliver_for_the_workflow_of_another(inbox, order):
    if order == "announced first":
        inbox.announce("w", BATCH)
        with pytest.raises(ForeignWorkflowError):
            inbox.store(NEXT, "w", {"forged": True}, NOW)
    else:
        assert inbox.store(NEXT, "w", {"forged": True}, NOW)
        inbox.announce("w", BATCH)
    assert inbox.payload("w") is None
    assert inbox.store(BATCH, "w", {"genuine": True}, NOW)
    assert inbox.payload("w") == {"genuine": True}


def test_an_announced_batch_delivers_for_no_other_workflow(inbox):
    inbox.announce("w", BATCH)
    with pytest.raises(ForeignWorkflowError):
        inbox.store(BATCH, "v", {"forged": True}, NOW)
    assert inbox.workflow_of(BATCH) == "w"


def test_a_forged_workflow_does_not_keep_the_genuine_one_out(inbox):
    """Somebody with the address of a batch names another workflow before the batch is announced."""
    assert inbox.store(BATCH, "v", {"forged": True}, NOW)
    inbox.announce("w", BATCH)
    assert inbox.workflow_of(BATCH) == "w"
    assert inbox.store(BATCH, "w", {"genuine": True}, NOW)
    assert inbox.payload("w") == {"genuine": True}
    assert inbox.payload("v") is None


def test_what_arrives_before_its_announcement_waits_for_it(inbox):
    assert inbox.store(BATCH, "w", {"early": True}, NOW)
    assert inbox.payload("w") is inbox.batch_of("w") is None
    inbox.announce("w", BATCH)
    assert inbox.payload("w") == {"early": True}
    assert not inbox.store(BATCH, "w", {"again": True}, NOW)


def test_the_first_announcement_counts(inbox):
    inbox.announce("w", BATCH)
    inbox.announce("w", NEXT)
    assert inbox.batch_of("w") == BATCH
    assert inbox.workflow_of(NEXT) is None


def test_readers_check_what_receivers_have_stored(tmp_path):
    """A file that somebody moved to the name of another batch is not read."""
    inbox = Inbox.at(f"file://{tmp_path}/inbox")
    inbox.store(NEXT, "w", {"forged": True}, NOW)
    inbox.announce("w", BATCH)
    (forged,) = (tmp_path / "inbox" / "workflows").iterdir()
    forged.rename(forged.with_name(forged.name.replace(NEXT, BATCH)))
    assert inbox.payload("w") is None


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["w", BATCH, NEXT]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["workflow_id", "batch", "payload"]), inner, max_size=3)
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
    folder=st.sampled_from(["expected", "batches", "workflows"]),
)
def test_whatever_is_in_a_file_it_is_used_or_named(tmp_path, content, folder):
    """No raw error, and nothing of another batch is taken."""
    inbox = Inbox.at(f"file://{tmp_path}/{uuid.uuid4().hex}")
    inbox.announce("w", BATCH)
    inbox.store(BATCH, "w", {"genuine": True}, NOW)
    root = Path(inbox._root.path)
    (file,) = (root / folder).iterdir()
    file.write_bytes(content)
    for read in (inbox.payload, inbox.batch_of, lambda _: inbox.workflow_of(BATCH)):
        with contextlib.suppress(InboxUnavailableError):
            read("w")
    with contextlib.suppress(InboxUnavailableError, ForeignWorkflowError):
        inbox.store(NEXT, "w", {"forged": True}, NOW)
    if folder != "workflows":
        with contextlib.suppress(InboxUnavailableError):
            assert inbox.payload("w") in (
                None,
                {"genuine": True},
                {"forged": True} if inbox.batch_of("w") == NEXT else None,
            )


def test_markers(inbox):
    assert inbox.markers(NOW, NOW) == frozenset()
    inbox.store(BATCH, "w", {}, NOW)
    assert marker_name("w") in inbox.markers(NOW, NOW)
    inbox.store(NEXT, "v", {}, NOW + MARKER_FOLDER_SECONDS)
    assert {marker_name("w"), marker_name("v")} <= inbox.markers(NOW, NOW + MARKER_FOLDER_SECONDS)
    assert marker_name("w") not in inbox.markers(NOW + MARKER_FOLDER_SECONDS, NOW + MARKER_FOLDER_SECONDS)


def test_a_repeated_delivery_leaves_a_marker_again(inbox):
    inbox.store(BATCH, "w", {}, NOW)
    inbox.store(BATCH, "w", {}, NOW + MARKER_FOLDER_SECONDS)
    assert marker_name("w") in inbox.markers(NOW + MARKER_FOLDER_SECONDS, NOW + MARKER_FOLDER_SECONDS)


def test_odd_ids_stay_inside(tmp_path):
    inbox = Inbox.at(f"file://{tmp_path}/inbox")
    inbox.announce(ODD, BATCH)
    inbox.store(BATCH, ODD, {"a": 1}, NOW)
    assert inbox.payload(ODD) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]


def test_a_crash_between_the_files_loses_nothing(tmp_path):
    """Whatever of a first delivery is there, a second one completes it."""
    for missing in ("batches", "workflows", "markers"):
        inbox = Inbox.at(f"file://{tmp_path}/{missing}")
        inbox.announce("w", BATCH)
        inbox.store(BATCH, "w", {"a": 1}, NOW)
        for path in (tmp_path / missing / missing).rglob("*"):
            if path.is_file():
                path.unlink()
        inbox.store(BATCH, "w", {"a": 1}, NOW)
        assert inbox.payload("w") == {"a": 1}
        assert inbox.workflow_of(BATCH) == "w"
        assert marker_name("w") in inbox.markers(NOW, NOW)


def test_a_store_that_fails(tmp_path):
    (tmp_path / "inbox").write_text("a file where a directory should be")
    inbox = Inbox.at(f"file://{tmp_path}/inbox")
    with pytest.raises(InboxUnavailableError, match="the inbox file://"):
        inbox.store(BATCH, "w", {"email": "teo@harborlight.example"}, NOW)


def test_a_damaged_file_is_reported(tmp_path):
    inbox = Inbox.at(f"file://{tmp_path}/inbox")
    inbox.announce("w", BATCH)
    inbox.store(BATCH, "w", {}, NOW)
    (tmp_path / f"inbox/workflows/{marker_name('w')}-{BATCH}.json").write_text('{"workflow')
    with pytest.raises(InboxUnavailableError, match="is damaged: delete it"):
        inbox.payload("w")


@pytest.mark.parametrize(
    ("payload", "is_usable"),
    [
        ("[" * 200 + "]" * 200, True),
        ("[" * 100_000 + "]" * 100_000, False),
        ('"' + "x" * (INBOX_FILE - 200) + '"', True),
        ('"' + "x" * INBOX_FILE + '"', False),
        ('"\xff"', False),
    ],
)
def test_a_stored_file_is_damaged_that_no_receiver_writes(tmp_path, payload, is_usable):
    inbox = Inbox.at(f"file://{tmp_path}/inbox")
    inbox.announce("w", BATCH)
    inbox.store(BATCH, "w", {}, NOW)
    text = f'{{"workflow_id": "w", "batch": "{BATCH}", "payload": {{"x": {payload}}}}}'
    (tmp_path / f"inbox/workflows/{marker_name('w')}-{BATCH}.json").write_text(text, encoding="latin-1")
    if is_usable:
        assert list(inbox.payload("w")) == ["x"]
    else:
        with pytest.raises(DamagedDeliveryError, match="is damaged: delete it"):
            inbox.payload("w")


def test_the_largest_delivery_can_be_read_again(inbox):
    payload = {"x": "é" * (WEBHOOK.size // 2 - 100), "y": [[]] * 1000}
    inbox.announce("w", BATCH)
    inbox.store(BATCH, "w", payload, NOW)
    assert inbox.payload("w") == payload


@pytest.mark.parametrize("spelling", ["", "file://"])
def test_no_half_written_file_is_left(tmp_path, monkeypatch, spelling):
    inbox = Inbox.at(f"{spelling}{tmp_path}/inbox")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InboxUnavailableError):
        inbox.store(BATCH, "w", {}, NOW)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


UNSUPPORTED = "Unsupported filesystem|No filesystem registered for scheme nonsense"  # before Airflow 3.1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nonsense://inbox", UNSUPPORTED),
        ("s3://no_such_connection@bucket/inbox", "inbox s3://no_such_connection@bucket/inbox: "),
        ("memory://no_such_connection@bucket/inbox", "inbox memory://no_such_connection@bucket/inbox: "),
    ],
)
def test_an_inbox_without_its_connection_is_refused(path, message):
    """Airflow's paths fall back to a storage of the same kind without credentials; data must not go there."""
    with pytest.raises(InboxUnavailableError, match=message):
        Inbox.at(path)


def test_the_configured_inbox(tmp_path, monkeypatch):
    assert Inbox.configured() is None
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f" file://{tmp_path} ")
    inbox = Inbox.configured()
    assert inbox is not None
    inbox.store(BATCH, "w", {}, NOW)
    assert (tmp_path / "workflows").is_dir()


# --- expected webhooks -----------------------------------------------------------------------------------------

IDS = [f"w{n}" for n in range(20)]
BATCHES = {workflow_id: batch_name("s", "r", workflow_id) for workflow_id in IDS}


def test_expected_workflows(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")
    assert announce(BATCHES)
    assert expected([*IDS, "another"]) == expected(["another", *IDS]) == IDS
    assert announce({workflow_id: BATCHES[workflow_id] for workflow_id in IDS[:2]})
    assert len(list((tmp_path / "inbox" / "expected").iterdir())) == 20


def test_without_an_inbox_nothing_is_expected():
    assert announce(BATCHES)
    assert expected(IDS) == []


@pytest.mark.parametrize("path", ["nonsense://inbox", "file:///dev/null/inbox"])
def test_an_inbox_that_fails_costs_polls_and_says_so(path, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", path)
    assert not announce(BATCHES)
    assert "these workflows will be polled: the inbox" in caplog.text
