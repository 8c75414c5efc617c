"""Files of structures: extended XYZ by the library, other formats by ASE."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import RhobasisError

if TYPE_CHECKING:
    from ase import Atoms

_UNPACK: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
_ZSTD = b"\x28\xb5\x2f\xfd"
_PEEK = 4096


def read_files(
    names: Sequence[str],
    keys: Sequence[str | None] = (None,) * 4,
    report: Callable[[float], None] = lambda _: None,
) -> _native.Frames:
    """Frames of files, each with an optional slice after ``@``; `keys` of energy, forces, stress and virial."""
    parts: list[_native.Frames] = []
    ours: list[str] = []
    for name in names:
        kind = _format(split(name)[0]) if is_foreign(name) else None
        if kind is None:
            ours.append(name)
            continue
        if ours:
            parts.append(_native.read(ours, keys, report))
            ours = []
        parts.append(_native.checked(_read_by_ase(name, kind), keys))
    if ours or not parts:
        parts.append(_native.read(ours, keys, report))
    return parts[0] if len(parts) == 1 else _native.Frames.joined(parts)


def is_foreign(name: str) -> bool:
    """Whether a file is of another format than extended XYZ, by its first lines; its name has no part in this."""
    head = _head(split(name)[0])
    return head is not None and not _begins_as_xyz(head)


def split(name: str) -> tuple[str, str | None]:
    """File and slice of ``data.xyz@:10``. A file whose own name holds ``@`` wins."""
    path, at, text = name.rpartition("@")
    return (path, text) if at and not os.path.exists(name) else (name, None)


def chosen(text: str) -> int | slice | None:
    """The index or slice that a text stands for, as in ``5`` or ``:10``; None if it is neither."""
    try:
        numbers = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        return None
    if len(numbers) == 1:
        return numbers[0]
    return slice(*numbers) if len(numbers) <= 3 and numbers[2:] != [0] else None


def _head(path: str) -> bytes | None:
    """The first bytes of a file, unpacked; none where the library is to say what is wrong with it, and of pipes."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(_PEEK)
        for magic, unpack in _UNPACK.items():
            if head.startswith(magic):
                with unpack(path, "rb") as file:
                    head = file.read(_PEEK)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        return None
    return None if not head.strip() or head.startswith(_ZSTD) else head


def _begins_as_xyz(head: bytes) -> bool:
    """A number of atoms on a line of its own; a POSCAR may have such a title, and then a factor and three vectors."""
    lines = head.removeprefix(b"\xef\xbb\xbf").lstrip().splitlines()
    if not lines[0].strip().isdigit():
        return False
    return not (len(lines) > 5 and [_n_numbers(line) for line in lines[1:5]] == [1, 3, 3, 3])


def _n_numbers(line: bytes) -> int:
    """How many numbers a line consists of; 0 if there is anything else."""
    words = line.split()
    try:
        return len([float(word) for word in words])
    except ValueError:
        return 0


def _read_by_ase(name: str, kind: str) -> _native.Frames:
    from ase.io.formats import ioformats

    path, text = split(name)
    single = ioformats[kind].single
    wanted = slice(None) if text is None else chosen(text)
    if wanted is None:
        raise RhobasisError(f"slice = @{text}: is no slice of the frames of {path}; write @index or @start:stop:step")
    if isinstance(wanted, int) and wanted >= 0 and not single:
        some = slice(wanted, wanted + 1)
    elif isinstance(wanted, int) or single or _counts_from_the_end(wanted):
        some = slice(None)
    else:
        some = wanted
    first, step = some.start or 0, some.step or 1
    frames = _native.Frames.from_atoms(_images(path, kind, some), True, (path, first, step))
    if len(frames) == 0 and text is None:
        raise RhobasisError(f"{path}: ASE takes it for the format {kind}, and finds no structure in it")
    for words in frames.left_out():
        warnings.warn(f"{path}, {words}", UserWarning, stacklevel=4)
    if isinstance(wanted, slice):
        found = range(len(frames)) if some is wanted else range(len(frames))[wanted]
        if text is not None and len(found) == 0:
            raise RhobasisError(f"{name}: no frame is selected; change the slice after the '@'")
        return frames.slice(found.start, found.step, len(found))
    found = range(len(frames))
    try:
        return frames.slice(found[wanted - first if wanted >= 0 else wanted], 1, 1)
    except IndexError:
        raise RhobasisError(
            f"{path}: frame {wanted} was asked for, but the file has fewer; frames count from 0"
        ) from None


def _counts_from_the_end(wanted: slice) -> bool:
    return any(number is not None and number < 0 for number in (wanted.start, wanted.stop, wanted.step))


def _format(path: str) -> str | None:
    """ASE's name of the format of a file; none where ASE knows none, and the library may say what it finds."""
    try:
        from ase.io.formats import UnknownFileTypeError, filetype, ioformats
    except ImportError as error:
        raise RhobasisError(
            f"{path}: is no extended XYZ, which begins with a number of atoms; other formats are read by ASE: "
            "pip install 'rhobasis[ase]'"
        ) from error
    try:
        kind = "lammps-data" if _is_lammps_data(path) else filetype(path)
    except UnknownFileTypeError:
        return None
    if kind not in ioformats or kind in ("xyz", "extxyz") or not ioformats[kind].can_read:
        return None
    if kind.startswith("lammps") and not _has_elements(path, kind):
        raise RhobasisError(
            f"{path}: has numbers for its types of atoms, and says not of which elements they are; give it masses "
            "(data) or a column 'element' (dump), or read it by ase.io.read with Z_of_type or specorder"
        )
    return kind


def _is_lammps_data(path: str) -> bool:
    """By its first lines, as its names are many."""
    lines = (_head(path) or b"").splitlines()
    counts = [line.split()[1:2] for line in lines[1:]]
    return [b"atoms"] in counts and any(line.split()[2:4] == [b"xlo", b"xhi"] for line in lines)


def _has_elements(path: str, kind: str) -> bool:
    """Whether a file of LAMMPS tells its elements; ASE would take types 1, 2, … for H, He, …"""
    with open(path, "rb") as file:
        for line in file:
            words = line.split()
            if kind == "lammps-data" and (words == [b"Masses"] or words == [b"Atom", b"Type", b"Labels"]):
                return True
            if words[:2] == [b"ITEM:", b"ATOMS"]:
                return b"element" in words or b"mass" in words
    return False


def _images(path: str, kind: str, some: slice) -> Iterator[Atoms]:
    """What ASE reads, one after the other; its errors name the file."""
    from ase.io import iread

    try:
        yield from iread(path, index=some, format=kind)
    except Exception as error:
        raise RhobasisError(
            f"{path}: ASE takes it for the format {kind}, and cannot read it ({type(error).__name__}: {error}); "
            "repair or convert it"
        ) from error
