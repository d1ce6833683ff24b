"""Bytes to lines of text, with the encoding detected from the bytes, in bounded memory."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from airflow_provider_cleanlist.contacts.errors import EmptyFileError, EncodingError, MalformedFileError

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
_FOREIGN_LETTERS = re.compile(rb"[\xc0-\xff]{5}")
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
    wrong names.

    Attributes:
        encoding: The encoding found so far (``ascii`` while nothing else was seen).
    """

    def __init__(self) -> None:
        self.encoding = "ascii"
        self._decoder: codecs.IncrementalDecoder | None = None
        self._lines = 0

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
                self._use(encoding)
                return head[len(bom) :]
        sample = head[:4096]
        if sample.count(0) * 50 > len(sample):
            self._use("utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be")
        return head

    def _use(self, encoding: str) -> codecs.IncrementalDecoder:
        self.encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        return self._decoder

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        if self._decoder is None and data.isascii():
            self._lines += data.count(b"\n")
            return data.decode("ascii")
        decoder = self._decoder or self._use("utf-8" if _is_utf8(data) else "cp1252")
        if self.encoding == "cp1252":
            self._check_western(data)
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError as error:
            self._lines += data.count(b"\n", 0, error.start)
            raise self._error(f"its bytes are not valid {self.encoding}") from None
        self._lines += text.count("\n")
        return text

    def _check_western(self, data: bytes) -> None:
        for pattern, what in (
            (_FOREIGN_LETTERS, "it is neither UTF-8 nor Windows-1252"),
            (_UTF8_REMAINS, "it mixes UTF-8 with something else"),
        ):
            if match := pattern.search(data):
                self._lines += data.count(b"\n", 0, match.start())
                raise self._error(what)

    def _error(self, what: str) -> EncodingError:
        return EncodingError(
            f"The file's encoding is not supported: {what} (near line {self._lines + 1}). "
            "Save it as UTF-8 (in Excel: 'CSV UTF-8')."
        )


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        decoder.decode(data)  # not final: a chunk may end within a character
    except UnicodeDecodeError:
        return False
    return True


def read_chunks(file: BinaryFile) -> Iterator[bytes]:
    """Yield a file's bytes in chunks.

    Raises:
        MalformedFileError: If the file is compressed and the compressed data is damaged or cut off.
    """
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise MalformedFileError(
                f"The gzip data is damaged or cut off ({type(error).__name__})."
            ) from None
        if not chunk:
            return
        yield chunk


def split_lines(texts: Iterable[str]) -> Iterator[str]:
    r"""Yield lines with their ends (``\n``, ``\r\n`` or ``\r``) from pieces of text.

    Raises:
        MalformedFileError: If a line is longer than 8 million characters.
    """
    rest = ""
    number = 0
    for text in texts:
        lines = list(io.StringIO(rest + text, newline=""))
        rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        number += len(lines)
        if len(rest) > MAX_LINE_CHARACTERS:
            raise MalformedFileError(f"Line {number + 1} is longer than {MAX_LINE_CHARACTERS:,} characters.")
        yield from lines
    if rest:
        yield rest
