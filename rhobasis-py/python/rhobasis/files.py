"""Files that hold everything: bases, potentials, models of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import warn_of
from .equivariant import EquivariantRidge
from .optimal import OptimalBasis
from .potential import Potential

if TYPE_CHECKING:
    from .structure import PathLike


def load(path: PathLike) -> Any:
    """The `OptimalBasis`, `Potential` or `EquivariantRidge` of a file (``*.rho``). Evaluation uses the tables stored in
    it.

    A damaged file is refused. One that an older version wrote has no digest to tell by: a warning says so.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=1, q_max=2).fit(molecule("H2O"))
    >>> basis.save("water.rho")
    >>> rb.load("water.rho")
    OptimalBasis(density=Density(r_cut=4.0), primitive=Gto(n_max=6), l_max=1, q_max=2)
    """
    kind = _native.kind_of(path)
    if kind == "potential":
        loaded: Any = Potential._of(_native.Potential.load(path))
    elif kind == "equivariant-ridge":
        loaded = EquivariantRidge._of(_native.EquivariantRidge.load(path))
    else:
        loaded = OptimalBasis._of_native(_native.Basis.load(path))
    warn_of(path)
    return loaded
