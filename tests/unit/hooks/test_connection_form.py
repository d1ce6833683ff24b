"""The connection form: made from the settings, in the two ways that Airflow knows."""

from __future__ import annotations

import json
import sys
from importlib import resources
from types import ModuleType
from typing import Any

import jsonschema
import pytest

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.settings import EXTRA_SETTINGS, build_settings
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.hooks.connection_form import conn_fields, ui_field_behaviour

FIELDS = conn_fields()
NUMBERS = {name: field["schema"] for name, field in FIELDS.items() if field["schema"]["type"][0] != "string"}


def test_every_setting_has_a_field_in_the_order_of_the_settings() -> None:
    assert list(FIELDS) == list(EXTRA_SETTINGS)
    assert len(NUMBERS) == 5


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds_are_those_of_the_settings(name: str) -> None:
    minimum, maximum = NUMBERS[name]["minimum"], NUMBERS[name]["maximum"]
    for value in (minimum, maximum):
        assert getattr(build_settings(None, "k", {name: value}), name) == value
    for value in (minimum - 0.0005, maximum * 1.001):
        with pytest.raises(ConfigurationError, match=name):
            build_settings(None, "k", {name: value})


def test_choices_are_those_of_the_settings() -> None:
    *choices, none = FIELDS["lead_lists_api"]["schema"]["enum"]
    assert choices
    assert none is None
    for choice in choices:
        assert build_settings(None, "k", {"lead_lists_api": choice}).lead_lists_api == choice


def test_standard_fields_of_both_spellings() -> None:
    behaviour = CleanlistHook.get_ui_field_behaviour()
    schema = json.loads(
        resources.files("airflow").joinpath("customized_form_field_behaviours.schema.json").read_text()
    )
    jsonschema.validate(behaviour, schema)
    declared = ui_field_behaviour()
    assert behaviour.pop("hidden_fields") == declared.pop("hidden-fields") == ["login", "schema"]
    assert behaviour == declared
    assert behaviour["placeholders"]["port"] == "443"


class Field:
    """A form field as both form libraries build it: label, validators, description, default, widget."""

    def __init__(
        self,
        label: str | None = None,
        validators: Any = None,
        description: str = "",
        default: Any = None,
        widget: Any = None,
    ) -> None:
        self.label, self.validators, self.description = label, validators, description
        self.default, self.widget = default, widget


@pytest.fixture
def form_libraries(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Stand-ins for the form libraries, which Airflow 3 does not bring and replaces in the same way."""
    kinds = {name: type(name, (Field,), {}) for name in ("IntegerField", "PasswordField", "StringField")}
    looks = {name: type(name, (), {}) for name in ("BS3TextFieldWidget", "BS3PasswordFieldWidget")}
    modules: dict[str, dict[str, Any]] = {
        "wtforms": kinds,
        "wtforms.validators": {"Optional": type("Optional", (), {}), "any_of": tuple},
        "flask_appbuilder": {},
        "flask_appbuilder.fieldwidgets": looks,
    }
    for name, members in modules.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return kinds | looks


def test_widgets_say_what_the_metadata_says(form_libraries: dict[str, type]) -> None:
    widgets = CleanlistHook.get_connection_form_widgets()
    assert list(widgets) == list(FIELDS)
    for name, widget in widgets.items():
        declared, schema = FIELDS[name], FIELDS[name]["schema"]
        secret, integer = schema.get("format") == "password", schema["type"][0] == "integer"
        kind = "PasswordField" if secret else "IntegerField" if integer else "StringField"
        assert type(widget).__name__ == kind
        assert type(widget.widget).__name__ == f"BS3{'Password' if secret else 'Text'}FieldWidget"
        assert (widget.label, widget.description) == (declared["label"], declared["description"])
        default = schema.get("default")
        assert widget.default == (f"{default:g}" if schema["type"][0] == "number" else default)
        assert type(widget.validators[0]).__name__ == "Optional"
        assert widget.validators[1:] == ([tuple(schema["enum"][:-1])] if "enum" in schema else [])
