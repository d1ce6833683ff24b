"""What the command line refuses, and how it says so."""

from __future__ import annotations

import signal
import socket
import sys

import pytest

from airflow_provider_cleanlist.sandbox.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "not a loopback address"),
        (["--set", "nonsense"], "NAME=VALUE"),
        (["--set", "no_such_switch=1"], "no_such_switch"),
        (["--requests-per-minute", "0"], "requests_per_minute"),
        (["--clock-speed", "0"], "positive"),
        (["--port", "many"], "--port"),
        (["--", "no-such-command-anywhere"], "there is no command 'no-such-command-anywhere'"),
    ],
)
def test_bad_arguments_are_explained(capsys, arguments, message):
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert handlers == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_taken_port_is_explained(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        main(["--port", str(taken.getsockname()[1])])
    assert ended.value.code == 2
    assert "in use" in capsys.readouterr().err


def test_missing_extra_is_explained(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "airflow_provider_cleanlist.sandbox.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main([])
    assert "airflow-provider-cleanlist[sandbox]" in capsys.readouterr().err
