"""Builds what is released, and tries each piece as its users get it.

    make dist                       # into dist/: a wheel, a source distribution, three crates

* The wheel: for CPython 3.10 and later (abi3), stripped, the command inside. On Linux it is linked by zig against glibc
  2.28, so that it runs on every system of 2019 and later. Installed into a fresh environment of each Python that is
  found, where the examples of the README run.
* The source distribution: built and installed into a fresh environment, from nothing but what is in it.
* The crates: packed, and compiled from the packed files.

With --quick, only the source distribution is made, and read.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
CRATES = ["rhobasis-linalg", "rhobasis", "rhobasis-cli"]


def run(*words: object, cwd: Path = ROOT) -> str:
    print("+", *words, flush=True)
    here = str(Path(sys.executable).parent)  # where maturin looks for zig
    path = {**os.environ, "PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}
    return subprocess.run(
        [str(w) for w in words], cwd=cwd, env=path, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def maturin(verb: str, *words: object) -> Path:
    """Has maturin make a file in dist/, and returns it."""
    before = set(DIST.glob("*"))
    kept = {path: path.stat().st_mtime for path in before}
    run(sys.executable, "-m", "maturin", verb, "--out", DIST, *words, cwd=ROOT / "rhobasis-py")
    made = [path for path in DIST.glob("rhobasis-*") if kept.get(path) != path.stat().st_mtime]
    assert len(made) == 1, f"maturin {verb} made {made}"
    return made[0]


def wheel() -> Path:
    flags: list[str] = ["--release", "--strip"]
    if sys.platform == "linux":
        flags += ["--zig", "--compatibility", "manylinux_2_28"]
    path = maturin("build", *flags)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return path


def pythons() -> dict[str, str]:
    """The interpreters that there are, by version."""
    found = {}
    for version in PYTHONS:
        candidates = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
        for path in filter(None, candidates):
            ask = [str(path), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            told = subprocess.run(ask, check=False, capture_output=True, text=True)
            if told.stdout.strip() == version:
                found[version] = str(path)
                break
    return found


def examples() -> list[str]:
    """The programs in Python of the README."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def fresh(python: str, home: Path, *packages: object) -> Path:
    """The folder of commands of an environment that holds nothing else."""
    run(python, "-m", "venv", home / "venv")
    bin_ = home / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run(bin_ / "python", "-m", "pip", "install", "--quiet", *packages)
    return bin_


def tried(python: str, package: Path, whole: bool) -> None:
    """Installs it, and runs the command and, if `whole`, what the README shows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        start = time.time()
        bin_ = fresh(python, home, f"{package}[ase]")
        installed = time.time() - start
        data = home / "examples" / "data"
        shutil.copytree(ROOT / "examples" / "data", data)
        print(run(bin_ / "rhobasis", "--version").strip())
        run(bin_ / "rhobasis", "info", "examples/data/silicon.xyz.xz", cwd=home)
        for k, text in enumerate(examples() if whole else []):
            (home / f"example{k}.py").write_text(text)
            run(bin_ / "python", f"example{k}.py", cwd=home)
        print(f"{package.name} in {python}: installed in {installed:.0f} s, tried in {time.time() - start:.0f} s")


def sdist() -> Path:
    """Made, and looked at: what the sources include is there."""
    path = maturin("sdist")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for source in sorted(name for name in names if name.endswith(".rs")):
        for included in re.findall(r'include_(?:bytes|str)!\("([^"]+)"\)', (ROOT / source).read_text()):
            target = (ROOT / source).parent.joinpath(included)
            relative = Path(*target.parts[len(ROOT.parts) :])
            if "tests" not in Path(source).parts:
                assert normal(relative) in names, f"{source} includes {included}, which is not in {path.name}"
    for needed in ("LICENSE-MIT", "README.md", "pyproject.toml", "rhobasis-cli/Cargo.toml"):
        assert any(name.endswith(needed) for name in names), f"{needed} is not in {path.name}"
    return path


def normal(path: Path) -> str:
    """Without `..`, and without following links."""
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="make and read the source distribution only")
    args = parser.parse_args()
    DIST.mkdir(exist_ok=True)
    of_sources = sdist()
    if args.quick:
        print(f"{of_sources.name}: it holds what it includes")
        return
    of_wheel = wheel()
    found = pythons()
    for version in found:
        tried(found[version], of_wheel, whole=True)
    tried(sys.executable, of_sources, whole=False)
    run("cargo", "package", "--allow-dirty", *(word for crate in CRATES for word in ("-p", crate)))
    print(f"dist/ holds {of_wheel.name}, tried in Python {', '.join(found)}, and {of_sources.name}")
    print("target/package/ holds the crates")


if __name__ == "__main__":
    main()
