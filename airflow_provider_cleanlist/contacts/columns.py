"""Which column of a source holds which contact field.

Headers are compared by their letters and digits alone, so ``First Name``, ``first_name`` and ``FirstName`` are
one. Only whole names count, never parts: ``Company Linkedin Url`` is not a person's URL. Pure functions.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_cleanlist.client.models import CONTACT_FIELDS
from airflow_provider_cleanlist.contacts.errors import ColumnError

RECOGNISED_HEADERS: Mapping[str, tuple[str, ...]] = {
    "linkedin_url": (
        "linkedin_url",
        "Person Linkedin Url",
        "Linkedin URL Public",
        "LinkedIn Profile URL",
        "LinkedIn Profile",
        "LinkedIn Member Profile URL",
        "LinkedIn Contact Profile URL",
        "Contact LinkedIn URL",
        "Lead LinkedIn URL",
        "Prospect LinkedIn URL",
        "hs_linkedin_url",
        "LinkedIn_URL__c",
        "LinkedIn__c",
        "LinkedIn_Profile__c",
        "LinkedIn_Profile_URL__c",
        "defaultProfileUrl",
        "LinkedIn",
        "LinkedIn Link",
        "Linkedin URL Unique",
        "Linkedin URL Unique ID",
        "Sales Navigator URL",
        "Profile URL",
        "URL",
    ),
    "first_name": ("first_name", "Contact First Name", "Lead First Name", "Given Name", "Forename"),
    "last_name": ("last_name", "Contact Last Name", "Lead Last Name", "Surname", "Family Name"),
    "company_name": (
        "company_name",
        "Company",
        "Account Name",
        "Company / Account",
        "Associated Company",
        "Associated Company (Primary)",
        "Current Company",
        "Company Name for Emails",
        "Organization",
        "Organisation",
        "Organization Name",
        "Employer",
    ),
    "company_domain": (
        "company_domain",
        "Company Domain Name",
        "Domain",
        "Domain Name",
        "Company Website",
        "Company Website URL",
        "Account Website",
        "Website",
        "Website URL",
        "Email Domain",
        "hs_email_domain",
    ),
    "email": (
        "email",
        "Email Address",
        "Work Email",
        "Business Email",
        "Primary Email",
        "Contact Email",
        "Lead Email",
    ),
}
"""Headers recognised without a mapping, by contact field, the most trusted first."""

FULL_NAME_HEADERS = ("Full Name", "Name", "Contact Name", "Lead Name")
"""Headers of full names, which are not split: where the family name starts cannot be determined from the text."""


def header_key(header: str) -> str:
    """Return what two spellings of one header share: its letters and digits, case-folded."""
    folded = unicodedata.normalize("NFKC", header).casefold()
    return "".join(filter(str.isalnum, folded))


_FIELD_RANKS = {
    header_key(header): (field, rank)
    for field, headers in RECOGNISED_HEADERS.items()
    for rank, header in enumerate(headers)
}
_FULL_NAMES = frozenset(map(header_key, FULL_NAME_HEADERS))


def count_recognised(headers: Iterable[str]) -> int:
    """Return how many headers are recognised; a reader compares delimiters by it."""
    return sum((key := header_key(header)) in _FIELD_RANKS or key in _FULL_NAMES for header in headers)


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """Where each contact field comes from.

    Attributes:
        sources: The columns of each field that has any. The first one with a value in a row gives the field.
        unused: The other columns.
        is_header: Whether the columns are surely names: one is in the mapping or at least two are recognised.
            Otherwise a file may lack its header, and its "columns" may be a person's data.
    """

    sources: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...]
    is_header: bool

    @property
    def is_usable(self) -> bool:
        """Whether these columns can identify a person."""
        fields = self.sources.keys()
        placed = "company_name" in fields or "company_domain" in fields
        return "linkedin_url" in fields or (placed and {"first_name", "last_name"} <= fields)


def check_mapping(mapping: Mapping[str, str | None]) -> None:
    """Refuse a ``column_mapping`` that names anything but contact fields.

    Args:
        mapping: Source column to contact field, or to None for a column to leave out.

    Raises:
        ColumnError: If a field does not exist.
    """
    unknown = sorted({str(field) for field in mapping.values() if field is not None} - set(CONTACT_FIELDS))
    if unknown:
        raise ColumnError(
            f"column_mapping names {listed(unknown)}, which Cleanlist does not know. "
            f"The contact fields are: {', '.join(CONTACT_FIELDS)}."
        )


def plan_columns(columns: Sequence[str], mapping: Mapping[str, str | None]) -> ColumnPlan:
    """Decide which columns to read.

    A field named in the mapping comes from its mapped columns only, in the order of the mapping; the others
    from recognised headers, in the order of :data:`RECOGNISED_HEADERS`. A column in the mapping serves nothing
    else.

    Args:
        columns: The source's columns.
        mapping: A checked ``column_mapping``; columns that are not there are ignored.

    Returns:
        The plan.
    """
    mapped = {
        column: field for name, field in mapping.items() if (column := find_column(columns, name)) is not None
    }
    sources: dict[str, list[str]] = {}
    for column, field in mapped.items():
        if field is not None:
            sources.setdefault(field, []).append(column)
    ranked: list[tuple[int, str, str]] = []
    for column in columns:
        field, rank = _FIELD_RANKS.get(header_key(column), (None, 0))
        if field is not None and field not in mapping.values() and column not in mapped:
            ranked.append((rank, field, column))
    for _, field, column in sorted(ranked, key=lambda entry: entry[0]):
        sources.setdefault(field, []).append(column)
    used = {column for names in sources.values() for column in names}
    return ColumnPlan(
        sources={field: tuple(sources[field]) for field in CONTACT_FIELDS if field in sources},
        unused=tuple(column for column in columns if column not in used),
        is_header=bool(mapped) or count_recognised(columns) > 1,
    )


def find_column(columns: Sequence[str], name: str) -> str | None:
    """Return the column that a mapping names: exactly, else by letters and digits, else None."""
    if name in columns:
        return name
    key = header_key(name)
    return next((column for column in columns if key and header_key(column) == key), None)


def unknown_mapping_error(names: Sequence[str], columns: Sequence[str]) -> ColumnError:
    """Build the error for a mapping that names columns which the source does not have.

    Args:
        names: The mapping's columns that were not found.
        columns: The source's columns, empty when they may be a person's data.
    """
    seen = f" Its columns are: {listed(columns)}." if columns else ""
    return ColumnError(f"column_mapping names {listed(names)}, which the source does not have.{seen}")


def unusable_columns_error(plan: ColumnPlan, columns: Sequence[str]) -> ColumnError:
    """Build the error for columns that cannot identify anybody.

    Args:
        plan: The columns recognised and mapped.
        columns: The source's columns, empty when they may be a person's data.
    """
    sentences = ["No usable columns."]
    if columns:
        found = [f"{column!r} as {field}" for field, names in plan.sources.items() for column in names]
        sentences.append(f"Recognised: {', '.join(found) or 'none'}. Columns seen: {listed(columns)}.")
    else:
        sentences.append("The first line does not hold known column names; is the header missing?")
    full_names = [column for column in columns if header_key(column) in _FULL_NAMES]
    if full_names:
        sentences.append(f"Full names ({listed(full_names)}) are not split: give first_name and last_name.")
    sentences.append(
        "Needed: a LinkedIn URL, or first name, last name and a company's name or domain. "
        "Name the columns with column_mapping={'<column>': '<contact field>'}."
    )
    return ColumnError(" ".join(sentences))


def listed(names: Sequence[str], most: int = 50) -> str:
    """Return column names for a message: quoted, each at most 60 characters, at most ``most`` of them."""
    shown = ", ".join(repr(name[:60]) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
