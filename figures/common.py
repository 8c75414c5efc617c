"""What the figure scripts share: arguments, data, bases fitted once, cross-validation, the claims of each figure."""

import argparse
import hashlib
import json
import os
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

import rhobasis as rb

ROOT = Path(__file__).resolve().parent.parent


def arguments(description: str, presets: dict[str, dict]) -> argparse.Namespace:
    """Parses --data, --preset, --out; the settings of the preset become attributes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", help="extended XYZ file; default: the data of the preset")
    parser.add_argument("--preset", choices=sorted(presets), default="quick")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "figures", help="folder of plot, CSV and claims")
    parser.add_argument(
        "--resume", action="store_true", help="take numbers that a run before, of the same code, has kept"
    )
    arguments = parser.parse_args()
    for name, value in presets[arguments.preset].items():
        setattr(arguments, name, value)
    arguments.data = arguments.data or find_data(arguments.default_data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if notice := getattr(arguments, "notice", None):
        print(notice)
    return arguments


def find_data(name: str) -> str:
    """A bundled file, or one of $RHOBASIS_DATA (else ../shared/data); a slice may follow the name."""
    file = name.split("@")[0]
    folders = [ROOT / "examples/data", Path(os.environ.get("RHOBASIS_DATA", ROOT / "../shared/data"))]
    for folder in folders:
        if (folder / file).exists():
            return str(folder / name)
    raise SystemExit(f"{file} is in neither of {', '.join(map(str, folders))}: set RHOBASIS_DATA, or give --data")


def need(species: str, arguments: argparse.Namespace) -> None:
    """Ends with a message where the data has no such atoms among its first frames."""
    first = rb.read(arguments.data if "@" in Path(arguments.data).name else f"{arguments.data}@:200")
    if not any(species in atoms.get_chemical_symbols() for atoms in first):
        raise SystemExit(f"{arguments.data} has no {species} atoms, which this figure is about: give other --data")


def fit(basis: rb.OptimalBasis, arguments: argparse.Namespace) -> rb.OptimalBasis:
    """The basis fitted to the data, kept in a file: a run that was stopped goes on where it was."""
    file = Path(arguments.data if os.path.exists(arguments.data) else arguments.data.rpartition("@")[0])
    parts = [repr(basis), arguments.data, file.stat().st_size, file.stat().st_mtime_ns, rb.__version__]
    path = arguments.out / "bases" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}.rho"
    if path.exists():
        return rb.load(path)
    path.parent.mkdir(exist_ok=True)
    basis.fit(arguments.data).save(path)
    return basis


def trained(potential: rb.Potential, train: rb.Frames, **sigmas: float | None) -> rb.Potential:
    """The potential fitted to energies and forces of the frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of functions that a small data set cannot tell from noise
        return potential.fit(train, stress_sigma=None, **sigmas)


class Kept:
    """Numbers that took long, in a file beside the plot: with --resume a run that was stopped goes on from there.

    They belong to a data file, a preset and a version of rhobasis.
    """

    def __init__(self, figure: str, arguments: argparse.Namespace) -> None:
        self.path = arguments.out / f"{figure}.kept.jsonl"
        file = Path(arguments.data if os.path.exists(arguments.data) else arguments.data.rpartition("@")[0])
        self.of = [arguments.preset, Path(arguments.data).name, file.stat().st_size, rb.__version__]
        if not arguments.resume:
            self.path.unlink(missing_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.numbers = {json.dumps(of): rest for of, *rest in map(json.loads, lines)}
        # Seconds that numbers took which this run did not have to compute.
        self.spared = 0.0
        arguments.kept = self

    def __call__(self, what: list, compute: Callable[[], Any]) -> Any:
        """The numbers of `what`, computed unless they are there."""
        key = json.dumps([*self.of, *what])
        if key in self.numbers:
            numbers, seconds = self.numbers[key]
            self.spared += seconds
            return numbers
        start = time.time()
        numbers = compute()
        self.numbers[key] = [numbers, 0.0]
        with self.path.open("a") as file:
            file.write(f"[{key}, {json.dumps(numbers)}, {time.time() - start:.1f}]\n")
        return numbers


class CrossValidation:
    """Frames in folds of equal size at random. Those that repeat each other (species, positions, cell) share a fold."""

    def __init__(self, data: str, folds: int, kept: Kept, seed: int = 0) -> None:
        self.kept = kept
        frames = list(rb.read(data))
        groups: dict[bytes, list[int]] = {}
        for k, atoms in enumerate(frames):
            numbers = np.concatenate([atoms.numbers, atoms.cell.array.ravel(), atoms.positions.ravel()])
            groups.setdefault((numbers.round(5) + 0.0).tobytes(), []).append(k)  # no -0
        members: list[list[int]] = [[] for _ in range(folds)]
        repeated = list(groups.values())
        for k in np.random.default_rng(seed).permutation(len(repeated)):
            min(members, key=len).extend(repeated[k])
        self.n_frames, self.n_atoms, self.n_different = len(frames), sum(map(len, frames)), len(repeated)
        self.tests = [[frames[k] for k in sorted(some)] for some in members]
        self.trains = [
            rb.Frames([atoms for k, atoms in enumerate(frames) if k not in some]) for some in map(set, members)
        ]

    def rmse(self, what: list, potential: Callable[[int], rb.Potential], **sigmas: float | None) -> tuple[float, float]:
        """RMSE of energies (meV/atom) and of force components (eV/Å) of all frames, each by the fit to other folds.

        `potential` makes that of a fold, to be fitted to it; they are kept as those of `what`.
        """
        energy, force = self.kept(["rmse", *what], lambda: self._rmse(potential, sigmas))
        return energy, force

    def _rmse(self, potential: Callable[[int], rb.Potential], sigmas: dict[str, float | None]) -> tuple[float, float]:
        energies, forces = [], []
        for fold, (train, test) in enumerate(zip(self.trains, self.tests, strict=True)):
            of_test = trained(potential(fold), train, **sigmas).predict(test)
            for atoms, energy, force in zip(test, of_test.energies, of_test.forces, strict=True):
                energies.append(1e3 * (energy - atoms.info["energy"]) / len(atoms))
                forces.append(force - atoms.arrays["forces"])
        return float(np.sqrt(np.mean(np.square(energies)))), float(np.sqrt(np.mean(np.concatenate(forces) ** 2)))


def digits(value: float, n: int = 3) -> float:
    """Rounded to `n` digits."""
    return float(f"{value:.{n}g}")


class Claims:
    """Statements of the paper about one figure, with the number found and whether each holds; then those beyond it."""

    def __init__(self, figure: str, arguments: argparse.Namespace, **settings) -> None:
        self.start, self.arguments = time.time(), arguments
        self.path = arguments.out / f"{figure}.claims.json"
        data = os.path.relpath(arguments.data, ROOT) if Path(arguments.data).is_absolute() else arguments.data
        self.content = {"figure": figure, "preset": arguments.preset, "data": Path(data).name, "settings": settings}
        self.content["claims"] = []
        self.part = self.content

    def beyond(self, text: str) -> None:
        """What follows is no statement of the paper; `text` says what was done."""
        self.part = self.content["beyond"] = {"text": text, "claims": []}

    def add(self, statement: str, found, holds: bool, of: Sequence[str] = (), why: str = "") -> None:
        """One statement.

        `found` is a number, several, or a dict of them; the report has a dict of lists as a table, with `of` as the
        names of its columns, the first that of the keys. `why` is what the report says where it does not hold.
        """
        claim = {"statement": statement, "found": found, "holds": bool(holds)}
        self.part["claims"].append(
            claim | ({"of": list(of)} if of else {}) | ({"why": why} if why and not holds else {})
        )
        print(f"  [{'holds' if holds else 'FAILS'}] {statement}: {found}")

    def table(self, title: str, header: list[str], rows: list[list]) -> None:
        self.part.setdefault("tables", []).append({"title": title, "header": header, "rows": rows})

    def write(self) -> None:
        spared = self.arguments.kept.spared if "kept" in self.arguments else 0.0
        self.content["seconds"] = round(time.time() - self.start + spared, 1)
        self.content["memory_GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")
        print(f"wrote {self.path}")


def plain_log(axis) -> None:
    """A logarithmic scale of errors with numbers at 1, 2 and 5."""
    axis.set_yscale("log")
    axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")


def save(figure, arguments: argparse.Namespace, name: str) -> None:
    """Writes a plot as PNG and SVG."""
    for suffix in ("png", "svg"):
        figure.savefig(arguments.out / f"{name}.{suffix}", dpi=200, bbox_inches="tight")
    plt.close(figure)
