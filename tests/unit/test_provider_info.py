"""Provider metadata: valid by Airflow's own schemas, complete, and every path in it leads somewhere."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import inspect
import json
import pkgutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator
from airflow.triggers.base import BaseTrigger

import airflow_provider_cleanlist
from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.settings import EXTRA_SETTINGS, ClientSettings, build_settings
from airflow_provider_cleanlist.get_provider_info import get_provider_info
from airflow_provider_cleanlist.webhooks.plugin import CleanlistPlugin

INFO = get_provider_info()
PACKAGE = airflow_provider_cleanlist.__name__
OF_AIRFLOWS_OWN_BUILD = {"state", "source-date-epoch", "versions"}
(CONNECTION,) = INFO["connection-types"]
FIELDS: dict[str, dict[str, Any]] = CONNECTION["conn-fields"]
SECRETS = {"webhook_secret", "hash_secret"}

AIRFLOW = tuple(int(part) for part in airflow.__version__.split(".")[:2])
knows_declared_forms = pytest.mark.skipif(
    AIRFLOW < (3, 2), reason="Airflow's own schema of provider.yaml knows conn-fields since 3.2"
)


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(airflow.__file__).parent / name).read_text())
    return read


def complaints(name: str, info: dict[str, Any]) -> list[str]:
    validator = jsonschema.validators.validator_for(schema(name))(schema(name))
    return [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(info)]


def test_airflow_accepts_the_metadata() -> None:
    assert complaints("provider_info.schema.json", INFO) == []


def test_the_plugin_adds_the_page_from_airflow_3_1_and_nothing_below() -> None:
    assert len(CleanlistPlugin.external_views) == (3 if AIRFLOW >= (3, 1) else 0)
    assert [app["name"] for app in CleanlistPlugin.fastapi_apps] == ["cleanlist_page"] * (AIRFLOW >= (3, 1))
    assert CleanlistPlugin.fastapi_root_middlewares == []


@knows_declared_forms
def test_the_metadata_has_the_form_of_airflows_own_providers() -> None:
    rules = schema("provider.yaml.schema.json")
    rules["required"] = [name for name in rules["required"] if name not in OF_AIRFLOWS_OWN_BUILD]
    errors = [error.message for error in jsonschema.validators.validator_for(rules)(rules).iter_errors(INFO)]
    assert errors == []


@knows_declared_forms
@pytest.mark.parametrize(
    "spoil",
    [
        lambda info: info.pop("name"),
        lambda info: info["connection-types"][0].pop("hook-class-name"),
        lambda info: info["transfers"][0].update(other=1),
        lambda info: info["connection-types"][0]["conn-fields"]["max_retries"].pop("label"),
        lambda info: info.update(unheard_of=[]),
    ],
)
def test_the_schemas_would_notice(spoil: Any) -> None:
    spoiled = get_provider_info()
    spoil(spoiled)
    before = complaints("provider.yaml.schema.json", INFO)
    assert complaints("provider.yaml.schema.json", spoiled) != before


def test_the_distribution_announces_the_metadata() -> None:
    (entry,) = (
        entry
        for entry in importlib.metadata.entry_points(group="apache_airflow_provider")
        if entry.module.startswith(PACKAGE)
    )
    assert entry.load() is get_provider_info
    assert entry.dist is not None
    assert entry.dist.name == INFO["package-name"]


# Paths


def dotted_paths(value: Any) -> Iterator[str]:
    """Yield every path into this package, wherever it stands in the metadata."""
    if isinstance(value, dict):
        for nested in value.values():
            yield from dotted_paths(nested)
    elif isinstance(value, list):
        for nested in value:
            yield from dotted_paths(nested)
    elif isinstance(value, str) and value.startswith(f"{PACKAGE}."):
        yield value


@pytest.mark.parametrize("path", sorted(set(dotted_paths(INFO))))
def test_every_path_leads_somewhere(path: str) -> None:
    try:
        assert importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name)


def modules_with(base: type, package: str) -> set[str]:
    """Return the modules of a subpackage that define public subclasses of ``base`` that can be used."""
    parent = importlib.import_module(f"{PACKAGE}.{package}")
    modules = (
        importlib.import_module(f"{parent.__name__}.{found.name}")
        for found in pkgutil.iter_modules(parent.__path__)
    )
    return {
        module.__name__
        for module in modules
        for name, it in vars(module).items()
        if inspect.isclass(it)
        and issubclass(it, base)
        and it.__module__ == module.__name__
        and not name.startswith("_")
        and not inspect.isabstract(it)
    }


@pytest.mark.parametrize(
    ("key", "base"),
    [("hooks", BaseHook), ("operators", BaseOperator), ("sensors", BaseOperator), ("triggers", BaseTrigger)],
)
def test_every_module_is_listed(key: str, base: type) -> None:
    listed = [module for group in INFO[key] for module in group["python-modules"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == modules_with(base, key)


def test_every_transfer_is_listed() -> None:
    assert {transfer["python-module"] for transfer in INFO["transfers"]} == modules_with(
        BaseOperator, "transfers"
    )


def test_integrations_exist() -> None:
    from airflow.providers_manager import ProvidersManager

    providers = ProvidersManager().providers
    known = {
        it["integration-name"] for info in providers.values() for it in info.data.get("integrations", [])
    }
    ours = {it["integration-name"] for it in INFO["integrations"]}
    assert ours <= known
    for group in (*INFO["hooks"], *INFO["operators"], *INFO["sensors"], *INFO["triggers"]):
        assert group["integration-name"] in ours
    for transfer in INFO["transfers"]:
        assert transfer["source-integration-name"] in ours
        assert transfer["target-integration-name"] in known


# The connection form


def test_the_connection_type_is_the_hooks() -> None:
    module, _, name = CONNECTION["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert CONNECTION["connection-type"] == hook.conn_type
    assert CONNECTION["hook-name"] == hook.hook_name


def test_every_setting_has_a_field() -> None:
    assert FIELDS.keys() == set(EXTRA_SETTINGS)


def test_secrets_are_masked_fields() -> None:
    masked = {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"}
    assert masked == SECRETS


@pytest.mark.parametrize("name", EXTRA_SETTINGS)
def test_the_form_and_the_settings_agree_on_a_field(name: str) -> None:
    rules = FIELDS[name]["schema"]
    default = {field.name: field.default for field in dataclasses.fields(ClientSettings)}[name]
    assert rules.get("default", "") == default
    assert "null" in rules["type"]
    assert FIELDS[name]["description"]
    given = [None, *(rules[bound] for bound in ("default", "minimum", "maximum") if bound in rules)]
    for value in [*given, *rules.get("enum", [])]:
        jsonschema.validate(value, rules)
        build_settings(None, "clapi_k", {name: value})
    if "minimum" in rules:
        with pytest.raises(ConfigurationError):
            build_settings(None, "clapi_k", {name: rules["minimum"] - 1})


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 2 builds the form with Flask-AppBuilder")
def test_airflow_2_makes_a_form_of_it() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    prefix = "extra__cleanlist__"
    widgets = {
        name.removeprefix(prefix): widget
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith(prefix)
    }
    assert list(widgets) == list(FIELDS)
    assert {name for name, widget in widgets.items() if widget.is_sensitive} == SECRETS
    behaviour = manager.field_behaviours["cleanlist"]
    assert behaviour["relabeling"]["password"] == "API key"
    assert behaviour["hidden_fields"] == ["login", "schema"]


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no API server")
@pytest.mark.skipif(
    AIRFLOW == (3, 0), reason="Airflow 3.0 makes no form of any provider without Flask-AppBuilder"
)
def test_airflow_makes_a_form_of_it() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = (it for it in HookMetaService.hook_meta_data() if it.connection_type == "cleanlist")
    assert form.hook_name == "Cleanlist"
    assert form.standard_fields is not None
    assert form.standard_fields.password is not None
    assert form.standard_fields.password.title == "API key"
    assert form.standard_fields.host is not None
    assert form.standard_fields.host.placeholder == "https://api.cleanlist.ai"
    assert form.extra_fields is not None
    assert list(form.extra_fields) == list(FIELDS)


IN_OLDEST_COMMON_COMPAT = {
    "lineage.hook": {
        "get_hook_lineage_collector",
    },
    "openlineage.facet": {
        "Dataset",
        "ExternalQueryRunFacet",
        "OutputDataset",
        "OutputStatisticsOutputDatasetFacet",
        "SQLJobFacet",
    },
    "sdk": {
        "AirflowException",
        "AirflowFailException",
        "AirflowNotFoundException",
        "AirflowSensorTimeout",
        "AirflowSkipException",
        "Asset",
        "AssetAlias",
        "BaseHook",
        "BaseOperator",
        "BaseOperatorLink",
        "BaseSensorOperator",
        "Connection",
        "Context",
        "ObjectStoragePath",
        "PokeReturnValue",
        "TaskInstanceKey",
        "XCom",
        "XComArg",
        "conf",
    },
}
"""What common-compat 1.14.0 has of what is imported; Airflow 2.11.2's own constraint file pins that version."""


def test_the_oldest_allowed_common_compat_has_every_imported_name() -> None:
    prefix = "airflow.providers.common.compat."
    imported: set[tuple[str, str]] = set()
    for path in Path(airflow_provider_cleanlist.__path__[0]).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if prefix in text else ():
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(prefix):
                module = (node.module or "").removeprefix(prefix)
                imported.update((module, alias.name) for alias in node.names)
    known = {(module, name) for module, names in IN_OLDEST_COMMON_COMPAT.items() for name in names}
    assert imported, "nothing was read"
    assert imported - known == set()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    assert "apache-airflow-providers-common-compat>=1.14.0" in project["dependencies"]
