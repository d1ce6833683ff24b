"""The organisation's ledger: a few tables in a SQL database; whoever shares it pays once for each contact.

:mod:`.tables` defines them, :mod:`.set_up` makes them, :mod:`.statements` writes many rows at once, :mod:`.database`
reads and writes what goes beyond one task, :mod:`.journal` is the journal of one task (:mod:`.tasks`) in them,
:mod:`.histories` is what they say of persons, and :mod:`.results` of the persons and source rows behind results.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS, Contact
from airflow_provider_cleanlist.contacts.cells import cleaned_values
from airflow_provider_cleanlist.contacts.identity import identity, normalise, validate


def person(contact: Contact | Mapping[str, object]) -> str:
    """Return the hash under which the ledger knows a person: 24 hexadecimal digits.

    Args:
        contact: A contact, or its fields: ``linkedin_url``, ``first_name``, ``last_name``, ``company_name``,
            ``company_domain``, ``email`` (which plays no part), written as in any source of contacts.

    Raises:
        ValueError: If a field is unknown, or the fields would not be submitted: the hash would be nobody's.
    """
    fields = contact.payload() if isinstance(contact, Contact) else contact
    if unknown := sorted(map(str, fields.keys() - set(CONTACT_FIELDS))):
        raise ValueError(
            f"unknown fields: {', '.join(unknown)}. The fields of a person are {', '.join(CONTACT_FIELDS)}."
        )
    cleaned = normalise(cleaned_values(fields))
    if (rejection := validate(cleaned)) is not None:
        raise ValueError(f"these fields are nobody's in the ledger: {rejection.message}")
    return identity(cleaned).hex()
