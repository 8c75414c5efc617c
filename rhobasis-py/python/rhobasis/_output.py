"""What scikit-learn asks of estimators here: matrices as data frames, and tags; it is not needed."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

_KINDS = ("default", "pandas", "polars")


class MatrixOutput:
    """Of estimators whose `transform` gives a matrix."""

    def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self:
        """What `transform` gives from now on: a NumPy array ("default"), or a data frame of pandas or polars.

        None changes nothing. Columns are named by `get_feature_names_out`. As in scikit-learn, whose
        ``set_config(transform_output=...)`` holds where nothing was set here.
        """
        if transform is not None:
            if transform not in _KINDS:
                raise ValueError(f"transform = {transform!r}: use one of {', '.join(map(repr, _KINDS))}, or None")
            self._sklearn_output_config = {"transform": transform}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        raise NotImplementedError

    def _contained(self, matrix: np.ndarray, index: Any, names: Callable[[], np.ndarray] | None = None) -> Any:
        """The matrix in the container that is asked for; `index` gives the index of a frame of pandas.

        `names` gives those of the columns, if they are not those of `get_feature_names_out`.
        """
        names = self.get_feature_names_out if names is None else names
        kind = self.__dict__.get("_sklearn_output_config", {}).get("transform", _configured())
        if kind == "pandas":
            pandas = import_module("pandas")
            return pandas.DataFrame(matrix, index=index(pandas), columns=names(), copy=False)
        if kind == "polars":
            polars = import_module("polars")
            return polars.DataFrame(matrix, schema=list(names()), orient="row")
        return matrix


def index_of(X: Any) -> Any:
    """The index of a frame of pandas, which its transform keeps."""
    return lambda pandas: X.index if isinstance(X, pandas.DataFrame) else None


def channel_names(table: Sequence[Sequence[int]], symbols: Sequence[str]) -> list[str]:
    """Names of the channels (species, n) of one l: H0, H1, …, or q0, q1, … of all species combined."""
    return [f"{symbols[species] if species else 'q'}{n}" for species, n in table]


def _configured() -> str:
    get_config = getattr(sys.modules.get("sklearn"), "get_config", None)
    return "default" if get_config is None else get_config()["transform_output"]


def tags_of_frames(estimator_type: str) -> Any:
    """Tags of an estimator that takes frames, which no array of numbers can stand for."""
    from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags, TransformerTags

    return Tags(
        estimator_type=estimator_type,
        target_tags=TargetTags(required=False),
        transformer_tags=TransformerTags() if estimator_type == "transformer" else None,
        regressor_tags=RegressorTags() if estimator_type == "regressor" else None,
        input_tags=InputTags(two_d_array=False),
    )
