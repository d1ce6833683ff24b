"""What Airflow shows of a Cleanlist connection: its form, for both generations of Airflow, and the result of *Test*.

Airflow 3.2 and later reads the form from the provider's metadata; earlier versions call methods of the hook. Airflow
itself is not imported here, because it reads the metadata when it starts.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.settings import EXTRA_SETTINGS, SETTINGS, Setting

HIDDEN_FIELDS = ("login", "schema")
"""Standard fields of a connection that the form does not show. Airflow 3's *Test* fails for forms without a port."""
DEFAULT_PORT = 443
"""What the form shows in the empty field for the port."""
CONNECTED = "Connected to Cleanlist: the API key is valid."
"""The result of a test that succeeded."""
UNEXPECTED = (
    "The connection could not be tested on this machine ({kind}): the log of the API server may say more."
)
"""The result of a test that failed for a reason that nobody has foreseen."""
FAILURES: tuple[tuple[type[errors.CleanlistError], str], ...] = (
    (errors.AuthenticationError, "Cleanlist refused the API key: it may be mistyped, expired or revoked."),
    (errors.PermissionDeniedError, "The API key is known, but its plan does not include API access."),
    (
        errors.RateLimitedError,
        "The request limit is used up at the moment, so the key was not checked: try again later.",
    ),
    (errors.ServerError, "Cleanlist is returning server errors at the moment: try again later."),
    (errors.TransportError, "Cleanlist cannot be reached: check the host and the network."),
    (errors.CleanlistError, "The host does not respond like Cleanlist: check the host."),
)
"""The results of tests that failed, by error; the first one that fits counts."""

_JSON_TYPES = {str: "string", int: "integer", float: "number"}


def conn_fields() -> dict[str, Any]:
    """Return the settings in the extra as ``conn-fields`` of the provider metadata."""
    return {
        name: {"label": it.label, "description": it.description, "schema": _json_schema(it)}
        for name, it in EXTRA_SETTINGS.items()
    }


def _json_schema(setting: Setting) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [_JSON_TYPES[type(setting.default)], "null"]}
    if setting.default != "":
        schema["default"] = setting.default
    if setting.choices:
        schema["enum"] = [*setting.choices, None]
    if setting.secret:
        schema["format"] = "password"
    if not isinstance(setting.default, str):
        schema |= {"minimum": setting.minimum, "maximum": setting.maximum}
    return schema


def ui_field_behaviour(hidden: str = "hidden-fields") -> dict[str, Any]:
    """Return how the form shows the standard fields of a connection.

    Args:
        hidden: Key of the list of hidden fields: the metadata and the hook spell it differently.
    """
    shown = [setting for setting in SETTINGS.values() if setting.connection_field]
    return {
        hidden: list(HIDDEN_FIELDS),
        "relabeling": {setting.connection_field: setting.label for setting in shown},
        "placeholders": {
            **{setting.connection_field: setting.placeholder for setting in shown},
            "port": str(DEFAULT_PORT),
        },
    }


def widgets() -> dict[str, Any]:
    """Return the settings in the extra as form widgets, for Airflow before 3.2."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import IntegerField, PasswordField, StringField
    from wtforms.validators import Optional, any_of

    def widget(setting: Setting) -> Any:
        kind, look = StringField, BS3TextFieldWidget
        if setting.secret:
            kind, look = PasswordField, BS3PasswordFieldWidget
        elif isinstance(setting.default, int):
            kind = IntegerField
        is_fraction = isinstance(setting.default, float)
        return kind(
            setting.label,
            validators=[Optional(), *([any_of(list(setting.choices))] if setting.choices else [])],
            description=setting.description,
            default=f"{setting.default:g}" if is_fraction else setting.default or None,
            widget=look(),
        )

    return {name: widget(setting) for name, setting in EXTRA_SETTINGS.items()}


def failure_text(error: errors.CleanlistError) -> str:
    """Return the sentence that says why a test failed: a fixed one, because Airflow does not redact it.

    Args:
        error: What the test raised.
    """
    return next(text for kind, text in FAILURES if isinstance(error, kind))
