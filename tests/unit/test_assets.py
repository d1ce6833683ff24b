"""Assets of Cleanlist: names, what is refused when a DAG is parsed, events."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.openlineage.facet import Dataset
from airflow.providers.common.compat.sdk import Asset, AssetAlias
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.assets import (
    MANAGED_LIST,
    convert_to_openlineage,
    create_asset,
    lead_list_asset,
    record_events,
    sanitize_uri,
    table_asset,
)


@pytest.mark.parametrize(
    ("asset", "uri"),
    [
        (lead_list_asset("ll_9f3"), "cleanlist://lists/ll_9f3"),
        (lead_list_asset(MANAGED_LIST), "cleanlist://lists/managed"),
        (lead_list_asset(" a/b c "), "cleanlist://lists/a%2Fb%20c"),
        (table_asset("warehouse", "leads"), "cleanlist://tables/warehouse/leads"),
        (table_asset("warehouse", "crm.leads"), "cleanlist://tables/warehouse/crm.leads"),
        (table_asset("warehouse", '"Odd Name"'), "cleanlist://tables/warehouse/%22Odd%20Name%22"),
        (table_asset("warehouse", "Лиды"), "cleanlist://tables/warehouse/%D0%9B%D0%B8%D0%B4%D1%8B"),
        (create_asset(list_id="ll_9f3"), "cleanlist://lists/ll_9f3"),
        (create_asset(warehouse_conn_id="warehouse", table="leads"), "cleanlist://tables/warehouse/leads"),
    ],
)
def test_names(asset: Asset, uri: str) -> None:
    assert asset.uri == uri


def test_equal_arguments_give_equal_assets() -> None:
    assert lead_list_asset("ll_9f3") == lead_list_asset("ll_9f3 ")
    assert lead_list_asset("ll_9f3") != lead_list_asset("LL_9f3")
    assert table_asset("w", "t") != lead_list_asset("t")


@given(list_id=st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and "{{" not in text))
def test_any_id_makes_a_uri_that_airflow_keeps(list_id: str) -> None:
    uri = lead_list_asset(list_id).uri
    assert Asset(uri=uri).uri == uri
    assert convert_to_openlineage(Asset(uri=uri), None).name == f"lists/{list_id.strip()}"


@pytest.mark.parametrize("text", ["", "  ", "{{ var.value.list }}"])
def test_what_is_unknown_at_parse_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"list id when the DAG is parsed.*asset alias"):
        lead_list_asset(text)
    with pytest.raises(ValueError, match="connection id when the DAG is parsed"):
        table_asset(text, "leads")
    with pytest.raises(ValueError, match="table when the DAG is parsed"):
        table_asset("warehouse", text)


def test_a_factory_without_arguments_is_refused() -> None:
    with pytest.raises(ValueError, match="connection id"):
        create_asset()


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("cleanlist://lists/ll_9f3", "cleanlist://lists/ll_9f3"),
        ("cleanlist://Lists/ll_9f3/", "cleanlist://lists/ll_9f3"),
        ("cleanlist://tables/w/crm.leads", "cleanlist://tables/w/crm.leads"),
    ],
)
def test_uris_that_airflow_accepts(uri: str, kept: str) -> None:
    assert sanitize_uri(urlsplit(uri)).geturl() == kept
    assert Asset(uri=uri).uri == kept


@pytest.mark.parametrize(
    "uri",
    [
        "cleanlist://",
        "cleanlist://lists",
        "cleanlist://lists/",
        "cleanlist://lists/a/b",
        "cleanlist://tables/w",
        "cleanlist://tables/w/",
        "cleanlist://tables//t",
        "cleanlist://tables/w/t/u",
        "cleanlist://workflows/x",
        "cleanlist://lists/a b",
        "cleanlist://lists/{{ ds }}",
        "cleanlist://lists/100%",
        "cleanlist://lists/a?b=c",
        "cleanlist://lists/a#b",
    ],
)
def test_uris_that_airflow_refuses_when_it_parses_the_dag(uri: str) -> None:
    with pytest.raises(ValueError, match="is not a Cleanlist asset"):
        sanitize_uri(urlsplit(uri))


def test_openlineage_dataset() -> None:
    assert convert_to_openlineage(table_asset("w", '"Odd Name"'), None) == Dataset(
        namespace="cleanlist", name='tables/w/"Odd Name"'
    )


class Events:
    """What a task context offers: one accessor per outlet, by its name."""

    def __init__(self) -> None:
        self.accessors: dict[str, SimpleNamespace] = {}

    def __getitem__(self, outlet: Asset | AssetAlias) -> SimpleNamespace:
        added: list[Any] = []
        accessor = SimpleNamespace(
            extra=None, added=added, add=lambda asset, extra: added.append((asset, extra))
        )
        return self.accessors.setdefault(getattr(outlet, "uri", None) or outlet.name, accessor)


def test_events_carry_what_came_about() -> None:
    events, produced = Events(), table_asset("w", "t")
    outlets = [lead_list_asset("ll_1"), AssetAlias("any"), object()]
    record_events({"outlet_events": events}, outlets, {"rows": [3]}, lambda: produced)
    assert events.accessors.keys() == {"cleanlist://lists/ll_1", "any"}
    assert events.accessors["cleanlist://lists/ll_1"].extra == {"cleanlist": {"rows": [3]}}
    ((asset, extra),) = events.accessors["any"].added
    assert asset == produced
    assert hash(frozenset(extra.items()))
    assert json.loads(extra["cleanlist"]) == {"rows": [3]}


def test_without_outlets_nothing_is_touched() -> None:
    record_events({}, None, {"rows": 3}, lambda: pytest.fail("no alias asked for it"))
