"""What one set of features knows of another, and how far predictions are off.

The reconstruction measures are those of Goscinski et al., Mach. Learn.: Sci. Technol. 2, 025028 (2021), with the
split, the folds and the cutoffs of scikit-matter.

>>> import numpy as np
>>> from rhobasis.metrics import gfre
>>> x = np.arange(60.0)[:, None]
>>> F = np.cos(0.37 * x * np.arange(1, 9) + 0.1 * np.arange(1, 9) ** 2) + 0.01 * x / 60
>>> round(gfre(F[:, :4], F), 8)
0.87918052
>>> gfre(F, F[:, :4]) < 1e-10
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._matrix import as_matrix, to_native

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["gfrd", "gfre", "lfre", "mae", "percent_rmse", "r2", "residual_variance", "rmse"]

_SEED = 0x5F3759DF
_Indices = npt.NDArray[np.int64]


def gfre(X: ArrayLike, Y: ArrayLike, train: ArrayLike | None = None, test: ArrayLike | None = None) -> float:
    """Global feature space reconstruction error of Y from X: 0 if X knows all that is linear in Y, about 1 if nothing.

    ``sqrt(mean_i |y_i - x_i W|²)`` over test rows. Both matrices are centred by their train mean and divided by the
    square root of their total train variance. W is the least-squares solution on the train rows, its singular values
    cut off where two halves of them predict each other best.

    Parameters
    ----------
    X, Y : arrays of shape (n_samples, …)
    train, test : arrays of row indices
        One of them alone: the other is the rest. Neither: two random halves, always the same for a number of rows.

    Examples
    --------
    >>> X = np.cos(np.outer(np.arange(40.0), [1.0, 2.0, 3.0]))
    >>> gfre(X, X @ [[1.0], [2.0], [3.0]]) < 1e-10
    True
    """
    return _native.gfre(*_matrices(X, Y, train, test))


def gfrd(X: ArrayLike, Y: ArrayLike, train: ArrayLike | None = None, test: ArrayLike | None = None) -> float:
    """Global feature space reconstruction distortion: the part of the reconstruction of `gfre` that is no rotation,
    ``sqrt(mean_i |x_i W - x_i Q|²)`` with Q orthogonal and nearest on the train rows. Parameters as in `gfre`.

    Examples
    --------
    >>> X = np.cos(np.outer(np.arange(40.0), [1.0, 2.0]))
    >>> gfrd(X, X @ [[0.6, 0.8], [-0.8, 0.6]]) < 1e-10
    True
    """
    return _native.gfrd(*_matrices(X, Y, train, test))


def lfre(
    X: ArrayLike, Y: ArrayLike, n_neighbors: int, train: ArrayLike | None = None, test: ArrayLike | None = None
) -> float:
    """Local feature space reconstruction error: `gfre`, but each test row is regressed on its `n_neighbors` nearest
    train rows (in X) alone. Other parameters as in `gfre`.

    Examples
    --------
    >>> t = np.linspace(0, 1, 200)[:, None]
    >>> lfre(t, t**2, 10) < 0.01 < gfre(t, t**2)
    True
    """
    local = _folds(n_neighbors) if n_neighbors >= 2 else (np.arange(1), np.arange(1))
    return _native.lfre(*_matrices(X, Y, train, test), n_neighbors, local)


def residual_variance(all: ArrayLike, kept: ArrayLike) -> float:
    """Variance that a projection or a selection loses, Eq. (22): ``1 - sum(kept**2) / sum(all**2)``.

    Examples
    --------
    >>> residual_variance([[3.0, 4.0]], [[0.0, 4.0]])
    0.36
    """
    return _native.residual_variance(to_native(as_matrix(all, "all")), to_native(as_matrix(kept, "kept")))


def rmse(target: ArrayLike, predicted: ArrayLike) -> float:
    """Root mean square error over all entries of two arrays of one shape.

    Examples
    --------
    >>> rmse([0.0, 0.0], [3.0, 3.0])
    3.0
    """
    return _native.rmse(*_alike(target, predicted))


def mae(target: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error over all entries of two arrays of one shape.

    Examples
    --------
    >>> mae([0.0, 0.0], [3.0, -1.0])
    2.0
    """
    return _native.mae(*_alike(target, predicted))


def r2(target: ArrayLike, predicted: ArrayLike) -> float:
    """Coefficient of determination ``1 - sum((predicted - target)**2) / sum((target - mean)**2)`` over all entries.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    0.0
    """
    return _native.r2(*_alike(target, predicted))


def percent_rmse(target: ArrayLike, predicted: ArrayLike) -> float:
    """Root mean square error in percent of the standard deviation of all targets.

    Examples
    --------
    >>> percent_rmse([0.0, 2.0], [0.5, 1.5])
    50.0
    """
    return _native.percent_rmse(*_alike(target, predicted))


def _alike(target: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The entries of two arrays of one shape."""
    a, b = (np.asarray(values, dtype=np.float64) for values in (target, predicted))
    if a.shape != b.shape:
        raise ValueError(f"predictions have shape {b.shape}, targets {a.shape}; pass one prediction for each target")
    return np.ascontiguousarray(a).ravel(), np.ascontiguousarray(b).ravel()


def _matrices(X: Any, Y: Any, train: Any, test: Any) -> tuple[Any, Any, tuple[_Indices, _Indices], Any]:
    """X, Y, the rows to train on and to test with, and folds of the former."""
    X, Y = to_native(as_matrix(X)), to_native(as_matrix(Y, "Y"))
    rows = _rows(len(X), train, test)
    return X, Y, rows, _folds(len(rows[0]))


def _rows(n: int, train: Any, test: Any) -> tuple[_Indices, _Indices]:
    """Train and test rows; by default as scikit-learn's train_test_split into halves with the seed of scikit-matter."""
    if train is None and test is None:
        if n < 2:
            raise ValueError(f"X has {n} row; a train and a test half need 2 at least, better hundreds")
        order = np.random.RandomState(_SEED).permutation(n)
        n_test = (n + 1) // 2
        return order[n_test:], order[:n_test]
    if train is None:
        test = _indices(n, test)
        return np.setdiff1d(np.arange(n), test), test
    train = _indices(n, train)
    return train, np.setdiff1d(np.arange(n), train) if test is None else _indices(n, test)


def _indices(n: int, rows: Any) -> _Indices:
    a = np.asarray(rows)
    if a.ndim != 1 or (a.size and a.dtype.kind not in "iu"):
        raise ValueError(f"rows are a list of integers, not an array of {a.dtype} with shape {a.shape}")
    if a.size and not (a.min() >= 0 and a.max() < n):
        raise ValueError(f"rows from {a.min()} to {a.max()}: there are {n}, counted from 0")
    return a.astype(np.int64)


def _folds(n: int) -> tuple[_Indices, _Indices]:
    """The first split of scikit-learn's KFold(2, shuffle=True) with the seed of scikit-matter."""
    if n < 2:
        raise ValueError(f"{n} train row(s): two folds need 2 at least")
    order = np.random.RandomState(_SEED).permutation(n)
    size = (n + 1) // 2
    return np.sort(order[size:]), np.sort(order[:size])
