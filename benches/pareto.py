"""Speed against error of potentials of every kind, on silicon and on ethanol: a table and a picture.

    python benches/pareto.py                    # all models; goes on where a run was stopped
    python benches/pareto.py --quick            # a few models of either, one round of timings
    python benches/pareto.py --only ethanol --rounds 3

Data: si_zuo2020.xyz.xz and rmd17_ethanol.xyz.xz in $RHOBASIS_DATA, else in ../shared/data. Needs the Python package,
whose command `rhobasis` trains and times (`--command` names another), and matplotlib (`make py` has both).

Errors are those of the held-out frames that `rhobasis train` prints: of silicon a fifth, `test_fraction = 0.2` with
seed 0, where frames that repeat each other stay together; of ethanol the 1,000 test frames of the first published
split, which has 1,000 to train on. The settings of all models are in this file. None was chosen by these errors. The
regulariser of linear models is chosen by cross-validation on the training frames. Stresses are not trained on: in most
of silicon's labels two components are exchanged.

Time is CPU time of a step of `rhobasis md` on one thread, with energy, forces, stress and Verlet lists: 512 atoms of
silicon from the lattice at 300 K, 100 far-apart molecules of ethanol. All models are timed in turn, `--rounds` times,
and the least counts: other work on the machine lengthens single times. A second call adds rounds to those that are
there, `--rounds 0` only prints and draws.

The folder --out keeps one line for each model in models.jsonl and one for each timing in times.jsonl, so that a run
may be killed at any time; a model whose settings have changed is made anew. Remove the folder where data or rhobasis
have. Written to it are table.md with all models, pareto.png and pareto.svg; printed are the models on the fronts and
the best of each family. All took an hour and a half on two cores shared with other work, most of it for ethanol.
"""

import argparse
import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.build import bulk
from matplotlib.ticker import LogLocator

import rhobasis as rb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "figures"))
from common import ROOT, find_data, plain_log, plt

Settings = dict[str, dict[str, object]]

# By name: colour (Okabe and Ito's, told apart by the colour-blind) and marker.
FAMILIES = {
    "power spectrum, principal": ("#000000", "o"),
    "power spectrum, supervised": ("#D55E00", "s"),
    "bispectrum": ("#0072B2", "^"),
    "power spectrum and bispectrum": ("#009E73", "D"),
    "NICE": ("#CC79A7", "P"),
    "sparse kernel": ("#E69F00", "X"),
}
# As in the report of `train`; of each quantity the number of test frames, RMSE and MAE.
QUANTITIES = {"energy": ("energy per atom, meV/atom", "meV/atom"), "force": ("force component, eV/Å", "eV/Å")}
SECONDS = 0.3  # of one timing
LARGEST = 200  # steps of one timing: a poor potential must not have the time to melt the crystal


@dataclass(frozen=True)
class Model:
    """A potential: its family, what tells it from the others of the family, and its sections of the model file."""

    family: str
    label: str
    settings: Settings
    quick: bool = False

    def text(self, data: Settings) -> str:
        """The model file."""
        sections = {**data, **self.settings}
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in sections.items()
        )


class DataSet:
    """A data set with its split, what all its models share, and a structure to move."""

    name: str
    file: str
    r_cuts: tuple[float, ...]
    basis: ClassVar[dict[str, object]]
    alphas: tuple[float, ...]
    weights: ClassVar[dict[str, object]]
    n_atoms: int
    dt: float

    def data(self) -> dict[str, object]:
        """Section [data]: files and split."""
        raise NotImplementedError

    def models(self) -> list[Model]:
        raise NotImplementedError

    def start(self) -> Atoms:
        """What is moved: `n_atoms`, in steps of `dt` fs."""
        raise NotImplementedError

    def linear(self, family: str, label: str, basis: dict, features: dict | None = None, **more) -> Model:
        settings: Settings = {"basis": {**self.basis, **basis}, "features": features or {}}
        settings["model"] = {"type": "ridge", "alpha": list(self.alphas)}
        return Model(family, self.labelled(label, basis), {**settings, "weights": self.weights}, **more)

    def sparse(self, label: str, basis: dict, n_sparse: int, **more) -> Model:
        settings: Settings = {"basis": {**self.basis, **basis}}
        settings["model"] = {"type": "gap", "n_sparse": n_sparse, "zeta": 4}
        label = self.labelled(f"{label}, {n_sparse:,} points", basis)
        return Model("sparse kernel", label, {**settings, "weights": self.weights}, **more)

    def labelled(self, label: str, basis: dict) -> str:
        return f"r_cut {basis['r_cut']:g}, {label}" if len(self.r_cuts) > 1 else label

    def power_spectra(self, r_cut: float, sizes: Iterable[int], l_max: int = 6) -> list[Model]:
        """Of q functions for each l, principal and supervised."""
        models = []
        for method, family in (("pca", "principal"), ("supervised", "supervised")):
            for q in sizes:
                quick = q in (2, 6) and l_max == 6 and r_cut == self.r_cuts[0]
                basis = {"r_cut": r_cut, "q_max": q, "method": method, "l_max": l_max}
                label = f"q {q}, l {l_max}"
                models.append(self.linear(f"power spectrum, {family}", label, basis, quick=quick))
        return models

    def bispectra(self, r_cut: float, sizes: Iterable[tuple[int, int]]) -> list[Model]:
        """Of q functions for each l up to some l_max, principal and supervised."""
        models = []
        for method in ("pca", "supervised"):
            for q, l_max in sizes:
                basis = {"r_cut": r_cut, "l_max": l_max, "q_max": q, "method": method}
                label = f"q {q}, l {l_max}{supervised(method)}"
                models.append(self.linear("bispectrum", label, basis, {"kind": "bispectrum"}))
        return models

    def mixed(self, r_cut: float, sizes: Iterable[tuple[str, int, int, int]], quick: bool = False) -> list[Model]:
        """Power spectra of q functions for l up to 6, bispectra of the leading ones of these up to some l_max."""
        models = []
        for method, q, leading, l_max in sizes:
            basis = {"r_cut": r_cut, "q_max": q, "method": method}
            features = {"kind": ["power-spectrum", "bispectrum"], "q_max": [q, leading], "l_max": [6, l_max]}
            label = f"q {q}, l 6 and q {leading}, l {l_max}{supervised(method)}"
            models.append(self.linear("power spectrum and bispectrum", label, basis, features, quick=quick))
        return models


def supervised(method: str) -> str:
    return ", supervised" if method == "supervised" else ""


class Silicon(DataSet):
    name, file, r_cuts = "silicon", "si_zuo2020.xyz.xz", (5.0, 6.0)
    basis: ClassVar = {"sigma": 0.5, "cutoff_width": 1.0, "scaling": [1, 3, 4], "n_max": 20, "l_max": 6}
    alphas = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8)
    weights: ClassVar = {"energy_sigma": 0.001, "force_sigma": 0.05, "stress_sigma": "none"}
    n_atoms, dt = 512, 1.0

    def data(self) -> dict[str, object]:
        return {"train": find_data(self.file), "test_fraction": 0.2, "seed": 0}

    def models(self) -> list[Model]:
        models = self.power_spectra(5.0, (2, 4, 8), l_max=4) + self.bispectra(5.0, [(6, 3), (5, 4)])
        for r_cut in self.r_cuts:
            quick = r_cut == self.r_cuts[0]
            models += self.power_spectra(r_cut, range(1, 9))
            models += self.bispectra(r_cut, [(2, 3), (3, 3), (4, 3), (4, 4)])
            models += self.mixed(r_cut, [("pca", 6, 3, 3), ("pca", 8, 4, 3), ("supervised", 2, 2, 3)])
            models += self.mixed(r_cut, [("supervised", 3, 3, 3)], quick=quick)
            models += self.mixed(r_cut, [("supervised", 4, 4, 3), ("supervised", 6, 4, 3)])
            models += [self.nice(r_cut, n) for n in (100, 400)]
            models += [self.sparse("q 8", {"r_cut": r_cut, "q_max": 8}, n) for n in (100, 300, 1000)]
            near = {"r_cut": r_cut, "q_max": 3, "method": "supervised", "weighting": "nearest"}
            models += [self.sparse("q 3, one supervised", near, n, quick=quick and n == 100) for n in (100, 300, 1000)]
        models.append(self.linear("power spectrum, principal", "q 10, l 8", {"r_cut": 6.0, "q_max": 10, "l_max": 8}))
        weights = {"stress_sigma": "none"}
        for family, basis in (("principal", {}), ("supervised", {"method": "supervised", "q_max": 4})):
            settings: Settings = {"basis": {"r_cut": 5.0, **basis}, "weights": weights}
            models.append(Model(f"power spectrum, {family}", "defaults" + ", q 4" * bool(basis), settings))
        return models

    def nice(self, r_cut: float, n_invariants: int) -> Model:
        features = {"kind": ["power-spectrum", "nice"], "nu_max": 4, "n_equivariants": 60}
        features |= {"n_invariants": n_invariants, "q_max": [8, 5], "l_max": [6, 4]}
        return self.linear("NICE", f"{n_invariants} invariants an order", {"r_cut": r_cut, "q_max": 8}, features)

    def start(self) -> Atoms:
        return bulk("Si", "diamond", 5.469, cubic=True) * (4, 4, 4)


class Ethanol(DataSet):
    name, file, r_cuts = "ethanol", "rmd17_ethanol.xyz.xz", (4.5,)
    basis: ClassVar = {
        "sigma": 0.3,
        "cutoff_width": 1.0,
        "scaling": [1, 2, 5],
        "n_max": 16,
        "l_max": 6,
        "mixing": "combined",
    }
    alphas = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8)
    weights: ClassVar = {"energy_sigma": 0.0005, "force_sigma": 0.01}
    n_atoms, dt = 900, 0.5

    def data(self) -> dict[str, object]:
        file = find_data(self.file)
        return {"train": f"{file}@:1000", "test": [f"{file}@1000:"]}

    def models(self) -> list[Model]:
        r_cut = self.r_cuts[0]
        models = self.power_spectra(r_cut, range(1, 9)) + self.power_spectra(r_cut, (2, 4), l_max=4)
        models.append(
            self.linear("power spectrum, principal", "q 12, l 6", {"r_cut": r_cut, "q_max": 12, "method": "pca"})
        )
        models += self.bispectra(r_cut, [(3, 3), (4, 3), (4, 4), (5, 4)])
        models += self.mixed(r_cut, [("pca", 8, 4, 4), ("pca", 8, 6, 3)])
        models.append(self.nice(60, 250, 1000))
        models += [self.sparse("q 12", {"r_cut": r_cut, "q_max": 12}, n) for n in (300, 1000)]
        return models

    def nice(self, n_equivariants: int, n_invariants: int, n_candidates: int) -> Model:
        features = {"kind": "nice", "nu_max": 4, "n_equivariants": n_equivariants}
        features |= {"n_invariants": n_invariants, "n_candidates": n_candidates}
        basis = {"r_cut": self.r_cuts[0], "q_max": 8, "l_max": 4}
        return self.linear("NICE", f"{n_invariants:,} invariants an order", basis, features)

    def start(self) -> Atoms:
        spacing, cells = 12.0, (5, 5, 4)
        atoms = Atoms(cell=np.multiply(spacing, cells), pbc=True)
        molecules = rb.read(f"{find_data(self.file)}@1000:{1000 + np.prod(cells)}")
        for place, molecule in zip(np.ndindex(*cells), molecules, strict=True):
            molecule.positions += np.multiply(spacing, np.add(place, 0.5)) - molecule.positions.mean(axis=0)
            atoms += Atoms(molecule.numbers, molecule.positions)
        return atoms


class Results:
    """Lines of JSON, each about the model that its "id" names; appended to as they come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text() if path.exists() else ""
        # A line that was cut off by a kill has no end.
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole)
        self.lines = [json.loads(line) for line in whole.splitlines()]

    def of(self, id: str) -> list[dict]:
        return [line for line in self.lines if line["id"] == id]

    def add(self, line: dict) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)


class Run:
    """What the command makes of the models of one data set, in a folder."""

    def __init__(self, data: DataSet, out: Path, command: str, quick: bool) -> None:
        self.data, self.command, self.folder = data, command, out / data.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fits, self.times = (Results(self.folder / f"{name}.jsonl") for name in ("models", "times"))
        self.models: dict[str, Model] = {}
        for model in data.models():
            if model.quick or not quick:
                text = model.text({"data": data.data()})
                id = hashlib.sha256(text.encode()).hexdigest()[:12]
                (self.folder / f"{id}.toml").write_text(text)
                self.models[id] = model

    def __call__(self, *arguments: object) -> str:
        """What the command prints."""
        command = [self.command, *map(str, arguments)]
        run = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if run.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {run.stderr}")
        return run.stdout

    def train(self) -> None:
        """All models that are not there yet."""
        for id, model in self.models.items():
            if self.fits.of(id) and (self.folder / f"{id}.rho").exists():
                continue
            report = self("train", f"{id}.toml", "-o", f"{id}.rho", "--no-plot", "--force")
            line = {"id": id, "family": model.family, "label": model.label, **found(report)}
            self.fits.add(line)
            print(f"{self.data.name}: {model.family}, {model.label}: {line}", flush=True)

    def time(self, rounds: int) -> None:
        """Each model once in a round, each for about as long."""
        rb.write(self.folder / "start.xyz", [self.data.start()])
        for round in range(rounds):
            for id in self.models:
                for steps in (1, self.steps(id)):
                    self.times.add({"id": id, "steps": steps, "seconds": self.cpu_seconds(id, steps)})
            print(f"{self.data.name}: round {round + 1} of {rounds} of timings", flush=True)

    def steps(self, id: str) -> int:
        """How many to time; the same in all rounds."""
        known = [line["steps"] for line in self.times.of(id) if line["steps"] > 1]
        if known:
            return known[0]
        step = (self.cpu_seconds(id, 11) - self.cpu_seconds(id, 1)) / 10
        return int(np.clip(SECONDS / max(step, 1e-6), 10, LARGEST))

    def cpu_seconds(self, id: str, steps: int) -> float:
        """Of a run of molecular dynamics, reading the model included: what else runs on the machine counts little."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        options = ["--steps", steps, "--every", steps, "--dt", self.data.dt, "--threads", 1]
        self("md", f"{id}.rho", "start.xyz", *options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def microseconds(self, id: str) -> float | None:
        """Time of a step of dynamics for each atom: what more steps take more, of the least times of all rounds."""
        least: dict[int, float] = {}
        for line in self.times.of(id):
            least[line["steps"]] = min(line["seconds"], least.get(line["steps"], np.inf))
        if len(least) < 2:
            return None
        (few, short), (many, long) = sorted(least.items())
        return 1e6 * (long - short) / ((many - few) * self.data.n_atoms)

    def rows(self) -> list[dict]:
        """Models that are fitted and timed, by family and time."""
        rows = []
        for id, model in self.models.items():
            microseconds = self.microseconds(id)
            if microseconds is not None:
                rows.append({**self.fits.of(id)[-1], "family": model.family, "label": model.label, "us": microseconds})
        families = list(FAMILIES)
        return sorted(rows, key=lambda row: (families.index(row["family"]), row["us"]))


def found(report: str) -> dict[str, float]:
    """What `train` prints of the test frames, and the number of features."""
    numbers: dict[str, float] = {}
    for quantity, (words, _) in QUANTITIES.items():
        line = re.search(rf"^ *{re.escape(words)} +(.*)$", report, re.MULTILINE)
        assert line, f"train prints the errors of the {quantity}"
        # Frames, RMSE and MAE of training and test.
        rmse, mae = (float(text) for text in line[1].split()[-2:])
        numbers |= {f"{quantity}_rmse": rmse, f"{quantity}_mae": mae}
    count = re.search(r"^features +([\d,]+)", report, re.MULTILINE)
    assert count, "train prints the number of features"
    return {"features": int(count[1].replace(",", "")), **numbers}


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of (time, error) to which no other is better or equal in both, by time."""
    best: list[tuple[float, float]] = []
    for time, error in sorted(set(points)):
        if not best or error < best[-1][1]:
            best.append((time, error))
    return best


def fronts_of(rows: list[dict]) -> dict[str, list[tuple[float, float]]]:
    """Of mean absolute errors over time, by quantity."""
    return {quantity: front((row["us"], row[f"{quantity}_mae"]) for row in rows) for quantity in QUANTITIES}


def telling(rows: list[dict]) -> list[dict]:
    """The models on either front, and of each family the one with the best forces."""
    fronts = fronts_of(rows)
    best: dict[str, float] = {}
    for row in rows:
        best[row["family"]] = min(row["force_mae"], best.get(row["family"], np.inf))

    def tells(row: dict) -> bool:
        on_front = any((row["us"], row[f"{quantity}_mae"]) in fronts[quantity] for quantity in QUANTITIES)
        return on_front or row["force_mae"] == best[row["family"]]

    return [row for row in rows if tells(row)]


def table(rows: list[dict], title: str, fronts: dict[str, list[tuple[float, float]]]) -> str:
    """In Markdown; bold are errors on the fronts: no faster model has as small ones."""
    lines = [f"| {title} | | features | µs per atom | energy MAE (RMSE), meV/atom | force MAE (RMSE), eV/Å |"]
    lines.append("|---|---|---|---|---|---|")
    for before, row in zip([None, *rows], rows, strict=False):
        cells = []
        for quantity, digits in (("energy", 2), ("force", 4)):
            mae, rmse = row[f"{quantity}_mae"], row[f"{quantity}_rmse"]
            text = f"{mae:.{digits}f} ({rmse:.{digits}f})"
            cells.append(f"**{text}**" if (row["us"], mae) in fronts[quantity] else text)
        family = row["family"] if before is None or before["family"] != row["family"] else ""
        lines.append(f"| {family} | {row['label']} | {row['features']:,} | {row['us']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(of_data: dict[str, list[dict]], out: Path) -> None:
    """For each data set, errors of energies and of forces over time, with the front as a line of steps."""
    size = (9, 0.8 + 3.5 * len(of_data))
    figure, axes = plt.subplots(len(of_data), 2, figsize=size, squeeze=False, sharex="row", layout="constrained")
    for panels, (name, rows) in zip(axes, of_data.items(), strict=True):
        for axis, (quantity, (_, unit)) in zip(panels, QUANTITIES.items(), strict=True):
            for family, (colour, marker) in FAMILIES.items():
                some = [(row["us"], row[f"{quantity}_mae"]) for row in rows if row["family"] == family]
                style = {"color": colour, "marker": marker, "ms": 6, "mec": "white", "mew": 0.5, "ls": "none"}
                axis.plot(*np.reshape(some, (-1, 2)).T, **style, label=family)
            axis.step(
                *np.transpose(fronts_of(rows)[quantity]),
                where="post",
                color="0.6",
                lw=1,
                zorder=0,
                label="none faster is better",
            )
            axis.set(xscale="log", yscale="log", title=name, ylabel=f"{quantity} MAE, {unit}")
            plain_log(axis)
            axis.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            for set_formatter in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
                set_formatter("{x:g}")
            axis.grid(color="0.93", which="both", lw=0.5, zorder=-1)
    for axis in axes[-1]:
        axis.set_xlabel("µs per atom and step, one thread")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    for suffix in ("png", "svg"):
        figure.savefig(out / f"pareto.{suffix}", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few models of either data set, one round of timings")
    parser.add_argument("--only", choices=["silicon", "ethanol"], help="one of the two data sets")
    parser.add_argument("--rounds", type=int, help="rounds of timings to add (5; with --quick 1)")
    parser.add_argument("--command", default="rhobasis", help="what trains and times")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "pareto", help="folder of results")
    arguments = parser.parse_args()
    command = shutil.which(arguments.command)
    if command is None:
        parser.error(
            f"there is no command {arguments.command}: activate the environment of 'make py', or give --command"
        )
    rounds = (1 if arguments.quick else 5) if arguments.rounds is None else arguments.rounds

    rows = {}
    for data in (Silicon(), Ethanol()):
        if arguments.only in (None, data.name):
            run = Run(data, arguments.out.resolve(), command, arguments.quick)
            run.train()
            run.time(rounds)
            if some := run.rows():
                rows[data.name] = some
    if not rows:
        return
    text = "\n".join(table(some, name, fronts_of(some)) for name, some in rows.items())
    (arguments.out / "table.md").write_text(text)
    print("\n".join(table(telling(some), name, fronts_of(some)) for name, some in rows.items()))
    draw(rows, arguments.out)
    print(f"wrote table.md, pareto.png and pareto.svg in {arguments.out}")


if __name__ == "__main__":
    main()
