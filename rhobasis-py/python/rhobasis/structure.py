"""Structures: frames from files, from `ase.Atoms`, and back."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from . import _native
from ._formats import is_foreign, read_files

if TYPE_CHECKING:
    from ase import Atoms

    PathLike: TypeAlias = str | os.PathLike[str]
    FramesLike: TypeAlias = "Frames | Atoms | Sequence[Atoms] | PathLike | Sequence[PathLike]"


class Frames(Sequence["Atoms"]):
    """Structures that stay in compact memory; each becomes an `ase.Atoms` when it is asked for.

    ``frames[3]`` is an `ase.Atoms` with `info`, `arrays` and constraints as in the file (energies and forces included,
    no calculator), ``frames[10:20]`` is `Frames` again and shares memory.

    Of an `ase.Atoms`, the results of its calculator are taken along if they are of these very atoms: a calculator that
    several share holds those of the last one. A warning names results, and values of `info` and `arrays`, that are left
    out.
    """

    __slots__ = ("_native",)

    def __init__(self, frames: FramesLike | _native.Frames = ()) -> None:
        self._native = frames if isinstance(frames, _native.Frames) else as_native(frames, everything=True)

    def __len__(self) -> int:
        return len(self._native)

    @overload
    def __getitem__(self, index: int) -> Atoms: ...

    @overload
    def __getitem__(self, index: slice) -> Frames: ...

    def __getitem__(self, index: int | slice) -> Atoms | Frames:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            n = len(range(start, stop, step))
            return Frames(self._native.slice(start if n else 0, step, n))
        i = range(len(self))[index]
        return _atoms(*self._native.parts(i))

    def __iter__(self) -> Iterator[Atoms]:
        return (self[i] for i in range(len(self)))

    @property
    def species(self) -> list[int]:
        """Atomic numbers that occur, ascending."""
        return self._native.species()

    @property
    def n_atoms(self) -> list[int]:
        """Number of atoms of each frame."""
        return self._native.n_atoms()

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_parts, ([self._native.parts(i) for i in range(len(self))],)

    def __repr__(self) -> str:
        symbols = " ".join(symbols_of(self.species))
        return f"Frames({len(self)} structures, {sum(self.n_atoms)} atoms: {symbols})"


def _listed(frames: np.ndarray) -> list[Any]:
    """Frames in an array, as scikit-learn takes some of a list."""
    if frames.dtype != object or frames.ndim != 1:
        raise TypeError(
            f"frames must be structures, not an array of {frames.dtype} with shape {frames.shape}; give a list, or "
            "fill np.empty(n, dtype=object) with them"
        )
    return list(frames)


def as_native(frames: Any, everything: bool = False, lenient: bool = False) -> _native.Frames:
    """`Frames`, an `ase.Atoms`, several of them (a list, an array of objects, one by one), or file name(s), as
    structures for the library.

    `everything` takes info, arrays and results of calculators along, and warns the caller's caller of what no file
    could hold, unless `lenient`. What is made one after the other is taken so: each of its `ase.Atoms` as it then is.
    """
    if isinstance(frames, Frames):
        return frames._native
    if isinstance(frames, np.ndarray):
        frames = _listed(frames)
    files = file_names(frames)
    if files is not None:
        return read_files(files)
    if hasattr(frames, "arrays"):
        frames = [frames]
    if not isinstance(frames, Iterable) or isinstance(frames, (dict, bytes)):
        raise TypeError(
            "frames must be rhobasis.Frames, an ase.Atoms, a list of them, or file names, "
            f"not {frames!r} ({type(frames).__name__})"
        )
    native = _native.Frames.from_atoms(frames, everything)
    for text in () if lenient else native.left_out():
        warnings.warn(text, UserWarning, stacklevel=3)
    return native


def file_names(frames: Any) -> list[str] | None:
    """File names, if that is what `frames` holds."""
    if isinstance(frames, (str, os.PathLike)):
        return [os.fspath(frames)]
    if isinstance(frames, (list, tuple)) and frames and all(isinstance(f, (str, os.PathLike)) for f in frames):
        return [os.fspath(f) for f in frames]
    return None


def streamed_files(frames: Any) -> list[str] | None:
    """File names, if that is what `frames` holds, and all are of the format that is read some frames at a time."""
    names = file_names(frames)
    return None if names is None or any(map(is_foreign, names)) else names


def _from_parts(parts: list[Any]) -> Frames:
    return Frames(_native.Frames.from_parts(parts))


def _atoms(
    numbers: np.ndarray,
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: Sequence[bool],
    info: dict[str, Any],
    arrays: dict[str, np.ndarray],
) -> Atoms:
    try:
        from ase import Atoms
    except ImportError as error:
        raise ImportError("ASE is needed to make ase.Atoms of a frame; pip install 'rhobasis[ase]'") from error
    atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=list(pbc), info=info)
    mask = arrays.get("move_mask")
    if mask is not None and mask.dtype == bool and mask.shape in ((len(atoms),), (len(atoms), 3)):
        del arrays["move_mask"]
        atoms.set_constraint(_constraints(mask))
    atoms.arrays.update(arrays)
    return atoms


def _constraints(mask: np.ndarray) -> list[Any]:
    """Those for which ASE writes this ``move_mask``: True, for an atom or for its x, y and z, where it may move."""
    from ase.constraints import FixAtoms, FixCartesian

    if mask.ndim == 1:
        return [] if mask.all() else [FixAtoms(mask=~mask)]
    patterns, of_atoms = np.unique(mask, axis=0, return_inverse=True)
    return [
        FixCartesian(np.flatnonzero(of_atoms.ravel() == k), mask=~pattern)
        for k, pattern in enumerate(patterns)
        if not pattern.all()
    ]


def symbols_of(species: Iterable[int]) -> list[str]:
    """Chemical symbols of atomic numbers."""
    return [_native.SYMBOLS[z] for z in species]
