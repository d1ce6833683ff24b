"""The demo's command line: ports, its lock, what ``--fresh`` removes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import demo
import pytest
from _bootstrap import Missing

DEMO = Path(demo.__file__)


def test_taken_port_is_refused_before_anything_is_set_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, str(DEMO), "--port", str(port), "--folder", str(tmp_path / "never")]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert f"Port {port} cannot be used" in answer.stderr
    assert "Choose another with --port" in answer.stderr
    assert not (tmp_path / "never").exists()


def test_port_that_does_not_exist_is_refused():
    with pytest.raises(Missing, match="Port 70000 cannot be used"):
        demo.check_port(70000)


def test_free_port_and_no_port_are_accepted():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    demo.check_port(port)
    demo.check_port(None)


def test_second_demo_in_the_same_folder_is_refused(tmp_path):
    with demo.lock(tmp_path):
        command = [sys.executable, str(DEMO), "--folder", str(tmp_path)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "Another demo is running" in answer.stderr


def test_lock_is_free_again_after_its_holder_has_closed_it(tmp_path):
    demo.lock(tmp_path).close()
    demo.lock(tmp_path).close()


def test_clear_removes_everything_but_the_lock(tmp_path):
    with demo.lock(tmp_path):
        (tmp_path / "airflow" / "logs").mkdir(parents=True)
        (tmp_path / "warehouse.db").touch()
        demo.clear(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]
