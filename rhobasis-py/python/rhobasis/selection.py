"""A few features or samples that stand for all: CUR and farthest point sampling, as functions and as estimators.

The choice is deterministic and that of scikit-matter. The estimators keep scikit-learn's conventions and do
not need it.

>>> import numpy as np
>>> from rhobasis.selection import CUR, cur, fps
>>> X = np.cos(np.outer(np.arange(50.0), np.arange(1, 9)) ** 2)
>>> cur(X, 3).shape
(3,)
>>> fps(X, 2, axis="samples")[0]
np.int64(0)
>>> CUR(n_to_select=3).fit_transform(X).shape
(50, 3)
"""

from __future__ import annotations

import numbers
import warnings
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from . import _native
from ._base import Parameters
from ._matrix import as_matrix, check_features, feature_names, not_fitted, to_native
from ._output import MatrixOutput, index_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Self

__all__ = ["CUR", "FPS", "SampleCUR", "SampleFPS", "cur", "cur_gram", "fps", "fps_gram"]

_Axis = Literal["features", "samples"]
_Indices = npt.NDArray[np.int64]
_Reals = npt.NDArray[np.float64]


@overload
def cur(
    X: ArrayLike,
    n: int,
    k: int = ...,
    recompute_every: int = ...,
    axis: _Axis = ...,
    *,
    return_scores: Literal[False] = ...,
) -> _Indices: ...
@overload
def cur(
    X: ArrayLike, n: int, k: int = ..., recompute_every: int = ..., axis: _Axis = ..., *, return_scores: Literal[True]
) -> tuple[_Indices, _Reals]: ...
def cur(
    X: ArrayLike,
    n: int,
    k: int = 1,
    recompute_every: int = 1,
    axis: _Axis = "features",
    *,
    return_scores: bool = False,
) -> _Indices | tuple[_Indices, _Reals]:
    """Deterministic CUR: repeatedly the column with the largest leverage, which is then projected out of all.

    The leverage of column j is ``π_j = Σ_k v_kj²`` over the first `k` right singular vectors of what is left of X,
    which is not centred.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    n : int
        How many to choose. Fewer are chosen, with a warning, where the rest depends linearly on them.
    k : int
        Number of singular vectors in the leverage.
    recompute_every : int
        Number of columns chosen before the leverage is computed anew; 0: once, and nothing is projected out.
    axis : "features" or "samples"
        What is chosen.
    return_scores : bool
        Whether to return also the leverage of each, as it was when chosen.

    Returns
    -------
    indices : array of shape (n,), in the order of choice
    scores : array of shape (n,), with `return_scores`

    Examples
    --------
    >>> X = np.array([[3.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> cur(X, 2)
    array([2, 1])
    """
    indices, scores = _native.cur(to_native(as_matrix(X)), n, k, recompute_every, axis)
    return _result(indices, scores, n, return_scores)


def cur_gram(gram: ArrayLike, n: int, k: int = 1, recompute_every: int = 1) -> _Indices:
    """`cur` from the Gram matrix alone: XᵀX chooses features, XXᵀ (a kernel) samples; only its lower triangle is read.

    Examples
    --------
    >>> X = np.array([[3.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> cur_gram(X.T @ X, 2)
    array([2, 1])
    """
    indices, scores = _native.cur(to_native(as_matrix(gram, "gram")), n, k, recompute_every, "gram")
    return _result(indices, scores, n, False)


@overload
def fps(
    X: ArrayLike, n: int, start: int = ..., axis: _Axis = ..., *, return_scores: Literal[False] = ...
) -> _Indices: ...
@overload
def fps(
    X: ArrayLike, n: int, start: int = ..., axis: _Axis = ..., *, return_scores: Literal[True]
) -> tuple[_Indices, _Reals]: ...
def fps(
    X: ArrayLike, n: int, start: int = 0, axis: _Axis = "features", *, return_scores: bool = False
) -> _Indices | tuple[_Indices, _Reals]:
    """Farthest point sampling: `start`, then repeatedly the one farthest from the nearest chosen already.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    n : int
        How many to choose. Fewer are chosen, with a warning, where all others repeat them.
    start : int
        Index of the first.
    axis : "features" or "samples"
        What is chosen.
    return_scores : bool
        Whether to return also the squared distance of each to the nearest chosen before it, infinite for the first.

    Returns
    -------
    indices : array of shape (n,), in the order of choice
    scores : array of shape (n,), with `return_scores`

    Examples
    --------
    >>> fps([[0.0], [1.0], [5.0], [2.5]], 3, axis="samples", return_scores=True)
    (array([0, 2, 3]), array([  inf, 25.  ,  6.25]))
    """
    indices, scores = _native.fps(to_native(as_matrix(X)), n, start, axis)
    return _result(indices, scores, n, return_scores)


def fps_gram(gram: ArrayLike, n: int, start: int = 0) -> _Indices:
    """`fps` from the Gram matrix alone: XᵀX chooses features, XXᵀ (a kernel) samples; only its lower triangle is read.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [5.0], [2.5]])
    >>> fps_gram(x @ x.T, 3)
    array([0, 2, 3])
    """
    indices, scores = _native.fps(to_native(as_matrix(gram, "gram")), n, start, "gram")
    return _result(indices, scores, n, False)


def _result(indices: _Indices, scores: _Reals, n: int, return_scores: bool) -> Any:
    _warn_if_fewer(len(indices), n)
    return (indices, scores) if return_scores else indices


def _warn_if_fewer(found: int, n: int) -> None:
    if found < n:
        warnings.warn(f"{found} of {n} were chosen: the others add nothing to them", stacklevel=4)


class _Selector(Parameters):
    """Estimator around a selection along `_axis`."""

    _axis: _Axis = "features"
    n_to_select: int | float | None

    def _choose(self, X: _Reals, n: int) -> tuple[_Indices, _Reals]:
        raise NotImplementedError

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Chooses from X, of shape (n_samples, n_features); `y` is ignored."""
        a, names = as_matrix(X), feature_names(X)
        n = self._count(a.shape[self._axis == "features"])
        indices, scores = self._choose(to_native(a), n)
        _warn_if_fewer(len(indices), n)
        self.n_features_in_ = a.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.selected_idx_ = indices
        self.scores_ = scores
        self.support_ = np.zeros(a.shape[self._axis == "features"], dtype=bool)
        self.support_[indices] = True
        return self

    def _count(self, available: int) -> int:
        n = self.n_to_select
        if n is None:
            return max(available // 2, 1)
        if isinstance(n, numbers.Integral) and not isinstance(n, bool):
            if 1 <= n <= available:
                return int(n)
        elif isinstance(n, numbers.Real) and 0 < n <= 1:
            return max(int(available * n), 1)
        raise ValueError(
            f"n_to_select = {n!r}: there are {available} {self._axis}; use None (half of them), an integer from 1 to "
            f"{available}, or a fraction above 0 and up to 1.0"
        )

    def get_support(self, indices: bool = False) -> npt.NDArray[Any]:
        """What was chosen: a mask, or with `indices` ascending indices (in the order of choice: ``selected_idx_``)."""
        self._check_is_fitted()
        return np.sort(self.selected_idx_) if indices else self.support_

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "selected_idx_"):
            raise not_fitted(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags, TransformerTags

        transformer = TransformerTags(preserves_dtype=["float64", "float32"])
        return Tags(
            estimator_type="transformer" if hasattr(self, "transform") else None,
            target_tags=TargetTags(required=False),
            transformer_tags=transformer if hasattr(self, "transform") else None,
        )


class _FeatureSelector(MatrixOutput, _Selector):
    def transform(self, X: ArrayLike) -> Any:
        """The chosen columns of X, of shape (n_samples, n_chosen), in the order they have in X, as an array or what
        `set_output` says.
        """
        self._check_is_fitted()
        a = as_matrix(X)
        check_features(self, X, a)
        return self._contained(a[:, self.support_], index_of(X))

    def fit_transform(self, X: ArrayLike, y: object = None) -> Any:
        """The chosen columns of X itself."""
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> npt.NDArray[np.object_]:
        """Names of the chosen columns; without names in `fit` or here: x0, x1, …"""
        self._check_is_fitted()
        fitted = getattr(self, "feature_names_in_", None)
        if input_features is None:
            names = [f"x{i}" for i in range(self.n_features_in_)] if fitted is None else fitted
        else:
            names = np.asarray(input_features, dtype=object)
            if fitted is not None and not np.array_equal(names, fitted):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(names) != self.n_features_in_:
                raise ValueError(
                    f"input_features should have length equal to number of features ({self.n_features_in_}), "
                    f"got {len(names)}"
                )
        return np.asarray(names, dtype=object)[self.support_]


class _Cur(_Selector):
    def __init__(self, n_to_select: int | float | None = None, k: int = 1, recompute_every: int = 1) -> None:
        self.n_to_select = n_to_select
        self.k = k
        self.recompute_every = recompute_every

    def _choose(self, X: _Reals, n: int) -> tuple[_Indices, _Reals]:
        return _native.cur(X, n, self.k, self.recompute_every, self._axis)


class _Fps(_Selector):
    def __init__(self, n_to_select: int | float | None = None, start: int = 0) -> None:
        self.n_to_select = n_to_select
        self.start = start

    def _choose(self, X: _Reals, n: int) -> tuple[_Indices, _Reals]:
        return _native.fps(X, n, self.start, self._axis)


class CUR(_FeatureSelector, _Cur):
    """Chooses features by `cur`, as a scikit-learn transformer.

    Parameters
    ----------
    n_to_select : int, float or None
        How many, or which fraction; None: half of them.
    k, recompute_every
        See `cur`.

    Attributes
    ----------
    selected_idx_ : array of int
        Indices in the order of choice.
    scores_ : array
        The leverage of each when it was chosen.
    support_ : array of bool
        Mask over the features.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.array([[3.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> selector = CUR(n_to_select=2).fit(X)
    >>> selector.selected_idx_
    array([2, 1])
    >>> selector.transform(X).shape
    (3, 2)
    """


class FPS(_FeatureSelector, _Fps):
    """Chooses features by `fps`, as a scikit-learn transformer; attributes as those of `CUR`, parameters as in `fps`.

    Examples
    --------
    >>> FPS(n_to_select=2).fit([[0.0, 1.0, 5.0], [0.0, 1.0, 5.0]]).get_support()
    array([ True, False,  True])
    """


class SampleCUR(_Cur):
    """Chooses samples by `cur`: as `CUR`, with ``support_`` over the rows and without `transform`.

    Examples
    --------
    >>> X = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.0]])
    >>> X[SampleCUR(n_to_select=1).fit(X).selected_idx_]
    array([[3., 0., 1.]])
    """

    _axis: _Axis = "samples"


class SampleFPS(_Fps):
    """Chooses samples by `fps`: as `FPS`, with ``support_`` over the rows and without `transform`.

    Examples
    --------
    >>> SampleFPS(n_to_select=3).fit([[0.0], [1.0], [5.0], [2.5]]).selected_idx_
    array([0, 2, 3])
    """

    _axis: _Axis = "samples"
