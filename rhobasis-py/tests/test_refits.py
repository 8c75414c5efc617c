"""What a fit keeps: nothing that it made itself before, and all that was handed over fitted."""

import copy
import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from sklearn.base import clone

WATER, METHANE = molecule("H2O"), molecule("CH4")
FRAMES = [WATER, METHANE, molecule("CH3OH")]
ENERGIES = [-14.2, -24.0, -30.1]

# Each with another value; those of the primitive basis come with it.
CHANGES = {
    "density__r_cut": 3.0,
    "density__sigma": 0.35,
    "density__cutoff_width": 2.5,
    "density__center_weight": 0.5,
    "density__scaling": rb.RadialScaling(1.0, 2.0, 4.0),
    "primitive__n_max": 5,
    "primitive": rb.Dvr(n_max=6),
    "l_max": 1,
    "mixing": "combined",
    "nu": 2,
}
LATE = {"q_max": 1, "retain": 0.9}


def basis(**options):
    return rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), **{"l_max": 2, "q_max": 2, **options})


def primitive(**options):
    return rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=3), l_max=2, **options)


def potential(of):
    return rb.Potential(rb.PowerSpectrum(of), rb.Ridge(alpha=1e-2), baseline=None)


def setting(name, of):
    """The changes that `of` has, under `name` of something that holds it."""
    own = {key: value for key, value in CHANGES.items() if key.split("__")[0] in of.get_params(deep=False)}
    return [({f"{name}{key}": value}, {key: value}) for key, value in own.items()]


@pytest.mark.parametrize("kind", [rb.PowerSpectrum, rb.RadialSpectrum, rb.Bispectrum])
@pytest.mark.parametrize("make", [basis, primitive])
def test_features_fitted_anew_are_those_of_a_new_object(make, kind):
    soap = kind(make()).fit(FRAMES)
    for named, plain in setting("basis__", make()):
        soap.set_params(**named).fit(FRAMES)
        fresh = kind(make().set_params(**plain))
        np.testing.assert_array_equal(soap.transform(FRAMES), fresh.fit(FRAMES).transform(FRAMES))
        soap = kind(make()).fit(FRAMES)
    np.testing.assert_array_equal(soap.fit([WATER]).transform([WATER]), kind(make()).fit([WATER]).transform([WATER]))


@pytest.mark.parametrize("make", [basis, primitive])
def test_a_potential_fitted_anew_is_that_of_a_new_object(make):
    model = potential(make()).fit(FRAMES, ENERGIES)
    before = model.predict(FRAMES).energies
    changes = [*setting("features__basis__", make()), ({"model__alpha": 0.1}, None), ({"model": rb.Gap(9)}, None)]
    for named, _ in changes:
        again = model.set_params(**named).fit(FRAMES, ENERGIES).predict(FRAMES).energies
        new = potential(make()).set_params(**named).fit(FRAMES, ENERGIES).predict(FRAMES).energies
        np.testing.assert_array_equal(again, new)
        assert not np.array_equal(again, before), named
        model = potential(make()).fit(FRAMES, ENERGIES)
    other = model.fit([WATER, METHANE], ENERGIES[:2])
    assert other.species_ == [1, 6, 8]
    assert other.features_.basis_.species == [1, 6, 8] if make is primitive else other.features_.basis_.n_centers_ == 8
    assert other.fit([WATER], ENERGIES[:1]).species_ == [1, 8]


def test_what_is_handed_over_unfitted_stays_as_it_is():
    own = basis()
    soap = rb.PowerSpectrum(own)
    model = rb.Potential(soap, rb.Ridge()).fit(FRAMES, ENERGIES)
    with pytest.raises(rb.NotFittedError, match="their basis_"):
        own.species_  # noqa: B018
    with pytest.raises(rb.NotFittedError):
        soap.transform(FRAMES)
    assert soap.fit(FRAMES).basis_ is not own
    np.testing.assert_array_equal(model.features_.transform(FRAMES), soap.transform(FRAMES))
    expansion = primitive()
    rb.PowerSpectrum(expansion).fit(FRAMES)
    with pytest.raises(rb.NotFittedError):
        expansion.radial_functions([1.0])


def test_a_basis_that_was_fitted_or_loaded_is_kept(tmp_path):
    own = basis().fit(FRAMES)
    own.save(tmp_path / "basis.rho")
    expected = rb.PowerSpectrum(own).transform(FRAMES)
    for given in (own, rb.load(tmp_path / "basis.rho"), basis().partial_fit(FRAMES)):
        soap = rb.PowerSpectrum(given).fit([METHANE])
        assert soap.basis_ is given
        np.testing.assert_array_equal(soap.transform(FRAMES), expected)
        model = rb.Potential(soap, rb.Ridge()).fit([METHANE], ENERGIES[1:2])
        assert model.features_.basis_.n_centers_ == own.n_centers_
    noted = primitive().fit(FRAMES)
    assert rb.PowerSpectrum(noted).fit([METHANE]).basis_.species_ == [1, 6, 8]
    soap = rb.PowerSpectrum(basis()).fit(FRAMES)  # and so are features
    model = rb.Potential(soap, rb.Ridge()).fit([METHANE], ENERGIES[1:2])
    assert model.features_.basis_.n_centers_ == own.n_centers_


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("loaded", [False, True])
def test_changed_settings_of_a_basis_that_is_kept_are_refused_by_name(name, loaded, tmp_path):
    own = basis().fit(FRAMES)
    if loaded:
        own.save(tmp_path / "basis.rho")
        own = rb.load(tmp_path / "basis.rho")
    before = own.transform([WATER]).to_matrix()
    old = own.get_params()[name]
    own.set_params(**{name: CHANGES[name]})
    for use in (
        lambda: rb.PowerSpectrum(own).fit(FRAMES),
        lambda: rb.PowerSpectrum(own).transform(FRAMES),
        lambda: potential(own).fit(FRAMES, ENERGIES),
        lambda: own.transform(FRAMES),
        lambda: own.contraction_,
        lambda: own.save(tmp_path / "other.rho"),
        lambda: copy.deepcopy(own).transform(FRAMES),
    ):
        with pytest.raises(rb.RhobasisError, match=rf"{name}.* = .*: it was .* where this basis was fitted; call fit"):
            use()
    own.set_params(**{name: old})
    np.testing.assert_array_equal(own.transform([WATER]).to_matrix(), before)
    fresh = basis().set_params(**{name: CHANGES[name]}).fit(FRAMES).transform([WATER]).to_matrix()
    np.testing.assert_array_equal(
        own.set_params(**{name: CHANGES[name]}).fit(FRAMES).transform([WATER]).to_matrix(), fresh
    )


def test_both_values_are_named():
    own = basis().fit(FRAMES)
    own.density.r_cut = 3.5
    with pytest.raises(rb.RhobasisError, match=r"density__r_cut = 3\.5: it was 4\.0 where"):
        rb.PowerSpectrum(own).fit(FRAMES)
    own.density.r_cut = np.float64(4)
    rb.PowerSpectrum(own).fit(FRAMES)
    own.density.r_cut = 4
    rb.PowerSpectrum(own).fit(FRAMES)


@pytest.mark.parametrize("name", LATE)
def test_channels_may_be_cut_anew_after_the_fit(name):
    options = {"q_max": None, name: LATE[name]}
    expected = rb.PowerSpectrum(basis(**options)).fit(FRAMES).transform(FRAMES)
    for soap in (rb.PowerSpectrum(basis()).fit(FRAMES), rb.PowerSpectrum(basis().fit(FRAMES))):
        changed = soap.set_params(**{f"basis__{key}": value for key, value in options.items()})
        np.testing.assert_array_equal(changed.transform(FRAMES), expected)
    with pytest.raises(rb.RhobasisError, match="changed since this basis was made"):
        pickle.loads(pickle.dumps(rb.PowerSpectrum(basis()).fit(FRAMES))).set_params(basis__q_max=1).transform(FRAMES)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_hold_the_fit_and_begin_anew_when_fitted(copied):
    soap, model = rb.PowerSpectrum(basis()).fit(FRAMES), potential(primitive()).fit(FRAMES, ENERGIES)
    again = copied(soap)
    np.testing.assert_array_equal(again.transform(FRAMES), soap.transform(FRAMES))
    again.set_params(basis__density__r_cut=3.0).fit(FRAMES)
    assert not np.array_equal(again.transform(FRAMES), soap.transform(FRAMES))
    assert soap.basis.density.r_cut == 4.0
    twin = copied(model)
    np.testing.assert_array_equal(twin.predict(FRAMES).energies, model.predict(FRAMES).energies)
    assert twin.fit([WATER], ENERGIES[:1]).species_ == [1, 8]
    assert model.species_ == [1, 6, 8]


def test_clones_are_unfitted_but_for_what_was_handed_over_fitted():
    soap = rb.PowerSpectrum(basis()).fit(FRAMES)
    assert not clone(soap).__sklearn_is_fitted__()
    assert not clone(basis().fit(FRAMES)).__sklearn_is_fitted__()
    assert not clone(potential(basis()).fit(FRAMES, ENERGIES)).features.__sklearn_is_fitted__()
    own = basis().fit(FRAMES)
    twin = clone(rb.PowerSpectrum(own))
    assert twin.basis is not own
    np.testing.assert_array_equal(twin.fit([WATER]).transform(FRAMES), rb.PowerSpectrum(own).transform(FRAMES))
    twin.set_params(basis__q_max=1)
    expected = rb.PowerSpectrum(basis(q_max=1).fit(FRAMES)).transform(FRAMES)
    np.testing.assert_array_equal(twin.fit([WATER]).transform(FRAMES), expected)
    twin.basis.partial_fit([WATER])
    assert (twin.basis.n_centers_, own.n_centers_) == (17, 14)
    assert clone(rb.Potential(soap, rb.Ridge())).features.basis_.n_centers_ == 14
    with pytest.raises(rb.RhobasisError, match=r"density__r_cut = 3\.0: it was 4\.0"):
        clone(potential(own)).set_params(features__basis__density__r_cut=3.0).fit(FRAMES, ENERGIES)
    supervised = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=1, q_max=2, method="pcovr")
    frames = [molecule(name) for name in ("H2O", "CH4", "CH3OH", "H2CO", "CO2", "C2H6", "H2O2")]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.1, seed=k)
    soap = rb.PowerSpectrum(supervised.fit([*frames, *FRAMES], np.arange(10.0) ** 2))
    np.testing.assert_array_equal(clone(soap).transform(FRAMES), soap.transform(FRAMES))


def test_models_of_matrices_predict_as_they_were_fitted():
    X = np.cos(np.outer(np.arange(30.0), np.arange(1, 5)) ** 2)
    y = X @ np.arange(4.0)
    model = rb.KernelRidge(alpha=1e-3, zeta=2).fit(X, y)
    expected = model.predict(X)
    np.testing.assert_array_equal(model.set_params(zeta=3, normalize=True).predict(X), expected)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), rb.KernelRidge(1e-3, 3, True).fit(X, y).predict(X))
    streamed = rb.Ridge(alpha=1e-3).partial_fit(X, y + 5).set_params(fit_intercept=False)
    assert streamed.intercept_ == pytest.approx(5, abs=0.1)
    for estimator, change in ((rb.PCovR(0.5, n_components=2), {"center": False}), (rb.Ridge(), {"alpha": 9.0})):
        expected = estimator.fit(X, y).predict(X)
        np.testing.assert_array_equal(estimator.set_params(**change).predict(X), expected)
        assert not np.array_equal(estimator.fit(X, y + 1).predict(X), expected)
