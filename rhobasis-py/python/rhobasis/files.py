"""Files that hold everything: bases and potentials."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from . import _native
from .optimal import OptimalBasis
from .potential import Potential

if TYPE_CHECKING:
    from .structure import PathLike


def load(path: PathLike) -> Any:
    """The `OptimalBasis` or `Potential` of a file (``*.rho``). Evaluation uses the tables stored in it.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=1, q_max=2).fit(molecule("H2O"))
    >>> basis.save("water.rho")
    >>> rb.load("water.rho")
    OptimalBasis(density=Density(r_cut=4.0), primitive=Gto(n_max=6), l_max=1, q_max=2)
    """
    if _kind(path) == "potential":
        return Potential._of(_native.Potential.load(path))
    return OptimalBasis._of_native(_native.Basis.load(path))


def _kind(path: PathLike) -> str | None:
    """What a file says it is; None if it says nothing, which the reader of bases then refuses in its own words."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < size else None
        return header["__metadata__"]["kind"]  # pyright: ignore[reportOptionalSubscript]
    except (OSError, ValueError, KeyError, TypeError):
        return None
