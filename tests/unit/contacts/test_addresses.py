"""LinkedIn URLs, e-mail addresses and company domains in the text of a cell."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.contacts.addresses import (
    FREE_MAIL_DOMAINS,
    clean_domain,
    clean_email,
    parse_linkedin_url,
)

PROFILE = "https://www.linkedin.com/in/mara-okafor-example"

SPELLINGS = [
    "https://www.linkedin.com/in/mara-okafor-example",
    "https://www.linkedin.com/in/mara-okafor-example/",
    "http://www.linkedin.com/in/mara-okafor-example",
    "linkedin.com/in/mara-okafor-example",
    "www.linkedin.com/in/mara-okafor-example",
    "//www.linkedin.com/in/mara-okafor-example",
    "HTTPS://WWW.LinkedIn.COM/in/mara-okafor-example",
    "https://www.linkedin.com/in/Mara-Okafor-Example",
    "https://www.linkedin.com/IN/MARA-OKAFOR-EXAMPLE/",
    "https://de.linkedin.com/in/mara-okafor-example",
    "https://uk.linkedin.com/in/mara-okafor-example/en",
    "https://m.linkedin.com/in/mara-okafor-example",
    "https://www.linkedin.com/mwlite/in/mara-okafor-example",
    "https://www.linkedin.com/mwlite/profile/in/mara-okafor-example",
    "https://www.linkedin.com/in/mara-okafor-example?originalSubdomain=de",
    "https://www.linkedin.com/in/mara-okafor-example/?trk=people_guest#experience",
    "https://www.linkedin.com/in/mara-okafor-example/details/experience/",
    "https://www.linkedin.com/in/mara-okafor-example/overlay/contact-info/",
    "https://www.linkedin.com/in/mara%2Dokafor%2Dexample/",
    "https://www.linkedin.com/in/mara%252Dokafor%252Dexample/",
    "https://www.linkedin.com:443/in/mara-okafor-example",
    "https://www.linkedin.com//in//mara-okafor-example//",
    "https://www.linkedin.com./in/mara-okafor-example",
    "https://somebody@www.linkedin.com/in/mara-okafor-example",
    "<https://www.linkedin.com/in/mara-okafor-example>",
    '"https://www.linkedin.com/in/mara-okafor-example",',
    "/in/mara-okafor-example",
    "in/mara-okafor-example/",
    "https://www.linkedin.com/comm/in/mara-okafor-example?midToken=x",
    "https://www.linkedin.com/m/in/mara-okafor-example/",
    "https://www.linkedin.com/mwlite/profile/in/mara-okafor-example/",
    "https://www.linkedin.cn/in/mara-okafor-example",
    "https://www.linkedin.cn/incareer/in/mara-okafor-example",
    "[Mara](https://www.linkedin.com/in/mara-okafor-example)",
    '=HYPERLINK("https://www.linkedin.com/in/mara-okafor-example")',
    '=HYPERLINK("https://www.linkedin.com/in/mara-okafor-example";"Mara")',
    "\u201chttps://www.linkedin.com/in/mara-okafor-example\u201d",
    '{"url": "https://www.linkedin.com/in/mara-okafor-example"}',
    '<a href="https://www.linkedin.com/in/mara-okafor-example">Mara</a>',
    "https://www.linkedin.com/in/mara-okafor-example; https://www.linkedin.com/in/teo",
    "https://www.linkedin.com/in/mara-okafor-example,https://www.linkedin.com/in/teo",
    "https://www.linkedin.com/in/mara-okafor-example\nde.linkedin.com/in/teo",
    "https://www.linkedin.com/company/northfold | https://www.linkedin.com/in/mara-okafor-example",
    "https://northfold.example https://www.linkedin.com/in/mara-okafor-example",
]


@pytest.mark.parametrize("end", [".", "...", "./", "/.", ".?trk=x"])
def test_the_end_of_a_sentence_is_no_part_of_a_profile(end):
    for slug in ("mara-okafor-example", "j%C3%BCrgen-example"):
        parsed = parse_linkedin_url(f"https://www.linkedin.com/in/{slug}{end}")
        assert parsed is not None
        assert parsed.url == f"https://www.linkedin.com/in/{slug}"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("pub/jos%C3%A9/1/2/3", "pub/jose%CC%81/1/2/3", True),
        ("pub/jos\u00e9/1/2/3", "pub/JOSE\u0301/1/2/3", True),
        ("pub/ada/1/2/3", "pub/ada/1/2/3.", True),
        ("pub/ada/1/2/3", "pub/ada/1/2/3%E2%80%8B", True),
        ("sales/lead/ACwAAAabcdefghijkl,NAME", "sales/lead/ACwAAAabcdefghijkl.", True),
        ("pub/ada/1/2/3", "pub/ada/1/2/4", False),
        ("pub/jose/1/2/3", "pub/jos%C3%A9/1/2/3", False),
        ("sales/lead/ACwAAAabcdefghijkl", "sales/lead/ACwAAAabcdefghijkL", False),
    ],
)
def test_other_pages_of_a_person_are_one_in_every_spelling(one, other, is_same):
    first, second = (parse_linkedin_url(f"https://www.linkedin.com/{path}") for path in (one, other))
    assert first is not None
    assert second is not None
    assert (first.identity == second.identity) is is_same


@pytest.mark.parametrize(
    ("tail", "identity"),
    [
        ("/1/2a/3b4/en", "/1/2a/3b4"),
        ("/1/2a/3b4/pt-BR/", "/1/2a/3b4"),
        ("/1/2a/de", "/1/2a/de"),  # a hexadecimal number
        ("/1/2a/3b4/5", "/1/2a/3b4/5"),
    ],
)
def test_the_language_of_a_public_page_does_not_matter(tail, identity):
    parsed = parse_linkedin_url(f"http://uk.linkedin.com/pub/ada{tail}")
    assert parsed is not None
    assert parsed.identity == f"pub/ada{identity}"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_profile_becomes_one_url(spelling):
    parsed = parse_linkedin_url(spelling)
    assert parsed is not None
    assert (parsed.url, parsed.identity) == (PROFILE, "in/mara-okafor-example")


@pytest.mark.parametrize(
    "spelling",
    [
        "https://www.linkedin.com/in/jürgen-müller-example",
        "https://www.linkedin.com/in/JÜRGEN-MÜLLER-example",
        "https://www.linkedin.com/in/ju\u0308rgen-mu\u0308ller-example",
        "https://www.linkedin.com/in/j%C3%BCrgen-m%C3%BCller-example",
        "https://www.linkedin.com/in/j%c3%bcrgen-m%c3%bcller-example/",
        "https://www.linkedin.com/in/j%25C3%25BCrgen-m%25C3%25BCller-example",
        "https://www.linkedin.com/in/j%FCrgen-m%FCller-example",
    ],
)
def test_slug_with_umlauts_is_sent_percent_encoded(spelling):
    parsed = parse_linkedin_url(spelling)
    assert parsed is not None
    assert parsed.url == "https://www.linkedin.com/in/j%C3%BCrgen-m%C3%BCller-example"


def test_broken_percent_encoding_does_not_make_two_people_one():
    u_umlaut = parse_linkedin_url("https://www.linkedin.com/in/m%FCller-example")
    a_umlaut = parse_linkedin_url("https://www.linkedin.com/in/m%E4ller-example")
    assert u_umlaut is not None
    assert a_umlaut is not None
    assert u_umlaut.identity != a_umlaut.identity


def test_member_ids_keep_their_case():
    upper = parse_linkedin_url("https://linkedin.com/in/ACoAAAB1234567890abcDEF/")
    lower = parse_linkedin_url("https://linkedin.com/in/ACoAAAB1234567890abcdef/")
    assert upper is not None
    assert lower is not None
    assert upper.url == "https://www.linkedin.com/in/ACoAAAB1234567890abcDEF"
    assert upper.identity != lower.identity


def test_a_member_id_may_carry_the_search_it_was_found_by():
    found = parse_linkedin_url("https://www.linkedin.com/in/ACwAAAB1234567890abcDEF,NAME_SEARCH,ab12")
    assert found == parse_linkedin_url("https://www.linkedin.com/in/ACwAAAB1234567890abcDEF")
    assert found is not None


@pytest.mark.parametrize(
    "name",
    [
        "undefined",
        "n.a",
        "n.a.",
        "Undefined",
        "null",
        "none",
        "unavailable",
        "me",
        "me/",
        "n/a",
        "N/A/",
        "n%2Fa",
        "nan",
        "unknown",
        "null?x=1",
        "nil",
        "false",
        "0",
        "private",
        "headless",
        "username",
        "no-profile",
        "in",
        "in/in",
        "pub/x",
        "www.linkedin.com",
        "en/mara-okafor",
        "de_DE/mara",
        "mara-okafor%2C-cpa-45b18a12",
    ],
)
def test_a_placeholder_is_nobody(name):
    assert parse_linkedin_url(f"https://www.linkedin.com/in/{name}") is None
    assert parse_linkedin_url(f"in/{name}") is None


@pytest.mark.parametrize("placeholder", ["undefined", "null", "nan", "None", "%20", "%2C", ",NAME_SEARCH,x"])
@pytest.mark.parametrize(
    "page", ["sales/lead", "sales/people", "talent/profile", "recruiter/profile", "pub", "linkedin.com/in"]
)
def test_a_placeholder_is_nobody_on_every_page(page, placeholder):
    if (page, placeholder) != ("pub", ",NAME_SEARCH,x"):  # only Sales Navigator writes searches
        assert parse_linkedin_url(f"https://www.linkedin.com/{page}/{placeholder}") is None
    assert parse_linkedin_url(f"https://lnkd.in/{placeholder.strip('%,')}") is None or placeholder[0] in "%,"


@pytest.mark.parametrize(
    "before", ["www.linkedin.com/in/", "linkedin.com/in/", "de.linkedin.com/in/", "in/", "in/in/"]
)
def test_an_address_before_another_is_not_the_name(before):
    """As forms and formulas make it that put ``https://www.linkedin.com/in/`` before whatever is there."""
    found = parse_linkedin_url(f"https://www.linkedin.com/in/{before}mara-okafor/en")
    assert found is not None
    assert found.identity == "in/mara-okafor"


@pytest.mark.parametrize("name", ["null-okafor", "me-and-mara", "nonetta", "comm", "n", "a/n"])
def test_names_that_only_begin_like_placeholders_are_people(name):
    assert parse_linkedin_url(f"https://www.linkedin.com/in/{name}") is not None


@pytest.mark.parametrize(
    ("spelling", "identity"),
    [
        ("https://www.linkedin.com/pub/mara-okafor-example/1/2a/3b4", "pub/mara-okafor-example/1/2a/3b4"),
        ("https://www.linkedin.com/sales/lead/ACwAAAxyZ,NAME_SEARCH,k3?x=1", "sales/ACwAAAxyZ"),
        ("https://www.linkedin.com/sales/people/ACwAAAxyZ,name,k9", "sales/ACwAAAxyZ"),
        ("https://www.linkedin.com/talent/profile/AEMAAAxyZ", "talent/AEMAAAxyZ"),
        ("https://lnkd.in/aBcDe", "lnkd.in/aBcDe"),
    ],
)
def test_other_person_urls_are_kept_as_given(spelling, identity):
    parsed = parse_linkedin_url(spelling)
    assert parsed is not None
    assert (parsed.url, parsed.identity) == (spelling, identity)


@pytest.mark.parametrize(
    "text",
    [
        "N/A",
        "mara okafor",
        "https://www.northfold.example/in/mara-okafor-example",
        "https://www.linkedin.com.evil.example/in/mara",
        "https://notlinkedin.com/in/mara",
        "https://www.linkedin.com",
        "https://www.linkedin.com/in/",
        "https://www.linkedin.com/in/?x=1",
        "https://www.linkedin.com/company/northfold-example",
        "https://www.linkedin.com/school/northfold-example",
        "https://www.linkedin.com/pub/dir/Mara/Okafor",
        "https://www.linkedin.com/profile/view?id=7",
        "https://www.linkedin.com/sales/lead/",
        "https://www.linkedin.com/sales/company/12345",
        "https://www.linkedin.com/in/mara okafor",
        "https://www.linkedin.com/in/mara%2Fteo",
        "https://www.linkedin.com/in/mara%00",
        "https://www.linkedin.com/in/-/",
        "https://www.linkedin.com/in/ma%E3%80%80ra",
        "https://www.linkedin.com/in/ma\u200bra",
        "https://www.linkedin.com/in/mara%25252525C3",
        "https://www.linkedin.com/in/...",
    ],
)
def test_not_a_person_url(text):
    assert parse_linkedin_url(text) is None


def test_a_linkedin_url_never_shows_itself():
    assert "mara" not in repr(parse_linkedin_url(PROFILE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo.example", "foo.example"),
        ("Foo.Example", "foo.example"),
        ("www.foo.example", "foo.example"),
        ("https://www.Foo.example/path?x=1#y", "foo.example"),
        ("http://foo.example?x", "foo.example"),
        ("//foo.example/", "foo.example"),
        ("https://user:secret@foo.example:8443/x", "foo.example"),
        ("foo.example:8080", "foo.example"),
        ("x@foo.example", "foo.example"),
        ("mailto:x@foo.example", "foo.example"),
        ("@foo.example", "foo.example"),
        ("foo.example.", "foo.example"),
        ("foo.example/careers", "foo.example"),
        ("foo.example; bar.example", "foo.example"),
        ("foo.example, bar.example", "foo.example"),
        ("sub.foo.example", "sub.foo.example"),
        ("müller.example", "müller.example"),
        ("mu\u0308ller.example", "müller.example"),
        ("MÜLLER.example", "müller.example"),
        ("xn--mller-kva.example", "xn--mller-kva.example"),
        ("компания.рф", "компания.рф"),
        ("उदाहरण.example", "उदाहरण.example"),
        ("facebook.com", "facebook.com"),
        ("foo", None),
        ("N/A", None),
        ("foo bar", None),
        ("10.0.0.1", None),
        ("foo..example", None),
        ("-foo.example", None),
        ("foo\u200b.example", None),
        ("foo.1", None),
        ("mara@gmail.com", None),
        ("gmail.com", None),
        ("https://www.linkedin.com/company/foo-example", None),
        ("https://www.facebook.com/foo-example", None),
        ("https://nam02.safelinks.protection.outlook.com/?url=https%3A%2F%2Facme.example&data=05", None),
        ("https://urldefense.com/v3/__https://acme.example__;!!A!B$", None),
        ("urldefense.proofpoint.com", None),
        ("https://web.archive.org/web/2024/https://acme.example/", None),
        ("archive.org", "archive.org"),
        ("https://maps.google.com/?cid=123", None),
        ("https://www.google.de/maps/place/Acme", None),
        ("google.co.uk/search?q=acme", None),
        ("maps.google.com.br/?cid=1", None),
        ("google.de", "google.de"),
        ("https://www.google.de/about", "google.de"),
        ("https://facebook.com/?id=1", None),
        ("twitter.com/#!/acme", None),
        ("facebook.com#acme", None),
        ("https://acme.example/?utm_source=x#top", "acme.example"),
        ("https://google.acme.example/maps", "google.acme.example"),
        ("outlook.example", "outlook.example"),
        ("https://de.linkedin.com/company/foo-example", None),
        *[
            (f"mara@{domain}", None)
            for domain in ("yahoo.com.br", "hotmail.es", "live.nl", "sfr.fr", "139.com", "gmx.at")
        ],
        ("email_not_unlocked@domain.com", None),
        ("mara@domain.com", "domain.com"),
        ("https://bit.ly/3xYz", None),
        ("https://t.me/foo", None),
        ("https://www.crunchbase.com/organization/foo", None),
        ("https://maps.google.com", "maps.google.com"),
        ("https://www.google.com/maps/place/Foo", None),
        ("https://www.crunchbase.com", "crunchbase.com"),
        ("https://about.crunchbase.com/careers", "about.crunchbase.com"),
        ("https://www.google.com/about", "google.com"),
        ("https://bitly.com/pages", "bitly.com"),
        ("yahoo.example", "yahoo.example"),
        ("livenation.com", "livenation.com"),
        ('=HYPERLINK("https://foo.example/x","Foo")', "foo.example"),
        ("[Foo](https://foo.example)", "foo.example"),
        ("", None),
        ("https://", None),
    ],
)
def test_clean_domain(text, expected):
    assert clean_domain(text) == expected


def test_free_mail_domains_are_domains():
    assert all(clean_domain(f"x.{domain}") for domain in FREE_MAIL_DOMAINS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mara@foo.example", "mara@foo.example"),
        ("Mara.O@Foo.example", "Mara.O@Foo.example"),
        ("mailto:mara@foo.example", "mara@foo.example"),
        ("<mara@foo.example>", "mara@foo.example"),
        ("mara@foo", None),
        ("mara", None),
        ("mara@foo.example; teo@foo.example", "mara@foo.example"),
        ("n/a, teo@foo.example", "teo@foo.example"),
        ("Teo Lindqvist <teo@foo.example>", "teo@foo.example"),
        ('=HYPERLINK("mailto:teo@foo.example","Teo")', "teo@foo.example"),
        ("email_not_unlocked@domain.com", None),
        ("email_not_unlocked@domain.com, teo@foo.example", "teo@foo.example"),
        ("mara @foo.example", None),
        ("mailto:mara@foo.example?subject=x", "mara@foo.example"),
        ("SMTP:mara@foo.example;smtp:m@foo.example", "mara@foo.example"),
        ("work: mara@foo.example; home: m@bar.example", "mara@foo.example"),
        ('[{"value": "mara@foo.example"}]', "mara@foo.example"),
        ("{mara@foo.example,m@bar.example}", "mara@foo.example"),
        ("o'brien@foo.example", "o'brien@foo.example"),
        ("X500:/o=foo", None),
    ],
)
def test_clean_email(text, expected):
    assert clean_email(text) == expected
