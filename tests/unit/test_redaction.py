"""No personal data in what the API is quoted with."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from datetime import timedelta
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.input_limits import EXAMINED_CHARACTERS, QUOTED_CHARACTERS
from airflow_provider_cleanlist.redaction import REDACTED, Redactor, identifier_or_none, redacted, shown

CONTACTS = [
    {
        "first_name": "Jürgen",
        "last_name": "Ng",
        "company_name": "Quill and Sextant",
        "company_domain": "quill.example",
        "linkedin_url": "https://www.linkedin.com/in/juergen-ng-example/",
    },
    {"first_name": "Con", "last_name": "Þórðar'son"},
]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No contact Jürgen Ng at Quill and Sextant.", f"No contact {REDACTED} {REDACTED} at {REDACTED}."),
        ("JÜRGEN, ng; quill AND sextant", f"{REDACTED}, {REDACTED}; {REDACTED}"),
        ("bad value 'Jürgen'", f"bad value '{REDACTED}'"),
        (r"bad value \"J\u00fcrgen\"", rf"bad value \"{REDACTED}\""),
        ("name=J%C3%BCrgen&x=1", f"name={REDACTED}&x=1"),
        ("name=J\u0075\u0308rgen", f"name={REDACTED}"),
        ("Quill\n  and\tSextant", REDACTED),
        ("see juergen-ng-example", f"see {REDACTED}"),
        ("first_name=Con", f"first_name={REDACTED}"),
        ("Contact refused", "Contact refused"),
        ("Singing", "Singing"),
        ("Þórðar'son", REDACTED),
    ],
)
def test_values_of_the_request_are_taken_out(said: str, expected: str) -> None:
    assert redacted(said, CONTACTS) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("mara@quill.example is taken", f"{REDACTED} is taken"),
        ("<mara.okafor+x@quill.example>", f"<{REDACTED}>"),
        ("https://de.linkedin.com/in/mara-okafor/?x=1 is known", f"{REDACTED} is known"),
        ("linkedin.com/in/mara", REDACTED),
        ("call +1 (202) 555-0143 now", f"call {REDACTED} now"),
        ("+12025550143", REDACTED),
        ("call +49\u201189\u201112345678 now", f"call {REDACTED} now"),
        ("call +49\u201389\u201312345678", f"call {REDACTED}"),
        ("call +49\u2212891234567", f"call {REDACTED}"),
        ("call +49/89/12345678", f"call {REDACTED}"),
        ("call +49 89\u00b712345678", f"call {REDACTED}"),
        ("call +49_89_1234567", f"call {REDACTED}"),
        ("call + 49 89 12345678", f"call {REDACTED}"),
        ("call +(49) 89 12345678", f"call {REDACTED}"),
        ("call +49 [0] 89 12345678", f"call {REDACTED}"),
        ("linkedin.com:443/in/mara", REDACTED),
        ("https://www.linkedin.com./in/mara is known", f"{REDACTED} is known"),
        ("linkedin.com\\in\\mara", REDACTED),
        ("linkedin\u3002com/in/mara", REDACTED),
        ("linkedin.com?x=/in/mara", REDACTED),
        ("https:/files.example/x?sig=abc y", f"https:/files.example/{REDACTED} y"),
        ("see //files.example/x?sig=abc", f"see //files.example/{REDACTED}"),
        ("HTTPS:\\\\files.example\\x?sig=abc", f"HTTPS:\\\\files.example{REDACTED}"),
        ("https://files.example;sig=abc", f"https://files.example{REDACTED}"),
        ("[//files.example/x?sig=abc", f"[//files.example/{REDACTED}"),
        ("linkedin.com:1234567/in/mara", REDACTED),
        ("https://files.example, then (https://other.example).", None),
        ("linkedin.com is not reachable; 3 + 4, a+b, C++", None),
        ("https://api.cleanlist.ai and //api.cleanlist.ai", None),
        ("List 0b0f9c0e-6a53-4f52-8c8b-3d9a1f0c7a11 has 12345678 rows", None),
        ("2026-06-14T09:31:42+00:00", None),
        ("up to 250 per request, see https://docs.cleanlist.ai/errors/validation-error", None),
    ],
)
def test_what_looks_personal_goes_without_knowing_it(said: str, expected: str | None) -> None:
    assert redacted(said, None) == (said if expected is None else expected)


def test_a_message_is_one_line_of_limited_length() -> None:
    assert redacted(" a\n\n b\tc ", None) == "a b c"
    assert redacted("x" * 9000, None) == "x" * QUOTED_CHARACTERS


@pytest.mark.parametrize("before", range(QUOTED_CHARACTERS - 20, QUOTED_CHARACTERS + 3))
def test_a_value_cut_by_the_limit_leaves_no_part_of_itself(before: int) -> None:
    said = "-" * (before - 1) + " Quill and Sextant, mara@quill.example"
    shown = redacted(said, CONTACTS)
    assert "Q" not in shown
    assert "m" not in shown
    assert len(shown) <= QUOTED_CHARACTERS + len(REDACTED)


# A few letters, such as U+FC70, are spelled with a space in the form that is compared.
letters = st.characters(categories=("L",)).filter(lambda it: " " not in unicodedata.normalize("NFKC", it))
words = st.text(alphabet=letters, min_size=2, max_size=12)


@example(["A\ufd3c"], "AA", str)
@given(st.lists(words, min_size=1, max_size=5, unique=True), words, st.sampled_from([str, json.dumps, quote]))
def test_a_value_between_other_words_never_survives(values: list[str], filler: str, spell: object) -> None:
    said = " / ".join(f"({spell(value)})" for value in values)  # type: ignore[operator]
    shown = redacted(said, [{"first_name": value, "last_name": filler} for value in values])
    assert shown == " / ".join(f'("{REDACTED}")' if spell is json.dumps else f"({REDACTED})" for _ in values)


@pytest.mark.parametrize("code", ["insufficient_scope", "req_0a1b2c3d", "a.b:c-d", "X" * 100])
def test_identifiers_pass(code: str) -> None:
    assert identifier_or_none(code) == code


@pytest.mark.parametrize("code", [None, "", 7, True, [], "Mara Okafor", "m@x", "X" * 101, "a\n", "ü"])
def test_what_could_say_more_than_an_identifier_does_not(code: object) -> None:
    assert identifier_or_none(code) is None


# Whatever somebody may write


TOKEN = sign("a secret of some length", batch_name("s", "r", "0"), 2_000_000_000)
ADDRESS = f"https://airflow.northfold.example/cleanlist/webhook/{TOKEN}"
KEY = "clapi_live_0123456789abcdefghijklmn"
SIGNED = "https://files.example/export.csv?X-Amz-Signature=0123456789abcdef&X-Amz-Expires=60"


def twice(text: str) -> str:
    return quote(quote(text, safe=""), safe="")


ENCODINGS = {
    "plain": str,
    "URL": lambda text: quote(text, safe=""),
    "URL, lower case": lambda text: re.sub("%..", lambda it: it[0].lower(), quote(text, safe="")),
    "URL, every letter": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "URL twice": twice,
    "form": quote_plus,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "JSON, every letter": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "HTML": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "invisible characters": "\u200b".join,
    "joiners": "\u034f".join,
    "variation selectors": "\ufe0f".join,
    "full-width percent sign": lambda text: "".join(f"\uff05{byte:02X}" for byte in text.encode()),
    "full-width percent sign in a URL": lambda text: quote(
        "".join(f"\uff05{byte:02X}" for byte in text.encode())
    ),
    "bytes of Python": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "bytes of Python in JSON": lambda text: json.dumps("".join(f"\\x{byte:02X}" for byte in text.encode())),
    "JavaScript": lambda text: "".join(f"\\u{{{ord(character):x}}}" for character in text),
    "JavaScript's old URLs": lambda text: "".join(f"%u{ord(character):04X}" for character in text),
    "bold escape": lambda text: f"\x1b[1m{text}\x1b[0m",
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("secret", [ADDRESS, TOKEN, KEY, SIGNED, "mara@quill.example"])
def test_secrets_go_however_they_are_encoded(encode, secret) -> None:
    shown = redacted(f"Delivery to {encode(secret)} failed: 404 Not Found")
    assert shown.startswith("Delivery to")
    assert shown.endswith("failed: 404 Not Found")
    for part in (TOKEN, TOKEN[20:], KEY[-20:], "0123456789abcdef", "mara", quote(TOKEN)):
        assert part not in shown


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize(
    "value", ["Quill and Sextant", "Jürgen Müßig", "O'Brien & Søn", "100% Fun", "陳大文"]
)
def test_what_was_sent_goes_however_it_is_encoded(encode, value) -> None:
    shown = redacted(f"The value {encode(value)} is odd", [{"company_name": value}])
    assert shown.startswith("The value")
    assert shown.endswith("is odd")
    for word in re.findall(r"\w{3,}", value):
        assert word.lower() not in shown.lower()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Jürgen Müßig", "J%FCrgen+M%fc%DFig"),
        ("Jürgen Müßig", r"J\xfcrgen M\xfc\xdfig"),
        ("O\u2019Brien", "O%92Brien"),
        ("Jürgen Müßig", "Jurgen Mußig"),
        ("Jurgen", "Jürgen"),
        ("Quill\nSextant", r"Quill\nSextant"),
        ("Quill\r\nSextant", r"Quill\\r\\nSextant"),
        ("Quill\nSextant", "Quill Sextant"),
        ("Yıldız", "YILDIZ"),  # noqa: RUF001
        ("Łukasz Sørensen", "Lukasz Sorensen"),
        ("\U00020bb7田", r"\U00020bb7\u7530"),
    ],
)
def test_what_was_sent_goes_in_older_encodings_and_without_accents(value: str, said: str) -> None:
    assert redacted(f"The value {said} is odd", [value]) == f"The value {REDACTED} is odd"


LONG = [
    {
        "linkedin_url": "https://www.linkedin.com/in/maximilian-mustermann-8b4512a7",
        "first_name": "Maximiliane-Sophie",
        "company_name": "Praxis Dr. Anneliese Vauban-Hohenstein",
        "company_domain": "northfold-industries.example",
    }
]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("{'x': 'https:/...an-mustermann-8b4512a7'}", "{'x': '<redacted>...<redacted>'}"),
        ("{'x': 'Maximilia...ustries.example'}", "{'x': '<redacted>...<redacted>'}"),
        ("name=Maximilia…, refused", "name=<redacted>..., refused"),
        ("name 'Maximilia' [...] is odd", "name '<redacted>' [...] is odd"),
        ("…liese Vauban-Hohenstein", "...<redacted>"),
        ("MAXIMILIA...", "<redacted>..."),
        ("Loading... please wait...", "Loading... please wait..."),
        ("Max is well", "Max is well"),
    ],
)
def test_parts_of_values_beside_an_ellipsis_are_redacted(said: str, shown: str) -> None:
    assert redacted(said, LONG) == shown


def test_many_ellipses_take_no_time() -> None:
    people = [{"first_name": f"{n}" * 500, "company_name": "a" * 2_000} for n in range(250)]
    redactor = Redactor(people)
    started = time.process_time()
    redactor.quoted("a...9..." * 200)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "said",
    [
        r"C:\new\table",
        "100%",
        "50%zz of 3%",
        r"\x4",
        r"\u{110000000}",
        "a\u0301",
        "%ufoo",
        "Zürich, São Paulo, Kraków",
    ],
)
def test_what_only_looks_encoded_stays(said: str) -> None:
    assert redacted(said, ["Con"]) == unicodedata.normalize("NFC", said)


@pytest.mark.parametrize(
    "said", ["\\", "\\x", "%", "\\x4", "%u{", "&#", "\u0301", "%C3", "\\xc3", "\ufdfa", "\uff05"]
)
def test_decoding_takes_no_time_whatever_repeats(said: str) -> None:
    begun = time.process_time()
    redacted(said * 100_000, CONTACTS)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"see {ADDRESS} now", f"see https://airflow.northfold.example/{REDACTED} now"),
        (f"POST /cleanlist/webhook/{TOKEN} failed", f"POST /cleanlist/webhook/{REDACTED} failed"),
        (f"token {TOKEN[:40]} cut off", f"token {REDACTED} cut off"),
        ("https://hooks.example/services/T0/B0/abc", f"https://hooks.example/{REDACTED}"),
        ("HTTPS://Hooks.Example?key=1", f"HTTPS://Hooks.Example{REDACTED}"),
        ("postgresql://user:pa/ss@db.example/x failed", f"{REDACTED} failed"),
        ("redis://:secret@cache.example:6379/0", REDACTED),
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {REDACTED}"),
        ("connect to https://api.example failed", None),
        ("connect to https://api.example/ failed", None),
        ("see https://docs.cleanlist.ai/errors/validation-error", None),
        ("https://docs.cleanlist.ai/errors?email=x", f"https://docs.cleanlist.ai/{REDACTED}"),
        (
            "https://docs.cleanlist.ai.evil.example/errors",
            f"https://docs.cleanlist.ai.evil.example/{REDACTED}",
        ),
        ("50% of 3 < 4 & 5 > 2; A&B", None),
        ('relation "sales.leads" does not exist', None),
    ],
)
def test_addresses_and_what_stays_of_them(said: str, expected: str | None) -> None:
    assert redacted(said) == (said if expected is None else expected)


@pytest.mark.parametrize(
    "control",
    ["\x00", "\x07", "\x08", "\x1b", "\x7f", "\x80", "\u202e", "\u2066", "\u200f", "\ufeff", "\ue000"],
)
def test_control_characters_go(control: str) -> None:
    assert redacted(f"a{control}b") == "ab"


@pytest.mark.parametrize("sequence", ["\x1b[31m", "\x9b1;31m", "\x1b[2J", "\x1b[?25l", "\x1b[38;2;1;2;3m"])
def test_terminal_sequences_go(sequence: str) -> None:
    assert redacted(f"a{sequence}b [31m") == "ab [31m"


@pytest.mark.parametrize("space", ["\n", "\r\n", "\t", "\x0b", "\x85", "\u2028", "\xa0", "   "])
def test_a_text_is_one_line(space: str) -> None:
    assert redacted(f"a{space}b") == "a b"


def test_a_text_that_needs_no_change_has_none() -> None:
    said = "Größe 10, naïve Überschrift, 中文, 🚚 und 'Zitat' (HTTP 404): [x] {y} a_b-c/d.e"
    assert redacted(said) == said


@given(st.text(), st.lists(st.text(max_size=20), max_size=4))
def test_any_text_is_one_printable_line_of_limited_length(said: str, sent: list[str]) -> None:
    shown = redacted(said, sent)
    assert all(part.isprintable() for part in shown)
    assert len(shown.replace(REDACTED, "")) <= QUOTED_CHARACTERS


def test_a_value_cut_in_two_by_what_is_looked_at_leaves_nothing() -> None:
    for before in range(EXAMINED_CHARACTERS - 60, EXAMINED_CHARACTERS + 5):
        assert "Qui" not in redacted(" " * before + "Quill and Sextant, Quill and Sextant", CONTACTS)


def test_a_value_longer_than_its_pattern_goes_with_what_follows() -> None:
    value = "Quill " * 100
    assert redacted(f"The value {value} is odd", [value]) == f"The value {REDACTED}"


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("sometimes", "'sometimes'"),
        (3, "3"),
        (None, "None"),
        (timedelta(seconds=5), "datetime.timedelta(seconds=5)"),
        ("ada@northfold.example", "'<redacted>'"),
        ("x" * 101, "a value of type str"),
        pytest.param(10**5000, "a value of type int", id="huge"),
        ([{"first_name": "Ada"}], "a value of type list"),
        ({"first_name": "Ada"}, "a value of type dict"),
    ],
)
def test_wrong_arguments(argument, text):
    assert shown(argument) == text
