"""Make silicon.xyz.xz: 300 structures of silicon labelled with the Stillinger-Weber potential.

    python make_silicon.py            writes silicon.xyz.xz beside this file (a few minutes)
    python make_silicon.py --check    checks that file: labels, finite differences, distances

NumPy only; `--check` reads the file back with ASE as well where ASE is installed.
"""

import argparse
import lzma
import sys
from pathlib import Path

import numpy as np

import frames as extxyz
import stillinger_weber as sw

FILE = Path(__file__).with_name("silicon.xyz.xz")
SEED = 20211019
CLOSEST = 1.8  # Å; frames with a shorter distance are drawn again
MASS = 28.0855  # u
KB = 8.617333262e-5  # eV/K
FORCE_TO_ACCELERATION = 9.648533212e-3  # (eV/Å)/u in Å/fs^2
PERIODIC, SLAB = np.array([True, True, True]), np.array([True, True, False])

A0 = 5.431  # Å, diamond
FCC = A0 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
PAIR = np.array([[0, 0, 0], [0.25, 0.25, 0.25]])  # fractional in FCC
CUBE = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])  # the conventional cell in multiples of FCC
BETA_TIN = np.diag([4.971, 4.971, 2.787])  # the minimum of this potential, -4.137 eV/atom
BETA_TIN_BASIS = np.array([[0, 0, 0], [0, 0.5, 0.25], [0.5, 0.5, 0.5], [0.5, 0, 0.75]])
SIMPLE_CUBIC = 2.612 * np.eye(3)  # likewise, -4.062 eV/atom


def supercell(cell, basis, multiple):
    """Atoms of the lattice `cell` with fractional `basis` inside the cell `multiple @ cell`."""
    multiple = np.asarray(multiple)
    reach = np.abs(multiple).sum()
    grid = np.stack(np.meshgrid(*3 * [np.arange(-reach, reach + 1)], indexing="ij"), -1).reshape(-1, 3)
    fractional = (grid[:, None] + basis[None]).reshape(-1, 3) @ np.linalg.inv(multiple)
    inside = np.all((fractional > -1e-9) & (fractional < 1 - 1e-9), axis=1)
    large = multiple @ cell
    return fractional[inside] @ large, large


def closest(positions, cell, pbc):
    i, j, shift = sw.neighbors(positions, cell, pbc, 2.5)
    return np.linalg.norm(positions[j] + shift - positions[i], axis=1).min(initial=2.5)


def distorted(rng, positions, cell, pbc, amplitude, volume=0.0, shear=0.0):
    """A rattled and strained copy: normal displacements of width `amplitude` in Å, a volume strain within
    ± `volume` and a symmetric random strain with entries within ± `shear`."""
    for _ in range(1000):
        strain = rng.uniform(-shear, shear, (3, 3))
        strain = (1 + rng.uniform(-volume, volume)) ** (1 / 3) * (np.eye(3) + (strain + strain.T) / 2)
        new_cell = cell @ strain
        new = positions @ strain + rng.normal(0, amplitude, positions.shape)
        if closest(new, new_cell, pbc) >= CLOSEST:
            return new, new_cell
    raise ValueError(f"no frame without a distance below {CLOSEST} Å in 1000 draws; lower amplitude = {amplitude} Å")


class Dynamics:
    """Langevin dynamics at fixed cell (BAOAB splitting, 2 fs steps); at 0 K it relaxes the structure."""

    def __init__(self, rng, positions, cell, pbc):
        self.rng, self.positions, self.cell, self.pbc = rng, positions.copy(), cell, pbc
        self.velocities = np.zeros_like(positions)
        self._list()
        self.forces = sw.evaluate(self.positions, self.cell, self.pbc, self.pairs)[1]

    def _list(self, skin=0.8):
        self.pairs = sw.neighbors(self.positions, self.cell, self.pbc, sw.CUTOFF + skin)
        self.listed, self.skin = self.positions.copy(), skin

    def run(self, steps, temperature, dt=2.0, friction=0.02):
        """`steps` of `dt` fs at `temperature` K, friction in 1/fs; returns the positions at the end."""
        memory = np.exp(-friction * dt)
        kick = np.sqrt((1 - memory**2) * KB * temperature / MASS * FORCE_TO_ACCELERATION)
        for _ in range(steps):
            self.velocities += 0.5 * dt * self.forces / MASS * FORCE_TO_ACCELERATION
            self.positions += 0.5 * dt * self.velocities
            self.velocities = memory * self.velocities + kick * self.rng.normal(size=self.velocities.shape)
            self.positions += 0.5 * dt * self.velocities
            if np.linalg.norm(self.positions - self.listed, axis=1).max() > self.skin / 2:
                self._list()
            self.forces = sw.evaluate(self.positions, self.cell, self.pbc, self.pairs)[1]
            self.velocities += 0.5 * dt * self.forces / MASS * FORCE_TO_ACCELERATION
        return self.positions.copy()


def crystals(rng):
    """Diamond in four cells, beta-tin and simple cubic, rattled and strained."""
    cells = {
        "diamond_2": (np.eye(3, dtype=int), 28),
        "diamond_8": (CUBE, 32),
        "diamond_16": (2 * np.eye(3, dtype=int), 32),
        "diamond_64": (2 * CUBE, 32),
    }
    for name, (multiple, count) in cells.items():
        positions, cell = supercell(FCC, PAIR, multiple)
        yield name, positions, cell, PERIODIC, None  # the perfect crystal
        for k in range(count - 1):
            amplitude = (0.02, 0.05, 0.1, 0.15)[k % 4]
            volume, shear = ((0.03, 0.0), (0.15, 0.02), (0.1, 0.05), (0.05, 0.1))[(k // 4) % 4]
            yield name, *distorted(rng, positions, cell, PERIODIC, amplitude, volume, shear), PERIODIC, None
    for k in range(28):
        multiple = np.diag(((1, 1, 1), (1, 1, 2), (2, 1, 2), (2, 2, 2))[k % 4])
        positions, cell = supercell(BETA_TIN, BETA_TIN_BASIS, multiple)
        amplitude = (0.02, 0.05, 0.1, 0.15)[(k // 4) % 4]
        yield "beta_tin", *distorted(rng, positions, cell, PERIODIC, amplitude, 0.1, 0.04), PERIODIC, None
    for k in range(10):
        positions, cell = supercell(SIMPLE_CUBIC, np.zeros((1, 3)), np.diag((2, 2, 2 + k % 2)))
        yield "simple_cubic", *distorted(rng, positions, cell, PERIODIC, 0.02 + 0.01 * k, 0.1, 0.03), PERIODIC, None


def hot_diamond(rng):
    """Diamond in dynamics at three temperatures; 0.2 ps between frames."""
    positions, cell = supercell(FCC, PAIR, 2 * CUBE)
    for temperature in (300, 800, 1400):
        dynamics = Dynamics(rng, positions, cell, PERIODIC)
        dynamics.run(300, temperature)
        for _ in range(6):
            yield "diamond_md", dynamics.run(100, temperature), cell, PERIODIC, temperature


def liquids(rng):
    """64 atoms of liquid at three temperatures and densities, 0.6 ps between frames; then quenched to a glass.

    The potential melts at 1690 K, and its liquid has 2.5 g/cm^3 at zero pressure.
    """
    positions, cell = supercell(FCC, PAIR, 2 * CUBE)
    for temperature in (1800, 2300, 3000):
        for density in (2.40, 2.53, 2.66):  # g/cm^3; diamond has 2.33
            scale = (2.329 / density) ** (1 / 3)
            dynamics = Dynamics(rng, scale * positions, scale * cell, PERIODIC)
            dynamics.run(1000, 5000, dt=1.0)
            dynamics.run(1000, temperature)
            for _ in range(5):
                while True:
                    frame = dynamics.run(300, temperature)
                    if closest(frame, scale * cell, PERIODIC) >= CLOSEST:
                        break
                yield "liquid", frame, scale * cell, PERIODIC, temperature
            if temperature == 1800:
                for colder in range(1700, 300, -100):
                    dynamics.run(200, colder)
                for _ in range(3):
                    yield "amorphous", dynamics.run(200, 300), scale * cell, PERIODIC, 300


def vacancies(rng):
    """One atom taken out of 64 or 16: as cut, relaxed, both rattled, and in dynamics."""
    for multiple, count in ((2 * CUBE, 10), (2 * np.eye(3, dtype=int), 6)):
        positions, cell = supercell(FCC, PAIR, multiple)
        positions = positions[1:]
        start = positions + rng.normal(0, 0.02, positions.shape)
        relaxed = Dynamics(rng, start, cell, PERIODIC).run(500, 0)
        for k in range(count):
            atoms = (positions, relaxed)[k % 2]
            yield "vacancy", *distorted(rng, atoms, cell, PERIODIC, 0.02 + 0.015 * k, 0.06, 0.03), PERIODIC, None
        for temperature in (500, 1000):
            dynamics = Dynamics(rng, relaxed, cell, PERIODIC)
            dynamics.run(300, temperature)
            for _ in range(3):
                yield "vacancy", dynamics.run(150, temperature), cell, PERIODIC, temperature


def slab(multiple, gap=10.0):
    """A film of diamond with `gap` Å of vacuum; the first two rows of `multiple` (in FCC) span its plane.

    The film is cut at the widest space between atomic planes, where the fewest bonds break, and turned so that its
    normal is z.
    """
    positions, cell = supercell(FCC, PAIR, multiple)
    x = cell[0] / np.linalg.norm(cell[0])
    z = np.cross(cell[0], cell[1])
    z *= np.sign(z @ cell[2]) / np.linalg.norm(z)
    turn = np.stack([x, np.cross(z, x), z], axis=1)
    positions, cell = positions @ turn, cell @ turn
    thickness = cell[2, 2]
    heights = np.unique(np.round(positions[:, 2] % thickness, 6))
    spaces = np.diff(heights, append=heights[0] + thickness)
    bottom = heights[(np.argmax(np.round(spaces, 6)) + 1) % len(heights)]
    positions -= np.floor((positions[:, 2:] - bottom + 1e-6) / thickness) * cell[2]
    positions[:, 2] += gap / 2 - bottom
    cell[2] = [0, 0, thickness - spaces.max() + gap]
    return positions, cell


def surfaces(rng):
    """Films with the faces (100), (110), (111): rattled as cut, and in dynamics from there; the (100) face forms rows of
    dimers. Half carry pbc T T F, half are periodic with vacuum between the images."""
    films = {
        "surface_100": (([-1, 1, 0], [0, 0, 2], [2, 2, -2]), ([-2, 2, 0], [0, 0, 2], [2, 2, -2])),
        "surface_110": (([-1, 1, 1], [2, 0, 0], [0, 3, -3]), ([-1, 1, 1], [2, 0, 0], [0, 4, -4])),
        "surface_111": (([2, -2, 0], [0, 2, -2], [2, 2, 2]), ([2, -2, 0], [0, 2, -2], [1, 1, 2])),
    }
    for name, multiples in films.items():
        for multiple in multiples:
            positions, cell = slab(np.array(multiple))
            for k, pbc in enumerate((SLAB, PERIODIC)):
                new, new_cell = distorted(rng, positions, cell, PERIODIC, (0.03, 0.1)[k], 0.03, 0.0)
                yield name, new, new_cell, pbc, None
            for pbc, temperature in ((SLAB, 300), (PERIODIC, 800)):
                dynamics = Dynamics(rng, positions + rng.normal(0, 0.1, positions.shape), cell, pbc)
                dynamics.run(500, temperature)
                for _ in range(3 if temperature == 800 and name == "surface_100" else 2):
                    yield name, dynamics.run(150, temperature), cell, pbc, temperature


def labelled(name, positions, cell, pbc, temperature):
    """One frame of the file. Cell and positions are rounded first, so that the labels belong to the numbers stored."""
    cell = np.round(cell, 8)
    positions = np.round(sw.wrap(positions, cell, pbc), 8)
    energy, forces, strain_derivative = sw.evaluate(positions, cell, pbc)
    info = {"energy": energy}
    if pbc.all():
        info["virial"] = -(strain_derivative + strain_derivative.T) / 2
        info["stress"] = -info["virial"] / abs(np.linalg.det(cell))
    info["config_type"] = name
    if temperature is not None:
        info["temperature"] = temperature
    symbols = ["Si"] * len(positions)
    return {"symbols": symbols, "positions": positions, "forces": forces, "cell": cell, "pbc": pbc, "info": info}


def make():
    result = []
    for number, family in enumerate((crystals, hot_diamond, liquids, vacancies, surfaces)):
        result += [labelled(*frame) for frame in family(np.random.default_rng([SEED, number]))]
        print(f"{family.__name__}: {len(result)} frames so far", flush=True)
    extxyz.write(FILE, result)


def check():
    """Every frame: labels against the potential, forces and stress against differences, distances, repetitions."""
    stored = extxyz.read(FILE)
    rng = np.random.default_rng(SEED)
    h = 1e-4
    table, worst = {}, {"labels": 0.0, "net force": 0.0, "forces": 0.0, "stress": 0.0}
    shortest, energies = np.inf, []
    for frame in stored:
        x, cell, pbc, info = frame["positions"], frame["cell"], frame["pbc"], frame["info"]
        volume = abs(np.linalg.det(cell))
        energy, forces, _ = sw.evaluate(x, cell, pbc)
        worst["labels"] = max(worst["labels"], abs(energy - info["energy"]), np.abs(forces - frame["forces"]).max())
        worst["net force"] = max(worst["net force"], np.abs(frame["forces"].sum(axis=0)).max())
        along = rng.normal(size=x.shape)
        along /= np.linalg.norm(along)
        slope = -(sw.evaluate(x + h * along, cell, pbc)[0] - sw.evaluate(x - h * along, cell, pbc)[0]) / (2 * h)
        worst["forces"] = max(worst["forces"], abs(slope - np.sum(along * frame["forces"])))
        assert ("stress" in info) == ("virial" in info) == bool(pbc.all())
        if pbc.all():
            worst["labels"] = max(worst["labels"], np.abs(info["virial"] + volume * info["stress"]).max() / volume)
            strain = rng.uniform(-1, 1, (3, 3))
            change = [
                sw.evaluate(x @ (np.eye(3) + s * strain), cell @ (np.eye(3) + s * strain), pbc)[0] for s in (h, -h)
            ]
            slope = (change[0] - change[1]) / (2 * h) / volume
            worst["stress"] = max(worst["stress"], abs(slope - np.sum(strain * info["stress"])))
        shortest = min(shortest, closest(x, cell, pbc))
        energies.append(energy / len(x))
        table.setdefault(info["config_type"], []).append(energy / len(x))
    for name, values in table.items():
        print(f"{name:14s} {len(values):4d} frames, {min(values):8.4f} to {max(values):8.4f} eV/atom")
    print(f"{len(stored)} frames, {sum(len(f['symbols']) for f in stored)} atoms, shortest distance {shortest:.3f} Å")
    repeated = len(stored) - len(np.unique(np.round(energies, 7)))
    print("largest deviations:", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    with_ase(stored)
    # The perfect crystal stands in the file once per diamond cell: four frames, one energy per atom.
    good = worst["labels"] < 2e-8 and worst["net force"] < 1e-6 and worst["forces"] < 1e-5 and worst["stress"] < 1e-6
    return good and shortest >= CLOSEST and repeated == 3 and len(stored) == 300


def with_ase(stored):
    """Read the file with ASE and compare every number."""
    try:
        import ase.io
    except ImportError:
        print("ASE not installed: not read back with it")
        return
    import io

    with lzma.open(FILE, "rt") as file:
        atoms = ase.io.read(io.StringIO(file.read()), ":", format="extxyz")
    assert len(atoms) == len(stored)
    for a, frame in zip(atoms, stored, strict=True):
        assert np.array_equal(a.positions, frame["positions"]) and np.array_equal(a.pbc, frame["pbc"])
        assert np.array_equal(a.cell.array, frame["cell"])
        assert a.get_potential_energy() == frame["info"]["energy"]
        assert np.array_equal(a.get_forces(), frame["forces"])
        if frame["pbc"].all():
            assert np.allclose(a.get_stress(voigt=False), frame["info"]["stress"], atol=1e-8)
    print("read back with ASE: equal")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the file instead of making it")
    if parser.parse_args().check:
        sys.exit(0 if check() else "the file does not meet its checks")
    make()
