"""Power spectra by featomic, without splines: writes values.npz.

    python reference/power_spectrum/make.py        # no random numbers

Packages: featomic 0.6.7, numpy 2.4.6.

A molecule of three species and a skewed crystal whose cell is smaller than the cutoff, GTO 6/4. `<case>_values` are
featomic's own numbers [center, column], nothing done to them, and `<case>_columns` says what the columns are: rows
[l, species_1, n_1, species_2, n_2], one block of featomic after the other; all pairs (n_1, n_2) of the pairs of
species with species_1 ≤ species_2. Where a block lacks a centre, which does not see these species, the values are 0.

featomic has (−1)^l where we have 1, √2 for pairs of different species where we have it for different channels, and a
Gaussian with ∫g² = 1 where ours has ∫g = 1:

    ours = featomic · (−1)^l ((πσ²)^{3/4} / (2πσ²)^{3/2})², times √2 if the species are the same and n_1 ≠ n_2
"""

import json
import pathlib
from importlib.metadata import version

import numpy as np
from ase import Atoms
from featomic import SoapPowerSpectrum

HERE = pathlib.Path(__file__).resolve().parent
N_MAX, L_MAX = 6, 4


def structures():
    molecule = Atoms(
        [8, 6, 1, 1, 1, 6],  # a bond along z, and an atom that nobody sees
        [[0, 0, 0], [0, 0, 1.2], [0.93, 0.1, 1.8], [-0.9, 0.6, 1.9], [0.4, 2.9, 0.7], [0.3, -0.4, -6.1]],
    )
    crystal = Atoms(
        [14, 8, 1],  # two atoms outside the cell
        [[0.2, -0.3, 0.1], [1.4, 3.2, 0.8], [5.9, 1.0, -1.1]],
        cell=[[3.1, 0, 0], [1.9, 2.9, 0], [-1.3, 1.1, 3.4]],
        pbc=True,
    )
    return {"molecule": molecule, "crystal": crystal}


def settings(case):
    scaling = {"rate": 1.0, "scale": 2.0, "exponent": 3.0} if case == "crystal" else None
    sigma = {"molecule": 0.3, "crystal": 0.4}[case]
    return {"n_max": N_MAX, "l_max": L_MAX, "r_cut": 4.2, "sigma": sigma, "cutoff_width": 0.8,
            "center_weight": 1.0, "radial_scaling": scaling}  # fmt: skip


def power_spectrum(atoms, s):
    """Columns, and values [center, column]."""
    density = {"type": "Gaussian", "width": s["sigma"], "center_atom_weight": s["center_weight"]}
    if s["radial_scaling"]:
        density["scaling"] = {"type": "Willatt2018", **s["radial_scaling"]}
    calculator = SoapPowerSpectrum(
        cutoff={"radius": s["r_cut"], "smoothing": {"type": "ShiftedCosine", "width": s["cutoff_width"]}},
        density=density,
        basis={
            "type": "TensorProduct",
            "max_angular": s["l_max"],
            "radial": {"type": "Gto", "max_radial": s["n_max"] - 1},
            "spline_accuracy": None,
        },
    )
    found = {}  # values of each column by centre
    for key, block in calculator.compute(atoms).items():
        z_1, z_2 = int(key["neighbor_1_type"]), int(key["neighbor_2_type"])
        centers = block.samples["atom"]
        for k, (l, n_1, n_2) in enumerate(block.properties.values.tolist()):
            column = found.setdefault((l, z_1, n_1, z_2, n_2), np.zeros(len(atoms)))
            column[centers] = block.values[:, k]
    return np.array(list(found)), np.stack(list(found.values()), axis=1)


def main():
    arrays, notes = {}, {}
    for case, atoms in structures().items():
        columns, values = power_spectrum(atoms, settings(case))
        arrays.update(
            {
                f"{case}_numbers": atoms.numbers,
                f"{case}_positions": atoms.positions,
                f"{case}_cell": atoms.cell.array,
                f"{case}_columns": columns,
                f"{case}_values": values,
            }
        )
        notes[case] = {**settings(case), "periodic": bool(atoms.pbc.all())}
        print(case, values.shape)
    versions = {package: version(package) for package in ["featomic", "numpy"]}
    text = json.dumps({"cases": notes, "versions": versions})
    np.savez_compressed(HERE / "values.npz", settings=text, **arrays)
    print(HERE / "values.npz", (HERE / "values.npz").stat().st_size // 1000, "kB", versions)


if __name__ == "__main__":
    main()
