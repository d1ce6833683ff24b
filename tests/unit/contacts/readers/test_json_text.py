"""JSON arrays and JSON lines."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.errors import ColumnError, MalformedFileError
from airflow_provider_cleanlist.contacts.readers import json_text
from airflow_provider_cleanlist.contacts.readers.json_text import flattened, read_json_array, read_json_lines

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
objects = st.lists(
    st.dictionaries(
        st.text(max_size=3),
        st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=4),
        max_size=3,
    )
)


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@relaxed
@given(objects, st.integers(1, 40), st.sampled_from([None, 2]), st.booleans())
def test_any_array_comes_back_whatever_the_pieces(values, size, indent, ascii_only):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    assert list(read_json_array(pieces(f" \n{text}\r\n", size))) == list(enumerate(values, start=1))


ROWS = [{"Name": "Mara"}, {"Name": "Teo"}]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    "answer",
    [
        {"results": ROWS},
        {
            "paging": {"next": {"after": "2"}},
            "total": 1234567,
            "ids": [1, 2],
            "data": ROWS,
            "done": True,
            "next": None,
        },
        {"data": {"people": {"nodes": ROWS}}, "rate": -1.5e10},
        {"breadcrumbs": [{"label": "x"}], "contacts": [], "people": ROWS},
        {"users": ROWS},
        {"meta": {"count": 2}, "users": ROWS, "groups": [{"label": "x"}], "next": None},
        {"team": {"label": "x", "whoever": ROWS}},
    ],
)
def test_the_array_inside_the_answer_of_an_api_is_read(answer, size):
    for indent in (None, 2):
        text = json.dumps(answer, indent=indent)
        assert list(read_json_array(pieces(text, size), lambda names: "Name" in names)) == [
            (1, ROWS[0]),
            (2, ROWS[1]),
        ]


def test_the_first_objects_of_an_array_tell_its_columns():
    rows = [{"a": 1}, {"Name": "Mara"}, *[{"b": 2}] * 50]
    found = list(read_json_array([json.dumps({"x": rows})], lambda names: "Name" in names))
    assert found == list(enumerate(rows, start=1))


def test_an_answer_without_usable_columns_shows_them():
    answer = {"x": [1], "y": [{"a": {"b": 1}}, {"c": 2}], "z": [{"d": 1}]}
    assert list(read_json_array([json.dumps(answer)], lambda names: False)) == [
        (1, {"a.b": 1}),
        (2, {"c": 2}),
    ]


def test_an_answer_without_results():
    assert list(read_json_array(['{"results": [], "total": 0}'])) == []


def test_two_arrays_of_contacts_are_an_error():
    with pytest.raises(
        MalformedFileError, match=r"several arrays of contacts: 'contacts' and 'data\.people'"
    ):
        list(read_json_array([json.dumps({"contacts": ROWS, "data": {"people": ROWS}})]))


PEOPLE = [{"first_name": "Bo", "last_name": "Lind", "company": "Larch"}]


def has_names(columns):
    return any("first_name" in column for column in columns)


@pytest.mark.parametrize(
    "answer",
    [
        {"contacts": [{"name": "Ada Roe", "company": "Northfold"}], "owners": PEOPLE},
        {"included": PEOPLE, "data": [{"attributes": {"name": "Ada Roe", "email": "ada@northfold.example"}}]},
        {"first_name": "Ada", "last_name": "Roe", "company": "Northfold", "colleagues": PEOPLE},
        {"similar_people": PEOPLE, "person": {"first_name": "Ada", "last_name": "Roe"}},
    ],
)
def test_others_are_not_read_instead_of_the_contacts(answer):
    with pytest.raises(MalformedFileError, match=r"names people outside of .* file of its own") as caught:
        list(read_json_array([json.dumps(answer)], has_names))
    assert "Roe" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"contacts": PEOPLE, "accounts": [{"name": "Larch", "website": "larch.example"}]},
        {"url": "https://api.example", "user": {"first_name": "Ada", "last_name": "Roe"}, "data": PEOPLE},
    ],
)
def test_what_else_an_answer_holds_does_not_count(answer):
    assert list(read_json_array([json.dumps(answer)], has_names)) == [(1, PEOPLE[0])]


@pytest.mark.parametrize("keys", [("SECRET A", "SECRET B"), ("contacts", "SECRET")])
def test_keys_that_may_be_names_of_people_are_not_shown(keys):
    with pytest.raises(MalformedFileError, match=r"the array at line 1\. Put the one to read") as caught:
        list(read_json_array([json.dumps(dict.fromkeys(keys, ROWS))]))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{"first_name": "SECRET", "company": {"name": "x"}}', '{"x": [1, 2]}', "{}", '"SECRET"']
)
def test_an_object_without_array(text):
    with pytest.raises(MalformedFileError, match=r"does not hold a JSON array of objects.*\.jsonl") as caught:
        list(read_json_array([text]))
    assert "SECRET" not in str(caught.value)


def test_nested_keys_are_joined_by_dots():
    record = {"Account": {"Name": "Thistle", "Owner": {"Name": "Teo"}}, "Name": "Mara", "tags": [{"a": 1}]}
    flat = {"Account.Name": "Thistle", "Account.Owner.Name": "Teo", "Name": "Mara", "tags": [{"a": 1}]}
    assert list(read_json_lines([json.dumps(record)])) == [(1, flat)]
    assert list(read_json_array([json.dumps([record])])) == [(1, flat)]


def test_very_deep_and_clashing_keys():
    deep: dict[str, object] = {"end": 1}
    for _ in range(9):
        deep = {"x": deep}
    assert list(flattened(deep)) == ["x.x.x.x.x.x"]
    assert flattened({"a.b": 1, "a": {"b": 2, "c": 3}}) == {"a.b": 1, "a.c": 3}


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 4301])
def test_a_number_of_very_many_digits_is_an_error(number):
    text = f'{{"a": 1}}\n{{"id": {number}}}'
    with pytest.raises(
        MalformedFileError, match=r"^Line 2 holds a number of more than 4,300 digits\.$"
    ) as caught:
        list(read_json_lines(text.splitlines()))
    assert caught.value.__cause__ is None
    with pytest.raises(MalformedFileError, match=r"^Line 2 holds a number"):
        list(read_json_array([f"[{text.replace(chr(10), ',' + chr(10))}]"]))


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', r"array of objects.*\.jsonl"),
        ("SECRET", "array of objects"),
        (" \n ", "array of objects"),
        ('[\n{"a": 1},\n{"SECRET": }]', "Line 3: not JSON"),
        ('[\n{"a": 1},\n{"SECRET": "x', "Line 3: not JSON"),
        ('[{"a": 1},\n\n{"a": 2}', "Line 3: not JSON: expected ','"),
        ('[{"a": 1} {"a": 2}]', "expected ','"),
        ('[{"a": 1},]', "Line 1: not JSON"),
        ('[{"a": 1}, "SECRET"]', "Item 2 of the array is not a JSON object but a str"),
        ('[{"a": 1}, [1]]', "but a list"),
        ('[{"a": 1}]\n[]', "Line 2: there is text after"),
        ("[" + '{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_broken_arrays(text, message, size):
    if len(text) > 1000:
        size = len(text)
    with pytest.raises(MalformedFileError, match=message) as caught:
        list(read_json_array(pieces(text, size)))
    assert "SECRET" not in str(caught.value)


def test_an_object_that_never_ends_is_an_error(monkeypatch):
    monkeypatch.setattr(json_text, "MAX_OBJECT_CHARACTERS", 1000)
    endless = (piece for piece in ['[{"a": "', *["x" * 100] * 50])
    with pytest.raises(MalformedFileError, match="Line 1"):
        list(read_json_array(endless))
    assert next(endless, None) is not None


class CountingDecoder(json.JSONDecoder):
    """A decoder that counts the characters it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = 0

    def raw_decode(self, text: str, position: int = 0) -> tuple[Any, int]:
        try:
            value, end = super().raw_decode(text, position)
        except json.JSONDecodeError:
            self.characters += len(text) - position
            raise
        self.characters += end - position
        return value, end


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("[", "]"),
        ('{"data":[', "]}"),
        ('{"other":', ',"data":[{"x":1}]}'),
        ('{"data":[{"x":1}],"other":', "}"),
    ],
)
@pytest.mark.parametrize("value", ['{"x":[' + "[]," * 30_000 + "1]}", '{"x":"' + "y" * 90_000 + '"}'])
def test_a_value_of_many_pieces_is_decoded_in_linear_time(start, end, value, monkeypatch):
    decoder = CountingDecoder()
    monkeypatch.setattr(json_text, "_DECODER", decoder)
    text = start + value + end
    rows = [row for _, row in read_json_array(pieces(text, 100))]
    assert rows == [{"x": 1} if "other" in text else json.loads(value)]
    assert decoder.characters < 6 * len(text)


def test_a_number_of_many_pieces_is_decoded_in_linear_time_and_ends(monkeypatch):
    decoder = CountingDecoder()
    monkeypatch.setattr(json_text, "_DECODER", decoder)
    text = '{"rate":0.' + "0" * 90_000 + '1,"data":[{"x":1}]}'
    assert list(read_json_array(pieces(text, 100))) == [(1, {"x": 1})]
    assert decoder.characters < 6 * len(text)
    monkeypatch.setattr(json_text, "MAX_OBJECT_CHARACTERS", 1000)
    endless = (piece for piece in ['{"rate":0.', *["0" * 100] * 50])
    with pytest.raises(MalformedFileError, match="Line 1"):
        list(read_json_array(endless))
    assert next(endless, None) is not None


def test_lines_are_numbered_as_in_the_file():
    lines = ['{"a": 1}\n', "\n", ' {"a": "ü\\u00fc"} \r\n']
    assert list(read_json_lines(lines)) == [(1, {"a": 1}), (3, {"a": "üü"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"SECRET": }', r"Line 2 is not JSON: .*\(column 12\)"),
        ("SECRET", "Line 2 is not JSON"),
        ("[1]", "Line 2 is not a JSON object but a list"),
        ('"SECRET"', "but a str"),
        ('{"a": 1} {"a": 2}', "Line 2 is not JSON"),
        ('{"a":' * 100_000, "Line 2 is nested too deeply"),
    ],
)
def test_broken_lines(line, message):
    with pytest.raises(MalformedFileError, match=message) as caught:
        list(read_json_lines(['{"a": 1}\n', line]))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("levels", [1, 4])
def test_names_joined_by_dots_take_no_more_than_names_of_columns(levels):
    record: dict[str, object] = {f"{n:x}": 0 for n in range(1000)}
    for _ in range(levels):
        record = {"K" * 1000: record}
    with pytest.raises(ColumnError, match=r"joined by dots, more than 262,144 characters\."):
        flattened(record)
    assert len(flattened({"K" * 250: {f"{n:x}": 0 for n in range(1000)}})) == 1000


def test_names_outside_of_the_array_are_kept_once_and_short():
    own = ",".join(['"":0'] * 2000)
    text = f'{{"{"K" * 100_000}":{{{own}}},"data":[{{"a":1}}]}}'
    tracemalloc.start()
    try:
        assert list(read_json_array(pieces(text, 5000))) == [(1, {"a": 1})]
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_the_look_at_an_array_holds_few_large_objects(monkeypatch):
    monkeypatch.setattr(json_text, "LOOK_CHARACTERS", 1000)
    read = []
    texts = ['{"data":[', *[f'{{"a": "{"x" * 600}"}},' for _ in range(9)], '{"a": "end"}]}']
    rows = read_json_array(text for text in texts if not read.append(text))
    assert next(rows)[0] == 1
    assert len(read) < 5
    assert [number for number, _ in rows] == list(range(2, 11))
