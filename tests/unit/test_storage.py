"""Files on local disks and in object storage are opened the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cleanlist.storage import open_file


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_what_is_written_is_read(tmp_path: Path, prefix: str) -> None:
    location = f"{prefix}{tmp_path}/contacts.csv"
    with open_file(location, "wb") as file:
        file.write(b"name\r\n\xff")
    with open_file(location, "rb") as file:
        assert file.read() == b"name\r\n\xff"
    assert (tmp_path / "contacts.csv").read_bytes() == b"name\r\n\xff"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for prefix in ("", "file://"):
        with pytest.raises(FileNotFoundError):
            open_file(f"{prefix}{tmp_path}/nothing", "rb")


def test_a_scheme_that_nothing_opens() -> None:
    with pytest.raises((ImportError, ValueError)):
        open_file("nosuchscheme://bucket/contacts.csv", "rb")
