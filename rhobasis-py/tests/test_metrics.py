"""Reconstruction measures: values of scikit-matter, and scikit-learn's way to split."""

import numpy as np
import pytest
from rhobasis import metrics
from rhobasis.metrics import gfrd, gfre, lfre
from sklearn.model_selection import KFold, train_test_split


@pytest.fixture(scope="module")
def matrices():
    x, k = np.arange(60.0)[:, None], np.arange(1, 9.0)
    F = np.cos(0.37 * x * k + 0.1 * k**2) + 0.01 * x / 60
    return F, np.hstack([F, np.sin(0.21 * x * k)])


def test_values_are_those_of_scikit_matter(matrices):
    """Values: reference/selection_metrics/make.py."""
    F, Y = matrices
    assert gfre(F, Y) == pytest.approx(0.9116172515404364, abs=1e-8)
    assert gfre(F[:, :4], F) == pytest.approx(0.879180522161353, abs=1e-8)
    assert gfre(F, F) < 1e-10
    assert gfre(F[:, :4], F, train=range(0, 60, 2)) == pytest.approx(0.7140877719365047, abs=1e-8)
    assert gfre(F, Y, test=np.arange(1, 60, 2)) == pytest.approx(0.8960729485830795, abs=1e-8)
    assert gfrd(F, Y) == pytest.approx(0.23415393042261998, abs=1e-8)
    assert gfrd(F[:, :4], F) == pytest.approx(0.2567458528858854, abs=1e-8)
    assert lfre(F[:, :4], F, 5) == pytest.approx(0.7080013159894674, abs=1e-8)
    assert lfre(F, Y, 12) == pytest.approx(1.0036565728344888, abs=1e-8)
    assert gfre(F[:59, :4], F[:59]) == pytest.approx(0.8651282160119304, abs=1e-8)


@pytest.mark.parametrize("n", [2, 5, 30, 59, 60, 1001])
def test_the_split_is_that_of_scikit_learn(n):
    seed = 0x5F3759DF
    expected = train_test_split(np.arange(n), test_size=0.5, train_size=0.5, random_state=seed)
    for rows, same in zip(metrics._rows(n, None, None), expected, strict=True):
        assert np.array_equal(rows, same)
    for rows, same in zip(
        metrics._folds(n), next(KFold(2, shuffle=True, random_state=seed).split(np.arange(n))), strict=True
    ):
        assert np.array_equal(rows, same)


def test_order_and_precision_of_the_arrays_do_not_matter(matrices):
    F, Y = matrices
    assert gfre(np.asfortranarray(F), Y[::-1][::-1]) == gfre(F, Y)
    assert gfre(F.astype(np.float32), Y) == pytest.approx(gfre(F, Y), rel=1e-5)
    assert gfre(F.tolist(), Y) == gfre(F, Y)


def test_refusals_say_what_is_wrong(matrices):
    F, Y = matrices
    for call, words in [
        (lambda: gfre(F, Y[:50]), "rows of Y = 50.*60 rows"),
        (lambda: gfre(F, Y, train=[0, 99]), "there are 60"),
        (lambda: gfre(F, Y, train=[3]), "two folds"),
        (lambda: gfre(F, Y, train=[0.5, 1]), "integers"),
        (lambda: gfre(F, Y, test=[]), "no rows"),
        (lambda: gfre(np.ones((60, 1)), Y), "same in all train rows"),
        (lambda: gfre(F * np.inf, Y), "X contains"),
        (lambda: lfre(F, Y, 31), "n_neighbors = 31.*30"),
        (lambda: lfre(F, Y, 1), "n_neighbors = 1"),
        (lambda: metrics.rmse([1.0], [1.0, 2.0]), r"shape \(2,\)"),
        (lambda: metrics.r2([1.0, 1.0], [1.0, 2.0]), "equal"),
        (lambda: metrics.mae([np.nan], [1.0]), "not finite"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
