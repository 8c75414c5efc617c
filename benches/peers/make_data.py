"""Structures for the comparison from the bundled data alone: si.xyz, sm.xyz, mc.xyz in a folder, bench_data by default.

si: 10 silicon cells of 64 atoms; sm: 50 molecules of H, C, N, O; mc: 4 cells of such molecules, as dense as molecular
crystals (about 0.11 atoms/Å³), 100 to 200 atoms each.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

import rhobasis as rb

DATA = Path(__file__).parents[2] / "examples" / "data"
DENSITY = 0.11  # atoms per Å³
CLOSEST = 1.6  # between atoms of two molecules, in Å


def pack(molecules: list[Atoms], rng: np.random.Generator) -> Atoms:
    """Molecules at random places and orientations of a periodic cell, none too close to another."""
    edge = (sum(map(len, molecules)) / DENSITY) ** (1 / 3)
    cell = Atoms(cell=[edge] * 3, pbc=True)
    for molecule in molecules:
        for attempt in range(100_000):
            one = molecule.copy()
            one.euler_rotate(*rng.uniform(0, 360, 3), center="COM")
            one.positions += rng.uniform(0, edge, 3) - one.get_center_of_mass()
            d = one.positions[:, None] - cell.positions[None]
            d -= edge * np.round(d / edge)
            if (np.linalg.norm(d, axis=-1) > CLOSEST * 0.9999 ** (attempt / 3)).all():
                cell += one
                break
        else:
            raise RuntimeError("the molecules do not fit; lower the density")
    return cell


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    silicon = [a for a in rb.read(DATA / "silicon.xyz.xz") if len(a) == 64]
    molecules = [a for a in rb.read(DATA / "molecules.xyz.xz") if set(a.numbers) <= {1, 6, 7, 8} and len(a) > 8]
    chosen = rng.permutation(len(molecules))
    cells = [pack([molecules[k] for k in chosen[12 * i : 12 * i + 12]], rng) for i in range(4)]
    for name, frames in (("si", silicon[:10]), ("sm", [molecules[k] for k in chosen[-50:]]), ("mc", cells)):
        bare = [Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc) for a in frames]
        write(folder / f"{name}.xyz", bare)
        print(name, len(bare), "structures of", sum(map(len, bare)) / len(bare), "atoms on average")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bench_data"))
