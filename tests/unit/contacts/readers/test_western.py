"""Windows-1252 and what only looks like it."""

# ruff: noqa: RUF001

from __future__ import annotations

import random
from collections import Counter

import pytest
from wrong_encodings import ENCODINGS, WESTERN, languages, outcome, outcomes, people

from airflow_provider_cleanlist.contacts.errors import EncodingError
from airflow_provider_cleanlist.contacts.readers.text import Decoder
from airflow_provider_cleanlist.contacts.readers.western import WesternText

ENGLISH = "First Name;Last Name;Company\n" + "Harriet;Miller;Northfold\n" * 300


def decoded(data: bytes, size: int = 1 << 20) -> str:
    return "".join(Decoder().decode(data[start : start + size] for start in range(0, len(data), size)))


@pytest.mark.parametrize(("rows", "most"), [(5, 1), (25, 0)])
def test_text_of_any_language_in_any_encoding_is_refused_or_read_right(rows, most):
    # One word alone can be plausible in two encodings: Ścieszka is Úcieszka. benchmarks/wrong_encodings.py has shares.
    found = Counter(result for *_, result in outcomes(rows, 1, seed=3))
    assert found["wrong"] <= most
    assert found["refused"] > found["right"] > 50
    assert len(languages()) >= 20
    assert len(ENCODINGS) >= 25


@pytest.mark.parametrize("language", WESTERN)
@pytest.mark.parametrize("rows", [1, 5, 25, 300])
def test_western_text_in_windows_1252_is_read(language, rows):
    rng = random.Random(rows)
    assert outcome(people(languages()[language], rows, rng), "cp1252") in ("right", "ascii")


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        ("李娜;王伟", "gb18030"),
        ("林美玲;陳志明", "big5"),
        ("Ян;Юй", "cp1251"),
        ("علي;هدى", "cp1256"),
        ("김민수;이서연", "euc_kr"),
        ("Łukasz;Wiśniewski", "cp1250"),
        ("Jiří;Dvořák", "cp1250"),
        ("Çağlar;Yılmaz", "cp1254"),
        ("José;García", "mac_roman"),
        ("Jürgen;Groß", "cp850"),
        ("佐藤;葵", "iso2022_jp"),
        ("李娜;王伟", "hz"),
    ],
)
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_few_foreign_names_after_hundreds_of_english_ones(names, encoding, size):
    with pytest.raises(EncodingError, match=r"encoding is not supported: .* \(near lines? \d") as caught:
        decoded((ENGLISH + f"{names};x\n" * 2).encode(encoding), size)
    assert "line 302" in str(caught.value) or "lines 302" in str(caught.value)
    assert "encoding='...'" in str(caught.value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_rows_are_named(line_end):
    text = ENGLISH.replace("Harriet;Miller", "Łukasz;Wójcik", 1) + "Bożena;Żak;x\n"
    with pytest.raises(EncodingError, match=r"nor Windows-1252 \(near lines 2, 302\)"):
        decoded(text.replace("\n", line_end).encode("cp1250"))


@pytest.mark.parametrize(
    "text",
    [
        "Chloé D’Angelo; O´Neill, Mª José, Nº 5, MªCarmen",
        "Paral·lel; Col·legi d’Enginyers; l’Oréal; rock’n’roll",
        "Foo® & Bar™; 10 €; 5 m²; £20; § 3; © 2026; °C; ½ Foo",
        "Zürich–Genève; “Café”; «Été»; „Größe“; ¡Olé!; ¿Qué?; €uro",
        "Thistle\xa0and Sons; Ana\xa0de la Peña; 7\xa0000",
        "Zoë Noël, Anaïs Haïti, Björk Guðmundsdóttir, Þórður, Søren Kjær, Åsa Öberg, João Magalhães, Sá",
        "Žižka; Aleš; Škoda; Miloš",  # the same bytes in Windows-1250
    ],
)
def test_what_is_western_stays_so(text):
    assert decoded(f"x;y\n{text}\n".encode("cp1252")) == f"x;y\n{text}\n"


@pytest.mark.parametrize(
    "text",
    [
        "Rößler;Süß;Müller, Jäger & Söhne, München",
        "Bäßler;Süßmann;Häßler\nMößner;Flößer;Grüße\nFüße;Größ;Großräschen",
        "Brontë;Æðsson;Hæð;Næðis",
        "Ñandú;Tõnu;Göçmen;Maÿlis;Louÿs",
    ],
)
def test_ordinary_names_of_few_rows_are_western(text):
    assert decoded(f"Vorname;Nachname;Firma\n{text}\n".encode("cp1252")).endswith(f"{text}\n")


@pytest.mark.parametrize(
    ("text", "encoding"), [("Łoś;Śląsk", "cp1250"), ("Győző;Szűcs", "cp1250"), ("Ξένιος;Δίας", "cp1253")]
)
def test_few_names_of_other_encodings_are_not(text, encoding):
    with pytest.raises(EncodingError, match="neither UTF-8 nor Windows-1252"):
        decoded(f"x;y\n{text}\n".encode(encoding))


def test_a_few_odd_words_among_many_are_names_from_elsewhere():
    western = ";".join(languages()["fr"]["first"] + languages()["de"]["last"])
    text = f"{western}\nHôa;Zêba\n"
    assert decoded(text.encode("cp1252")) == text


def test_who_knows_better_may_say_so():
    text = "Hôa;Zêba;Wiœ\n"
    with pytest.raises(EncodingError):
        decoded(text.encode("cp1252"))
    assert "".join(Decoder("cp1252").decode([text.encode("cp1252")])) == text


def held(western: WesternText) -> int:
    """Return how many characters a judge of texts has kept."""
    return sum(
        len(text) for part in vars(western).values() if isinstance(part, str | set | dict) for text in part
    )


@pytest.mark.parametrize(
    "row",
    [
        "José,O’Brien,acme.com\r" * 20,
        '{"name": "José O’Brien"}, ' * 20,  # JSON in one line
        "a" * 5_000 + "{}é,O’Brien\n",
        "é" * 5_000,
    ],
    ids=["carriage returns", "one line", "long words", "one word"],
)
def test_no_text_is_kept_whole(row):
    western = WesternText()
    text = "".join(row.replace("{}", str(n)) for n in range(400_000 // len(row)))
    for start in range(0, len(text), 16 * 1024):
        western.add(text[start : start + 16 * 1024])
        assert held(western) < 10_000


def many_words() -> str:
    """More words than are remembered, all of them Western."""
    pairs = [a + b for a in "bcdfghjklmnpqrstvwxz" for b in "aeiou"]
    return "\n".join(
        f"{a}{b}{c}{d}né" for a in pairs for b in pairs for c, d in (pairs[:2], pairs[2:4], pairs[4:6])
    )


def test_a_large_text_is_judged_by_its_first_words():
    text = many_words() + "\n" + "\n".join(f"{a}zêba" for a in many_words().replace("né", "").split()[:4_000])
    assert decoded(text.encode("cp1252")) == text
    western = WesternText()
    western.add(text)
    assert len(western.odd_lines) == 0
    assert held(western) < 250_000 < len(text)


def test_what_no_western_text_holds_is_found_behind_any_number_of_words():
    with pytest.raises(EncodingError, match="nor Windows-1252"):
        decoded(f"{many_words()}\nab£cd\n".encode("cp1252"))
