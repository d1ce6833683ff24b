"""Cleaning of single values: text, LinkedIn URLs, e-mail addresses.

Pure functions. What they return goes into a contact's identity (:mod:`.identity`), and so decides what was
already paid for: a change here changes identities and must be treated like a change of a stored format.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

_WHITESPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_EDGES = _WHITESPACE + _INVISIBLE
HIDDEN = re.compile(
    f"[{_EDGES}]"
)  # rather than isprintable(), which depends on the Unicode version of Python
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


def clean_text(value: object) -> str | None:
    """Return a value as stripped text, or None when it is null, blank or not a single value.

    Args:
        value: Anything a file, a database or a data frame may hold. Numbers and dates become their usual
            text (``7.0`` becomes ``7``), bytes are read as UTF-8, a list of one value counts as that value.
            None, NaN, NaT, ``pandas.NA``, booleans, mappings, longer lists and bytes that are not UTF-8 give None.

    Returns:
        Text without white space (also no-break spaces) and invisible characters at its ends, and without
        control characters, NUL and lone surrogates anywhere; None instead of an empty one.
    """
    if isinstance(value, str):
        text = value
    else:
        converted = _as_text(value)
        if converted is None:
            return None
        text = converted
    if not text.isprintable():
        text = _UNPRINTABLE.sub("", text)
    return text.strip(_EDGES) or None


def is_blank(value: object) -> bool:
    """Return whether a value holds nothing: null, NaN, empty, or white space only."""
    if isinstance(value, str):
        return not value.strip(_EDGES)
    if isinstance(value, Sized):
        return len(value) == 0
    return value is None or _is_missing(value)


def is_undecodable(value: object) -> bool:
    """Return whether a value's text cannot be known, alone or as the only one of a list.

    That is so of bytes that are not UTF-8, and of text that lost letters when somebody else decoded it: it holds
    replacement characters, or is UTF-8 that was read as Windows-1252 (``JosÃ©``).
    """
    match value:
        case str():
            return not value.isascii() and _is_damaged(value)
        case bytes():
            try:
                value.decode()
            except UnicodeDecodeError:
                return True
            return False
        case [single]:
            return is_undecodable(single)
    return False


_MISREAD = re.compile(r"[\xc2-\xc5\xce-\xd1][^\x00-\x7f]|[\xe2-\xea][^\x00-\x7f]{2}")
_CP1252_BYTES = {ord(bytes([byte]).decode("cp1252", "replace")): byte for byte in range(0x80, 0xA0)}


def _is_damaged(text: str) -> bool:
    if "\ufffd" in text:
        return True
    if not _MISREAD.search(text):
        return False
    try:
        text.translate(_CP1252_BYTES).encode("latin-1").decode()
    except UnicodeError:
        return False
    return True


def _as_text(value: object) -> str | None:
    match value:
        case None | bool() | Mapping():
            return None
        case bytes():
            return None if is_undecodable(value) else value.decode()
        case [single]:
            return clean_text(single)
        case _ if isinstance(value, Sized) or _is_missing(value):
            return None
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def _is_missing(value: object) -> bool:
    """Return whether a value is NaN or NaT (unequal to themselves) or pandas.NA (refuses to be compared)."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:
        return True


@dataclass(frozen=True, slots=True, repr=False)
class LinkedInUrl:
    """A LinkedIn URL that may stand for a person.

    Attributes:
        url: What to send: ``https://www.linkedin.com/in/<slug>`` for every spelling of a profile's URL, the
            URL as given for other kinds of person URL.
        identity: Equal for, and only for, spellings of the same URL.
    """

    url: str
    identity: str


_REMEMBERED = 4  # URLs: a row's is asked for to clean, to check and to identify it
_PROFILE = "https://www.linkedin.com/in/"
_COMMON_PROFILE = re.compile(re.escape(_PROFILE) + r"([a-z0-9][a-z0-9-]*)/?")
_PLAIN_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
_LINKEDIN = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?/*(?:[^/?#@\s]*@)?(?:[a-z0-9-]+\.)*linkedin\.(?:com|cn)\.?(?::\d+)?(?=[/?#]|$)([^?#]*)",
    re.IGNORECASE,
)
_SHORT_LINK = re.compile(r"(?:https?:)?/*(?:www\.)?lnkd\.in/([A-Za-z0-9_-]+)/?(?:[?#].*)?", re.IGNORECASE)
_BARE_PROFILE = re.compile(r"/?in/[^/?#\s]+/?")
_SLUG = re.compile(r"(?:[A-Za-z0-9_.~&'+-]|[^\x00-\xa0])+")
_MEMBER_ID = re.compile(r"AC[A-Za-z]AA[A-Za-z0-9_-]{12,}")
_MEMBER_PAGES = frozenset(
    {"sales/lead", "sales/people", "sales/profile", "talent/profile", "recruiter/profile"}
)
_PLACEHOLDERS = frozenset(
    ["me", "n-a", "na", "nan", "none", "not-available", "null", "unavailable", "undefined", "unknown"]
)
"""What tools write as the name of a profile that they do not know; ``/in/me`` is whoever opens it."""

_BEFORE_PROFILE = frozenset({"comm", "incareer", "m", "mwlite"})
WRAPPING = " \t\r\n<>\"'()[],;|"
_BETWEEN_URLS = re.compile(r"[\s,;|](?=https?:|//|www\.|[a-z]{0,3}\.?linkedin\.)", re.IGNORECASE)
_LINK = re.compile(
    r"""=\s*HYPERLINK\(\s*"([^"]+)" | \[[^\]]*\]\(\s*([^)\s]+) | <a\s[^>]*?href=["']([^"']+)""",
    re.IGNORECASE | re.VERBOSE,
)


@lru_cache(maxsize=_REMEMBERED)
def parse_linkedin_url(text: str) -> LinkedInUrl | None:
    """Recognise a person's LinkedIn URL in any of its spellings.

    Scheme or none, any subdomain, ``/in/`` with language, overlay or mobile parts around it, query, fragment,
    letter case and percent-encoding do not matter. Legacy ``/pub/`` URLs, Sales Navigator, Recruiter and short
    links may stand for a person, but not be turned into a profile URL without asking LinkedIn: they are kept
    as given.

    Args:
        text: A cell's text. Of several URLs the first that is a person's counts; links as spreadsheets, Markdown and
            HTML write them are read.

    Returns:
        The URL, or None when the text is not a LinkedIn URL, or not a person's (company, school, job, post, or what
        tools write for a profile that they do not know).
    """
    if common := _COMMON_PROFILE.fullmatch(text):
        return _profile(common[1])
    urls = map(_parse_url, _BETWEEN_URLS.split(link_target(text)))
    return next(filter(None, urls), None)


def link_target(text: str) -> str:
    """Return the URL of a link as spreadsheets, Markdown and HTML write it; any other text as it is."""
    if "(" not in text and "<" not in text and text[:1] != "=":
        return text
    link = _LINK.match(text.lstrip())
    return next(filter(None, link.groups())) if link else text.lstrip("=")


def _parse_url(text: str) -> LinkedInUrl | None:
    text = text.strip(WRAPPING)
    if _BARE_PROFILE.fullmatch(text):
        return _profile(text.strip("/").removeprefix("in/"))
    if short := _SHORT_LINK.fullmatch(text):
        return LinkedInUrl(text, f"lnkd.in/{short[1]}")
    match = _LINKEDIN.match(text)
    if match is None:
        return None
    segments = [segment for segment in match[1].split("/") if segment]
    if segments and segments[0].lower() in _BEFORE_PROFILE:
        del segments[:1]
    if segments[:2] == ["profile", "in"]:
        del segments[:1]
    if segments[:1] and segments[0].lower() == "in":
        is_placeholder = [segment.lower() for segment in segments[1:3]] == ["n", "a"]
        return _profile(segments[1]) if len(segments) > 1 and not is_placeholder else None
    return _other_person_url(text, segments)


def _profile(segment: str) -> LinkedInUrl | None:
    if _PLAIN_SLUG.fullmatch(segment):
        return None if segment in _PLACEHOLDERS else LinkedInUrl(_PROFILE + segment, f"in/{segment}")
    slug = _unquote(segment).partition(",")[0]  # what follows a comma is the search it was found by
    slug = unicodedata.normalize("NFC", slug.strip(_EDGES))
    if not _SLUG.fullmatch(slug) or HIDDEN.search(slug) or not slug.strip("-_.~&'+"):
        return None
    if not _MEMBER_ID.fullmatch(slug):  # a member id, unlike a chosen name, is case-sensitive
        slug = unicodedata.normalize("NFC", slug.lower())
    if slug in _PLACEHOLDERS:
        return None
    return LinkedInUrl(_PROFILE + quote(slug, safe="-_.~"), f"in/{slug}")


def _other_person_url(text: str, segments: list[str]) -> LinkedInUrl | None:
    decoded = [_unquote(segment) for segment in segments]
    match [part.lower() for part in decoded]:
        case ["pub", first, *rest] if first != "dir":  # /pub/dir/ is a search by name, not a person
            return LinkedInUrl(text, "/".join(["pub", first, *rest]))
        case [area, page, _, *_] if f"{area}/{page}" in _MEMBER_PAGES:
            member_id = decoded[2].split(",")[0]  # what follows is the search it was found by
            return LinkedInUrl(text, f"{area}/{member_id}")
    return None


def _unquote(segment: str) -> str:
    """Decode percent-encoding, also when it was applied twice or to Latin-1."""
    for _ in range(3):
        if "%" not in segment:
            break
        raw = unquote_to_bytes(segment)
        try:
            segment = raw.decode("utf-8")
        except UnicodeDecodeError:
            segment = raw.decode("latin-1")
    return segment


_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+\.[^\s@,;<>]+")
_PLAIN_EMAIL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_BETWEEN_EMAILS = re.compile(r"[\s,;|]+")
_LONGEST_EMAIL = 320
_LOCKED_MAILBOX = "email_not_unlocked@"  # Apollo's placeholder


def clean_email(text: str) -> str | None:
    """Return the e-mail address that a text holds, the first of several, without ``mailto:``; None without one."""
    if _PLAIN_EMAIL.fullmatch(text) and len(text) <= _LONGEST_EMAIL and not is_locked(text):
        return text
    for part in _BETWEEN_EMAILS.split(link_target(text)):
        address = part.strip(WRAPPING)
        if address[:7].lower() == "mailto:":
            address = address[7:].partition("?")[0]
        if len(address) <= _LONGEST_EMAIL and _EMAIL.fullmatch(address) and not is_locked(address):
            return address
    return None


def is_locked(address: str) -> bool:
    """Return whether an e-mail address is Apollo's placeholder for one that was not paid for."""
    return address.lower().startswith(_LOCKED_MAILBOX)
