"""The dbt example on a real PostgreSQL with a real dbt, which nox session ``dbt`` sets up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "dags_examples"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif("DBT_EXECUTABLE" not in os.environ, reason="needs a dbt of its own: nox -s dbt"),
]
LEADS = [
    ("1", "a@x.example", "+1"),
    ("2", "b@x.example", None),
    ("3", "c@x.example", None),
    ("4", None, None),
]


def test_the_models_are_built_and_a_later_task_uses_them(
    postgres_database: sa.engine.URL, airflow_env: dict[str, str], tmp_path: Path
) -> None:
    engine = sa.create_engine(postgres_database.set(drivername="postgresql+psycopg2"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE cleanlist_leads (lead_id TEXT, email TEXT, phone TEXT)"))
        for lead in LEADS:
            connection.execute(
                sa.text("INSERT INTO cleanlist_leads VALUES (:id, :email, :phone)"),
                dict(zip(("id", "email", "phone"), lead, strict=True)),
            )
    engine.dispose()
    socket = postgres_database.query["host"]
    env = airflow_env | {
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(
            {
                "conn_type": "postgres",
                "host": socket,
                "login": "postgres",
                "schema": postgres_database.database,
            }
        ),
        "WAREHOUSE_HOST": str(socket),
        "WAREHOUSE_USER": "postgres",
        "WAREHOUSE_DATABASE": str(postgres_database.database),
        "DO_NOT_TRACK": "1",
        "DBT_LOG_PATH": str(tmp_path / "dbt-logs"),
    }
    (tmp_path / "runs.json").write_text('[{"dag": "leads_to_marts"}]')
    files = (tmp_path / "runs.json", tmp_path / "result.json")
    done = subprocess.run(
        [sys.executable, HERE / "run_examples.py", EXAMPLES, *files],
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = json.loads(files[1].read_text())["runs"]
    assert run["state"] == "success", done.stdout[-5000:]
    (coverage,) = (
        xcom["value"] for xcom in run["xcoms"] if (xcom["task"], xcom["key"]) == ("coverage", "return_value")
    )
    assert coverage == {"email and phone": 1, "email": 2, "nothing": 1}
