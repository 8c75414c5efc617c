"""Which atoms are centres, in the forms in which they may be named, and the precision of results."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._errors import RhobasisError
from ._progress import Progress

CentersLike: TypeAlias = "str | int | Sequence[str | int] | Sequence[ArrayLike] | np.ndarray"
Precision: TypeAlias = Literal["float64", "float32"]
UnknownSpecies: TypeAlias = Literal["error", "ignore"]

CENTERS = np.dtype([("structure", np.int64), ("atom", np.int64), ("species", np.int64)])
_CHUNK = 64


def chosen(frames: _native.Frames, centers: CentersLike | None) -> _native.Centers | None:
    """The centres that are named; None for all atoms."""
    if centers is None:
        return None
    if _is_species(centers):
        return _native.Centers.of_species(frames, [_plain(centers)])
    if not hasattr(centers, "__len__"):
        raise TypeError(
            f"centers must be species, indices of atoms for each frame, or a mask of atoms, not {centers!r} "
            f"({type(centers).__name__})"
        )
    given: Any = centers
    items = list(given)
    if len(items) > 0 and all(isinstance(item, (bool, np.bool_)) for item in items):
        return _native.Centers.of_mask(frames, [bool(item) for item in items])
    if len(items) > 0 and all(_is_species(item) for item in items):
        return _native.Centers.of_species(frames, [_plain(item) for item in items])
    n_atoms = frames.n_atoms()
    if len(items) != len(n_atoms):
        raise RhobasisError(
            f"centers = {_shown(items)}: the frames are {len(n_atoms)}; give species, a list of indices for each "
            "frame, or a mask of all atoms"
        )
    atoms = [_indices(k, item, n) for k, (item, n) in enumerate(zip(items, n_atoms, strict=True))]
    return _native.Centers.of_atoms(frames, atoms)


def table_of(frames: _native.Frames, centers: _native.Centers | None) -> np.ndarray:
    """Structure, atom and species of each centre; of all atoms, if none are given."""
    if centers is None:
        centers = _native.Centers.of_mask(frames, [True] * sum(frames.n_atoms()))
    return centers.table(frames).view(CENTERS)[:, 0]


def portions(
    frames: _native.Frames, centers: _native.Centers | None, progress: bool
) -> Iterator[tuple[int, _native.Frames, _native.Centers | None]]:
    """First frame, frames and their centres: all at once, or some at a time with a bar."""
    if not progress:
        yield 0, frames, centers
        return
    bar, total = Progress("transform", progress), max(len(frames), 1)
    for start in range(0, total, _CHUNK):
        n = min(_CHUNK, len(frames) - start)
        yield start, frames.slice(start, 1, n), None if centers is None else centers.slice(start, n)
        bar.update((start + n) / total)
    bar.done()


def _is_species(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, numbers.Integral) and not isinstance(value, bool))


def _plain(species: Any) -> str | int:
    return species if isinstance(species, str) else int(species)


def _indices(frame: int, atoms: Any, n_atoms: int) -> list[int]:
    """Atoms of one frame, from their indices or a mask."""
    try:
        array = np.asarray(atoms)
    except ValueError:  # ragged
        array = np.zeros((), object)
    if array.ndim == 1 and array.dtype == bool and len(array):
        if len(array) != n_atoms:
            problem = f"frame {frame} has {n_atoms} atoms; give true or false for each of them"
            raise RhobasisError(f"centers[{frame}] = a mask of {len(array)}: {problem}")
        return np.flatnonzero(array).tolist()
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise RhobasisError(
            f"centers[{frame}] = {_shown(atoms)}: indices of atoms are whole numbers in a list; give one for each frame"
        )
    return array.tolist()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_single(dtype: Any) -> bool:
    """Whether results are of single precision; else of double."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind not in (np.dtype(np.float32), np.dtype(np.float64)):  # None equals float64
        raise RhobasisError(f'dtype = {dtype!r}: numbers are of single or double precision; use "float64" or "float32"')
    return kind == np.dtype(np.float32)


def ignores(unknown_species: Any) -> bool:
    """Whether neighbours of species that the basis does not know are left out; else they are refused."""
    if unknown_species not in ("error", "ignore"):
        raise RhobasisError(f'unknown_species = {unknown_species!r}: there is no such way; use "error" or "ignore"')
    return unknown_species == "ignore"
