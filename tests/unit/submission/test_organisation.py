"""Whose key it is: asked once, remembered in files that nobody else can write."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist.client.errors import UnexpectedResponseError
from airflow_provider_cleanlist.submission.organisation import HostKeyMemory, organisation_of

KEY = "0123456789abcdef01234567"


class Hook:
    """Answers for a key, and counts how often it is asked."""

    def __init__(self, organisation: str | None = "org_1", key_hash: str = KEY) -> None:
        self.settings = SimpleNamespace(key_hash=key_hash)
        self.organisation = organisation
        self.asked = 0

    def validate_key(self) -> Any:
        self.asked += 1
        return SimpleNamespace(organization_id=self.organisation)


def test_it_is_asked_once_for_each_key(tmp_path: Path) -> None:
    memory, hook = HostKeyMemory([tmp_path]), Hook()
    assert {organisation_of(hook, memory, 1.0) for _ in range(3)} == {"org_1"}  # type: ignore[arg-type]
    assert hook.asked == 1
    rotated = Hook(key_hash="f" * 24)
    assert organisation_of(rotated, HostKeyMemory([tmp_path]), 1.0) == "org_1"  # type: ignore[arg-type]
    assert rotated.asked == 1


@pytest.mark.parametrize("nameless", [None, ""])
def test_an_answer_without_an_organisation_is_an_error_and_not_remembered(
    tmp_path: Path, nameless: str | None
) -> None:
    memory, hook = HostKeyMemory([tmp_path]), Hook(nameless)
    with pytest.raises(
        UnexpectedResponseError, match=r"does not name the organisation.*Nothing was submitted"
    ):
        organisation_of(hook, memory, 1.0)  # type: ignore[arg-type]
    assert memory.organisation_of_key(KEY) is None
    hook.organisation = "org_1"
    assert organisation_of(hook, memory, 2.0) == "org_1"  # type: ignore[arg-type]


def test_the_next_directory_serves_where_the_first_one_cannot_be_written(tmp_path: Path) -> None:
    memory = HostKeyMemory([tmp_path / "missing", tmp_path])
    memory.remember_key(KEY, "org_1", 1.0)
    assert memory.organisation_of_key(KEY) == "org_1"
    assert not list(tmp_path.glob(".new-*"))


def test_without_any_directory_it_is_asked_each_time(tmp_path: Path) -> None:
    memory, hook = HostKeyMemory([tmp_path / "missing"]), Hook()
    for _ in range(2):
        organisation_of(hook, memory, 1.0)  # type: ignore[arg-type]
    assert hook.asked == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"organisation": 7}',
        '{"organisation": ""}',
        '{"organisation": "x"}',
        "x" * 5000,
        "[" * 4000,
    ],
)
def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{KEY}.organisation").write_text(text)
    assert HostKeyMemory([tmp_path]).organisation_of_key(KEY) is None


@pytest.mark.parametrize("how", ["writable by others", "symbolic link", "directory"])
def test_what_somebody_else_may_have_made_does_not_count(tmp_path: Path, how: str) -> None:
    path = tmp_path / f"{KEY}.organisation"
    text = json.dumps({"organisation": "forged", "key_hash": KEY})
    if how == "directory":
        path.mkdir()
    elif how == "symbolic link":
        (tmp_path / "elsewhere").write_text(text)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text(text)
        path.chmod(0o666)
    assert HostKeyMemory([tmp_path]).organisation_of_key(KEY) is None


def test_a_file_that_was_given_the_name_of_another_key_is_not_used(tmp_path: Path) -> None:
    memory = HostKeyMemory([tmp_path])
    memory.remember_key(KEY, "org_1", 1.0)
    (tmp_path / f"{KEY}.organisation").rename(tmp_path / f"{'f' * 24}.organisation")
    assert memory.organisation_of_key("f" * 24) is None
    memory.remember_key(KEY, "org_1", 1.0)
    assert memory.organisation_of_key(KEY) == "org_1"
