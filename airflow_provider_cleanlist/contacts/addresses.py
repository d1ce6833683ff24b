"""Addresses of people and companies in the text of a cell: LinkedIn URLs, e-mail addresses, company domains.

Pure functions. What they return goes into a contact's identity (:mod:`.identity`), and so decides what was
already paid for: a change here changes identities and must be treated like a change of a stored format. The mail
providers are those whose mailboxes are open to everybody; a domain that its company's own staff uses for mail is not
in the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from airflow_provider_cleanlist.input_limits import HOST_CHARACTERS, VALUE_CHARACTERS, normal_form

_WHITESPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufeff"
)
EDGES = _WHITESPACE + _INVISIBLE
HYPHENS = str.maketrans(
    dict.fromkeys("\u05be\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-")
)
"""What word processors put in the place of a hyphen, and neither a domain nor a profile's name holds."""
HIDDEN = re.compile(f"[{EDGES}]")  # rather than isprintable(), which depends on the Unicode version of Python


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
_BEFORE_NAME = re.compile(r"in|https?:|(?:[a-z0-9-]+\.)*linkedin\.(?:com|cn)", re.IGNORECASE)
_BARE_PROFILE = re.compile(r"/?in/[^/?#\s]+/?")
_SLUG = re.compile(r"(?:[A-Za-z0-9_.~&'+-]|[^\x00-\xa0])++")
_MEMBER_ID = re.compile(r"AC[A-Za-z]AA[A-Za-z0-9_-]{12,}")
_NUMBERS_IN_PUB = 3
_LANGUAGE = re.compile(r"[a-z]{2}(?:[-_][a-z]{2})?")
_MEMBER_PAGES = frozenset(
    {"sales/lead", "sales/people", "sales/profile", "talent/profile", "recruiter/profile"}
)
_PLACEHOLDER_WORDS = """
    0 edit false headless hidden in me n-a n.a na nan nil no-profile none not-available not-found null private true
    pub unavailable undefined unknown username your-name yourname yourprofile
"""
_PLACEHOLDERS = frozenset(_PLACEHOLDER_WORDS.split())
"""What tools write as the name of a profile that they do not know; ``/in/me`` is whoever opens it."""

_BEFORE_PROFILE = frozenset({"comm", "incareer", "m", "mwlite"})
_WRAPPING = " \t\r\n<>\"'()[]{},;|\u201c\u201d\u201e\u2018\u2019"
_BETWEEN_URLS = re.compile(r"[\s,;|\"](?=https?:|//|www\.|[a-z]{0,3}\.?linkedin\.)", re.IGNORECASE)
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
        tools write for a profile that they do not know), or longer than any value that is read.
    """
    if len(text) > VALUE_CHARACTERS:
        return None
    if common := _COMMON_PROFILE.fullmatch(text):
        return _profile(common[1])
    urls = map(_parse_url, _BETWEEN_URLS.split(link_target(text)))
    first = next(filter(None, urls), None)
    return first if first and len(first.url) <= VALUE_CHARACTERS else None  # percent-encoding makes it longer


def link_target(text: str) -> str:
    """Return the URL of a link as spreadsheets, Markdown and HTML write it; any other text as it is."""
    if "(" not in text and "<" not in text and text[:1] != "=":
        return text
    link = _LINK.match(text.lstrip())
    return next(filter(None, link.groups())) if link else text.lstrip("=")


def _parse_url(text: str) -> LinkedInUrl | None:
    text = text.strip(_WRAPPING)
    if _BARE_PROFILE.fullmatch(text):
        return _profile(text.strip("/").removeprefix("in/"))
    if short := _SHORT_LINK.fullmatch(text):
        return None if short[1].lower() in _PLACEHOLDERS else LinkedInUrl(text, f"lnkd.in/{short[1]}")
    match = _LINKEDIN.match(text)
    if match is None:
        return None
    segments = [segment for segment in match[1].split("/") if segment]
    if segments and segments[0].lower() in _BEFORE_PROFILE:
        del segments[:1]
    if segments[:2] == ["profile", "in"]:
        del segments[:1]
    if segments[:1] and segments[0].lower() == "in":
        return _named_profile(segments[1:])
    return _other_person_url(text, segments)


def _named_profile(segments: list[str]) -> LinkedInUrl | None:
    """Return the profile that the parts behind ``/in/`` name.

    A form or formula may have put one address before another (``/in/www.linkedin.com/in/ada-roe``). Where a language
    stands in the place of the name (``/in/en/ada-roe``), nobody is named: all such rows would be one person.
    """
    while len(segments) > 1 and _BEFORE_NAME.fullmatch(segments[0]):
        del segments[:1]
    lower = [segment.lower() for segment in segments[:2]]
    if not segments or lower == ["n", "a"]:
        return None
    return _profile(segments[0]) if len(lower) == 1 or not _LANGUAGE.fullmatch(lower[0]) else None


def _profile(segment: str) -> LinkedInUrl | None:
    if _PLAIN_SLUG.fullmatch(segment):
        return None if segment in _PLACEHOLDERS else LinkedInUrl(_PROFILE + segment, f"in/{segment}")
    slug = _unquote(segment.partition(",")[0])  # what follows a comma is the search it was found by
    slug = normal_form("NFKC", slug.translate(HYPHENS).strip(EDGES).rstrip("."))  # the end of a sentence
    if not _SLUG.fullmatch(slug) or HIDDEN.search(slug) or not slug.strip("-_.~&'+"):
        return None
    if not _MEMBER_ID.fullmatch(slug):  # a member id, unlike a chosen name, is case-sensitive
        slug = normal_form("NFC", slug.lower())
    if slug in _PLACEHOLDERS or _BEFORE_NAME.fullmatch(slug):
        return None
    return LinkedInUrl(_PROFILE + quote(slug, safe="-_.~"), f"in/{slug}")


def _other_person_url(text: str, segments: list[str]) -> LinkedInUrl | None:
    decoded = [_unquote(segment).strip(EDGES).rstrip(".") for segment in segments]  # the end of a sentence
    match [normal_form("NFC", part.lower()) for part in decoded]:
        case ["pub", first, *rest] if first not in ("", "dir"):  # /pub/dir/ is a search by name, not a person
            if first.strip(",") in _PLACEHOLDERS or not any(map(str.isalnum, first)):
                return None
            if len(rest) == _NUMBERS_IN_PUB + 1 and _LANGUAGE.fullmatch(rest[-1]):
                del rest[-1]
            return LinkedInUrl(text, "/".join(["pub", first, *rest]))
        case [area, page, _, *_] if f"{area}/{page}" in _MEMBER_PAGES:
            member_id = decoded[2].split(",")[0]  # what follows is the search it was found by
            if member_id.strip(EDGES) and member_id.lower() not in _PLACEHOLDERS:
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
_BETWEEN_EMAILS = re.compile(r'[\s,;:|"{}\[\]]+|\?(?=\w+=)')  # also what stands before one: SMTP:, {"value":"
_LONGEST_EMAIL = 320
_LOCKED_MAILBOX = "email_not_unlocked@"  # Apollo's placeholder


def clean_email(text: str) -> str | None:
    """Return the e-mail address that a text holds, the first of several, without ``mailto:`` and the like."""
    if _PLAIN_EMAIL.fullmatch(text) and len(text) <= _LONGEST_EMAIL and not is_locked(text):
        return text
    for part in _BETWEEN_EMAILS.split(link_target(text)):
        address = part.strip(_WRAPPING)
        if len(address) <= _LONGEST_EMAIL and _EMAIL.fullmatch(address) and not is_locked(address):
            return address
    return None


def is_locked(address: str) -> bool:
    """Return whether an e-mail address is Apollo's placeholder for one that was not paid for."""
    return address.lower().startswith(_LOCKED_MAILBOX)


_MAIL_FAMILIES = {
    "aol": "co.uk com com.au com.br com.mx de es fr it",
    "fastmail": "com fm",
    "gmx": "at ch co.uk com de es eu fr info net org us",
    "googlemail": "co.uk com de",
    "hotmail": "at be ca ch cl co.id co.il co.jp co.kr co.nz co.th co.uk co.za com com.ar com.au com.br com.hk com.mx "
    "com.tr com.tw com.vn cz de dk es fi fr gr hu ie it lt lv my nl no ph pt rs ru se sg sk",
    "live": "at be ca ch cl cn co.in co.kr co.uk co.za com com.ar com.au com.co com.mx com.my com.pe com.ph com.pt "
    "com.sg com.ve de dk fi fr hk ie in it jp nl no ph pt ru se",
    "msn": "cn com",
    "outlook": "at be cl co.id co.il co.th com com.ar com.au com.br com.gr com.pe com.tr com.vn cz de dk es fr hu ie "
    "in it jp kr lv my ph pt sa sg sk",
    "protonmail": "ch com",
    "tiscali": "co.uk it",
    "yahoo": "at be ca ch cl cn co.id co.in co.jp co.kr co.nz co.th co.uk co.za com com.ar com.au com.br com.cn com.co "
    "com.hk com.mx com.my com.pe com.ph com.sg com.tr com.tw com.ua com.ve com.vn cz de dk es fi fr gr hu ie in it nl "
    "no pl pt ro ru se",
    "yandex": "by com com.tr kz ru ua",
    "zohomail": "com eu in",
}
_MAIL_PROVIDERS = """
    012.net.il 126.com 139.com 163.com 188.com 189.cn 21cn.com 263.net 9online.fr a1.net abv.bg aim.com alice.it
    aliceadsl.fr aliyun.com ameritech.net aon.at arcor.de arnet.com.ar atlas.cz att.net azet.sk bbox.fr bell.net
    bellsouth.net bezeqint.net biglobe.ne.jp bigmir.net bigpond.com bigpond.net.au bk.ru blueyonder.co.uk bluewin.ch
    bol.com.br btinternet.com btopenworld.com casema.nl cegetel.net centrum.cz centrum.sk centurylink.net charter.net
    chello.at chello.nl citromail.hu clix.pt club-internet.fr cogeco.ca comcast.net comhem.se compuserve.com cox.net
    daum.net docomo.ne.jp drei.at duck.com earthlink.net eircom.net email.com email.cz email.de email.it embarqmail.com
    ewetel.net excite.com ezweb.ne.jp fastwebnet.it fibertel.com.ar foxmail.com free.fr freemail.hu freenet.de
    freeserve.co.uk gazeta.pl gmail.com hanmail.net hetnet.nl hispeed.ch home.nl hot.ee hushmail.com i.softbank.jp i.ua
    icloud.com ig.com.br iinet.net.au inbox.com inbox.lt inbox.lv inbox.ru indamail.hu infoseek.jp interia.eu interia.pl
    internet.ru inwind.it iol.it juno.com kakao.com keemail.me kolumbus.fi kpnmail.nl kpnplanet.nl laposte.net libero.it
    list.ru luukku.com lycos.com mac.com mail.bg mail.com mail.de mail.dk mail.ee mail.ru mailbox.org mchsi.com me.com
    meta.ua msa.hinet.net mweb.co.za mynet.com myyahoo.com nate.com naver.com netcabo.pt netcologne.de netscape.net
    netvigator.com netvision.net.il netzero.net neuf.fr nifty.com noos.fr ntlworld.com numericable.fr o2.pl o2online.de
    ocn.ne.jp one.lt onet.eu onet.pl online.no ono.com op.pl optonline.net optusnet.com.au orange.fr otenet.gr
    ozemail.com.au pacbell.net planet.nl pm.me poczta.fm poczta.onet.pl post.cz post.sk posteo.de
    privaterelay.appleid.com prodigy.net prodigy.net.mx proton.me qq.com rambler.ru rediffmail.com roadrunner.com
    rocketmail.com rr.com sapo.pt sbcglobal.net seznam.cz sfr.fr shaw.ca sina.cn sina.com skynet.be so-net.ne.jp
    softbank.ne.jp sohu.com spray.se sunrise.ch suomi24.fi swbell.net sympatico.ca t-online.de t-online.hu talktalk.net
    telefonica.net telenet.be telkomsa.net telus.net terra.com.br terra.es tim.it tin.it tlen.pl tom.com tuta.io
    tutamail.com tutanota.com tutanota.de tut.by ukr.net uol.com.br upcmail.nl users.noreply.github.com verizon.net
    videotron.ca vip.163.com vip.qq.com vip.sina.com virginmedia.com virgilio.it vodafonemail.de vodamail.co.za voila.fr
    volny.cz vp.pl vtr.net walla.co.il walla.com wanadoo.fr web.de webmail.co.za windowslive.com windstream.net wo.cn
    wp.pl xs4all.nl xtra.co.nz ya.ru yeah.net ymail.com ziggo.nl zipmail.com.br zonnet.nl zoznam.sk
"""
FREE_MAIL_DOMAINS = frozenset(_MAIL_PROVIDERS.split()) | {
    f"{name}.{suffix}" for name, suffixes in _MAIL_FAMILIES.items() for suffix in suffixes.split()
}
"""Domains of mailboxes open to everybody: they say nothing about where a person works."""

_SHARED = """
    about.me angel.co apps.apple.com beacons.ai behance.net bit.ly discord.gg docs.google.com
    dribbble.com drive.google.com facebook.com fb.com fb.me
    find-and-update.company-information.service.gov.uk forms.gle g.co g.page github.com gitlab.com goo.gl
    instagram.com is.gd itunes.apple.com kununu.com linkedin.cn linkedin.com linktr.ee lnkd.in m.me
    maps.app.goo.gl maps.google.com medium.com northdata.com northdata.de ok.ru opencorporates.com ow.ly
    pinterest.com play.google.com rb.gy rebrand.ly sites.google.com t.co t.ly t.me telegram.me
    threads.net tiktok.com tiny.cc tinyurl.com tumblr.com twitter.com vk.com wa.me weibo.com
    wikipedia.org x.com xing.com youtu.be youtube.com
    bloomberg.com/profile capterra.com/p crunchbase.com/company crunchbase.com/organization
    crunchbase.com/person etsy.com/shop g2.com/products g2.com/sellers glassdoor.com/overview
    glassdoor.com/reviews google.com/maps google.com/search google.com/url indeed.com/cmp
    owler.com/company patreon.com/user pitchbook.com/profiles producthunt.com/posts
    producthunt.com/products reddit.com/r reddit.com/user rocketreach.co/person signalhire.com/companies
    societe.com/societe tracxn.com/d trustpilot.com/review vimeo.com/user wantedly.com/companies
    wellfound.com/company yelp.com/biz zoominfo.com/c zoominfo.com/p
"""
_SHARED_SITES = frozenset(_SHARED.split())
"""Sites whose pages are those of others (networks, shorteners), and such parts of the sites of companies."""

_WRAPPERS = (
    *(
        ".safelinks.protection.outlook.com",
        ".urldefense.com",
        ".urldefense.proofpoint.com",
        ".linkprotect.cudasvc.com",
    ),
    *(".web.archive.org", ".webcache.googleusercontent.com"),
)
"""Hosts of addresses that mail programs and archives put in the place of others; whatever stands before the dot."""
_GOOGLE = re.compile(r"\bgoogle\.(?:com?\.)?[a-z]{2}$")
_MOST_LABELS = 5  # of a shared site's host
_SHARED_TAILS = frozenset(".".join(site.split("/")[0].split(".")[-2:]) for site in _SHARED_SITES)
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|mailto:|//)", re.IGNORECASE)
_COMMON_DOMAIN = re.compile(
    r"(?:https?://(?:www\.)?)?(?!www\.)((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,})/?"
)
_HOST_END = re.compile(r"[/?#\s,;|]")
_LETTER = r"[^\x00-`{-\xa0]"  # a-z and all from \xa1 on; exclusions compile faster than ranges of that size
_EDGE = r"[^\x00-/:-^`{-\xa0]"  # 0-9 and _ as well
_INNER = r"[^\x00-,./:-^`{-\xa0]"  # - as well
_HOST = re.compile(rf"(?:{_EDGE}(?:{_INNER}*{_EDGE})?\.)+{_LETTER}{_INNER}*{_EDGE}")


def clean_domain(text: str) -> str | None:
    """Return the company domain that a cell's text names.

    Args:
        text: A bare domain, a URL of any kind, or an e-mail address; of several, the first counts.

    Returns:
        The host in lower case without ``www.``, or None when the text holds no host name with a dot, an IP
        address, a name longer than any in the DNS, a free e-mail provider, or a page on a site that many companies
        share (networks, directories, link shorteners).
    """
    if common := _COMMON_DOMAIN.fullmatch(text):
        return None if _is_nobodys(common[1]) else common[1]
    rest = _SCHEME.sub("", link_target(text).strip(_WRAPPING))
    if "@" in rest and is_locked(rest):
        return None
    host = _HOST_END.split(rest, maxsplit=1)[0]
    page = rest[len(host) :].strip("/ ,;|?#")
    host = host.translate(HYPHENS).rpartition("@")[2].partition(":")[0].strip(".")
    host = normal_form("NFKC", host.lower()).lower()
    host = host.removeprefix("www.")
    if _is_nobodys(host) or not _HOST.fullmatch(host) or HIDDEN.search(host):
        return None
    return None if page and _is_shared(host, page) else host


def _is_nobodys(host: str) -> bool:
    """Whether a host is no company's, whatever page of it is named; or longer than any in the DNS."""
    return len(host) > HOST_CHARACTERS or host in FREE_MAIL_DOMAINS or f".{host}".endswith(_WRAPPERS)


def _is_shared(host: str, page: str) -> bool:
    host = _GOOGLE.sub("google.com", host)
    labels = host.rsplit(".", maxsplit=_MOST_LABELS)[-_MOST_LABELS:]
    if ".".join(labels[-2:]) not in _SHARED_TAILS:
        return False
    part = _HOST_END.split(page, maxsplit=1)[0].lower()
    sites = (".".join(labels[start:]) for start in range(len(labels)))
    return any(site in _SHARED_SITES or f"{site}/{part}" in _SHARED_SITES for site in sites)
