"""Errors: one for input that cannot be used, one for an estimator without a fit; and what is said of old files."""

from __future__ import annotations

import os
import warnings

from . import _native
from ._native import RhobasisError

__all__ = ["NotFittedError", "RhobasisError", "warn_of"]


class NotFittedError(RhobasisError, AttributeError):
    """A fitted value was asked of an estimator that has none yet."""


def warn_of(path: str | os.PathLike[str]) -> None:
    """Warns the caller's caller of what should be known of a file that was read."""
    if (note := _native.note_on(path)) is not None:
        warnings.warn(note, UserWarning, stacklevel=3)
