from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.dialects.postgresql import _CopyFile


@given(
    st.lists(
        st.tuples(st.none() | st.text(st.characters(exclude_characters="\x00", codec="utf-8"))), min_size=1
    )
)
def test_the_copy_format_is_one_line_per_row_whatever_the_text(rows):
    file = _CopyFile(rows)
    data = b"".join(iter(lambda: file.read(7), b""))
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    unescaped = [
        None
        if line == r"\N"
        else line.replace(r"\\", "\0").replace(r"\t", "\t").replace(r"\n", "\n").replace(r"\r", "\r")
        for line in lines
    ]
    assert [(line and line.replace("\0", "\\"),) for line in unescaped] == rows
