"""What a potential does when it is left alone: drift of the energy, a crystal at pressure, silicon that melts.

    .venv/bin/python benches/long_runs.py --command .venv/bin/rhobasis --out out/long-runs      # some ten minutes

Data: si_zuo2020.xyz.xz in $RHOBASIS_DATA, else in ../shared/data. A model of examples/models is trained on all of it.

1. 8,000 atoms at constant energy for 5,000 steps of 1 fs, from 600 K: how far the conserved energy goes.
2. The same cell at 300 K and 5 GPa for 1,000 steps: pressure and volume.
3. 1,000 atoms at no pressure: at 300 K, at 3,500 K until nothing of the crystal is left, then at 2,000 K. Radial
   distribution functions of crystal and liquid, and how far atoms lie outside of what was trained on all along.
"""

import argparse
import os
import re
import subprocess
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from ase.neighborlist import neighbor_list

ROOT = Path(__file__).resolve().parent.parent
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"
STAGES = [("crystal", 300, 3000), ("melting", 3500, 8000), ("liquid", 2000, 8000)]


class Runs:
    """A folder with a potential and its runs; what is there already is not run again."""

    def __init__(self, command: str, out: Path, model: str, data: Path) -> None:
        self.command, self.out = str(Path(command).resolve()), out
        out.mkdir(parents=True, exist_ok=True)
        write(out / "cell.xyz", bulk("Si", a=5.43, cubic=True), format="extxyz")
        if not (out / "model.rho").exists():
            settings = (ROOT / "examples/models" / f"{model}.toml").read_text()
            settings = re.sub(r"(?m)^train = .*$", f'train = "{data.resolve()}"', settings)
            (out / "model.toml").write_text(settings)
            self.rhobasis("train", "model.toml", "-o", "model.rho", "--no-plot")

    def rhobasis(self, *arguments: object) -> str:
        words = [self.command, *map(str, arguments)]
        return subprocess.run(words, cwd=self.out, check=True, stdout=subprocess.PIPE, text=True).stdout

    def md(self, name: str, start: str, *arguments: object) -> str:
        """The report of a run."""
        report = self.out / f"{name}.txt"
        if not report.exists():
            report.write_text(self.rhobasis("md", "model.rho", start, *arguments))
        return report.read_text()


def table_of(report: str) -> np.ndarray:
    """Rows of a run: time in fs, energies, temperature, conserved energy, …"""
    rows = [line.split() for line in report.splitlines()]
    return np.array([[float(x) for x in row] for row in rows if re.fullmatch(r"\d+\.\d\d", (row or [""])[0])])


def drift(time: np.ndarray, energy: np.ndarray) -> float:
    """Slope of a line through the conserved energy, in eV/atom/ns."""
    return float(np.polyfit(time * 1e-6, energy, 1)[0])


def radial_distribution(frames: list[Atoms], r_max: float = 9.0, n_bins: int = 180) -> tuple[np.ndarray, np.ndarray]:
    """Distances in Å, and g(r): pairs over those of atoms that do not know of each other, mean over frames."""
    edges = np.linspace(0, r_max, n_bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    found = np.zeros(n_bins)
    for atoms in frames:
        counts = np.histogram(neighbor_list("d", atoms, r_max), edges)[0]
        found += counts / (len(atoms) ** 2 / atoms.get_volume() * shells)
    return (edges[1:] + edges[:-1]) / 2, found / len(frames)


def coordination(atoms: Atoms, r_max: float = 3.0) -> float:
    """Neighbours nearer than the first minimum of the crystal's g(r), on average."""
    return len(neighbor_list("i", atoms, r_max)) / len(atoms)


def constant_energy(runs: Runs, axes: plt.Axes) -> list[str]:
    n_atoms = 8000
    report = runs.md("nve", "cell.xyz", "--repeat", "10,10,10", "--temperature", 600, "--steps", 5000, "--every", 25)
    rows = table_of(report)
    time, energy = rows[1:, 0], rows[1:, 4] / n_atoms  # without the perfect crystal, whose atoms swing in step at first
    settled = time >= 1000
    axes.plot(time * 1e-3, (energy - energy[settled].mean()) * 1e6, color=BLUE, lw=0.8)
    axes.set(
        xlabel="time / ps", ylabel="total energy, less its mean / (µeV/atom)", title="8,000 atoms, constant energy"
    )
    lines = ["", "| steps from 1 ps on | drift, eV/atom/ns | standard deviation, µeV/atom |", "|---|---|---|"]
    for steps in (1000, 2000, 4000):
        part = settled & (time <= 1000 + steps)
        lines.append(f"| {steps:,} | {drift(time[part], energy[part]):.1e} | {energy[part].std() * 1e6:.2f} |")
    speed = re.search(r"speed +(.*)", report)
    return [*lines, "", f"Speed: {speed[1] if speed else 'unknown'}."]


def constant_pressure(runs: Runs) -> list[str]:
    flags = ["--temperature", 300, "--thermostat", "csvr", "--barostat", "scr", "--pressure", 5, "--tau-p", 200]
    report = runs.md("npt", "cell.xyz", "--repeat", "10,10,10", "--steps", 1000, "--every", 25, *flags)
    rows = table_of(report)
    late = rows[:, 0] >= 500
    volume, pressure = rows[late, 5].mean() / 8000, rows[late, 6].mean()
    return [
        "",
        f"At 300 K and 5 GPa, second half of 1,000 steps: {pressure:.2f} GPa and {volume:.2f} Å³ per atom on average.",
    ]


def melt(runs: Runs, axes: tuple[plt.Axes, plt.Axes]) -> list[str]:
    start, begun = "cell.xyz", 0.0
    functions, left = axes
    means: list[tuple[str, int, float, float, float]] = []
    styles = {"crystal": (GREY, "-"), "liquid": (ORANGE, "-")}
    for name, temperature, steps in STAGES:
        flags = ["--temperature", temperature, "--thermostat", "csvr", "--barostat", "scr", "--tau-p", 500]
        repeat = ["--repeat", "5,5,5"] if start == "cell.xyz" else []
        output = ["--every", 50, "-o", f"{name}.xyz", "--dump-above", 1, f"{name}-new.xyz", "--force"]
        runs.md(name, start, "--steps", steps, *flags, *repeat, *output)
        frames = read(runs.out / f"{name}.xyz", ":")
        late = frames[len(frames) // 2 :]
        time = begun + np.array([atoms.info["time_fs"] for atoms in frames]) * 1e-3
        of_atoms = [np.sort(atoms.arrays["extrapolation"]) for atoms in frames]
        color = {"crystal": GREY, "melting": BLUE, "liquid": ORANGE}[name]
        left.plot(time, [x[-1] for x in of_atoms], color=color, label=f"{name}, {temperature} K")
        left.plot(time, [np.median(x) for x in of_atoms], color=color, ls=":")
        if name in styles:
            r, g = radial_distribution(late)
            color, style = styles[name]
            functions.plot(r, g, color=color, ls=style, label=f"{name}, {temperature} K")
        volume = np.mean([atoms.get_volume() / len(atoms) for atoms in late])
        largest = max(x[-1] for x in of_atoms)
        means.append(
            (name, temperature, float(volume), float(np.mean([coordination(a) for a in late])), float(largest))
        )
        start, begun = f"{name}.xyz@-1", float(time[-1])
    functions.set(
        xlabel="distance / Å", ylabel="radial distribution function", title="1,000 atoms, no pressure", ylim=(0, 6)
    )
    functions.legend(frameon=False)
    left.axhline(1, color="k", lw=0.6)
    left.set(xlabel="time / ps", ylabel="extrapolation", title="largest (line) and median (dots) of all atoms")
    left.legend(frameon=False, loc="center right")
    lines = [
        "",
        "| | temperature, K | volume per atom, Å³ | neighbours within 3 Å | largest extrapolation |",
        "|---|---|---|---|---|",
    ]
    for name, temperature, volume, neighbours, largest in means:
        lines.append(f"| {name} | {temperature:,} | {volume:.2f} | {neighbours:.2f} | {largest:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", default="rhobasis", help="rhobasis to run")
    parser.add_argument("--model", default="si_zuo2020_linear", help="one of examples/models, of silicon")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "long-runs")
    parser.add_argument("--picture", type=Path, help="default: long-runs.svg in OUT")
    args = parser.parse_args()
    data = Path(os.environ.get("RHOBASIS_DATA", ROOT / "../shared/data")) / "si_zuo2020.xyz.xz"
    runs = Runs(args.command, args.out, args.model, data)
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    lines = constant_energy(runs, axes[0]) + constant_pressure(runs) + melt(runs, (axes[1], axes[2]))
    figure.savefig(args.picture or args.out / "long-runs.svg")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
