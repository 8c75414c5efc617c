"""Frames in scikit-learn: cross-validation, searches, pipelines, tables; and which of its own checks apply.

`check_estimator` runs in full on the estimators of matrices (test_models, test_pcovr, test_selection). Features, bases
and potentials take frames, which none of its matrices can stand for: their tags say so, and of its checks those remain
that fit nothing, which are run here one by one.
"""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rhobasis as rb
import sklearn
from potential_samples import ENERGIES, FRAMES
from sklearn.base import clone, is_regressor
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.validation import check_is_fitted

pytestmark = pytest.mark.filterwarnings("ignore:no frame has forces", "ignore:.*fewer channels")
DENSITY = rb.Density(r_cut=4.0, sigma=0.5, cutoff_width=1.0)


def basis(**options):
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=5), **{"l_max": 2, "q_max": 2, "mixing": "combined", **options})


def primitive():
    return rb.SphericalExpansion(DENSITY, rb.Gto(n_max=3), l_max=2)


def potential(of=None):
    return rb.Potential(rb.PowerSpectrum(basis() if of is None else of), rb.Ridge(alpha=1e-6))


FEATURES = [rb.RadialSpectrum(basis()), rb.PowerSpectrum(primitive()), rb.Bispectrum(basis(l_max=1))]
OF_FRAMES = [*FEATURES, basis(), primitive(), potential()]
NO_FITS = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
]


def name_of(one):
    return type(one).__name__


@pytest.mark.parametrize("check", NO_FITS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", OF_FRAMES, ids=name_of)
def test_checks_of_scikit_learn_that_fit_nothing(estimator, check):
    check(name_of(estimator), estimator)


@pytest.mark.parametrize("estimator", OF_FRAMES, ids=name_of)
def test_tags_parameters_and_states(estimator):
    tags = get_tags(estimator)
    assert not tags.input_tags.two_d_array
    assert is_regressor(estimator) == isinstance(estimator, rb.Potential)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(estimator)
    copied = clone(estimator)
    assert repr(copied) == repr(estimator)
    assert copied._state() == estimator._state()
    check_is_fitted(copied.fit(FRAMES, ENERGIES))
    assert clone(copied)._state() == estimator._state()


def test_cross_validation_of_a_potential_is_that_by_hand():
    folds = KFold(3, shuffle=True, random_state=1)
    by_hand = []
    for train, test in folds.split(FRAMES):
        fitted = potential().fit([FRAMES[i] for i in train], ENERGIES[train])
        by_hand.append(fitted.score([FRAMES[i] for i in test], ENERGIES[test]))
    np.testing.assert_array_equal(cross_val_score(potential(), FRAMES, ENERGIES, cv=folds), by_hand)
    array = np.empty(len(FRAMES), dtype=object)
    array[:] = FRAMES
    for frames in (rb.Frames(FRAMES), tuple(FRAMES), array):
        np.testing.assert_allclose(cross_val_score(potential(), frames, ENERGIES, cv=folds), by_hand, rtol=1e-12)
    with_forces = cross_val_score(potential(), FRAMES, cv=folds)
    assert not np.array_equal(with_forces, by_hand)
    errors = cross_val_score(potential(), FRAMES, ENERGIES, cv=folds, scoring="neg_root_mean_squared_error")
    predicted = cross_val_predict(potential(), FRAMES, ENERGIES, cv=folds)
    assert predicted.shape == ENERGIES.shape
    squares = [np.mean((predicted[test] - ENERGIES[test]) ** 2) for _, test in folds.split(FRAMES)]
    np.testing.assert_allclose(errors, -np.sqrt(squares))
    weighted = cross_val_score(potential(), FRAMES, ENERGIES, cv=folds, params={"energy_sigma": 0.1})
    assert np.isfinite(weighted).all()


def test_a_search_tells_settings_of_density_basis_and_model_apart():
    grids = [
        {"features__basis__density__r_cut": [3.0, 5.0], "model__alpha": [1e-8, 1e-4]},
        {"features__basis__q_max": [1, 3], "features__normalize": [True, None]},
        {"features__basis__density__sigma": [0.3, 0.6], "model": [rb.Ridge(), rb.Gap(n_sparse=10)]},
    ]
    search = GridSearchCV(potential(), grids, cv=2).fit(FRAMES, ENERGIES)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == len(scores)
    best = clone(potential()).set_params(**clone(search.best_params_, safe=False)).fit(FRAMES, ENERGIES)
    np.testing.assert_array_equal(search.predict(FRAMES).energies, best.predict(FRAMES).energies)
    own = basis(q_max=None).fit(FRAMES)  # of one that was fitted, channels are cut anew
    search = GridSearchCV(potential(own), {"features__basis__q_max": [1, 2, 3]}, cv=2).fit(FRAMES, ENERGIES)
    assert len(set(search.cv_results_["mean_test_score"])) == 3
    assert own.q_max is None
    with pytest.raises(ValueError, match=r"density__r_cut = 3\.0: it was 4\.0"):
        GridSearchCV(potential(own), {"features__basis__density__r_cut": [3.0]}, cv=2, error_score="raise").fit(
            FRAMES, ENERGIES
        )


def test_frames_one_by_one_and_in_arrays():
    expected = potential().fit(FRAMES, ENERGIES)
    one_by_one = potential().fit((atoms for atoms in FRAMES), ENERGIES)
    np.testing.assert_array_equal(one_by_one.predict(FRAMES).energies, expected.predict(FRAMES).energies)
    assert one_by_one.score((atoms for atoms in FRAMES), ENERGIES) == expected.score(FRAMES, ENERGIES)
    moved = FRAMES[0].copy()
    moved.calc = FRAMES[2].calc
    for frames in ((atoms for atoms in [moved]), np.array([moved, None], dtype=object)[:1]):
        with pytest.raises(rb.RhobasisError, match="its calculator holds results of other"):
            potential().fit(frames)
    with pytest.raises(TypeError, match=r"array of float64 with shape \(3, 2\); give a list, or fill np.empty"):
        rb.PowerSpectrum(basis()).fit(np.zeros((3, 2)))
    with pytest.raises(TypeError, match=r"shape \(1, 4\)"):
        rb.PowerSpectrum(basis()).fit(np.array([FRAMES[2]], dtype=object))


@pytest.mark.parametrize("features", FEATURES, ids=name_of)
def test_rows_of_a_pipeline_are_atoms(features):
    n_atoms = sum(len(atoms) for atoms in FRAMES)
    pipeline = make_pipeline(clone(features), StandardScaler(), PCA(2)).fit(FRAMES)
    assert pipeline.transform(FRAMES).shape == (n_atoms, 2)
    charges = np.concatenate([atoms.numbers for atoms in FRAMES])
    model = make_pipeline(clone(features), rb.Ridge(alpha=1e-6)).fit(FRAMES, charges)
    assert model.predict(FRAMES).shape == (n_atoms,)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_pipeline(clone(features), rb.Ridge()).fit(FRAMES, ENERGIES)
    assert cross_val_score(make_pipeline(potential()), FRAMES, ENERGIES, cv=2).shape == (2,)


def test_columns_have_names():
    soap = rb.PowerSpectrum(primitive()).fit(FRAMES)
    names = soap.get_feature_names_out()
    assert list(names[[0, 1, 3, -1]]) == ["l0_Al0_Al0", "l0_Al0_Al1", "l0_Al0_Cu0", "l2_Cu2_Cu2"]
    assert list(rb.PowerSpectrum(soap.basis_, columns=soap.columns_[[3]]).get_feature_names_out()) == ["l0_Al0_Cu0"]
    assert list(rb.RadialSpectrum(basis()).fit(FRAMES).get_feature_names_out()) == ["l0_q0", "l0_q1"]
    assert rb.Bispectrum(basis(l_max=1)).fit(FRAMES).get_feature_names_out()[0] == "l0_l0_l0_q0_q0_q0"
    for features in (*map(clone, FEATURES), basis(center_specific=True), basis(), primitive()):
        features.fit(FRAMES)
        matrix = features.transform(FRAMES)
        matrix = matrix if isinstance(matrix, np.ndarray) else matrix.to_matrix()
        names = features.get_feature_names_out()
        assert len(set(names)) == len(names) == features.n_features_out_ == matrix.shape[1]
        with pytest.raises(rb.NotFittedError):
            clone(features).get_feature_names_out()
    names = primitive().fit(FRAMES).get_feature_names_out()
    assert list(names[[0, 5, 6, -1]]) == ["l0_m0_Al0", "l0_m0_Cu2", "l1_m-1_Al0", "l2_m2_Cu2"]


def test_tables_of_pandas_name_rows_and_columns():
    pandas = pytest.importorskip("pandas")
    soap = rb.PowerSpectrum(basis()).set_output(transform="pandas")
    table = soap.fit_transform(FRAMES)
    np.testing.assert_array_equal(table.to_numpy(), rb.PowerSpectrum(soap.basis_).transform(FRAMES))
    assert list(table.columns) == list(soap.get_feature_names_out())
    assert table.index.names == ["structure", "atom"]
    assert table.loc[(3, 1)].equals(table.iloc[sum(len(atoms) for atoms in FRAMES[:3]) + 1])
    assert isinstance(clone(soap).fit(FRAMES).transform(FRAMES), pandas.DataFrame)
    pipeline = make_pipeline(rb.PowerSpectrum(basis()), StandardScaler(), rb.selection.FPS(4), rb.PCovR(n_components=2))
    pipeline.set_output(transform="pandas")
    numbers = np.concatenate([atoms.numbers for atoms in FRAMES])
    table = pipeline.fit_transform(FRAMES, numbers)
    assert list(table.columns) == ["pcovr0", "pcovr1"]
    assert table.index.names == ["structure", "atom"]
    assert list(pipeline[:-1].get_feature_names_out()) == list(pipeline[2].get_feature_names_out())
    assert isinstance(soap.set_output(transform="default").transform(FRAMES), np.ndarray)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(rb.PowerSpectrum(primitive()).fit_transform(FRAMES), pandas.DataFrame)
        assert isinstance(soap.transform(FRAMES), np.ndarray)
    with pytest.raises(ValueError, match="transform = 'excel': use one of 'default', 'pandas', 'polars'"):
        soap.set_output(transform="excel")


def test_scikit_learn_is_not_needed():
    """No module of it is loaded, and features and potentials work, where it cannot be."""
    code = """
import sys
sys.modules["sklearn"] = None
import rhobasis as rb
from ase.build import molecule
frames = [molecule("H2O"), molecule("CH4")]
basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=1, q_max=1)
potential = rb.Potential(rb.PowerSpectrum(basis), rb.Ridge()).fit(frames, [1.0, 2.0], force_sigma=None)
assert potential.features_.transform(frames).shape == (8, 12)
assert rb.selection.FPS(2).fit_transform([[1.0, 2.0, 3.0]]).shape == (1, 2)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_the_page_on_scikit_learn_runs(tmp_path, monkeypatch):
    root = pathlib.Path(__file__).parents[2]
    (tmp_path / "examples").symlink_to(root / "examples")
    monkeypatch.chdir(tmp_path)
    names = {}
    for piece in (root / "docs" / "how-to" / "scikit-learn.md").read_text().split("```python\n")[1:]:
        exec(piece.split("```")[0], names)
    assert len(set(names["search"].cv_results_["mean_test_score"])) == 4
    assert names["scores"].min() > 0.9
