"""Derivatives of density coefficients by featomic, without splines: writes values.safetensors.

    python reference/jacobian/make.py        # no random numbers

Packages: featomic 0.6.7, numpy 2.4.6; also ASE and safetensors, which only carry the numbers.

Three structures with GTO 4/3. `<case>/positions` has axes [row, xyz, species, n, lm], lm = l² + l + m, species
ascending, and `<case>/rows` says which (centre, atom) its rows are: all that occur among the samples of featomic's
blocks, one for each (l, centre species, neighbour species); where a block lacks a row, the values are 0.
`<case>/strain` and `<case>/cell` have axes [centre, p, q, species, n, lm].
featomic normalises its Gaussian to ∫g² = 1, we to ∫g = 1:

    ours = featomic · (πσ²)^{3/4} / (2πσ²)^{3/2}
"""

import json
import pathlib
from importlib.metadata import version

import numpy as np
from ase import Atoms
from featomic import SphericalExpansion
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent
N_MAX, L_MAX = 4, 3


def structures():
    molecule = Atoms(
        [8, 6, 1, 1, 14],  # a bond along z, an atom that only some see, and one that none does
        [[0, 0, 0], [0, 0, 1.2], [0.93, 0.1, 1.8], [-0.9, 3.6, 1.9], [0.3, -0.4, -6.1]],
    )
    skewed = Atoms(
        [14, 8, 1],  # lattice vectors shorter than the cutoff, two atoms outside the cell
        [[0.2, -0.3, 0.1], [1.4, 3.2, 0.8], [5.9, 1.0, -1.1]],
        cell=[[3.1, 0, 0], [1.9, 2.9, 0], [-1.3, 1.1, 3.4]],
        pbc=True,
    )
    chain = Atoms(
        [6, 1],  # left-handed; each atom sees some images of itself, and the other several times
        [[0.3, 0.1, -0.2], [1.3, 0.5, 0.4]],
        cell=[[0.3, 2.3, 0.4], [3.9, -0.2, 0.5], [0.1, 0.7, 4.6]],
        pbc=True,
    )
    return {"molecule": molecule, "skewed": skewed, "chain": chain}


def settings(case):
    scaling = {"rate": 1.0, "scale": 2.0, "exponent": 3.0} if case != "molecule" else None
    sigma = {"molecule": 0.3, "skewed": 0.4, "chain": 0.35}[case]
    return {"n_max": N_MAX, "l_max": L_MAX, "r_cut": 4.2, "sigma": sigma, "cutoff_width": 0.8,
            "center_weight": 1.0, "radial_scaling": scaling}  # fmt: skip


def derivatives(atoms, s):
    """Rows (centre, atom), and derivatives by positions, strain and cell."""
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
    variables = ["positions", "strain", "cell"] if atoms.pbc.all() else ["positions"]
    result = calculator.compute(atoms, gradients=variables)
    pairs = {
        (int(block.samples["atom"][sample]), int(atom))
        for block in result.blocks()
        for sample, atom in zip(
            block.gradient("positions").samples["sample"], block.gradient("positions").samples["atom"], strict=True
        )
    }
    rows = sorted(pairs)
    species = sorted(set(atoms.numbers.tolist()))
    width = (len(species), s["n_max"], (s["l_max"] + 1) ** 2)
    found = {"positions": np.zeros((len(rows), 3, *width))}
    found.update({variable: np.zeros((len(atoms), 3, 3, *width)) for variable in variables[1:]})
    for key, block in result.items():
        l, a = int(key["o3_lambda"]), species.index(int(key["neighbor_type"]))
        lm = slice(l * l, (l + 1) ** 2)
        for variable, out in found.items():
            gradient = block.gradient(variable)
            centers = block.samples["atom"][gradient.samples["sample"]]
            for k, center in enumerate(centers):
                row = rows.index((center, gradient.samples["atom"][k])) if variable == "positions" else center
                out[row, ..., a, :, lm] = np.moveaxis(np.array(gradient.values[k]), -1, -2)
    v = s["sigma"] ** 2
    factor = (np.pi * v) ** 0.75 / (2 * np.pi * v) ** 1.5
    return rows, {variable: factor * values for variable, values in found.items()}


def main():
    tensors, notes = {}, {}
    for case, atoms in structures().items():
        tensors[f"{case}/numbers"] = atoms.numbers.astype(float)
        tensors[f"{case}/positions_of_atoms"] = atoms.positions
        tensors[f"{case}/cell_of_atoms"] = atoms.cell.array
        rows, found = derivatives(atoms, settings(case))
        tensors[f"{case}/rows"] = np.array(rows, dtype=float)
        tensors.update({f"{case}/{variable}": np.ascontiguousarray(values) for variable, values in found.items()})
        notes[case] = {**settings(case), "periodic": bool(atoms.pbc.all())}
    versions = {p: version(p) for p in ["featomic", "numpy"]}
    save_file(tensors, HERE / "values.safetensors", {"settings": json.dumps({"cases": notes, "versions": versions})})
    print(HERE / "values.safetensors", (HERE / "values.safetensors").stat().st_size // 1000, "kB", versions)


if __name__ == "__main__":
    main()
