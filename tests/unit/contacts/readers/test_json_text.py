"""JSON arrays and JSON lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.errors import MalformedFileError
from airflow_provider_cleanlist.contacts.readers import json_text
from airflow_provider_cleanlist.contacts.readers.json_text import read_json_array, read_json_lines

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
