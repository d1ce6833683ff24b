"""Cleaning of single values: text, LinkedIn URLs, company domains, e-mail addresses.

Pure functions. What they return goes into a contact's identity (:mod:`.contacts`), and so decides what was
already paid for: a change here changes identities and must be treated like a change of a stored format.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

_WHITESPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_EDGES = _WHITESPACE + _INVISIBLE
_HIDDEN = re.compile(
    f"[{_EDGES}]"
)  # rather than isprintable(), which depends on the Unicode version of Python
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


def clean_text(value: object) -> str | None:
    """Return a value as stripped text, or None when it is null, blank or not a single value.

    Args:
        value: Anything a file, a database or a data frame may hold. Numbers and dates become their usual
            text (``7.0`` becomes ``7``), bytes are read as UTF-8, a list of one value counts as that value.
            None, NaN, NaT, ``pandas.NA``, booleans, mappings and longer lists give None.

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


def _as_text(value: object) -> str | None:
    match value:
        case None | bool() | Mapping():
            return None
        case bytes():
            return value.decode("utf-8", errors="ignore")
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


_PROFILE = "https://www.linkedin.com/in/"
_COMMON_PROFILE = re.compile(re.escape(_PROFILE) + r"([a-z0-9][a-z0-9-]*)/?")
_PLAIN_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
_LINKEDIN = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?/*(?:[^/?#@\s]*@)?(?:[a-z0-9-]+\.)*linkedin\.com\.?(?::\d+)?(?=[/?#]|$)([^?#]*)",
    re.IGNORECASE,
)
_SHORT_LINK = re.compile(r"(?:https?:)?/*(?:www\.)?lnkd\.in/([A-Za-z0-9_-]+)/?(?:[?#].*)?", re.IGNORECASE)
_BARE_PROFILE = re.compile(r"/?in/[^/?#\s]+/?")
_SLUG = re.compile(r"(?:[A-Za-z0-9_.~&'+-]|[^\x00-\xa0])+")
_MEMBER_ID = re.compile(r"AC[A-Za-z]AA[A-Za-z0-9_-]{12,}")
_MEMBER_PAGES = frozenset(
    {"sales/lead", "sales/people", "sales/profile", "talent/profile", "recruiter/profile"}
)
_WRAPPING = " <>\"'()[],;"


def parse_linkedin_url(text: str) -> LinkedInUrl | None:
    """Recognise a person's LinkedIn URL in any of its spellings.

    Scheme or none, any subdomain, ``/in/`` with language, overlay or mobile parts around it, query, fragment,
    letter case and percent-encoding do not matter. Legacy ``/pub/`` URLs, Sales Navigator, Recruiter and short
    links may stand for a person, but not be turned into a profile URL without asking LinkedIn: they are kept
    as given.

    Args:
        text: A cell's text.

    Returns:
        The URL, or None when the text is not a LinkedIn URL, or not a person's (company, school, job, post).
    """
    if common := _COMMON_PROFILE.fullmatch(text):
        return _profile(common[1])
    text = text.strip(_WRAPPING)
    if _BARE_PROFILE.fullmatch(text):
        return _profile(text.strip("/").removeprefix("in/"))
    if short := _SHORT_LINK.fullmatch(text):
        return LinkedInUrl(text, f"lnkd.in/{short[1]}")
    match = _LINKEDIN.match(text)
    if match is None:
        return None
    segments = [segment for segment in match[1].split("/") if segment]
    if segments[:1] == ["mwlite"]:
        del segments[:1]
    if segments[:2] == ["profile", "in"]:
        del segments[:1]
    if segments[:1] and segments[0].lower() == "in":
        return _profile(segments[1]) if len(segments) > 1 else None
    return _other_person_url(text, segments)


def _profile(segment: str) -> LinkedInUrl | None:
    if _PLAIN_SLUG.fullmatch(segment):
        return LinkedInUrl(_PROFILE + segment, f"in/{segment}")
    slug = unicodedata.normalize("NFC", _unquote(segment).strip(_EDGES))
    if not _SLUG.fullmatch(slug) or _HIDDEN.search(slug) or not slug.strip("-_.~&'+"):
        return None
    if not _MEMBER_ID.fullmatch(slug):  # a member id, unlike a chosen name, is case-sensitive
        slug = unicodedata.normalize("NFC", slug.lower())
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


_FREE_MAIL = """
    126.com 163.com aol.com att.net bk.ru bluewin.ch bol.com.br btinternet.com comcast.net daum.net fastmail.com
    foxmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hanmail.net
    hotmail.co.uk hotmail.com hotmail.de hotmail.fr hotmail.it icloud.com inbox.ru interia.pl laposte.net libero.it
    list.ru live.co.uk live.com live.fr mac.com mail.com mail.ru me.com msn.com naver.com o2.pl onet.pl orange.fr
    outlook.com outlook.de outlook.fr pm.me proton.me protonmail.com qq.com rambler.ru rediffmail.com rocketmail.com
    sbcglobal.net seznam.cz sina.com sohu.com t-online.de telenet.be terra.com.br tutanota.com ukr.net uol.com.br
    verizon.net virgilio.it wanadoo.fr web.de wp.pl yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.de yahoo.es
    yahoo.fr yahoo.it yandex.com yandex.ru ymail.com
"""
FREE_MAIL_DOMAINS = frozenset(_FREE_MAIL.split())
"""Domains of mailboxes open to everybody: they say nothing about where a person works."""

_SHARED = """
    facebook.com github.com instagram.com linkedin.com linktr.ee medium.com sites.google.com twitter.com x.com
    xing.com youtube.com
"""
_SHARED_HOSTS = frozenset(_SHARED.split())
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|mailto:|//)", re.IGNORECASE)
_HOST_END = re.compile(r"[/?#\s,;|]")
_LETTER = "[a-z\u00a1-\U0010ffff]"
_EDGE = "[a-z0-9_\u00a1-\U0010ffff]"
_INNER = "[a-z0-9_\u00a1-\U0010ffff-]"
_HOST = re.compile(rf"(?:{_EDGE}(?:{_INNER}*{_EDGE})?\.)+{_LETTER}{_INNER}*{_EDGE}")


def clean_domain(text: str) -> str | None:
    """Return the company domain that a cell's text names.

    Args:
        text: A bare domain, a URL of any kind, or an e-mail address; of several, the first counts.

    Returns:
        The host in lower case without ``www.``, or None when the text holds no host name with a dot, an IP
        address, a free e-mail provider, or a page on a site that many companies share.
    """
    rest = _SCHEME.sub("", text.strip(_WRAPPING))
    host = _HOST_END.split(rest, maxsplit=1)[0]
    has_page = bool(rest[len(host) :].split("?")[0].split("#")[0].strip("/ ,;|"))
    host = unicodedata.normalize("NFC", host.rpartition("@")[2].partition(":")[0].strip(".").lower())
    host = host.removeprefix("www.")
    if not _HOST.fullmatch(host) or _HIDDEN.search(host) or host in FREE_MAIL_DOMAINS:
        return None
    if has_page and any(host == shared or host.endswith(f".{shared}") for shared in _SHARED_HOSTS):
        return None
    return host


_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+\.[^\s@,;<>]+")


def clean_email(text: str) -> str | None:
    """Return the text when it is one e-mail address (``mailto:`` is removed), else None."""
    address = re.sub(r"^mailto:", "", text.strip(_WRAPPING), flags=re.IGNORECASE)
    return address if _EMAIL.fullmatch(address) else None
