"""The sandbox as a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

pytestmark = pytest.mark.integration
COMMAND = [sys.executable, "-m", "airflow_provider_cleanlist.sandbox"]


@pytest.fixture
def run():
    """Start sandboxes and read their three lines: address, key, connection."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str):
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        found = re.match(r"AIRFLOW_CONN_CLEANLIST_DEFAULT='(.*)'", lines[2])
        assert found is not None, process.stderr.read() if process.stderr else lines
        return process, json.loads(found[1]), lines

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def get(connection, path, **kwargs):
    headers = {"Authorization": f"Bearer {connection['password']}"}
    return requests.get(connection["host"] + path, headers=headers, timeout=5, **kwargs)


def test_prints_url_key_and_connection_and_serves(run):
    _, connection, lines = run("--credits", "12", "--key", "clapi_mine", "--requests-per-minute", "7")
    assert lines[0].startswith(f"Cleanlist sandbox at {connection['host']}")
    assert lines[1] == "API key: clapi_mine\n"
    assert connection == {
        "conn_type": "cleanlist",
        "host": connection["host"],
        "password": "clapi_mine",
        "extra": {"requests_per_minute": 7, "window_seconds": 60.0},
    }
    assert get(connection, "/api/v2/credits/balance").json()["credits"] == 12
    settings = get(connection, "/sandbox").json()["settings"]
    assert (settings["requests_per_minute"], settings["seconds_to_complete"]) == (7, 5.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly(run, number):
    process, connection, _ = run()
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    with pytest.raises(requests.ConnectionError):
        get(connection, "/sandbox")


def test_settings_clock_and_admin_side_from_another_process(run):
    _, connection, _ = run("--clock", "manual", "--set", "opaque_cursors=true", "--set", "email_rate=1")
    admin = f"{connection['host']}/sandbox"
    body = {"contacts": [{"linkedin_url": "https://www.linkedin.com/in/mara"}]}
    headers = {"Authorization": f"Bearer {connection['password']}"}
    url = f"{connection['host']}/api/v1/public/enrich/bulk"
    workflow_id = requests.post(url, json=body, headers=headers, timeout=5).json()["workflow_id"]
    params = {"workflow_id": workflow_id}
    assert get(connection, "/api/v1/public/enrich/status", params=params).json()["status"] == "processing"
    requests.post(f"{admin}/clock", json={"advance": 5}, timeout=5)
    assert get(connection, "/api/v1/public/enrich/status", params=params).json()["status"] == "completed"
    assert requests.get(f"{admin}/ledger", timeout=5).json()["credits_charged"] == 1


def test_a_million_leads_cost_no_memory(run):
    process, connection, _ = run("--requests-per-minute", "100000")

    def resident():
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024

    before = resident()
    answer = requests.post(
        f"{connection['host']}/sandbox/leads", json={"list_name": "Big", "count": 1_000_000}, timeout=5
    ).json()
    path = f"/api/v2/lead-lists/{answer['list_id']}/leads"
    for cursor in range(0, 1_000_000, 20_000):
        page = get(connection, path, params={"limit": 500, "cursor": str(cursor)}).json()
        assert len({lead["lead_id"] for lead in page["leads"]}) == 500
    assert get(connection, f"/api/v2/lead-lists/{answer['list_id']}").json()["lead_count"] == 1_000_000
    assert resident() - before < 20


SUBMIT = """
import json, os, sys
import requests
connection = json.loads(os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"])
contact = {"linkedin_url": "https://www.linkedin.com/in/mara-email-only"}
requests.post(
    connection["host"] + "/api/v1/public/enrich/bulk",
    json={"contacts": [contact]},
    headers={"Authorization": "Bearer " + connection["password"]},
    timeout=5,
).raise_for_status()
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("status", [0, 7])
def test_lives_as_long_as_a_command_and_ends_like_it(status):
    done = subprocess.run(
        [*COMMAND, "--set", "seconds_to_complete=0", "--", sys.executable, "-c", SUBMIT, str(status)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr == "Cleanlist sandbox: contacts submitted 1, more than once 0, credits charged 1\n"


def test_sigterm_ends_the_command():
    waits = "import sys, time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [*COMMAND, "--", sys.executable, "-c", waits],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
