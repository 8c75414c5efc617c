"""Pages that nobody writes: the command line, as it describes itself; files of the repository that pages link to."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from posixpath import normpath, relpath

_LANGUAGES = {
    ".toml": "toml",
    ".py": "python",
    ".sh": "bash",
    ".rs": "rust",
    ".h": "c",
    ".c": "c",
    ".md": "",
    ".csv": "text",
}
_PICTURES = {".png", ".svg", ".jpg"}
_FENCE = re.compile(r"^\s*(`{3,})")
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_LARGEST = 100_000
"""Bytes of a file that is shown whole."""
_WIDTH = 84
"""Characters that a page has room for."""
_COMMAND = "import sys; from rhobasis._cli import main; main()"


class Pages:
    """Pages below `folder`, which is in docs/, of the repository at `root`."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder
        self.home = folder.relative_to(root).as_posix()  # docs/_generated
        self.wanted, self.made, self.written = [], set(), set()

    def write(self):
        """Makes all pages but those of the gallery, and removes pages of what is no more."""
        self.command()
        readme = self._markdown("README.md", f"{self.home}/start.md")
        self._page("start", readme.replace("# rhobasis\n", "# Start\n", 1))
        self.figures()
        for page in sorted((self.root / "docs").rglob("*.md")):
            path = page.relative_to(self.root).as_posix()
            if not path.startswith(self.home):
                self._markdown(path, path)  # for the files that it links to
        while self.wanted:
            self._file(self.wanted.pop())
        for old in ("command", "files", "pictures"):
            for file in (self.folder / old).rglob("*"):
                if file.is_file() and file not in self.written:
                    file.unlink()

    def mend(self, name, source):
        """Links of a page that is read, where they lead out of docs/."""
        path = f"docs/{name}.md"
        if not path.startswith(self.home) and (self.root / path).exists():
            source[0] = self._markdown(path, path)

    # ------------------------------------------------------------------------------------------ the command line

    def command(self):
        """A page for each verb, and one that lists them."""
        text = _help()
        verbs = re.findall(r"^  (\w+)  +(\S.*)$", text.partition("Commands:")[2].partition("Options:")[0], re.MULTILINE)
        verbs = [(verb, says) for verb, says in verbs if verb != "help"]
        for verb, _ in verbs:
            self._page(f"command/{verb}", f"# rhobasis {verb}\n\n{_fenced(_help(verb), 'text')}")
        listed = "\n".join(f"| [{verb}]({verb}.md) | {says} |" for verb, says in verbs)
        tree = "\n".join(verb for verb, _ in verbs)
        self._page(
            "command/index",
            f"# The command line\n\nEach command explains itself, as here: `rhobasis fit --help`.\n\n"
            f"| | |\n|---|---|\n{listed}\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n\n{_fenced(text, 'text')}",
        )

    # ------------------------------------------------------------------------------------------ the paper's figures

    def figures(self):
        """The figures as they were last drawn, where they are; and what they show."""
        text = [
            "# The paper's figures",
            "Each figure of [J. Chem. Phys. 155, 104106 (2021)](https://doi.org/10.1063/5.0057229) has a script, which "
            "draws it from data that you name and says which of the paper's statements hold. What was found on the "
            "data sets at hand: [the report](../figures/REPORT.md). All at once: `make figures DATA=...`.",
        ]
        for script in sorted((self.root / "figures").glob("fig[0-9].py")):
            says = script.read_text("utf-8").split('"""')[1].split("\n")[0]
            number, _, what = says.partition(":")
            text += [
                f"## {number}",
                f"{what.strip()[:1].upper()}{what.strip()[1:]} [{script.name}](../figures/{script.name})",
            ]
            for picture in sorted((self.root / "figures" / "pictures").glob(f"{script.stem}*.png")):
                self._copy(picture, f"pictures/{picture.name}")
                text.append(f"![{number}](pictures/{picture.name})")
        self._page("figures", self._mended("\n\n".join(text) + "\n", "docs/figures.md", f"{self.home}/figures.md"))

    # ------------------------------------------------------------------------------------------ files of the repository

    def _markdown(self, path, page):
        return self._mended((self.root / path).read_text("utf-8"), path, page)

    def _mended(self, text, path, page):
        """Markdown of the file `path`, to be shown as `page`: links lead to pages that are there."""
        lines, fence = text.split("\n"), ""
        for k, line in enumerate(lines):
            if mark := _FENCE.match(line):
                fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
            elif not fence:
                lines[k] = _LINK.sub(lambda found: self._target(found[1], path, page), line)
        return "\n".join(lines)

    def _target(self, link, path, page):
        """Where a link of the file `path`, shown as `page`, leads to."""
        target, mark, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:") or not target:
            return link
        there = normpath(f"{path}/../{target}")
        if not (self.root / there).exists():
            return link  # Sphinx says what is wrong
        if there == "README.md":
            shown = f"{self.home}/start.md"
        elif there == "docs/gallery":
            shown = f"{self.home}/gallery/index.rst"
        elif there.startswith("docs/"):
            shown = f"{there}/index.md" if (self.root / there).is_dir() else there
        else:
            self._want(there)
            shown = self._place(there)
        return relpath(shown, page.rpartition("/")[0]) + mark + anchor

    def _place(self, path):
        if (self.root / path).is_dir():
            return f"{self.home}/files/{path}/index.md"
        if Path(path).suffix in _PICTURES:
            return f"{self.home}/files/{path}"
        return f"{self.home}/files/{path}" if path.endswith(".md") else f"{self.home}/files/{path}.md"

    def _want(self, path):
        if path not in self.made:
            self.made.add(path)
            self.wanted.append(path)

    def _file(self, path):
        """A page that shows a file, or lists a folder; of a picture a copy."""
        page = self._place(path)
        source = self.root / path
        if source.suffix in _PICTURES:
            return self._copy(source, page.removeprefix(f"{self.home}/"))
        if source.is_dir():
            text = f"# {path}\n\n" + "\n".join(f"* {self._entry(child, page)}" for child in _children(source)) + "\n"
        elif path.endswith(".md"):
            text = self._markdown(path, page)
        elif _is_shown(source):
            text = f"# {path}\n\n{_fenced(source.read_text('utf-8'), _LANGUAGES[source.suffix])}"
        else:
            text = f"# {path}\n\nThis file, of {source.stat().st_size} bytes, is in the repository.\n"
        self._page(page.removeprefix(f"{self.home}/").removesuffix(".md"), f"---\norphan: true\n---\n\n{text}")

    def _entry(self, child, page):
        path = child.relative_to(self.root).as_posix()
        if child.is_dir() or not _is_shown(child):
            return f"`{child.name}{'/' if child.is_dir() else ''}`"
        self._want(path)
        return f"[{child.name}]({relpath(self._place(path), page.rpartition('/')[0])})"

    def _copy(self, file, name):
        copied = self.folder / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copied)
        self.written.add(copied)

    def _page(self, name, text):
        """Writes a page, unless it stands there already: Sphinx reads anew what is newer."""
        file = self.folder / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        self.written.add(file)
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def _children(folder):
    return sorted(child for child in Path(folder).iterdir() if child.name[0] not in "._")


def _is_shown(file):
    return file.suffix in _LANGUAGES and file.stat().st_size <= _LARGEST


def _fenced(text, language):
    return f"````{language}\n{text.rstrip()}\n````\n"


def _help(*verb):
    """What the command says of itself; it is that of the Python package."""
    said = subprocess.run([sys.executable, "-c", _COMMAND, *verb, "--help"], capture_output=True, text=True, check=True)
    return "\n".join(map(_wrapped, said.stdout.split("\n")))


def _wrapped(line):
    """A line that is too long for a page, in several; examples are left as they are."""
    indent = len(line) - len(line.lstrip())
    if len(line) <= _WIDTH or line.lstrip().startswith("rhobasis "):
        return line
    return "\n".join(textwrap.wrap(line, _WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False))
