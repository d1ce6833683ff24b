"""Addresses of batches, and what their deliveries settle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import TOKEN_LIFE_SECONDS, batch_name, verify
from airflow_provider_cleanlist.submission.journal import Batch, BatchState
from airflow_provider_cleanlist.submission.stored.journal import StoredJournal
from airflow_provider_cleanlist.submission.webhook_addresses import (
    BatchAddresses,
    WebhookAddresses,
    check_base_url,
    signing_secret,
)

SECRET, NOW = "a secret of some length", 1_780_000_000.0
CALLBACKS = WebhookAddresses("https://a.example/airflow", SECRET, "organisation", "run")
ONE, TWO = b"1" * IDENTITY_BYTES, b"2" * IDENTITY_BYTES


def begun(journal: StoredJournal, identities: list[bytes], kind: str, now: float) -> Batch:
    batch = journal.begin(identities, kind, now, lambda _: True)
    assert batch is not None
    return batch


class Store:
    """A journal's store over several tries."""

    others: ClassVar[dict[str, int]] = {}
    sees_all_indexes = True

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.parts = ["try1"]

    def read(self, key: str) -> Any:
        return self.values.get(key)

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.values[key] = value

    def check_ownership(self) -> None:
        pass

    def next_try(self) -> StoredJournal:
        self.parts = [*self.parts, f"try{len(self.parts) + 1}"]
        journal = StoredJournal(self, keep_task_ids=True)
        journal.load()
        return journal


def batch_of(url: str) -> str:
    token = verify([SECRET], url.rpartition("/")[2], NOW)
    assert token is not None
    assert token.expires_at == NOW + TOKEN_LIFE_SECONDS
    return token.batch


def batch_of_any_life(url: str) -> str:
    token = verify([SECRET], url.rpartition("/")[2], NOW)
    assert token is not None
    return token.batch


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox.at(f"file://{tmp_path}")


def lost(journal: StoredJournal, contacts: bytes) -> str:
    """Submit a batch whose answer is lost, and return the name that its address has."""
    name = batch_of(CALLBACKS.url(contacts, journal.batches, NOW))
    begun(journal, [contacts], "partial", NOW)
    return name


def test_an_address() -> None:
    url = CALLBACKS.url(ONE, [], NOW)
    assert url.startswith("https://a.example/airflow/cleanlist/webhook/")
    assert SECRET not in repr(CALLBACKS)


def test_addresses_differ_by_run_scope_contacts_and_what_went_before() -> None:
    journal = StoredJournal(Store())
    names = {lost(journal, ONE), lost(journal, ONE), lost(journal, TWO)}
    for other in (
        WebhookAddresses("https://a.example", SECRET, "another", "run"),
        WebhookAddresses("https://a.example", SECRET, "organisation", "next"),
    ):
        names.add(batch_of(other.url(ONE, [], NOW)))
    assert len(names) == 5


def test_a_batch_that_was_refused_keeps_its_address() -> None:
    journal = StoredJournal(Store())
    name = lost(journal, ONE)
    journal.reject(journal.batches[0], "429", NOW)
    assert batch_of(CALLBACKS.url(ONE, journal.batches, NOW)) == name


def test_what_was_delivered_is_accepted_whatever_came_later(inbox: Inbox) -> None:
    store = Store()
    journal = StoredJournal(store)
    first, second = lost(journal, ONE), lost(journal, TWO)
    inbox.store(second, "w", {"results": [{"task_id": "t"}]}, NOW)
    journal = store.next_try()
    assert CALLBACKS.settle(journal, inbox, NOW) == ["w"]
    for again in (journal, store.next_try()):
        states = [(batch.state, batch.workflow_id, batch.task_ids) for batch in again.batches]
        assert states == [(BatchState.INTENT, None, ()), (BatchState.ACCEPTED, "w", ())]
        assert [bool(history.submitted_here) for history in again.histories([ONE, TWO])] == [False, True]
        assert again.unknown_contacts == 1
    assert CALLBACKS.settle(store.next_try(), inbox, NOW) == []
    inbox.store(first, "v", {}, NOW)
    assert CALLBACKS.settle(store.next_try(), inbox, NOW) == ["v"]


def test_each_of_two_submissions_of_the_same_contacts_is_settled_by_its_own(inbox: Inbox) -> None:
    store = Store()
    journal = StoredJournal(store)
    _, second = lost(journal, ONE), lost(journal, ONE)
    inbox.store(second, "w", {}, NOW)
    CALLBACKS.settle(journal := store.next_try(), inbox, NOW)
    assert [batch.workflow_id for batch in journal.batches] == [None, "w"]


def test_of_a_delivery_that_settles_nothing_but_the_workflow_is_taken(
    tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the address can name the workflow of another batch, which its task announces later, or never."""
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}")
    store = Store()
    name = lost(StoredJournal(store), ONE)
    inbox.store(name, "w", {"results": [{"task_id": "t"}], "forged": True}, NOW)
    CALLBACKS.settle(journal := store.next_try(), inbox, NOW)
    BatchAddresses(CALLBACKS, store.next_try()).announce_all()
    assert [(batch.workflow_id, batch.task_ids) for batch in journal.batches] == [("w", ())]
    assert (inbox.payload("w"), inbox.is_expected("w")) == (None, False)
    genuine = batch_name("organisation", "another run", "0")
    inbox.announce("w", genuine)
    assert inbox.store(genuine, "w", {"forged": False}, NOW)
    assert inbox.payload("w") == {"forged": False}


@pytest.mark.parametrize("odd", ["['wf_of_other_task']", "None", " wf"])
def test_an_id_in_the_inbox_that_would_become_another_one_settles_nothing(inbox: Inbox, odd: str) -> None:
    store = Store()
    name = lost(StoredJournal(store), ONE)
    inbox.store(name, odd, {}, NOW)
    assert CALLBACKS.settle(store.next_try(), inbox, NOW) == []
    inbox.announce("wf", name)
    assert CALLBACKS.settle(store.next_try(), inbox, NOW) == ["wf"]


def test_a_workflow_of_the_same_task_settles_no_other_batch(inbox: Inbox) -> None:
    store = Store()
    journal = StoredJournal(store)
    journal.accept(begun(journal, [TWO], "partial", NOW), "w", (), NOW)
    inbox.store(lost(journal, ONE), "w", {}, NOW)
    journal = store.next_try()
    assert CALLBACKS.settle(journal, inbox, NOW) == []
    assert journal.unknown_contacts == 1


def test_an_address_that_names_the_workflow_of_another_batch_settles_nothing(inbox: Inbox) -> None:
    store = Store()
    name = lost(StoredJournal(store), ONE)
    inbox.store(name, "w", {"forged": True}, NOW)
    inbox.announce("w", batch_name("organisation", "another run", "0"))
    assert CALLBACKS.settle(journal := store.next_try(), inbox, NOW) == []
    assert journal.unknown_contacts == 1


def test_accepted_batches_are_announced_at_once_and_by_a_later_attempt(
    tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}")
    store = Store()
    journal = StoredJournal(store)
    addresses = BatchAddresses(CALLBACKS, journal)
    names = {}
    for workflow_id, contacts in (("w", ONE), ("v", ONE), ("u", TWO)):
        url = addresses.url(contacts)
        names[workflow_id] = batch_of_any_life(url)
        batch = begun(journal, [contacts], "partial", NOW)
        journal.accept(batch, workflow_id, (), NOW)
        if workflow_id != "v":  # as if the attempt had been killed in between
            addresses.accepted(url, workflow_id)
    assert {name: inbox.batch_of(name) for name in "wvu"} == names | {"v": None}
    BatchAddresses(CALLBACKS, store.next_try()).announce_all()
    assert {name: inbox.batch_of(name) for name in "wvu"} == names
    assert len(set(names.values())) == 3


@pytest.mark.parametrize("url", ["https://a.example", "https://a.example/airflow/", "http://127.0.0.1:8080"])
def test_base_urls(url: str) -> None:
    assert check_base_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "http://a.example",
        "ftp://a.example",
        "https://",
        "https://u:p@a.example",
        "https://a?b",
        "https://[",
    ],
)
def test_what_are_no_base_urls(url: str) -> None:
    with pytest.raises(ValueError, match="webhook_base_url must look like"):
        check_base_url(url)


def test_the_secret_that_signs() -> None:
    assert signing_secret("", f"{SECRET},another secret of some length") == SECRET
    assert signing_secret(SECRET, "another secret of some length") == SECRET
    assert signing_secret("", " ") is None
