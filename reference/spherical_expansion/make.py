"""Density coefficients by featomic, without splines: writes values.safetensors.

    python reference/spherical_expansion/make.py        # seed 5

Packages: featomic 0.6.7, vesin 0.6.2, numpy 2.4.6; also ASE and safetensors, which only carry the numbers.

Four structures, each with GTO 8/6 for all centres and GTO 12/8 for the first two. `<case>/coefficients` has axes
[center, species, n, lm], lm = l² + l + m, species ascending. featomic normalises its Gaussian to ∫g² = 1, we to ∫g = 1:

    ours = featomic · (πσ²)^{3/4} / (2πσ²)^{3/2}

`<case>/pairs` counts the neighbours of each centre by vesin, so that a difference can be told apart from a wrong list.
"""

import json
import pathlib
from importlib.metadata import version

import ase
import numpy as np
from featomic import SphericalExpansion
from safetensors.numpy import save_file
from vesin import NeighborList

HERE = pathlib.Path(__file__).resolve().parent
rng = np.random.default_rng(5)


class System:
    """A structure as arrays, for vesin and for ASE's Atoms, which featomic takes."""

    def __init__(self, numbers, positions, cell, pbc):
        self.numbers, self.positions = np.array(numbers), np.array(positions, dtype=float)
        self.cell, self.pbc = np.array(cell, dtype=float), pbc


def structures():
    molecule = System(
        [6, 6, 8, 1, 1, 1, 1, 1, 1],  # ethanol, one H turned on to the z axis of its carbon
        [[0, 0, 0], [1.2, 0.8, 0.3], [1.1, 1.5, 1.5], [0, 0, 1.09], [-0.9, 0.5, -0.3], [0.3, -1.0, -0.3],
         [2.2, 0.3, 0.2], [1.1, 1.6, -0.5], [1.9, 2.0, 1.6]],
        np.zeros((3, 3)), False,
    )  # fmt: skip
    corners = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]) / 4
    diamond = 5.43 * corners + rng.normal(0, 0.08, (8, 3))
    silicon = System([14] * 8, diamond, 5.43 * np.eye(3), True)
    carbide = System([14] * 4 + [6] * 4, diamond * 4.36 / 5.43, 4.36 * np.eye(3), True)
    skewed = System(
        [8, 14, 8],  # every lattice vector shorter than the cutoff, two atoms outside the cell
        [[0.2, -0.3, 0.1], [1.4, 3.2, 0.8], [5.9, 1.0, -1.1]],
        [[3.1, 0, 0], [1.9, 2.9, 0], [-1.3, 1.1, 3.4]], True,
    )  # fmt: skip
    return {"molecule": molecule, "silicon": silicon, "carbide": carbide, "skewed": skewed}


def settings(n_max, l_max, case):
    scaling = {"rate": 1.0, "scale": 2.0, "exponent": 7.0} if case == "carbide" else None
    sigma = {"molecule": 0.3, "silicon": 0.5, "carbide": 0.4, "skewed": 0.35}[case]
    return {"n_max": n_max, "l_max": l_max, "r_cut": 4.5, "sigma": sigma, "cutoff_width": 0.5,
            "center_weight": 1.0, "radial_scaling": scaling}  # fmt: skip


def coefficients(system, s):
    atoms = ase.Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    density = {"type": "Gaussian", "width": s["sigma"], "center_atom_weight": s["center_weight"]}
    if s["radial_scaling"]:
        density["scaling"] = {"type": "Willatt2018", **s["radial_scaling"]}
    calculator = SphericalExpansion(
        cutoff={"radius": s["r_cut"], "smoothing": {"type": "ShiftedCosine", "width": s["cutoff_width"]}},
        density=density,
        basis={
            "type": "TensorProduct",
            "max_angular": s["l_max"],
            "radial": {"type": "Gto", "max_radial": s["n_max"] - 1},
            "spline_accuracy": None,
        },
    )
    species = sorted(set(system.numbers.tolist()))
    c = np.zeros((len(atoms), len(species), s["n_max"], (s["l_max"] + 1) ** 2))
    for key, block in calculator.compute(atoms).items():
        l = key["o3_lambda"]
        rows = np.array(block.samples["atom"])
        a = species.index(key["neighbor_type"])
        c[rows, a, :, l * l : (l + 1) ** 2] = np.array(block.values).transpose(0, 2, 1)
    v = s["sigma"] ** 2
    return c * (np.pi * v) ** 0.75 / (2 * np.pi * v) ** 1.5


def main():
    tensors, notes = {}, {}
    for name, system in structures().items():
        tensors[f"{name}/numbers"] = system.numbers.astype(float)
        tensors[f"{name}/positions"] = system.positions
        tensors[f"{name}/cell"] = system.cell
        for n_max, l_max in [(8, 6), (12, 8)]:
            s = settings(n_max, l_max, name)
            case = f"{name}/{n_max}_{l_max}"
            c = coefficients(system, s)
            tensors[f"{case}/coefficients"] = np.ascontiguousarray(c if n_max == 8 else c[:2])
            notes[case] = {**s, "structure": name, "periodic": bool(system.pbc)}
        first = NeighborList(cutoff=s["r_cut"], full_list=True).compute(
            points=system.positions, box=system.cell, periodic=system.pbc, quantities="i"
        )[0]
        tensors[f"{name}/pairs"] = np.bincount(first.astype(int), minlength=len(system.numbers)).astype(float)
    versions = {p: version(p) for p in ["featomic", "vesin", "numpy"]}
    save_file(tensors, HERE / "values.safetensors", {"settings": json.dumps({"cases": notes, "versions": versions})})
    print(HERE / "values.safetensors", (HERE / "values.safetensors").stat().st_size // 1000, "kB", versions)


if __name__ == "__main__":
    main()
