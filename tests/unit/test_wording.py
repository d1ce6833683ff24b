from __future__ import annotations

import pytest

from airflow_provider_cleanlist.wording import counted


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0, "page"), "0 pages"),
        ((1, "page"), "1 page"),
        ((2, "page"), "2 pages"),
        ((1500, "batch", "batches"), "1,500 batches"),
        ((1, "batch", "batches"), "1 batch"),
    ],
)
def test_a_number_with_its_noun(words: tuple[int, str], text: str) -> None:
    assert counted(*words) == text
