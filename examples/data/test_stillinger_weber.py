"""Tests of the potential that labels silicon.xyz.xz; NumPy only, a few seconds."""

import numpy as np

import stillinger_weber as sw

PERIODIC = np.array([True, True, True])
DIAMOND = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]) / 4


def distorted(seed, amplitude=0.2):
    """Eight atoms of diamond, displaced at random, in a sheared cell narrower than twice the cutoff."""
    rng = np.random.default_rng(seed)
    cell = 5.431 * np.eye(3) + 0.3 * rng.uniform(-1, 1, (3, 3))
    return DIAMOND @ cell + rng.normal(0, amplitude, (8, 3)), cell


def richardson(f, h=1e-3):
    """df/dx at 0 by central differences of fourth order."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def by_loops(positions):
    """The energy of a cluster as the paper writes it."""
    energy, n = 0.0, len(positions)
    for i in range(n):
        for j in range(n):
            r_ij = positions[j] - positions[i]
            r = np.linalg.norm(r_ij)
            if j == i or r >= sw.CUTOFF:
                continue
            h = np.exp(sw.SIGMA / (r - sw.CUTOFF))
            energy += 0.5 * sw.EPSILON * sw.A * (sw.B * (sw.SIGMA / r) ** 4 - 1) * h
            for k in range(j + 1, n):
                r_ik = positions[k] - positions[i]
                s = np.linalg.norm(r_ik)
                if k == i or s >= sw.CUTOFF:
                    continue
                angle = r_ij @ r_ik / (r * s) + 1 / 3
                decay = np.exp(sw.GAMMA * sw.SIGMA * (1 / (r - sw.CUTOFF) + 1 / (s - sw.CUTOFF)))
                energy += sw.EPSILON * sw.LAMBDA * angle**2 * decay
    return energy


def test_the_vectorised_energy_equals_the_triple_sum():
    positions, cell = distorted(0)
    energy = sw.evaluate(positions, 5 * cell, ~PERIODIC)[0]
    assert abs(energy - by_loops(positions)) < 1e-12 * abs(energy)


def test_forces_are_minus_the_gradient():
    for pbc in ([True, True, True], [True, True, False], [False, False, False]):
        positions, cell = distorted(1)
        _, forces, _ = sw.evaluate(positions, cell, np.array(pbc))

        def energy(x, atom, axis, pbc=pbc, positions=positions, cell=cell):
            moved = positions.copy()
            moved[atom, axis] += x
            return sw.evaluate(moved, cell, np.array(pbc))[0]

        slopes = [[-richardson(lambda x, i=i, k=k: energy(x, i, k)) for k in range(3)] for i in range(8)]
        assert np.abs(forces - slopes).max() < 1e-7 * np.abs(forces).max()


def test_stress_is_the_strain_derivative_per_volume_and_symmetric():
    positions, cell = distorted(2)
    stress = sw.stress(positions, cell, PERIODIC)
    for a in range(3):
        for b in range(3):

            def energy(x, a=a, b=b):
                strain = np.eye(3)
                strain[a, b] += x
                return sw.evaluate(positions @ strain, cell @ strain, PERIODIC)[0]

            assert abs(richardson(energy) / np.linalg.det(cell) - stress[a, b]) < 1e-7 * np.abs(stress).max()
    assert np.abs(stress - stress.T).max() < 1e-12 * np.abs(stress).max()


def test_stress_is_positive_under_tension():
    cell = 5.431 * 1.02 * np.eye(3)
    assert np.trace(sw.stress(DIAMOND @ cell, cell, PERIODIC)) > 0


def test_diamond_is_bound_by_4_336_eV_per_atom_at_the_measured_lattice_constant():
    energies = {}
    for a in (5.42, 5.431, 5.44):
        cell = a * np.eye(3)
        energies[a] = sw.evaluate(DIAMOND @ cell, cell, PERIODIC)[0] / 8
    assert abs(energies[5.431] + 4.3363) < 2e-4
    assert energies[5.431] < min(energies[5.42], energies[5.44])


def test_the_net_force_is_zero():
    for seed in range(3):
        positions, cell = distorted(seed)
        _, forces, _ = sw.evaluate(positions, cell, PERIODIC)
        assert np.abs(forces.sum(axis=0)).max() < 1e-11 * np.abs(forces).max()


def test_doubling_the_cell_doubles_the_energy():
    positions, cell = distorted(3)
    doubled = np.vstack([positions, positions + cell[1]]), cell * np.array([[1], [2], [1]])
    once, twice = sw.evaluate(positions, cell, PERIODIC)[0], sw.evaluate(*doubled, PERIODIC)[0]
    assert abs(twice - 2 * once) < 1e-12 * abs(twice)


def test_atoms_outside_the_cell_count_as_their_images():
    positions, cell = distorted(4)
    outside = positions + np.random.default_rng(4).integers(-3, 4, (8, 3)) @ cell
    inside, moved = sw.evaluate(positions, cell, PERIODIC), sw.evaluate(outside, cell, PERIODIC)
    for a, b in zip(inside, moved, strict=True):
        assert np.abs(np.subtract(a, b)).max() < 1e-10
