"""docs/troubleshooting.md has every message that the package can raise, and nothing that it cannot."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from raised_messages import PAGE, as_item, collect, is_message, listed, sources

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import CleanlistResultsNotReadyError

NO_ERRORS = "Lines that are not errors"


def entries() -> dict[str, tuple[str, str]]:
    """Return heading to (section, text) of each entry."""
    found: dict[str, tuple[str, str]] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, *rest = re.split(r"^### ", section, flags=re.MULTILINE)
        for entry in rest:
            heading, _, text = entry.partition("\n")
            found[heading] = (title.partition("\n")[0], text)
    return found


def test_every_message_has_an_entry_and_every_entry_a_message() -> None:
    raised = {message.text: f"{message.module}:{message.line}" for message in collect(sources())}
    shown = Counter(listed(PAGE.read_text(encoding="utf-8")))
    lacking = [f"{as_item(text)}    <- {where}" for text, where in raised.items() if text not in shown]
    assert lacking == [], "put these into the entries where they belong"
    assert sorted(set(shown) - set(raised)) == [], "no longer raised"
    assert [text for text, times in shown.items() if times > 1] == []
    assert len(raised) > 150


def test_the_class_of_every_error_leads_to_a_section() -> None:
    rows = PAGE.read_text(encoding="utf-8").partition("| Where to look |")[2].partition("\n\n")[0]
    assert {f"Cleanlist{name}" for name in re.findall(r"`(\w+Error)`", rows)} == {
        *set(exceptions.__all__) - {"CleanlistError", "to_airflow"},
        CleanlistResultsNotReadyError.__name__,
    }


@pytest.mark.parametrize("heading", entries())
def test_every_entry_says_what_about_the_money_and_what_to_do(heading: str) -> None:
    section, text = entries()[heading]
    assert listed(text)
    if section != NO_ERRORS:
        assert text.count("**Money:** ") == 1
        assert text.count("**Do:** ") == 1
        assert text.index("**Money:** ") < text.index("**Do:** ")


def collected(source: str) -> list[str]:
    return [message.text for message in collect({"module.py": source})]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('raise ThingError("it went wrong")', ["it went wrong"]),
        ('raise ThingError(f"{count} rows went wrong")', ["… rows went wrong"]),
        (
            "raise ThingError(f\"{counted(n, 'row')} of {counted(m, 'batch', 'batches')} went wrong\")",
            ["… rows of … batches went wrong"],
        ),
        ('raise ThingError("it went wrong, " + why)', ["it went wrong, …"]),
        ('raise ThingError("it went wrong" if a else "it went worse")', ["it went worse", "it went wrong"]),
        ('TEXT = "it went {how} wrong"\nraise ThingError(TEXT.format(how=1))', ["it went … wrong"]),
        ('def f():\n    text = "it went wrong"\n    raise ThingError(text)', ["it went wrong"]),
        ('def text():\n    return "it went wrong"\nraise ThingError(text())', ["it went wrong"]),
        (
            'def f():\n    what = f"in {a} of the many rows"\n    raise ThingError(f"wrong {what}")',
            ["wrong in … of the many rows"],
        ),
        (
            'def why():\n    return "it has not been there" if a else "it has not come yet" if b else "it was lost"\n'
            'def f():\n    because = why()\n    raise ThingError(f"wrong: {because} at last")',
            ["it has not been there", "it has not come yet", "it was lost", "wrong: … at last"],
        ),
        ('hint = "Look at the host."', ["Look at the host."]),
        ('"""Some documentation."""', []),
        ('log.warning("It went wrong.")', []),
        ("raise ThingError(str(error))", []),
        ('raise ThingError("wrong")', []),
        ('raise ErrorInfo("read the lists", "it went wrong")', ["it went wrong"]),
        ('_REASONS = ((OSError, "it went wrong"),)', ["it went wrong"]),
        (
            'class A:\n    def __str__(self):\n        return f"Could not read {self.a}"',
            ["Could not read …"],
        ),
    ],
)
def test_messages_are_found_however_they_are_put_together(source: str, texts: list[str]) -> None:
    assert collected(source) == texts


def test_items_are_read_as_they_are_written() -> None:
    texts = ["a message", "set `hash_secret` there", "`a` begins with code"]
    assert listed("\n".join(map(as_item, texts))) == texts
    assert not is_message("… …")
