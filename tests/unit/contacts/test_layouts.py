"""Contact files as other tools write them: of each layout exactly its people come out."""

from __future__ import annotations

from pathlib import Path

import pytest
from contact_layouts import LAYOUTS, Layout, result


@pytest.mark.parametrize(
    "layout", [pytest.param(layout, id=f"{layout.kind}, {layout.name}") for layout in LAYOUTS]
)
def test_exactly_its_people_are_read(layout: Layout, tmp_path: Path) -> None:
    people, error = result(layout, tmp_path)
    assert people == list(layout.people)
    assert layout.message in error
    assert bool(error) == bool(layout.message)
