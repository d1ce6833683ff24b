"""What the cells of a row say about a contact: the first usable value of each field, without what stands for nothing.

Spreadsheets, databases and tools leave marks in text that are nobody's name: ``NULL``, ``#N/A``, ``-``, ``="Bo"``.
So do templates that nobody filled in: ``{{first_name}}``. They are taken off here, before
:func:`.identity.normalise`, which takes values at their word. Pure functions; what they return goes into a contact's
identity, as the addresses of :mod:`.addresses` do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import cache

from airflow_provider_cleanlist.contacts.addresses import EDGES, clean_domain, clean_email, parse_linkedin_url
from airflow_provider_cleanlist.contacts.notation import (
    UNPRINTABLE,
    is_damaged,
    is_measure,
    named_values,
    unwrapped,
)
from airflow_provider_cleanlist.contacts.recognition import header_key, is_value, known_names, names_by_key
from airflow_provider_cleanlist.input_limits import JSON_DEPTH, VALUE_CHARACTERS

_NAMES = ("first_name", "last_name")
TEXTS = (*_NAMES, "company_name")
_TOO_LARGE = 10**VALUE_CHARACTERS  # Python spells no number of thousands of digits


def _phrases(text: str) -> frozenset[str]:
    """Return the phrases of a text, which stand between vertical bars and ends of lines."""
    return frozenset(phrase.strip() for line in text.strip().splitlines() for phrase in line.split("|"))


_WORDS = """
    n/a|n.a.|n/d|n.d.|n/k|n.n.|s/d|s/n|tba|tbd|none|undefined|unknown|unspecified|undisclosed|unassigned|loading...
    not available|not applicable|not assigned|not disclosed|not found|not given|not known|not provided|not set
    not specified|not stated|no company|no_company|no data|no first name|no information|no last name|no name|no value
    company unknown|no organisation|no organization|unknown company|unknown organisation|unknown organization|none given
    information requested|same as above|see above|to be announced|to be confirmed|to be determined
    k.a.|k. a.|keine angabe|keine angaben|ohne angabe|kein name|kein wert|keine daten|nicht angegeben|nicht bekannt
    nicht verfügbar|nicht vorhanden|nicht zutreffend|siehe oben|unbekannt
    aucune donnée|aucune valeur|inconnu|inconnue|indisponible|non applicable|non communiqué|non défini|non disponible
    non fourni|non indiqué|non précisé|non précisée|non renseigné|non renseignée|non spécifié|non spécifiée|sans nom
    sans objet
    dato non disponibile|nessun dato|nessun valore|non applicabile|non definito|non disponibile|non fornito|non indicato
    non specificato|sconosciuto|senza nome
    desconocido|no aplica|no definido|no disponible|no especificado|no indicado|no informado|no proporcionado
    sin apellido|sin apellidos|sin datos|sin empresa|sin especificar|sin información|sin nombre|sin valor
    desconhecido|nao disponivel|nao especificado|nao informado|nao se aplica|não definido|não disponível
    não especificado|não fornecido|não informado|não se aplica|sem dados|sem empresa|sem nome|sem sobrenome|sem valor
    geen gegevens|geen naam|geen waarde|n.v.t.|niet bekend|niet beschikbaar|niet ingevuld|niet opgegeven
    niet van toepassing|onbekend
    brak danych|brak informacji|nie dotyczy|nie podano|nieznany|neuvedeno|nezadáno|není k dispozici|belirtilmemiş
    bilinmiyor|ej angivet|ej angiven|okänd|uppgift saknas|ikke angivet|ikke oplyst|ukendt|ikke angitt|ikke oppgitt
    ukjent|ei tiedossa|tuntematon|ismeretlen|nincs adat|nincs megadva|necunoscut|nespecificat
    нет|нет данных|не заполнено|не известно|не указан|не указана|не указано|неизвестно|невідомо|немає даних|не вказано
    なし|無し|データなし|値なし|該当なし|不明|不詳|未入力|未設定|無|无|未知|未填写|未提供|未设置|不详|暂无|暫無
    없음|미상|미입력|미정|알 수 없음|정보 없음|해당 없음
"""
_MARKERS = _phrases(_WORDS)
"""Words that tools and people write for nothing, in lower case."""

_POSSIBLE_NAMES = frozenset({"na", "nan", "nil", "null"})
"""Markers that are also somebody's name."""

_MEMBER_WORDS = """
    linkedin member|linkedin-mitglied|linkedin mitglied|membre linkedin|membre de linkedin|miembro de linkedin
    membro do linkedin|membro di linkedin|utente linkedin|linkedin-lid|linkedin lid|linkedin-medlem|linkedin medlem
    linkedin user
"""
_MEMBERS = _phrases(_MEMBER_WORDS)
"""What LinkedIn and tools show instead of the name of a member outside of the network."""

_NO_NAMES = _MEMBERS.union(["linkedin"]) | {
    letter * count for letter in "abcdefghjklmnopqrstuvwxyz" for count in range(3, 7)
}
"""Hidden members, or a part of that; one letter over and over (but III)."""

_FILLER_WORDS = """
    anonymous|asdf|attendee|deleted|duplicate|dummy|example|foo|guest|info requested|open-ended response|qwerty
    reserved|response|sample|string|test|text|total|vacant
"""
_FILLERS = _phrases(_FILLER_WORDS)
"""What people and programs fill in to have something there; also somebody's name, unless it is both names."""

_ROLE_WORDS = """
    abuse accounts admin administrator billing buchhaltung careers comercial commercial compliance contact contacto
    contato do-not-reply donotreply enquiries finance hello help helpdesk hostmaster hr info information inquiries jobs
    kontakt mail mailer-daemon marketing media news newsletter no-reply noc noreply office orders post postmaster press
    privacy purchasing reception recruiting root sales security service spam subscribe support sysadmin team
    unsubscribe ventas verkauf vertrieb webmaster
"""
_ROLES = frozenset(_ROLE_WORDS.split())
"""Mailboxes of roles (RFC 2142, and what mail services list as such): the same word as a first name is nobody's."""

_NOBODY_WORDS = """
    accounts payable|accounts receivable|anonymous user|api user|automated process|chatter expert|customer care
    customer service|customer support|deleted user|former user|front desk|guest user|help desk|human resources
    integration user|main office|name surname|no reply|open position|platform integration user|security user
    system administrator|test contact|test lead|test user|unknown caller|unknown user|vacant position
"""
_NOBODIES = _MARKERS | _MEMBERS | _phrases(_NOBODY_WORDS)
"""First and last names together that are users of programs, departments, or a marker."""

_NONE_WORDS = (
    "0 aucun aucune brak false geen kein keine nenhum nenhuma nessuna nessuno nincs ninguna ninguno no yok"
)
_COMPANY_MARKERS = _POSSIBLE_NAMES.union(_NONE_WORDS.split())
_BLANK_WORDS = """
    blank|boş|em branco|empty|en blanco|leeg|leer|missing|object object|prázdné|puste|tom|tyhjä|vazio|vide|vuoto|üres
    пусто|空白|비어 있음
"""
_BRACKETED = (_MARKERS | _COMPANY_MARKERS | {""}).union(
    *(line.strip().split("|") for line in _BLANK_WORDS.strip().splitlines())
)
"""Markers in brackets: of pivot tables and forms, also words that are names without brackets."""
_ERRORS = (
    "#n/a #n/d #null! #ref! #value! #name? #div/0! #num! #error! #nv #bezug! #wert! #zahl! #calc! #spill! \\n"
)
_ERROR = re.compile(r"#\W?[^\W\d_]+(?:/\w+)?[!?]")  # of spreadsheets in any language
_SPELLED_BY_PROGRAMS = frozenset({"NULL", "null", "NaN", "nan", "NaT"})
_SUSPECT = _MARKERS | _COMPANY_MARKERS | _NO_NAMES | _FILLERS | _ROLES | {"nat"}
_MARKS = frozenset(_ERRORS.split())
_BRACKETS = {"[": "]", "<": ">", "(": ")", "{": "}"}
_RULES = "-\u2013\u2014_*~"

_SPECIAL = re.compile(r"[&\\@*{%$<\n]|:[/:]|;#")
"""What a value holds that may be a placeholder, an address, or text that was encoded for another program."""
_TEMPLATES = (
    *(("{{", "}}"), ("${", "}"), ("#{", "}"), ("{!", "}")),
    *(("<%", "%>"), ("*|", "|*"), ("%%", "%%"), ("<<", ">>")),
)
_LONGEST_TEMPLATE = 100
SQL_NULL = "\\N"
"""What MySQL and PostgreSQL write for null."""
_MOST_LISTED = 20  # values of a list
_CUT_OFF = ("...", "\u2026")
_COMMENTS = ("#", "//", "--")  # before a line that a program is to pass over
_FORMULA = re.compile(r"=\s*[\w.]+\(")
_UP_TO_SEMICOLON = re.compile(r"(?:[^;&]++|&(?:#?\w{1,10};)?)++")  # the semicolon of &amp; separates nothing

_CHECKS: Mapping[str, Callable[[str], object]] = {
    "linkedin_url": parse_linkedin_url,
    "company_domain": clean_domain,
    "email": clean_email,
}


def clean_text(value: object) -> str | None:
    """Return a value as stripped text, or None when it is null, blank, too long or not a single value.

    Args:
        value: Anything a file, a database or a data frame may hold. Numbers and dates become their usual
            text (``7.0`` becomes ``7``), bytes are read as UTF-8, a list of one value counts as that value.
            None, NaN, NaT, ``pandas.NA``, booleans, mappings, longer lists and bytes that are not UTF-8 give None.

    Returns:
        Text without white space (also no-break spaces) and invisible characters at its ends, and without
        control characters, NUL and lone surrogates anywhere; None instead of an empty one.
    """
    text = value if isinstance(value, str) else _as_text(value)
    if text is None or len(text) > VALUE_CHARACTERS:
        return None
    if not text.isprintable():
        text = UNPRINTABLE.sub("", text)
    return text.strip(EDGES) or None


def is_blank(value: object) -> bool:
    """Return whether a value holds nothing: null, NaN, empty, or white space only."""
    if isinstance(value, str):
        return not value.strip(EDGES)
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
            return not value.isascii() and is_damaged(value)
        case bytes():
            try:
                value.decode()
            except UnicodeDecodeError:
                return True
            return False
        case [_]:
            return is_undecodable(_alone(value))
    return False


def _alone(value: object) -> object:
    """Return what a list holds alone, and a list in it; None if that is nested too deeply."""
    for _ in range(JSON_DEPTH):
        match value:
            case [single]:
                value = single
            case _:
                return value
    return None


def _as_text(value: object) -> str | None:
    match value:
        case None | bool() | Mapping():
            return None
        case bytes():
            return None if is_undecodable(value) else value.decode()
        case [_]:
            return clean_text(_alone(value))
        case _ if isinstance(value, Sized) or _is_missing(value):
            return None
        case float() | int() if not abs(value) < _TOO_LARGE:
            return None
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def _is_missing(value: object) -> bool:
    """Return whether a value is NaN or NaT (unequal to themselves), or refuses to be compared: pandas.NA, sNaN."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except (TypeError, ArithmeticError):
        return True


def chosen_values(values: Mapping[str, object], sources: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Return the value that counts for each field, as it stands in the row.

    Args:
        values: The row's values by column.
        sources: The columns of each contact field, the most trusted first.

    Returns:
        The first usable value of each field; without a usable one the first that is not blank, else None.
    """
    return {
        field: _first_usable(field, values, columns) if len(columns) > 1 else _filled(values.get(columns[0]))
        for field, columns in sources.items()
    }


def _filled(value: object) -> object:
    if isinstance(value, str):
        return value if value[:1].isalnum() or value.strip(EDGES) else None  # fast: nearly all begin like it
    return None if is_blank(value) else _listed(value)


def _listed(value: object) -> object:
    """Return a list of several values, or of records, as the text that tools write for it."""
    if isinstance(value, list) and (len(value) > 1 or isinstance(value[0], Mapping)):
        return json.dumps(value[:_MOST_LISTED], ensure_ascii=False, default=str)
    return value


def _first_usable(field: str, values: Mapping[str, object], columns: Sequence[str]) -> object:
    found = [value for value in map(values.get, columns) if value is not None]
    filled = [_filled(value) for value in found if not is_blank(value)]
    if len(filled) < 2:
        return filled[0] if filled else None
    return next((value for value in filled if _is_usable(field, value)), filled[0])


def _is_usable(field: str, value: object) -> bool:
    text = plain_text(field, value)
    if text is None or is_marker(text) or text.casefold() in _COMPANY_MARKERS or is_undecodable(value):
        return False
    if field in TEXTS and is_no_name(field, text):
        return False
    check = _CHECKS.get(field)
    return check is None or bool(check(text))


def plain_text(field: str, value: object) -> str | None:
    """Return the text of a cell, of names and companies without the notation of the tool that wrote it.

    Several values in a cell are several companies, of which the first counts, and several people, which stay as they
    are: :func:`is_no_name` says so.

    Args:
        field: The contact field.
        value: The cell.
    """
    text = clean_text(unwrapped(value))
    while text and field in TEXTS:
        values = named_values(text)
        if len(values) != 1 and (field in _NAMES or not values):
            break
        first = values[0]
        if first == text and field == "company_name" and (parted := _UP_TO_SEMICOLON.search(text)):
            first = parted[0]
        named = clean_text(unwrapped(first))
        if named == text:
            break
        text = named
    return text


def cleaned_values(chosen: Mapping[str, object]) -> Mapping[str, object]:
    """Return the chosen values as they are meant.

    In names and companies, what keeps a spreadsheet from changing a text is removed, entities of HTML and escapes of
    JSON are decoded, and markers for nothing become None; of several companies in a cell the first is kept. URLs,
    domains and e-mail addresses are cleaned by what reads them, which refuses markers.

    Args:
        chosen: From :func:`chosen_values`.
    """
    cleaned = None
    for field in TEXTS:
        value = chosen.get(field)
        if isinstance(value, str) and not (
            _is_plain(value) and (";" not in value if field == "company_name" else value[:1].isalpha())
        ):
            cleaned = cleaned or dict(chosen)
            text = plain_text(field, value)
            cleaned[field] = None if text and _says_nothing(field, text, chosen) else text
    if are_nobodys(chosen):
        return {**(cleaned or chosen), **dict.fromkeys(_NAMES)}
    return cleaned or chosen


def _says_nothing(field: str, text: str, chosen: Mapping[str, object]) -> bool:
    """Return whether a field's text stands for nothing.

    A name without any letter is none, nor is the word for a role beside that role's mailbox, nor a filler as both
    names. It may be Null, Nan, Nil or Na: written like a name it is one, unless the row says the same elsewhere; in
    capitals NA, NAN and NIL are names beside another name in capitals. Initials such as N.A. are a name, too.
    """
    if is_no_name(field, text):
        return True
    if field not in _NAMES:
        return is_marker(text) or text.casefold() in _COMPANY_MARKERS
    if is_marker(text):
        return not ("." in text and text.isupper())
    word = text.casefold()
    if word in _NO_NAMES or not any(map(str.isalpha, text)):
        return True
    if word in _ROLES and field == "first_name":
        email = clean_text(chosen.get("email")) or ""
        return email.casefold().startswith(f"{word}@")
    other_name = chosen.get(_NAMES[field == _NAMES[0]])
    if word in _FILLERS:
        return isinstance(other_name, str) and other_name.strip().casefold() == word
    if word not in _POSSIBLE_NAMES:
        return False
    others = [value.strip() for name, value in chosen.items() if name != field and isinstance(value, str)]
    if any(other.casefold() == word for other in others):
        return True
    if text.istitle():
        return False
    return not (text.isupper() and isinstance(other_name, str) and other_name.isupper())


def is_no_name(field: str, text: str) -> bool:
    """Return whether a text is a template's placeholder, or holds no single name; a person's is no address either.

    Nor is it a mask, a date, or a comment.

    Args:
        field: The contact field: a name or the company's.
        text: From :func:`clean_text`.
    """
    if is_marker(text):
        return False
    if len(text) <= _LONGEST_TEMPLATE and _is_placeholder(text, is_person=field in _NAMES):
        return True
    if text[0] == "=" and (field in _NAMES or _FORMULA.match(text)):
        return True
    values = named_values(text)
    if not values or (len(values) > 1 and field in _NAMES):
        return True
    if field == "company_name":
        return (text[0] == "+" and is_value(text)) or ("@" in text and clean_email(text) == text)
    return field in _NAMES and (
        "**" in text
        or text.endswith(_CUT_OFF)
        or text.startswith(_COMMENTS)
        or "://" in text
        or "\n" in text
        or is_measure(text)
        or ("@" in text and clean_email(text) is not None)
    )


def are_nobodys(chosen: Mapping[str, object]) -> bool:
    """Return whether a row's names are no person's.

    They are the same as its company, the names of their columns, or together a marker, a department or the user of a
    program: ``Not``, ``Available``; ``Help``, ``Desk``; ``Automated``, ``Process``.

    Args:
        chosen: From :func:`chosen_values`.
    """
    first, last = chosen.get("first_name"), chosen.get("last_name")
    if not isinstance(first, str) or not isinstance(last, str):
        return False
    if first == last:
        return bool(first.strip()) and first == chosen.get("company_name")
    first = first.casefold() if first.isalnum() else _bare(first)
    if first not in _first_names_of_nobody():  # fast: nearly all are somebody's
        return False
    last = _bare(last)
    return f"{first} {last}" in _NOBODIES or (first in _labels("first_name") and last in _labels("last_name"))


def is_hidden_member(chosen: Mapping[str, object]) -> bool:
    """Return whether both names together are what stands for a hidden member: ``LinkedIn``, ``Member``.

    Args:
        chosen: From :func:`chosen_values`.
    """
    names = [name for field in _NAMES if isinstance(name := chosen.get(field), str)]
    return " ".join(map(_bare, names)) in _MEMBERS


def _bare(name: str) -> str:
    """Return a name without what forms and pages add to those of columns: ``*First Name``, ``Last Name (cont.)``."""
    return name.strip("* \t\r\n").partition(" (")[0].casefold()


@cache
def _first_names_of_nobody() -> frozenset[str]:
    words = [text.split() for text in _NOBODIES]
    return _labels("first_name").union(" ".join(part[:end]) for part in words for end in range(1, len(part)))


@cache
def _labels(field: str) -> frozenset[str]:
    names = [known.name.casefold() for known in known_names() if known.field == field]
    return frozenset(re.sub(r"[\s._-]+", joint, name) for name in names for joint in (" ", "_", ""))


def _is_placeholder(text: str, *, is_person: bool) -> bool:
    """Return whether a text is, or holds, a place that a template or form left to be filled in."""
    if any(-1 < text.find(start) < text.rfind(end) for start, end in _TEMPLATES):
        return True
    if text[0].isalnum() or text[-1].isalnum():
        return False
    is_enclosed = text[0] in "[{<" and text[-1] == _BRACKETS[text[0]]
    return (is_person and is_enclosed) or header_key(text) in names_by_key()


def is_marker(text: str) -> bool:
    """Return whether a text stands for nothing in any field: a marker, or nothing but punctuation.

    Args:
        text: From :func:`clean_text`.
    """
    if text[0].isalnum():
        return text in _SPELLED_BY_PROGRAMS or _is_among(text, _MARKERS)
    if text.casefold() in _MARKS or _ERROR.fullmatch(text) or not any(map(str.isalnum, text)):
        return True
    if text[0] in _RULES and text[-1] in _RULES:
        return text.strip(_RULES).strip().casefold() in _BRACKETED
    return text[-1] == _BRACKETS.get(text[0]) and text.strip("[]<>(){} ").casefold() in _BRACKETED


def is_nothing(value: object) -> bool:
    """Return whether a cell is blank or holds a marker for nothing."""
    if not isinstance(value, str):
        return is_blank(value)
    if _is_plain(value):
        return False
    if len(value) > VALUE_CHARACTERS:
        return is_blank(value)
    text = clean_text(unwrapped(value))
    return text is None or is_marker(text)


def _is_plain(text: str) -> bool:
    """Return whether a text can neither be a marker nor be wrapped, as nearly all are."""
    if text.isalnum():  # fast: most are a single word
        return text.casefold() not in _SUSPECT
    if _SPECIAL.search(text):
        return False
    if text[-1:].isalnum() and text[0].isalnum():
        return text.casefold() not in _SUSPECT
    text = text.strip()
    return text[:1].isalnum() and not text.endswith(_CUT_OFF) and not _is_among(text, _SUSPECT)


def _is_among(text: str, words: frozenset[str]) -> bool:
    """Return whether a text is one of the words, in any letter case, or one with a full stop."""
    return (word := text.casefold()) in words or word.rstrip(".") in words
