"""Which directories of the host are used, and what makes them safe."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_cleanlist.client.rate_limit import directories
from airflow_provider_cleanlist.client.rate_limit.directories import (
    UnsafePathError,
    default_directories,
    opened_directory,
    replace_in,
)


def test_home_comes_first_and_the_temporary_directory_last(monkeypatch, tmp_path):
    own = f"/some/tmp/.cleanlist-{os.geteuid()}"
    monkeypatch.setenv("AIRFLOW_HOME", "$BASE/home")
    monkeypatch.setenv("BASE", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(directories.tempfile, "tempdir", "/some/tmp")
    assert default_directories() == [
        tmp_path / "home" / ".cleanlist",
        Path("/run/user/7/.cleanlist"),
        Path(own),
    ]
    monkeypatch.delenv("AIRFLOW_HOME")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_directories() == [Path.home() / "airflow" / ".cleanlist", Path(own)]


def test_without_home_and_temporary_directory_there_is_no_candidate(monkeypatch):
    def no_temporary_directory():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setenv("AIRFLOW_HOME", "~no-such-user/airflow")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(directories.tempfile, "gettempdir", no_temporary_directory)
    assert default_directories() == []


def test_a_missing_directory_is_created_for_this_user_alone(tmp_path):
    with opened_directory(tmp_path / "new", create=True) as folder:
        assert (folder.has_group, folder.file_mode) == (False, 0o600)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    with pytest.raises(FileNotFoundError), opened_directory(tmp_path / "other"):
        pass


def test_a_directory_that_was_given_to_a_group_is_shared_with_it(tmp_path):
    tmp_path.chmod(0o2770)
    with opened_directory(tmp_path) as folder:
        assert (folder.has_group, folder.file_mode) == (True, 0o660)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.chmod(0o1777), "all users may write to the directory"),
        (lambda path: (path.rmdir(), path.symlink_to(path.parent)), "symbolic link"),
        (lambda path: (path.rmdir(), path.touch()), "Not a directory"),
    ],
    ids=["for all users", "symbolic link", "file"],
)
def test_what_others_can_change_is_not_used(tmp_path, spoil, problem):
    path = tmp_path / "directory"
    path.mkdir()
    spoil(path)
    with pytest.raises(OSError, match=problem), opened_directory(path, create=True):
        pass


@pytest.mark.skipif(os.getuid() != 0, reason="giving a directory away takes root")
def test_a_directory_of_another_user_is_not_used(tmp_path):
    os.chown(tmp_path, 1000, 1000)
    with pytest.raises(UnsafePathError, match="belongs to user 1000"), opened_directory(tmp_path):
        pass


def check(folder, name):
    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder.descriptor)
    try:
        return folder.check(file)
    finally:
        os.close(file)


def test_a_file_of_ours_passes(tmp_path):
    with opened_directory(tmp_path) as folder:
        replace_in(folder, "file", b"new", 0o600)
        assert check(folder, "file").st_size == 3
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.chmod(0o666), "other users may write"),
        (lambda path: path.chmod(0o660), "other users may write"),
        (lambda path: (path.parent / "second").hardlink_to(path), "hard link"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    ],
    ids=["for all users", "for a group", "hard link", "pipe", "directory"],
)
def test_a_file_that_others_can_change_does_not(tmp_path, spoil, problem):
    (tmp_path / "file").touch(mode=0o600)
    spoil(tmp_path / "file")
    with opened_directory(tmp_path) as folder, pytest.raises(UnsafePathError, match=problem):
        check(folder, "file")


def test_a_user_without_home_and_without_a_temporary_directory_shares_within_the_process(tmp_path):
    """A read-only machine whose user is not in the password database; every store, the server's stand-in included."""
    script = """
import logging, os, sys, tempfile
from airflow_provider_cleanlist.client.rate_limit import open_limiter
from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, Priority, Verdict

def ask():
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=900.0)

limiter = open_limiter("redis://localhost:1/0", "all modules are loaded", Budget())
ask()
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(61_234)
    os.setuid(61_234)
os.environ.clear()
tempfile._candidate_tempdir_list = lambda: ["/proc/nothing"]
tempfile.tempdir = None
records = []
logging.getLogger().addHandler(handler := logging.Handler())
handler.emit = records.append
for store in sys.argv[1:]:
    limiter = open_limiter(store, store, Budget())
    assert ask() == GO and ask().verdict is Verdict.WAIT, store
    print(store, sum("No directory can hold" in record.getMessage() for record in records))
    records.clear()
"""
    stores = ["memory://", "default", "file:///proc/cleanlist", "redis://localhost:1/0"]
    arguments = ["" if store == "default" else store for store in stores]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()] == ["0", "1", "1", "1"]
