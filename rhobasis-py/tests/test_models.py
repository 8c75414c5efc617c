"""Ridge and kernel ridge: scikit-learn's own checks and numbers, streaming, arrays of all kinds."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import rhobasis as rb
import sklearn.kernel_ridge
import sklearn.linear_model
from rhobasis.models import KernelRidge, Ridge, polynomial_kernel
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

ALPHAS = np.array([1e-3, 0.1, 1.0, 10.0, 1000.0])


@parametrize_with_checks(
    [
        Ridge(),
        Ridge(alpha=0.1, fit_intercept=False, solver="cholesky"),
        Ridge(alpha=(0.01, 1.0), cv=2),
        KernelRidge(),
        KernelRidge(alpha=0.1, zeta=1, normalize=True),
    ]
)
def test_scikit_learn_accepts_the_models(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(7)
    X = random.normal(size=(150, 12)) + 2.0
    y = X @ random.normal(size=(12, 3)) + 5.0 + random.normal(size=(150, 3))
    return X, y


@pytest.mark.parametrize("solver", ["qr", "cholesky"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_ridge_is_that_of_scikit_learn(data, fit_intercept, solver):
    X, Y = data
    for y in (Y, Y[:, 0], Y[:, :1]):
        path = Ridge(alpha=ALPHAS, cv=4, fit_intercept=fit_intercept, solver=solver).fit(X, y)
        for a, alpha in enumerate(ALPHAS):
            ours = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver=solver).fit(X, y)
            theirs = sklearn.linear_model.Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd").fit(X, y)
            assert np.shape(ours.intercept_) == np.shape(theirs.intercept_) or theirs.intercept_ == 0.0
            assert ours.predict(X).shape == theirs.predict(X).reshape(y.shape).shape
            np.testing.assert_allclose(ours.coef_, theirs.coef_.reshape(ours.coef_.shape), rtol=0, atol=1e-8)
            np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-8)
            np.testing.assert_allclose(path.coef_path_[a], ours.coef_, rtol=0, atol=1e-8)
            np.testing.assert_allclose(path.intercept_path_[a], ours.intercept_, rtol=0, atol=1e-8)
            assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-10)
            assert ours.score(X, y, np.arange(150.0)) == pytest.approx(theirs.score(X, y, np.arange(150.0)), abs=1e-10)
        centred = X - X.mean(axis=0) if fit_intercept else X
        assert path.condition_number_ == pytest.approx(np.linalg.cond(centred), rel=1e-8)


def test_errors_are_those_of_scikit_learns_cross_validation(data):
    X, y = data
    folds = np.arange(150) // 3 % 5
    for given, split in [(None, KFold(5)), (folds, PredefinedSplit(folds))]:
        model = Ridge(alpha=ALPHAS).fit(X, y, folds=given)
        search = GridSearchCV(
            sklearn.linear_model.Ridge(solver="svd"), {"alpha": ALPHAS}, scoring="neg_mean_squared_error", cv=split
        ).fit(X, y)
        theirs = -np.stack([search.cv_results_[f"split{k}_test_score"] for k in range(5)], axis=1)
        np.testing.assert_allclose(model.cv_errors_, theirs, rtol=0, atol=1e-8)
        assert model.alpha_ == search.best_params_["alpha"]
        np.testing.assert_array_equal(model.alphas_, ALPHAS)
        one = Ridge(alpha=10.0, cv=5).fit(X, y, folds=given)
        np.testing.assert_allclose(one.cv_errors_, theirs[3:4], rtol=0, atol=1e-8)
        assert not hasattr(one, "coef_path_")
        np.testing.assert_allclose(model.coef_, search.best_estimator_.coef_, rtol=0, atol=1e-8)


def test_an_alpha_at_an_end_of_its_list_is_told_of(data):
    X, y = data
    with pytest.warns(UserWarning, match=r"alpha = 1e4 was chosen, the smallest of its list.* for instance to 1e2"):
        Ridge(alpha=[1e6, 1e4, 1e5]).fit(X, y)
    with pytest.warns(UserWarning, match="alpha = 1e-8 was chosen, the largest of its list") as said:
        Ridge(alpha=[1e-9, 1e-8]).fit(X, y + np.random.default_rng(3).normal(size=y.shape) * 30.0)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ridge(alpha=ALPHAS).fit(X, y)
        Ridge(alpha=[0.0, 1e9]).fit(X, y)  # below zero there is nothing
        Ridge(alpha=1e9, cv=5).fit(X, y)


@pytest.mark.parametrize("size", [1, 7, 150])
def test_partial_fit_equals_fit_to_the_bit(data, size):
    X, y = data
    folds = np.arange(150) * 4 // 150
    for alpha, cv in [(0.1, None), (ALPHAS, 4)]:
        whole = Ridge(alpha=alpha, cv=cv).fit(X, y, folds=folds if cv else None)
        streamed = Ridge(alpha=alpha, cv=cv)
        for start in range(0, 150, size):
            rows = slice(start, start + size)
            streamed.partial_fit(X[rows], y[rows], folds=folds[rows] if cv else None)
            if start == 7 * size:
                streamed = copy.deepcopy(pickle.loads(pickle.dumps(streamed)))
        np.testing.assert_array_equal(streamed.coef_, whole.coef_)
        np.testing.assert_array_equal(streamed.intercept_, whole.intercept_)
        np.testing.assert_array_equal(streamed.predict(X), whole.predict(X))
        if cv:
            np.testing.assert_array_equal(streamed.cv_errors_, whole.cv_errors_)
    round_robin = Ridge(alpha=ALPHAS, cv=4).partial_fit(X[:51], y[:51]).partial_fit(X[51:], y[51:])
    by_hand = Ridge(alpha=ALPHAS, cv=4).fit(X, y, folds=np.arange(150) % 4)
    np.testing.assert_array_equal(round_robin.cv_errors_, by_hand.cv_errors_)
    more = streamed.partial_fit(X[:3] + 1, y[:3], folds=[0, 1, 2])
    assert not np.array_equal(more.coef_, whole.coef_)
    assert np.array_equal(more.fit(X, y, folds=folds).coef_, whole.coef_)
    assert np.array_equal(
        more.fit(X, y, folds=folds).partial_fit(X, y, folds=folds).fit(X, y, folds).coef_, whole.coef_
    )


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("zeta", [1, 2, 4])
def test_kernel_ridge_is_that_of_scikit_learn(data, zeta, normalize):
    X, Y = data
    rows = X / np.linalg.norm(X, axis=1, keepdims=True) if normalize else X
    kernel = (rows @ rows[:50].T) ** zeta
    np.testing.assert_allclose(polynomial_kernel(rows, rows[:50], zeta), kernel, rtol=1e-12)
    alpha = 0.1 if normalize else 1e-2 * kernel.max()
    for y in (Y, Y[:, 0]):
        ours = KernelRidge(alpha=alpha, zeta=zeta, normalize=normalize).fit(X[:100], y[:100])
        theirs = sklearn.kernel_ridge.KernelRidge(alpha=alpha, kernel="poly", gamma=1, coef0=0, degree=zeta)
        theirs.fit(rows[:100], y[:100])
        assert ours.dual_coef_.shape == theirs.dual_coef_.shape
        np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(rows), rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.X_fit_, rows[:100], rtol=1e-14)
        restored = pickle.loads(pickle.dumps(ours))
        np.testing.assert_array_equal(restored.predict(X), ours.predict(X))


def test_strides_and_order_do_not_matter(data):
    X, y = data
    wide = np.zeros((300, 24))
    wide[::2, ::2] = X
    for other in (np.asfortranarray(X), wide[::2, ::2], X[::-1][::-1], X.tolist()):
        np.testing.assert_array_equal(Ridge().fit(other, y).coef_, Ridge().fit(X, y).coef_)
        np.testing.assert_allclose(KernelRidge().fit(other, y).dual_coef_, KernelRidge().fit(X, y).dual_coef_, 1e-9)


def test_models_live_in_pipelines_and_searches(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), Ridge(alpha=ALPHAS))
    assert cross_val_score(pipeline, X, y).mean() > 0.7
    search = GridSearchCV(KernelRidge(normalize=True), {"alpha": [1e-4, 1.0], "zeta": [1, 2]}).fit(X, y)
    assert search.best_params_["zeta"] in (1, 2)
    fitted = Ridge(alpha=0.5).fit(X, y)
    unfitted = clone(fitted).set_params(alpha=2.0)
    assert unfitted.alpha == 2.0
    assert not hasattr(unfitted, "coef_")
    assert repr(Ridge(alpha=2.0)) == "Ridge(alpha=2.0)"


def test_refusals_say_what_is_wrong(data):
    X, y = data
    hole = X.copy()
    hole[4, 2] = np.nan
    streamed = Ridge().partial_fit(X, y)
    for call, words in [
        (lambda: Ridge().fit(hole, y), "NaN, in row 4, column 2"),
        (lambda: Ridge().fit(X, y * np.inf), "y contains infinity|y contains NaN"),
        (lambda: Ridge().fit(X, y[:5]), "X has 150 rows, y has 5"),
        (lambda: Ridge().fit(X), "requires y"),
        (lambda: Ridge(alpha=-1.0).fit(X, y), "alpha = -1"),
        (lambda: Ridge(alpha=[]).fit(X, y), "alpha"),
        (lambda: Ridge(alpha=0.0, fit_intercept=False).fit(X[:5], y[:5]), "condition number about.*alpha above 0"),
        (lambda: Ridge(solver="lu").fit(X, y), 'solver = "lu"'),
        (lambda: Ridge(cv=True).fit(X, y), "cv = True"),
        (lambda: Ridge(alpha=ALPHAS, cv=1).fit(X, y), "cv = 1"),
        (lambda: Ridge(alpha=ALPHAS, cv=5).fit(X[:4], y[:4]), "cv = 5"),
        (lambda: Ridge(alpha=ALPHAS).fit(X, y, folds=np.full(150, 9)), "folds = 9"),
        (lambda: Ridge(alpha=ALPHAS).fit(X, y, folds=np.zeros(150)), "one integer per row"),
        (lambda: Ridge(alpha=ALPHAS).partial_fit(X, y, folds=[0]), "one integer per row"),
        (lambda: streamed.partial_fit(X[:, :3], y), "3 features"),
        (lambda: streamed.partial_fit(X, y[:, 0]), "3 targets"),
        (lambda: copy.copy(streamed).set_params(solver="cholesky").partial_fit(X, y), "earlier rows"),
        (lambda: Ridge().predict(X), "not fitted"),
        (lambda: KernelRidge().predict(X), "not fitted"),
        (lambda: KernelRidge(zeta=0).fit(X, y), "zeta = 0"),
        (lambda: KernelRidge(zeta=1.5).fit(X, y), "zeta = 1.5"),
        (lambda: KernelRidge(alpha=0.0).fit(X, y), "singular"),
        (lambda: KernelRidge(zeta=400).fit(X, y), "overflows"),
        (lambda: KernelRidge().fit(X, y).predict(X[:, 1:]), "11 features"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(rb.NotFittedError):
        Ridge().predict(X)
    with pytest.raises(AttributeError):
        Ridge().coef_  # noqa: B018
