"""The file of contacts that were not submitted."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path

import pytest

from airflow_provider_cleanlist.exceptions import CleanlistRejectsFileError
from airflow_provider_cleanlist.submission import rejects
from airflow_provider_cleanlist.submission.rejects import (
    FORMULA_STARTS,
    REFUSED_BY_CLEANLIST,
    REJECT_COLUMNS,
    Rejects,
    harmless,
)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    awkward = 'Ó"Brien, Zoë\nline two'
    with Rejects(str(path)) as file:
        file.add(7, "email_only", {"email": "x@harborlight.example", "first_name": None})
        file.add(9, REFUSED_BY_CLEANLIST, {"last_name": awkward, "company_name": 12, "unknown": "left out"})
        file.save()

    first, second = rows_of(path)
    empty = dict.fromkeys(REJECT_COLUMNS, "")
    assert first == empty | {"row": "7", "reason": "email_only", "email": "x@harborlight.example"}
    assert second == empty | {
        "row": "9",
        "reason": "refused_by_cleanlist",
        "last_name": awkward,
        "company_name": "12",
    }


def test_a_file_without_rejects_says_so(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "rejects.csv"
    with Rejects(str(path)) as file:
        file.save()
    assert path.read_bytes().decode() == ",".join(REJECT_COLUMNS) + "\r\n"


def test_every_save_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    path.write_text("of an earlier try\n" * 100)
    with Rejects(str(path)) as file:
        file.add(1, "a", {})
        file.save()
        file.add(2, "b", {})
        file.save()
    assert [row["row"] for row in rows_of(path)] == ["1", "2"]


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with Rejects(str(path)) as file:
        file.save()
        path.unlink()
        file.save()
        assert not path.exists()
        file.add(1, "a", {})
        file.save()
        assert path.exists()


def test_a_uri(tmp_path: Path) -> None:
    with Rejects(f"file://{tmp_path}/rejects.csv") as file:
        file.add(1, "a", {})
        file.save()
    assert len(rows_of(tmp_path / "rejects.csv")) == 1


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        Rejects(str(tmp_path)) as file,
        pytest.raises(CleanlistRejectsFileError, match="rejects_path cannot be written: IsADirectoryError"),
    ):
        file.save()


def test_text_that_is_no_unicode_is_kept_readable(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with Rejects(str(path)) as file:
        file.add(1, "a", {"last_name": "Qux\ud800ley"})
        file.save()
    assert rows_of(path)[0]["last_name"] == "Qux\\ud800ley"


def test_many_rows_go_through_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects, "_MEMORY_BYTES", 1_000)
    path = tmp_path / "rejects.csv"
    with Rejects(str(path)) as file:
        for number in range(500):
            file.add(number, "a", {"last_name": "Quxley"})
        file.save()
        file.add(500, "a", {"last_name": "Quxley"})
        file.save()
    assert [int(row["row"]) for row in rows_of(path)] == list(range(501))


@pytest.mark.parametrize("start", [*FORMULA_STARTS, " =", "\n=", " \u00a0\uff1d"])
def test_a_value_that_a_spreadsheet_would_run_is_made_harmless(tmp_path: Path, start: str) -> None:
    path = tmp_path / "rejects.csv"
    value = f'{start}HYPERLINK("https://evil.example","x")'
    for escape, expected in ((True, f"'{value}"), (False, value)):
        with Rejects(str(path), escape_formulas=escape) as file:
            file.add(1, "a", {"company_name": value, "last_name": "O'Brien-Quay", "first_name": "Zoë = 1"})
            file.save()
        (row,) = rows_of(path)
        assert row["company_name"] == expected
        assert (row["last_name"], row["first_name"]) == ("O'Brien-Quay", "Zoë = 1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bo;=1+1;", "Bo;'=1+1;"),
        ("x\t=2+2", "x\t'=2+2"),
        ("a|@SUM(1)", "a|'@SUM(1)"),
        ("a\r\n \uff0b1", "a\r\n '\uff0b1"),
        ('a;"=1+1"', 'a;"\'=1+1"'),
        ("=1;=2", "'=1;'=2"),
        ("\t" * 300_000 + "x", "'" + "\t" * 300_000 + "x"),
        ("a; b-c | d=e, =f", "a; b-c | d=e, =f"),
        ("two\nlines; Zo\u00eb", "two\nlines; Zo\u00eb"),
    ],
)
def test_no_part_of_a_value_is_a_formula_where_another_separator_is_set(text: str, expected: str) -> None:
    assert harmless(text) == expected


def test_the_file_is_for_this_user_and_its_group(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    path.touch(mode=0o666)
    umask = os.umask(0o002)
    try:
        with Rejects(str(path)) as file:
            file.save()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert [file.name for file in tmp_path.iterdir()] == ["rejects.csv"]


@pytest.mark.parametrize("spelling", ["", "file://", "local://"])
def test_a_link_that_somebody_has_put_there_is_not_followed(tmp_path: Path, spelling: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "rejects.csv").symlink_to(precious)
    with Rejects(f"{spelling}{tmp_path}/rejects.csv") as file:
        file.add(1, "a", {})
        file.save()
    assert precious.read_text() == "precious"
    assert len(rows_of(tmp_path / "rejects.csv")) == 1


def test_a_device_is_written_to(tmp_path: Path) -> None:
    with Rejects("/dev/null") as file:
        file.add(1, "a", {})
        file.save()
    assert Path("/dev/null").is_char_device()


def test_a_pipe_that_nobody_reads_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    rejects = Rejects(str(tmp_path / "pipe"))
    rejects.add(1, "email_only", {})
    with rejects, pytest.raises(CleanlistRejectsFileError, match="OSError"):
        rejects.save()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("is_linked", [False, True])
@pytest.mark.parametrize("spelling", ["", "file://"])
def test_a_pipe_of_somebody_else_is_replaced_and_one_of_ours_written_to(
    tmp_path: Path, spelling: str, *, is_linked: bool
) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / "rejects.csv"
    os.mkfifo(pipe)
    if is_linked:
        path.symlink_to(pipe)
    else:
        path = pipe
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Rejects(f"{spelling}{path}") as file:
            file.save()
            assert os.read(reader, 1000).startswith(b"row,")
            os.chown(pipe, 12_345, -1)
            file.add(1, "no_name", {})
            file.save()
        assert os.read(reader, 1000) == b""
    finally:
        os.close(reader)
    assert path.is_file()
    assert not path.is_symlink()
