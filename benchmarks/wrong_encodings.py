"""Text of 25 languages in 38 encodings other than UTF-8: is it refused, read right, or read wrong without a word?

Usage: ``wrong_encodings.py [files]``: how many files of 5, 25 and 300 rows are made of each pair (default 20, 20 and
3). The names are those of ``tests/unit/contacts/names_of_languages.json``, drawn at random into invented people. What
an encoding lacks is left out, as programs do; files that come out as ASCII or UTF-8 do not count.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from airflow_provider_cleanlist.contacts.errors import EncodingError
from airflow_provider_cleanlist.contacts.readers.text import Decoder

NAMES = Path(__file__).resolve().parent.parent / "tests" / "unit" / "contacts" / "names_of_languages.json"
_NAMES_OF_ENCODINGS = """
    cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-7 iso8859-9
    iso8859-10 iso8859-13 iso8859-15 iso8859-16 koi8-r koi8-u mac_roman mac_latin2 mac_cyrillic mac_turkish cp437 cp850
    cp852 cp857 cp775 cp866 shift_jis euc_jp iso2022_jp gb18030 big5 euc_kr cp874 hz
"""
ENCODINGS = _NAMES_OF_ENCODINGS.split()
ROWS = (5, 25, 300)
WESTERN = ("de", "fr", "es", "pt", "sv", "is")


def languages() -> dict[str, dict[str, list[str]]]:
    """Return first names, last names and places by language."""
    found: Mapping[str, Mapping[str, str]] = json.loads(NAMES.read_text(encoding="utf-8"))
    return {
        language: {kind: names.split(" | ") for kind, names in kinds.items()}
        for language, kinds in found.items()
    }


def people(names: Mapping[str, Sequence[str]], rows: int, rng: random.Random) -> str:
    """Return a file of invented people."""
    lines = (";".join(rng.choice(names[kind]) for kind in ("first", "last", "place")) for _ in range(rows))
    return "\n".join(["First Name;Last Name;Company", *lines, ""])


def outcome(text: str, encoding: str) -> str:
    """Return what became of a text that was written in an encoding."""
    data = text.encode(encoding, "ignore")
    if data.isascii() and encoding not in ("iso2022_jp", "hz"):
        return "ascii"
    meant = data.decode(encoding)
    if meant.isascii():
        return "ascii"
    try:
        found = "".join(Decoder().decode([data]))
    except EncodingError:
        return "refused"
    return "right" if found == meant else "wrong"


def outcomes(rows: int, files: int, seed: int = 7) -> Iterator[tuple[str, str, str]]:
    """Yield language, encoding and outcome of each file."""
    rng = random.Random(seed)
    for language, names in languages().items():
        for encoding in ENCODINGS:
            for _ in range(files):
                yield language, encoding, outcome(people(names, rows, rng), encoding)


def main() -> None:
    """Print a table of shares, and those pairs that were read wrong."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print("| Rows | Files | Refused | Read right | Read wrong |\n|---|---|---|---|---|")
    wrong: Counter[tuple[int, str, str]] = Counter()
    for rows in ROWS:
        tally: Counter[str] = Counter()
        for language, encoding, result in outcomes(rows, max(1, files // 6) if rows > 100 else files):
            tally[result] += 1
            wrong[rows, language, encoding] += result == "wrong"
        total = tally["refused"] + tally["right"] + tally["wrong"]
        shares = " | ".join(f"{tally[name] / total:.2%}" for name in ("refused", "right", "wrong"))
        print(f"| {rows} | {total:,} | {shares} |", flush=True)
    print(
        "\nRead wrong:", {" ".join(map(str, pair)): count for pair, count in wrong.most_common(20) if count}
    )
    rng = random.Random(11)
    for rows in ROWS:
        texts = (people(languages()[name], rows, rng) for name in WESTERN for _ in range(files))
        refused = sum(outcome(text, "cp1252") == "refused" for text in texts)
        print(f"Western, in Windows-1252, {rows} rows: {refused} of {files * len(WESTERN)} refused")


if __name__ == "__main__":
    main()
