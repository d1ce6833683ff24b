"""What the columns of a source mean, told by their names alone.

Whole names come first: those that columns have in other tools and other languages, as ``known_names.csv`` lists them.
A name that languages disagree on counts only beside another name of its language. What is left may stand behind a
prefix, of an object (``Person - First name``, ``properties.firstname``) or of a loader (``property_firstname``), which
several columns must share.

A line of the file is one name: the contact field, the name as the tool writes it, its languages, the field that has
to be there beside it, and the tools known to write it. The lines of a field stand in the order in which a row's
value is looked for. To add a name, add a line, and a header with its source to ``tests/unit/contacts/exports.csv``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, pairwise
from pathlib import Path

from airflow_provider_cleanlist.input_limits import normal_form

FULL_NAME = "full_name"
"""What the table calls columns of full names. It is not a contact field: full names are not split."""

_NUMBER = r"^\s*\d{1,2}[.)]\s+"
_NUMBERED = re.compile(_NUMBER)
_DUTY = r"[(\[]\s*(?:required|optional|mandatory|pflichtfeld|optionnel|obligatoire|obligatorio|opcional"
_DUTY += r"|(?:short |long )?text|metadata)\s*[)\]]\s*$|(?<=mail)\s*\(email\)\s*$"
_TYPE = r"::?\s*(?:string|str|(?:n?var|n)?char(?:acter varying)?|citext|text)\s*(?:\(\d{1,5}\))?\s*$"
_OF_FORMS = re.compile(f"{_NUMBER}|{_DUTY}|{_TYPE}", re.IGNORECASE)

_FILE = Path(__file__).with_name("known_names.csv")


@dataclass(frozen=True, slots=True)
class KnownName:
    """A column name and what it stands for.

    Attributes:
        field: The contact field, or :data:`FULL_NAME`.
        name: The name, as the tools write it.
        languages: Codes of the languages in which it means that.
        beside: The field that another column of one of these languages has to hold; without such a column the name
            means something else, as ``Name`` does without ``Vorname``. None: the name always means the field.
        tools: Tools known to write it.
        rank: Its place among the names of all fields, the most trusted of each field first.
    """

    field: str
    name: str
    languages: frozenset[str]
    beside: str | None
    tools: tuple[str, ...]
    rank: int


def header_key(header: str) -> str:
    """Return what two spellings of one header share: its letters and digits, without case and accents.

    Numbers of questions, notes of forms, and types are left aside: ``1. Name``, ``City (required)``, ``Firma::text``.
    """
    text = _OF_FORMS.sub("", header)
    if not text.isascii():
        text = normal_form("NFKD", text)
    folded = text.casefold().replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")
    return "".join(filter(str.isalnum, folded))


def is_numbered(header: str) -> bool:
    """Return whether a number stands before a header, as before the questions of forms: ``1. First Name``."""
    return _NUMBERED.match(header) is not None


@cache
def known_names() -> tuple[KnownName, ...]:
    """Return the table, in its order. The file is read at the first call, not when a DAG is parsed."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            KnownName(
                field=row["field"],
                name=row["name"],
                languages=frozenset(row["language"].split()),
                beside=row["beside"] or None,
                tools=tuple(filter(None, map(str.strip, row["tools"].split(",")))),
                rank=rank,
            )
            for rank, row in enumerate(csv.DictReader(file))
        )


@cache
def names_by_key() -> Mapping[str, tuple[KnownName, ...]]:
    """Return the table by :func:`header_key`. A key has several names where languages disagree."""
    grouped: dict[str, list[KnownName]] = {}
    for name in known_names():
        grouped.setdefault(header_key(name.name), []).append(name)
    return {key: tuple(names) for key, names in grouped.items()}


_NAMES = frozenset({"first_name", "last_name"})
_NONE: frozenset[str] = frozenset()
_PERSON_FIELDS = _NAMES | {"linkedin_url"}
_FIELDS_OF_SOMEBODY = _PERSON_FIELDS | {FULL_NAME, "email"}
_REPETITION = re.compile(r"(.+?)(?: \(\d{1,4}\)|\.\d{1,4})", re.DOTALL)
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_LONGEST_PREFIXED = 100  # characters; a longer "name" is data
_LONGEST_PREFIX = 3  # words
_LONGEST_KNOWN = 200  # characters; longer names are not compared
_REMEMBERED = 2_000  # names of columns; rows of JSON may each bring their own

_OBJECT_WORDS = """
    after ansprechpartner attributes candidate candidates contact contacto contacts contato contatto custom data field
    fields individual item kontakt kontaktperson lead leads name osoba payload people person persona personne persoon
    pessoa profile properties property prospect prospects record referente traits
"""
_OBJECTS = frozenset(_OBJECT_WORDS.split())
"""Keys of words for the object that a row is, and for what loaders put around it: a prefix of these says nothing."""

_PEOPLE_WORDS = """
    ansprechpartner candidate candidates contact contacto contacts contato contatto individual kontakt kontaktperson
    lead leads osoba people person persona personne persoon pessoa prospect prospects referente
"""
_PEOPLE = frozenset(_PEOPLE_WORDS.split())
"""Those of them for a person: two different ones are two people."""

_BARE_WORDS = """
    applicant attendee buyer client cliente contact customer delegate employee guest holder invitee klant kunde member
    participant recipient registrant speaker student subscriber teilnehmer ticketholder
"""
_BARE_PEOPLE = frozenset(_BARE_WORDS.split())
_BARE_NAMES = _OBJECTS | _BARE_PEOPLE
"""Keys of whole names of columns that hold who the row is about, mostly by a full name."""

_OWN_PREFIXES = _BARE_NAMES | {"source", "your"}
"""Words before the names of whom rows are about."""

_OTHER_PEOPLE_WORDS = """
    advisor agare agent assistant assistants assistent assistentin author bdr beheerder besitzer betreuer boss by
    colleague creator csm editor eier eigenaar eigentumer ejer inhaber introducer investor manager managers modifier
    owner owners parent partner propietario proprietaire proprietario recruiter reference referral referred referrer
    rep reports representative responsabile responsable responsavel sahibi sdr sender sponsor spouse supervisor
    verantwortlicher vlastnik vorgesetzter własciciel владелец ответственныи 所有者 负责人
"""
_OTHER_PEOPLE = frozenset(_OTHER_PEOPLE_WORDS.split())
_OTHER_WORDS = """
    account accounts alternate alternative before billing business companies company created education email emergency
    employer facebook firm former from github instagram invoice last modified office old organisation organisations
    organization organizations other past previous prior school second secondary shipping support twitter university
    updated xing youtube
"""
_OTHERS = _OTHER_PEOPLE.union(_OTHER_WORDS.split())
"""Keys of words for somebody or something else: what stands behind one of them is not the row's person."""

_ONLY_WHOLE = frozenset({"account", "accounts", "companies", "profile", "url"})
_HOLDERS = frozenset({"s", "value"})
"""Keys of values inside a field: HubSpot's first API has ``properties.firstname.value``, DynamoDB ``Item.name.S``."""

_HEADER_WORDS = """
    address adresse cargo ciudad city code comment comments country created currency datum date department description
    email employees enriched fax fonction function funktion gender id ids indirizzo industry key language link mail
    mobile name names nom nombre note notes number numero pais pays phone plz poste position postcode region revenue
    role score seniority size sources state status subitems tags tel telefon telefone telefono telefoon telephone time
    tipo title type updated url value ville website zip
    电话 電話 住所 地址 役職 部署 职位 전화 주소 직책
    город телефон адрес должность
"""
_HEADER_KEYS = frozenset(map(header_key, _HEADER_WORDS.split()))
_USUAL_WORDS = _HEADER_KEYS | _OBJECTS | _OTHERS
"""Keys of words of headers, of objects and of others."""
_KIND_WORDS = """
    address allgemein basic beruflich business daten datos details donnees general home info information main
    mandatory online optional other personal personlich primary privat private professional professionnel profile
    profil required social work
"""
_KINDS = frozenset(_KIND_WORDS.split())
"""Keys of words for kinds of data: a group of columns that they name is not of another person."""

_NAMELESS = re.compile(r"(?:column|Unnamed:) \d+")
_SNAKE_CASE = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_DATA = re.compile(r"@|//|www\.|\d{3}")
_ADDRESS = re.compile(r"@|//|www\.")
_VALUE = re.compile(r"(?:https?://|www\.)\S+|[^\s@]+@[^\s@]+\.[^\s@]+|\+?(?:[\s()./-]*\d){7,}[\s()./-]*")


def recognise(columns: Sequence[str]) -> dict[str, KnownName]:
    """Return what the columns mean.

    Args:
        columns: The columns of one source.

    Returns:
        The known name of each column that has one, columns of full names included. Those that are known by their
        whole names come first.
    """
    return recognise_names(dict(zip(columns, base_names(columns), strict=True)))


def recognise_names(names: Mapping[str, str]) -> dict[str, KnownName]:
    """Return what columns mean, given what each is called: from :func:`base_names`."""
    found = _known(names)
    return found | _behind_prefixes(names, found)


def count_recognised(headers: Iterable[str]) -> int:
    """Return how many headers are recognised; a reader finds delimiter and header by it."""
    return len(recognise(list(dict.fromkeys(headers))))


def is_header(columns: Sequence[str], recognised: Mapping[str, KnownName]) -> bool:
    """Return whether columns are surely names, and not a person's data that stands where a header should be.

    At least three of them are recognised, or a first and a last name, or the only one; or more than half, two of them
    at least, are recognised, made of words that headers are made of, or name somebody's name, and none is an address, a
    URL or a number. Names that alternate with something else are those of a form:
    ``Company,Northfold,Domain,northfold.example``.

    Args:
        columns: The columns of one source.
        recognised: From :func:`recognise`.
    """

    def is_name(column: str) -> bool:
        return column in recognised or is_header_name(column) or bool(fields_of_somebody(column))

    names, values = columns[::2], columns[1::2]
    if len(names) == len(values) and recognised.keys() >= set(names) and not any(map(is_name, values)):
        return False
    fields = {known.field for known in recognised.values()}
    fields_of_others = chain(*map(fields_of_somebody, columns))  # Buyer First Name, Attendee Last Name
    is_sure = len(recognised) > 2 or len(recognised) == len(columns) == 1
    if is_sure or fields >= _NAMES or _NAMES.issubset(fields_of_others):
        return True
    if any(map(is_value if len(recognised) > 1 else looks_like_data, columns)):
        return False
    named = sum(map(is_name, columns))
    return named > 1 and named * 2 > len(columns)


def is_about_a_person(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Return whether a record holds a person's text where its columns say who a row is about: no word of headers.

    Args:
        cells: The record.
        columns: The names above its cells.
    """
    recognised = recognise(list(dict.fromkeys(columns)))
    return any(
        not speaks_of_columns(cell)
        for cell, column in zip(cells, columns, strict=False)
        if cell.strip() and _says_who(column, recognised.get(column))
    )


def _says_who(column: str, known: KnownName | None) -> bool:
    return known.field in _FIELDS_OF_SOMEBODY if known else header_key(column) in _BARE_NAMES


def speaks_of_columns(cell: str) -> bool:
    """Return whether a text is a known name, or holds a word that names of columns are made of."""
    words = _word_keys(cell[:_LONGEST_PREFIXED])
    return not looks_like_data(cell) and (bool(_meanings(cell)) or not _known_words().isdisjoint(words))


@cache
def _known_words() -> frozenset[str]:
    return _USUAL_WORDS.union(names_by_key())


def _word_keys(name: str) -> list[str]:
    return [header_key(word) for word in _WORD.findall(_CAMEL_CASE.sub(" ", name))]


def is_nameless(column: str) -> bool:
    """Return whether a column has no name but its position, from the readers of this package or from pandas."""
    return _NAMELESS.fullmatch(column) is not None


def looks_like_data(column: str) -> bool:
    """Return whether a column's name holds an address, a URL or a number, or is too long for a name."""
    return len(column) > _LONGEST_PREFIXED or _DATA.search(column) is not None


def is_address(name: str) -> bool:
    """Return whether a column's name holds an address or a URL, or nothing but a number."""
    return _ADDRESS.search(name) is not None or not any(map(str.isalpha, name.rpartition(".")[2]))


def is_value(cell: str) -> bool:
    """Return whether a cell is a URL, an e-mail address or a telephone number, which no column is called."""
    return _VALUE.fullmatch(cell.strip()[:_LONGEST_PREFIXED]) is not None


def is_made_of_known_words(name: str) -> bool:
    """Return whether a name holds nothing but words of headers, of objects and of others, so that it is no data."""
    words = _word_keys(name)
    return bool(words) and _USUAL_WORDS.issuperset(words)


def is_header_name(column: str) -> bool:
    """Return whether a column's name is made of words that headers are made of, as ``Phone`` or ``contact_nm`` is."""
    words = _word_keys(column)
    if _SNAKE_CASE.fullmatch(column):
        return not _USUAL_WORDS.isdisjoint(words)
    return bool(words) and _HEADER_KEYS.issuperset(words)


def with_groups(names: Sequence[str], above: Sequence[str]) -> list[str]:
    """Return the names of a header with those of the groups above them, if several groups name people, or one others.

    A group stands above the first of its columns: ``Customer,,Account Manager,`` above ``Full Name,Company,First
    Name,Last Name``. Its columns are then called ``Account Manager - First Name``, and are judged by that. Kinds of
    data, as ``Personal,,Work,``, are no people.

    Args:
        names: The header.
        above: The record directly above it.
    """
    starts = [
        at
        for at, cell in enumerate(above[: len(names)])
        if cell.strip() and (not at or cell != above[at - 1])
    ]
    groups = [range(start, end) for start, end in pairwise([*starts, len(names)])]
    recognised = recognise(list(dict.fromkeys(names)))
    of_people = [
        group
        for group in groups
        if _KINDS.isdisjoint(map(header_key, _WORD.findall(above[group.start])))
        and any(
            known.field in _PERSON_FIELDS or known.field == FULL_NAME
            for position in group
            if (known := recognised.get(names[position]))
        )
    ]
    is_of_others = any(
        not _OTHER_PEOPLE.isdisjoint(_word_keys(above[group.start]))
        for group in of_people
        if group != groups[0]
    )
    if len(of_people) < 2 and not is_of_others:
        return list(names)
    if any(len(group) < 2 for group in of_people) or any(map(looks_like_data, above)):
        return list(names)
    labels = {position: above[group.start].strip() for group in groups for position in group}
    return [
        f"{labels[at]} - {name}" if at in labels and name.strip() else name for at, name in enumerate(names)
    ]


def base_names(columns: Sequence[str]) -> Iterator[str]:
    """Yield each column's name without what tells it from an earlier column of the same name.

    Readers write ``Company (2)`` for it, pandas ``Company.1``; without a column ``Company`` these are names of their
    own.
    """
    there = set(columns)
    for column in columns:
        may_be = column[-1:] == ")" or "." in column[-5:]  # fast: most names do not end like it
        repeated = _REPETITION.fullmatch(column) if may_be else None
        yield repeated[1] if repeated and repeated[1] in there else column


def _known(names: Mapping[str, str]) -> dict[str, KnownName]:
    """Return the known name of each column, given what the columns are called."""
    meanings = {column: found for column, name in names.items() if (found := _meanings(name))}
    certain = {known.field for found in meanings.values() for known in found if not known.beside}
    holders: dict[tuple[str, str], set[str]] = {}
    for column, found in meanings.items():
        for known in found:
            for language in known.languages:
                holders.setdefault((language, known.field), set()).add(column)

    def applies(known: KnownName, column: str) -> bool:
        if known.beside is None:
            return True
        beside = (holders.get((language, known.beside), set()) for language in known.languages)
        return known.field not in certain and any(len(others) > (column in others) for others in beside)

    chosen = {}
    for column, found in meanings.items():
        if applicable := [known for known in found if applies(known, column)]:
            chosen[column] = min(applicable, key=lambda known: (known.beside is None, known.rank))
    return chosen


@lru_cache(maxsize=_REMEMBERED)
def _meanings(name: str) -> tuple[KnownName, ...]:
    """Return the known names that a name is, or that both halves of it are: ``Vorname / First Name``."""
    if len(name) > _LONGEST_KNOWN:
        return ()
    known = names_by_key().get(header_key(name), ())
    if known or name.count("/") != 1:
        return known
    halves = [names_by_key().get(header_key(half), ()) for half in name.split("/")]
    shared = set.intersection(*({half.field for half in meant} for meant in halves))
    return tuple(meant for meant in chain(*halves) if {meant.field} == shared)


def _behind_prefixes(names: Mapping[str, str], whole: Mapping[str, KnownName]) -> dict[str, KnownName]:
    """Return the known names that stand behind prefixes.

    The prefix of an object may stand before any of them. Any other prefix counts if no column without it says who the
    row is about, be it by a full name or an e-mail address (else it is somebody beside that person), holds no word for
    somebody else, and is the only one. Unless it is a word for people whom rows are about, as ``Attendee``, no column
    without it may be made of unknown words or end with one for a person, either: ``Empleado,Jefe Nombre``.

    Args:
        names: What the columns are called.
        whole: The columns that are known by their whole names.
    """
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for column, name in names.items():
        for prefix, rest in _splits(name):
            groups.setdefault(prefix, {})[column] = rest
    found: dict[str, KnownName] = {}
    persons: list[tuple[tuple[str, ...], dict[str, KnownName]]] = []
    for prefix, rests in sorted(groups.items(), key=_order_of_prefixes):
        known = _known(rests)
        fields = {name.field for name in known.values()}
        if len(fields) < 2 or _OTHERS.intersection(prefix):
            continue
        added = {
            column: name for column, name in known.items() if column not in whole and column not in found
        }
        if _OBJECTS.issuperset(prefix):
            found |= added
        elif _PERSON_FIELDS & fields:
            persons.append((prefix, added))
    others = {known.field for known in (*whole.values(), *found.values())}
    if not persons or _FIELDS_OF_SOMEBODY & others or any(header_key(name) in _BARE_NAMES for name in names):
        return found
    prefix, person = persons[0]
    is_ambiguous = any(person.keys().isdisjoint(other) for _, other in persons)
    outside = (
        name for column, name in names.items() if column not in whole and not _starts_with(prefix, name)
    )
    if is_ambiguous or (_OWN_PREFIXES.isdisjoint(prefix) and any(map(_may_name_a_person, outside))):
        return found
    return person | found


def _order_of_prefixes(group: tuple[tuple[str, ...], Mapping[str, str]]) -> tuple[int, bool, int]:
    """Return what prefixes are ordered by: most columns first, then ``Primary Contact`` before ``Primary``."""
    prefix, rests = group
    return -len(rests), _OWN_PREFIXES.isdisjoint(prefix), len(prefix)


def _starts_with(prefix: tuple[str, ...], name: str) -> bool:
    return tuple(_word_keys(name)[: len(prefix)]) == prefix


def _may_name_a_person(name: str) -> bool:
    """Return whether a column may name whom a row is about: unknown words only, or a word for a person at the end."""
    if is_nameless(name):
        return False
    return not speaks_of_columns(name) or _word_keys(name)[-1] in (_PEOPLE | _BARE_PEOPLE | {"name"})


def person_of(column: str) -> str | None:
    """Return the key of the word for a person (``contact``, ``lead``) that stands before the known name of a column."""
    words = (word for prefix, _ in _splits(column) if _OBJECTS.issuperset(prefix) for word in prefix)
    return next((word for word in words if word in _PEOPLE), None)


def is_of_somebody_else(column: str) -> bool:
    """Return whether the name of a column says that it is about somebody beside the row's person."""
    words = _word_keys(column)
    return bool(words) and (not _OTHER_PEOPLE.isdisjoint(words) or words[-1] in _PEOPLE)


def fields_of_somebody(column: str) -> frozenset[str]:
    """Return which of a person's name and profile stand behind a prefix, whoever that is."""
    behind = ({known.field for known in _meanings(rest)} for _, rest in _splits(column))
    return next(
        (found for fields in behind if FULL_NAME not in fields and (found := _PERSON_FIELDS & fields)), _NONE
    )


@lru_cache(maxsize=_REMEMBERED)
def _splits(name: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return the prefixes behind which a known name stands, as lists of words, with that name."""
    if len(name) > _LONGEST_PREFIXED:
        return ()
    name = name.removeprefix(
        "user_" if name.startswith("user_fields.") else ""
    )  # Zendesk; other users may be anybody
    found = []
    words = _WORD.findall(_CAMEL_CASE.sub(" ", name))
    for cut in range(1, min(len(words), _LONGEST_PREFIX + 1)):
        prefix, rest = tuple(map(header_key, words[:cut])), words[cut:]
        if len(rest) > 1 and rest[-1].casefold() in _HOLDERS and _OBJECTS.issuperset(prefix):
            rest = rest[:-1]
        key = header_key("".join(rest))
        if key in names_by_key() and key not in _ONLY_WHOLE:
            found.append((prefix, " ".join(rest)))
    return tuple(found)
