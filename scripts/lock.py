"""Write the lock files in ``requirements/``: every package pinned, with hashes, without any index address.

``nox -s lock`` keeps pinned versions where they still fit; ``nox -s lock -- --upgrade`` takes the newest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = (
    "--universal",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--python-version=3.11",
    "--quiet",
)


class Lock(NamedTuple):
    """One lock file: its name, what it is resolved from, and what goes to the resolver's standard input."""

    name: str
    arguments: tuple[str, ...]
    stdin: str = ""


NEWER_THAN_AIRFLOW = (
    "apache-airflow-providers-common-compat",
    "apache-airflow-providers-common-sql",
    "asgiref",
)
"""What the package needs in newer releases than an old Airflow knew, and what those need."""


def matrix_lock(airflow: str, until: str, *oldest: str) -> Lock:
    """Return the lock of one Airflow version of the support matrix, as of soon after its release.

    Args:
        airflow: The version.
        until: The day from which on the resolver sees no release.
        oldest: Requirements at the lower bounds of the package's own, which one cell has to prove.

    Airflow's upstream constraints are not at hand. A later release of a dependency may break an old Airflow, so the
    resolver sees none but those in ``NEWER_THAN_AIRFLOW``.
    """
    return Lock(
        f"matrix/airflow-{airflow}.txt",
        (
            "pyproject.toml",
            "-",
            "--extra=sandbox",
            "--extra=redis",
            "--extra=pandas",
            "--group=matrix",
            f"--exclude-newer={until}",
            *(f"--exclude-newer-package={name}=2026-11-20" for name in NEWER_THAN_AIRFLOW),
        ),
        "".join(f"{requirement}\n" for requirement in (f"apache-airflow=={airflow}", *oldest)),
    )


WAREHOUSES = (
    "bigquery",
    "databricks",
    "duckdb",
    "mssql",
    "mysql",
    "oracle",
    "redshift",
    "snowflake",
    "trino",
)

LOCKS = (
    Lock("bootstrap.txt", ("-",), "uv\n"),
    Lock("demo.txt", ("pyproject.toml", "--extra=sandbox", "--group=demo")),
    Lock(
        "dev.txt",
        (
            "pyproject.toml",
            "--extra=sandbox",
            "--extra=redis",
            "--extra=postgres",
            "--extra=pandas",
            "--group=dev",
            "--constraint=requirements/demo.txt",
        ),
    ),
    Lock(
        "warehouses.txt",
        (
            "pyproject.toml",
            *(f"--extra={name}" for name in WAREHOUSES),
            "--group=warehouses",
        ),
    ),
    Lock(
        "benchmarks.txt",
        (
            "pyproject.toml",
            *(f"--extra={name}" for name in ("duckdb", "mysql", "pandas", "postgres", "sandbox")),
            "--group=benchmarks",
            "--constraint=requirements/dev.txt",
        ),
    ),
    Lock("dbt.txt", ("-",), "dbt-core>=1.10,<1.11\ndbt-postgres\n"),  # later ones download parts of their own
    matrix_lock("2.11.2", "2026-04-01"),
    matrix_lock("3.0.6", "2025-09-20"),
    matrix_lock(
        "3.1.8",
        "2026-04-01",
        "apache-airflow-providers-common-compat==1.14.0",
        "apache-airflow-providers-common-sql==1.32.0",
    ),
    matrix_lock("3.2.2", "2026-06-15"),
    matrix_lock("3.3.2", "2026-10-05"),
)


def problems(text: str) -> list[str]:
    """Return what a lock file's text must not hold or must not lack."""
    found = [f"an address: {line}" for line in text.splitlines() if "://" in line or line.startswith("--")]
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    found += [f"no exact version: {line}" for line in pins if "==" not in line]
    found += [f"no hash: {line}" for line in pins if not line.endswith("\\")]
    return found if pins else ["no packages"]


def write(lock: Lock, upgrade: bool) -> None:
    """Resolve one lock file and check it.

    Raises:
        SystemExit: uv failed, or the result is not fit to be committed.
    """
    output = ROOT / "requirements" / lock.name
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        *lock.arguments,
        *OPTIONS,
        f"--output-file={output}",
    ]
    subprocess.run(
        [*command, *(["--upgrade"] if upgrade else [])], cwd=ROOT, input=lock.stdin, text=True, check=True
    )
    if wrong := problems(output.read_text()):
        raise SystemExit("\n".join([f"{output} is not fit to be committed:", *wrong]))
    print(f"{output.relative_to(ROOT)}: {output.read_text().count('==')} packages")


def main() -> None:
    """Write all lock files."""
    parser = argparse.ArgumentParser(description="Write the lock files.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = parser.parse_args().upgrade
    for lock in LOCKS:
        write(lock, upgrade)


if __name__ == "__main__":
    main()
