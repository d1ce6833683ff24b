"""The README for a package index, where a link to a file of the repository would lead nowhere.

hatchling runs this when it builds (``[tool.hatch.metadata.hooks.custom]``). Such a link becomes its text and the name
of the file, which the source distribution holds; an image becomes its description. Links to web addresses stay.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!https?://)(?P<file>[^)#\s]*)[^)\s]*\)")


def without_relative_links(markdown: str) -> str:
    """Return a Markdown text with the names of files instead of links to them; blocks of code stay as they are."""
    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(_plain, part) for part in parts)


def _plain(link: re.Match[str]) -> str:
    if link["image"] or not link["file"]:
        return link["text"]
    return f"{link['text']} (`{link['file']}`)"


class IndexReadme(MetadataHookInterface):
    """Sets ``readme``, which ``pyproject.toml`` therefore calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README; hatchling calls this."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_relative_links(text)}
