"""The directories of this host for files that its processes share, and who may write to them.

A directory is used only if nobody but this user, root and the group that the directory was given to can change it.
Other users of the host could otherwise hold the lock of a file for ever, or put something else in its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DIRECTORY_NAME = ".cleanlist"
"""Name of the directory that holds the files; in the temporary directory the number of the user follows it."""


def scope_hash(scope: str) -> str:
    """Return what names the files and keys of a budget.

    Args:
        scope: Name of the budget.
    """
    return hashlib.blake2b(scope.encode(), digest_size=12).hexdigest()


class UnsafePathError(OSError):
    """A file or directory that somebody else can change, or that is not what it should be."""


@dataclass(frozen=True, slots=True)
class SharedDirectory:
    """An open directory.

    Attributes:
        descriptor: Its file descriptor, for the ``dir_fd`` argument of the functions in :mod:`os`.
        has_group: Whether its group may write to it, and so shares its files.
    """

    descriptor: int
    has_group: bool

    @property
    def file_mode(self) -> int:
        """Mode of the files in it: for this user alone, or for the group as well."""
        return 0o660 if self.has_group else 0o600

    def check(self, file: int) -> os.stat_result:
        """Return the status of an open file in this directory.

        Args:
            file: Its file descriptor.

        Raises:
            UnsafePathError: It is not a regular file, has another name elsewhere, or somebody else can change it.
        """
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafePathError("it is not a regular file")
        if status.st_nlink > 1:
            raise UnsafePathError("the file has a second name (a hard link)")
        if not self.has_group and status.st_uid not in _trusted_users():
            raise UnsafePathError(f"the file belongs to user {status.st_uid}")
        if status.st_mode & (0o002 if self.has_group else 0o022):
            raise UnsafePathError("other users may write to the file")
        return status


def default_directories() -> list[Path]:
    """Return the candidates, best first: below Airflow's home, the user's runtime and the temporary directory.

    Those that cannot be determined are missing: a user without an entry in the password database has no home, and a
    read-only machine may have no temporary directory.
    """
    home = os.path.expanduser(os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow"))  # noqa: PTH111 - does not raise
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [Path(parent) / DIRECTORY_NAME for parent in (home, runtime) if parent]
    with contextlib.suppress(FileNotFoundError):
        candidates.append(Path(tempfile.gettempdir()) / f"{DIRECTORY_NAME}-{os.geteuid()}")
    return [path for path in candidates if path.is_absolute()]


@contextlib.contextmanager
def opened_directory(path: Path, *, create: bool = False) -> Iterator[SharedDirectory]:
    """Open a directory while the context lasts.

    Args:
        path: The directory.
        create: Whether to create it, for this user alone, if it is missing.

    Yields:
        The open directory.

    Raises:
        UnsafePathError: It is a symbolic link, belongs to somebody else, or all users may write to it.
        OSError: It cannot be opened or created.
    """
    descriptor = _open(path, create=create)
    try:
        status = os.fstat(descriptor)
        if status.st_uid not in _trusted_users():
            raise UnsafePathError(f"the directory belongs to user {status.st_uid}")
        if status.st_mode & 0o002:
            raise UnsafePathError("all users may write to the directory")
        yield SharedDirectory(descriptor, has_group=bool(status.st_mode & 0o020))
    finally:
        os.close(descriptor)


def replace_in(folder: SharedDirectory, name: str, content: bytes, mode: int) -> None:
    """Write a file in a directory as a whole; of several writers at the same time, the last one wins.

    Args:
        folder: The directory.
        name: Name of the file.
        content: Its content.
        mode: Its mode, whatever the umask.

    Raises:
        OSError: It cannot be written.
    """
    temporary = f".new-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600, dir_fd=folder.descriptor)
    try:
        os.fchmod(file, mode)
        os.write(file, content)
        os.rename(temporary, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
    except OSError:
        os.unlink(temporary, dir_fd=folder.descriptor)
        raise
    finally:
        os.close(file)


def _open(path: Path, *, create: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
    except NotADirectoryError:
        if path.is_symlink():
            raise UnsafePathError("it is a symbolic link") from None
        raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102 - beside os.open
    return os.open(path, flags)


def _trusted_users() -> tuple[int, int]:
    return os.geteuid(), 0
