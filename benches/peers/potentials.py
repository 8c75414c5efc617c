"""The same potential by QUIP (gap_fit, quippy) and by rhobasis: a fit, a step of molecular dynamics, and their errors.

`python potentials.py [DATA.xyz]` with frames of silicon that have energies and forces; the bundled ones by default. One
thread. A fit is a process of its own: CPU time and peak memory are of all of it, from reading frames to the file.
Without QUIP (`pip install quippy-ase`) only rhobasis is measured.
"""

import argparse
import importlib.util
import io
import json
import lzma
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

BUNDLED = Path(__file__).parents[2] / "examples" / "data" / "silicon.xyz.xz"
ONE_THREAD = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

# The same for both: 1,000 sparse points, kernel to the power of four, eight functions for each l up to six.
SETTINGS = """
[data]
train = "train.xyz"
energy_key = "label_energy"
force_key = "label_force"
[basis]
r_cut = 5.0
sigma = 0.5
cutoff_width = 1.0
n_max = 16
l_max = 6
q_max = 8
[model]
type = "gap"
n_sparse = {n_sparse}
zeta = 4
delta = 1.0
[weights]
energy_sigma = 0.001
force_sigma = 0.05
stress_sigma = "none"
"""
GAP_FIT = [
    "at_file=train.xyz",
    "gap={{soap l_max=6 n_max=8 atom_sigma=0.5 zeta=4 cutoff=5.0 cutoff_transition_width=1.0 n_sparse={n_sparse} "
    "delta=1.0 f0=0.0 covariance_type=dot_product sparse_method=cur_points}}",
    "default_sigma={{0.001 0.05 0.0 0.0}}",
    "energy_parameter_name=label_energy",
    "force_parameter_name=label_force",
    "virial_parameter_name=none",
    "e0_method=average",
    "sparse_jitter=1e-8",
    "do_copy_at_file=F",
    "sparse_separate_file=T",
    "gp_file=gap.xml",
]


def labelled(path: Path) -> list[Atoms]:
    """Frames with their labels under names that no reader takes for anything else."""
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open() as file:
        frames = read(io.StringIO(file.read()), ":", format="extxyz")
    plain = []
    for a in frames:
        plain.append(Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc))
        plain[-1].info["label_energy"] = a.get_potential_energy()
        plain[-1].arrays["label_force"] = a.get_forces().copy()
    return plain


def program(name: str) -> str | None:
    """Beside this interpreter, or on the path."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def fit(code: str, command: list[str], folder: Path) -> dict:
    """CPU time and peak memory of a process."""
    with (folder / f"{code}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **ONE_THREAD})
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{code} failed, see {folder / f'{code}.log'}")
    return {"cpu_s": round(usage.ru_utime + usage.ru_stime, 2), "peak_MB": round(usage.ru_maxrss * UNIT_OF_MEMORY)}


UNIT_OF_MEMORY = 2**-20 if sys.platform == "darwin" else 2**-10


def stepper(calculator) -> Callable[[], float]:
    """A function that moves 216 atoms a little and returns the CPU time of energy and forces, in µs per atom."""
    atoms = bulk("Si", "diamond", a=5.46, cubic=True) * (3, 3, 3)
    atoms.rattle(0.08, seed=0)
    atoms.calc = calculator
    rng = np.random.default_rng(1)

    def step() -> float:
        atoms.positions += rng.normal(scale=1e-3, size=atoms.positions.shape)
        start = time.process_time()
        atoms.get_forces()
        atoms.get_potential_energy()
        return 1e6 * (time.process_time() - start) / len(atoms)

    return step


def errors(calculator, frames: list[Atoms]) -> dict:
    """Root mean square errors on the training frames."""
    of_energy, of_force = [], []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        of_energy.append((atoms.get_potential_energy() - frame.info["label_energy"]) / len(atoms))
        of_force.append((atoms.get_forces() - frame.arrays["label_force"]).ravel())
    energy, force = np.array(of_energy), np.concatenate(of_force)
    return {
        "energy_rmse_meV_per_atom": round(1e3 * float(np.sqrt(np.mean(energy**2))), 4),
        "force_rmse_eV_per_A": round(float(np.sqrt(np.mean(force**2))), 5),
    }


def calculators(codes: list[str], folder: Path) -> dict:
    made = {}
    if "rhobasis" in codes:
        from rhobasis.ase import Calculator

        import rhobasis as rb

        made["rhobasis"] = Calculator(rb.load(folder / "model.rho"))
    if "quip" in codes:
        from quippy.potential import Potential

        made["quip"] = Potential("IP GAP", param_filename=str(folder / "gap.xml"))
    return made


def ridge(n_columns: int, n_rows: int, chunk: int = 500) -> dict:
    """Least squares of random rows that come in chunks: time for a row, and memory that does not grow with them."""
    import rhobasis as rb

    rng, weights = np.random.default_rng(1), np.random.default_rng(2).normal(size=n_columns)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT_OF_MEMORY
    model, seconds = rb.Ridge(alpha=1e-8), 0.0
    for _ in range(0, n_rows, chunk):
        x = rng.normal(size=(chunk, n_columns))
        start = time.process_time()
        model.partial_fit(x, x @ weights)
        seconds += time.process_time() - start
    start = time.process_time()
    error = float(abs(model.predict(x) - x @ weights).max())
    return {
        "columns": n_columns,
        "rows": n_rows,
        "us_per_row": round(1e6 * seconds / n_rows),
        "solution_s": round(time.process_time() - start, 2),
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT_OF_MEMORY),
        "peak_before_MB": round(before),
        "largest_error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=BUNDLED)
    parser.add_argument("--folder", type=Path, default=Path("bench_potentials"), help="for everything that is written")
    parser.add_argument("--sparse", type=int, default=1000, help="sparse points")
    parser.add_argument("--rounds", type=int, default=2, help="fits by rhobasis, and blocks of steps of each code")
    parser.add_argument("--keep", action="store_true", help="take the fit of QUIP that is in the folder")
    parser.add_argument("--ridge", type=int, nargs=2, metavar=("COLUMNS", "ROWS"), help="only least squares")
    args = parser.parse_args()
    os.environ.update(ONE_THREAD)
    if args.ridge:
        return print(json.dumps(ridge(*args.ridge)))
    args.folder.mkdir(parents=True, exist_ok=True)
    frames = labelled(args.data)
    write(args.folder / "train.xyz", frames)
    (args.folder / "model.toml").write_text(SETTINGS.format(n_sparse=args.sparse))
    results = {"rhobasis": {}}
    gap_fit, rhobasis = program("gap_fit"), program("rhobasis")
    if gap_fit and importlib.util.find_spec("quippy"):
        results["quip"], kept = {}, args.folder / "quip.json"
        if args.keep and kept.exists():
            results["quip"] = json.loads(kept.read_text())
        else:
            command = [gap_fit, *(argument.format(n_sparse=args.sparse) for argument in GAP_FIT)]
            results["quip"] = fit("gap_fit", command, args.folder)
            kept.write_text(json.dumps(results["quip"]))
    command = [rhobasis or "rhobasis", "train", "model.toml", "-o", "model.rho", "--threads", "1", "--no-plot"]
    command += ["--force"]  # once more in each round
    fits = [fit("rhobasis", command, args.folder) for _ in range(args.rounds)]
    results["rhobasis"] = {**min(fits, key=lambda f: f["cpu_s"]), "slowest_cpu_s": max(f["cpu_s"] for f in fits)}
    made = calculators(list(results), args.folder)
    steppers = {code: stepper(calculator) for code, calculator in made.items()}
    times = {code: [] for code in made}
    for _ in range(args.rounds):
        for code, step in steppers.items():
            times[code] += [step() for _ in range(10)]
    for code, calculator in made.items():
        results[code] |= {
            "step_us": round(min(times[code]), 2),
            "step_median_us": round(float(np.median(times[code])), 2),
        }
        results[code] |= errors(calculator, frames)
        print(json.dumps({"code": code, **results[code]}))
    if "quip" in results:
        ours, theirs = results["rhobasis"], results["quip"]
        for what in ("cpu_s", "peak_MB", "step_us"):
            print(f"{what}: QUIP / rhobasis = {theirs[what] / ours[what]:.1f}")


if __name__ == "__main__":
    main()
