"""The look at a file without Airflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_cleanlist.contacts.__main__ import main
from airflow_provider_cleanlist.contacts.sources import FileSource

PEOPLE = """First Name,Last Name,Company,Notiz
Mara,Okafor,Northfold,x
MARA,okafor,northfold,y
Teo,,Harborlight,z
,,,
"""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def test_counts_and_row_numbers_are_printed_and_no_value(people, capsys):
    assert main([str(people)]) == 1
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        f"Read 3 rows from {people} (ascii, comma-separated): 1 contact to enrich.",
        "Columns read: 'First Name' -> first_name, 'Last Name' -> last_name, 'Company' -> company_name.",
        "Columns not used: 'Notiz'.",
        "Duplicates dropped: 1 (row 2).",
        "Rows refused: 1.",
        "  missing_name: 1 (row 3): first_name or last_name is missing, and there is no LinkedIn URL",
        "Blank rows skipped: 1 (row 4).",
    ]


def test_arguments_are_those_of_the_operator(tmp_path, capsys):
    path = tmp_path / "people.csv"
    path.write_bytes("x\nRufname=A;Zuname;Firma;Domain\nŁucja;Żak;Quill;n/a\n".encode("cp1250"))
    arguments = [str(path), "--encoding", "cp1250", "--header-row", "2"]
    mapping = ["--map", "Rufname=A=first_name", "--map", "Zuname=last_name", "--map", "Firma=company_name"]
    assert main([*arguments, *mapping, "--map", "Domain="]) == 0
    printed = capsys.readouterr().out
    assert "1 contact to enrich" in printed
    assert "Columns not used: 'Domain'." in printed
    assert "Łucja" not in printed


@pytest.mark.parametrize(
    "arguments", [["--encoding", "utf-42"], ["--header-row", "9"], ["--map", "Beruf=first_name"]]
)
def test_a_file_that_cannot_be_read(people, capsys, arguments):
    assert main([str(people), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip()
    assert "Mara" not in captured.err


def test_a_storage_that_fails_is_a_message(people, capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(FileSource, "_open", fail)
    assert main([str(people)]) == 2
    assert capsys.readouterr().err == f"{people} cannot be read (OSError).\n"


def test_a_mapping_without_equals_sign_is_an_error(people, capsys):
    with pytest.raises(SystemExit):
        main([str(people), "--map", "Vorname"])
    assert "give COLUMN=FIELD" in capsys.readouterr().err


def test_airflow_is_not_imported(people):
    probe = (
        "import sys; from airflow_provider_cleanlist.contacts.__main__ import main; main(sys.argv[1:]); "
        "print({'airflow', 'pandas', 'pyarrow', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(people)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ("Mara,Okafor,Northfold", 0),
        ("Mara,,Northfold", 1),
        (",,", 1),
        ("First Name,Last Name,Company", 1),
        ("", 0),
    ],
)
def test_the_exit_status_is_1_if_no_row_can_be_sent(tmp_path, rows, status):
    path = tmp_path / "people.csv"
    path.write_text(f"First Name,Last Name,Company\n{rows}\n" if rows else "First Name,Last Name,Company\n")
    assert main([str(path)]) == status


def test_a_terminal_that_cannot_show_a_name(tmp_path):
    file = tmp_path / "leads.csv"
    file.write_text("First Name,Last Name,Company,Größe→\nAda,Roe,Larch,1\n", "utf-8")
    command = [sys.executable, "-m", "airflow_provider_cleanlist.contacts", str(file)]
    run = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )
    assert rb"Columns not used: 'Gr\xf6\xdfe\u2192'." in run.stdout
