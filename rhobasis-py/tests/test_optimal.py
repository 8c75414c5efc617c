"""The optimal basis through Python."""

import copy
import itertools
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from sklearn.base import clone

KINDS = list(itertools.product(("per-species", "combined"), (False, True)))


def basis_of(**options):
    options = {"l_max": 2, "q_max": 3, **options}
    return rb.OptimalBasis(rb.Density(r_cut=3.5, sigma=0.4), rb.Gto(n_max=6), **options)


def two_steps(basis, frames):
    """Eqs. (7), (12): U applied to the primitive coefficients."""
    species = basis.species_
    primitive = rb.SphericalExpansion(basis.density, basis.primitive, basis.l_max, species=species).transform(frames)
    channels, n = basis.transform(frames).channels, basis.primitive.n_max
    result = []
    for l, c in enumerate(primitive.blocks):
        out = np.zeros((*c.shape[:2], len(channels[l])))
        for i, center in enumerate(primitive.centers["species"]):
            u = basis.contraction_[center] if basis.center_specific else basis.contraction_
            if basis.mixing == "combined":
                out[i, :, : len(u[l])] = c[i] @ u[l].T
                continue
            for k, z in enumerate(species):
                q = len(u[z, l])
                start = np.flatnonzero(channels[l][:, 0] == z)[0] if (channels[l][:, 0] == z).any() else 0
                out[i, :, start : start + q] = c[i][:, k * n : (k + 1) * n] @ u[z, l].T
        result.append(out)
    return result


@pytest.mark.filterwarnings("ignore:.* fewer channels than asked")
@pytest.mark.parametrize(("mixing", "center_specific"), KINDS)
def test_eqs_8_13_direct_coefficients_equal_contracted_primitive_ones(mixing, center_specific, molecules):
    basis = basis_of(mixing=mixing, center_specific=center_specific).fit(molecules)
    direct = basis.transform(molecules).blocks
    for a, b in zip(direct, two_steps(basis, molecules), strict=True):
        assert np.abs(a - b).max() < 1e-7 * np.abs(b).max()


@pytest.mark.filterwarnings("ignore:.* fewer channels than asked")
@pytest.mark.parametrize(("mixing", "center_specific"), KINDS)
def test_chunks_files_pickles_and_saved_bases_have_the_same_bits(mixing, center_specific, molecules):
    frames = molecules * 17  # more than two blocks of 64
    expected = basis_of(mixing=mixing, center_specific=center_specific, l_max=1).fit(frames)
    rb.write("m.xyz", frames)
    others = [clone(expected).fit("m.xyz"), clone(expected).fit(["m.xyz@:70", "m.xyz@70:"])]
    for chunk in (1, 64, len(frames)):
        basis = clone(expected)
        for start in range(0, len(frames), chunk):
            basis.partial_fit(frames[start : start + chunk])
        others.append(basis)
    others.append(pickle.loads(pickle.dumps(expected)))
    expected.save("b.rho")
    others.append(rb.load("b.rho"))
    c = expected.transform(molecules).to_matrix()
    for basis in others:
        np.testing.assert_array_equal(basis.transform(molecules).to_matrix(), c)
        assert str(basis.eigenvalues_) == str(expected.eigenvalues_)
        assert repr(basis) == repr(expected)


def test_threads_do_not_change_a_bit():
    code = """
import hashlib, numpy as np, rhobasis as rb
from ase.build import molecule
rng, frames = np.random.default_rng(3), [molecule(m) for m in ("H2O", "CH3OH", "C6H6")] * 50
for atoms in frames:
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
basis = rb.OptimalBasis(rb.Density(r_cut=3.5), rb.Gto(n_max=6), l_max=2, q_max=3, mixing="combined").fit(frames)
c = basis.transform(frames)
forces, virial = basis.backward(frames, c)
print(hashlib.sha256(c.to_matrix().tobytes() + np.concatenate(forces).tobytes() + virial.tobytes()).hexdigest())
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"RAYON_NUM_THREADS": n}, check=True, capture_output=True, text=True
        ).stdout
        for n in ("1", "2", "3")
    }
    assert len(found) == 1


def test_eq22_what_the_channels_leave_out_is_the_residual_variance(molecules):
    basis = basis_of(mixing="combined", q_max=4).fit(molecules)
    rv = basis.residual_variance()
    assert rv[0] == 1.0
    assert (np.diff(rv) <= 0).all()
    full = rb.SphericalExpansion(basis.density, basis.primitive, basis.l_max).transform(molecules)
    left = 1 - sum(np.sum(b**2) for b in basis.transform(molecules).blocks) / sum(np.sum(b**2) for b in full.blocks)
    assert abs(left - rv[4]) < 1e-7
    assert abs(basis.discarded_variance_ - rv[4]) < 1e-12
    total = sum(v.sum() for v in basis.eigenvalues_.values()) * basis.n_centers_
    assert abs(total / sum(np.sum(b**2) for b in full.blocks) - 1) < 1e-7


def test_weights_of_ones_change_nothing_and_a_weight_counts_twice(molecules):
    ones = np.ones(sum(map(len, molecules)))
    plain, weighted = basis_of().fit(molecules), basis_of().fit(molecules, weights=ones)
    np.testing.assert_allclose(plain.eigenvalues_[1, 0], weighted.eigenvalues_[1, 0], rtol=1e-14)
    doubled = basis_of().fit(molecules, weights=2 * ones)
    np.testing.assert_allclose(doubled.eigenvalues_[8, 0][0], 2 * plain.eigenvalues_[8, 0][0], rtol=1e-14)


@pytest.mark.filterwarnings("ignore:.* fewer channels than asked")
def test_optimal_functions_are_contractions_of_primitive_ones(molecules):
    r = np.linspace(0, 3.5, 20)
    basis = basis_of(mixing="combined", center_specific=True).fit(molecules)
    primitive = rb.SphericalExpansion(basis.density, basis.primitive, 2, species=basis.species_)
    u = basis.contraction_[6][1][:, 6:12]  # neighbours of species C are the second six of H C N O
    np.testing.assert_allclose(
        basis.radial_functions(r, species="C", l=1, center="C"), primitive.radial_functions(r, "C", 1) @ u.T, atol=1e-10
    )
    for derivative in (False, True):
        np.testing.assert_allclose(
            basis.radial_integrals(r, "C", 1, center=6, derivative=derivative),
            primitive.radial_integrals(r, "C", 1, derivative=derivative) @ u.T,
            atol=1e-10,
        )
    assert len(basis.radial_functions(r, species=1, center=8)) == 3


def test_channels_that_are_noise_are_warned_of():
    with pytest.warns(UserWarning, match="channels kept, the other eigenvalues are noise") as found:
        basis_of(q_max=6).fit(molecule("H2O"))
    assert len(found) == 1
    text = str(found[0].message)
    n = int(text.split()[0])
    assert n > 3
    assert text.startswith(f"{n} blocks keep fewer channels than asked for: l = ")
    assert text.count("are noise") == 3


def test_a_species_seen_only_in_the_last_frame_is_there(molecules):
    frames = [molecule("CH4")] * 70 + [molecule("H2O")]
    basis = basis_of(retain=0.999, q_max=None).fit(frames)
    assert basis.species_ == [1, 6, 8]
    assert basis.eigenvalues_[8, 0][0] > 0


def test_forces_of_a_contracted_energy(molecules):
    basis = basis_of(mixing="combined").fit(molecules)
    atoms = molecules[3]
    (forces,), _ = basis.backward(atoms, [2 * b for b in basis.transform(atoms).blocks])

    def energy(h):
        moved = atoms.copy()
        moved.positions[0, 2] += h
        return sum(float(np.sum(b**2)) for b in basis.transform(moved).blocks)

    slopes = [(energy(h) - energy(-h)) / (2 * h) for h in (1e-3, 5e-4)]
    assert abs((4 * slopes[1] - slopes[0]) / 3 + forces[0, 2]) < 1e-7 * np.abs(forces).max()


def test_ten_lines_of_numpy_read_a_basis_file(molecules):
    text = (pathlib.Path(__file__).parents[2] / "docs" / "how-to" / "read-a-basis.md").read_text()
    code = "".join(part.split("```")[0] for part in text.split("```python\n")[1:])  # with the digest
    basis = basis_of(mixing="combined").fit(molecules)
    basis.save("basis.rho")
    names: dict = {}
    exec(code, names)
    np.testing.assert_array_equal(names["tensors"]["U/l1"], basis.contraction_[1])
    np.testing.assert_allclose(names["f"], basis.radial_integrals([2.0], species=6, l=1)[0], atol=1e-7)


def test_the_file_says_where_it_came_from(molecules):
    rb.write("m.xyz", molecules)
    basis = basis_of().fit("m.xyz@:5")
    basis.save("b.rho")
    header = pathlib.Path("b.rho").read_bytes()[:4000].decode(errors="ignore")
    assert "m.xyz@:5" in header
    assert 'frames\\":5' in header


def test_another_truncation_of_the_same_covariance(molecules):
    basis = basis_of().fit(molecules)
    assert basis.transform(molecules).blocks[1].shape[2] == 12
    basis.set_params(q_max=2)
    np.testing.assert_array_equal(
        basis.transform(molecules).to_matrix(), basis_of(q_max=2).fit(molecules).transform(molecules).to_matrix()
    )


def test_parameters_that_change_between_parts_are_refused(molecules):
    basis = basis_of().partial_fit(molecules[:4])
    basis.density.set_params(r_cut=4.0)
    with pytest.raises(rb.RhobasisError, match=r"density__r_cut = 4\.0: it was 3\.5 where .* fitted; call fit"):
        basis.partial_fit(molecules[4:])
    basis.density.set_params(r_cut=3.5)
    basis.set_params(q_max=2).partial_fit(molecules[4:])
    expected = basis_of(q_max=2).fit(molecules)
    np.testing.assert_array_equal(basis.eigenvalues_[1, 0], expected.eigenvalues_[1, 0])


def test_sigma_by_species_survives_files_pickles_and_copies(molecules):
    density = rb.Density(r_cut=3.5, sigma={"H": 0.2, "O": 0.3})
    water = molecules[0]
    basis = rb.OptimalBasis(density, rb.Gto(n_max=6), l_max=2, q_max=2).fit(water)
    basis.save("b.rho")
    c = basis.transform(water).to_matrix()
    for other in (rb.load("b.rho"), pickle.loads(pickle.dumps(basis)), copy.deepcopy(basis)):
        np.testing.assert_array_equal(other.transform(water).to_matrix(), c)
        np.testing.assert_array_equal(
            other.radial_functions([0.5, 1.0], "H", 1), basis.radial_functions([0.5, 1.0], "H", 1)
        )
