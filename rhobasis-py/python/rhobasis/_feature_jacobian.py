"""Derivatives of features in full."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import _native
from .density import _ROWS, By


class FeatureJacobian:
    """Derivatives of the features of some centres.

    Attributes
    ----------
    values : ndarray
        By positions [row, 3, column], by strain or cell [row, 3, 3, column].
    rows : structured ndarray
        With fields ``structure``, ``center``, ``atom``. By positions, a row for each centre and each
        atom within its cutoff (itself included, images summed); else one for each centre, with ``atom`` −1.
    columns : ndarray
        Which features the columns of `values` are; all of them, but for those of `jacobian_by_species`.
    """

    def __init__(self, values: np.ndarray, rows: np.ndarray, columns: np.ndarray | None = None) -> None:
        self.values = values
        self.rows = rows
        self.columns = np.arange(values.shape[-1]) if columns is None else columns

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"FeatureJacobian({len(self)} rows, {self.values.shape[-1]} columns)"


def jacobians(
    invariants: _native.Invariants, frames: _native.Frames, by: By, memory: int | None
) -> Iterator[FeatureJacobian]:
    def named(part: tuple[np.ndarray, np.ndarray]) -> FeatureJacobian:
        values, rows = part
        if by != "positions":
            values = values.reshape(len(values), 3, 3, -1)
        return FeatureJacobian(values, rows.view(_ROWS)[:, 0])

    return map(named, invariants.jacobian(frames, by, memory))


def jacobians_by_species(invariants: _native.Invariants, frames: _native.Frames) -> dict[str, FeatureJacobian]:
    parts = invariants.jacobian_by_species(frames)
    return {moved: FeatureJacobian(values, rows.view(_ROWS)[:, 0], columns) for moved, columns, values, rows in parts}
