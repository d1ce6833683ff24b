"""The form of a Cleanlist connection, described once and told to Airflow in both of its ways.

Airflow 3.2 and later reads provider metadata; earlier versions call methods of the hook. Nothing here imports Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FieldType = Literal["string", "integer", "number"]
"""Types of a field's value."""

HIDDEN_FIELDS = ("login", "port", "schema")
"""Standard fields that the form does not show."""
LABELS = {"password": "API key", "host": "Host"}
"""What stands before the standard fields."""
PLACEHOLDERS = {"host": "https://api.cleanlist.ai", "password": "clapi_..."}
"""What stands in the standard fields while they are empty."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the form, kept in the connection's extra.

    Attributes:
        name: Key in the extra.
        label: What stands before the field.
        description: What stands below it.
        type: Type of the value; every field may be empty.
        default: Value of a new connection.
        minimum: Least number.
        maximum: Greatest number.
        choices: The only values, if there are only some.
        secret: Whether the value is masked.
    """

    name: str
    label: str
    description: str
    type: FieldType = "string"
    default: str | float | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    def schema(self) -> dict[str, Any]:
        """Return the field as a JSON schema."""
        schema: dict[str, Any] = {"type": [self.type, "null"]}
        if self.choices:
            schema["enum"] = [*self.choices, None]
        if self.secret:
            schema["format"] = "password"
        bounds = {"minimum": self.minimum, "maximum": self.maximum, "default": self.default}
        return schema | {name: value for name, value in bounds.items() if value is not None}


FIELDS = (
    FormField(
        "requests_per_minute",
        "Requests per minute",
        "Limit of the organisation; all its processes share it.",
        "integer",
        default=60,
        minimum=1,
        maximum=100_000,
    ),
    FormField(
        "rate_limit_store",
        "Rate limit store",
        "Where the limit is shared. Empty: by all processes of this host. Also file:///dir, redis://, rediss://, "
        "valkey:// or memory://.",
    ),
    FormField(
        "rate_limit_scope",
        "Rate limit scope",
        "Name of the organisation's budget; set the same one on all connections whose keys belong together.",
    ),
    FormField(
        "rate_limit_share",
        "Rate limit share",
        "Part of the limit for this installation, where hosts have no common store.",
        "number",
        default=1,
        minimum=0.001,
        maximum=1,
    ),
    FormField(
        "window_seconds",
        "Window (seconds)",
        "Length of the limit's window; only tests change it.",
        "number",
        default=60,
        minimum=0.01,
        maximum=3600,
    ),
    FormField(
        "timeout_seconds",
        "Timeout (seconds)",
        "How long to wait for an answer.",
        "number",
        default=30,
        minimum=0.1,
        maximum=600,
    ),
    FormField(
        "max_retries",
        "Retries",
        "Tries after the first one for transient failures. Submissions of unknown outcome are never repeated.",
        "integer",
        default=5,
        minimum=0,
        maximum=100,
    ),
    FormField(
        "lead_lists_api",
        "Lead lists API",
        "API surface for lead lists: v2 or v1.",
        default="v2",
        choices=("v2", "v1"),
    ),
    FormField("webhook_base_url", "Webhook base URL", "Public HTTPS address of the webhook receiver."),
    FormField("webhook_secret", "Webhook secret", "Signs webhook addresses.", secret=True),
    FormField("hash_secret", "Hash secret", "Key of hashed warehouse columns.", secret=True),
)
"""The fields besides host and API key, in the order in which they are shown."""


def conn_fields() -> dict[str, Any]:
    """Return the fields as ``conn-fields`` of the provider metadata."""
    return {
        field.name: {"label": field.label, "description": field.description, "schema": field.schema()}
        for field in FIELDS
    }


def ui_field_behaviour(hidden: str = "hidden-fields") -> dict[str, Any]:
    """Return what becomes of Airflow's standard fields.

    Args:
        hidden: Key of the list of hidden fields: the metadata and the hook spell it differently.
    """
    return {hidden: list(HIDDEN_FIELDS), "relabeling": dict(LABELS), "placeholders": dict(PLACEHOLDERS)}


def widgets() -> dict[str, Any]:
    """Return the fields as form widgets, for Airflow before 3.2."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import IntegerField, PasswordField, StringField
    from wtforms.validators import Optional, any_of

    def widget(field: FormField) -> Any:
        kind, look = StringField, BS3TextFieldWidget
        if field.secret:
            kind, look = PasswordField, BS3PasswordFieldWidget
        elif field.type == "integer":
            kind = IntegerField
        text_of_number = field.type == "number" and field.default is not None
        return kind(
            field.label,
            validators=[Optional(), *([any_of(list(field.choices))] if field.choices else [])],
            description=field.description,
            default=str(field.default) if text_of_number else field.default,
            widget=look(),
        )

    return {field.name: widget(field) for field in FIELDS}
