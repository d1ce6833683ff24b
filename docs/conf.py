"""The documentation as a site: ``.venv/bin/nox -s docs`` builds it into ``build/docs``.

Everything the pages need is in the build: no script, font or style comes from another host.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_provider_cleanlist.sandbox.server  # noqa: F401  # before autodoc touches pydantic's annotations
from airflow_provider_cleanlist import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "airflow-provider-cleanlist"
author = "The airflow-provider-cleanlist maintainers"
project_copyright = "The airflow-provider-cleanlist maintainers, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
language = "en"
highlight_language = "none"  # blocks without a language show what programs write

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "tasklist"]
myst_heading_anchors = 4

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(Path(__file__).parent / "_static" / "search_order.js")
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0f766e", "color-brand-content": "#0f766e"},
    "dark_css_variables": {"color-brand-primary": "#5eead4", "color-brand-content": "#5eead4"},
}

OUTSIDE = {"README.md": "/index.md", "CHANGELOG.md": "/changelog.md", "CONTRIBUTING.md": "/contributing.md"}


def lead_outside_links(app: Sphinx, page: str, source: list[str]) -> None:
    """Make links that leave ``docs/``, as GitHub wants them, lead to a page of the site or to a download."""
    source[0] = re.sub(
        r"\]\((?P<up>(?:\.\./)+)(?P<file>[A-Z]+\.md|(?:benchmarks|dags_examples|scripts|tests)/[^)#]+)\)",
        lambda link: f"]({OUTSIDE.get(link['file'], 'path:' + link['up'] + link['file'])})",
        source[0],
    )


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("source-read", lead_outside_links)
