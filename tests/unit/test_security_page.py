"""docs/security.md: its numbers are those of the code."""

from __future__ import annotations

import contextlib
import importlib
import math
import re
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_cleanlist import input_limits
from airflow_provider_cleanlist.client.endpoints import MAX_LEADS_PER_PAGE, MAX_LISTS_PER_PAGE
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.client.messages import PARSED_ON_LOOP_BYTES
from airflow_provider_cleanlist.client.rate_limit import redis
from airflow_provider_cleanlist.client.rate_limit.file import (
    LOCK_RETRY_SECONDS,
    LOCK_SECONDS,
    MAX_FILE_BYTES,
)
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.contacts.readers import delimited, json_text, text
from airflow_provider_cleanlist.contacts.reading import ContactSpool, UsableRow
from airflow_provider_cleanlist.inbox import tokens
from airflow_provider_cleanlist.inbox.tokens import (
    MIN_SECRET_LENGTH,
    TOKEN_LENGTH,
    TOKEN_LIFE_SECONDS,
    sign,
    verify,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.page import balance
from airflow_provider_cleanlist.triggers.list_counts import MAX_PAGES
from airflow_provider_cleanlist.triggers.shared_poller import CONNECTION_LIFE_SECONDS
from airflow_provider_cleanlist.warehouse.staging import ABANDONED_AFTER
from airflow_provider_cleanlist.webhooks.connections import (
    DRAIN_SECONDS,
    HEAD_SECONDS,
    LIFE_SECONDS,
    MAX_CHUNKS,
    MAX_CONNECTIONS,
)

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8").split())

TESTS = Path(__file__).parents[1]
MASKER_OF_2 = "airflow.utils.log.secrets_masker"


@pytest.mark.parametrize(
    "statement",
    [
        f"{IDENTITY_BYTES} bytes of BLAKE2b",
        f"may be nested {input_limits.JSON_DEPTH} deep",
        f"chunks, trailers | {input_limits.HEADER_BYTES // 1024} KB, and as much more",
        f"| Leads on a page | | {MAX_LEADS_PER_PAGE} |",
        f"as all fields of the list or the results | | {input_limits.CELLS:,} |",
        f"in at most {input_limits.QUOTED_CHARACTERS} characters",
        f"once it is {ABANDONED_AFTER // timedelta(hours=1)} hours old",
        f"Addresses are {TOKEN_LENGTH} characters",
        f"again every {['', 'one', 'two', 'three', 'four', 'five'][int(CONNECTION_LIFE_SECONDS // 60)]} minutes",
        f"until {['', '', '', '', '', '', '', 'seven'][TOKEN_LIFE_SECONDS // 86_400]} days after the submission",
    ],
)
def test_a_number(statement: str) -> None:
    assert statement in TEXT


@pytest.mark.parametrize(
    ("what", "limit", "seconds"),
    [
        (
            "A page of leads",
            input_limits.PAGE,
            f"{input_limits.RESPONSE_TIMEOUTS} times `timeout_seconds`",
        ),
        (
            "Any other successful response",
            input_limits.RESPONSE,
            f"{input_limits.RESPONSE_TIMEOUTS} times `timeout_s",
        ),
        (
            "A response with status 422",
            input_limits.REJECTION,
            f"{input_limits.ERROR_SECONDS:g} s for its body",
        ),
        ("Any other error response", input_limits.ERROR, f"{input_limits.ERROR_SECONDS:g} s for its body"),
        ("The body of a webhook", input_limits.WEBHOOK, f"{input_limits.WEBHOOK_SECONDS:g} s"),
    ],
)
def test_a_limit(what: str, limit: input_limits.InputLimit, seconds: str) -> None:
    size = f"{limit.size // 1024**2} MB" if limit.size >= 1024**2 else f"{limit.size // 1024} KB"
    assert f"| {what} | {size} | {limit.values:,} | {seconds}" in TEXT


def test_the_largest_body() -> None:
    assert f"at most {input_limits.WEBHOOK.size // 1024**2} MB" in TEXT
    assert f"| {input_limits.WEBHOOK_ATTEMPTS} in an hour |" in TEXT


def test_the_connections_of_the_standalone_receiver() -> None:
    times = f"{HEAD_SECONDS:g} s for headers, {LIFE_SECONDS:g} s without a delivery that is answered with 200"
    assert (
        f"| {MAX_CONNECTIONS}, or half of the process's file descriptors | | {times}, {DRAIN_SECONDS:g} s"
        in TEXT
    )
    assert f"to the standalone receiver | {MAX_CHUNKS:,};" in TEXT


def test_the_most_columns_and_the_largest_file_of_the_inbox() -> None:
    assert f"become | | {input_limits.COLUMNS:,} | |" in TEXT
    assert f"webhook inbox | {input_limits.INBOX_FILE // 1024**2} MB |" in TEXT


def test_the_limits_of_lists_and_loads() -> None:
    limits = input_limits
    for statement in (
        f"| {limits.PAGES:,} pages, and {limits.PAGES_OF_LISTS:,} |",
        f"in `_cleanlist_loads` | {limits.CHECKPOINT_CHARACTERS // 1024**2} MB |",
        f"`journal_path` | {limits.JOURNAL_FILE // 1024**2} MB |",
        f"of contacts | {limits.SOURCE_COLUMNS:,} with a name, {limits.SHEET_COLUMNS:,} in all; names of "
        f"{limits.SOURCE_NAME_CHARACTERS:,} characters, {limits.FIELD_CHARACTERS:,} together |",
        f"A record of delimited text | {limits.LOOK_CHARACTERS:,} characters, {limits.SHEET_COLUMNS:,} cells |",
        f"of a JSON array | {limits.LOOK_CHARACTERS:,} characters |",
        f"beside the one that is being read | {limits.PAGES_IN_MEMORY // 1024**2} MB |",
        f"in sources and results; a domain | {limits.VALUE_CHARACTERS:,} characters; {limits.HOST_CHARACTERS}, and "
        f"parts of {limits.LABEL_CHARACTERS} are decoded",
        f"first and last names | {limits.FULL_NAME_CHARACTERS} characters, {limits.FULL_NAME_WORDS} words |",
        f"| {limits.PARQUET_BATCH_ROWS:,} rows of a Parquet file | {limits.PARQUET_BATCH_BYTES // limits.MB} MB in the "
        f"columns that are read; {limits.PARQUET_MEMORY // limits.MB} MB of memory",
        f"| A gzipped Parquet file | {limits.GZIPPED_PARQUET_BYTES // 1024**3} GB |",
        f"members of its gzip | {limits.CHUNKS:,} of any size; {limits.CHUNK_BYTES} bytes each on average if ",
        f"next page | {limits.CURSOR_CHARACTERS:,} characters |",
        f"names and counts | {limits.LIST_CHARACTERS:,} characters with the names of fields, {MAX_PAGES} pages, "
        f"{MAX_PAGES * MAX_LISTS_PER_PAGE:,} lists, {MAX_LISTS_PER_PAGE} on a page |",
        f"with all their fields | {limits.LIST_CHARACTERS:,} characters with the names of fields, among "
        f"{limits.PAGES_OF_LISTS * MAX_LISTS_PER_PAGE:,} lists |",
        f"fields together | {limits.FIELD_CHARACTERS:,} characters |",
        f"| {limits.EXPORT_BYTES // 1024**3} GB, and not more than Cleanlist says; a row "
        f"{limits.EXPORT_ROW_BYTES // 1024**2} MB, {limits.EXPORT_COLUMNS:,} columns |",
        f"| {limits.EXPORT_SECONDS:g} s, or {limits.RESPONSE_TIMEOUTS} times",
        f"for each {limits.EXPORT_PART_BYTES // 1024} KB",
    ):
        assert statement in TEXT, statement


def test_the_limits_of_the_budget_and_of_files_of_contacts() -> None:
    largest = {delimited.MAX_CELL_CHARACTERS, json_text.MAX_OBJECT_CHARACTERS, text.MAX_LINE_CHARACTERS}
    for statement in (
        f"value on a Redis server | {MAX_FILE_BYTES // 1024**2} MB | | {redis.TIMEOUT_SECONDS:g} s of silence, "
        f"{redis.EXCHANGE_SECONDS:g} s for a round trip |",
        f"credit balance | {balance._LARGEST_FILE // 1024} KB | numbers up to 10<sup>"
        f"{math.log10(balance._LARGEST_NUMBER):g}</sup> |",
        f"an object of JSON | {max(largest):,} characters |",
        f"bodies over {PARSED_ON_LOOP_BYTES // 1024} KB are parsed beside the event loop, and all errors",
        f"in the receiver all are, {['no', 'one', 'two'][input_limits.WEBHOOKS_AT_ONCE]} at a time",
        f"hold the lock for {LOCK_SECONDS:g} s once a minute",
    ):
        assert statement in TEXT, statement
    assert len(largest) == 1
    assert LOCK_RETRY_SECONDS == 60


def test_contacts_between_reading_and_sending_have_a_file_without_a_name() -> None:
    files = Path("/proc/self/fd")
    row = UsableRow(1, Contact(first_name="Mara", last_name="Quxley" * 1000), b"\0" * IDENTITY_BYTES)

    def unnamed() -> int:
        count = 0
        for file in files.iterdir():
            with contextlib.suppress(OSError):  # closed since it was listed
                count += str(file.readlink()).endswith("(deleted)")
        return count

    with ContactSpool() as spool:
        before = unnamed()
        spool.append(row)
        assert unnamed() == before
        for _ in range(1024**2 // 6000):
            spool.append(row)
        assert unnamed() == before + 1
    assert unnamed() == before


@pytest.mark.parametrize(
    ("name", "is_masked"), [("webhook_secret", True), ("hash_secret", True), ("rate_limit_store", False)]
)
def test_what_airflow_masks_of_the_extra(name: str, is_masked: bool) -> None:
    for module in (
        "airflow.sdk._shared.secrets_masker",
        "airflow.sdk.execution_time.secrets_masker",
        MASKER_OF_2,
    ):
        with contextlib.suppress(ImportError):
            masker = importlib.import_module(module)
            break
    assert masker.should_hide_value_for_key(name) is is_masked


def test_addresses_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr(tokens.hmac, "compare_digest", compare)
    token = sign("s" * MIN_SECRET_LENGTH, "0" * 32, TOKEN_LIFE_SECONDS)
    assert verify(["t" * MIN_SECRET_LENGTH, "s" * MIN_SECRET_LENGTH], token, 0.0) is not None
    assert compared == [(31, 31), (31, 31)]  # every secret, whichever fits


def test_an_address_lives_as_long_as_it_says_and_holds_248_bits() -> None:
    secret = "s" * MIN_SECRET_LENGTH
    token = sign(secret, "0" * 32, TOKEN_LIFE_SECONDS)
    assert verify([secret], token, TOKEN_LIFE_SECONDS - 1) is not None
    assert verify([secret], token, TOKEN_LIFE_SECONDS) is None
    assert f"{(TOKEN_LENGTH * 6 // 8 - 1 - 4 - 16) * 8} bits" in TEXT


def test_contacts_are_not_shown_and_all_that_is_shown_is_named() -> None:
    contacts = BulkEnrichOperator(task_id="t", contacts=[{"last_name": "Quxley"}]).contacts
    assert "contacts are personal data" in contacts.serialize() == str(contacts) == repr(contacts)
    assert "Quxley" not in contacts.serialize()
    for name in ("sql", "parameters", "column_mapping", "webhook_url"):
        assert name in BulkEnrichOperator.template_fields
        assert f"`{name}`" in TEXT


def test_the_tests_that_it_names_exist() -> None:
    named = re.findall(r"`((?:unit|integration|e2e)/[^`]*)`", TEXT)
    assert len(named) > 15
    assert [path for path in named if not (TESTS / path).exists()] == []
