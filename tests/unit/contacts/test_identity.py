"""Normalisation, validation, identity and deduplication of contacts."""

# ruff: noqa: RUF001

from __future__ import annotations

import random
import time
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS, Contact
from airflow_provider_cleanlist.contacts.identity import (
    IDENTITY_BYTES,
    Deduplicator,
    Rejection,
    RejectionReason,
    identity,
    normalise,
    validate,
)

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARA = {"linkedin_url": "https://www.linkedin.com/in/mara-okafor-example"}
TEO = {"first_name": "Teo", "last_name": "Lindqvist", "company_domain": "harborlight.example"}
INES = {"first_name": "Ines", "last_name": "Vauban", "company_name": "Quill and Sextant"}


def key(**fields: object) -> bytes:
    return identity(normalise(fields))


# --- normalise ---------------------------------------------------------------------------------------------------


def test_cleans_every_field():
    contact = normalise(
        {
            "linkedin_url": " de.linkedin.com/in/Mara-Okafor-example/?x=1 ",
            "first_name": "\u00a0Mara ",
            "last_name": "Okafor\u200b",
            "company_name": " Northfold  Analytics\n",
            "company_domain": "https://www.Northfold.example/about",
            "email": "mailto:Mara@northfold.example",
            "job_title": "Head of Data",
        }
    )
    assert contact == Contact(
        linkedin_url="https://www.linkedin.com/in/mara-okafor-example",
        first_name="Mara",
        last_name="Okafor",
        company_name="Northfold  Analytics",
        company_domain="northfold.example",
        email="Mara@northfold.example",
    )


@pytest.mark.parametrize("name", ["Jürgen", "Ольга", "小林", "O’Neill", "MCDONALD", "de la Cruz", "Null"])
def test_names_are_sent_as_given(name):
    assert normalise({"first_name": f" {name} "}).first_name == name


def test_no_values_no_fields():
    assert normalise({}).payload() == {}
    assert normalise(dict.fromkeys(CONTACT_FIELDS)).payload() == {}


def test_what_is_not_needed_and_not_usable_is_dropped():
    contact = normalise({**INES, "linkedin_url": "n/a", "company_domain": "n/a", "email": "n/a"})
    assert contact.payload() == INES


def test_a_domain_that_is_none_does_not_hide_the_linkedin_url():
    assert normalise({**MARA, "company_domain": "gmail.com"}).payload() == MARA


def test_a_kept_person_url_is_sent_as_given():
    url = "https://www.linkedin.com/sales/lead/ACwAAAxyZ,NAME_SEARCH,k3"
    assert normalise({**TEO, "linkedin_url": url}).linkedin_url == url


values = st.one_of(
    st.none(),
    st.text(),
    st.floats(),
    st.integers(),
    st.booleans(),
    st.lists(st.text(), max_size=2),
    st.binary(),
    st.sampled_from(
        [
            "https://www.linkedin.com/in/Mara/",
            "www.foo.example",
            "a@foo.example",
            "n/a",
            "de.linkedin.com/in/%C3%BC",
        ]
    ),
)
raw_contacts = st.dictionaries(st.sampled_from(CONTACT_FIELDS), values)


@examples
@given(raw_contacts)
def test_normalising_twice_changes_nothing(fields):
    once = normalise(fields)
    assert normalise(once.payload()) == once


@examples
@given(raw_contacts)
def test_what_is_valid_meets_the_contract(fields):
    contact = normalise(fields)
    if validate(contact) is None:
        payload = contact.payload()
        named = "first_name" in payload and "last_name" in payload
        assert "linkedin_url" in payload or (
            named and ("company_name" in payload or "company_domain" in payload)
        )
        assert all(value == value.strip() and value for value in payload.values())
        assert len(identity(contact)) == IDENTITY_BYTES


# --- validate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [MARA, TEO, INES, {**MARA, **TEO}, {**TEO, "email": "teo@harborlight.example"}]
)
def test_valid(fields):
    assert validate(normalise(fields)) is None


R = RejectionReason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, R.MISSING_IDENTITY),
        ({"company_name": "Foo"}, R.MISSING_NAME),
        ({"email": "x@foo.example"}, R.EMAIL_ONLY),
        ({"email": "x@foo.example", "first_name": "Mara"}, R.MISSING_NAME),
        ({"email": "x@foo.example", "company_domain": "foo.example"}, R.MISSING_NAME),
        ({"first_name": "Mara", "company_name": "Foo"}, R.MISSING_NAME),
        ({"last_name": "Okafor", "company_domain": "foo.example"}, R.MISSING_NAME),
        ({"first_name": "Mara"}, R.MISSING_NAME),
        ({"first_name": "Mara", "last_name": "Okafor"}, R.MISSING_COMPANY),
        ({"first_name": "Mara", "last_name": "Okafor", "email": "mara@foo.example"}, R.MISSING_COMPANY),
        (
            {"first_name": "Mara", "last_name": "Okafor", "company_domain": "gmail.com"},
            R.NOT_A_COMPANY_DOMAIN,
        ),
        ({"first_name": "Mara", "last_name": "Okafor", "company_domain": "n/a"}, R.NOT_A_COMPANY_DOMAIN),
        ({"linkedin_url": "n/a"}, R.NOT_A_PERSON_URL),
        ({"linkedin_url": "https://www.linkedin.com/company/foo"}, R.NOT_A_PERSON_URL),
        ({"linkedin_url": "n/a", "first_name": "Mara", "last_name": "Okafor"}, R.NOT_A_PERSON_URL),
    ],
)
def test_invalid(fields, reason):
    assert validate(normalise(fields)) == Rejection(reason)


@pytest.mark.parametrize("reason", RejectionReason)
def test_every_reason_has_a_message(reason):
    assert len(Rejection(reason).message) > 20


def test_reason_codes_are_stable():
    assert sorted(RejectionReason) == [
        "anothers_url",
        "email_only",
        "malformed_row",
        "missing_company",
        "missing_identity",
        "missing_name",
        "not_a_company_domain",
        "not_a_name",
        "not_a_person_url",
        "unreadable_text",
    ]


# --- identity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hyphen", "\u2010\u2011\u2013\uff0d")
def test_hyphens_of_word_processors_make_nobody_two(hyphen: str) -> None:
    for fields in (
        {"linkedin_url": "https://www.linkedin.com/in/ada-roe-example"},
        {"first_name": "Ada", "last_name": "Roe-Hill", "company_domain": "found-both.example"},
    ):
        plain = normalise(fields)
        odd = normalise({name: text.replace("-", hyphen) for name, text in fields.items()})
        assert identity(odd) == identity(plain)
        assert (odd.linkedin_url, odd.company_domain) == (plain.linkedin_url, plain.company_domain)


def test_letters_in_full_width_make_nobody_two() -> None:
    names = {"first_name": "Ada", "last_name": "Roe"}
    wide = normalise({**names, "company_domain": "\uff46ound-both.example"})
    assert identity(wide) == identity(normalise({**names, "company_domain": "found-both.example"}))
    assert wide.company_domain == "found-both.example"


GOLDEN = [
    (MARA, "ba1a5ad4848d90b2e5a22f20"),
    ({"linkedin_url": "https://www.linkedin.com/in/jürgen-müller-example"}, "ff60913d890fbe6d8dd0aeb2"),
    ({"linkedin_url": "https://www.linkedin.com/in/ACoAAAB1234567890abcDEF"}, "1fb50f96cd09d0e8a332f658"),
    (
        {"linkedin_url": "https://www.linkedin.com/sales/lead/ACwAAAxyZ,NAME_SEARCH,k3"},
        "d732d0de844b2960bec5fc1b",
    ),
    (TEO, "82d1521665d69f4a2215a792"),
    (INES, "413545565c5826c0832b26cb"),
    (
        {"first_name": "Jürgen", "last_name": "Groß", "company_name": "Müller & Söhne"},
        "82246db65d637ee5121cf3bb",
    ),
    (
        {"first_name": "Ольга", "last_name": "Петрова", "company_domain": "компания.example"},
        "42a0ba8bd58ffe8bb3ffd892",
    ),
    (
        {"first_name": "葵", "last_name": "小林", "company_name": "株式会社サンプル"},
        "44efff5a2286466d1189f170",
    ),
    (
        {"first_name": "Siobhán", "last_name": "O’Neill-Byrne", "company_domain": "xn--mller-kva.example"},
        "678acee244faffc6fe02314e",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), GOLDEN)
def test_identities_never_change_between_versions(fields, expected):
    """Journals hold these hashes. If this test fails, a new release would pay again for what was paid for."""
    assert key(**fields).hex() == expected


@pytest.mark.parametrize(
    "variant",
    [
        {"first_name": "TEO"},
        {"first_name": " teo "},
        {"first_name": "ＴＥＯ"},
        {"first_name": "Te\u200bo"},
        {"last_name": "LINDQVIST"},
        {"company_domain": "https://www.HarborLight.example/team"},
        {"company_domain": "info@harborlight.example"},
        {"company_name": "Harbor Light"},
        {"email": "teo@harborlight.example"},
        {"linkedin_url": "n/a"},
    ],
)
def test_same_person_by_name(variant):
    assert key(**{**TEO, **variant}) == key(**TEO)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O'Neill", "O’Neill"),
        ("Jean-Luc", "Jean‑Luc"),
        ("Groß", "GROSS"),
        ("Müller", "Mu\u0308ller"),
        ("de  la\u00a0Cruz", "De La Cruz"),
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσεύς".replace("ύ", "υ")),
        ("İpek", "i\u0307pek"),
        ("Oke'a", "Oke\u02bba"),
        ("O'Neill", "O\u201bNeill"),
        ("\u05db\u05d4\u05df-\u05dc\u05d5\u05d9", "\u05db\u05d4\u05df\u05be\u05dc\u05d5\u05d9"),
        ("Jean-Luc", "Jean\u2015Luc"),
        ("Jean-Luc", "Jean\ufe58Luc"),
    ],
)
def test_same_name(one, other):
    assert key(**{**INES, "last_name": one}) == key(**{**INES, "last_name": other})


def test_same_internationalised_domain():
    assert key(**{**TEO, "company_domain": "müller.example"}) == key(
        **{**TEO, "company_domain": "xn--mller-kva.example"}
    )


@pytest.mark.parametrize(
    "domain", ["οδος.example", "οδοσ.example", "ΟΔΟΣ.example", "xn--pxavbq.example", "xn--pxavbm.example"]
)
def test_a_final_sigma_does_not_make_another_domain(domain):
    assert key(**{**TEO, "company_domain": domain}) == key(**{**TEO, "company_domain": "οδος.example"})


@pytest.mark.parametrize(
    "domain",
    [
        "xn--\u00fc.example",
        "xn--99999999999.example",
        "xn--.example",
        "xn--ab-zd9k.com",
        "www.xn--x-qo7g.xn--mller-kva.example",  # half of a surrogate pair
    ],
)
def test_a_broken_internationalised_domain_stays_as_it_is(domain):
    assert key(**{**TEO, "company_domain": domain}) == key(**{**TEO, "company_domain": domain.upper()})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEO, {**TEO, "company_domain": "harborlight.test"}),
        (TEO, {**TEO, "first_name": "Lindqvist", "last_name": "Teo"}),
        (TEO, {**TEO, "first_name": "Theo"}),
        (TEO, {**TEO, "company_domain": None, "company_name": "harborlight.example"}),
        (TEO, {**TEO, **MARA}),
        (INES, {**INES, "company_name": "Quill and Sextant GmbH"}),
        (INES, {**INES, "first_name": "Inès"}),
        ({**INES, "last_name": "Müller"}, {**INES, "last_name": "Muller"}),
        ({**TEO, "company_domain": "straße.example"}, {**TEO, "company_domain": "strasse.example"}),
        ({**TEO, "company_domain": "οδος.example"}, {**TEO, "company_domain": "οδο.example"}),
        ({**INES, "last_name": "Okeʻa"}, {**INES, "last_name": "Okea"}),
        ({**INES, "last_name": "Jean\u2015Luc"}, {**INES, "last_name": "JeanLuc"}),
        (MARA, {"linkedin_url": MARA["linkedin_url"] + "-2"}),
        (
            {**INES, "first_name": "A", "last_name": "B,1:C"},
            {**INES, "first_name": "A,5:B", "last_name": "C"},
        ),
        (
            {**TEO, "linkedin_url": "https://www.linkedin.com/sales/lead/ACwAAAxyZ,x"},
            {**TEO, "linkedin_url": "https://www.linkedin.com/sales/lead/ACwAAAabc,x"},
        ),
    ],
)
def test_different_people(one, other):
    assert key(**one) != key(**other)


names = st.text(st.characters(codec="utf-8", categories=["L", "M"]), min_size=1, max_size=12)
slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{2,29}", fullmatch=True)
rng = st.randoms(use_true_random=False)


def respell_url(slug: str, rng: random.Random) -> str:
    """Write a profile's URL in one of its many ways."""
    scheme = rng.choice(["https://", "http://", "", "//", "HTTPS://"])
    host = rng.choice(
        ["www.linkedin.com", "linkedin.com", "de.linkedin.com", "m.linkedin.com", "WWW.LinkedIn.com"]
    )
    letters = [letter.upper() if rng.random() < 0.3 else letter for letter in slug]
    encoded = "".join(f"%{ord(letter):02X}" if rng.random() < 0.2 else letter for letter in letters)
    tail = rng.choice(["", "/", "/?trk=x", "#about", "/en", "/details/skills/", "?a=b&c=d"])
    space = rng.choice(["", " ", "\u00a0", "\u200b"])
    return f"{space}{scheme}{host}/in/{encoded}{tail}{space}"


def respell_name(name: str, rng: random.Random) -> str:
    """Write a name in one of its equivalent ways."""
    form = rng.choice(["NFC", "NFD"])
    space = rng.choice(["", " ", "\u00a0", "\t", "\u200b"])
    return space + unicodedata.normalize(form, name) + space


def respell_domain(domain: str, rng: random.Random) -> str:
    shapes = ["{}", "www.{}", "https://{}/", "http://www.{}/a?b", "info@{}", "mailto:x@{}", "{}.", "{}:443"]
    written = rng.choice(shapes).format(domain)
    return written.upper() if rng.random() < 0.3 else written


@examples
@given(slugs, rng)
def test_the_same_profile_spelled_differently_is_one_person(slug, rng):
    assert key(linkedin_url=respell_url(slug, rng)) == key(linkedin_url=respell_url(slug, rng))


@examples
@given(slugs, slugs, rng)
def test_different_profiles_are_different_people(one, other, rng):
    same = key(linkedin_url=respell_url(one, rng)) == key(linkedin_url=respell_url(other, rng))
    assert same == (one == other)


@examples
@given(names, names, slugs, rng)
def test_the_same_name_spelled_differently_is_one_person(first, last, label, rng):
    domain = f"x{label}x.example"

    def spelled() -> bytes:
        return key(
            first_name=respell_name(first, rng),
            last_name=respell_name(last, rng),
            company_domain=respell_domain(domain, rng),
        )

    assert spelled() == spelled()


@examples
@given(st.text("aeioulmnrst '-", min_size=1, max_size=8), st.text("aeioulmnrst '-", min_size=1, max_size=8))
def test_letter_case_never_matters_in_names(first, last):
    fields = {"first_name": first, "last_name": last, "company_name": "Foo"}
    contact, shouted = normalise(fields), normalise({name: value.upper() for name, value in fields.items()})
    assert identity(contact) == identity(shouted)


simple = st.text("abcé ,:'1", min_size=1, max_size=6).map(lambda text: " ".join(text.split())).filter(bool)


@examples
@given(st.tuples(simple, simple, simple), st.tuples(simple, simple, simple))
def test_different_names_are_different_people(one, other):
    fields = ("first_name", "last_name", "company_name")
    same = key(**dict(zip(fields, one, strict=True))) == key(**dict(zip(fields, other, strict=True)))
    assert same == (one == other)


@examples
@given(names, slugs)
def test_a_non_ascii_slug_is_one_person_encoded_or_not(name, slug):
    written = unicodedata.normalize("NFC", f"{slug}{name}")
    contact = normalise({"linkedin_url": f"https://www.linkedin.com/in/{written}"})
    encoded = normalise({"linkedin_url": f"linkedin.com/in/{quote(written)}/"})
    assert contact == encoded
    assert validate(contact) is None


# --- Deduplicator ------------------------------------------------------------------------------------------------


@examples
@given(st.lists(st.binary(min_size=8, max_size=8)))
def test_deduplicator_is_a_set(identities):
    seen, model = Deduplicator(), set()
    for identity_ in identities:
        assert (identity_ in seen) == (identity_ in model)
        assert seen.add(identity_) == (identity_ not in model)
        model.add(identity_)
        assert len(seen) == len(model)


@pytest.mark.parametrize("bits", [24, 44])
def test_identities_that_resemble_each_other_are_spread(bits: int):
    """In a table by their last bits, each of them would be compared with all others: a minute."""
    identities = [((number << bits) + 12345).to_bytes(8, "big") + b"...." for number in range(20_000)]
    seen = Deduplicator()
    started = time.process_time()
    seen.update(identities)
    assert time.process_time() - started < 3
    assert len(seen) == 20_000
    assert all(map(seen.__contains__, identities))
    assert b"another....." not in seen


def test_deduplicator_grows():
    rng = random.Random(7)
    identities = [rng.randbytes(8) for _ in range(50_000)]
    seen = Deduplicator()
    assert all(seen.add(item) for item in identities)
    assert not any(seen.add(item) for item in identities)
    assert all(item in seen for item in identities)
    assert rng.randbytes(8) not in seen
