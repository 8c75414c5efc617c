#!/usr/bin/env python3
"""Awkward structures and what ASE and vesin say their neighbour lists are: writes neighbors.json (seed 7).

    python reference/neighbors/make.py        # numpy 2.4.6, ASE 3.29.0, vesin 0.6.2

Per centre: number of pairs, sum of |D|, sum of D·(1, sqrt 2, pi), sums of the three shifts. `oracles` names the
programs that gave the list kept; a program that disagrees with a plain triple loop, or refuses, is left out.
"""

import json
from collections import Counter
from pathlib import Path

import ase
import numpy as np
import vesin
from ase.geometry import complete_cell
from ase.neighborlist import primitive_neighbor_list

rng = np.random.default_rng(7)
PROBE = np.array([1.0, np.sqrt(2.0), np.pi])


def plain_loop(pos, cell, pbc, r_cut):
    """All (i, j, S) by brute force over every shift that could matter, in terms of the atoms wrapped by eye."""
    full = complete_cell(np.where(pbc[:, None], cell, 0.0)) if not pbc.all() else cell
    frac = pos @ np.linalg.inv(full)
    turn = np.where(pbc, np.floor(frac), 0).astype(int)
    height = 1 / np.linalg.norm(np.linalg.inv(full), axis=0)
    reach = np.where(pbc, np.ceil(r_cut / height) + 1, 0).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1).reshape(-1, 3)
    pairs = set()
    margin = np.inf
    for i in range(len(pos)):
        for j in range(len(pos)):
            shifts = grid + turn[i] - turn[j]
            d = np.linalg.norm(pos[j] - pos[i] + shifts @ np.where(pbc[:, None], cell, 0.0), axis=1)
            margin = min(margin, np.abs(d - r_cut).min())
            for s in shifts[d < r_cut]:
                if i != j or s.any():
                    pairs.add((i, j, *map(int, s)))
    return pairs, margin


def by_ase(pos, cell, pbc, r_cut):
    i, j, s = primitive_neighbor_list("ijS", pbc, complete_cell(cell), pos, r_cut, self_interaction=False)
    return i, j, s


def by_vesin(pos, cell, pbc, r_cut):
    box = complete_cell(cell) if pbc.any() else np.zeros((3, 3))
    i, j, s = vesin.NeighborList(cutoff=r_cut, full_list=True).compute(
        points=pos, box=box, periodic=pbc, quantities="ijS"
    )
    return i, j, s


def random_cell(a, skew):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    lower = np.diag(a * rng.uniform(0.6, 1.6, 3)) + np.tril(rng.uniform(-skew, skew, (3, 3)) * a, -1)
    return lower @ q  # either handedness


def one(kind):
    """Cell, periodicity, positions and cutoff of one system of a kind."""
    n, pbc, r_cut = int(rng.integers(1, 7)), np.ones(3, bool), float(rng.uniform(3.0, 5.0))
    if kind == "orthorhombic":
        cell = np.diag(rng.uniform(3.0, 12.0, 3))
    elif kind == "triclinic":
        cell = random_cell(rng.uniform(4.0, 9.0), 0.5)
    elif kind == "left-handed":
        cell = random_cell(6.0, 0.4)
        cell = cell if np.linalg.det(cell) < 0 else -cell
    elif kind == "strongly skewed":
        cell = random_cell(5.0, 6.0)
    elif kind == "far smaller than the cutoff":
        n, cell = int(rng.integers(1, 3)), random_cell(2.2, 0.3)
    elif kind == "partly periodic, zero vectors":
        pbc = rng.permutation([True, bool(rng.integers(2)), False])
        cell = random_cell(5.0, 0.7) * pbc[:, None]
    elif kind == "partly periodic, other vectors given":
        pbc = rng.permutation([True, bool(rng.integers(2)), False])
        cell = random_cell(5.0, 0.7)
    elif kind == "atoms far outside the cell":
        cell = random_cell(5.0, 0.7)
    elif kind == "cluster":
        n, pbc, cell = int(rng.integers(1, 20)), np.zeros(3, bool), np.zeros((3, 3))
    elif kind == "two clusters far apart":
        n, pbc, cell = 44, np.zeros(3, bool), np.zeros((3, 3))
    elif kind == "slab of many atoms":
        n, pbc, cell = 44, np.array([True, True, False]), np.diag([8.0, 9.0, 0.0])
    span = np.where(np.linalg.norm(cell, axis=1)[:, None] > 0, cell, 0) if pbc.any() else np.eye(3) * 1.6 * n ** (1 / 3)
    span = complete_cell(span) if pbc.any() else span
    pos = rng.uniform(-0.6, 1.6, (n, 3)) @ span
    if kind == "slab of many atoms":
        pos[:, 2] *= 12.0
    if kind == "atoms far outside the cell":
        pos += rng.integers(-(10 ** int(rng.integers(1, 5))), 10 ** int(rng.integers(1, 5)), (n, 3)) @ cell
    if kind == "two clusters far apart":
        pos[n // 2 :] += rng.normal(size=3) * 10 ** rng.uniform(2, 6)
    return np.round(pos, 5), np.round(cell, 5), pbc, round(r_cut, 4)


kinds = {
    "orthorhombic": 24,
    "triclinic": 28,
    "left-handed": 20,
    "strongly skewed": 24,
    "far smaller than the cutoff": 20,
    "partly periodic, zero vectors": 28,
    "partly periodic, other vectors given": 28,
    "atoms far outside the cell": 28,
    "cluster": 12,
    "two clusters far apart": 4,
    "slab of many atoms": 4,
}
systems, used = [], Counter()
for kind, count in kinds.items():
    done = 0
    while done < count:
        pos, cell, pbc, r_cut = one(kind)
        truth, margin = plain_loop(pos, cell, pbc, r_cut)
        vectors = np.where(pbc[:, None], cell, 0.0)
        dist = [np.linalg.norm(pos[j] - pos[i] + np.array(s) @ vectors) for i, j, *s in truth]
        if margin < 1e-7 or min(dist, default=1.0) < 0.1:
            continue
        oracles = []
        for name, program in (("ase", by_ase), ("vesin", by_vesin)):
            try:
                i, j, s = program(pos, cell, pbc, r_cut)
            except Exception as error:
                print(kind, name, "refuses:", error)
                continue
            shifts = np.asarray(s, int).reshape(-1, 3)
            got = list(zip(map(int, i), map(int, j), *shifts.T.tolist(), strict=True))
            if len(set(got)) == len(got) and set(got) == truth:
                oracles.append(name)
                kept = i, j, shifts
            else:
                print(kind, name, f"is wrong: {len(got)} pairs instead of {len(truth)}")
        if not oracles:
            continue
        i, j, s = kept
        d = pos[j] - pos[i] + s @ vectors
        centers = []
        for c in range(len(pos)):
            m = i == c
            sums = [float(f"{x:.11g}") for x in (np.linalg.norm(d[m], axis=1).sum(), (d[m] @ PROBE).sum())]
            centers.append([int(m.sum()), *sums, *s[m].sum(0).tolist()])
        used["+".join(oracles)] += 1
        systems.append({"kind": kind, "oracles": oracles, "r_cut": r_cut, "pbc": pbc.tolist(), "cell": cell.tolist(),
                        "positions": pos.tolist(), "centers": centers})  # fmt: skip
        done += 1

print(len(systems), "systems,", dict(used))
lines = ",\n".join(json.dumps(x, separators=(",", ":")) for x in systems)
head = f'"seed":7,"ase":"{ase.__version__}","vesin":"{vesin.__version__}","numpy":"{np.__version__}"'
path = Path(__file__).with_name("neighbors.json")
path.write_text(f'{{{head},"systems":[\n{lines}\n]}}\n')
print(path.stat().st_size // 1000, "kB")
