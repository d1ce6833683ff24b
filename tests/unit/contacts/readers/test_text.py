"""Encodings and lines."""

# ruff: noqa: RUF001

from __future__ import annotations

import codecs
import gzip
import io
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.errors import EmptyFileError, EncodingError, MalformedFileError
from airflow_provider_cleanlist.contacts.readers import text as text_module
from airflow_provider_cleanlist.contacts.readers.text import (
    Decoder,
    read_chunks,
    split_lines,
    without_end_marks,
)

WESTERN = "Name;Firma\r\nJürgen;Müller & Söhne “GmbH” – 10 €\r\n"
WORLD = "first_name,company\nОльга,Ромашка\n葵,株式会社サンプル\nMara,Lab 👩🏽‍💻\n"


def chunked(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def decoded(data: bytes, size: int = 1 << 20) -> tuple[str, str]:
    decoder = Decoder()
    return "".join(decoder.decode(chunked(data, size))), decoder.encoding


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize(
    ("bom", "codec", "name"),
    [
        (b"", "utf-8", "utf-8"),
        (codecs.BOM_UTF8, "utf-8", "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32-be"),
    ],
)
def test_unicode_encodings(bom, codec, name, size):
    assert decoded(bom + WORLD.encode(codec), size) == (WORLD, name)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(codec):
    table = "first_name,last_name\n" + "Ольга,Петрова\n" * 3
    assert decoded(table.encode(codec)) == (table, codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "table", ["first_name,last_name\nAda,Park\n", "имя,фамилия\nОльга,Петрова\n", "姓名,公司\n陈,示例\n"]
)
def test_utf_16_without_a_mark_in_any_script(codec, table):
    assert decoded(table.encode(codec)) == (table, codec)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("x,y\ntest,Reg\n\0\0\0,Reg\nI,Swp\n", "ascii"),
        ("first_name,last_name,company\nAda,\0,\0\nBo,Lind,\0\n", "ascii"),
        ("first_name,last_name\nZoë,\0\n\0,Müller\n", "utf-8"),
        ("a\0da,park\n" * 9, "ascii"),
    ],
)
def test_nul_for_nothing_is_no_utf_16(table, name):
    assert decoded(table.encode()) == (table, name)


def test_windows_1252():
    assert decoded(WESTERN.encode("cp1252")) == (WESTERN, "cp1252")


@pytest.mark.parametrize("text", ["“Café”, «CAFÉ», ‘Groß’ — l’été’", "ÅÄÖ åäö €uro", "naïve — œuvre…"])
def test_typography_in_windows_1252(text):
    assert decoded(text.encode("cp1252")) == (text, "cp1252")


def test_utf_8_that_breaks_later_is_refused():
    data = "Müller\n".encode() + b"a\n" * 1000 + "Söhne\n".encode("cp1252")
    with pytest.raises(EncodingError, match=r"not valid utf-8 \(near line 1002\)"):
        decoded(data, 500)


def test_ascii_may_turn_into_either_at_any_time():
    plain = "a,b\n" * 200_000
    assert decoded((plain + WESTERN).encode("cp1252"), 1000) == (plain + WESTERN, "cp1252")
    assert decoded((plain + WORLD).encode(), 1000) == (plain + WORLD, "utf-8")
    assert decoded(plain.encode(), 1000) == (plain, "ascii")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=4), st.integers(1, 9))
def test_any_utf_8_comes_back_whatever_the_chunks(text, size):
    marked = codecs.BOM_UTF8 + text.encode()
    assert decoded(marked, size)[0] == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("имя;фамилия\nОльга;Петрова\n".encode("cp1251"), "neither UTF-8 nor Windows-1252"),
        ("όνομα;εταιρεία\n".encode("cp1253"), "neither UTF-8 nor Windows-1252"),
        ("姓,会社\n小林,株式会社サンプル\n".encode("shift-jis"), "not"),
        (b"a,b\nM\x81ller,x\n", r"not valid cp1252 \(near line 2\)"),
        (
            "x\nMüller,x\n".encode() + "Söhne".encode("cp1252"),
            r"mixes UTF-8 with something else \(near line 3\)",
        ),
        ("Ольга".encode() + "Söhne".encode("cp1252"), "mixes UTF-8"),
        ("小林".encode() + "Söhne".encode("cp1252"), "mixes UTF-8"),
        ("姓,名,会社\nﾃｽﾄ,山田,株式会社\n".encode("cp932"), "neither UTF-8 nor Windows-1252"),
        (codecs.BOM_UTF16_LE + "ab".encode("utf-16-le") + b"\x00", "not valid utf-16-le"),
    ],
)
def test_other_encodings_are_refused(data, message):
    with pytest.raises(EncodingError, match=message) as caught:
        decoded(data)
    assert "UTF-8" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04rest of a workbook", "Excel workbook"),
        (gzip.compress(b"a,b", mtime=0), "gz"),
        (b"PAR1....", "Parquet"),
    ],
)
def test_other_formats_are_named(data, message):
    with pytest.raises(EncodingError, match=message):
        decoded(data)


def test_nothing_is_an_error():
    with pytest.raises(EmptyFileError):
        decoded(b"")


@pytest.mark.parametrize("data", [b"a", b"ab", b"abc", b"\n"])
def test_very_short_texts(data):
    assert decoded(data)[0] == data.decode()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_end_in_any_way_and_only_there(size):
    text = 'a\nb\r\nc\rd "\x0b\x0c\x1c\x85\u2028"\n\nlast'
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(split_lines(pieces)) == ["a\n", "b\r\n", "c\r", 'd "\x0b\x0c\x1c\x85\u2028"\n', "\n", "last"]


@settings(deadline=None)
@given(st.text("ab\r\n"), st.integers(1, 5))
def test_lines_are_those_of_the_io_module(text, size):
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(split_lines(pieces)) == list(io.StringIO(text, newline=""))


def test_a_line_of_many_pieces_is_searched_for_its_end_once(monkeypatch):
    searched: list[int] = []

    def counting(text: str, newline: str) -> io.StringIO:
        searched.append(len(text))
        return io.StringIO(text, newline=newline)

    monkeypatch.setattr(text_module, "io", SimpleNamespace(StringIO=counting))
    pieces = ["a\r", *["x" * 100] * 500, "\r", "", "\n", *["y" * 100] * 500, "\nz"]
    assert list(split_lines(pieces)) == ["a\r", "x" * 50_000 + "\r\n", "y" * 50_000 + "\n", "z"]
    assert sum(searched) < 2 * len("".join(pieces))


@given(st.lists(st.text("\0\x1aab", max_size=5)))
def test_end_marks_are_left_out_at_the_end_only(pieces):
    assert "".join(without_end_marks(pieces)) == "".join(pieces).rstrip("\0\x1a")


def test_end_marks_without_end_are_an_error(monkeypatch):
    monkeypatch.setattr(text_module, "MAX_LINE_CHARACTERS", 100)
    assert list(without_end_marks(["\0" * 60, "a", "\0" * 60, "b"])) == ["\0" * 60 + "a", "\0" * 60 + "b"]
    with pytest.raises(MalformedFileError, match="more than 100 NUL characters in a row"):
        list(without_end_marks(["a\0", *["\0" * 10] * 10]))


def test_a_line_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr(text_module, "MAX_LINE_CHARACTERS", 100)
    with pytest.raises(MalformedFileError, match="Line 3"):
        list(split_lines(["a\nb\n", "x" * 60, "x" * 60]))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"not gzip", lambda data: data[:40] + b"x" * 40]
)
def test_damaged_gzip(damage):
    data = gzip.compress("".join(map(str, range(9999))).encode())
    with pytest.raises(MalformedFileError, match="gzip"):
        list(read_chunks(gzip.GzipFile(fileobj=io.BytesIO(damage(data)))))


@pytest.mark.parametrize("size", [64, 1_000, 100_000])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["Zoë", "Ada"])
def test_the_line_of_the_first_bytes_that_are_not_utf8_is_named(size, ends, name):
    good = f"{name},Müller,Northfold{ends}".encode() * 100
    data = good + f"José,Okafor,Northfold{ends}".encode("cp1252") + good
    with pytest.raises(EncodingError, match=r"\(near line 101\)"):
        list(Decoder().decode(data[at : at + size] for at in range(0, len(data), size)))
