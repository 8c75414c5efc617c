"""Features of leading channels, and several kinds of them in one potential, from Python."""

import copy
import pickle

import numpy as np
import pytest
import rhobasis as rb
from potential_samples import ENERGIES, FRAMES, optimal, primitive, same, two_kinds

RIDGE = rb.Ridge(alpha=1e-9)


def test_leading_channels_are_columns_of_the_whole():
    basis = optimal(mixing="per-species").fit(FRAMES)
    rank = [[n for _, n in table] for table in rb.PowerSpectrum(basis).channels_]
    for make, n_l in ((rb.RadialSpectrum, 1), (rb.PowerSpectrum, 1), (rb.Bispectrum, 3)):
        whole, part = make(basis), make(basis, q_max=2, l_max=2)

        def is_leading(column, n_l=n_l):
            ls, channels = column[:n_l], column[n_l:]
            return max(ls) <= 2 and all(rank[ls[min(k, n_l - 1)]][q] < 2 for k, q in enumerate(channels))

        chosen = [k for k, column in enumerate(whole.columns_.tolist()) if is_leading(column)]
        np.testing.assert_array_equal(part.columns_, whole.columns_[chosen])
        np.testing.assert_array_equal(part.transform(FRAMES[:6]), whole.transform(FRAMES[:6])[:, chosen])
        assert list(part.get_feature_names_out()) == [whole.get_feature_names_out()[k] for k in chosen]


def test_a_weight_multiplies_after_normalisation():
    basis = primitive().fit(FRAMES)
    for normalize in (False, True):
        x = rb.PowerSpectrum(basis, normalize=normalize).transform(FRAMES[:3])
        weighted = rb.PowerSpectrum(basis, normalize=normalize, weight=3.0).transform(FRAMES[:3])
        np.testing.assert_allclose(weighted, 3 * x, rtol=1e-14)


def test_more_than_the_basis_has_is_refused():
    for options, said in (
        ({"q_max": 4}, "q_max = 4: this basis has 3 channels"),
        ({"q_max": 0}, "q_max = 0: must be at least 1"),
        ({"q_max": 2.5}, "q_max = 2.5: must be a whole number"),
        ({"l_max": 4}, "l_max = 4: this basis ends at l_max = 3"),
        ({"weight": -1}, "weight = -1: must be a positive number"),
    ):
        error = TypeError if "whole" in said else rb.RhobasisError
        with pytest.raises((error, rb.RhobasisError), match=said):
            rb.PowerSpectrum(optimal(), **options).fit_transform(FRAMES[:4])


def test_a_linear_potential_is_the_weights_times_all_columns():
    basis = optimal().fit(FRAMES)
    features = two_kinds(basis)
    potential = rb.Potential(features, RIDGE, baseline=None).fit(FRAMES, force_sigma=None, stress_sigma=None)
    x = np.hstack([part.transform(FRAMES) for part in features])
    assert potential.n_features_ == x.shape[1]
    # The potential is linear in the columns: what it says of atoms is explained by them, species by species.
    of_atoms = np.concatenate(potential.predict(FRAMES).atom_energies)
    z = features[0].centers(FRAMES)["species"]
    for species in potential.species_:
        rows = z == species
        w = np.linalg.lstsq(x[rows], of_atoms[rows], rcond=None)[0]
        np.testing.assert_allclose(x[rows] @ w, of_atoms[rows], atol=1e-8)


def test_what_is_loaded_has_a_list_of_features_on_one_basis(tmp_path):
    potential = rb.Potential(two_kinds(), RIDGE).fit(FRAMES)
    potential.save(tmp_path / "two.rho")
    loaded = rb.load(tmp_path / "two.rho")
    same(loaded, potential)
    same(pickle.loads(pickle.dumps(potential)), potential)
    pairs, triples = loaded.features_
    assert isinstance(pairs, rb.PowerSpectrum)
    assert isinstance(triples, rb.Bispectrum)
    assert (pairs.q_max, triples.q_max, triples.l_max, triples.weight) == (None, 2, 2, 0.5)
    assert pairs.basis is triples.basis
    same(rb.Potential(loaded.features_, RIDGE).fit(FRAMES), potential)
    assert isinstance(rb.Potential([rb.PowerSpectrum(primitive())], RIDGE).fit(FRAMES).features_, rb.PowerSpectrum)


def test_one_basis_is_asked_for():
    fitted = optimal().fit(FRAMES)
    pairs = rb.PowerSpectrum(fitted)
    for other in (optimal(q_max=2), optimal(q_max=2).fit(FRAMES), optimal(), primitive(), optimal().fit(FRAMES[:5])):
        with pytest.raises(rb.RhobasisError, match=r"number 1.*another basis.*one basis, and q_max, l_max for"):
            rb.Potential([pairs, rb.Bispectrum(other)], RIDGE).fit(FRAMES)
    # Equal ones are one.
    expected = rb.Potential(two_kinds(fitted), RIDGE).fit(FRAMES)
    options = {"q_max": 2, "l_max": 2, "weight": 0.5}
    for a, b in ((fitted, copy.deepcopy(fitted)), (fitted, optimal().fit(FRAMES)), (optimal(), optimal())):
        same(rb.Potential((rb.PowerSpectrum(a), rb.Bispectrum(b, **options)), RIDGE).fit(FRAMES), expected)
    with pytest.raises(rb.RhobasisError, match=r"features = \[\]: there are none"):
        rb.Potential([], RIDGE).fit(FRAMES)
    with pytest.raises(TypeError, match=r"or a list of such, not"):
        rb.Potential([pairs, fitted], RIDGE).fit(FRAMES)


def test_parameters_within_a_list_have_numbers():
    potential = rb.Potential(two_kinds(), RIDGE)
    params = potential.get_params()
    assert params["features__1__q_max"] == 2
    assert params["features__1__basis__density__r_cut"] == 4.0
    assert params["features__0"] is potential.features[0]
    before = potential.features
    potential.set_params(features__1__q_max=1, features__0=rb.RadialSpectrum(primitive()))
    assert potential.features[1].q_max == 1
    assert isinstance(potential.features[0], rb.RadialSpectrum)
    assert isinstance(before[0], rb.PowerSpectrum)  # the list of the caller is not changed
    for name in ("features__2__q_max", "features__q_max"):
        with pytest.raises(ValueError, match="features has no parameter"):
            potential.set_params(**{name: 1})


def test_scikit_learn_clones_and_searches_a_list():
    sklearn = pytest.importorskip("sklearn.base")
    from sklearn.model_selection import GridSearchCV

    fitted = optimal().fit(FRAMES)
    for basis in (fitted, None):
        potential = rb.Potential(two_kinds(basis), RIDGE)
        clone = sklearn.clone(potential)
        assert repr(clone) == repr(potential)
        assert clone.features[1] is not potential.features[1]
        same(clone.fit(FRAMES), potential.fit(FRAMES))
    search = GridSearchCV(rb.Potential(two_kinds(), RIDGE), {"features__1__q_max": [1, 2]}, cv=2)
    search.fit(FRAMES[:12], ENERGIES[:12])
    assert search.best_estimator_.features_[1].q_max == search.best_params_["features__1__q_max"]


def test_ase_sees_one_calculator():
    pytest.importorskip("ase")
    potential = rb.Potential(two_kinds(), RIDGE).fit(FRAMES)
    atoms = FRAMES[4].copy()
    atoms.calc = rb.ase.Calculator(potential)
    np.testing.assert_allclose(atoms.get_forces(), potential.predict(atoms).forces[0], atol=1e-12)
