"""Invariant features of atoms and frames: radial spectrum, power spectrum (Eq. 15), bispectrum."""

from __future__ import annotations

from numpy.typing import ArrayLike

from ._feature_jacobian import FeatureJacobian
from ._invariants import Invariants, Reduce
from .density import Evaluator

__all__ = ["Bispectrum", "FeatureJacobian", "Invariants", "PowerSpectrum", "RadialSpectrum", "Reduce"]


class RadialSpectrum(Invariants):
    """Invariants of two bodies: X = c_{n00}, the coefficients of l = 0. Columns are (0, channel).

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> expansion = rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=0)
    >>> rb.RadialSpectrum(expansion).fit_transform(molecule("H2O")).shape
    (3, 8)
    """

    _kind = "radial-spectrum"

    def __init__(
        self,
        basis: Evaluator,
        normalize: bool | None = None,
        q_max: int | None = None,
        l_max: int | None = None,
        weight: float = 1.0,
        reduce: Reduce | None = None,
        by_species: bool = False,
    ) -> None:
        self.basis = basis
        self.normalize = normalize
        self.q_max = q_max
        self.l_max = l_max
        self.weight = weight
        self.reduce = reduce
        self.by_species = by_species


class PowerSpectrum(Invariants):
    """Invariants of three bodies (SOAP), Eq. (15):

        X = (2l + 1)^(−1/2) Σ_m c_{αlm} c_{βlm},   α ≤ β,   times √2 for α ≠ β

    so that dot products are those of the full, symmetric matrix of (α, β).

    Parameters
    ----------
    basis : OptimalBasis or SphericalExpansion
        Whose coefficients are multiplied.
    columns : array_like [row, 3], optional
        Rows (l, α, β) of the components to compute, such as some of `columns_`; None for all. What is left out takes no
        time.
    normalize : bool, optional
        Divide each row by its norm over the columns that are computed; a row of zeros stays one. None, the default,
        leaves it to the use: rows are as they are in `transform`, and divided by their norms in a `Potential` with a
        kernel.
    q_max, l_max : int, optional
        Of how many channels of each species and l of the basis, the leading ones, and up to which l; None for all.
    weight : float, default 1.0
        Factor of all columns, after normalisation.
    reduce : {"sum", "mean"}, optional
        One row for each frame, the sum or mean of those of its atoms; None, the default, for one for each atom.
    by_species : bool, default False
        With `reduce`, whether atoms of each species are summed apart, see `Invariants`.

    Notes
    -----
    Columns are (l, α, β): l slowest, then α, then β ≥ α; α and β count the channels of l, see `channels_`.

    Examples
    --------
    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> density = rb.Density(r_cut=4.0, sigma=0.3)
    >>> basis = rb.OptimalBasis(density, rb.Gto(n_max=8), l_max=2, q_max=3, mixing="combined").fit(molecule("CH3OH"))
    >>> soap = rb.PowerSpectrum(basis)
    >>> soap.transform(molecule("CH3OH")).shape
    (6, 18)
    >>> rb.PowerSpectrum(basis, columns=soap.columns_[[0, 5, 17]]).transform(molecule("CH3OH")).shape
    (6, 3)
    >>> rb.PowerSpectrum(basis, q_max=2, l_max=1).transform(molecule("CH3OH")).shape
    (6, 6)
    """

    _kind = "power-spectrum"

    def __init__(
        self,
        basis: Evaluator,
        columns: ArrayLike | None = None,
        normalize: bool | None = None,
        q_max: int | None = None,
        l_max: int | None = None,
        weight: float = 1.0,
        reduce: Reduce | None = None,
        by_species: bool = False,
    ) -> None:
        self.basis = basis
        self.columns = columns
        self.normalize = normalize
        self.q_max = q_max
        self.l_max = l_max
        self.weight = weight
        self.reduce = reduce
        self.by_species = by_species


class Bispectrum(Invariants):
    """Invariants of four bodies, of even l1 + l2 + l3 (which do not change under inversion):

        X = (2 l3 + 1)^(−1/2) Σ ⟨l1 m1; l2 m2|l3 m3⟩ c_{α1 l1 m1} c_{α2 l2 m2} c_{α3 l3 m3}

    for (l1, α1) ≤ (l2, α2) ≤ (l3, α3), times the root of the number of their different orders: dot products are those
    of all orders. Columns are (l1, l2, l3, α1, α2, α3). There are many of them: a few channels (`q_max`) and small l
    (`l_max`) go a long way beside a whole power spectrum, see `Potential`.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> density = rb.Density(r_cut=4.0, sigma=0.3)
    >>> basis = rb.OptimalBasis(density, rb.Gto(n_max=8), l_max=2, q_max=3, mixing="combined").fit(molecule("CH3OH"))
    >>> rb.Bispectrum(basis).transform(molecule("CH3OH")).shape
    (6, 74)
    >>> rb.Bispectrum(basis, q_max=2, l_max=1).transform(molecule("CH3OH")).shape
    (6, 10)
    """

    _kind = "bispectrum"

    def __init__(
        self,
        basis: Evaluator,
        normalize: bool | None = None,
        q_max: int | None = None,
        l_max: int | None = None,
        weight: float = 1.0,
        reduce: Reduce | None = None,
        by_species: bool = False,
    ) -> None:
        self.basis = basis
        self.normalize = normalize
        self.q_max = q_max
        self.l_max = l_max
        self.weight = weight
        self.reduce = reduce
        self.by_species = by_species
