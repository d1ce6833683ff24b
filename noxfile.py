"""Every check of the project. ``.venv/bin/nox -l`` lists them; ``scripts/test.py`` sets ``.venv`` up.

Sessions without an environment of their own use the locked tools that nox itself is installed with.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nox

ROOT = Path(__file__).parent
DIST = ROOT / "dist"

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]


def run(session: nox.Session, module: str, *arguments: str) -> None:
    session.run(sys.executable, "-m", module, *arguments, external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; arguments after ``--`` go to pytest."""
    run(session, "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely mistakes (ruff), layout of the code (ruff format)."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict: the package, then the scripts."""
    run(session, "mypy")
    with session.chdir("scripts"):
        run(
            session,
            "mypy",
            "--config-file=../pyproject.toml",
            *sorted(path.name for path in Path().glob("*.py")),
        )


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
