"""Errors: one for input that cannot be used, one for an estimator without a fit."""

from __future__ import annotations

from ._native import RhobasisError

__all__ = ["NotFittedError", "RhobasisError"]


class NotFittedError(RhobasisError, AttributeError):
    """A fitted value was asked of an estimator that has none yet."""
