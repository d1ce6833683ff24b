"""docs/reference: tables that follow the code, and a page for every public module and every endpoint."""

from __future__ import annotations

import re

import pytest
from doc_coverage import PACKAGE, ROOT
from make_reference import REFERENCE, allowed, code, current, default, documented, modules, table, updated

from airflow_provider_cleanlist.client.settings import EXTRA_SETTINGS, Setting
from airflow_provider_cleanlist.get_provider_info import get_provider_info

PAGES = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}


@pytest.mark.parametrize("name", ["configuration.md", "internals.md"])
def test_the_pages_are_those_of_the_code(name: str) -> None:
    assert PAGES[name] == updated(PAGES)[name], "run .venv/bin/python scripts/make_reference.py"


def test_every_option_setting_and_extra_is_there() -> None:
    tables = current()
    for name in get_provider_info()["config"]["cleanlist"]["options"]:
        assert f"### `{name}`\n" in tables["options"]
    for name in EXTRA_SETTINGS:
        assert f"| `extra.{name}` |" in tables["fields"]
    assert "| `redis` | `rate_limit_store` on Redis or Valkey |" in tables["extras"]


def test_every_public_module_is_on_one_page_of_the_reference() -> None:
    named = [name for text in PAGES.values() for name in documented(text)]
    assert sorted(named) == sorted(modules())
    assert len(named) > 50


def test_a_module_without_a_place_gets_one() -> None:
    place = ".. automodule:: airflow_provider_cleanlist.links\n"
    pages = {**PAGES, "airflow.md": PAGES["airflow.md"].replace(place, "")}
    assert place not in PAGES["internals.md"]
    assert place in updated(pages)["internals.md"]


def test_every_endpoint_that_the_client_uses_is_in_the_contract() -> None:
    files = (ROOT / PACKAGE / "client" / name for name in ("endpoints.py", "enrichment.py"))
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    used = re.findall(r"``(GET|POST|PATCH|DELETE) (/[^`?]*)", source)
    assert len(used) == len(re.findall(r"^(?:def [a-z].*|\)) -> Call\[", source, re.MULTILINE)) > 10
    for method, path in used:
        row = rf"^\| `{method} /api/v\d(/public)?{re.escape(path)}` \| \w"
        assert re.search(row, PAGES["contract.md"], re.MULTILINE), (method, path)


def test_no_docstring_names_a_section_of_an_unpublished_document() -> None:
    sources = list((ROOT / PACKAGE).rglob("*.py"))
    assert len(sources) > 50
    named = [path.name for path in sources if "contract section" in path.read_text(encoding="utf-8").lower()]
    assert named == []


def test_cells_of_a_table() -> None:
    assert table(["A", "B"], [["1|2", ""]]) == "| A | B |\n| --- | --- |\n| 1\\|2 |  |"
    assert [code(None), code(""), code(60), code("x")] == ["", "", "`60`", "`x`"]


@pytest.mark.parametrize(
    ("setting", "takes", "default_"),
    [
        (Setting("a", "v2", "A", "", choices=("v2", "v1")), "`v2`, `v1`", "`v2`"),
        (Setting("a", 30.0, "A", "", minimum=0.1, maximum=600), "number, 0.1 to 600", "`30`"),
        (Setting("a", 60, "A", "", minimum=1, maximum=100_000), "whole number, 1 to 100,000", "`60`"),
        (Setting("a", "", "A", "", secret=True), "text, masked", "empty"),
        (Setting("a", "", "A", ""), "text", "empty"),
        (Setting("a", None, "A", ""), "text", "required"),
    ],
)
def test_what_a_setting_takes(setting: Setting, takes: str, default_: str) -> None:
    assert (allowed(setting), default(setting)) == (takes, default_)
