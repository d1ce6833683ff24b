"""Every public name is documented, and the check would see it if one were not."""

from __future__ import annotations

import pytest
from doc_coverage import examine, examine_package, sections

MODULE = "airflow_provider_cleanlist.hooks.cleanlist"
COMPLETE = '''
"""A module."""

LIMIT_SECONDS = 5.0
"""How long."""


class CleanlistHook:
    """A class.

    Args:
        conn_id: The connection.
    """

    def __init__(self, conn_id: str) -> None: ...

    def get_thing(self, thing_id: str, timeout: float) -> dict[str, str]:
        """Return a thing.

        Args:
            thing_id: The thing,
                described in two lines.
            timeout: Seconds to wait.

        Raises:
            ValueError: There is none.
        """
        if not thing_id:
            raise ValueError("none")
        return {}


class Answer(BaseModel):
    """An answer.

    Attributes:
        name: The name.
    """

    name: str
    total: int
    """How many."""
'''


def gaps(source: str, module: str = MODULE) -> list[str]:
    return [f"{gap.name.removeprefix(module)}: {gap.what}" for gap in examine(source, module).gaps]


def test_the_package_is_documented_in_full() -> None:
    report = examine_package()
    assert [f"{gap.name} lacks {gap.what}" for gap in report.gaps] == []
    assert report.percent == 100.0
    assert len(report.names) > 1000


def test_a_complete_module_has_no_gap() -> None:
    assert gaps(COMPLETE) == []


@pytest.mark.parametrize(
    ("removed", "inserted", "gap"),
    [
        ('"""A module."""', "", ": a docstring"),
        ('"""A class.\n', '"""A class\n', ".CleanlistHook: a full stop behind its summary"),
        ('"""How long."""', "", ".LIMIT_SECONDS: a text below it that says what it is"),
        ("        conn_id: The connection.\n", "", ".CleanlistHook: conn_id: a description"),
        ("timeout: Seconds to wait.", "timeout: How long.", ".CleanlistHook.get_thing: timeout: a unit"),
        (
            "            ValueError: There is none.\n",
            "",
            ".CleanlistHook.get_thing: what it raises: ValueError",
        ),
        ("Return a thing.", "Find a thing.", ".CleanlistHook.get_thing: what it returns"),
        ("        name: The name.\n", "", ".Answer: name: a description"),
        ('"""How many."""', "", ".Answer: total: a description"),
        (
            "timeout: Seconds to wait.",
            "timeout: Seconds to wait.\n            retries: Gone.",
            ".CleanlistHook.get_thing: retries: it is described and does not exist",
        ),
    ],
)
def test_each_thing_that_can_be_missing_is_found(removed: str, inserted: str, gap: str) -> None:
    assert removed in COMPLETE
    assert gaps(COMPLETE.replace(removed, inserted, 1)) == [gap]


def test_inner_modules_need_summaries_only() -> None:
    source = (
        '"""A module."""\n\nLIMIT = 1\n\ndef add(a: int) -> int:\n    """Add."""\n\ndef lost() -> None: ...\n'
    )
    module = "airflow_provider_cleanlist.warehouse.values"
    assert gaps(source, module) == [".lost: a docstring"]


def test_what_a_function_catches_itself_does_not_leave_it() -> None:
    source = '''"""A module."""

def take() -> None:
    """Take."""
    try:
        raise ValueError("no")
    except ValueError:
        raise KeyError("no") from None
'''
    assert gaps(source, "airflow_provider_cleanlist.assets") == [".take: what it raises: KeyError"]


def test_private_names_and_overloads_are_left_alone() -> None:
    source = '''"""A module."""

def _hidden(a: int) -> int: ...

class _Hidden:
    def shown(self) -> int: ...

@overload
def either(a: int) -> int: ...
'''
    assert gaps(source, "airflow_provider_cleanlist.assets") == []


def test_sections_of_a_docstring() -> None:
    text = "Do.\n\nArgs:\n    a: One,\n        and more.\n    **b: Two.\n\nReturns:\n    A key: and a value.\n\nTail."
    assert sections(text) == {
        "Args": {"a": "One, and more.", "b": "Two."},
        "Returns": {"": "A key: and a value."},
    }
