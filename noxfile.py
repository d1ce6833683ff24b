"""Every check of the project. ``.venv/bin/nox -l`` lists them; ``scripts/test.py`` sets ``.venv`` up.

Sessions without an environment of their own use the locked tools that nox itself is installed with.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nox

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
SITE = ROOT / "build" / "docs"

MATRIX = {
    "2.11.2": ("3.11", "3.12"),
    "3.0.6": ("3.11", "3.12"),
    "3.1.8": ("3.11", "3.12", "3.13"),
    "3.2.2": ("3.11", "3.12", "3.13"),
    "3.3.2": ("3.11", "3.12", "3.13"),
}
CELLS = [(airflow, python) for airflow, pythons in MATRIX.items() for python in pythons]
RUNS = "tests/integration/airflow"
AIRFLOW_FACING = ("assets", "exceptions", "lineage", "links", "provider_info", "public_names", "retry_policy")
FULL = ("tests/unit", "--ignore=tests/unit/scripts", RUNS)
REDUCED = (
    *(f"tests/unit/test_{name}.py" for name in AIRFLOW_FACING),
    "tests/unit/hooks",
    "tests/unit/transfers",
)

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]


def run(session: nox.Session, module: str, *arguments: str) -> None:
    session.run(sys.executable, "-m", module, *arguments, external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; arguments after ``--`` go to pytest."""
    run(session, "pytest", *session.posargs)


def interpreter(version: str) -> str | None:
    """Return an interpreter of a Python version: this one, one that pyenv keeps, or one on the path."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}")))
    found = shutil.which(f"python{version}")
    if found and not found.startswith(str(pyenv / "shims")):
        kept.append(found)
    return kept[-1] if kept else None


def environment_of(session: nox.Session, airflow: str, python_version: str) -> str:
    """Make the environment of a cell of the support matrix, and return its interpreter."""
    python = interpreter(python_version)
    if python is None:
        session.skip(f"Python {python_version} is not on this machine")
    environment = ROOT / ".nox" / f"airflow-{airflow}-py{python_version}"
    own_python = str(environment / "bin" / "python")
    lock_file = f"requirements/matrix/airflow-{airflow}.txt"
    run(session, "uv", "venv", "--quiet", "--allow-existing", f"--python={python}", str(environment))
    into = ("--quiet", f"--python={own_python}")
    run(session, "uv", "pip", "sync", *into, "--require-hashes", lock_file)
    run(session, "uv", "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable=.")
    return own_python


@nox.session
@nox.parametrize(("airflow", "python_version"), CELLS, ids=[f"{a}-py{p}" for a, p in CELLS])
def matrix(session: nox.Session, airflow: str, python_version: str) -> None:
    """A cell of the support matrix: unit tests and runs of DAGs; ``-- reduced`` for what faces Airflow only."""
    own_python = environment_of(session, airflow, python_version)
    chosen = session.posargs or FULL
    if chosen[0] == "reduced":
        chosen = (*REDUCED, *chosen[1:])
    with tempfile.TemporaryDirectory() as home:
        env = {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        options = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
        session.run(own_python, *options, *chosen, env=env, external=True)


@nox.session
def warehouses(session: nox.Session) -> None:
    """Loads and ledgers in databases that need packages of their own; arguments after ``--`` go to pytest."""
    environment = ROOT / ".nox" / "warehouses"
    own_python = str(environment / "bin" / "python")
    run(session, "uv", "venv", "--quiet", "--allow-existing", f"--python={sys.executable}", str(environment))
    into = ("--quiet", f"--python={own_python}")
    run(session, "uv", "pip", "sync", *into, "--require-hashes", "requirements/warehouses.txt")
    run(session, "uv", "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable=.")
    with tempfile.TemporaryDirectory() as home:
        env = {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "WAREHOUSES": "required"}
        options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "-m", "warehouse")
        folders = ("tests/unit/warehouse", "tests/integration/warehouse", "tests/integration/submission")
        session.run(own_python, *options, *folders, *session.posargs, env=env, external=True)


@nox.session
def ledger_runs(session: nox.Session) -> None:
    """Runs with a ledger in a real Airflow: cleared after their list grew, robbed of their state, made again."""
    session.env["LEDGER_RUNS"] = "1"
    run(session, "pytest", "-q", "tests/e2e/test_ledger_runs.py", *session.posargs)


@nox.session
def approval_runs(session: nox.Session) -> None:
    """Runs of the example that asks a person, approved and rejected by REST in a real Airflow."""
    session.env["APPROVAL_RUNS"] = "1"
    run(session, "pytest", "-q", "tests/e2e/test_run_approved.py", *session.posargs)


@nox.session
@nox.parametrize("airflow", ["3.3.2", "3.1.8"])
def ask_runs(session: nox.Session, airflow: str) -> None:
    """Runs of a real Airflow that ask a person about a lost answer, and what can happen to them while they wait."""
    session.env["ASK_RUNS"] = "1"
    if airflow != "3.3.2":
        session.env["ASK_PYTHON"] = environment_of(session, airflow, "3.12")
    run(session, "pytest", "-q", "tests/e2e/test_ask_runs.py", *session.posargs)


@nox.session
def page(session: nox.Session) -> None:
    """The page Browse > Cleanlist in Chromium: every state, theme and width, keyboard, contrast, its pictures."""
    session.env["PAGE_SWEEP"] = "1"
    run(session, "pytest", "-q", "tests/e2e/test_page_sweep.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Ten minutes of new inputs for whatever comes from elsewhere; ``-- 60`` for a minute, to the end of a round."""
    end = time.monotonic() + float(session.posargs[0] if session.posargs else 600)
    while time.monotonic() < end:
        env = {"FUZZ_EXAMPLES": "50"}
        session.run(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "tests/unit/test_fuzz.py",
            env=env,
            external=True,
            silent=True,
        )


@nox.session
def dbt(session: nox.Session) -> None:
    """The example that goes on with dbt, with a real dbt, which cannot share an environment with Airflow."""
    environment = ROOT / ".nox" / "dbt"
    own_python = str(environment / "bin" / "python")
    run(session, "uv", "venv", "--quiet", "--allow-existing", f"--python={sys.executable}", str(environment))
    run(
        session,
        "uv",
        "pip",
        "sync",
        "--quiet",
        f"--python={own_python}",
        "--require-hashes",
        "requirements/dbt.txt",
    )
    session.env["DBT_EXECUTABLE"] = str(environment / "bin" / "dbt")
    run(session, "pytest", "-q", "tests/integration/examples/test_dbt_example.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely mistakes (ruff), layout of the code (ruff format), structure of the package."""
    run(session, "ruff", "check", "--no-cache", ".")  # a cache keeps what another layout has shown
    run(session, "ruff", "format", "--no-cache", "--check", ".")
    session.run(sys.executable, "scripts/check_structure.py", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict: the package, then the scripts."""
    run(session, "mypy")
    with session.chdir("scripts"):
        run(
            session,
            "mypy",
            "--config-file=../pyproject.toml",
            "--cache-dir=../.mypy_cache",  # what the package has had read, Airflow above all, is not read again
            *sorted(path.name for path in Path().glob("*.py")),
        )


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site in ``build/docs``: no warning, nothing from another host, readable on a phone."""
    shutil.rmtree(SITE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as home:  # or else the builder's own settings would be read
        session.env["AIRFLOW_HOME"] = home
        run(session, "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(SITE))
    session.run(sys.executable, "scripts/check_site.py", str(SITE), external=True)
    session.run(sys.executable, "scripts/check_site_in_browser.py", str(SITE), external=True)


@nox.session
def build(session: nox.Session) -> None:
    """Wheel and sdist in ``dist/``, and what is in them."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(session, "build", "--no-isolation", "--outdir", str(DIST))
    session.run(sys.executable, "scripts/check_dist.py", *map(str, sorted(DIST.iterdir())), external=True)


@nox.session(venv_backend="uv")
def install_check(session: nox.Session) -> None:
    """The wheel in an empty environment: its own dependencies only, every public name, Airflow's view of it."""
    (wheel,) = DIST.glob("*.whl")
    session.install(str(wheel), "--constraint", "requirements/demo.txt")
    with tempfile.TemporaryDirectory() as home:
        session.run("python", "-I", str(ROOT / "scripts" / "check_install.py"), env={"AIRFLOW_HOME": home})


@nox.session
def lock(session: nox.Session) -> None:
    """Lock files; ``-- --upgrade`` takes the newest versions."""
    session.run(sys.executable, "scripts/lock.py", *session.posargs, external=True)
