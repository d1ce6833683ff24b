"""Whether text that was decoded as Windows-1252 is in a language of Western Europe, or in another encoding.

Nearly every byte is some character in Windows-1252, so decoding shows no mistake: Polish in Windows-1250 becomes
``Wiœniewski`` and ``£ukasz``, Russian ``Ïåòðîâà``, a file of Mac OS ``Garc’a``. What tells them apart is what stands
beside each character that is not ASCII. Letters have neighbours that are usual in German, French, Spanish, Portuguese,
Italian, Dutch, Irish and the Nordic languages, by rule or because they were seen in names, places and job titles; most
symbols do not touch letters. A few odd words are normal, such as names from elsewhere; many, or most of those with one
letter, mean another encoding.
"""

# ruff: noqa: RUF001, RUF002, RUF003 - the characters that look like others are what this is about

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

_VOWELS = "aeiouy"
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_ASCII = _VOWELS + _CONSONANTS
_START, _END = "^", "$"

_RULES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "äöüéáíóú": ((_CONSONANTS + _START, _ASCII + _END), (_ASCII, _CONSONANTS)),
    "äö": ((_ASCII + "äö", "äö"), ("äö", _ASCII + _END)),
    "äöü": ((_CONSONANTS + _START, "ß"),),
    "è": ((_CONSONANTS, "bcdgjlmnpqrstvz"),),
    "ê": ((_CONSONANTS, "mnst"),),
    "ñ": ((_VOWELS + "áéíóú" + _START, _VOWELS + "áéíóú"),),
    "ç": ((_ASCII + _START, "aouãõ"),),
    "ã": ((_ASCII + "ç", "o"),),
    "õ": ((_ASCII + "ç", "e"),),
    "ô": ((_CONSONANTS, _CONSONANTS + _END),),
    "ë": (("aeiou", _ASCII + _END), ("t", _END)),
    "ï": (("aou", _CONSONANTS),),
    "å": ((_CONSONANTS + _START, _CONSONANTS + _END),),
    "æ": ((_CONSONANTS, _CONSONANTS), (_CONSONANTS + _START, "ð")),
    "ð": (("æ", _ASCII + _END),),
    "ø": ((_CONSONANTS, _CONSONANTS), (_START, "lrsvy")),
    "ß": ((_VOWELS + "äöü", _ASCII + _END), ("lr", _END)),
    "ÿ": (("aou", _CONSONANTS + _END),),
    "àò": ((_CONSONANTS, _END),),
    "šž": ((_VOWELS + _START, _VOWELS), (_VOWELS, _CONSONANTS + _END), (_CONSONANTS, _VOWELS)),
}
"""What stands before and after a letter, in any combination of the two."""

_SEEN: Mapping[str, str] = {
    "ª": "^$ d$ m$",
    "º": "^$ n$",
    "à": "^$ ^s i$ lu ms o$ sr",
    "á": "bñ e$ ei i$ o$ oi rð u$ y$ yñ ñn úi",
    "â": "^g ^m ^n bl bn bt cb cm cn dn fn gm ht lm ln lt mn nn pt rc rm rn tc tn un wl wn zm zn ét",
    "ã": "^o fe g$ h$ he ie l$ m$ me pe pi re rs s$ t$ te u$",
    "ä": "^ä ^ö y$ åö",
    "å": "^ä e$ le te",
    "æ": "^b ^g ^k ^o ^r ^s ^t ^v da eb hu ko l$ nþ po r$ ra si su sþ",
    "ç": "aú ía öm",
    "è": "^$ ^r f$ ic ig il im in ir iv iz o$ ot r$ u$ ud ur yr",
    "é": "^é hâ hð i$ ie o$ u$ y$ ye én ñ$",
    "ê": "^t c$ cu d$ im in mc md ml nc ol pc pr rv t$ tv tx u$ un us ut vq zz ün",
    "ì": "d$ l$ m$ r$ s$ t$",
    "í": "^ñ a$ aa ao dð dó kð lð mó rð ró u$ ua ue uç vð vó ðn ña ús ü$ üc ün üs",
    "î": "^l ac an at dn ot",
    "ï": "el",
    "ð": (
        "aa ae ag ai al as au av aí aó e$ en es eu ev fd ga ia ib id ie if ig ih ii ij il im in ir is "
        "iu iv ió iþ oi om or r$ ra rd ri rl rm rs ru ub ud uf ug uj uk ul um un ur us uu uv uó uþ ya "
        "yj yr á$ ág áh ás áu áv éi í$ ía íb íd íi ík ís íu ó$ óa ób óg óh ói ól óm ón ór ós óu óv óó "
        "ö$ öm ös öu öv úa úm úu úv ýs ýu"
    ),
    "ñ": "^i ^u da",
    "ò": "i$ tn u$",
    "ó": "^ð dñ e$ ei i$ jð lð mð rð sþ í$ íl ím ís ðl ñn úg þr",
    "ô": "^n an ca vo",
    "õ": "tn",
    "ö": "aa bð gç hð i$ lð rð ua ya äü þl",
    "ø": (
        "^$ ^d ^e ^g ^i ^j ^k ^n b$ be d$ ek g$ hy ir j$ ja je ji k$ l$ m$ n$ ne or r$ ra re s$ se t$ v$ x$"
    ),
    "ù": "b$ d$ g$ i$ o$ s$ t$",
    "ú": "a$ i$ ii lí lð ló mñ nñ rá rð zñ çc þf",
    "û": "bc ft hs kb mn mr ot rl sr",
    "ü": "gí qê qí ö$",
    "ý": "^j ^m ^r b$ cr d$ dr g$ gg gm l$ ld lt lð m$ mr n$ na nb nj nr ns nv r$ rs s$ sr t$ tr v$",
    "þ": (
        "^a ^e ^i ^j ^o ^r ^u ^y ^ó ^ö ^ú ae dó fa fó gr gó ió kó lr ló mó nr nó rj rr ró só tr tó yr "
        "yó æó ðj ðó óe"
    ),
    "œ": "^c ^i ^u bu cu hu nu su vu",
    "š": "^k ^m ^p ^t ^v",
}
"""Further pairs of what stands before and after a letter."""

_NEIGHBOURS = {letter + pair for letter, pairs in _SEEN.items() for pair in pairs.split()} | {
    letter + before + after
    for letters, rules in _RULES.items()
    for letter in letters
    for befores, afters in rules
    for before in befores
    for after in afters
}

_TELLING_LETTERS = "èðõýþ"
"""What the commonest letters of other encodings look like: a single odd word with one of them is enough."""
_ENDINGS = frozenset("™®©”’»°›“")
_BEGINNINGS = {**dict.fromkeys("„‚«»“‘›‹…¡¿•’–—µ", ("",)), "€": ("uro",), "°": ("C", "F")}
"""Symbols that may stand before a word, and how it starts then."""
_APOSTROPHES = "’´"
_NEVER_BEFORE_LETTERS = frozenset("£¯¤¦¨¬³¶¸¹¼½¾†‡ˆ‰˜")
_NEVER_ALONE = frozenset("¹²³¸¨¯¬¦¤¿")
_NEVER_TOGETHER = _NEVER_ALONE | frozenset("¢£¥§¶¼½¾×÷†‡")

_TOKEN = re.compile(r"(?<![A-Za-z])[A-Za-z]{0,63}[^\x00-\x7f\xa0][^\x00-\x40\x5b-\x60\x7b-\x7f\xa0]{0,64}")
_PARTICLES = "and|am|d[aeio]s?|de[lnr]|della|du|e|et|i|in|la|las|le|les|los|of|und|van|vo[mn]|y|zu"
_TORN = re.compile(rf"[A-Za-z]\xa0(?!(?:{_PARTICLES})\b)[a-z]{1, 63}")
_IMPOSSIBLE, _ODD = "impossible", "odd"
_FEW_WORDS = 8
_MAX_WORDS = 20_000
_MAX_LINES = 5
_MAX_REST = 4_096
_BETWEEN_WORDS = '\n\r\t ",;:|'


class WesternText:
    """Judges a text of Windows-1252 piece by piece.

    Args:
        first_line: Number of the line that its first piece starts in.

    Attributes:
        odd_lines: The first lines with an odd word, counted from 1.
    """

    def __init__(self, first_line: int = 1) -> None:
        self.odd_lines: list[int] = []
        self._words: set[str] = set()
        self._odd: dict[str, str] = {}
        self._rest = ""
        self._line = first_line

    def add(self, text: str) -> None:
        """Take in the next piece of the text."""
        text = self._rest + text
        last = len(text) - 1  # a line end of two characters stays whole
        whole = max(text.rfind(mark, 0, last) for mark in _BETWEEN_WORDS) + 1
        if len(text) - whole > _MAX_REST:
            whole = len(text)
        self._rest = text[whole:]
        self._take(text[:whole])

    def is_possible(self) -> bool:
        """Return whether the text so far holds nothing that no Western text would hold."""
        return _IMPOSSIBLE not in self._odd.values()

    def is_plausible(self) -> bool:
        """Return whether the whole text is likely to be Western."""
        self._take(self._rest)
        self._rest = ""
        if not self.is_possible():
            return False
        kinds = Counter(self._odd.values())
        most = 0 if len(self._words) < _FEW_WORDS else max(1, len(self._words) // _FEW_WORDS)
        return len(self._odd) <= most and not any(
            self._is_mostly_odd(letter, count) for letter, count in kinds.items() if letter != _ODD
        )

    def _is_mostly_odd(self, letter: str, count: int) -> bool:
        words = sum(letter in word.lower() for word in self._words)
        return count * 3 > words and (count > 1 or letter in _TELLING_LETTERS)

    def _take(self, text: str) -> None:
        position, line = 0, self._line
        if not text.isascii():
            for match in self._unusual(text):
                if len(self.odd_lines) < _MAX_LINES:
                    line += _line_ends(text[position : match.start()])
                    position = match.start()
                    if line not in self.odd_lines:
                        self.odd_lines.append(line)
        self._line += _line_ends(text)

    def _unusual(self, text: str) -> Iterator[re.Match[str]]:
        """Note the words of a text, and yield those that are odd."""
        for match in _TOKEN.finditer(text):
            word = match[0]
            if word in self._words:
                continue
            if is_counted := len(self._words) < _MAX_WORDS:
                self._words.add(word)
            kind = _oddity(word)
            if kind and (is_counted or kind == _IMPOSSIBLE):
                self._odd[word] = kind
                yield match
        for match in _TORN.finditer(text) if "\xa0" in text else ():
            if len(self._odd) < _MAX_WORDS:
                self._odd[match[0]] = _ODD
                yield match


def _line_ends(text: str) -> int:
    return text.count("\n") or text.count("\r")


def _oddity(word: str) -> str | None:
    """Return what is odd about a word: one of its letters, ``odd``, or ``impossible``; None if nothing is."""
    found = None
    for position, character in enumerate(word):
        if character.isascii():
            continue
        before = word[position - 1] if position else ""
        after = word[position + 1 : position + 2]
        is_letter = character.isalpha() and character not in "ªºµƒˆ"
        odd = _odd_letter(before, character, after) if is_letter else _odd_symbol(word, position)
        if odd == _IMPOSSIBLE:
            return odd
        found = found or odd
    return found


def _odd_letter(before: str, letter: str, after: str) -> str | None:
    small = letter.lower()
    left = before.lower() if before.isalpha() else _START
    right = after.lower() if after.isalpha() else _END
    is_out_of_case = letter != small and before.islower()
    return small if is_out_of_case or small + left + right not in _NEIGHBOURS else None


def _odd_symbol(word: str, position: int) -> str | None:
    symbol, before, after = word[position], word[:position][-1:], word[position + 1 :]
    if before.isalpha() and after[:1].isalpha():
        if _may_be_inside(word, position):
            return None
        return _ODD if symbol in _APOSTROPHES else _IMPOSSIBLE
    if before.isalpha():
        if symbol == "º":
            return None if before in "nN" else _ODD
        if symbol == "…":
            return _ODD if word[0].isupper() else None
        if symbol in "ª²³":
            return None if position <= 2 else _ODD
        return None if symbol in _ENDINGS else _ODD
    if after[:1].isalpha():
        if symbol in _NEVER_BEFORE_LETTERS:
            return _IMPOSSIBLE
        starts = _BEGINNINGS.get(symbol)
        return None if starts is not None and after.startswith(starts) else _ODD
    return _ODD if symbol in (_NEVER_ALONE if len(word) == 1 else _NEVER_TOGETHER) else None


def _may_be_inside(word: str, position: int) -> bool:
    """Return whether a symbol may stand between two letters: in ``D’Angelo``, ``MªJosé``, ``Paral·lel``."""
    symbol, before, after = word[position], word[position - 1], word[position + 1]
    if symbol in _APOSTROPHES:
        is_and = symbol + "n" + symbol in word[max(0, position - 2) : position + 3]  # rock’n’roll
        return position <= 2 or after in "st" or before == "l" or after.isupper() or is_and
    if symbol == "·":
        return before in "lL" and after in "lL"
    if symbol in "ªº":
        return before.isupper() and after.isupper()
    return symbol in "–—…" and after.isupper()
