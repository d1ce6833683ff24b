"""What a DAG file costs to parse: CPU seconds and modules, each in a fresh interpreter.

Usage: parse_time.py [repetitions]. Beside an empty DAG it parses the provider's own examples and, where their providers
are installed, DAGs with one operator of the HTTP and of the dbt Cloud provider. Each file is parsed the way Airflow
does it, with Airflow loaded beforehand: the figures are what the file adds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "dags_examples"
HEAD = "from airflow.sdk import DAG\n"
TAIL = "\nwith DAG('d', schedule=None):\n    {}\n"
PROBE = """
import importlib.util, json, sys, time
from airflow.sdk import DAG, BaseOperator, Asset, task
import airflow.dag_processing.dagbag
before, started = set(sys.modules), time.process_time()
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
seconds = time.process_time() - started
print("\\n" + json.dumps([seconds, len(set(sys.modules) - before)]))
"""
PEERS = {
    "HTTP provider, one HttpOperator": (
        "airflow.providers.http",
        "from airflow.providers.http.operators.http import HttpOperator",
        "HttpOperator(task_id='t')",
    ),
    "dbt Cloud provider, one DbtCloudRunJobOperator": (
        "airflow.providers.dbt",
        "from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator",
        "DbtCloudRunJobOperator(task_id='t', job_id=1)",
    ),
}


def installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def files(folder: Path) -> dict[str, Path]:
    """Return the DAG files to parse by what they are."""
    sources = {"empty DAG": HEAD + TAIL.format("pass")}
    for name, (package, imports, body) in PEERS.items():
        if installed(package):
            sources[name] = HEAD + imports + TAIL.format(body)
    written = {}
    for number, (name, source) in enumerate(sources.items()):
        written[name] = folder / f"dag_{number}.py"
        written[name].write_text(source)
    return written | {f"this provider, {path.name}": path for path in sorted(EXAMPLES.glob("*.py"))}


def measure(path: Path, repetitions: int, env: dict[str, str]) -> tuple[float, int]:
    """Return the median of CPU seconds, and the number of modules, that parsing a file adds."""
    results = []
    for _ in range(repetitions):
        done = subprocess.run(
            [sys.executable, "-c", PROBE, str(path)], env=env, capture_output=True, text=True, check=True
        )
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return statistics.median(seconds for seconds, _ in results), results[0][1]


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"AIRFLOW_HOME": folder, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        print("| DAG file | CPU ms | modules |\n|---|---|---|")
        for name, path in files(Path(folder)).items():
            seconds, modules = measure(path, repetitions, env)
            print(f"| {name} | {seconds * 1000:.0f} | {modules} |")


if __name__ == "__main__":
    main()
