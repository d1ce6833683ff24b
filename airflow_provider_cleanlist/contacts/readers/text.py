"""Bytes to lines of text, with the encoding detected from the bytes, in bounded memory."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from airflow_provider_cleanlist.contacts.errors import EmptyFileError, EncodingError, MalformedFileError
from airflow_provider_cleanlist.contacts.readers.western import WesternText

CHUNK_BYTES = 256 * 1024
MAX_LINE_CHARACTERS = 8 * 1024 * 1024

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BINARY_FORMATS = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "gzip-compressed; its name should end in .gz"),
    (b"PAR1", "a Parquet file"),
)
_PRINTABLE = bytes(range(0x20, 0x7F))
_ESCAPED_TEXT = re.compile(rb"\x1b\$[@AB(]|~\{[!-}]{2,}~\}")
_UTF8_REMAINS = re.compile(
    rb"\xc3[\x80-\xbf]|\xe2\x80[\x80-\xbf]|(?:[\xc2-\xdf][\x80-\xbf]){2}|(?:[\xe3-\xe9][\x80-\xbf]{2}){2}"
)


class BinaryFile(Protocol):
    """What a reader needs of a file opened in binary mode."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


class Decoder:
    """Decodes a stream of bytes whose encoding is detected from the bytes themselves.

    A byte order mark decides; without one, NUL bytes reveal UTF-16 and its byte order. Otherwise the text is plain
    ASCII until the first chunk that is not, and that chunk decides for good: UTF-8 if it is valid UTF-8, else
    Windows-1252. Bytes that look like another encoding, or like two mixed, are refused rather than turned into
    wrong names; where a few words could be either, at the end.

    Args:
        encoding: The encoding, if it is known: the name of any text codec of Python. Then nothing is detected, but a
            byte order mark that contradicts it is an error.

    Attributes:
        encoding: The encoding given, or found so far (``ascii`` while nothing else was seen).

    Raises:
        EncodingError: If Python has no such codec.
    """

    def __init__(self, encoding: str | None = None) -> None:
        self.encoding = "ascii"
        self._decoder: codecs.IncrementalDecoder | None = None
        self._lines = 0
        self._western: WesternText | None = None
        self._is_given = encoding is not None
        if encoding is not None:
            check_encoding(encoding)
            self._use(encoding)

    def decode(self, chunks: Iterable[bytes]) -> Iterator[str]:
        """Yield the text of each chunk.

        Raises:
            EmptyFileError: If there are no bytes.
            EncodingError: If the bytes are not text.
        """
        pending = b""
        first = True
        for chunk in chunks:
            data = pending + chunk
            if first and len(data) < 4 and chunk:
                pending = data
                continue
            if first:
                data = self._start(data)
            first, pending = False, b""
            yield self._decode(data)
        if first:
            if not pending:
                raise EmptyFileError("The file is empty: it holds 0 bytes.")
            yield self._decode(self._start(pending))
        yield self._decode(b"", final=True)

    def _start(self, head: bytes) -> bytes:
        for magic, name in _BINARY_FORMATS:
            if head.startswith(magic):
                raise EncodingError(f"The file is not text but {name}. Export it as CSV (UTF-8).")
        for bom, encoding in _BOMS:
            if head.startswith(bom):
                if self._is_given:
                    self._check_mark(encoding)
                self._use(encoding)
                return head[len(bom) :]
        if self._is_given:
            return head
        sample = head[:4096].rstrip(b"\x00\x1a")
        if sample.count(0) * 50 > len(sample):
            is_little = sample[1::2].count(0) > sample[::2].count(0)
            if _may_be_utf16(sample, upper=sample[1::2] if is_little else sample[::2]):
                self._use("utf-16-le" if is_little else "utf-16-be")
        return head

    def _check_mark(self, encoding: str) -> None:
        given = codecs.lookup(self.encoding).name
        if not given.startswith(encoding.removesuffix("-le").removesuffix("-be")):
            raise EncodingError(
                f"The file starts with the byte order mark of {encoding}, but encoding={self.encoding!r} is given. "
                "Leave encoding out."
            )

    def _use(self, encoding: str) -> codecs.IncrementalDecoder:
        self.encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        return self._decoder

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        may_switch = self._decoder is None and (b"\x1b$" in data or b"~{" in data)
        if may_switch and (match := _ESCAPED_TEXT.search(data)):
            self._lines += _line_ends(data[: match.start()])
            raise self._error("it switches between character sets, as ISO-2022 and HZ do")
        if self._decoder is None and data.isascii():
            self._lines += _line_ends(data)
            return data.decode("ascii")
        decoder = self._decoder or self._use("utf-8" if _is_utf8(data) else "cp1252")
        is_western = self.encoding == "cp1252" and not self._is_given
        if is_western and (match := _UTF8_REMAINS.search(data)):
            valid = _valid_utf8(data)
            is_mixed = not data[:valid].isascii()
            self._lines += _line_ends(data[: max(match.start(), valid)])
            raise self._error(
                "it mixes UTF-8 with something else" if is_mixed else "it is neither UTF-8 nor Windows-1252"
            )
        try:
            text = decoder.decode(data, final)
        except UnicodeError as error:  # some codecs do not say where
            self._lines += _line_ends(data[: getattr(error, "start", 0)])
            raise self._error(f"its bytes are not valid {self.encoding}") from None
        if is_western:
            self._check_western(text, final=final)
        self._lines += text.count("\n") or text.count("\r")
        return text

    def _check_western(self, text: str, *, final: bool) -> None:
        if self._western is None:
            self._western = WesternText(self._lines + 1)
        self._western.add(text)
        if not (self._western.is_plausible() if final else self._western.is_possible()):
            raise self._error("it is neither UTF-8 nor Windows-1252", self._western.odd_lines)

    def _error(self, what: str, lines: Sequence[int] = ()) -> EncodingError:
        numbers = ", ".join(map(str, lines or [self._lines + 1]))
        where = f"near {'lines' if len(lines) > 1 else 'line'} {numbers}"
        if self._is_given:
            return EncodingError(
                f"The file is not in the given encoding: {what} ({where}). Correct encoding, or leave it out."
            )
        return EncodingError(
            f"The file's encoding is not supported: {what} ({where}). "
            "Save it as UTF-8 (in Excel: 'CSV UTF-8'), or name its encoding with encoding='...'."
        )


def check_encoding(encoding: str) -> None:
    """Check that Python can decode a text in this encoding.

    Raises:
        EncodingError: If it cannot.
    """
    try:
        codec = codecs.lookup(encoding)
        "".encode(encoding)  # what is no text encoding, such as base64, is found but refuses text
    except (LookupError, ValueError):
        codec = None
    if codec is None or codec.incrementaldecoder is None:
        raise EncodingError(
            f"encoding={encoding!r} is not an encoding that Python knows. Examples: utf-8, cp1250, cp1251, shift_jis, "
            "big5, gb18030, mac_roman."
        )


def without_end_marks(texts: Iterable[str]) -> Iterator[str]:
    """Yield pieces of text without the Ctrl-Z and NUL characters that some programs put at the end of a file."""
    held: list[str] = []
    size = 0
    for text in texts:
        if kept := text.rstrip("\x00\x1a"):
            yield "".join([*held, kept])
            held, size = [], 0
        held.append(text[len(kept) :])
        size += len(held[-1])
        if size > MAX_LINE_CHARACTERS:
            raise MalformedFileError(
                f"The file holds more than {MAX_LINE_CHARACTERS:,} NUL characters in a row."
            )


def _may_be_utf16(sample: bytes, *, upper: bytes) -> bool:
    """Return whether a text with NUL bytes is UTF-16, and not one in which tools write NUL for nothing.

    Args:
        sample: The start of the text.
        upper: What would be the upper bytes of its characters: letters of the text itself, if it is not UTF-16.
    """
    return not _is_utf8(sample) or len(upper.translate(None, _PRINTABLE)) * 10 > len(upper) * 9


def _is_utf8(data: bytes) -> bool:
    return _valid_utf8(data) == len(data)


def _valid_utf8(data: bytes) -> int:
    """Return how many of the first bytes are UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        decoder.decode(data)  # not final: a chunk may end within a character
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") or data.count(b"\r")


def read_chunks(file: BinaryFile) -> Iterator[bytes]:
    """Yield a file's bytes in chunks.

    Raises:
        MalformedFileError: If the file is compressed and the compressed data is damaged or cut off.
    """
    is_start = True
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            if is_start and isinstance(error, gzip.BadGzipFile) and str(error).startswith("Not a gzip"):
                raise MalformedFileError(
                    "The file is not gzip-compressed, although its name ends in .gz. Remove .gz from its name, or "
                    "compress it."
                ) from None
            raise MalformedFileError(
                f"The gzip data is damaged or cut off ({type(error).__name__})."
            ) from None
        if not chunk:
            return
        is_start = False
        yield chunk


def split_lines(texts: Iterable[str]) -> Iterator[str]:
    r"""Yield lines with their ends (``\n``, ``\r\n`` or ``\r``) from pieces of text.

    Raises:
        MalformedFileError: If a line is longer than 8 million characters.
    """
    held: list[str] = []  # pieces of a line
    size = number = 0
    for text in filter(None, texts):
        is_after_return = bool(held) and held[-1].endswith("\r")  # which ends a line, or is half of "\r\n"
        held.append(text)
        size += len(text)
        lines: list[str] = []
        if is_after_return or "\n" in text or "\r" in text:
            lines = list(io.StringIO("".join(held), newline=""))
            held = [] if lines[-1].endswith("\n") else [lines.pop()]
            size = sum(map(len, held))
            number += len(lines)
        if size > MAX_LINE_CHARACTERS:
            raise MalformedFileError(f"Line {number + 1} is longer than {MAX_LINE_CHARACTERS:,} characters.")
        yield from lines
    if held:
        yield "".join(held)
