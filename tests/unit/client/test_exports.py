"""Which addresses of files are used, and how often a download that is lost goes on."""

from __future__ import annotations

import io
import json
import socket
import threading
from types import SimpleNamespace
from typing import cast

import pytest
import requests

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.export import download
from airflow_provider_cleanlist.client.export.download import Download, DownloadError, address_problem
from airflow_provider_cleanlist.client.export.reader import ExportReader
from airflow_provider_cleanlist.client.responses import LeadPage, SignedExport
from airflow_provider_cleanlist.input_limits import ADDRESS_CHARACTERS, EXPORT_PART_BYTES

INSIDE = [
    "http://127.0.0.1:6379/",
    "http://localhost:8080/file",
    "https://localhost/file",
    "https://169.254.169.254/latest",
    "https://10.0.0.1:6443/file",
    "https://[fd00::1]/file",
    "https://[::ffff:10.0.0.1]/file",
    "https://[::127.0.0.1]/file",
    "https://[64:ff9b::7f00:1]/file",
    "https://[2002:7f00:1::]/file",
    "https://[fec0::1]/file",
    "https://224.0.0.1/file",
    "https://metadata/file",
    "https://metadata.google.internal/file",
    "https://ip6-localhost/file",
    "https://files.localhost/file",
    "https://kubernetes.default.svc/file",
    "https://vault.service.consul/file",
    "https://files.corp/file",
    "https://192.0.0.192/file",
]
INVALID = [
    "https://0x7f000001/file",
    "https://2130706433/file",
    "https://127.1/file",
    "https://0177.0.0.1/file",
    "https://169.254.169.254./file",
    "https://files.example./file",
    "https://\u2460\u2461\u2466.0.0.1/file",
    "https://127\u30020\u30020\u30021/file",
    "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/file",
    "https://[fe80::1%25lo]/file",
    "https://1.2.3.0x7/file",
    "https://key@files.example/file",
    "https:///file",
]


class LosesConnections:
    """A file whose connection is lost after each part; parts are so many bytes."""

    etag = '"tag"'

    def __init__(self, size: int) -> None:
        self.size = size
        self.received = self.connections = 0
        self._is_lost = False

    def open(self, at: int = 0) -> None:
        assert at == self.received
        self.connections += 1
        self._is_lost = False

    def part(self) -> bytes:
        if self._is_lost:
            raise DownloadError("the connection was lost")
        self._is_lost = True
        self.received += self.size
        return b"x" * self.size


def parts_of(download: LosesConnections, most: int) -> int:
    """Return how many parts a reader takes, at most ``most``, before it gives up."""
    reader = ExportReader(
        "list",
        lambda: pytest.fail("no new export is asked for"),
        api_key="key",
        timeout=(1.0, 1.0),
        max_retries=3,
        is_api_local=False,
        sleep=lambda _: None,
    )
    export = SignedExport("list", "https://files.example/file", None, None)
    parts = reader._parts(export, cast("Download", download))
    for count in range(most):
        try:
            next(parts)
        except errors.TransportError:
            return count
    return most


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_used_only_if_the_api_is_inside(address: str):
    assert "private network" in address_problem(address, is_api_local=False)
    assert address_problem(address, is_api_local=True) == ""


@pytest.mark.parametrize("address", INVALID)
@pytest.mark.parametrize("is_api_local", [True, False])
def test_an_address_in_another_spelling_is_not_used(address: str, is_api_local: bool):
    """Some resolvers take it for one of this machine."""
    assert "address of the file is invalid" in address_problem(address, is_api_local=is_api_local)


def test_an_address_is_used_up_to_a_length():
    address = "https://files.example/" + "a" * (ADDRESS_CHARACTERS - 22)
    assert address_problem(address, is_api_local=False) == ""
    assert "more than 8,192 characters" in address_problem(address + "a", is_api_local=False)


@pytest.mark.parametrize("length", [256, 257])
def test_a_long_tag_is_none(length: int):
    response = requests.Response()
    response.status_code = 200
    response.raw = io.BytesIO()
    response.headers["ETag"] = f'"{"x" * (length - 2)}"'
    download = Download("https://files.example/file", (1.0, 1.0))
    download._check(response, 0)
    assert (download.etag == "") == (length > 256)


@pytest.mark.parametrize(
    "address",
    [
        "https://files.example/a?b=c",
        "https://93.184.216.34/file",
        "https://[2606:4700::1111]/file",
        "https://my_bucket.s3.eu-central-1.amazonaws.com/a.csv?X-Amz-Signature=1",
        "https://1.2.3.4.files.x1/file",
        "https://files.xn--p1ai:8443/file",
    ],
)
def test_a_public_address_is_used(address: str):
    assert address_problem(address, is_api_local=False) == address_problem(address, is_api_local=True) == ""


@pytest.mark.parametrize("address", ["http://files.example/a", "ftp://127.0.0.1/a", "http://10.0.0.1/a"])
def test_an_address_that_is_not_https_is_not_used(address: str):
    assert "not HTTPS" in address_problem(address, is_api_local=True)
    assert address_problem(address, is_api_local=False)


def test_a_server_that_sends_a_byte_for_each_connection_is_given_up():
    download = LosesConnections(1)
    assert parts_of(download, 100) == 4
    assert download.connections == 3


def test_a_connection_that_is_lost_after_each_whole_part_goes_on():
    assert parts_of(LosesConnections(EXPORT_PART_BYTES), 50) == 50


def test_a_file_that_arrives_byte_by_byte_is_not_copied_for_each():
    class OneByOne(io.BytesIO):
        def read1(self, size: int = -1, **_: object) -> bytes:
            return super().read1(min(size, 1))

    download = Download("https://files.example/file", (1.0, 1.0))
    download._response = cast("requests.Response", SimpleNamespace(raw=OneByOne(b"abcdefg"), close=int))
    waiting = download._waiting
    download._fill(5)
    assert download._waiting is waiting
    assert [download.part(5), download.part(5)] == [b"abcde", b"fg"]
    assert type(download.part(5)) is bytes


CUT = b"lead_id,phone\n1,+4917"
WHOLE = CUT + b"012345\n"


@pytest.mark.parametrize(
    ("answer", "size", "is_read"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n" + CUT, None, False),
        (b"HTTP/1.0 200 OK\r\n\r\n" + CUT, None, False),
        (b"HTTP/1.0 200 OK\r\n\r\n" + CUT, len(CUT), True),
        (b"HTTP/1.1 200 OK\r\n\r\n" + WHOLE, None, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CUT) + CUT, None, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + CUT + b"\r\n0\r\n\r\n", None, True),
    ],
)
def test_a_file_that_may_be_cut_off_is_not_used(answer: bytes, size: int | None, is_read: bool):
    """Without any word on its size, only the last line break tells that it is whole."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/file"
        reader = ExportReader(
            "list",
            lambda: SignedExport("list", address, 1, size),
            api_key="key",
            timeout=(5.0, 5.0),
            max_retries=0,
            is_api_local=True,
        )
        if is_read:
            assert sum(len(page.leads) for page in reader.pages()) == 1
        else:
            with pytest.raises(errors.ExportInconsistentError, match="may be cut off"):
                list(reader.pages())
        thread.join(10)


def serve(answers: list[bytes]) -> tuple[str, list[bytes], threading.Thread]:
    """Answer one connection after another; return the address, what was asked, and the thread."""
    server, asked = socket.create_server(("127.0.0.1", 0)), []

    def run() -> None:
        with server:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/file", asked, thread


def rows_of(address: str, rows: int | None, size: int | None) -> int:
    """Return how many leads an export has, given what is said of it."""
    reader = ExportReader(
        "list",
        lambda: SignedExport("list", address, rows, size),
        api_key="key",
        timeout=(5.0, 5.0),
        max_retries=2,
        is_api_local=True,
        sleep=lambda _: None,
    )
    return sum(len(page.leads) for page in reader.pages())


@pytest.mark.parametrize("rows", [1, None])
def test_a_file_of_whole_rows_needs_one_word_on_how_long_it_is(rows: int | None):
    address, _, thread = serve([b"HTTP/1.1 200 OK\r\n\r\n" + WHOLE])
    if rows is None:
        with pytest.raises(errors.ExportInconsistentError, match="nobody states its size or the number"):
            rows_of(address, rows, None)
    else:
        assert rows_of(address, rows, None) == 1
    thread.join(10)


def test_a_file_in_chunks_of_one_byte_is_not_read_to_its_end():
    row = b"1,+12025550100\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b"lead_id,phone\n" + 5000 * row)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    address, _, thread = serve([head + chunks + b"0\r\n\r\n"] * 3)
    with pytest.raises(errors.TransportError, match="too many, too small chunks"):
        rows_of(address, 5000, None)
    thread.join(10)


PART = b"lead_id,phone\n1,\n2,\n3,\n"


def _part(begin: int, end: int, total: int, status: str = "206 Partial Content") -> bytes:
    body = PART[begin:end]
    head = f'HTTP/1.1 {status}\r\nETag: "t"\r\nAccept-Ranges: bytes\r\nConnection: close\r\n'
    head += f"Content-Range: bytes {begin}-{end - 1}/{total}\r\n" if begin else ""
    return f"{head}Content-Length: {total if not begin else len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("size", [len(PART), None])
def test_a_server_that_sends_less_than_the_rest_is_asked_for_more(size: int | None):
    """Whole rows, and less than the total that the range itself names: the file is not at its end."""
    end = len(PART)
    address, asked, thread = serve([_part(0, 17, end, "200 OK"), _part(17, 20, end), _part(20, end, end)])
    assert rows_of(address, None, size) == 3
    assert [b"bytes=17-" in asked[1], b"bytes=20-" in asked[2]] == [True, True]
    thread.join(10)


def test_a_wrong_total_of_a_range_does_not_matter_where_the_size_is_stated():
    end = len(PART)
    address, _, thread = serve([_part(0, 17, end, "200 OK"), _part(17, end, end + 5)])
    assert rows_of(address, 3, end) == 3
    thread.join(10)


def test_a_range_of_absurd_length_is_another_range(monkeypatch: pytest.MonkeyPatch):
    response = requests.Response()
    response.status_code = 206
    response.headers["Content-Range"] = f"bytes {'9' * 5000}-1/2"
    download = Download("https://files.example/file", (1.0, 1.0), '"tag"', offers_ranges=True)
    monkeypatch.setattr(download, "_get", lambda _: (response, ""))
    with pytest.raises(DownloadError, match="another range"):
        download.open(5)


def reader_of(address: str, now: float = 0.0) -> ExportReader:
    return ExportReader(
        "list",
        lambda: SignedExport("list", address, 3, len(PART)),
        api_key="key",
        timeout=(5.0, 5.0),
        max_retries=0,
        is_api_local=True,
        sleep=lambda _: None,
        now=lambda: now,
    )


def read_until_lost(reader: ExportReader, cursor: str | None = None) -> list[LeadPage]:
    pages: list[LeadPage] = []
    with pytest.raises(errors.TransportError):
        pages.extend(reader.pages(cursor))
    return pages


def resumed(answers: list[bytes], seconds: float = 60.0) -> list[LeadPage]:
    """Return what the second attempt reads of a file that the first one lost after its first row."""
    address, _, thread = serve([_part(0, 17, len(PART), "200 OK"), *answers])
    (first,) = read_until_lost(reader_of(address))
    try:
        return [*reader_of(address, seconds).pages(first.cursor)]
    finally:
        thread.join(10)


REST = _part(17, len(PART), len(PART))


@pytest.mark.parametrize(
    ("answers", "seconds", "reason"),
    [
        ([], 60.0, "connection failed"),
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], 60.0, "HTTP 503"),
        ([b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"], 60.0, "HTTP 400"),
        ([REST.replace(b"Content-Range", b"X-Range")], 60.0, "another range"),
        ([REST.replace(b"2,\n3,\n", b"")], 60.0, "lost in the middle"),
        ([REST.replace(b'ETag: "t"\r\n', b"")], 60.0, "the file has changed"),
        ([REST.replace(b'"t"', b'"u"')], 60.0, "the file has changed"),
        ([], 3601.0, "more than an hour ago"),
    ],
)
def test_a_file_of_which_nothing_arrives_any_more_is_given_up(
    answers: list[bytes], seconds: float, reason: str
):
    with pytest.raises(errors.ExportNotResumableError, match=reason):
        resumed(answers, seconds)


def until_closed(begin: int, end: int, head: str = 'ETag: "t"\r\nAccept-Ranges: bytes\r\n') -> bytes:
    """Return a response without a length, which ends with its connection."""
    status = "206 Partial Content" if begin else "200 OK"
    if begin:
        head += f"Content-Range: bytes {begin}-{len(PART) - 1}/{len(PART)}\r\n"
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + PART[begin:end]


@pytest.mark.parametrize(
    "answers",
    [
        [until_closed(0, 17), until_closed(17, len(PART))],
        [until_closed(0, 19), until_closed(19, 21), until_closed(21, len(PART))],  # in the middle of rows
        [until_closed(0, 19), _part(19, len(PART), len(PART))],
        [until_closed(0, 19, 'ETag: "t"\r\n'), until_closed(0, len(PART), 'ETag: "t"\r\n')],  # no ranges
        [until_closed(0, 0, ""), until_closed(0, len(PART), "")],
        [until_closed(0, len(PART), "")],
    ],
)
def test_a_response_that_ends_with_its_connection_is_read_on_where_the_size_is_known(answers: list[bytes]):
    address, asked, thread = serve(answers)
    assert rows_of(address, 3, len(PART)) == 3
    assert len(asked) == len(answers)
    thread.join(10)


def test_a_response_that_ends_with_its_connection_and_cannot_be_read_on_is_lost():
    address, _, thread = serve([until_closed(0, 17, "")])
    with pytest.raises(errors.TransportError, match="lost in the middle of the file"):
        rows_of(address, 3, len(PART))
    thread.join(10)


def test_a_response_that_states_its_end_before_that_of_the_file_contradicts_it():
    address, _, thread = serve([b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + PART[:17]])
    with pytest.raises(errors.ExportInconsistentError, match="17 bytes arrived instead of 23"):
        rows_of(address, None, len(PART))
    thread.join(10)


def test_a_file_of_which_the_rest_arrives_is_read_on():
    assert [lead["lead_id"] for page in resumed([REST], 3599.0) for lead in page.leads] == ["2", "3"]


def test_a_file_of_which_a_part_arrives_is_read_on_by_the_next_attempt():
    lost = REST.replace(b"3,\n", b"")
    address, _, thread = serve([_part(0, 17, len(PART), "200 OK"), lost, _part(20, len(PART), len(PART))])
    (first,) = read_until_lost(reader_of(address))
    (second,) = read_until_lost(reader_of(address, 1000.0), first.cursor)
    (third,) = reader_of(address, 2000.0).pages(second.cursor)
    assert [page.leads[0]["lead_id"] for page in (first, second, third)] == ["1", "2", "3"]
    with pytest.raises(errors.ExportNotResumableError, match="more than an hour ago"):
        [*reader_of(address, 3601.0).pages(second.cursor)]
    thread.join(10)


def cursor_of(reader: ExportReader, **changes: object) -> str:
    """Return a cursor as the reader seals it, with other open parts."""
    secret = json.dumps(["https://files.example/x", 10, 100]).encode()
    position = {"file": reader._cipher().encrypt(secret).decode(), "asked_at": 1000.0, "etag": '"e"'}
    return json.dumps({**position, "ranges": True, "at": 5, "rows": 1, "fields": ["lead_id"], **changes})


def resumable_reader() -> ExportReader:
    return ExportReader(
        "list",
        lambda: pytest.fail("no new export is asked for"),
        api_key="key",
        timeout=(1.0, 1.0),
        max_retries=0,
        is_api_local=False,
        now=lambda: 1000.0,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"at": float("inf")},
        {"at": -5},
        {"at": 10**30},
        {"at": "5"},
        {"rows": -1},
        {"rows": True},
        {"asked_at": float("nan")},
        {"asked_at": float("inf")},
        {"asked_at": 10**400},
        {"asked_at": 1000.0 + 3601},
        {"ranges": "yes"},
        {"fields": "ab"},
        {"fields": [["a"]]},
        {"fields": []},
        {"etag": None},
        {"etag": '"a\r\nX: y"'},
        {"etag": '"\ud800"'},
        {"etag": '"' + "a" * 300 + '"'},
        {"file": 5},
        {"file": "é"},
    ],
)
def test_a_damaged_cursor_is_not_resumed(changes: dict[str, object]):
    reader = resumable_reader()
    with pytest.raises(errors.ExportNotResumableError):
        next(reader.pages(cursor_of(reader, **changes)))


@pytest.mark.parametrize("cursor", ["[" * 100_000, "null", "5", "", '{"file":' + "9" * 5000 + "}"])
def test_a_cursor_that_is_none_is_not_resumed(cursor: str):
    with pytest.raises(errors.ExportNotResumableError, match="another API key, or is damaged"):
        next(resumable_reader().pages(cursor))


def test_a_sealed_cursor_is_read():
    reader = resumable_reader()
    position = reader._unsealed(cursor_of(reader, etag=""))
    assert (position.at, position.rows, position.fields, position.etag) == (5, 1, ("lead_id",), "")
    assert position.export == SignedExport("list", "https://files.example/x", 10, 100)


def test_a_long_address_is_not_examined(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "_is_host", lambda _: pytest.fail("it is examined"))
    for host in ("1." * 10_000 + "1", "[" + ":" * 10_000 + "]", "a" * 10_000 + "!"):
        problem = address_problem(f"https://{host}/x", is_api_local=False)
        assert problem == f"the address of the file has more than {ADDRESS_CHARACTERS:,} characters"
