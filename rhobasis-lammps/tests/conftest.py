"""The plugin, potentials, and LAMMPS as a function."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import cellpar_to_cell
from rhobasis_lammps import folder

import rhobasis as rb

DATA = Path(__file__).parents[2] / "examples" / "data"
PACKAGE = Path(__file__).parents[1]
PLUGIN = Path(folder()) / "rhobasisplugin.so"
ELEMENTS = {"silicon": ["Si"], "alloy": ["Ag", "Au", "Cu", "Ni"]}

# What LAMMPS takes for 1 eV/Å³, in bar, in units metal.
BAR = 1.6021765e6


@pytest.fixture(scope="session", autouse=True)
def plugin() -> Path:
    """It has been built."""
    assert PLUGIN.exists(), "make lammps builds it"
    return PLUGIN


def density(**settings: Any) -> rb.Density:
    return rb.Density(r_cut=4.0, sigma=0.5, cutoff_width=1.0, **settings)


def alloy_frames() -> list[Atoms]:
    """Four metals on a lattice, rattled, with the energies and forces of effective medium theory."""
    random = np.random.default_rng(3)
    frames = []
    for seed in range(8):
        atoms = bulk("Cu", a=3.85 + 0.05 * random.random(), cubic=True).repeat((2, 1, 2))
        atoms.symbols[:] = random.permutation(ELEMENTS["alloy"] * 4)
        atoms.rattle(0.12, seed=seed)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def potentials() -> dict[str, rb.Potential]:
    """One of each kind."""
    silicon = rb.read(f"{DATA / 'silicon.xyz.xz'}@::12")

    def basis(l_max: int = 3, q_max: int = 3, **settings: str) -> rb.OptimalBasis:
        return rb.OptimalBasis(density(), rb.Gto(n_max=6), l_max=l_max, q_max=q_max, **settings)

    table = rb.Tabulated.from_function(lambda r: np.cos(np.outer(np.arange(5), r)) * (5 - r), 5, r_max=5.0)
    own = rb.OptimalBasis(density(cutoff_function="polynomial"), table, l_max=3, q_max=3)
    nice = rb.Nice(basis(2), nu_max=3, n_equivariants=8, n_invariants=20)
    return {
        "linear": rb.Potential(rb.PowerSpectrum(basis()), rb.Ridge()).fit(silicon),
        "sparse": rb.Potential(rb.PowerSpectrum(basis()), rb.Gap(n_sparse=60)).fit(
            rb.read(f"{DATA / 'silicon.xyz.xz'}@::12")
        ),
        "nice": rb.Potential(nice, rb.Ridge()).fit(silicon),
        "table": rb.Potential(rb.PowerSpectrum(own), rb.Ridge()).fit(silicon),
        "supervised": rb.Potential(rb.PowerSpectrum(basis(method="supervised")), rb.Ridge()).fit(silicon),
        "alloy": rb.Potential(rb.PowerSpectrum(basis(mixing="combined")), rb.Ridge()).fit(alloy_frames()),
    }


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of potentials."""
    home = tmp_path_factory.mktemp("models")
    for name, potential in potentials().items():
        potential.save(home / f"{name}.rho")
    return {path.stem: path for path in home.glob("*.rho")}


def silicon() -> Atoms:
    """Rattled, in a skewed cell that is hardly larger than the cutoff; its first vector along x, as LAMMPS has it."""
    atoms = bulk("Si", a=5.43, cubic=True)
    atoms.set_cell(cellpar_to_cell([5.4, 5.6, 10.9, 81, 97, 86]) @ np.eye(3), scale_atoms=True)
    atoms += Atoms("Si", [[1.5, 1.1, 7.5]])
    atoms.rattle(0.1, seed=1)
    return atoms


def alloy() -> Atoms:
    """Of four species, in a cell of another shape."""
    atoms = bulk("Cu", a=3.9, cubic=True).repeat((2, 2, 1))
    atoms.symbols[:] = ELEMENTS["alloy"] * 4
    atoms.set_cell(cellpar_to_cell([7.7, 7.9, 4.1, 93, 84, 88]), scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def write_data(path: Path, atoms: Atoms, elements: list[str]) -> None:
    """A data file of LAMMPS, with all digits."""
    (xx, *none), (xy, yy, zero), (xz, yz, zz) = atoms.cell.array
    assert np.allclose([*none, zero], 0, atol=1e-14)
    lines = ["rhobasis", "", f"{len(atoms)} atoms", f"{len(elements)} atom types", ""]
    lines += [f"0 {float(x)!r} {d}lo {d}hi" for x, d in zip((xx, yy, zz), "xyz", strict=True)]
    lines += [f"{float(xy)!r} {float(xz)!r} {float(yz)!r} xy xz yz", "", "Atoms # atomic", ""]
    for k, (symbol, r) in enumerate(zip(atoms.symbols, atoms.positions, strict=True)):
        lines.append(f"{k + 1} {elements.index(symbol) + 1} {' '.join(repr(float(x)) for x in r)}")
    path.write_text("\n".join(lines) + "\n")


# Of each frame: positions, forces, energies; virials of atoms, and their centroid form.
DUMP = """
compute e all pe/atom
compute s all stress/atom NULL virial
compute c all centroid/stress/atom NULL virial
compute p all pressure NULL virial
dump 1 all custom {every} dump.txt id type x y z fx fy fz c_e c_s[*] c_c[*]
dump_modify 1 sort id format float %.17g
thermo_style custom step pe lx ly lz xy xz yz c_p[1] c_p[2] c_p[3] c_p[4] c_p[5] c_p[6]
thermo_modify norm no format float %.17g
thermo {every}
"""

HEAD = """units metal
boundary p p p
newton on
atom_style atomic
read_data atoms.data
"""


@dataclass
class Frame:
    """What LAMMPS says of one step; pressure and virials in eV/Å³ and eV."""

    atoms: Atoms
    energy: float
    pressure: np.ndarray
    forces: np.ndarray
    energies: np.ndarray
    virials: np.ndarray
    centroid: np.ndarray


@dataclass
class Engine:
    """LAMMPS in a folder."""

    home: Path
    elements: list[str]

    def start(self, script: str, ranks: int = 1, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs it as a user does."""
        (self.home / "in.lammps").write_text(script)
        command = [sys.executable, "-m", "rhobasis_lammps", "run", "in.lammps", "--ranks", str(ranks)]
        paths = {"PYTHONPATH": f"{PACKAGE}:{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **paths, **environment}
        return subprocess.run(
            command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def frames(self, body: str, every: int = 1, ranks: int = 1, head: str = HEAD) -> list[Frame]:
        """Runs a script, of which `{dump}` is where numbers are asked for; what it gave."""
        ran = self.start((head + body).replace("{dump}", DUMP.format(every=every)), ranks)
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
        return self._read(ran.stdout)

    def _read(self, log: str) -> list[Frame]:
        rows = {}
        for line in log.splitlines():
            words = line.split()
            if len(words) == 14 and words[0].isdigit():
                rows[int(words[0])] = [float(x) for x in words[1:]]
        frames = []
        for block in (self.home / "dump.txt").read_text().split("ITEM: TIMESTEP\n")[1:]:
            lines = block.splitlines()
            energy, lx, ly, lz, xy, xz, yz, *pressure = rows[int(lines[0])]
            start = next(k for k, line in enumerate(lines) if line.startswith("ITEM: ATOMS")) + 1
            table = np.array([[float(x) for x in line.split()] for line in lines[start:]])
            symbols = [self.elements[int(kind) - 1] for kind in table[:, 1]]
            cell = [[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]
            atoms = Atoms(symbols, table[:, 2:5], cell=cell, pbc=True)
            frames.append(
                Frame(
                    atoms,
                    energy,
                    np.array(pressure) / BAR,
                    table[:, 5:8],
                    table[:, 8],
                    table[:, 9:15] / BAR,
                    table[:, 15:24] / BAR,
                )
            )
        assert frames
        return frames


@pytest.fixture
def engine(tmp_path: Path):
    """Makes an engine for some atoms."""

    def of(atoms: Atoms, elements: list[str]) -> Engine:
        write_data(tmp_path / "atoms.data", atoms, elements)
        return Engine(tmp_path, elements)

    return of
