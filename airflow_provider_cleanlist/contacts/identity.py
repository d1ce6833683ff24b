"""How cleaned values become a contact, when it may be sent, and which contacts are the same person.

Pure functions, no I/O. :func:`identity` is the key under which a contact was paid for. It is stored in journals
and must stay the same for the same person in every later version of this package, on every Python; golden values in
the tests pin it. (Normal forms and case folding of a character never change once Unicode has assigned it.)
"""

from __future__ import annotations

import hashlib
import re
import secrets
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.contacts.addresses import (
    HYPHENS,
    LinkedInUrl,
    clean_domain,
    clean_email,
    parse_linkedin_url,
)
from airflow_provider_cleanlist.contacts.cells import SQL_NULL, clean_text
from airflow_provider_cleanlist.input_limits import LABEL_CHARACTERS, normal_form

IDENTITY_BYTES = 12
"""Length of an identity. Among a billion contacts two share one by chance with a probability of 1 in 10**11."""


class RejectionReason(StrEnum):
    """Why a row cannot be sent. The words are stable: they are written to files of rejects."""

    MISSING_IDENTITY = "missing_identity"
    EMAIL_ONLY = "email_only"
    MISSING_NAME = "missing_name"
    NOT_A_NAME = "not_a_name"
    MISSING_COMPANY = "missing_company"
    NOT_A_PERSON_URL = "not_a_person_url"
    ANOTHERS_URL = "anothers_url"
    NOT_A_COMPANY_DOMAIN = "not_a_company_domain"
    MALFORMED_ROW = "malformed_row"
    UNREADABLE_TEXT = "unreadable_text"


_EXPLANATIONS = {
    RejectionReason.MISSING_IDENTITY: "no LinkedIn URL, no name and no company",
    RejectionReason.EMAIL_ONLY: "only an e-mail address, which Cleanlist refuses to look up alone",
    RejectionReason.MISSING_NAME: "first_name or last_name is missing, and there is no LinkedIn URL",
    RejectionReason.NOT_A_NAME: (
        "first_name, last_name or company_name is an unfilled template, a formula or an address, or a name is a date, "
        "a comment, masked, or a column's or department's, and the rest is not enough"
    ),
    RejectionReason.MISSING_COMPANY: "company_name and company_domain are missing, and there is no LinkedIn URL",
    RejectionReason.NOT_A_PERSON_URL: "linkedin_url is not a person's LinkedIn URL, and the rest is not enough",
    RejectionReason.ANOTHERS_URL: (
        "an earlier row has the same linkedin_url and quite another name, so it is not known whose it is"
    ),
    RejectionReason.NOT_A_COMPANY_DOMAIN: (
        "company_domain is not a company's domain (no host name, or one that many companies or all mailboxes "
        "share), and there is no company_name"
    ),
    RejectionReason.MALFORMED_ROW: "the row has more cells than the header, so its values may be shifted",
    RejectionReason.UNREADABLE_TEXT: (
        "the text of a value that decides who it is cannot be known: it is bytes that are not UTF-8, or its letters "
        "were lost before"
    ),
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that cannot be sent, without any of its values.

    Attributes:
        reason: The reason's code.
    """

    reason: RejectionReason

    @property
    def message(self) -> str:
        """The reason as a sentence part, to be put after "row 7: "."""
        return _EXPLANATIONS[self.reason]


def normalise(fields: Mapping[str, object]) -> Contact:
    """Turn raw values into the contact to send.

    Names and company are sent as given, stripped of surrounding white space. The LinkedIn URL takes its one
    canonical form, the domain is freed from URL and e-mail parts. Nulls and blanks are dropped. So is an invalid
    LinkedIn URL, domain or e-mail, as long as the rest identifies the person; otherwise it stays, so that
    :func:`validate` can name the reason. Applying it twice changes nothing.

    Args:
        fields: Values by contact field (``linkedin_url``, ``first_name``, ``last_name``, ``company_name``,
            ``company_domain``, ``email``), of any type; other keys are ignored.

    Returns:
        The contact, valid or not.
    """
    linkedin, first, last, company, domain, email = [clean_text(fields.get(name)) for name in _FIELDS]
    profile = parse_linkedin_url(linkedin) if linkedin else None
    host = clean_domain(domain) if domain else None
    is_needless = (first and last and (company or host)) or linkedin == SQL_NULL
    return Contact(
        linkedin_url=profile.url if profile else (None if is_needless else linkedin),
        first_name=first,
        last_name=last,
        company_name=company,
        company_domain=host if host or company or profile or domain == SQL_NULL else domain,
        email=clean_email(email) if email else None,
    )


_FIELDS = ("linkedin_url", "first_name", "last_name", "company_name", "company_domain", "email")


def validate(contact: Contact) -> Rejection | None:
    """Check a normalised contact against the API's identity rule.

    Args:
        contact: A contact from :func:`normalise`.

    Returns:
        None when it may be sent, that is with a person's LinkedIn URL, or with both names and a company name or
        domain; otherwise why not.
    """
    if contact.linkedin_url and parse_linkedin_url(contact.linkedin_url):
        return None
    named = contact.first_name and contact.last_name
    placed = contact.company_name or (contact.company_domain and clean_domain(contact.company_domain))
    if named and placed:
        return None
    return Rejection(_reason(contact, named=bool(named), placed=bool(placed)))


def _reason(contact: Contact, *, named: bool, placed: bool) -> RejectionReason:
    if contact.linkedin_url:
        return RejectionReason.NOT_A_PERSON_URL
    if named:
        return (
            RejectionReason.NOT_A_COMPANY_DOMAIN
            if contact.company_domain
            else RejectionReason.MISSING_COMPANY
        )
    if placed or contact.first_name or contact.last_name or contact.company_domain:
        return RejectionReason.MISSING_NAME
    return RejectionReason.EMAIL_ONLY if contact.email else RejectionReason.MISSING_IDENTITY


def identity(contact: Contact) -> bytes:
    """Return the hash by which a person is recognised, over spellings, inputs, attempts and versions.

    A person is their LinkedIn URL where there is one (every spelling of it), otherwise first name, last name and
    company domain, or company name without a domain; compared without regard to case, white space,
    compatibility forms of characters (NFKC), and typographic forms of apostrophes and hyphens. The e-mail plays
    no part. A person given once by LinkedIn URL and once by name counts as two, because nothing shows that they
    are one.

    Args:
        contact: A contact from :func:`normalise` that :func:`validate` accepts.

    Returns:
        12 bytes of BLAKE2b.
    """
    profile = parse_linkedin_url(contact.linkedin_url) if contact.linkedin_url else None
    parts = _url_parts(profile) if profile else _name_parts(contact)
    message = "".join(
        [f"{len(part)}:{part}," for part in parts]
    )  # netstrings: no two lists give the same text
    return hashlib.blake2b(message.encode(), digest_size=IDENTITY_BYTES, person=_PERSONALISATION).digest()


_PERSONALISATION = b"cleanlist/1"


def _url_parts(profile: LinkedInUrl) -> tuple[str, ...]:
    return ("linkedin", profile.identity)


def _name_parts(contact: Contact) -> tuple[str, ...]:
    first, last = _fold(contact.first_name or ""), _fold(contact.last_name or "")
    if contact.company_domain:
        return ("domain", first, last, _fold_domain(contact.company_domain))
    return ("company", first, last, _fold(contact.company_name or ""))


_TYPOGRAPHIC = str.maketrans(dict.fromkeys("`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201b\u2032\uff07", "'"))
_TYPOGRAPHIC |= HYPHENS
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)


def _fold(text: str) -> str:
    """Reduce a name to what two spellings of it share (Unicode's compatibility caseless matching)."""
    if not text.isascii():
        text = _IGNORABLE.sub("", text.translate(_TYPOGRAPHIC))
        text = normal_form("NFKD", normal_form("NFD", text).casefold())
        text = normal_form("NFKC", text.casefold())
    return " ".join(text.replace("`", "'").casefold().split())


def _fold_domain(domain: str) -> str:
    """Return an internationalised domain in its Unicode form, with ``xn--`` labels decoded.

    Whether a sigma is final depends on what wrote the domain in lower case, and on what follows the label.
    """
    labels = domain.lower().split(".")
    return normal_form("NFC", ".".join(map(_unicode_label, labels))).replace("\u03c2", "\u03c3")


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--") or len(label) > LABEL_CHARACTERS:
        return label
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        decoded.encode()  # half of a surrogate pair is no letter
    except UnicodeError:
        return label
    return decoded


def initials(contact: Contact) -> int:
    """Return which letters the words of a name begin with, if a LinkedIn URL stands beside it.

    Two rows with one URL and no initial in common are hardly one person under two spellings, a nickname or a name from
    before a marriage: a placeholder or somebody else's URL stands in them.

    Args:
        contact: A contact from :func:`normalise`.

    Returns:
        A bit for each letter from A to Z; 0 without a URL or one of the names, or in another script.
    """
    if not (contact.linkedin_url and contact.first_name and contact.last_name):
        return 0
    name = f"{contact.first_name} {contact.last_name}".lower()
    if not name.isascii():
        name = "".join(letter for letter in normal_form("NFKD", name) if not "\u0300" <= letter <= "\u036f")
        if any(letter.isalpha() and not letter.isascii() for letter in name):
            return 0
    bits = 0
    for initial in _INITIALS.findall(name):
        bits |= 1 << (ord(initial) - ord("a"))
    return bits


_INITIALS = re.compile(r"\b[a-z]")
_64_BITS = 2**64 - 1
_SPREAD = secrets.randbits(64) | 1
"""Spreads identities over a table. Nobody outside this process knows it, or a file could hold those of one place only:
20,000 of them would be compared with each other for a minute."""


class Deduplicator:
    """A set of identities, in 16 to 32 bytes each, and 8 to 16 more if they have marks.

    A hash table with open addressing over one array: a million identities take 17 MB, where a set of integers
    takes 80 MB. It compares the first 8 bytes of each: among a million contacts two share these by chance with a
    probability of 3 in 10**8.
    """

    def __init__(self) -> None:
        self._slots = array("Q", [0]) * 2**10
        self._marks: array[int] | None = None
        self._shift = 64 - 10
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __contains__(self, identity: bytes) -> bool:
        key = _key(identity)
        return self._slots[self._find(key)] == key

    def mark(self, identity: bytes) -> int:
        """Return the mark that an identity was added with; 0 if it has none, or is not in the set."""
        return 0 if self._marks is None else self._marks[self._find(_key(identity))]

    def add(self, identity: bytes, mark: int = 0) -> bool:
        """Remember an identity.

        Args:
            identity: From :func:`identity`.
            mark: What to remember with it if it is new, in 32 bits.

        Returns:
            Whether it is new.
        """
        key = _key(identity)
        slot = self._find(key)
        if self._slots[slot] == key:
            return False
        self._slots[slot] = key
        if mark:
            if self._marks is None:
                self._marks = array("I", [0]) * len(self._slots)
            self._marks[slot] = mark
        self._used += 1
        if self._used * 2 > len(self._slots):
            self._grow()
        return True

    def update(self, identities: Iterable[bytes]) -> None:
        """Remember several identities.

        Args:
            identities: From :func:`identity`.
        """
        for one in identities:
            self.add(one)

    def _find(self, key: int) -> int:
        """Return the slot that holds the key, or the empty one where it belongs."""
        slots, mask = self._slots, len(self._slots) - 1
        slot = (key * _SPREAD & _64_BITS) >> self._shift
        while slots[slot] not in (0, key):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old, marks = self._slots, self._marks
        self._slots = array("Q", [0]) * (2 * len(old))
        self._shift -= 1
        for key in old:
            if key:
                self._slots[self._find(key)] = key
        if marks is not None:
            self._marks = array("I", [0]) * len(self._slots)
            for key, mark in zip(old, marks, strict=True):
                if mark:
                    self._marks[self._find(key)] = mark


def _key(identity: bytes) -> int:
    return int.from_bytes(identity[:8], "big") or 1  # 0 marks an empty slot
