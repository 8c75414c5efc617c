"""The same jobs for every code: from a list of `ase.Atoms` to an array of density coefficients.

Structures: `si.xyz` (10 silicon cells), `sm.xyz` (50 molecules), `mc.xyz` (4 cells of molecules) in the folder
`BENCH_DATA`. Run each code with one thread (see README.md); compare ratios, not numbers.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ase.io import read


@dataclass(frozen=True)
class Workload:
    """An expansion with a shifted-cosine cutoff, in `n` functions of a GTO basis or contracted from `contract_from`."""

    data: str
    r_cut: float
    sigma: float
    n: int
    l_max: int = 6
    cutoff_width: float = 0.5
    contract_from: int | None = None
    combined: bool = False
    # density: coefficients; power: power spectrum
    kind: str = "density"
    # values; jacobian: by every position; adjoint: forces and virial, given dE/dc
    task: str = "values"


SILICON = Workload("si", r_cut=6.0, sigma=0.5, n=8)
MOLECULES = Workload("sm", r_cut=5.0, sigma=0.3, n=8)
CRYSTALS = Workload("mc", r_cut=5.0, sigma=0.3, n=8)
WORKLOADS = {
    "w1-si-n8": SILICON,
    "w1-si-n20": replace(SILICON, n=20),
    "w2-sm-n8": MOLECULES,
    "w2-mc-n8": CRYSTALS,
    "w4-si-q4": replace(SILICON, n=4, contract_from=20),
    "w4-mc-q4": replace(CRYSTALS, n=4, contract_from=20),
    "w1-si-n8-grad": replace(SILICON, task="jacobian"),
    "w2-sm-n8-grad": replace(MOLECULES, task="jacobian"),
    "w2-mc-n8-grad": replace(CRYSTALS, task="jacobian"),
    "w1-si-n8-adjoint": replace(SILICON, task="adjoint"),
    "w1-si-n20-adjoint": replace(SILICON, n=20, task="adjoint"),
    "w2-sm-n8-adjoint": replace(MOLECULES, task="adjoint"),
    "w2-mc-n8-adjoint": replace(CRYSTALS, task="adjoint"),
} | {
    f"w3-{structures.data}-n8{suffix}": replace(structures, kind="power", task=task)
    for structures in (SILICON, MOLECULES, CRYSTALS)
    for task, suffix in (("values", ""), ("jacobian", "-grad"), ("adjoint", "-adjoint"))
}


def measure(code: str, build: Callable) -> None:
    """Prints a line of JSON for each workload: least and median CPU time per centre by `build(workload, frames)()`, and
    peak memory, which is that of the workload where only one is asked for.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each")
    args = parser.parse_args()
    folder = Path(os.environ.get("BENCH_DATA", "bench_data"))
    for name in args.workloads:
        workload = WORKLOADS[name]
        frames = read(folder / f"{workload.data}.xyz", ":")
        before = peak_memory()
        job = build(workload, frames)
        job()
        times, deadline = [], time.perf_counter() + args.seconds
        gc.disable()
        while time.perf_counter() < deadline:
            start = time.process_time()  # of all threads, of which there is one; other load does not count
            job()
            times.append(time.process_time() - start)
        gc.enable()
        per_center = 1e6 / sum(map(len, frames))
        result = {
            "code": code,
            "workload": name,
            "us_per_center": round(per_center * min(times), 3),
            "median": round(per_center * statistics.median(times), 3),
            "peak_MB": round(peak_memory()),
            "peak_before_MB": round(before),
        }
        print(json.dumps(result), flush=True)


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
