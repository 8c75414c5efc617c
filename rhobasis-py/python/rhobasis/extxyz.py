"""Structures in files: extended XYZ, plain or packed, is read and written; ASE reads what is of other formats."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from ._errors import RhobasisError
from ._formats import chosen, read_files, split
from ._progress import Progress
from .structure import Frames, as_native, file_names

if TYPE_CHECKING:
    from ase import Atoms

    from .structure import FramesLike, PathLike


@overload
def read(
    files: PathLike | Sequence[PathLike],
    index: slice | None = None,
    *,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    progress: bool = False,
) -> Frames: ...


@overload
def read(
    files: PathLike,
    index: int,
    *,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    progress: bool = False,
) -> Atoms: ...


@overload
def read(
    files: PathLike,
    index: str,
    *,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    progress: bool = False,
) -> Any: ...


def read(
    files: PathLike | Sequence[PathLike],
    index: int | slice | str | None = None,
    *,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    progress: bool = False,
) -> Frames | Atoms:
    """Reads one file or several, each with an optional slice after ``@``: ``"data.xyz.xz@:1000"``, ``"data.xyz@::10"``.

    Of one file, `index` may say instead which frames, as in `ase.io.read`: a slice, ``":1000"``, or the number of one
    frame, which is then an `ase.Atoms`. All frames are read if it is left out.

    Extended XYZ is recognised by its content, plain or packed (gz, zst, xz). Files of other formats (``.traj``,
    ``.db``, POSCAR, OUTCAR, ``.cif``, LAMMPS data, …) are read by ASE, with the results of calculations in them.

    A key that is named is looked up, checked, and stored as ``info["energy"]`` (eV), ``arrays["forces"]`` (eV/Å) or
    ``info["stress"]`` (eV/Å³, 3×3; from a virial, −virial/volume). Some frame must have it; one that lacks it and has
    another label under the usual name is refused. A label that is NaN throughout is absent, and so is a stress without
    periodicity in all three directions, both with a warning.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> rb.write("water.xyz", [molecule("H2O"), molecule("CH4")])
    >>> frames = rb.read("water.xyz", ":1")
    >>> frames
    Frames(1 structures, 3 atoms: H O)
    >>> frames[0].get_chemical_formula()
    'H2O'
    """
    names = file_names(files)
    if names is None:
        raise TypeError(f"files must be a file name or a list of file names, not {files!r} ({type(files).__name__})")
    wanted = slice(None) if index is None else _index(index)
    backwards = isinstance(wanted, slice) and wanted.step is not None and wanted.step < 0
    if index is not None:
        _refuse_two_slices(names, index)
        names = names if backwards else [f"{names[0]}@{_text(wanted)}"]
    bar = Progress("read", progress)
    frames = Frames(read_files(names, [energy_key, force_key, stress_key, virial_key], bar.update))
    bar.done()
    if isinstance(wanted, int):
        return frames[0]
    return frames[wanted] if backwards else frames


def _index(index: Any) -> int | slice:
    """As ASE takes it."""
    wanted: Any = chosen(index) if isinstance(index, str) else index
    if isinstance(wanted, slice):
        return wanted
    if isinstance(wanted, bool) or not hasattr(wanted, "__index__"):
        raise TypeError(f'index must be a number, a slice, or text such as "-1" or ":1000", not {index!r}')
    return operator.index(wanted)


def _text(wanted: int | slice) -> str:
    """The index, or the slice of positive step, as a file name has it after ``@``."""
    if isinstance(wanted, int):
        return str(wanted)
    text = ":".join("" if number is None else str(number) for number in (wanted.start, wanted.stop, wanted.step))
    return text.removesuffix(":") if wanted.step is None else text


def _refuse_two_slices(names: list[str], index: Any) -> None:
    if len(names) != 1:
        raise RhobasisError(f"index = {index!r}: there are {len(names)} files; give each its slice, as in data.xyz@:10")
    path, text = split(names[0])
    if text is not None and chosen(text) is not None:
        raise RhobasisError(f"index = {index!r}: {path} has the slice @{text} already; give one of the two")


def write(path: PathLike, frames: FramesLike | Iterable) -> None:
    """Writes frames, with `info`, `arrays`, constraints and calculator results, so that ASE reads them back exactly.

    The ending decides on packing: ``.gz``, ``.zst``, ``.xz``. The file appears complete or not at all; one that
    holds no structures is not replaced. Results are those of calculators that were last used for the very atoms;
    `FixAtoms` and `FixCartesian` become the column ``move_mask``. A warning names what the file cannot hold: other
    constraints, values of `info` that are no numbers, logicals, text or arrays of these.
    """
    as_native(frames, everything=True).write(path)
