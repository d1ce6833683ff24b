"""Bodies within their limits of size: plain, compressed, endless, in many values."""

from __future__ import annotations

import gzip
import io
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest
import urllib3.exceptions

from airflow_provider_cleanlist import input_limits
from airflow_provider_cleanlist.client.receiving import limit_for, read_body, within
from airflow_provider_cleanlist.input_limits import KB, MB, InputLimit

LIMIT = InputLimit(256 * KB, 1000)


def never() -> bool:
    return False


def reader(body: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(body).read


def endless(chunks: Iterator[bytes]) -> Callable[[int], bytes]:
    return lambda _: next(chunks)


@pytest.mark.parametrize("encode", [lambda body: body, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("beyond", "problem"), [(0, ""), (1, "it is larger than 256 KB")])
def test_a_body_at_its_limit_and_one_beyond(
    encode: Callable[[bytes], bytes], beyond: int, problem: str
) -> None:
    body = b"x" * (LIMIT.size + beyond)
    encoding = "" if encode(b"x") == b"x" else "gzip"
    read, found = read_body(reader(encode(body)), encoding, LIMIT, never)
    assert (read, found) == (body[: LIMIT.size], problem)


def test_as_many_values_as_allowed_and_one_more() -> None:
    allowed = b"[" + b"1," * (LIMIT.values - 1) + b"1]"
    assert read_body(reader(allowed), "", LIMIT, never) == (allowed, "")
    assert read_body(reader(b"[" + allowed + b"]"), "", LIMIT, never)[1] == "it has more than 1,000 values"


def bomb() -> Iterator[bytes]:
    """Yield gzip that becomes zeros for ever, a thousand times as many."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    while True:
        yield packer.compress(bytes(MB)) + packer.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("chunks", "encoding"),
    [
        (repeat(b"x" * 65536), ""),
        (bomb(), "gzip"),
        (repeat(gzip.compress(bytes(MB))), "gzip"),
        (chain([gzip.compress(b"")[:10]], repeat(b"\x00\x00\x00\xff\xff" * 1000)), "gzip"),
        (chain([gzip.compress(b"")], repeat(gzip.compress(b""))), "gzip"),
    ],
    ids=["plain", "one bomb", "many bombs", "gzip of nothing", "many members of nothing"],
)
def test_an_endless_body_is_read_up_to_the_limit(chunks: Iterator[bytes], encoding: str) -> None:
    started = time.process_time()
    body, problem = read_body(endless(chunks), encoding, LIMIT, never)
    assert problem == "it is larger than 256 KB"
    assert len(body) <= LIMIT.size
    assert time.process_time() - started < 1


def test_a_body_that_takes_too_long_is_left() -> None:
    body, problem = read_body(endless(repeat(b"x")), "", LIMIT, within(0.0))
    assert problem == "it takes too long"
    assert body


@pytest.mark.parametrize(
    ("chunks", "encoding"),
    [
        (repeat(b"  "), ""),
        (chain([gzip.compress(b"")], repeat(bytes(2))), "gzip"),
        (repeat(gzip.compress(b"") * 3000), "gzip"),
        (repeat(gzip.compress(b" ")), "gzip"),
    ],
    ids=["plain", "padding", "empty members", "members of one byte"],
)
def test_a_body_in_too_many_small_chunks_is_left(chunks: Iterator[bytes], encoding: str) -> None:
    asked = 0

    def read(_: int) -> bytes:
        nonlocal asked
        asked += 1
        return next(chunks)

    _, problem = read_body(read, encoding, input_limits.PAGE, never)
    assert problem == "it arrives in too many small chunks"
    assert asked <= input_limits.CHUNKS + 1


def test_small_chunks_take_no_more_memory_than_their_bytes() -> None:
    tracemalloc.start()
    read_body(endless(repeat(b"  ")), "", input_limits.PAGE, never)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * input_limits.CHUNKS


@pytest.mark.parametrize(
    ("size", "count"),
    [(1, input_limits.CHUNKS), (input_limits.CHUNK_BYTES, input_limits.CHUNKS + 5000)],
    ids=["as many as may be small", "more, of the least size"],
)
def test_a_body_in_small_chunks_is_read(size: int, count: int) -> None:
    chunks = chain(repeat(b"x" * size, count), [b""])
    assert read_body(endless(chunks), "", input_limits.PAGE, never) == (b"x" * size * count, "")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " x-gzip "])
def test_members_and_padding_of_gzip(encoding: str) -> None:
    packed = gzip.compress(b"one, ") + gzip.compress(b"two") + bytes(20)
    assert read_body(reader(packed), encoding, LIMIT, never) == (b"one, two", "")
    byte_by_byte = iter([*(packed[at : at + 1] for at in range(len(packed))), b""])
    assert read_body(endless(byte_by_byte), encoding, LIMIT, never) == (b"one, two", "")


def test_a_large_body_is_read_in_full() -> None:
    body = bytes(range(48, 90)) * (LIMIT.size // 42)
    assert read_body(reader(gzip.compress(body)), "gzip", LIMIT, never) == (body, "")


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "gzip"])
def test_what_cannot_be_decompressed_is_an_error(encoding: str) -> None:
    with pytest.raises(urllib3.exceptions.DecodeError):
        read_body(reader(b"not compressed"), encoding, LIMIT, never)


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_a_plain_body(encoding: str) -> None:
    assert read_body(reader(b"{}"), encoding, LIMIT, never) == (b"{}", "")


@pytest.mark.parametrize(
    ("status", "limit"),
    [
        (200, input_limits.PAGE),
        (204, input_limits.PAGE),
        (302, input_limits.ERROR),
        (422, input_limits.REJECTION),
        (429, input_limits.ERROR),
        (503, input_limits.ERROR),
    ],
)
def test_the_limit_goes_by_the_status(status: int, limit: InputLimit) -> None:
    assert limit_for(status, input_limits.PAGE) is limit
