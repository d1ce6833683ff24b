"""The example that writes emails back into a CRM, on every kind of database that its guide names.

The CRM's table is that of the guide. ``test_examples.py`` runs the same DAG with Airflow's own ``dag.test()``.
"""

from __future__ import annotations

import json
import re
import runpy
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.sandbox.server import SandboxServer

from .conftest import EXAMPLES, guide_rows, guide_sql, guide_text

pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, task_ids="shuffled"),
]

every_kind = pytest.mark.parametrize("kind", ["sqlite", "postgresql", "elsewhere"])
two_kinds = pytest.mark.parametrize("kind", ["postgresql", "elsewhere"])
FURTHER = """
INSERT INTO crm_contacts VALUES
    (9, 'Pia', 'Aalto', 'Email Only Ltd', 'email-only.example', NULL),
    (10, 'Uma', 'Solo', NULL, NULL, NULL)
"""
OWN_EMAIL = "UPDATE crm_contacts SET email = 'pia@own.example' WHERE id = 9"
FURTHER_ROWS = ["9 Pia pia@own.example", "10 Uma None"]


def example_elsewhere() -> str:
    """Return the example as the guide changes it for a CRM in another database than the ledger."""
    (argument,) = re.findall(r"```python\n(        source_rows_table=.*\n)```", guide_text())
    changes = {
        '        table="enrichment_results",\n': f'        table="enrichment_results",\n{argument}',
        "JOIN cleanlist_source_rows s": "JOIN crm_source_rows s",
        "                JOIN cleanlist_batches b ON b.workflow_id = r.workflow_id\n": "",
        "b.submitted_at": "r._cleanlist_synced_at",
    }
    text = (EXAMPLES / "write_back.py").read_text()
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@dataclass
class Crm:
    """A CRM and the DAG that writes into it.

    Attributes:
        engine: Its database.
        example: The DAG's file.
        sandbox: Cleanlist.
        results: What ``enrich`` returned in each run.
    """

    engine: sa.engine.Engine
    example: Path
    sandbox: SandboxServer
    results: list[dict[str, Any]] = field(default_factory=list)

    def run(self, *statements: str) -> None:
        """Change the CRM."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask the CRM's database."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(text))]

    def rows(self) -> list[str]:
        """Return the CRM's rows as the guide shows them."""
        rows = self.query("SELECT id, first_name, email FROM crm_contacts ORDER BY id")
        return [" ".join(map(str, row)) for row in rows]

    def night(
        self,
        run_id: str,
        *meanwhile: str,
        tasks: tuple[str, ...] = ("copy", "enrich", "load", "update"),
    ) -> None:
        """Run tasks of the DAG one after the other; the CRM may be changed after ``enrich``."""
        xcoms: dict[tuple[str, str], Any] = {}
        found = runpy.run_path(str(self.example))
        for task_id in tasks:
            self._execute(found[task_id], run_id, xcoms)
            if task_id == "enrich":
                self.results.append(xcoms["enrich", "return_value"])
                self.run(*meanwhile)

    def _execute(self, task: Any, run_id: str, xcoms: dict[tuple[str, str], Any]) -> None:
        ti = SimpleNamespace(
            dag_id=task.dag_id,
            run_id=run_id,
            task_id=task.task_id,
            map_index=-1,
            try_number=1,
            max_tries=3,
            start_date=datetime.now(UTC),
            xcom_push=lambda key, value: xcoms.update({(task.task_id, key): value}),
            xcom_pull=lambda task_ids, key, **_: xcoms[task_ids, key],
        )
        context = {
            "ti": ti,
            "task": task,
            "dag": task.dag,
            "run_id": run_id,
            "ds": "2026-03-01",
            "outlet_events": {},
        }
        task.render_template_fields(context)
        task.deferrable, task.poll_interval = False, 1
        xcoms[task.task_id, "return_value"] = task.execute(context)


@pytest.fixture
def crm(
    kind: str,
    request: pytest.FixtureRequest,
    cleanlist_sandbox: SandboxServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Crm]:
    """A CRM as it is before the guide's first night, and a ledger where the guide wants it."""
    example, connection = (
        EXAMPLES / "write_back.py",
        {"conn_type": "sqlite", "host": str(tmp_path / "crm.db")},
    )
    if kind == "postgresql":
        connection = request.getfixturevalue("postgres_connection")
        engine = request.getfixturevalue("open_postgres")("psycopg2")
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/crm.db")
    ledger = connection
    if kind == "elsewhere":
        ledger = connection | {"host": str(tmp_path / "ledger.db")}
        example = tmp_path / "write_back.py"
        example.write_text(example_elsewhere())
    cleanlist = json.loads(cleanlist_sandbox.connection_json())
    cleanlist["extra"] |= {"rate_limit_store": "memory://"}
    for name, value in {"CRM": connection, "LEDGER": ledger, "CLEANLIST_DEFAULT": cleanlist}.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "ledger")
    crm = Crm(engine, example, cleanlist_sandbox)
    crm.run(*guide_sql("day-1.sql"))
    yield crm
    engine.dispose()


@every_kind
def test_the_crm_is_as_the_guide_shows_it_night_after_night(crm: Crm) -> None:
    crm.night("first")
    assert crm.rows() == guide_rows(1)
    crm.run(*guide_sql("day-2.sql"), FURTHER)
    crm.night("second", OWN_EMAIL)
    expected = guide_rows(2) + FURTHER_ROWS
    assert crm.rows() == expected
    assert ("pia.aalto@email-only.example",) in crm.query("SELECT primary_email FROM enrichment_results")
    for run_id in ("second", "third"):  # cleared; and a night on which nothing has happened
        crm.night(run_id)
        assert crm.rows() == expected
    assert [result["contacts_submitted"] for result in crm.results] == [4, 2, 2, 0]
    assert [result["known_contacts"] for result in crm.results] == [0, 3, 3, 2]
    assert [result["invalid_contacts"] for result in crm.results] == [0, 1, 1, 1]
    assert sorted(crm.sandbox.ledger.times_submitted().values()) == [1] * 6


@every_kind
def test_nothing_is_there_to_do(crm: Crm) -> None:
    crm.run("DELETE FROM crm_contacts WHERE id <> 5")
    crm.night("first")
    assert crm.rows() == ["5 Ada ada@brandt.example"]
    assert crm.sandbox.ledger.times_submitted() == {}


@two_kinds
def test_a_row_that_changes_after_it_was_read_does_not_get_the_old_persons_email(crm: Crm) -> None:
    crm.night(
        "first",
        "UPDATE crm_contacts SET first_name = 'Omar', last_name = 'Haddad' WHERE id = 2",
        "UPDATE crm_contacts SET company = NULL WHERE id = 6",
        "UPDATE crm_contacts SET email = NULL WHERE id = 5",  # not read, because it had one
        "INSERT INTO crm_contacts VALUES (7, 'Nora', 'Ekberg', 'Found Both Foods', 'found-both.example', NULL)",
    )
    changed = ["2 Omar ", "5 Ada None", "6 NORA None", "7 Nora None"]
    assert crm.rows() == [guide_rows(1)[0], changed[0], *guide_rows(1)[2:4], *changed[1:]]
    crm.night("second")
    found = dict(row.rsplit(" ", 1) for row in crm.rows())
    assert found["2 Omar"] == "omar.haddad@email-only.example"
    assert found["5 Ada"] == "ada.brandt@email-only.example"
    assert found["6 NORA"] == found["7 Nora"] == "nora.ekberg@found-both.example"


@two_kinds
def test_an_older_run_that_is_cleared_beside_a_newer_copy_writes_nothing(crm: Crm) -> None:
    crm.night("first", tasks=("copy", "enrich", "load"))
    crm.run("UPDATE crm_contacts SET first_name = 'Bob', last_name = 'Stone' WHERE id = 1")
    crm.night("second", tasks=("copy",))  # and enrich fails before it has read anything
    crm.night("first", tasks=("update",))
    assert crm.rows()[0] == "1 Bob None"
    crm.night("second", tasks=("enrich", "load", "update"))
    assert crm.rows()[0] == "1 Bob bob.stone@found-both.example"


@two_kinds
def test_a_copy_that_is_repeated_after_enrich_has_read_changes_nothing(crm: Crm) -> None:
    crm.night("first", tasks=("copy", "copy", "enrich", "load"))
    crm.run("UPDATE crm_contacts SET first_name = 'Bob', last_name = 'Stone' WHERE id = 1")
    crm.night("first", tasks=("copy", "update"))
    assert crm.rows() == ["1 Bob None", *guide_rows(1)[1:]]
    crm.night("first")  # cleared as a whole, it reads the same copy again
    assert crm.rows()[0] == "1 Bob None"
    crm.night("second")
    assert crm.rows()[0] == "1 Bob bob.stone@found-both.example"
    assert [result["contacts_submitted"] for result in crm.results] == [4, 4, 1]
    assert sorted(crm.sandbox.ledger.times_submitted().values()) == [1] * 5


@two_kinds
def test_a_run_that_found_nothing_to_copy_copies_nothing_later(crm: Crm) -> None:
    crm.night("first")
    crm.run("UPDATE crm_contacts SET email = 'some@own.example' WHERE email IS NULL")
    crm.night("second", tasks=("copy", "enrich", "load"))
    crm.run("UPDATE crm_contacts SET first_name = 'Bob', last_name = 'Stone', email = NULL WHERE id = 1")
    for run_id in ("second", "first"):
        crm.night(run_id, tasks=("copy", "update"))
        assert crm.rows()[0] == "1 Bob None"


@two_kinds
def test_an_older_run_that_is_cleared_leaves_its_emails_to_the_newer_copy(crm: Crm) -> None:
    crm.night("first", tasks=("copy", "enrich"))
    crm.night("second", tasks=("copy", "enrich"))
    crm.night("first")
    assert [result["contacts_submitted"] for result in crm.results] == [4, 0, 4]
    assert crm.rows()[0] == "1 Nora None"
    crm.night("second", tasks=("copy", "enrich", "load", "update"))
    assert crm.rows() == guide_rows(1)


@pytest.mark.parametrize("kind", ["postgresql"])
def test_of_two_attempts_to_copy_at_the_same_moment_one_copies(crm: Crm) -> None:
    crm.night("first", tasks=("copy",))
    copied = crm.query("SELECT id FROM crm_contacts_read ORDER BY id")
    *_, insert = runpy.run_path(str(crm.example))["copy"].sql
    insert = insert.replace("{{ run_id }}", "second")

    with crm.engine.connect() as zombie, ThreadPoolExecutor(1) as pool:
        zombie.execute(sa.text(insert))
        attempt = pool.submit(crm.run, insert)
        deadline = time.monotonic() + 30
        while not crm.query("SELECT 1 FROM pg_locks WHERE NOT granted") and not attempt.done():
            assert time.monotonic() < deadline
        zombie.commit()
        with pytest.raises(sa.exc.IntegrityError, match="crm_contacts_read_once"):
            attempt.result(30)
    assert crm.query("SELECT id FROM crm_contacts_read WHERE run_id = 'second' ORDER BY id") == copied
    crm.night("second", tasks=("copy",))
    assert crm.query("SELECT id FROM crm_contacts_read WHERE run_id = 'second' ORDER BY id") == copied


@two_kinds
def test_an_id_that_the_ledger_does_not_keep_gets_nobodys_email(crm: Crm) -> None:
    longest = "k" * 200
    table, _ = guide_sql("day-1.sql")
    crm.run(
        "DROP TABLE crm_contacts",
        table.replace("id INTEGER", "id VARCHAR(300)"),
        "INSERT INTO crm_contacts VALUES "
        f"('{longest}', 'Nora', 'Ekberg', 'Found Both Foods', 'found-both.example', NULL), "
        f"('{longest}l', 'Lia', 'Black', 'Nothing Found Labs', 'nothing-found.example', NULL), "
        f"('{longest}-mallory', 'Mallory', 'Black', 'Email Only Ltd', 'email-only.example', NULL)",
    )
    crm.night("first")
    assert crm.query("SELECT first_name, email FROM crm_contacts ORDER BY first_name") == [
        ("Lia", None),
        ("Mallory", None),
        ("Nora", "nora.ekberg@found-both.example"),
    ]


BATCH = """organisation, dag_id, run_id, task_id, map_index, try_number, token, task_key, state, enrichment_type,
    contacts, worst_case_credits, note, changed_at"""


@two_kinds
def test_the_newest_email_of_a_person_counts(crm: Crm, kind: str) -> None:
    """Where the ledger says which is the newest, the results may be loaded in any order."""
    crm.night("first", tasks=("copy", "enrich", "load"))
    crm.run("DELETE FROM enrichment_results WHERE prospect_first_name <> 'Ravi'")

    def find(number: int, email: str | None, status: str | None) -> None:
        loaded = 2090 + (number if kind == "elsewhere" else -number)
        shown = ", ".join(f"'{text}'" if text else "NULL" for text in (email, status))
        crm.run(
            "INSERT INTO enrichment_results (task_id, workflow_id, _cleanlist_person, _cleanlist_synced_at, "
            f"primary_email, primary_email_status) SELECT 't{number}', 'w{number}', _cleanlist_person, "
            f"'{loaded}-01-01', {shown} FROM enrichment_results WHERE prospect_first_name = 'Ravi'"
        )
        if kind != "elsewhere":
            crm.run(
                f"INSERT INTO cleanlist_batches (batch_id, workflow_id, submitted_at, {BATCH}) "
                f"SELECT 'b{number}', 'w{number}', '20{90 + number}-01-01 00:00:00', {BATCH} "
                "FROM cleanlist_batches WHERE run_id = 'first' AND batch_id NOT LIKE 'b_'"
            )

    newest = (
        ("doubtful@x.example", "risky", None),
        ("wrong@x.example", "invalid", None),
        ("likely@x.example", "likely_valid", "likely@x.example"),
        ("new@x.example", "verified", "new@x.example"),
        (None, None, "new@x.example"),  # for instance of phone_only
    )
    for number, (email, status, expected) in enumerate(newest, start=1):
        find(number, email, status)
        crm.run("UPDATE crm_contacts SET email = NULL WHERE id = 2")
        crm.night("first", tasks=("update",))
        assert crm.rows()[1] == f"2 Ravi {expected}"


@two_kinds
def test_rows_that_have_become_somebody_else_or_nobody_do_not_get_the_old_persons_email(crm: Crm) -> None:
    crm.night("first", tasks=("copy", "enrich", "load"))
    crm.run(
        "UPDATE crm_contacts SET first_name = 'Omar', last_name = 'Haddad' WHERE id = 2",
        "UPDATE crm_contacts SET first_name = 'Bob', company = NULL, website = NULL WHERE id = 1",
        "UPDATE crm_contacts SET first_name = NULL, last_name = NULL, company = NULL, website = NULL WHERE id = 6",
    )
    crm.night("second")
    assert crm.rows()[:2] == ["1 Bob None", "2 Omar omar.haddad@email-only.example"]
    assert crm.rows()[5] == "6 None None"
    crm.run(
        "UPDATE crm_contacts SET first_name = 'Ravi', last_name = 'Menon', email = NULL WHERE id = 2",
        "UPDATE crm_contacts SET company = 'Found Both Foods', website = 'found-both.example', first_name = 'Nora' "
        "WHERE id = 1",
    )
    crm.night("third")  # nobody is submitted
    assert crm.rows()[:2] == ["1 Nora nora.ekberg@found-both.example", "2 Ravi ravi.menon@email-only.example"]
    assert [result["contacts_submitted"] for result in crm.results] == [4, 1, 0]
