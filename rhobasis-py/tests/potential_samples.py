"""What the tests of potentials learn from, and on which features."""

import numpy as np
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

DENSITY = rb.Density(r_cut=4.0, sigma=0.5, cutoff_width=1.0)


def labelled():
    """Crystals, strained and rattled, a slab and clusters of Al and Cu, with the results of EMT."""
    rng = np.random.default_rng(3)
    frames = [bulk("Cu"), bulk("Al"), bulk("Cu", cubic=True), bulk("Al", cubic=True)]
    frames += [Atoms("AlCu", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[2.9] * 3, pbc=True).repeat((1, 1, 2))] * 4
    frames += [fcc111("Al", (1, 2, 2), vacuum=3.0, orthogonal=True), Atoms("Cu3Al", positions=2.4 * np.eye(4)[:, :3])]
    frames += [Atoms("Al2", positions=[[0, 0, 0], [2.6, 0, 0]]), Atoms("Cu2", positions=[[0, 0, 0], [2.3, 0, 0]])] * 2
    frames = [atoms.copy() for atoms in frames * 2]
    for k, atoms in enumerate(frames):
        if atoms.pbc.all():
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.03, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.1, size=(len(atoms), 3))
        atoms.info["config_type"] = "crystal" if atoms.pbc.all() else "cluster"
        atoms.info["number"] = k
    frames += [Atoms("Al"), Atoms("Cu")]
    for atoms in frames:
        atoms.info.pop("adsorbate_info", None)  # a dict, which no file could hold
        keep_results(atoms)
    return frames


def keep_results(atoms):
    """Energy, forces and, of a crystal, stress of EMT."""
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        results["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **results)


FRAMES = labelled()
ENERGIES = np.array([atoms.get_potential_energy() for atoms in FRAMES])


def optimal(**options):
    options = {"l_max": 3, "q_max": 3, "mixing": "combined", "spline_accuracy": None} | options
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=5), **options)


def primitive():
    return rb.SphericalExpansion(DENSITY, rb.Gto(n_max=3), l_max=2, spline_accuracy=None)


def two_kinds(basis=None):
    basis = optimal() if basis is None else basis
    return [rb.PowerSpectrum(basis), rb.Bispectrum(basis, q_max=2, l_max=2, weight=0.5)]


def same(a, b):
    x, y = a.predict(FRAMES), b.predict(FRAMES)
    np.testing.assert_array_equal(x.energies, y.energies)
    np.testing.assert_array_equal(x.stresses, y.stresses)
    for f, g in zip([*x.forces, *x.atom_energies], [*y.forces, *y.atom_energies], strict=True):
        np.testing.assert_array_equal(f, g)
