"""Tables in the documentation that must follow the code."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.get_provider_info import get_provider_info
from airflow_provider_cleanlist.hooks import connection_form
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

DOCS = Path(__file__).parents[2] / "docs"


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the table that begins with a heading: first cell, without code marks, to the other cells."""
    lines = (DOCS / page).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    table: dict[str, list[str]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        table[first.strip("`")] = cells
    return table


def test_every_error_is_in_the_table_and_nothing_else() -> None:
    classes = set(exceptions.__all__) - {"CleanlistError", "to_airflow"}
    assert set(rows("errors.md", "Error")) == classes


@pytest.mark.parametrize("name", sorted(rows("errors.md", "Error")))
def test_the_table_says_whether_airflow_retries(name: str) -> None:
    when, retried, remedy = rows("errors.md", "Error")[name]
    fails = issubclass(getattr(exceptions, name), AirflowFailException | AirflowSensorTimeout)
    assert retried == ("no" if fails else "yes")
    assert when.endswith(".")
    assert remedy


def test_every_setting_is_in_the_table_with_its_label_and_default() -> None:
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    defaults = {field.name: field.default for field in dataclasses.fields(ClientSettings)}
    table = rows("reference/configuration.md", "Field")
    assert list(table) == ["password", "host", *(f"extra.{name}" for name in list(defaults)[2:])]
    for field, (label, takes, default, meaning) in table.items():
        assert takes
        assert meaning
        if field.startswith("extra."):
            name = field.removeprefix("extra.")
            assert label == fields[name]["label"]
            shown = defaults[name]
            assert default == (
                f"`{shown:g}`" if isinstance(shown, float) else f"`{shown}`" if shown else "empty"
            )
    assert table["password"][2] == "required"
    assert table["host"][2] == "`https://api.cleanlist.ai`"


def test_the_results_of_the_test_button_are_those_of_the_hook() -> None:
    results = [result for result in rows("connection.md", "Result") if not result.startswith("Connection ")]
    assert set(results) == {connection_form.CONNECTED, *(text for _, text in connection_form.FAILURES)}


def spelled_out() -> list[str]:
    """Return the connections that the page exports, however it spells them."""
    text = (DOCS / "connection.md").read_text()
    blocks = re.findall(r"```bash\n(export .*?)```", text, re.DOTALL)
    return [shlex.split(block)[1].partition("=")[2] for block in blocks]


def test_all_spellings_of_a_connection_give_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "connection.md").read_text()
    (block,) = re.findall(r"```bash\n(airflow connections add.*?)```", text, re.DOTALL)
    command = shlex.split(block.replace("\\\n", ""))
    options = dict(zip(command[4::2], command[5::2], strict=True))
    by_command = {
        "conn_type": options["--conn-type"],
        "password": options["--conn-password"],
        "extra": options["--conn-extra"],
    }
    spellings = [*spelled_out(), json.dumps(by_command)]
    assert len(spellings) == 3
    for spelling in spellings:
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", spelling)
        assert CleanlistHook().settings == ClientSettings("clapi_your_key", requests_per_minute=30)


def test_the_spelling_with_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    (uri,) = re.findall(r"`(cleanlist://https://\S+)`", (DOCS / "connection.md").read_text())
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", uri)
    assert CleanlistHook().settings == ClientSettings(
        "clapi_your_key", host="https://proxy.corp.example:8443", requests_per_minute=30
    )


def test_the_page_of_the_hook_names_every_method() -> None:
    text = (DOCS / "hook.md").read_text()
    legacy = {"get_connection_form_widgets", "get_ui_field_behaviour"}
    methods = {
        name
        for name in vars(CleanlistHook)
        if not name.startswith("_") and callable(getattr(CleanlistHook, name))
    }
    assert [name for name in sorted(methods - legacy) if name not in text] == []
