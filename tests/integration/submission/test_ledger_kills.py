"""Tasks that share a ledger are killed at random moments: the small version of ``benchmarks/ledger_kills.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "ledger_kills.py"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not here"),
]


def test_nobody_is_submitted_twice_and_nobody_is_lost(server: Any, tmp_path: Path) -> None:
    environment = os.environ | {
        "LEDGER_CONNECTION": json.dumps(server.connection),
        "AIRFLOW_HOME": str(tmp_path),
    }
    limits = ("--kills", "10", "--people", "600", "--seconds", "60")
    command = [sys.executable, str(SCRIPT), server.kind, *limits]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    counts = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"database"')]
    assert counts, ended.stderr[-2_000:]
    (found,) = counts
    assert (found["twice"], found["lost"], ended.returncode) == (0, 0, 0)
    assert found["kills"] > 0
    assert found["submitted"] > 0.5 * found["people"]
