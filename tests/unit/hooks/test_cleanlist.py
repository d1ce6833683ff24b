"""The hook without a server: its interface, and what it makes of connections."""

from __future__ import annotations

import inspect
import json
import os
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook

from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.hooks.sql import sql_hook

KEY = "clapi_unit/secret+0123:4567@89"
VARIABLE = "AIRFLOW_CONN_CLEANLIST_DEFAULT"

SIGNATURES = {
    "test_connection": "(self) -> 'tuple[bool, str]'",
    "get_conn": "(self) -> 'CleanlistClient'",
    "validate_key": "(self) -> 'KeyValidation'",
    "get_credit_balance": "(self) -> 'CreditBalance'",
    "submit_bulk_enrichment": "(self, contacts: 'Sequence[Contact | Mapping[str, str | None]]', "
    "enrichment_type: 'str' = 'partial', webhook_url: 'str | None' = None) -> 'BulkEnrichment'",
    "get_workflow_status": "(self, workflow_id: 'str') -> 'WorkflowStatus'",
    "get_task_result": "(self, task_id: 'str') -> 'EnrichmentResult'",
    "list_webhook_deliveries": "(self, workflow_id: 'str') -> 'list[WebhookDelivery]'",
    "create_lead_list": "(self, name: 'str', description: 'str | None' = None, folder_id: 'str | None' = None) "
    "-> 'LeadList'",
    "iter_lead_lists": "(self, folder_id: 'str | None' = None) -> 'Iterator[LeadList]'",
    "get_lead_list": "(self, list_id: 'str') -> 'LeadList'",
    "find_lead_list": "(self, name: 'str') -> 'LeadList | None'",
    "update_lead_list": "(self, list_id: 'str', *, name: 'str | Omitted' = OMITTED, "
    "description: 'str | Omitted | None' = OMITTED, folder_id: 'str | Omitted | None' = OMITTED) -> 'LeadList'",
    "delete_lead_list": "(self, list_id: 'str') -> 'None'",
    "add_leads": "(self, list_id: 'str', lead_ids: 'Sequence[str]') -> 'int'",
    "remove_leads": "(self, list_id: 'str', lead_ids: 'Sequence[str]') -> 'int'",
    "iter_lead_pages": "(self, list_id: 'str', page_size: 'int' = 500, cursor: 'str | None' = None) "
    "-> 'Iterator[LeadPage]'",
    "get_leads_df": "(self, list_id: 'str', read: 'str' = 'pages') -> 'pd.DataFrame'",
    "aget_settings": "(self) -> 'ClientSettings'",
    "aget_conn": "(self) -> 'CleanlistClient'",
    "aget_workflow_status": "(self, workflow_id: 'str') -> 'WorkflowStatus'",
    "aget_task_result": "(self, task_id: 'str') -> 'EnrichmentResult'",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_methods_are_those_of_the_design(name: str) -> None:
    method = getattr(CleanlistHook, name)
    assert str(inspect.signature(method)) == SIGNATURES[name]
    assert inspect.iscoroutinefunction(method) is name.startswith("aget_")
    assert method.__doc__


def test_there_are_no_other_public_methods() -> None:
    own = {
        name
        for name, it in vars(CleanlistHook).items()
        if inspect.isfunction(it) and not name.startswith("_")
    }
    assert own == SIGNATURES.keys()


def test_the_hook_says_which_connections_it_takes() -> None:
    assert issubclass(CleanlistHook, BaseHook)
    assert CleanlistHook.conn_type == "cleanlist"
    assert CleanlistHook.hook_name == "Cleanlist"
    assert CleanlistHook.conn_name_attr == "cleanlist_conn_id"
    assert CleanlistHook.default_conn_name == "cleanlist_default"
    assert CleanlistHook().cleanlist_conn_id == "cleanlist_default"
    assert (
        CleanlistHook("other").cleanlist_conn_id == CleanlistHook(cleanlist_conn_id="other").cleanlist_conn_id
    )


# Connections

EXTRA: dict[str, Any] = {
    "requests_per_minute": 30,
    "rate_limit_store": "redis://:pw@redis.example:6379/0",
    "rate_limit_scope": "acme",
    "rate_limit_share": 0.5,
    "window_seconds": 2.5,
    "timeout_seconds": 7,
    "max_retries": 2,
    "lead_lists_api": "v1",
    "webhook_base_url": "https://hooks.example/airflow",
    "webhook_secret": "w-s&c=r?t",
    "hash_secret": "h/s#c ret",
}
EXPECTED = ClientSettings(api_key=KEY, host="http://127.0.0.1:8300", **EXTRA)
TEXTS = {name: str(value) for name, value in EXTRA.items()}
ENCODED_HOST = quote("http://127.0.0.1:8300", safe="")
AUTHORITY = f":{quote(KEY, safe='')}@127.0.0.1:8300"

SPELLINGS = {
    "json": json.dumps(
        {"conn_type": "cleanlist", "host": "http://127.0.0.1:8300", "password": KEY, "extra": EXTRA}
    ),
    "json-extra-as-text": json.dumps(
        {
            "conn_type": "cleanlist",
            "host": "http://127.0.0.1:8300",
            "password": KEY,
            "extra": json.dumps(EXTRA),
        }
    ),
    "json-numbers-as-texts": json.dumps(
        {"conn_type": "cleanlist", "host": "http://127.0.0.1:8300/", "password": KEY, "extra": TEXTS}
    ),
    "json-port-apart": json.dumps(
        {"conn_type": "cleanlist", "host": "http://127.0.0.1", "port": 8300, "password": KEY, "extra": EXTRA}
    ),
    "uri": f"cleanlist://http://{AUTHORITY}/?{urlencode(TEXTS)}",
    "uri-host-encoded": f"cleanlist://:{quote(KEY, safe='')}@{ENCODED_HOST}/?{urlencode(TEXTS)}",
    "uri-json-extra": f"cleanlist://http://{AUTHORITY}/?{urlencode({'__extra__': json.dumps(EXTRA)})}",
    "uri-with-api-path": f"cleanlist://http://{AUTHORITY}/api%2Fv2?{urlencode(TEXTS)}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_uri_and_json_give_the_same_settings(spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SPELLINGS[spelling])
    assert CleanlistHook().settings == EXPECTED


@pytest.mark.parametrize("numbers", [EXTRA, TEXTS])
def test_what_the_form_saves_and_airflow_exports_gives_the_same_settings(
    numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.common.compat.sdk import Connection

    saved = Connection(
        conn_id="c",
        conn_type="cleanlist",
        host="http://127.0.0.1:8300",
        password=KEY,
        extra=json.dumps({**numbers, "lead_lists_api": "v1"}),
    )
    spellings = [saved.get_uri(), *([saved.as_json()] if hasattr(saved, "as_json") else [])]
    for exported in spellings:
        monkeypatch.setenv(VARIABLE, exported)
        assert CleanlistHook().settings == EXPECTED


IS_STRICT = version("apache-airflow").startswith(("3.0.", "3.1."))
"""These versions refuse a connection in the environment whose extra is no object."""
READS_EXTRA = pytest.mark.skipif(IS_STRICT, reason="Airflow itself refuses it")
NO_OBJECTS: list[Any] = ["requests_per_minute=30", '{"requests_per_minute": 30', ["a"]]


@pytest.mark.parametrize(
    "empty",
    [
        f"cleanlist://:{quote(KEY, safe='')}@",
        json.dumps({"conn_type": "cleanlist", "password": KEY}),
        json.dumps({"conn_type": "cleanlist", "password": KEY, "host": "", "extra": {}}),
        json.dumps({"conn_type": "cleanlist", "password": KEY, "extra": dict.fromkeys(EXTRA)}),
        json.dumps({"conn_type": "cleanlist", "password": KEY, "extra": dict.fromkeys(EXTRA, "")}),
        json.dumps({"conn_type": "cleanlist", "password": KEY, "extra": dict.fromkeys(EXTRA, "None")}),
        json.dumps({"conn_type": "cleanlist", "password": KEY, "extra": {"hash_secret": "None"}}),
        pytest.param(
            json.dumps({"conn_type": "cleanlist", "password": KEY, "extra": " "}), marks=READS_EXTRA
        ),
    ],
)
def test_a_connection_needs_nothing_but_the_key(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, empty)
    assert CleanlistHook().settings == ClientSettings(api_key=KEY)


def connection(**fields: Any) -> str:
    return json.dumps({"conn_type": "cleanlist", "password": KEY, **fields})


UNUSABLE = [
    (connection(password=""), "the API key is missing: set it as the password of the connection"),
    (
        connection(password="two words"),
        "the API key (password of the connection) contains characters that are never part of a key",
    ),
    (connection(host="http://api.cleanlist.ai"), "host must use https://"),
    (connection(host="https://api.cleanlist.ai/v9"), "host must be an address without a path"),
    (connection(host="not a host"), "host must look like https://api.cleanlist.ai"),
    (connection(extra={"requests_per_minute": 0}), "requests_per_minute must be a number from 1 to 100000"),
    (connection(extra={"lead_lists_api": "v3"}), "lead_lists_api must be one of v2, v1"),
    (connection(extra={"rate_limit_store": "ftp://x"}), "rate_limit_store must be empty or begin with"),
    *(
        pytest.param(connection(extra=extra), "extra must be a JSON object", marks=READS_EXTRA)
        for extra in NO_OBJECTS
    ),
    (connection(host="http://127.0.0.1", port=-1), "port must be a number from 1 to 65535"),
    (connection(host="http://127.0.0.1", port=99999), "port must be a number from 1 to 65535"),
]


@pytest.mark.parametrize(("value", "problem"), UNUSABLE)
def test_an_unusable_connection_says_which_and_why(
    value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(CleanlistConfigurationError) as caught:
        CleanlistHook().get_conn()
    assert str(caught.value).startswith("Connection 'cleanlist_default' cannot be used: ")
    assert problem in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)
    assert KEY not in str(caught.value)
    assert CleanlistHook().test_connection() == (False, str(caught.value))


@pytest.mark.parametrize(
    "value",
    [
        "{",
        '{"conn_type": "cleanlist", "port": "https"}',
        *(connection(extra=extra) for extra in NO_OBJECTS if IS_STRICT),
    ],
)
def test_a_connection_in_the_environment_that_airflow_cannot_read(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    told = "Airflow cannot read connection 'cleanlist_default' from the environment variable AIRFLOW_CONN_CLEANLIST_"
    for look_up in (CleanlistHook().get_conn, lambda: sql_hook("cleanlist_default", "sql_conn_id")):
        with pytest.raises(CleanlistConfigurationError, match=told):
            look_up()


def test_a_connection_that_does_not_exist_is_airflows_error() -> None:
    assert "AIRFLOW_CONN_NO_SUCH" not in os.environ
    with pytest.raises(Exception, match="no_such"):
        CleanlistHook("no_such").get_conn()


# Clients


def test_hooks_of_one_connection_share_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, connection())
    monkeypatch.setenv("AIRFLOW_CONN_SAME", connection(host="API.cleanlist.ai:443"))
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(password="clapi_other"))
    first, same, other = CleanlistHook(), CleanlistHook("same"), CleanlistHook("other")
    assert (
        first.get_conn() is first.get_conn() is CleanlistHook().get_conn() is CleanlistHook("None").get_conn()
    )
    # a client names its connection in errors, so two connections have two, which share the budget
    assert first.get_conn() is not same.get_conn()
    assert first.settings == same.settings
    assert first.settings.scope != other.settings.scope


# Arguments


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> CleanlistHook:
    """A hook of a host that nothing listens on: what is asked of it must fail before it asks."""
    monkeypatch.setenv(VARIABLE, connection(host="http://127.0.0.1:1", extra={"max_retries": 0}))
    return CleanlistHook()


@pytest.mark.parametrize("name", ["", "  "])
def test_a_list_without_a_name_cannot_be_found(hook: CleanlistHook, name: str) -> None:
    with pytest.raises(
        CleanlistConfigurationError, match="The name of the lead list must be text, and not empty"
    ):
        hook.find_lead_list(name)


@pytest.mark.parametrize(
    ("contact", "problem"),
    [
        ({"name": "Mara Okafor"}, "Each contact must be a Contact or a mapping of linkedin_url, first_name"),
        ("Mara Okafor", "Each contact must be"),
        (None, "Each contact must be"),
    ],
)
def test_contacts_of_another_shape_are_refused_without_being_shown(
    hook: CleanlistHook, contact: Any, problem: str
) -> None:
    with pytest.raises(CleanlistConfigurationError) as caught:
        hook.submit_bulk_enrichment([contact])
    assert problem in str(caught.value)
    assert "Mara" not in str(caught.value)


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (
            lambda hook: hook.submit_bulk_enrichment([{}], "everything"),
            "enrichment_type must be one of none, partial",
        ),
        (lambda hook: hook.submit_bulk_enrichment([{}], None), "enrichment_type must be one of"),
        (lambda hook: hook.submit_bulk_enrichment([]), "1 to 250 contacts, not 0"),
        (lambda hook: hook.get_lead_list(""), "'' is not a valid id"),
        (lambda hook: hook.update_lead_list("l"), "nothing to change"),
        (lambda hook: list(hook.iter_lead_pages("l", 501)), "page_size must be 1 to 500, not 501"),
        (lambda hook: hook.get_workflow_status(""), "is not a valid id"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_sent(hook: CleanlistHook, ask: Any, problem: str) -> None:
    with pytest.raises(CleanlistConfigurationError) as caught:
        ask(hook)
    assert problem in str(caught.value)


def test_a_data_frame_without_pandas_says_how_to_get_it(
    hook: CleanlistHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(
        CleanlistConfigurationError, match=r"pip install 'airflow-provider-cleanlist\[pandas\]'"
    ):
        hook.get_leads_df("l")


def test_nothing_about_the_hook_prints_the_key(hook: CleanlistHook) -> None:
    assert KEY not in f"{hook!r} {hook.settings!r} {hook.get_conn()!r}"
    with pytest.raises(CleanlistError) as caught:
        hook.validate_key()
    assert KEY not in f"{caught.value} {caught.value!r}"
