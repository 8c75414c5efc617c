"""Optimal bases evaluated by featomic: writes <case>.rho and values.npz.

    python reference/featomic_export/make.py        # seed 7

Packages: featomic 0.6.7, numpy 2.4.6, ASE 3.29.0, and rhobasis, which fits the bases and exports them.

`<case>/<frame>/l<l>` holds featomic's coefficients as [center, m, channel]. `<case>/<frame>/forces` are −dE/dr of the
energy E = Σ g c with the coefficients c and the made-up numbers g of `adjoint`, from featomic's gradients of positions.
"""

import pathlib
from importlib.metadata import version

import ase
import numpy as np

import rhobasis as rb

HERE = pathlib.Path(__file__).resolve().parent


def frames():
    """A molecule, and a skewed crystal whose cell is smaller than the cutoff, with atoms outside it."""
    rng = np.random.default_rng(7)
    heavy, hydrogens = (
        [[0, 0, 0], [1.42, 0.1, -0.2]],
        [[-0.4, 1, 0.1], [-0.3, -0.5, 0.9], [-0.4, -0.5, -0.9], [2, -1, 0]],
    )
    molecule = ase.Atoms("COHHHH", positions=np.array(heavy + hydrogens) + rng.normal(0, 0.05, (6, 3)))
    cell = [[3.1, 0, 0], [1.2, 2.9, 0], [-0.7, 0.4, 3.3]]
    crystal = ase.Atoms("OCHC", positions=rng.uniform(-1, 4, (4, 3)), cell=cell, pbc=True)
    return {"molecule": molecule, "crystal": crystal}


def training():
    """The frames above and three rattled copies of each."""
    rng = np.random.default_rng(8)
    copies = [atoms.copy() for atoms in frames().values() for _ in range(4)]
    for atoms in copies:
        atoms.positions += rng.normal(0, 0.1, (len(atoms), 3))
    return copies


def bases():
    """What could go wrong: species with their own widths, channels that differ by l, scaling, weights, δ densities."""
    scaling, steep = rb.RadialScaling(1.0, 2.0, 7.0), rb.RadialScaling(2.0, 1.5, 4.5)
    by_species = rb.Density(r_cut=4.0, sigma={"H": 0.3, "C": 0.4, "O": 0.5}, cutoff_width=0.7, center_weight=0.6)
    scaled = rb.Density(r_cut=4.5, sigma=0.4, cutoff_width=1.0, scaling=scaling)
    stepped = rb.Density(r_cut=3.5, sigma=0.5, cutoff_width=0.0, scaling=steep, center_weight=2.0)
    point = rb.Density(r_cut=4.0, sigma=0.0)
    return {
        "per_species": rb.OptimalBasis(by_species, rb.Gto(n_max=8), l_max=5, retain=0.99, spline_accuracy=1e-6),
        "combined": rb.OptimalBasis(scaled, rb.Gto(n_max=8), l_max=4, q_max=4, mixing="combined", spline_accuracy=1e-6),
        "center_specific": rb.OptimalBasis(
            stepped, rb.Dvr(n_max=6), l_max=3, retain=0.95, mixing="combined", center_specific=True
        ),
        "delta": rb.OptimalBasis(point, rb.LaplacianEigenstates(n_max=6), l_max=3, q_max=2),
    }


def adjoint(shape, l):
    return np.cos(1 + np.einsum("i,m,q->imq", *(np.arange(1, n + 1) for n in shape)) + l)


def with_featomic(basis, atoms):
    """Coefficients in our layout, and forces, both by featomic with the exported basis."""
    import featomic

    like = basis.transform(atoms)
    blocks, forces = [np.zeros_like(block) for block in like.blocks], np.zeros((len(atoms), 3))
    for center in sorted(set(atoms.numbers.tolist())):
        exported = basis.to_featomic(center=center if basis.center_specific else None)
        for z, hypers in exported.items():
            result = featomic.SphericalExpansion(**hypers).compute(atoms, gradients=["positions"])
            for key, block in result.items():
                if key["center_type"] != center or key["neighbor_type"] != z:
                    continue
                l = key["o3_lambda"]
                columns = np.flatnonzero(like.channels[l][:, 0] == (0 if basis.mixing == "combined" else z))
                if basis.center_specific:  # kinds of centre with fewer channels are filled up with zeros
                    columns = columns[: block.values.shape[2]]
                rows = block.samples["atom"]
                blocks[l][np.ix_(rows, np.arange(2 * l + 1), columns)] += block.values
                gradient = block.gradient("positions")
                g = adjoint(blocks[l].shape, l)[rows][:, :, columns][gradient.samples["sample"]]
                np.subtract.at(forces, gradient.samples["atom"], np.einsum("imq,ixmq->ix", g, gradient.values))
    return blocks, forces


def differences(basis, atoms, blocks, forces):
    """Largest differences to ours, relative to the largest number."""
    c = basis.transform(atoms)
    largest = max(np.abs(block).max() for block in blocks)
    value = max((np.abs(ours - theirs).max() for ours, theirs in zip(c.blocks, blocks, strict=True)), default=0)
    ours, _ = basis.backward(atoms, [adjoint(block.shape, l) for l, block in enumerate(c.blocks)])
    return value / largest, np.abs(ours[0] - forces).max() / np.abs(forces).max()


def main():
    arrays = {}
    for case, basis in bases().items():
        basis.fit(training()).save(HERE / f"{case}.rho")
        for name, atoms in frames().items():
            blocks, forces = with_featomic(basis, atoms)
            print(case, name, "differences of values and forces:", *differences(basis, atoms, blocks, forces))
            arrays.update({f"{case}/{name}/l{l}": block for l, block in enumerate(blocks)})
            arrays[f"{case}/{name}/forces"] = forces
    np.savez_compressed(HERE / "values.npz", **arrays)
    print({package: version(package) for package in ("featomic", "numpy", "ase")}, "rhobasis", rb.__version__)


if __name__ == "__main__":
    main()
