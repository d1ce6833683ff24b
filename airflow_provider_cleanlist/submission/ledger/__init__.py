"""The organisation's ledger: a few tables in a SQL database; whoever shares it pays once for each contact.

:mod:`.tables` defines them, :mod:`.set_up` makes them, :mod:`.statements` writes many rows at once, :mod:`.database`
reads and writes what goes beyond one task, :mod:`.journal` is the journal of one task (:mod:`.tasks`) in them,
:mod:`.histories` is what they say of persons, and :mod:`.results` of the persons and source rows behind results.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_cleanlist.client.models import Contact
from airflow_provider_cleanlist.contacts.cells import cleaned_values
from airflow_provider_cleanlist.contacts.identity import identity, normalise


def person(contact: Contact | Mapping[str, object]) -> str:
    """Return the hash under which the ledger knows a person: 24 hexadecimal digits.

    Args:
        contact: A contact, or its fields: ``linkedin_url``, ``first_name``, ``last_name``, ``company_name``,
            ``company_domain``, written as in any source of contacts.
    """
    fields = contact.payload() if isinstance(contact, Contact) else contact
    return identity(normalise(cleaned_values(fields))).hex()
