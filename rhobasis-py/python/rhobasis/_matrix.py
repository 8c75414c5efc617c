"""Matrices as scikit-learn takes and refuses them, without scikit-learn."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import NotFittedError

Reals = npt.NDArray[np.float64]


def as_matrix(X: Any, name: str = "X") -> npt.NDArray[Any]:
    """A finite matrix of float32 or float64; anything else that holds real numbers becomes float64."""
    if type(X).__module__.split(".")[0] == "scipy" and hasattr(X, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix, but dense data is required; use {name}.toarray()")
    a = np.asarray(X)
    if a.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} must hold real numbers\n{X}\n")
    if a.dtype not in (np.float32, np.float64):
        a = a.astype(np.float64)
    if a.ndim != 2:
        raise ValueError(
            f"Expected 2D array {name}, got {a.ndim}D array of shape {a.shape} instead. Reshape your data either using "
            "array.reshape(-1, 1) if it has a single feature or array.reshape(1, -1) if it contains a single sample."
        )
    for axis, what in enumerate(("sample(s)", "feature(s)")):
        if a.shape[axis] == 0:
            raise ValueError(f"Found array with 0 {what} (shape={a.shape}) while a minimum of 1 is required.")
    if not np.isfinite(a).all():
        i, j = np.argwhere(~np.isfinite(a))[0]
        found = "NaN" if np.isnan(a[i, j]) else "infinity"
        raise ValueError(f"Input {name} contains {found}, in row {i}, column {j}; remove the row or the column")
    return a


def to_native(a: npt.NDArray[Any]) -> Reals:
    """As the compiled part takes it: any strides, but aligned numbers of eight bytes."""
    return np.require(a, np.float64, "A")


def without_size(a: Reals) -> Reals:
    """For each column 1, or the power of two to multiply it by where its squares overflow or vanish."""
    largest = np.max(np.abs(a), axis=0, initial=0.0)
    exponents = np.frexp(largest)[1]
    return np.ldexp(1.0, np.where(np.abs(exponents) > 200, np.clip(-exponents, -1022, 1022), 0))


def feature_names(X: Any) -> npt.NDArray[np.object_] | None:
    """Names of the columns of a data frame, if all of them are strings."""
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "dtypes"):
        return None
    names = np.asarray(columns, dtype=object)
    kinds = {isinstance(name, str) for name in names}
    if kinds == {True, False}:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has "
            f"{sorted({type(name).__name__ for name in names})} as feature name / column name types. If you want "
            "feature names to be stored and validated, you must convert them all to strings, by using X.columns = "
            "X.columns.astype(str) for example."
        )
    return names if kinds == {True} else None


def check_features(estimator: Any, X: Any, a: npt.NDArray[Any]) -> None:
    """Refuses a matrix with other columns than that of `fit`, as scikit-learn does and in its words."""
    who = type(estimator).__name__
    fitted, names = getattr(estimator, "feature_names_in_", None), feature_names(X)
    if fitted is None and names is not None:
        warnings.warn(f"X has feature names, but {who} was fitted without feature names", stacklevel=3)
    elif fitted is not None and names is None:
        warnings.warn(f"X does not have valid feature names, but {who} was fitted with feature names", stacklevel=3)
    elif fitted is not None and names is not None and list(fitted) != list(names):
        message = "The feature names should match those that were passed during fit.\n"
        unseen, missing = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
        if unseen:
            message += "Feature names unseen at fit time:\n" + _listed(unseen)
        if missing:
            message += "Feature names seen at fit time, yet now missing:\n" + _listed(missing)
        if not unseen and not missing:
            message += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(message)
    if a.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {a.shape[1]} features, but {who} is expecting {estimator.n_features_in_} features as input"
        )


def _listed(names: list[str]) -> str:
    return "".join(f"- {name}\n" for name in names[:5]) + ("- ...\n" if len(names) > 5 else "")


def not_fitted(estimator: Any) -> NotFittedError:
    """The error of an estimator without a fit; one of scikit-learn's too where that is loaded."""
    kind: type[NotFittedError] = NotFittedError
    sklearn = sys.modules.get("sklearn.exceptions")
    if sklearn is not None:
        kind = type("NotFittedError", (NotFittedError, sklearn.NotFittedError), {})
    return kind(f"This {type(estimator).__name__} instance is not fitted yet; call 'fit' first")
