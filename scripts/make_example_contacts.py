"""Write the example data: contact exports as CRMs write them, of people, companies and URLs that do not exist.

    python scripts/make_example_contacts.py [FOLDER]

Writes ``hubspot_contacts.csv`` and ``salesforce_leads.csv`` into ``dags_examples/data`` or the given folder. The
same files come out every time: a test compares them byte for byte. Every domain ends in ``.example``, every LinkedIn
name in ``-example``; there are no phone numbers.
"""

# ruff: noqa: RUF001  # names and typography of many languages

from __future__ import annotations

import csv
import io
import random
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

PROFILE = "https://www.linkedin.com/in/"
DATA = Path(__file__).resolve().parents[1] / "dags_examples" / "data"
HUBSPOT_PEOPLE, SALESFORCE_PEOPLE = 868, 132


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text; an underscore stands for a space."""
    return tuple(word.replace("_", " ") for word in text.split())


# First and last names by language; after "=", how LinkedIn spells a name in a URL that is not the name itself.
NAMES = (
    (
        words("Mara Teo Ines Oskar Freya Linus Edda Jonas Wilma Hugo Siri Nils Alma Edgar Tova Ivar"),
        words("Okafor Lindqvist Vauban Halvorsen Brandt Aldermoor Westerby Kestrel Thornquist Ashdown"),
    ),
    (
        words("Jürgen Björn Käthe Günther Jörg Bärbel Rüdiger Hannelore Zoë Uğur Ayşe"),
        words("Müller Groß Schäfer Böttcher Weiß Grünwald Jäger Köhler Krüger Öztürk von_der_Aue"),
    ),
    (
        words("Łukasz Małgorzata Željko Đorđe Søren Åsa Þóra Chloé Siobhán Inês Jean-Luc"),
        words("Wiśniewski Dvořák O'Neill Østergaard Åkesson Fernández Gonçalves Ní_Bhriain van_der_Berg"),
    ),
    (
        words("Ольга=olga Дмитрий=dmitry Світлана=svitlana Юрій=yurii Наталья=natalya Борис=boris"),
        words("Петрова=petrova Шевченко=shevchenko Волков=volkov Коваленко=kovalenko Лебедева=lebedeva"),
    ),
    (
        words("葵=aoi 陽菜=hina 蓮=ren 結衣=yui 大翔=hiroto"),
        words("小林=kobayashi 佐藤=sato 高橋=takahashi 渡辺=watanabe"),
    ),
    (words("伟=wei 丽=li 秀英=xiuying 强=qiang"), words("王=wang 陈=chen 欧阳=ouyang 赵=zhao")),
    (words("민준=minjun 서연=seoyeon 지우=jiwoo"), words("김=kim 박=park 최=choi")),
    (words("أمينة=amina يوسف=youssef ليلى=layla"), words("حداد=haddad منصور=mansour")),
    (words("प्रिया=priya अर्जुन=arjun मीरा=meera"), words("शर्मा=sharma पटेल=patel")),
)
COMPANY_STARTS = words(
    "Northfold Harborlight Quillon Brindle Oxbow Tallgrass Larkspur Copperfen Silverbirch Mistral Juniper Cobaltline "
    "Fernhollow Redwater Bluefinch Stonebridge Windrose Palehorse Greyfriar Sunmeadow"
)
COMPANY_KINDS = words("Analytics Freight Works Foods Robotics Health Energy Textiles Media Labs")
COMPANY_FORMS = (" GmbH", " Inc.", ", Inc.", " Ltd", " S.A.", "", "", " AB")
ODD_COMPANIES = (
    ('Müller "Söhne" & Co. KG', "mueller-soehne"),
    ("株式会社サンプル", "sampuru"),
    ("ООО «Ромашка»", "romashka"),
    ("Moonshot Lab 🚀", "moonshot-lab"),
    ("Café Blümchen\nFiliale Nord", "cafe-bluemchen"),
    ("O'Hara; Sons, Partners", "ohara-sons"),
    ("L’Étoile d’Été", "letoile"),
    ("Ümlaut Übersetzungen", "ümlaut"),
)
TITLES = (
    "Head of Operations",
    'VP "Special Projects"',
    "Directrice RH",
    "Leiter Einkauf",
    "Data Engineer, Platform",
    "CTO 🛠️",
    "",
)
WESTERN_TITLES = ("Geschäftsführer", "Directrice générale", "Buyer – “Cafés”", "Head of Sales", "")
COUNTRIES = ("Germany", "Sweden", "Japan", "Ukraine", "Poland", "France", "United States", "Türkiye", "")
NOTES = (
    "",
    "",
    "Met at the trade fair.\nWants a call in Q3; prefers e-mail.",
    'Said: "send me the deck", then went quiet',
    "Überraschend nett, hat Budget 👍",
)
OWNERS = ("Ada Quist", "Bo Ferrant", "Cleo Marsh")
T = TypeVar("T")


@dataclass(frozen=True)
class Person:
    """A row of an export before it is written."""

    first: str = ""
    last: str = ""
    company: str = ""
    website: str = ""
    linkedin: str = ""
    email: str = ""
    extra_cells: int = 0


class Inventor:
    """Invents people, each once.

    Only ``Random.random`` is used: its sequence is the same in every Python version.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0
        self._seen: set[tuple[str, str, str]] = set()

    def chance(self, probability: float) -> bool:
        """Tell whether something that likely happens."""
        return self._random.random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[int(self._random.random() * len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in another order."""
        return [
            item
            for _, item in sorted(((self._random.random(), item) for item in items), key=lambda pair: pair[0])
        ]

    def person(self, *, by_linkedin: bool) -> Person:
        """Invent somebody who can be looked up, by LinkedIn URL or by name and company."""
        self._count += 1
        company, domain = self._company()
        firsts, lasts = self.pick(NAMES)
        (first, first_slug), (last, last_slug) = _spelled(self.pick(firsts)), _spelled(self.pick(lasts))
        if (first, last, domain) in self._seen:
            return self.person(by_linkedin=by_linkedin)
        self._seen.add((first, last, domain))
        slug = f"{first_slug}-{last_slug}-{self._count}-example"
        has_website = self.chance(0.7)
        return Person(
            first=first,
            last=last,
            company=company if self.chance(0.9) or not has_website else "",
            website=self._website(domain) if has_website else "",
            linkedin=f"{PROFILE}{quote(slug) if self.chance(0.5) else slug}" if by_linkedin else "",
            email=f"{slug.removesuffix('-example')}@{domain}" if slug.isascii() and self.chance(0.4) else "",
        )

    def _company(self) -> tuple[str, str]:
        if self.chance(0.08):
            company, label = self.pick(ODD_COMPANIES)
            return company, f"{label}.example"
        start, kind = self.pick(COMPANY_STARTS), self.pick(COMPANY_KINDS)
        return f"{start} {kind}{self.pick(COMPANY_FORMS)}", f"{start}-{kind}.example".lower()

    def _website(self, domain: str) -> str:
        shapes = (
            "{}",
            "www.{}",
            "https://www.{}/",
            "http://{}/about?utm_source=crm",
            "info@{}",
            "{}/careers",
        )
        return self.pick(shapes).format(domain.upper() if self.chance(0.1) else domain)

    def respelled(self, person: Person) -> Person:
        """Write somebody down once more, differently."""
        if person.linkedin.startswith(PROFILE):
            tails = (
                "/",
                "/?trk=people-guest",
                "?originalSubdomain=de",
                "/en",
                "#about",
                "/details/experience/",
            )
            hosts = ("linkedin.com", "www.linkedin.com", "de.linkedin.com", "m.linkedin.com", "LinkedIn.com")
            slug = person.linkedin.rpartition("/")[2].replace("-", "%2D" if self.chance(0.2) else "-")
            scheme = self.pick(("https://", "http://", ""))
            url = f"{scheme}{self.pick(hosts)}/in/{_shuffled_case(slug, self)}{self.pick(tails)}"
            return replace(person, linkedin=url, first=person.first.upper(), website="", email="")
        first = self.pick(
            (person.first.upper(), f" {person.first}\u00a0", unicodedata.normalize("NFD", person.first))
        )
        return replace(person, first=first, last=f"{person.last.lower()} ", email="")


def _spelled(entry: str) -> tuple[str, str]:
    """Return a name as written and as in a URL."""
    written, _, slug = entry.partition("=")
    return written, slug or written.lower().replace("'", "").replace(" ", "-")


def _shuffled_case(text: str, inventor: Inventor) -> str:
    """Write some ASCII letters in capitals, but none of a percent-encoded character."""
    if "%" in text or not text.isascii():
        return text
    return "".join(letter.upper() if inventor.chance(0.3) else letter for letter in text)


def unusable(inventor: Inventor, kinds: Sequence[tuple[int, Callable[[Person], Person]]]) -> list[Person]:
    """Return people of whom something essential is missing, so many of each kind."""
    return [spoil(inventor.person(by_linkedin=False)) for count, spoil in kinds for _ in range(count)]


SPOILED: Sequence[tuple[int, Callable[[Person], Person]]] = (
    (6, lambda person: Person(email="info@tallgrass-foods.example")),
    (14, lambda person: replace(person, company="", website="")),
    (11, lambda person: replace(person, first="")),
    (5, lambda person: replace(person, last=" \u200b")),
    (9, lambda person: Person(linkedin="https://www.linkedin.com/company/northfold-example/")),
    (4, lambda person: replace(person, linkedin="n/a", company="", website="")),
    (7, lambda person: replace(person, company="", website="n/a")),
    (2, lambda person: Person(email="illegible")),
    (2, lambda person: replace(person, extra_cells=1)),
)


def hubspot_contacts() -> bytes:
    """Return the HubSpot export: UTF-8 with a byte order mark, all cells quoted."""
    inventor = Inventor(seed=2026)
    people = [inventor.person(by_linkedin=inventor.chance(0.6)) for _ in range(HUBSPOT_PEOPLE)]
    people[::40] = [replace(person, linkedin=person.linkedin or "-") for person in people[::40]]
    again = [inventor.respelled(inventor.pick(people)) for _ in range(70)]
    rows = inventor.shuffled([*people, *again, *unusable(inventor, SPOILED)])
    header = words(
        "Record_ID First_Name Last_Name Email Contact_owner Lead_Status Job_Title Company_Name Website_URL "
        "LinkedIn_URL Country/Region Create_Date Notes"
    )
    table = [list(header)]
    for number, person in enumerate(rows):
        created = f"2026-{1 + number % 9:02d}-{1 + number % 28:02d} 09:{number % 60:02d}"
        cells = [str(70_000_000_001 + 37 * number), person.first, person.last, person.email]
        cells += [inventor.pick(OWNERS), "NEW", inventor.pick(TITLES), person.company, person.website]
        cells += [person.linkedin, inventor.pick(COUNTRIES), created, inventor.pick(NOTES)]
        table.append(cells + ["shifted"] * person.extra_cells)
    for position in (100, 400, 401, 900):
        table.insert(position, [""] * len(header))
    return _written(table, delimiter=",").encode("utf-8-sig")


def salesforce_leads() -> bytes:
    """Return the Salesforce report: Windows-1252, semicolons."""
    inventor = Inventor(seed=1252)
    people: list[Person] = []
    while len(people) < SALESFORCE_PEOPLE:
        person = inventor.person(by_linkedin=inventor.chance(0.4))
        if _is_western(person):
            people.append(person)
    again = [inventor.respelled(person) for person in people[:60] if person.linkedin][:12]
    missing = [replace(person, company="", website="") for person in people if not person.linkedin][:6]
    rows = inventor.shuffled([*people, *again, *missing])
    header = words(
        "Lead_ID First_Name Last_Name Title Company_/_Account Email Website LinkedIn_Profile Lead_Source Owner"
    )
    table = [list(header)]
    for number, person in enumerate(rows):
        cells = [f"00Q5e00000{number:05d}AAA", person.first, person.last, inventor.pick(WESTERN_TITLES)]
        cells += [person.company, person.email, person.website, person.linkedin]
        cells += [inventor.pick(("Web", "Trade Show", "Partner")), inventor.pick(OWNERS)]
        table.append(cells)
    return _written(table, delimiter=";").encode("cp1252")


def _is_western(person: Person) -> bool:
    text = f"{person.first} {person.last} {person.company} {person.website} {person.linkedin}"
    return text.encode("cp1252", errors="ignore").decode("cp1252") == text


def _written(table: Sequence[Sequence[str]], *, delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(table)
    return text.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "hubspot_contacts.csv": hubspot_contacts,
    "salesforce_leads.csv": salesforce_leads,
}


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        (folder / name).write_bytes(make())
        print(folder / name)


if __name__ == "__main__":
    main()
