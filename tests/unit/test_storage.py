"""Files on local disks and in object storage are opened the same way."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_cleanlist.storage import local_or_stored, local_path, open_file, start_of

try:
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach


@pytest.mark.parametrize("prefix", ["", "file://", "local://", "FILE://"])
def test_a_local_file_is_read_however_its_path_is_spelled(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "contacts.csv").write_bytes(b"name\r\n\xff")
    location = f"{prefix}{tmp_path}/contacts.csv"
    with open_file(location) as file:
        assert file.read() == b"name\r\n\xff"
    assert local_or_stored(location) == local_path(ObjectStoragePath(location)) == tmp_path / "contacts.csv"


def test_a_home_directory_is_the_one_that_fsspec_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = ObjectStoragePath("~/journals")
    path.fs.makedirs(path.path)
    assert local_path(path) == tmp_path / "journals"
    assert (tmp_path / "journals").is_dir()
    assert local_or_stored("~/rejects.csv") == tmp_path / "rejects.csv"
    assert local_or_stored("~$contacts.csv") == Path("~$contacts.csv")


def test_object_storage_is_not_local() -> None:
    attach("memory", fs=fsspec.filesystem("memory"))
    path = local_or_stored("memory://bucket/contacts.csv")
    assert isinstance(path, ObjectStoragePath)
    assert local_path(path) is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for prefix in ("", "file://"):
        with pytest.raises(FileNotFoundError):
            open_file(f"{prefix}{tmp_path}/nothing")


def test_a_scheme_that_nothing_opens() -> None:
    with pytest.raises((ImportError, ValueError)):
        open_file("nosuchscheme://bucket/contacts.csv")


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_the_start_of_a_file(tmp_path: Path, scheme: str) -> None:
    attach("memory", fs=fsspec.filesystem("memory"))
    path = ObjectStoragePath(f"{scheme}://{tmp_path}/record.json")
    assert start_of(path, 10) is None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0123456789")
    assert start_of(path, 4) == b"0123"
    assert start_of(path, 100) == b"0123456789"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, make) -> None:
    make(tmp_path / "record.json")
    with pytest.raises(OSError, match="not a regular file"):
        start_of(ObjectStoragePath(f"file://{tmp_path}/record.json"), 10)


def test_a_file_of_any_size_costs_what_is_read(tmp_path: Path) -> None:
    with (tmp_path / "record.json").open("wb") as file:
        file.truncate(8 << 40)
    assert start_of(ObjectStoragePath(f"file://{tmp_path}/record.json"), 10) == bytes(10)
    (tmp_path / "link.json").symlink_to(tmp_path / "record.json")
    assert start_of(ObjectStoragePath(f"file://{tmp_path}/link.json"), 10) == bytes(10)
