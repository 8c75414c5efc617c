"""The same jobs for every code: from a list of `ase.Atoms` to an array of density coefficients.

Structures: `si.xyz` (10 cells of 54 atoms), `sm.xyz` (50 molecules), `mc.xyz` (4 molecular crystals) in the folder
`BENCH_DATA`. Run each code with one thread (see README.md); compare ratios, not numbers.
"""

import argparse
import gc
import json
import os
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
}


def measure(code: str, build: Callable) -> None:
    """Prints the least CPU time per centre by `build(workload, frames)()` as a line of JSON for each workload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each")
    args = parser.parse_args()
    folder = Path(os.environ.get("BENCH_DATA", "bench_data"))
    for name in args.workloads:
        workload = WORKLOADS[name]
        frames = read(folder / f"{workload.data}.xyz", ":")
        job = build(workload, frames)
        job()
        best, deadline = float("inf"), time.perf_counter() + args.seconds
        gc.disable()
        while time.perf_counter() < deadline:
            start = time.process_time()  # of all threads, of which there is one; other load does not count
            job()
            best = min(best, time.process_time() - start)
        gc.enable()
        n_centers = sum(map(len, frames))
        print(
            json.dumps({"code": code, "workload": name, "us_per_center": round(1e6 * best / n_centers, 3)}), flush=True
        )
