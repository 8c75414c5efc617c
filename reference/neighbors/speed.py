#!/usr/bin/env python3
"""Speed of our neighbour list against vesin, one thread, same structures, same run: prints a table, writes nothing.

    cargo build --release -p rhobasis --example neighbors_speed && python reference/neighbors/speed.py

Needs numpy, ASE (for the structures) and vesin; `make.py` beside this file was run with vesin 0.6.2.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import vesin
from ase import Atoms
from ase.build import bulk

os.environ.setdefault("OMP_NUM_THREADS", "1")
EXE = Path(__file__).parents[2] / "target/release/examples/neighbors_speed"

rng = np.random.default_rng(0)
silicon = bulk("Si", "diamond", a=5.43, cubic=True).repeat(10)
silicon.rattle(0.1, rng=rng)
# 54 atoms at the density of a molecular crystal in a 10.3 Å cube: a jittered grid, so that nothing overlaps.
grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3)[rng.permutation(64)[:54]]
cell54 = Atoms("C54", positions=(grid + 0.5 + rng.uniform(-0.3, 0.3, (54, 3))) * 10.3 / 4, cell=[10.3] * 3, pbc=True)
grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)[rng.permutation(27)[:18]]
molecule = Atoms("C18", positions=(grid + rng.uniform(-0.2, 0.2, (18, 3))) * 1.8)
cases = [("si8000", silicon, 6.0), ("cell54", cell54, 6.0), ("molecule18", molecule, 5.0)]


def best(run, inner, repeats=30):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(inner):
            run()
        times.append((time.perf_counter() - begin) / inner)
    return min(times)


with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    for name, atoms, r_cut in cases:
        print(name, len(atoms), int(atoms.pbc.all()), r_cut, file=file)
        np.savetxt(file, np.concatenate([atoms.cell[:], atoms.positions]), fmt="%.17g")
    file.flush()
    rows = map(str.split, subprocess.check_output([EXE, file.name], text=True).splitlines())
    ours = {w[0]: (int(w[1]), float(w[2])) for w in rows}

for name, atoms, r_cut in cases:
    nl = vesin.NeighborList(cutoff=r_cut, full_list=True)

    def run(nl=nl, atoms=atoms):
        periodic = bool(atoms.pbc.all())
        return nl.compute(points=atoms.positions, box=atoms.cell[:], periodic=periodic, quantities="ijSD")

    pairs, seconds = ours[name]
    assert pairs == len(run()[0]), (name, pairs, len(run()[0]))
    theirs = best(run, max(1, 4000 // len(atoms)))
    times = f"ours {seconds * 1e6:9.2f} us   vesin {theirs * 1e6:9.2f} us   ratio {theirs / seconds:5.1f}"
    print(f"{name:12s} {pairs:7d} pairs   {times}")
