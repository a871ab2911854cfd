"""How the pages become a site (`./run docs`). They stay plain Markdown, so that they read as well where they lie."""

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
HOME = "https://github.com/blackbox-vram/blackbox/blob/main/"
LINK = re.compile(r"\]\(([\w./-]+)\.md\)")

project = "Blackbox"
release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]
extensions = ["myst_parser"]
exclude_patterns = ["conf.py"]
root_doc = "index"
nitpicky = True
smartquotes = False  # two dashes begin a flag

myst_heading_anchors = 4
myst_enable_extensions: list[str] = []

html_theme = "furo"
html_title = f"Blackbox {release}"
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []


def setup(app: Sphinx) -> None:
    """Pages are in the menu as the index pages list them; links out of docs/ lead to the project's home."""
    app.connect("source-read", _read)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    text = _with_links_home(app.srcdir / Path(name).parent, source[0])
    source[0] = text + "".join(_menus(text)) if name.rpartition("/")[2] == "index" else text


def _with_links_home(folder: Path, text: str) -> str:
    """Links to files of the project that are not pages: they are read where they lie."""

    def home(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if HERE in target.parents and target.suffix in (".md", ".svg"):
            return match[0]
        if not target.exists():
            raise FileNotFoundError(f"{match[1]}, linked to in {folder}")
        return f"]({HOME}{target.relative_to(HERE.parent)}{match[2] or ''})"

    return re.sub(r"\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)", home, text)


def _menus(text: str) -> list[str]:
    """A hidden table of contents for each part of an index page, of the pages that the part lists."""
    caption, *parts = re.split(r"^## (.*)$", text, flags=re.M)
    titled = [("", caption), *zip(parts[::2], parts[1::2], strict=True)]
    menus: list[str] = []
    for title, part in titled:
        pages = dict.fromkeys(LINK.findall(part))
        if pages:
            lines = ["```{toctree}", ":hidden:", *([f":caption: {title}"] if title else []), "", *pages, "```"]
            menus.append("\n\n" + "\n".join(lines) + "\n")
    return menus
