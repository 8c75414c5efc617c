"""Bases made for a target: supervised ones, and those of a potential's sensitivity."""

import warnings

import numpy as np
import pytest
import rhobasis as rb
from ase.build import bulk
from ase.calculators.emt import EMT

DENSITY = rb.Density(r_cut=4.0, sigma=0.4, cutoff_width=1.0)


def crystals(n, seed, species="Cu"):
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.12, seed=100 * seed + k)
        if species == "CuNi":
            atoms.symbols[k % 4] = "Ni"
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    return frames


def basis(method="pca", q_max=1, **more):
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=8), l_max=3, q_max=q_max, method=method, **more)


def force_error(potential, frames):
    predicted = np.concatenate(potential.predict(frames).forces)
    return np.sqrt(np.mean((predicted - np.concatenate([a.get_forces() for a in frames])) ** 2))


@pytest.mark.parametrize("species", ["Cu", "CuNi"])
def test_a_potential_on_a_supervised_basis_errs_less(species):
    train, test = crystals(40, 1, species), crystals(10, 2, species)
    errors, told = {}, {}
    for method in ("pca", "supervised"):
        with warnings.catch_warnings(record=True) as told[method]:
            warnings.simplefilter("always")
            features = rb.PowerSpectrum(basis(method, mixing="combined"))
            potential = rb.Potential(features, rb.Ridge(alpha=1e-9)).fit(train)
        errors[method] = force_error(potential, test)
    # That little of the variance is kept is no fault of functions that were made for something else.
    assert [any("variance" in str(w.message) for w in told[m]) for m in ("pca", "supervised")] == [True, False]
    assert errors["supervised"] < 0.7 * errors["pca"], errors
    used = potential.features_.basis_
    assert (used.method, used.supervised, used.span, used.q_max) == ("supervised", "all", 12, 1)


def test_the_ways_to_a_supervised_basis_agree():
    train = crystals(20, 3)
    span = basis(q_max=8)
    potential = rb.Potential(rb.PowerSpectrum(span), rb.Ridge(alpha=1e-9)).fit(train)
    by_hand = potential.supervised(q_max=2, supervised=1)
    below = rb.Potential(rb.PowerSpectrum(basis("supervised", 2, supervised=1)), rb.Ridge(alpha=1e-9)).fit(train)
    for key, u in by_hand.contraction_.items():
        np.testing.assert_allclose(below.features_.basis_.contraction_[key], u, atol=1e-9)
    assert by_hand.q_max == 2
    assert by_hand.method == "supervised"
    alone = basis("supervised", 2).fit(train)
    energies = basis("supervised", 2).fit(train, [a.get_potential_energy() for a in train])
    assert not np.allclose(alone.contraction_[29, 1], energies.contraction_[29, 1])
    assert alone.transform(train).blocks[1].shape == (80, 3, 2)


def test_kernels_have_one_function_made_so_unless_they_are_told(tmp_path):
    train = crystals(12, 4)
    for given, expected in ((None, 1), (2, 2), ("all", "all")):
        features = rb.PowerSpectrum(basis("supervised", 2, supervised=given))
        potential = rb.Potential(features, rb.Gap(n_sparse=20)).fit(train)
        potential.save(tmp_path / "p.rho")
        for one in (potential, rb.load(tmp_path / "p.rho")):
            assert one.features_.basis_.supervised == expected


def test_a_supervised_basis_is_saved_and_keeps_to_what_it_was_fitted_for(tmp_path):
    made = basis("supervised", 2).fit(crystals(12, 5))
    made.save(tmp_path / "b.rho")
    loaded = rb.load(tmp_path / "b.rho")
    assert loaded.get_params()["supervised"] == "all"
    np.testing.assert_array_equal(loaded.contraction_[29, 2], made.contraction_[29, 2])
    made.q_max = 1
    with pytest.raises(rb.RhobasisError, match="q_max = 1"):
        made.transform(crystals(1, 5))


def test_a_sensitivity_is_a_sum_over_frames_and_makes_bases():
    frames = crystals(10, 6)
    potential = rb.Potential(rb.PowerSpectrum(basis(q_max=5)), rb.Gap(n_sparse=30)).fit(frames)
    whole, parts = potential.sensitivity(frames), [potential.sensitivity(part) for part in (frames[:4], frames[4:])]
    assert whole.n_centers_ == 40
    for key, matrix in whole.matrices_.items():
        assert matrix.shape == (5, 5)
        np.testing.assert_allclose(matrix, sum(part.matrices_[key] for part in parts), rtol=1e-10)
        np.testing.assert_array_equal(matrix, matrix.T)
    principal = whole.basis(q_max=2, gamma=1.0)
    for key, u in principal.contraction_.items():
        np.testing.assert_allclose(u, potential.features_.basis_.contraction_[key][:2], atol=1e-9)
    made = whole.basis(q_max=2)
    assert (made.method, made.gamma, made.q_max) == ("sensitivity", 0.1, 2)


def test_how_much_a_neighbour_matters_is_its_integrals_times_the_sensitivity():
    frames = crystals(10, 8)
    potential = rb.Potential(rb.PowerSpectrum(basis(q_max=5)), rb.Ridge(alpha=1e-10)).fit(frames)
    sensitivity, r = potential.sensitivity(frames), np.array([[2.2, 2.6], [3.1, 3.6]])
    seen = there = 0
    for l, i in enumerate(potential.features_.basis_.radial_integrals(r.ravel())):
        seen = seen + np.einsum("rq,qp,rp->r", i, sensitivity.matrices_[29, l], i)
        there = there + (2 * l + 1) * 40 * np.sum(i**2, axis=1)
    w = sensitivity.radial_weight(r)
    np.testing.assert_allclose(w.ravel(), np.sqrt(seen / there), rtol=1e-9)
    u = sensitivity.scaling(frames)
    assert w.shape == (2, 2)
    assert u is None or (u.rate == 1 and 1.8 < u.scale < 2.3 and u.exponent > 0)
    with pytest.raises(rb.RhobasisError, match="positive distance"):
        sensitivity.radial_weight([-1.0])


def test_what_makes_no_such_basis_is_refused():
    frames = crystals(6, 7)
    with pytest.raises(rb.RhobasisError, match=r"potential\.sensitivity\(frames\)\.basis"):
        basis("sensitivity").fit(frames)
    with pytest.raises(rb.RhobasisError, match="say how many are kept"):
        basis("supervised", None).fit(frames)
    with pytest.raises(rb.RhobasisError, match="supervised = 3"):
        basis("supervised", 2, supervised=3).fit(frames)
    with pytest.raises(rb.RhobasisError, match="leave weights and checkpoint out"):
        basis("supervised").fit(frames, weights=np.ones(24))
    with pytest.raises(rb.RhobasisError, match="one run over all frames"):
        basis("supervised").accumulate(frames, "x.cov")
    with pytest.raises(rb.RhobasisError, match="one run over all frames"):
        basis("supervised").partial_fit(frames)
    primitive = rb.SphericalExpansion(DENSITY, rb.Gto(n_max=4), l_max=1)
    potential = rb.Potential(rb.PowerSpectrum(primitive), rb.Ridge(alpha=1e-8)).fit(frames)
    with pytest.raises(rb.RhobasisError, match="train it on an optimal basis"):
        potential.supervised(2)
    with pytest.raises(rb.RhobasisError, match="optimal basis"):
        potential.sensitivity(frames)
