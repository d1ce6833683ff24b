"""Whose result it is: the person that a result names, compared with those that were submitted. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cleanlist.contacts.identity import identity, normalise, validate


@dataclass(frozen=True, slots=True)
class SubmittedPersons:
    """Who was submitted in a workflow.

    Attributes:
        persons: Their hashes.
        by_task: Hash by the task id that stood at the person's place in the response; whether the order of task ids
            is that of the contacts is documented nowhere.
    """

    persons: frozenset[str] = frozenset()
    by_task: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, contacts: Iterable[tuple[str, str | None]]) -> SubmittedPersons:
        """Return who was submitted.

        Args:
            contacts: Hash and task id of each contact.
        """
        pairs = list(contacts)
        return cls(
            frozenset(person for person, _ in pairs),
            {task_id: person for person, task_id in pairs if task_id},
        )


def person_of(record: Mapping[str, Any], submitted: SubmittedPersons) -> str | None:
    """Return the hash of the person whose result it is, or None if that cannot be told.

    The person has to be named by the result itself. Its task id only decides between several that it names, such as a
    profile and a name that were submitted as two contacts.

    Args:
        record: A record of :func:`.rows.result_row`.
        submitted: Who was submitted in its workflow.
    """
    named = submitted.persons.intersection(named_persons(record))
    by_task = submitted.by_task.get(record["task_id"])
    if by_task in named:
        return by_task
    return next(iter(named)) if len(named) == 1 else None


def named_persons(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the hash of every contact as which the person that a result names may have been submitted.

    Args:
        record: A record of :func:`.rows.result_row`.
    """
    for fields in _contacts_in(record):
        for known in (_PROFILE, (*_NAMES, "company_domain"), (*_NAMES, "company_name")):
            contact = normalise({name: fields.get(name) for name in known})
            if validate(contact) is None:
                yield identity(contact).hex()


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
        words = str(record.get("prospect_full_name") or "").split()
        for cut in range(min(1, len(words)), max(1, len(words))):
            yield found | {"first_name": " ".join(words[:cut]), "last_name": " ".join(words[cut:])}
        yield found
    submitted = record["raw"].get("input") if isinstance(record.get("raw"), Mapping) else None
    if isinstance(submitted, Mapping):
        yield submitted
