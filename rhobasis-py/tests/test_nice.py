"""NICE from Python: fits, files, equivariants, potentials."""

import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from potential_samples import FRAMES, optimal, same
from sklearn.base import clone

MOLECULES = [molecule(name) for name in ["H2O", "CH3OH", "CH4", "NH3", "C2H6", "CH3CHO", "H2CO", "HCN"]]
FEW = {"nu_max": 4, "n_candidates": 60, "n_equivariants": 8, "n_invariant_candidates": 40, "n_invariants": 12}


def basis():
    return rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=3, q_max=4, mixing="combined")


def nice(**options):
    return rb.Nice(basis(), **(FEW | options)).fit(MOLECULES)


def test_columns_are_those_of_each_order_by_falling_variance():
    fitted = nice()
    x = fitted.transform(MOLECULES)
    assert fitted.columns_.shape == (x.shape[1], 2)
    np.testing.assert_array_equal(np.bincount(fitted.columns_[:, 0])[1:], [4, 12, 12, 12])
    for nu, variances in zip((2, 3, 4), fitted.variances_, strict=True):
        assert (np.diff(variances) <= 0).all()
        own = x[:, fitted.columns_[:, 0] == nu]
        assert np.isclose((own**2).sum() / len(x), variances.sum(), rtol=1e-6)
    assert list(fitted.get_feature_names_out()[[0, -1]]) == ["nu1_0", "nu4_11"]


def test_the_account_adds_up():
    account = nice().audit_
    assert list(account["nu"]) == [2, 3, 4]
    parts = sum(account[name] for name in ("inherited", "lambda", "choice", "contraction", "kept"))
    np.testing.assert_allclose(parts[:2], account["full"][:2], rtol=1e-10)
    parts = sum(account["invariants_" + name] for name in ("choice", "contraction", "kept"))
    np.testing.assert_allclose(parts, account["invariants"], rtol=1e-10)


def test_vectors_turn_with_the_molecule_and_pseudovectors_do_not_change_sign_on_inversion():
    fitted = nice()
    blocks = fitted.equivariants(MOLECULES, nu=2)
    mirrored = [m.copy() for m in MOLECULES]
    for m in mirrored:
        m.positions *= -1
    inverted = fitted.equivariants(mirrored, nu=2)
    for (sigma, lam), block in blocks.blocks.items():
        np.testing.assert_allclose(inverted[sigma, lam], sigma * (-1) ** lam * block, atol=1e-10)
    turned = [m.copy() for m in MOLECULES]
    for m in turned:
        m.positions = m.positions @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # (x, y, z) -> (-y, x, z)
    y, z, x = np.moveaxis(blocks[1, 1], 1, 0)  # in the order of m
    np.testing.assert_allclose(fitted.equivariants(turned, nu=2)[1, 1], np.stack([x, z, -y], 1), atol=1e-10)
    assert len(blocks) == sum(map(len, MOLECULES))
    assert list(blocks.centers["structure"][[0, -1]]) == [0, len(MOLECULES) - 1]


def test_a_file_a_pickle_and_a_fitted_object_give_the_same(tmp_path):
    fitted = nice()
    fitted.save(tmp_path / "a.nice")
    loaded = rb.Nice.load(tmp_path / "a.nice", fitted.basis_)
    x = fitted.transform(MOLECULES)
    np.testing.assert_array_equal(loaded.transform(MOLECULES), x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(MOLECULES), x)
    assert loaded.get_params(deep=False).keys() == fitted.get_params(deep=False).keys()
    assert loaded.n_equivariants == 8


def test_a_fit_is_needed_anew_after_a_change():
    fresh = rb.Nice(basis(), **FEW)
    with pytest.raises(rb.NotFittedError, match=r"call fit\(frames\) first"):
        fresh.transform(MOLECULES)
    fitted = nice()
    fitted.n_invariants = 5
    with pytest.raises(rb.RhobasisError, match="the products were chosen with 12"):
        fitted.transform(MOLECULES)
    assert fitted.fit(MOLECULES).transform(MOLECULES).shape[1] == 4 + 3 * 5
    unfitted = clone(fitted)
    with pytest.raises(rb.NotFittedError):
        unfitted.transform(MOLECULES)


def test_more_than_there_is_and_words_that_are_none_are_refused():
    for options, said in (
        ({"nu_max": 1}, "nu_max = 1: must lie between 2 and 8"),
        ({"lambda_max": 13}, "lambda_max = 13: must lie between 0 and 12"),
        ({"choice": "variances"}, 'the nearest known one is "variance"'),
        ({"q_max": 9}, "q_max = 9: this basis has 4 channels"),
    ):
        with pytest.raises(rb.RhobasisError, match=said):
            nice(**options)
    with pytest.raises(rb.RhobasisError, match="use the basis it was fitted with"):
        rb.Nice._of_native(nice()._fitted_native(), optimal().fit(FRAMES), {}).transform(FRAMES)


def test_a_potential_of_two_kinds_learns_predicts_and_is_loaded(tmp_path):
    own = optimal()
    features = [rb.PowerSpectrum(own), rb.Nice(own, q_max=2, **FEW)]
    potential = rb.Potential(features, rb.Ridge(alpha=1e-9)).fit(FRAMES)
    potential.save(tmp_path / "a.rho")
    loaded = rb.load(tmp_path / "a.rho")
    same(loaded, potential)
    kinds = [type(kind) for kind in loaded.features_]
    assert kinds == [rb.PowerSpectrum, rb.Nice]
    assert loaded.features_[1].nu_max == 4
    # Forces are those of the energies.
    atoms = FRAMES[9].copy()
    forces = potential.predict([atoms]).forces[0]
    h = 1e-4
    for sign in (1, -1):
        atoms.positions[1, 2] += sign * h
        energy = potential.predict([atoms]).energies[0]
        atoms.positions[1, 2] -= sign * h
        forces[1, 2] += sign * energy / (2 * h)
    assert abs(forces[1, 2]) < 1e-6


def test_frames_may_come_one_by_one():
    x = rb.Nice(basis(), **FEW).fit(iter(MOLECULES)).transform(MOLECULES)
    np.testing.assert_array_equal(x, nice().transform(MOLECULES[::-1][::-1]))
    shuffled = rb.Nice(basis().fit(MOLECULES), **FEW).fit(MOLECULES[::-1])
    np.testing.assert_allclose(shuffled.transform(MOLECULES), x, atol=1e-12)


def test_one_that_was_fitted_is_kept():
    own = optimal().fit(FRAMES)
    fitted = rb.Nice(own, **FEW).fit(FRAMES[:6])
    potential = rb.Potential(fitted, rb.Ridge(alpha=1e-9)).fit(FRAMES)
    kept = potential.features_ if isinstance(potential.features_, rb.Nice) else potential.features_[0]
    np.testing.assert_array_equal(kept.transform(FRAMES[:3]), fitted.transform(FRAMES[:3]))
