"""Arguments in the several forms that they may have."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ._errors import RhobasisError
from .structure import symbols_of


def bytes_of(memory: float) -> int:
    if isinstance(memory, bool) or not (isinstance(memory, numbers.Real) and memory > 0):
        raise RhobasisError(f"memory = {memory!r}: a number of bytes is needed; 4e6 is the default")
    return int(min(memory, 2**62))


def one_array(velocities: ArrayLike | Sequence[ArrayLike], n_atoms: list[int]) -> ArrayLike:
    """Velocities of all frames as one array, where they come as one for each."""
    if isinstance(velocities, (list, tuple)):
        if not velocities:
            return np.zeros((0, 3))
        shapes = [_shape(array) for array in velocities]
        each = any(shape is None or len(shape) == 2 for shape in shapes)
    else:
        each = isinstance(velocities, np.ndarray) and velocities.ndim == 3
    if not each:
        return velocities  # pyright: ignore[reportReturnType]
    arrays: Sequence[ArrayLike] = velocities  # pyright: ignore[reportAssignmentType]
    if len(arrays) != len(n_atoms):
        problem = f"there are {len(n_atoms)} frames; give an array for each, or one for all atoms"
        raise RhobasisError(f"velocities = {len(arrays)} arrays: {problem}")
    for frame, (array, n) in enumerate(zip(arrays, n_atoms, strict=True)):
        shape = _shape(array)
        if shape != (n, 3):
            problem = f"frame {frame} has {n} atoms; give x, y, z for each atom, in Å per unit"
            raise RhobasisError(f"velocities[{frame}] = {'ragged' if shape is None else shape}: {problem}")
    return np.concatenate([np.asarray(array) for array in arrays])


def _shape(array: ArrayLike) -> tuple[int, ...] | None:
    """The shape of an array, None if it is ragged."""
    try:
        return np.shape(array)
    except ValueError:
        return None


def frames_of(strain: ArrayLike | None) -> ArrayLike | None:
    """Strains of all frames; one matrix stands for one frame."""
    if strain is not None and len(_shape(strain) or ()) == 2:
        return np.asarray(strain)[np.newaxis]
    return strain


def only_species(species: Sequence[int]) -> int:
    """The species of the neighbours, where it need not be named."""
    if len(species) == 1:
        return species[0]
    known = " ".join(symbols_of(species)) or "none"
    raise RhobasisError(f"species = none: the neighbours here are of species {known}; name one of these")


def of_l(tables: list[np.ndarray], l: int | None) -> np.ndarray | list[np.ndarray]:
    """The table of this l, or all."""
    if l is None:
        return tables
    try:
        l = operator.index(l)
    except TypeError:
        raise TypeError(f"l must be a whole number or None, not {l!r} ({type(l).__name__})") from None
    if not 0 <= l < len(tables):
        raise RhobasisError(f"l = {l}: l_max is {len(tables) - 1} here; name an l from 0 to that")
    return tables[l]
