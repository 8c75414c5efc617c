"""Principal covariates regression of matrices: between principal components and regression.

The estimator keeps scikit-learn's conventions and does not need it. Bases that know of energies, Eq. (14), are made
with ``OptimalBasis(method="pcovr")``.
"""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._base import Parameters
from ._matrix import as_matrix, check_features, feature_names, not_fitted, to_native, without_size
from ._output import MatrixOutput, index_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Self

__all__ = ["PCovR"]

_Reals = npt.NDArray[np.float64]


class PCovR(MatrixOutput, Parameters):
    """Principal covariates regression in the space of features.

    C = XᵀX, Ŷ the ridge regression of Y on X, and::

        C̃ = γ C + (1 − γ) C^(−1/2) XᵀŶ ŶᵀX C^(−1/2) = V Λ Vᵀ
        P_XT = C^(−1/2) V Λ^(1/2),   P_TX = Λ^(−1/2) Vᵀ C^(1/2),   P_TY = Λ^(−1/2) Vᵀ C^(−1/2) XᵀY

    T = X P_XT has TᵀT = Λ. γ weighs |X|² against |Ŷ|²: divide each matrix by the root of its total variance first.

    Parameters
    ----------
    gamma : float, default 0.5
        1 is principal component analysis, towards 0 regression; ``mixing`` of scikit-matter.
    n_components : int, optional
        Components to keep; None: all.
    alpha : float, default 1e-06
        Strength of the ridge, in units of XᵀX.
    tol : float, default 1e-12
        Eigenvalues of XᵀX below this fraction of the largest are dropped.
    center : bool, default True
        Whether the means of X and Y are subtracted, and added again.

    Attributes
    ----------
    pxt_, ptx_, pty_ : ndarray
        The projectors, of shapes (n_features, k), (k, n_features), (k, n_targets); ``pty_`` of a target without a
        second axis has none either. The component of largest magnitude of each column of ``pxt_`` is positive.
    components_ : ndarray
        ``pxt_`` transposed.
    explained_variance_ : ndarray
        Λ / (n_samples − 1).
    n_components_ : int
        k, fewer than asked for where the rest is zero to within rounding.
    mean_, y_mean_ : ndarray
        What was subtracted.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.sin(np.outer(np.arange(1.0, 60.0), np.arange(1.0, 5.0)) ** 2) * [1.0, 1.0, 1.0, 0.01]
    >>> y = X[:, 3] / np.std(X[:, 3])  # hidden in the smallest column
    >>> [bool(PCovR(gamma, n_components=1).fit(X, y).score(X, y) > 0.99) for gamma in (1.0, 1e-5)]
    [False, True]
    """

    def __init__(
        self,
        gamma: float = 0.5,
        n_components: int | None = None,
        alpha: float = 1e-6,
        tol: float = 1e-12,
        center: bool = True,
    ) -> None:
        self.gamma = gamma
        self.n_components = n_components
        self.alpha = alpha
        self.tol = tol
        self.center = center

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fits X, of shape (n_samples, n_features), and y, of shape (n_samples,) or (n_samples, n_targets)."""
        a, names = as_matrix(X), feature_names(X)
        b = _targets(self, y)
        if len(a) != len(b):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: [{len(a)}, {len(b)}]")
        if len(a) < 2:
            raise ValueError("1 sample: n_samples=1, but two at least are needed")
        n = self.n_components
        if n is not None and (not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < 1):
            raise ValueError(f"n_components = {n!r}: use a whole number of at least 1, or None for all")
        columns = b.reshape(len(b), -1)
        self.mean_ = a.mean(axis=0, dtype=float) if self.center else np.zeros(a.shape[1])
        self.y_mean_ = b.mean(axis=0) if self.center else np.zeros(b.shape[1:])
        centred = np.asarray(a, dtype=float) - self.mean_
        targets = columns - np.atleast_1d(self.y_mean_)
        self.pxt_, self.ptx_, pty, values = _native.pcovr(
            to_native(centred),
            to_native(targets),
            float(self.gamma),
            None if n is None else int(n),
            float(self.alpha),
            float(self.tol),
        )
        self.pty_ = pty if b.ndim == 2 else pty[:, 0]
        self.components_ = self.pxt_.T
        self.n_components_ = len(values)
        self.explained_variance_ = values / (len(a) - 1)
        self.n_features_in_ = a.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def _matrix(self, X: ArrayLike) -> npt.NDArray[Any]:
        if not hasattr(self, "pxt_"):
            raise not_fitted(self)
        a = as_matrix(X)
        check_features(self, X, a)
        return a

    def transform(self, X: ArrayLike) -> Any:
        """T = (X − mean) P_XT, of shape (n_samples, k), as an array or what `set_output` says."""
        a = self._matrix(X)
        return self._contained(((a - self.mean_) @ self.pxt_).astype(a.dtype, copy=False), index_of(X))

    def fit_transform(self, X: ArrayLike, y: ArrayLike) -> Any:
        """T of X itself."""
        return self.fit(X, y).transform(X)

    def inverse_transform(self, T: ArrayLike) -> _Reals:
        """X as far as T knows it: T P_TX + mean."""
        if not hasattr(self, "pxt_"):
            raise not_fitted(self)
        t = as_matrix(T, "T")
        if t.shape[1] != self.n_components_:
            raise ValueError(f"T has {t.shape[1]} columns, but there are {self.n_components_} components")
        return t @ self.ptx_ + self.mean_

    def predict(self, X: ArrayLike) -> _Reals:
        """y = (X − mean) P_XT P_TY + mean, of the shape of y in `fit`."""
        a = self._matrix(X)
        return (a - self.mean_) @ self.pxt_ @ self.pty_ + self.y_mean_

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """R² of `predict`, averaged over targets."""
        predicted = self.predict(X)
        true = _targets(self, y)
        if true.shape != predicted.shape:
            raise ValueError(f"y has shape {true.shape}, but predictions have {predicted.shape}")
        spread = true - true.mean(axis=0)
        factor = without_size(spread)
        left = np.sum(((true - predicted) * factor) ** 2, axis=0)
        total = np.sum((spread * factor) ** 2, axis=0)
        constant = total == 0
        r2 = np.where(constant, np.where(left == 0, 1.0, 0.0), 1 - left / np.where(constant, 1.0, total))
        return float(np.mean(r2))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> npt.NDArray[np.object_]:
        """Names of the columns of T: pcovr0, pcovr1, …"""
        if not hasattr(self, "pxt_"):
            raise not_fitted(self)
        return np.array([f"pcovr{k}" for k in range(self.n_components_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, multi_output=True),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            regressor_tags=RegressorTags(poor_score=False),
        )


def _targets(estimator: PCovR, y: Any) -> _Reals:
    """Finite numbers with one axis or two."""
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    b = np.asarray(y)
    if b.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: y must hold real numbers\n{y}\n")
    b = b.astype(float)
    if b.ndim not in (1, 2) or (b.ndim == 2 and b.shape[1] == 0):
        raise ValueError(f"y should be a 1d or 2d array, got an array of shape {b.shape} instead")
    if not np.isfinite(b).all():
        found = "NaN" if np.isnan(b).any() else "infinity"
        raise ValueError(f"Input y contains {found}; remove the sample")
    return b
