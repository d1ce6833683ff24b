"""The README that a package index shows: no link to a file is left, and everything else is."""

from __future__ import annotations

import check_dist
import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from index_readme import without_relative_links


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("See [the guide](docs/a.md).", "See the guide (`docs/a.md`)."),
        ("[a](docs/a.md#part) and [b](../b.md)", "a (`docs/a.md`) and b (`../b.md`)"),
        ("[above](#part)", "above"),
        ("![A flow](docs/images/flow.svg)", "A flow"),
        ("[`code`](x.py)", "`code` (`x.py`)"),
        ("[Cleanlist](https://www.cleanlist.ai)", "[Cleanlist](https://www.cleanlist.ai)"),
        ("![badge](https://a.example/b.svg)", "![badge](https://a.example/b.svg)"),
        ("| [a](a.md) | [b](http://b.example) |", "| a (`a.md`) | [b](http://b.example) |"),
        ("```\n[a](a.md)\n```\n[b](b.md)", "```\n[a](a.md)\n```\nb (`b.md`)"),
    ],
)
def test_links(markdown, shown):
    assert without_relative_links(markdown) == shown


def test_what_is_built_has_the_readme_without_links_to_files():
    readme = (check_dist.ROOT / "README.md").read_text(encoding="utf-8")
    metadata = ProjectMetadata(str(check_dist.ROOT), PluginManager())
    shown = metadata.core.readme
    assert metadata.core.readme_content_type == "text/markdown"
    assert shown == without_relative_links(readme)
    assert check_dist.description_problems(f"Name: x\n\n{shown}") == []
    assert check_dist.description_problems(f"Name: x\n\n{readme}") != []
    assert shown.count("\n") == readme.count("\n")
