"""Ports for servers of tests: nobody else gets them by chance."""

from __future__ import annotations

import socket

import ports


def test_a_free_port_is_none_that_the_system_gives_to_others():
    given = []
    for _ in range(20):
        with socket.socket() as listener:
            listener.bind((ports.HOST, 0))
            given.append(listener.getsockname()[1])
    found = [ports.free_port() for _ in range(20)]
    assert max(found) < min(given)
    assert len(set(found)) > 10  # two who look at the same time seldom find the same
    with socket.create_server((ports.HOST, found[0])):
        pass


def test_a_port_that_somebody_listens_on_is_left_out(monkeypatch):
    with socket.create_server((ports.HOST, ports.free_port())) as taken:
        port = taken.getsockname()[1]
        free = port + 1 if port + 1 < ports.HIGHEST else port - 1
        monkeypatch.setattr(ports.random, "sample", lambda numbers, count: [port, free])
        assert ports.free_port() == free


def test_a_range_that_leaves_no_room_is_not_heeded(monkeypatch, tmp_path):
    path = tmp_path / "range"
    monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", path)
    for text, end in [("32768\t60999\n", 32768), ("1024\t65535\n", ports.HIGHEST), ("", ports.HIGHEST)]:
        path.write_text(text)
        assert ports._end_of_range() == end
