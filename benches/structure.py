"""How the code hangs together: circles of imports, long files, lines of code. Python's standard library suffices.

    python benches/structure.py [ROOT]

1. Circles between files of the Rust packages, and between modules of the Python package. In Rust, a file needs another
   one if it names something of it: by `use`, by a path as `crate::density::Primitive`, or by `super::…`. A name that a
   `mod.rs` hands on (`pub use`) counts for the file that defines it, so that the table of contents of a folder ties
   nothing together; a module that is named whole counts for its own file. A call of a method that stands in another
   file than its type counts for that file, if only that file has the name. Left out are comments, `#[cfg(test)]` and
   links of documentation. In Python, imports at run time count; those for types and in functions are shown apart.
2. Files of more than 500 lines, tests included.
3. Lines of library code: without `#[cfg(test)]` items, comments, docstrings, blanks.

Ends with 1 if there is a circle, or a file of more than 500 lines.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

LONGEST = 500
CRATES = {
    "rhobasis": "rhobasis",
    "rhobasis_cli": "rhobasis-cli",
    "rhobasis_native": "rhobasis-py",
    "rhobasis_capi": "rhobasis-capi",
    "rhobasis_linalg": "rhobasis-linalg",
}
PYTHON = "rhobasis-py/python/rhobasis"

Graph = dict[str, set[str]]

# ---------------------------------------------------------------------------------------------- Rust, as text

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<string>b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*")
      | (?P<char>b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'])')""",
    re.VERBOSE | re.DOTALL,
)


def without_comments(text: str) -> str:
    """The text with comments, and the content of strings, blanked out; lines stay where they are."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        lines = "\n" * found.count("\n")
        if match.lastgroup == "comment" or match.group("comment"):
            return lines
        return '"' + (lines or "s") + '"'  # a line of a string is a line of code

    return _TOKEN.sub(blank, text)


def without_tests(text: str) -> str:
    """The text without items marked `#[cfg(test)]`, of a text without comments and strings."""
    while match := re.search(r"#\[cfg\((?:all\()?test\b[^\]]*\)\]\s*", text):
        i, depth = match.end(), 0
        while i < len(text):
            if text[i] in "{([":
                depth += 1
            elif text[i] in "})]":
                depth -= 1
                if depth == 0 and text[i] == "}":
                    break
            elif text[i] == ";" and depth == 0:
                break
            i += 1
        text = text[: match.start()] + text[i + 1 :]
    return text


def uses(tree: str) -> Iterator[tuple[list[str], str]]:
    """The paths of a `use` tree, and the names they get: `a::{b, c as d}` gives (a::b, b), (a::c, d)."""
    tree = tree.strip()
    if (brace := tree.find("{")) >= 0:
        head = [part.strip() for part in tree[:brace].split("::") if part.strip()]
        depth, start = 0, brace + 1
        for i in range(brace, len(tree)):
            depth += (tree[i] == "{") - (tree[i] == "}")
            if (tree[i] == "," and depth == 1) or depth == 0:
                if tree[start:i].strip():
                    for path, name in uses(tree[start:i]):
                        yield head + path, name
                start = i + 1
            if depth == 0:
                break
        return
    path, _, name = tree.partition(" as ")
    parts = [part.strip() for part in path.split("::") if part.strip()]
    if parts:
        if parts[-1] == "self" and len(parts) > 1:
            parts.pop()
        yield parts, name.strip() or parts[-1]


class Crate:
    """The modules of a package: which file each is, what it hands on, what it names."""

    def __init__(self, source: Path, name: str) -> None:
        self.name = name
        self.files: dict[tuple[str, ...], Path] = {}
        self.text: dict[tuple[str, ...], str] = {}
        for path in sorted(source.rglob("*.rs")):
            parts = path.relative_to(source).with_suffix("").parts
            module = parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts
            if module == () and parts[-1] == "main" and (source / "lib.rs").exists():
                continue  # a binary beside the library: nothing can need it
            self.files[module] = path
            self.text[module] = without_tests(without_comments(path.read_text()))
        # Modules that only exist for tests are files without code of the library.
        for module in [m for m in self.files if m and not self._declared(m)]:
            del self.files[module], self.text[module]
        self.names = {module: self._imports(module) for module in self.files}
        self.methods_apart = self._methods_apart()
        self.handed_on = {module: self._imports(module, r"\bpub(?:\([^)]*\))?\s+") for module in self.files}

    def _declared(self, module: tuple[str, ...]) -> bool:
        return bool(re.search(rf"\bmod\s+{module[-1]}\s*;", self.text.get(module[:-1], "")))

    def _imports(self, module: tuple[str, ...], visibility: str = "") -> dict[str, tuple[str, ...]]:
        """What names imported here stand for: absolute paths in this crate."""
        names = {}
        for match in re.finditer(visibility + r"\buse\s+([^;]+);", self.text[module]):
            for path, name in uses(match.group(1)):
                if (absolute := self.absolute(module, path)) is not None:
                    names[name if name != "_" else "::".join(path)] = absolute
        return names

    def absolute(self, module: tuple[str, ...], path: list[str]) -> tuple[str, ...] | None:
        """A path as seen from a module, from the root of the crate; None if it leads elsewhere."""
        first, rest = path[0], tuple(path[1:])
        if first in ("crate", "$crate"):
            return rest
        if first == self.name:
            return rest
        if first == "self":
            return module + rest
        if first == "super":
            up = module[:-1]
            while rest and rest[0] == "super":
                up, rest = up[:-1], rest[1:]
            return up + rest
        if (*module, first) in self.files:
            return (*module, first, *rest)
        return None

    def defining(self, path: tuple[str, ...], seen: frozenset = frozenset()) -> tuple[str, ...]:
        """The module whose file defines what a path names, re-exports followed."""
        for n in range(len(path), -1, -1):
            module, rest = path[:n], path[n:]
            if module not in self.files:
                continue
            if rest and (module, rest[0]) not in seen:
                handed_on = self.names[module].get(rest[0])
                if handed_on is not None and handed_on != path:
                    return self.defining(handed_on + rest[1:], seen | {(module, rest[0])})
            return module
        return ()

    def needs(self) -> Graph:
        """For each file, those that it names something of."""
        graph: Graph = {}
        for module, text in self.text.items():
            found = graph.setdefault(str(self.files[module]), set())
            code = re.sub(r"\buse\s+[^;]+;", "", text)
            # What is only handed on is not needed here.
            unused = {name for name in self.handed_on[module] if not re.search(rf"\b{name}\b", code)}
            needed = [path for name, path in self.names[module].items() if name not in unused]
            for match in re.finditer(r"(?<![\w:])(?:\w+|\$crate)(?:\s*::\s*\w+)+", code):
                path = re.split(r"\s*::\s*", match.group())
                if path[0] in self.names[module]:  # a module by a name imported before
                    needed.append(self.names[module][path[0]] + tuple(path[1:]))
                elif (absolute := self.absolute(module, path)) is not None:
                    needed.append(absolute)
            targets = {self.defining(path) for path in needed}
            called = set(re.findall(r"(?:\.|::)\s*(\w+)\s*(?:::\s*<[^;(]*>)?\(", code))
            targets |= {self.methods_apart[name] for name in called & self.methods_apart.keys()}
            found.update(str(self.files[target]) for target in targets - {module})
        return graph

    def _methods_apart(self) -> dict[str, tuple[str, ...]]:
        """Methods in another file than their type: which file, by names that occur in one file only."""
        found = {}
        functions = [name for text in self.text.values() for name in set(re.findall(r"\bfn (\w+)", text))]
        for module, text in self.text.items():
            for match in re.finditer(r"^impl(?:<[^{]*?>)?\s+(\w+)[^{;]*\{.*?^\}", text, re.MULTILINE | re.DOTALL):
                of_trait = re.search(r"\sfor\s", match.group().split("{")[0])
                type_name = self.names[module].get(match.group(1))
                if of_trait or type_name is None or self.defining(type_name) == module:
                    continue
                names = re.findall(r"\bfn (\w+)", match.group())
                found |= {name: module for name in names if functions.count(name) == 1}
        return found


# ---------------------------------------------------------------------------------------------- Python


def python_needs(folder: Path) -> tuple[Graph, Graph]:
    """For each module the modules that it imports when it is run; and those for types or inside of functions only."""
    modules = {path.stem: path for path in sorted(folder.glob("*.py"))}
    compiled = {path.stem for path in folder.glob("*.pyi")}  # such as _native, which imports nothing
    at_once: Graph = {}
    later: Graph = {}
    for name, path in modules.items():
        for node, deferred in _imports(ast.parse(path.read_text()), False):
            targets = []
            if isinstance(node, ast.Import):
                targets = [alias.name.removeprefix("rhobasis.") for alias in node.names]
            elif node.level == 1 and node.module:
                targets = [node.module.split(".")[0]]
            elif node.level == 1 or node.module == "rhobasis":
                targets = [a.name if a.name in modules.keys() | compiled else "__init__" for a in node.names]
            graph = later if deferred else at_once
            graph.setdefault(name, set()).update(t for t in targets if t in modules and t != name)
    return at_once, later


def _imports(tree: ast.AST, deferred: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, deferred
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node, True)
        else:
            yield from _imports(node, deferred or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


# ---------------------------------------------------------------------------------------------- circles


def components(graph: Graph) -> list[list[str]]:
    """Sets of nodes of which each leads to each other (Tarjan), those of more than one."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            members = stack[at:]
            del stack[at:]
            if len(members) > 1:
                found.append(sorted(members))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def shortest_circle(graph: Graph, start: str, among: set[str]) -> list[str]:
    """The shortest way from a node back to it."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        for other in sorted(graph.get(way[-1], set()) & among):
            if other == start:
                return [*way, start]
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def show_circles(title: str, graph: Graph) -> int:
    """Prints each tangle with the arrows inside of it, and the shortest circles; returns how many tangles."""
    tangles = components(graph)
    print(f"{title}: {len(tangles) or 'no'} tangle{'s' * (len(tangles) != 1)} of {len(graph)} files")
    for members in tangles:
        among = set(members)
        print(f"  {len(members)} files: {' '.join(members)}")
        for name in members:
            print(f"    {name} → {' '.join(sorted(graph[name] & among))}")
        circles = {frozenset(way): way for way in (shortest_circle(graph, name, among) for name in members)}
        for way in sorted(circles.values(), key=lambda way: (len(way), way)):
            print(f"    circle: {' → '.join(way)}")
    return len(tangles)


# ---------------------------------------------------------------------------------------------- lines


def rust_lines(path: Path) -> int:
    """Lines of code of a file, without `#[cfg(test)]`, comments, blanks."""
    return sum(bool(line.strip()) for line in without_tests(without_comments(path.read_text())).splitlines())


def python_lines(path: Path) -> int:
    """Lines that hold a token of code, without docstrings."""
    text = path.read_text()
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body:
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = set()
    nothing = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in nothing:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


# ---------------------------------------------------------------------------------------------- all of it


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    bad = 0
    counts = {}
    for name, package in CRATES.items():
        source = root / package / "src"
        crate = Crate(source, name)
        short = {str(path): str(path.relative_to(source).with_suffix("")) for path in crate.files.values()}
        graph = {short[a]: {short[b] for b in needed} for a, needed in crate.needs().items()}
        bad += show_circles(f"Rust, {package}/src", graph)
        counts[f"{package}/src"] = sum(rust_lines(path) for path in source.rglob("*.rs"))
    at_once, later = python_needs(root / PYTHON)
    bad += show_circles(f"Python, {PYTHON}", at_once)
    both = {name: at_once.get(name, set()) | later.get(name, set()) for name in at_once.keys() | later.keys()}
    if len(components(both)) > len(components(at_once)) or components(both) != components(at_once):
        show_circles("  with imports for types and inside of functions", both)
    counts[PYTHON] = sum(python_lines(path) for path in (root / PYTHON).glob("*.py"))

    files = [path for pattern in ("*.rs", "*.py", "*.pyi") for path in root.rglob(pattern)]
    names = [path.relative_to(root) for path in files]
    names = [name for name in names if not any(part == "target" or part.startswith(".") for part in name.parts)]
    lengths = sorted(((len((root / name).read_text().splitlines()), name) for name in names), reverse=True)
    long = [(n, name) for n, name in lengths if n > LONGEST]
    print(f"files of more than {LONGEST} lines: {len(long) or 'none'}")
    for n, name in long:
        print(f"  {n:5} {name}")

    print("lines of library code, without tests, comments, docstrings, blanks:")
    for package, n in counts.items():
        print(f"  {n:6} {package}")
    print(f"  {sum(counts.values()):6} in all")
    return int(bad + len(long) > 0)


if __name__ == "__main__":
    sys.exit(main())
