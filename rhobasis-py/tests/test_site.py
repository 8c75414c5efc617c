"""What the documentation site (`make site`) makes of pages and docstrings, and that links lead somewhere."""

import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("how-to/*.md"))]


@pytest.fixture
def modules(monkeypatch):
    """The modules beside conf.py."""
    monkeypatch.syspath_prepend(str(DOCS))
    import docstrings
    import pages

    yield docstrings, pages
    for name in ("docstrings", "pages"):
        sys.modules.pop(name)


def text_of(page):
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        target, _, place = link.partition("#")
        if "://" in link or "_generated" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), link
        if place:
            headings = re.findall(r"^#+ (.*)$", text_of(file), re.MULTILINE)
            assert place in map(anchor, headings), link


def test_every_page_of_the_docs_is_in_a_table_of_contents():
    for folder in (DOCS, DOCS / "how-to"):
        tables = "\n".join(re.findall(r"```{toctree}\n(.*?)```", (folder / "index.md").read_text("utf-8"), re.DOTALL))
        listed = {re.sub(r".*<(.*)>", r"\1", line) for line in tables.splitlines()}
        pages = {page.stem for page in folder.glob("*.md")} - {"index"}
        assert pages <= listed, pages - listed


def test_links_out_of_the_docs_lead_to_pages_that_show_the_files(modules, tmp_path):
    _, pages = modules
    for name, text in {
        "docs/how-to/a.md": "[b](../b.md#x) [c](../../data/c.toml) [all](../../data/) ![e](../../data/e.png)\n"
        "```\n[no](../../data/c.toml)\n```\n",
        "docs/b.md": "",
        "data/c.toml": "x = 1\n",
        "data/d.bin": "",
        "data/e.png": "picture",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    made = pages.Pages(tmp_path, tmp_path / "docs" / "_generated")
    source = [(tmp_path / "docs/how-to/a.md").read_text()]
    made.mend("how-to/a", source)
    links, _, code = source[0].partition("\n")
    files = "../_generated/files/data"
    assert links == f"[b](../b.md#x) [c]({files}/c.toml.md) [all]({files}/index.md) ![e]({files}/e.png)"
    assert "[no](../../data/c.toml)" in code
    while made.wanted:
        made._file(made.wanted.pop())
    files = tmp_path / "docs/_generated/files/data"
    assert (files / "e.png").read_text() == "picture"
    assert "x = 1" in (files / "c.toml.md").read_text()
    assert "* [c.toml](c.toml.md)\n* `d.bin`" in (files / "index.md").read_text()


def test_docstrings_become_restructured_text(modules):
    docstrings, _ = modules
    lines = [
        "Of `x_` and |c|, with alpha_ as it is:",
        "",
        "    |c| = Σ_i c_i*",
        "",
        "and more.",
        "",
        "    e = 1",
        "",
        "Parameters",
        "----------",
        "q : int",
        "    |q| kept.",
        "",
        ">>> 2 * 3",
        "6",
    ]
    assert docstrings.mend(lines) == [
        r"Of `x_` and \|c\|, with alpha\_ as it is::",
        "",
        "    |c| = Σ_i c_i*",
        "",
        "and more.",
        "",
        "::",
        "",
        "    e = 1",
        "",
        "Parameters",
        "----------",
        "q : int",
        r"    \|q\| kept.",
        "",
        ">>> 2 * 3",
        "6",
    ]
