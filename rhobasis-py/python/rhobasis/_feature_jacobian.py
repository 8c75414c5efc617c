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
    """

    def __init__(self, values: np.ndarray, rows: np.ndarray) -> None:
        self.values = values
        self.rows = rows

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
