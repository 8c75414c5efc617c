"""Ridge and kernel ridge regression of matrices, as scikit-learn's estimators; that is not needed.

>>> import numpy as np
>>> from rhobasis.models import KernelRidge, Ridge
>>> X = np.cos(np.outer(np.arange(50.0), np.arange(1, 9)) ** 2)
>>> y = X @ np.arange(8.0) + 1.0
>>> model = Ridge(alpha=[1e-6, 1e-3, 1.0], cv=5).fit(X, y)
>>> float(model.alpha_), model.coef_.shape, round(float(model.intercept_), 3)
(1e-06, (8,), 1.0)
>>> KernelRidge(alpha=1e-3, zeta=2).fit(X, y).predict(X).shape
(50,)
"""

from __future__ import annotations

import numbers
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from . import _native
from ._base import Parameters
from ._matrix import as_matrix, check_features, feature_names, not_fitted, to_native, without_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from typing_extensions import Self

__all__ = ["KernelRidge", "Ridge", "polynomial_kernel"]

_Reals = npt.NDArray[np.float64]


def polynomial_kernel(X: ArrayLike, Y: ArrayLike | None = None, zeta: int = 2) -> _Reals:
    """Kernel ``(x · x′)^zeta`` of the rows of X with those of Y, of X itself by default: shape (rows of X, rows of Y).

    Examples
    --------
    >>> polynomial_kernel([[1.0, 2.0]], [[3.0, 0.5], [0.0, 1.0]])
    array([[16.,  4.]])
    """
    x = to_native(as_matrix(X))
    return _native.polynomial_kernel(x, x if Y is None else to_native(as_matrix(Y, "Y")), _integer("zeta", zeta))


def _integer(name: str, value: object, least: int = 1) -> int:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and least <= int(value) < 2**31:
        return int(value)
    raise ValueError(f"{name} = {value!r}: an integer of {least} or more is needed")


class _Regressor(Parameters):
    """What both models share: targets of one or two axes, names of features, R²."""

    n_features_in_: int

    def _matrices(self, X: ArrayLike, y: ArrayLike | None) -> tuple[_Reals, _Reals, bool]:
        """X, y with axes [row, target], and whether y had one axis."""
        a = as_matrix(X)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; pass one value per row of X"
            )
        targets = np.asarray(y)
        flat = targets.ndim == 1
        b = as_matrix(targets[:, None] if flat else targets, "y")
        if len(a) != len(b):
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: X has {len(a)} rows, y has {len(b)}; "
                "pass one value or row of y per row of X"
            )
        return to_native(a), to_native(b), flat

    def _remember(self, X: ArrayLike, a: _Reals) -> None:
        names = feature_names(X)
        self.n_features_in_ = a.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        else:
            vars(self).pop("feature_names_in_", None)

    def _checked(self, X: ArrayLike) -> _Reals:
        if not self.__sklearn_is_fitted__():
            raise not_fitted(self)
        a = as_matrix(X)
        check_features(self, X, a)
        return to_native(a)

    def __sklearn_is_fitted__(self) -> bool:
        return "n_features_in_" in vars(self)

    def predict(self, X: ArrayLike) -> _Reals:
        raise NotImplementedError

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination R² of `predict` (X), the mean over the targets; 1 is perfect."""
        _, b, _ = self._matrices(X, y)
        predicted = self.predict(X).reshape(b.shape)
        w = np.ones(len(b)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        if w.shape != (len(b),):
            raise ValueError(f"sample_weight has shape {w.shape}; pass one weight per row of X, {len(b)} in all")
        if len(b) < 2:
            warnings.warn("R² of fewer than two rows is not defined", stacklevel=2)
            return float("nan")
        spread = b - np.average(b, axis=0, weights=w)
        factor = without_size(spread)
        rest = w @ ((b - predicted) * factor) ** 2
        total = w @ (spread * factor) ** 2
        constant = np.where(rest == 0.0, 1.0, 0.0)  # as scikit-learn for a target that does not vary
        return float(np.mean(np.where(total > 0.0, 1.0 - rest / np.where(total > 0.0, total, 1.0), constant)))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, multi_output=True),
            transformer_tags=None,
            regressor_tags=RegressorTags(poor_score=self._poor_score),
        )

    _poor_score = False


_FITTED = {
    "coef_",
    "intercept_",
    "alpha_",
    "alphas_",
    "coef_path_",
    "intercept_path_",
    "cv_errors_",
    "condition_number_",
}


class Ridge(_Regressor):
    """Ridge regression, ``min |Xw + b - y|² + alpha |w|²``, for one alpha or the best of many.

    All alphas, and their errors by cross-validation, come from one pass over the rows, which `partial_fit` takes in
    parts: memory does not grow with the number of rows, and the result has the same bits however they are cut.

    Parameters
    ----------
    alpha : float, sequence of floats, or None
        Regularisation, 0 or more. Of many, the one with the smallest error by cross-validation is used, with a warning
        if it stands at an end of them, where a smaller or larger one may be better. None, the
        default, is 1.0 here as in scikit-learn, and 1e-12 of the scale of the rows in a `Potential`.
    cv : int or None
        Number of folds of the cross-validation; None: 5 with many alphas, none with one.
    fit_intercept : bool
        Whether a constant, which is not regularised, is fitted besides.
    solver : "qr" or "cholesky"
        QR of X, which loses no digits; or Cholesky of XᵀX, in half the time, with the condition number squared.

    Attributes
    ----------
    coef_ : array of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or array of shape (n_targets,)
    alpha_ : float
        The one used.
    alphas_ : array of shape (n_alphas,)
        All alphas.
    cv_errors_ : array of shape (n_alphas, n_folds), with folds
        Mean squared error of each fold predicted from the others.
    coef_path_, intercept_path_ : arrays, with many alphas
        As coef_ and intercept_, with all alphas as first axis.
    condition_number_ : float
        Of X (with its mean taken out if there is an intercept).
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> model = Ridge(alpha=1e-9).fit(X, y)
    >>> np.round(model.predict([[3.0]]), 6)
    array([7.])
    """

    coef_: _Reals
    intercept_: float | _Reals
    alpha_: float
    alphas_: _Reals
    coef_path_: _Reals
    intercept_path_: _Reals
    cv_errors_: _Reals
    condition_number_: float

    def __init__(
        self,
        alpha: float | Sequence[float] | None = None,
        cv: int | None = None,
        fit_intercept: bool = True,
        solver: Literal["qr", "cholesky"] = "qr",
    ) -> None:
        self.alpha = alpha
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, folds: ArrayLike | None = None) -> Self:
        """Fits X of shape (n_samples, n_features) to y of shape (n_samples,) or (n_samples, n_targets).

        `folds` holds the number of the fold of each row, so that rows that belong together (copies, or parts, of one
        structure) stay together; by default the folds are runs of rows, as those of scikit-learn's KFold.
        """
        a, b, flat = self._matrices(X, y)
        n_folds = self._n_folds()
        if folds is None:
            if len(a) < n_folds:
                raise ValueError(f"cv = {n_folds}: n_samples = {len(a)} is too few for as many folds; use a smaller cv")
            sizes = np.full(n_folds, len(a) // n_folds)
            sizes[: len(a) % n_folds] += 1
            folds = np.repeat(np.arange(n_folds), sizes)
        sums = self._new(a, b)
        sums.add(a, b, self._folds(folds, len(a)))
        fitted = self._results(sums, flat, bool(self.fit_intercept))
        self._forget()
        self._remember(X, a)
        vars(self).update(fitted)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None, folds: ArrayLike | None = None) -> Self:
        """Adds rows to those of earlier calls; the fitted attributes follow when they are read.

        After `fit`, which keeps no rows, it begins anew.

        With folds, `folds` holds the fold of each row, from 0 to cv - 1; by default the rows go round the folds,
        which suits only rows that are independent. Settings may change only before the first call, but for alpha.
        """
        a, b, flat = self._matrices(X, y)
        state: _Streamed | None = vars(self).get("_streamed")
        settings = self._settings()
        if state is None:
            state = _Streamed(settings, self._new(a, b), b.shape[1], flat)
        else:
            check_features(self, X, a)
            if state.settings != settings:
                raise ValueError(
                    f"(fit_intercept, folds, solver) = {settings}: the earlier rows were added with {state.settings}; "
                    "keep these, or call fit, or use a new estimator"
                )
            if (state.n_targets, state.flat) != (b.shape[1], flat):
                raise ValueError(
                    f"y has {b.shape[1]} targets: the earlier rows had {state.n_targets} targets; pass as many"
                )
        if folds is None:
            folds = (state.sums.n_rows + np.arange(len(a))) % self._n_folds()
        state.sums.add(a, b, self._folds(folds, len(a)))
        if "_streamed" not in vars(self):
            self._remember(X, a)
        self._forget()
        self._streamed = state
        return self

    def predict(self, X: ArrayLike) -> _Reals:
        """Predictions, of shape (n_samples,) or (n_samples, n_targets) as y of `fit`."""
        return self._checked(X) @ self.coef_.T + self.intercept_

    def _forget(self) -> None:
        for name in (*_FITTED, "_streamed"):
            vars(self).pop(name, None)

    def __getattr__(self, name: str) -> Any:
        state = vars(self).get("_streamed")
        if name in _FITTED and state is not None:
            vars(self).update(self._results(state.sums, state.flat, state.settings[0]))
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"{type(self).__name__} object has no attribute {name!r}")

    def _alpha(self) -> float | Sequence[float]:
        return 1.0 if self.alpha is None else self.alpha

    def _alphas(self) -> list[float]:
        alphas = np.asarray(self._alpha(), dtype=float)
        if alphas.ndim > 1 or alphas.size == 0:
            raise ValueError(f"alpha = {self.alpha!r}: pass a number or a sequence of them")
        return [float(alpha) for alpha in np.atleast_1d(alphas)]

    def _n_folds(self) -> int:
        if self.cv is not None:
            return _integer("cv", self.cv, 2)
        return 5 if np.ndim(self._alpha()) else 1

    def _folds(self, folds: ArrayLike, n_rows: int) -> npt.NDArray[np.int64]:
        a = np.asarray(folds)
        if a.shape != (n_rows,) or a.dtype.kind not in "iu":
            raise ValueError(
                f"folds has shape {a.shape} and type {a.dtype}: pass one integer per row of X, {n_rows} in all"
            )
        return a.astype(np.int64)

    def _settings(self) -> tuple[bool, int, str]:
        return bool(self.fit_intercept), self._n_folds(), str(self.solver)

    def _new(self, a: _Reals, b: _Reals) -> _native.RidgeRegression:
        return _native.RidgeRegression(a.shape[1], b.shape[1], *self._settings())

    def _results(self, sums: _native.RidgeRegression, flat: bool, intercept: bool) -> dict[str, Any]:
        alphas = self._alphas()
        w, b, errors, best, condition, texts = sums.fit(alphas)
        for text in texts:
            warnings.warn(text, UserWarning, stacklevel=3)
        coefficients = w[:, :, 0] if flat else np.ascontiguousarray(w.transpose(0, 2, 1))
        intercepts = b[:, 0] if flat else b
        found = {
            "coef_": coefficients[best].copy(),
            "intercept_": intercepts[best].copy() if intercept else 0.0,
            "alpha_": alphas[best],
            "alphas_": np.array(alphas),
            "condition_number_": condition,
        }
        if np.ndim(self._alpha()):
            found |= {"coef_path_": coefficients, "intercept_path_": intercepts}
        if errors.size:
            found["cv_errors_"] = errors
        return found


class _Streamed:
    """Sums over the rows of `Ridge.partial_fit`, which can be copied and stored."""

    def __init__(
        self, settings: tuple[bool, int, str], sums: _native.RidgeRegression, n_targets: int, flat: bool
    ) -> None:
        self.settings = settings
        self.sums = sums
        self.n_targets = n_targets
        self.flat = flat

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "sums": self.sums.to_arrays()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.sums = _native.RidgeRegression.from_arrays(*self.settings, state["sums"])


class KernelRidge(_Regressor):
    """Exact kernel ridge regression, ``y(x) = Σ_i k(x, x_i) w_i`` with k = ``(x · x′)^zeta``, w = ``(K + alpha)⁻¹ y``.

    There is no constant; memory is 8 n_samples² bytes.

    Parameters
    ----------
    alpha : float
        Regularisation, added to the diagonal of the kernel.
    zeta : int
        Power of the dot product, 1 or more.
    normalize : bool
        Whether rows are divided by their norms.

    Attributes
    ----------
    dual_coef_ : array of shape (n_samples,) or (n_samples, n_targets)
    X_fit_ : array of shape (n_samples, n_features)
        The rows fitted, divided by their norms with `normalize`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> model = KernelRidge(alpha=1e-9, zeta=2).fit([[1.0], [2.0]], [1.0, 4.0])
    >>> np.round(model.predict([[3.0]]), 6)
    array([9.])
    """

    dual_coef_: _Reals
    X_fit_: _Reals
    _kernel: tuple[int, bool]
    _poor_score = True  # without a constant, a general target is not described

    def __init__(self, alpha: float = 1.0, zeta: int = 2, normalize: bool = False) -> None:
        self.alpha = alpha
        self.zeta = zeta
        self.normalize = normalize

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fits X of shape (n_samples, n_features) to y of shape (n_samples,) or (n_samples, n_targets)."""
        a, b, flat = self._matrices(X, y)
        kernel = (_integer("zeta", self.zeta), bool(self.normalize))
        rows, w = _native.kernel_ridge(a, b, float(self.alpha), *kernel)
        self._remember(X, a)
        self._kernel = kernel
        self.X_fit_ = rows
        self.dual_coef_ = w[:, 0] if flat else w
        return self

    def predict(self, X: ArrayLike) -> _Reals:
        """Predictions, of shape (n_samples,) or (n_samples, n_targets) as y of `fit`, in blocks of rows."""
        a = self._checked(X)
        flat = self.dual_coef_.ndim == 1
        w = to_native(self.dual_coef_[:, None] if flat else self.dual_coef_)
        y = _native.kernel_ridge_predict(a, to_native(self.X_fit_), w, *self._kernel)
        return y[:, 0] if flat else y
