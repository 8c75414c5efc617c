"""Extended XYZ files, plain or packed (gz, zst, xz, by content)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import _native
from ._progress import Progress
from .structure import Frames, as_native, file_names

if TYPE_CHECKING:
    from .structure import FramesLike, PathLike


def read(
    files: PathLike | Sequence[PathLike],
    *,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    progress: bool = False,
) -> Frames:
    """Reads one file or several, each with an optional slice after ``@``: ``"data.xyz.xz@:1000"``, ``"data.xyz@::10"``.

    A key that is named is looked up, checked, and stored as ``info["energy"]`` (eV), ``arrays["forces"]`` (eV/Å) or
    ``info["stress"]`` (eV/Å³, 3×3; from a virial, −virial/volume). Some frame must have it; one that lacks it and has
    another label under the usual name is refused. A label that is NaN throughout is absent, and so is a stress without
    periodicity in all three directions, both with a warning.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> rb.write("water.xyz", [molecule("H2O"), molecule("CH4")])
    >>> frames = rb.read("water.xyz@:1")
    >>> frames
    Frames(1 structures, 3 atoms: H O)
    >>> frames[0].get_chemical_formula()
    'H2O'
    """
    names = file_names(files)
    if names is None:
        raise TypeError(f"files must be a file name or a list of file names, not {files!r} ({type(files).__name__})")
    bar = Progress("read", progress)
    frames = _native.read(names, [energy_key, force_key, stress_key, virial_key], bar.update)
    bar.done()
    return Frames(frames)


def write(path: PathLike, frames: FramesLike | Iterable) -> None:
    """Writes frames, with `info`, `arrays` and calculator results, so that ASE reads them back exactly.

    The ending decides on packing: ``.gz``, ``.zst``, ``.xz``. The file appears complete or not at all; one that
    holds no structures is not replaced.
    """
    as_native(frames, everything=True).write(path)
