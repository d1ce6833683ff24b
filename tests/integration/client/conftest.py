"""Servers on loopback that misbehave on demand, and clients of them. Real sockets throughout."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.client.rate_limit.core import Budget
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter
from airflow_provider_cleanlist.client.settings import build_settings

AMPLE = Budget(100_000, 1.0)
KEY = "clapi_integration-secret-0123456789"


@dataclass
class Received:
    """One request as it arrived; ``complete`` when its whole body did."""

    head: str
    body: bytes
    complete: bool
    at: float = field(default_factory=time.monotonic)

    @property
    def line(self) -> str:
        return self.head.partition("\r\n")[0]

    def header(self, name: str) -> str | None:
        lines = (line.partition(":") for line in self.head.split("\r\n")[1:])
        return next((value.strip() for key, _, value in lines if key.lower() == name.lower()), None)


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: RawServer, sock: socket.socket) -> None:
        self._server = server
        self.sock = sock
        self._pending = b""

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    def read_request(self, body_bytes: int | None = None) -> Received | None:
        """Read a request, of its body only ``body_bytes`` if given; None when the connection ends before one."""
        while b"\r\n\r\n" not in self._pending:
            data = self._receive()
            if not data:
                return None
            self._pending += data
        head, _, rest = self._pending.partition(b"\r\n\r\n")
        request = Received(head.decode("latin-1"), rest, complete=False)
        length = int(request.header("Content-Length") or 0)
        wanted = length if body_bytes is None else min(length, body_bytes)
        while len(request.body) < wanted:
            data = self._receive()
            if not data:
                break
            request.body += data
        request.complete = len(request.body) >= length
        request.at = time.monotonic()
        self._pending = b""
        self._server.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def answer(self, body: Any = None, status: str = "200 OK", **headers: str) -> None:
        """Answer with JSON, or with bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.send(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + raw)

    def reset(self) -> None:
        """Cut the connection hard."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Behaviour = Callable[[Peer], None]


class RawServer:
    """Accepts connections and lets ``behaviour`` handle each in a thread of its own.

    Attributes:
        requests: What arrived, in order.
        connections: How many connections were made.
    """

    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self._behaviour = behaviour
        self._context = context
        self._peers: list[Peer] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http{'s' if self._context else ''}://127.0.0.1:{self.port}"

    @property
    def complete(self) -> list[Received]:
        """Requests that arrived with their whole body: those a server could have accepted."""
        return [request for request in self.requests if request.complete]

    def shortest_window(self, requests: int) -> float:
        """Return the seconds in which at the fastest one request more than ``requests`` arrived."""
        arrivals = sorted(request.at for request in self.requests)
        return min(later - first for first, later in zip(arrivals, arrivals[requests:], strict=False))

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests have arrived."""
        deadline = time.monotonic() + 10
        while len(self.requests) < requests:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer = Peer(self, self._context.wrap_socket(sock, server_side=True) if self._context else sock)
            self._peers.append(peer)
            self._behaviour(peer)
            peer.sock.close()

    def close(self) -> None:
        self._socket.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.sock.close()


def always(body: Any = None, status: str = "200 OK", **headers: str) -> Behaviour:
    """Answer every request of every connection the same way, keeping connections open."""

    def behave(peer: Peer) -> None:
        while peer.read_request():
            peer.answer(body, status, **headers)

    return behave


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start a :class:`RawServer`; without a behaviour it answers everything with an empty object."""
    servers: list[RawServer] = []

    def start(behaviour: Behaviour | None = None, context: ssl.SSLContext | None = None) -> RawServer:
        servers.append(RawServer(behaviour or always(), context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(name="always")
def always_fixture() -> Callable[..., Behaviour]:
    return always


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def connect() -> Callable[..., CleanlistClient]:
    """Make a client of a server, with a budget out of the way, short timeouts and no retries unless asked for."""

    def make(url: str, *, budget: Budget = AMPLE, api_key: str = KEY, **extra: Any) -> CleanlistClient:
        basis = {"timeout_seconds": 5, "max_retries": 0, "window_seconds": budget.window}
        return CleanlistClient(build_settings(url, api_key, {**basis, **extra}), MemoryRateLimiter(budget))

    return make


@pytest.fixture
def contacts() -> list[Contact]:
    """A submission that fits one packet."""
    return [Contact(first_name="Mara", last_name="Okafor", company_name="Quill and Sextant")]


@pytest.fixture
def many_contacts() -> list[Contact]:
    """A submission far larger than what the kernel buffers on the way."""
    return [Contact(first_name="Mara", last_name="Okafor", company_name="Quill " * 12_000)] * 250


@pytest.fixture
def gzipped() -> bytes:
    return gzip.compress(json.dumps({"organization_id": "org-1"}).encode())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key, in one PEM file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path
