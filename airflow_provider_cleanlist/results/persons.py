"""Whose result it is: the person that a result names, compared with those that were submitted. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_cleanlist.client.results import result_object
from airflow_provider_cleanlist.contacts.identity import identity, normalise, validate
from airflow_provider_cleanlist.input_limits import FULL_NAME_CHARACTERS, FULL_NAME_WORDS


def person_of(record: Mapping[str, Any], submitted: Collection[str]) -> str | None:
    """Return the hash of the person whose result it is, or None if that cannot be told.

    The person has to be named by the result itself: by what it echoes of the submission, else by the profile, else by
    names and company, and by these only if they are those of one submitted contact. So somebody who was submitted by a
    profile does not get the result of a namesake. If the echo names a contact, its names count instead of those that
    were found, so that nobody gets the result of a namesake who was erased from the ledger. Task ids do not count:
    their order is documented nowhere.

    Args:
        record: A record of :func:`.rows.result_row`.
        submitted: The hashes of everybody who was submitted in its workflow.
    """
    for named in named_persons(record):
        if found := named.intersection(submitted):
            return next(iter(found)) if len(found) == 1 else None
    return None


def named_persons(record: Mapping[str, Any]) -> Iterator[frozenset[str]]:
    """Yield the hashes of the contacts as which the person may have been submitted, by what tells it best first.

    Args:
        record: A record of :func:`.rows.result_row`.
    """
    echo = _echo_in(record.get("raw"))
    echoed = _hashes([echo] if echo else [])
    yield echoed
    contacts = list(_contacts_in(record))
    yield _hashes({name: contact.get(name) for name in _PROFILE} for contact in contacts)
    if echoed:
        contacts = [] if normalise(echo).linkedin_url else [echo]
    ways = ((*_NAMES, "company_domain"), (*_NAMES, "company_name"))
    yield _hashes({name: contact.get(name) for name in known} for contact in contacts for known in ways)


def _echo_in(raw: object) -> Mapping[str, Any]:
    """Return what a result repeats of the submission, beside what was found or around it; empty if nothing."""
    bodies = (raw, result_object(raw)) if isinstance(raw, Mapping) else ()
    return next((echo for body in bodies if isinstance(echo := body.get("input"), Mapping) and echo), {})


def _hashes(found: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    contacts = map(normalise, found)
    return frozenset(identity(contact).hex() for contact in contacts if validate(contact) is None)


_PROFILE = ("linkedin_url",)
_NAMES = ("first_name", "last_name")


def _contacts_in(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a result says of its person, in the API's names of contact fields."""
    found = {
        "linkedin_url": record.get("prospect_linkedin_url"),
        "company_name": record.get("company_name"),
        "company_domain": record.get("company_domain"),
    }
    first, last = record.get("prospect_first_name"), record.get("prospect_last_name")
    if first and last:
        yield found | {"first_name": first, "last_name": last}
    else:
        full = str(record.get("prospect_full_name") or "")
        words = full.split() if len(full) <= FULL_NAME_CHARACTERS else []
        words = words if len(words) <= FULL_NAME_WORDS else []
        for cut in range(min(1, len(words)), max(1, len(words))):
            yield found | {"first_name": " ".join(words[:cut]), "last_name": " ".join(words[cut:])}
        yield found
