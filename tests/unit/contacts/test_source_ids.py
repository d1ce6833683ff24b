"""The ids of a source's rows: whom each of them names, if anybody."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.source_ids import SourceIds
from airflow_provider_cleanlist.contacts.sources import FileSource, RecordsSource, Source

NORA = {"id": "1", "first_name": "Nora", "last_name": "Ekberg", "company_domain": "found-both.example"}
OMAR = {"id": "2", "first_name": "Omar", "last_name": "Haddad", "company_domain": "email-only.example"}
NO_COMPANY = {"first_name": "Bob", "last_name": "Stone", "company_domain": None}
NO_PERSON = {"first_name": None, "last_name": None, "company_domain": None}
NO_NAME = {"first_name": "Help", "last_name": "Desk", "company_domain": "found-both.example"}


def named(source: Source) -> tuple[dict[str, str], list[str]]:
    """Return the person of each id (the last name, or nothing), and what is said of unusable ids."""
    with SourceIds("id") as ids:
        rows = list(read_contacts(source, ReadReport(), source_ids=ids))
        names = {row.identity: row.contact.last_name for row in rows if isinstance(row, UsableRow)}
        found = list(ids.rows())
        assert found == list(ids.rows())
    assert len(dict(found)) == len(found)
    return {source_id: names.get(person, person) for source_id, person in found}, ids.unusable.lines()


@pytest.mark.parametrize("row", [NO_COMPANY, NO_PERSON, NO_NAME])
def test_a_row_that_names_nobody_has_nobodys_id(row: dict[str, str | None]) -> None:
    source = RecordsSource([NORA, {"id": 7} | row, OMAR, {"id": 0} | row])
    assert named(source) == ({"1": "Ekberg", "2": "Haddad", "7": b"", "0": b""}, [])


@pytest.mark.parametrize("row", [NO_COMPANY, NO_PERSON])
def test_an_id_of_somebody_and_of_a_row_that_names_nobody_stands_for_nobody(
    row: dict[str, str | None],
) -> None:
    nobody = {"id": " 1"} | row
    reason = "with an id that another row gives to somebody else"
    for rows, said in (
        ([nobody, NORA], "1 (row 1)"),
        ([NORA, nobody], "1 (row 2)"),
        ([nobody, NORA, nobody], "2 (rows 1, 3)"),
    ):
        assert named(RecordsSource(rows)) == ({"1": b""}, [f"{said} {reason}"])


def test_an_id_that_several_rows_give_to_nobody_is_no_mistake() -> None:
    assert named(RecordsSource([{"id": "4"} | NO_COMPANY, NORA, {"id": "4"} | NO_NAME])) == (
        {"1": "Ekberg", "4": b""},
        [],
    )


def test_rows_that_name_nobody_do_not_matter_without_a_usable_id() -> None:
    rows = [NORA, {"id": ""} | NO_COMPANY, {"id": None} | NO_PERSON, {"id": "x" * 201} | NO_COMPANY]
    assert named(RecordsSource([*rows, NO_COMPANY])) == ({"1": "Ekberg"}, [])


def test_a_damaged_row_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    lines = [",".join(NORA), ",".join(NORA.values()), "5,Bob,Stone,stone.example,shifted", ",,,", "6,,,"]
    path.write_text("\n".join(lines))
    assert named(FileSource(path)) == ({"1": "Ekberg", "5": b"", "6": b""}, [])


def test_duplicates_and_shared_ids_stay_what_they_are() -> None:
    rows = [NORA, NORA | {"id": "3"}, OMAR | {"id": "1"}, NO_COMPANY | {"id": "3"}]
    assert named(RecordsSource(rows)) == (
        {"1": b"", "3": b""},
        ["2 (rows 3, 4) with an id that another row gives to somebody else"],
    )


@pytest.mark.parametrize("others", [0, 1])
def test_an_id_that_comes_in_each_row_takes_no_memory_for_each(others: int) -> None:
    rows = 50_000
    with SourceIds("id") as ids:
        tracemalloc.start()
        for number in range(1, rows + 1):
            ids.add(number, {"id": "x"}, b"Ada" if number <= rows - others else b"Bob")
        ids.finish()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4_000_000  # 17,000,000 if each row is kept
        assert list(ids.rows()) == [("x", b"" if others else b"Ada")]
        assert ids.unusable.shared.count == others


def test_the_first_rows_of_shared_ids_are_named_in_their_order() -> None:
    rows: list[dict[str, object]] = [
        NORA,
        {"id": "1"} | NO_COMPANY,
        OMAR | {"id": "1"},
        {"id": "1"} | NO_PERSON,
    ]
    (line,) = named(RecordsSource(rows))[1]
    assert line.startswith("3 (rows 2, 3, 4) ")
