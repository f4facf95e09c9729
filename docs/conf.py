"""How the documentation is built: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_provider_ollang import __version__
from airflow_provider_ollang.sandbox.cli import with_tables

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "airflow-provider-ollang"
version = release = __version__
copyright = "the authors of airflow-provider-ollang"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"airflow-provider-ollang {__version__}"
html_show_sourcelink = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# As GitHub renders them, too.
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "separated"
# Docstrings name methods and classes of other modules by their last part.
default_role = "py:obj"
nitpicky = False


def setup(app: Sphinx) -> None:
    """Fill the tables of the sandbox's page in from its code, which is the only list of its options."""
    app.connect("source-read", _fill_tables)


def _fill_tables(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == "sandbox":
        source[0] = with_tables(source[0])
