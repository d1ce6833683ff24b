"""Setting up an environment: what is said on a machine that lacks something, and when work is skipped."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import _bootstrap
import pytest
from _bootstrap import Environment, Interrupted, Missing, StopSignals

SCRIPTS = Path(_bootstrap.__file__).parent
ENTRY_POINTS = ["_bootstrap.py", "demo.py", "test.py"]


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_points_parse_on_python_3_8(name):
    ast.parse((SCRIPTS / name).read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_points_import_the_standard_library_only(name):
    tree = ast.parse((SCRIPTS / name).read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in top if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | {"_bootstrap"}


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_python_versions_that_work(version):
    _bootstrap.check_python(version, "scripts/demo.py", which=lambda _: None)


@pytest.mark.parametrize("version", [(2, 7), (3, 8), (3, 10), (3, 15), (4, 0)])
def test_other_python_versions_are_named_with_the_way_to_get_one(version):
    with pytest.raises(Missing) as caught:
        _bootstrap.check_python(version, "scripts/demo.py", which=lambda _: None)
    text = str(caught.value)
    assert f"this is Python {version[0]}.{version[1]}" in text
    assert "apt install python3.12 python3.12-venv" in text
    assert "python3.12 scripts/demo.py" in text


def test_a_fitting_python_that_is_installed_is_named():
    with pytest.raises(Missing, match=r"run  python3\.11 scripts/demo\.py"):
        _bootstrap.check_python((3, 9), "scripts/demo.py", which=lambda name: name == "python3.11" or None)


def test_missing_venv_module_is_named_with_its_package():
    with pytest.raises(Missing) as caught:
        _bootstrap.check_modules(find=lambda name: None if name == "ensurepip" else object())
    assert "lacks the standard module ensurepip" in str(caught.value)
    assert f"apt install python3.{sys.version_info[1]}-venv" in str(caught.value)


def test_this_python_has_the_modules():
    _bootstrap.check_modules()


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
        "error: Request failed after 3 retries: dns error: failed to lookup address information",
        "ReadTimeoutError: Read timed out.",
    ],
)
def test_network_trouble_is_called_that(line):
    text = _bootstrap.explain(["python", "-m", "pip", "install"], f"noise\n{line}\n")
    assert line in text
    assert "Check the network connection" in text
    assert "HTTPS_PROXY" in text


def test_other_trouble_shows_the_end_of_the_output():
    output = "\n".join(f"line {number}" for number in range(40))
    text = _bootstrap.explain(["python", "-m", "venv"], output)
    assert "line 39" in text
    assert "line 5\n" not in text
    assert "network" not in text


def test_failing_command_raises_with_its_output(monkeypatch, tmp_path):
    monkeypatch.setattr(_bootstrap, "ROOT", tmp_path)
    with pytest.raises(Missing, match="No space left"):
        _bootstrap._run(
            [sys.executable, "-c", "import sys; sys.exit('No space left on device')"], StopSignals()
        )


def test_stop_signal_kills_the_running_command_and_its_children(tmp_path):
    """Like ``python -m venv``, whose child installs pip: neither may go on alone."""
    mark = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, pathlib;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"pathlib.Path({str(mark)!r}).write_text(f'{{os.getpid()}} {{child.pid}}');"
        "child.wait()"
    )
    signals = StopSignals()

    def stop_when_running() -> None:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.02)
        signals.received = signal.SIGTERM

    thread = threading.Thread(target=stop_when_running)
    thread.start()
    with pytest.raises(Interrupted, match="SIGTERM"):
        _bootstrap._run([sys.executable, "-c", code], signals)
    thread.join()
    end = time.monotonic() + 5
    for pid in mark.read_text().split():
        while (
            Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1]
        ):
            assert time.monotonic() < end, f"{pid} still runs"
            time.sleep(0.02)


def test_stop_signals_become_an_exception_at_the_next_check():
    code = f"""
import os, signal, sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from _bootstrap import Interrupted, StopSignals
signals = StopSignals().install()
os.kill(os.getpid(), signal.{{}})
started = time.monotonic()
try:
    signals.sleep(30)
except Interrupted as stopped:
    print(stopped, time.monotonic() - started < 5)
"""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        answer = subprocess.run(
            [sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True
        )
        assert answer.stdout.split() == [name, "True"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in miniature, and the record of the commands that set-up would run in it."""
    for name, text in {
        "pyproject.toml": "[project]",
        "requirements/bootstrap.txt": "uv==1",
        "requirements/demo.txt": "airflow==3",
        "airflow_provider_cleanlist/__init__.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    commands = []

    def record(command, _signals, _env=None):
        commands.append([str(part) for part in command])
        if "venv" in command:
            python = tmp_path / "env/bin/python"
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()

    monkeypatch.setattr(_bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(_bootstrap, "BOOTSTRAP_LOCK", tmp_path / "requirements/bootstrap.txt")
    monkeypatch.setattr(_bootstrap, "_run", record)
    monkeypatch.setattr(_bootstrap, "_index_of_pip", lambda _: {})
    environment = Environment(tmp_path / "env", tmp_path / "requirements/demo.txt", editable=False)

    def prepare() -> list[list[str]]:
        commands.clear()
        _bootstrap.prepare(environment, StopSignals(), say=lambda _: None)
        return list(commands)

    return tmp_path, prepare


def test_first_set_up_installs_with_hashes_then_the_project(checkout):
    root, prepare = checkout
    venv, pip, uv, project = prepare()
    assert venv[1:3] == ["-m", "venv"]
    assert "--clear" not in venv, "a folder that something else made is not emptied"
    assert "--require-hashes" in pip
    assert str(root / "requirements/bootstrap.txt") in pip
    assert "--require-hashes" in uv
    assert str(root / "requirements/demo.txt") in uv
    assert {"--no-deps", "--no-build-isolation", str(root)} <= set(project)


def test_second_set_up_does_nothing(checkout):
    _, prepare = checkout
    prepare()
    assert prepare() == []


def test_changed_source_reinstalls_the_project_only(checkout):
    root, prepare = checkout
    prepare()
    (root / "airflow_provider_cleanlist/new.py").write_text("x = 1")
    (command,) = prepare()
    assert str(root) in command
    assert prepare() == []


@pytest.mark.parametrize("name", ["requirements/bootstrap.txt", "requirements/demo.txt"])
def test_changed_lock_makes_the_environment_anew(checkout, name):
    root, prepare = checkout
    prepare()
    (root / name).write_text("something==2")
    assert "--clear" in prepare()[0]


def test_set_up_that_was_broken_off_starts_anew(checkout, monkeypatch):
    _, prepare = checkout
    record = _bootstrap._run

    def break_off(command, signals, env=None):
        if "-r" in command:
            raise Interrupted("SIGINT")
        record(command, signals, env)

    with monkeypatch.context() as patch:
        patch.setattr(_bootstrap, "_run", break_off)
        with pytest.raises(Interrupted):
            prepare()
    commands = prepare()
    assert "--clear" in commands[0]
    assert len(commands) == 4


def test_removed_interpreter_makes_the_environment_anew(checkout):
    root, prepare = checkout
    prepare()
    (root / "env/bin/python").unlink()
    assert "--clear" in prepare()[0]


@pytest.mark.parametrize("command", [("demo.py", "--port", "70000"), ("test.py", "--version")])
def test_missing_things_are_printed_without_a_traceback(tmp_path, command):
    """A Python without ``ensurepip``, as Debian ships it: a finder hides the module from the real script."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "real = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'ensurepip' else real(name, package)\n"
    )
    script, *arguments = command
    answer = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert answer.returncode == 2
    assert "lacks the standard module ensurepip" in answer.stderr
    assert "Traceback" not in answer.stderr
